// Runs SQL in one DuckDB for interop_test.go: a line of JSON {"sql": "..."} in, a line of JSON out, with the columns
// of the last statement's result, their types as DuckDB calls them, and its rows.
//
// Every value is null or a text that loses nothing: JavaScript's own numbers would round integers beyond 2^53.
// Timestamps are microseconds since 1970, or nanoseconds where the type is TIMESTAMP_NS; nested values are JSON.
'use strict';

const path = require('node:path');
const readline = require('node:readline');
// The package decodes texts with one of these, which without this option swallow a U+FEFF that a text begins with.
globalThis.TextDecoder = class extends TextDecoder {
  constructor(label, options) {
    super(label, { ...options, ignoreBOM: true });
  }
};
const duckdb = require(path.join(__dirname, '../node/node_modules/@duckdb/node-api'));

function text(v, type) {
  if (v === null || typeof v === 'string') return v;
  if (typeof v === 'number') return number(v);
  if (v instanceof duckdb.DuckDBTimestampValue || v instanceof duckdb.DuckDBTimestampTZValue) return String(v.micros);
  if (v instanceof duckdb.DuckDBTimestampMillisecondsValue) return String(v.millis * 1000n);
  if (v instanceof duckdb.DuckDBTimestampSecondsValue) return String(v.seconds * 1000000n);
  if (v instanceof duckdb.DuckDBTimestampNanosecondsValue) return String(v.nanos);
  if (nested(v)) return json(v, type);
  return String(v);
}

function number(v) {
  return Object.is(v, -0) ? '-0' : String(v);
}

function nested(v) {
  return v instanceof duckdb.DuckDBListValue || v instanceof duckdb.DuckDBStructValue || v instanceof duckdb.DuckDBMapValue;
}

function json(v, type) {
  if (v instanceof duckdb.DuckDBListValue) return '[' + v.items.map((e) => json(e, type.valueType)).join(',') + ']';
  if (v instanceof duckdb.DuckDBStructValue) {
    return object(type.entryNames.map((name, i) => [name, v.entries[name], type.entryTypes[i]]));
  }
  if (v instanceof duckdb.DuckDBMapValue) return object(v.entries.map((e) => [e.key, e.value, type.valueType]));
  if (v === null || typeof v === 'boolean' || typeof v === 'bigint') return String(v);
  if (typeof v === 'number') return number(v);
  if (v instanceof duckdb.DuckDBTimestampValue) return JSON.stringify(String(v).replace(' ', 'T') + 'Z');
  return typeName(type) === 'JSON' ? v : JSON.stringify(text(v, type));
}

function object(entries) {
  return '{' + entries.map(([key, v, type]) => JSON.stringify(String(key)) + ':' + json(v, type)).join(',') + '}';
}

// typeName is the type as DuckDB's DESCRIBE calls it.
function typeName(type) {
  if (type instanceof duckdb.DuckDBListType) return typeName(type.valueType) + '[]';
  return type.alias ?? String(type);
}

async function main() {
  // No extension may be fetched: the tests need no network, and what is read here must be readable with DuckDB alone.
  const instance = await duckdb.DuckDBInstance.create(':memory:', { autoinstall_known_extensions: 'false' });
  const connection = await instance.connect();
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const answer = {};
    try {
      const result = await connection.runAndReadAll(JSON.parse(line).sql);
      const types = result.columnTypes();
      answer.columns = result.columnNames().map((name, i) => ({ name, type: typeName(types[i]) }));
      answer.rows = result.getRows().map((row) => row.map((v, i) => text(v, types[i])));
    } catch (e) {
      answer.error = e.message;
    }
    process.stdout.write(JSON.stringify(answer) + '\n');
  }
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
