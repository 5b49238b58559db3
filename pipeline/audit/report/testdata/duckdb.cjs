// Holds the counts and intervals of a report against DuckDB, which counts the same Parquet file by itself:
//
//	rollcall report out.parquet --by country,user_properties.plan --format json > report.json
//	node duckdb.cjs <folder of node_modules> report.json out.parquet country user_properties.plan
//
// The columns must have few enough values that none is folded. The controls are those by default.
const { DuckDBInstance } = require(process.argv[2] + '/node_modules/@duckdb/node-api');
(async () => {
  const db = await DuckDBInstance.create(':memory:'); const c = await db.connect();
  const rep = require(require('path').resolve(process.argv[3]));
  let checks = 0, bad = 0;
  const eq = (a, b, what) => { checks++; if (!(Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(a)))) { bad++; console.log('DIFF', what, a, b); } };
  for (const col of [null, ...process.argv.slice(5)]) {
    const by = col ? `, coalesce("${col}", '(none)') as s` : `, '' as s`;
    const rows = (await (await c.runAndReadAll(`select flag_key f, variant v${by}, count(*)::int n from '${process.argv[4]}' where outcome='assigned' group by all`)).getRowObjects());
    for (const r of rows) {
      const flag = rep.flags.find(f => f.key === r.f);
      const where = col ? flag.slices.find(s => s.column === col && s.label === r.s) : flag;
      const v = where.variants.find(v => v.variant === r.v);
      eq(v.users, r.n, [r.f, r.s, r.v]);
      const n = where.assigned, z = 1.959963984540054, p = r.n / n;
      eq(v.split.low, ((p + z*z/(2*n)) - z*Math.sqrt(p*(1-p)/n + z*z/(4*n*n))) / (1+z*z/n), ['low', r.f, r.s, r.v]);
    }
  }
  const ov = (await (await c.runAndReadAll(`select a.flag_key a, b.flag_key b, count(*)::int n from '${process.argv[4]}' a join '${process.argv[4]}' b using (row_number) where a.flag_key<b.flag_key and a.variant not in ('control', 'off', 'default') and b.variant not in ('control', 'off', 'default') group by all`)).getRowObjects());
  for (const r of ov) eq(rep.overlaps.find(o => o.a===r.a && o.b===r.b).treatments, r.n, ['overlap', r.a, r.b]);
  console.log(checks, 'checks,', bad, 'differ');
  process.exitCode = bad || !checks ? 1 : 0;
})();
