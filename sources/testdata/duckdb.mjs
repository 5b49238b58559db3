// Makes users.csv, and the same users as Parquet as DuckDB writes it: each compression, with the encodings of Parquet v1
// (plain, dictionary) and v2 (delta, byte-stream-split). Run from the top of the repository, after make interop has installed DuckDB:
//   node sources/testdata/duckdb.mjs
import { createRequire } from 'node:module';
import { writeFileSync } from 'node:fs';

const { DuckDBInstance } = createRequire(process.cwd() + '/testdata/node/package.json')('@duckdb/node-api');
const out = 'sources/testdata/';

// Each column: its name, its type in DuckDB, its value in row i as text; '' is null. DuckDB makes its values of the very texts.
const every = (n, f) => (i) => (i % n === n - 1 ? '' : f(i));
const pad = (n, width = 2) => String(n).padStart(width, '0');
const columns = [
  ['user_id', 'VARCHAR', every(9, (i) => `user-${pad(i, 3)}`)],
  ['device_id', 'UUID', every(6, (i) => `0f8fad5b-d9cb-469f-a165-${pad(i, 12)}`)],
  ['country', "ENUM('DE', 'FR', 'IT')", every(5, (i) => ['DE', 'FR', 'IT'][i % 3])],
  ['version', 'VARCHAR', (i) => `4.${i % 4}.1`],
  ['language', 'VARCHAR', every(4, (i) => ['Deutsch', 'Français', '日本語', 'emoji 😀', 'quote " comma , \n newline'][i % 5])],
  ['groups.org', 'VARCHAR', every(3, (i) => `org-${i % 7}`)],
  ['user_properties.seats', 'BIGINT', every(4, (i) => ['9007199254740993', '-9223372036854775808', '9223372036854775807', String(i)][i % 4])],
  ['user_properties.small', 'TINYINT', every(7, (i) => String(i - 30))],
  ['user_properties.medium', 'INTEGER', every(8, (i) => String(i * 1000003 - 2000000))],
  ['user_properties.unsigned', 'UBIGINT', every(5, (i) => ['18446744073709551615', '9223372036854775808', '5'][i % 3])],
  ['user_properties.unsigned32', 'UINTEGER', every(5, (i) => String(4294967295 - i))],
  ['user_properties.score', 'DOUBLE', every(5, (i) => String(i / 3))],
  ['user_properties.ratio', 'FLOAT', every(6, (i) => ['0.1', '2.5', '-1.25'][i % 3])],
  ['user_properties.pro', 'BOOLEAN', every(4, (i) => String(i % 2 === 0))],
  ['user_properties.price', 'DECIMAL(9,2)', every(7, (i) => `${i - 20}.${pad(i % 100)}`.replace('-0.', '-1.'))],
  ['user_properties.price64', 'DECIMAL(18,4)', every(7, (i) => `${i + 1}23456789.0001`)],
  ['user_properties.price128', 'DECIMAL(38,10)', every(7, (i) => `-${i + 1}234567890123456789.0000000001`)],
  ['user_properties.whole', 'DECIMAL(38,0)', every(7, (i) => `${i + 1}23456789012345678901234567890`)],
  ['user_properties.born', 'DATE', every(5, (i) => `19${pad(60 + i % 40)}-02-28`)],
  ['user_properties.seen', 'TIMESTAMP', every(5, (i) => `2024-02-29T12:30:${pad(i % 60)}.25Z`)],
  ['user_properties.seen_ms', 'TIMESTAMP_MS', every(5, (i) => `2024-02-29T12:30:${pad(i % 60)}.125Z`)],
  ['user_properties.seen_ns', 'TIMESTAMP_NS', every(5, (i) => `2024-02-29T12:30:${pad(i % 60)}.123456789Z`)],
  ['user_properties.seen_tz', 'TIMESTAMPTZ', every(5, (i) => `1969-12-31T23:59:${pad(i % 60)}.000001Z`)],
  ['user_properties.at', 'TIME', every(5, (i) => `12:30:${pad(i % 60)}.5`)],
  ['user_properties.json', 'JSON', every(5, (i) => `{"a":[1,2.50,null],"b":{"c":"x${i}"}}`)],
  ['user_properties.tags', 'VARCHAR[]', every(5, (i) => JSON.stringify(['a', 'b c', null, `t${i}`].slice(0, i % 5)))],
  ['user_properties.deep', 'INTEGER[][]', every(5, (i) => JSON.stringify([[], [i], [1, null, 3], null].slice(0, i % 5)))],
  ['user_properties.address', 'STRUCT(zip INTEGER, city VARCHAR, lines VARCHAR[])',
    every(5, (i) => JSON.stringify({ zip: i, ...(i % 3 ? { city: `City ${i}` } : {}), lines: ['x', 'y'].slice(i % 3) }))],
  ['user_properties.prefs', 'MAP(VARCHAR, BIGINT)', every(5, (i) => JSON.stringify(i % 3 ? { b: i, a: 9007199254740993n }
    : {}, (_, v) => (typeof v === 'bigint' ? Number(v) : v)).replace('9007199254740992', '9007199254740993'))],
  ['user_properties.visits', 'STRUCT("on" DATE, pages BIGINT[])[]',
    every(5, (i) => JSON.stringify([{ on: '2024-01-31', pages: [i, 2] }, { pages: [] }, { on: '2024-02-01' }].slice(0, i % 4)))],
];
const rows = 36;
const quote = (s) => (/[",\n]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s);
writeFileSync(out + 'users.csv', [columns.map(([name]) => name), ...Array.from({ length: rows }, (_, i) => columns.map(([, , value]) => quote(value(i))))]
  .map((cells) => cells.join(',') + '\n').join(''));

const db = await (await DuckDBInstance.create(':memory:')).connect();
await db.run("SET TimeZone = 'UTC'");
// A struct whose JSON lacks a field has to be told the fields.
const fields = {
  'user_properties.address': '{"zip":"INTEGER","city":"VARCHAR","lines":["VARCHAR"]}',
  'user_properties.visits': '[{"on":"DATE","pages":["BIGINT"]}]',
};
const cast = ([name, type]) => {
  if (fields[name]) return `json_transform("${name}", '${fields[name]}') AS "${name}"`;
  const json = type.endsWith('[]') || type.startsWith('MAP') ? '::JSON' : '';
  return `CAST("${name}"${json} AS ${type}) AS "${name}"`;
};
await db.run(`CREATE TABLE users AS SELECT ${columns.map(cast).join(', ')}
  FROM read_csv('${out}users.csv', all_varchar = true, header = true, delim = ',', quote = '"', escape = '"', parallel = false)`);
for (const version of ['v1', 'v2']) {
  for (const codec of ['uncompressed', 'snappy', 'gzip', 'zstd', 'brotli', 'lz4_raw']) {
    await db.run(`COPY users TO '${out}duckdb-${version}-${codec}.parquet' (FORMAT parquet, PARQUET_VERSION ${version}, COMPRESSION ${codec})`);
  }
}
await db.run(`COPY (SELECT 'a' AS user_id, INTERVAL 3 MONTH AS span, {'since': INTERVAL 1 DAY} AS nested) TO '${out}duckdb-interval.parquet' (FORMAT parquet)`);
