// DuckDB, for the part local: node duckdb.js PARQUET DIR
// It loads the rows of the file into a table in memory and prints their number. Then each line on standard
// input is a round: it writes the table to zstd Parquet in the directory, on two threads.
'use strict';
const fs = require('fs');
const path = require('path');
const { DuckDBInstance } = require('@duckdb/node-api');
const [parquet, dir] = process.argv.slice(2);
const quote = (text) => `'${text.replaceAll("'", "''")}'`;
const out = path.join(dir, 'duckdb.parquet');

async function main() {
  const instance = await DuckDBInstance.create(':memory:', { threads: '2', temp_directory: path.join(dir, 'duckdb.tmp') });
  const connection = await instance.connect();
  await connection.run(`CREATE TABLE t AS SELECT * FROM read_parquet(${quote(parquet)})`);
  const count = await connection.runAndReadAll('SELECT count(*)::INTEGER FROM t');
  console.log(JSON.stringify({ rows: count.getRows()[0][0] }));
  for await (const _ of require('readline').createInterface({ input: process.stdin })) {
    const start = process.cpuUsage(); // of all threads
    await connection.run(`COPY (SELECT * FROM t) TO ${quote(out)} (FORMAT parquet, COMPRESSION zstd)`);
    const used = process.cpuUsage(start);
    console.log(JSON.stringify({ seconds: (used.user + used.system) / 1e6, bytes: fs.statSync(out).size }));
  }
}
main().catch((err) => { console.error(err); process.exit(1); });
