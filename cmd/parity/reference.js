// Amplitude's engine, asked over pipes: one JSON line in, one out. Parity starts it with `node -e`.
'use strict';
const fs = require('fs');
const path = require('path');
const modules = path.resolve(process.argv[1]);
const load = (name) => require(path.join(modules, '@amplitude', name));
const core = load('experiment-core');
const { convertUserToEvaluationContext } = load('experiment-node-server/dist/src/util/user.js');

// Bare objects have no inherited names, like rollcall's (see the doc.go of package engine): "constructor" is absent unless
// it is set. They keep the methods that the engine calls: conversion to a string, and the map of a list.
const bareObject = Object.create(null, { [Symbol.toPrimitive]: { value: () => '[object Object]' } });
const bareList = Object.create(null, { map: { value: Array.prototype.map }, [Symbol.iterator]: { value: Array.prototype[Symbol.iterator] },
  some: { value: Array.prototype.some }, toString: { value: Array.prototype.toString }, join: { value: Array.prototype.join } });
function strip(v) {
  if (v === null || typeof v !== 'object') return v;
  Object.values(v).forEach(strip);
  return Object.setPrototypeOf(v, Array.isArray(v) ? bareList : bareObject);
}
class BareEngine extends core.EvaluationEngine {
  evaluateFlag(target, flag) {
    Object.setPrototypeOf(target, bareObject);
    Object.setPrototypeOf(target.result, bareObject);
    const variant = super.evaluateFlag(target, flag);
    if (variant) {
      Object.setPrototypeOf(variant, bareObject);
      Object.setPrototypeOf(variant.metadata, bareObject);
    }
    return variant;
  }
}
const engine = new core.EvaluationEngine();
const bareEngine = new BareEngine();

function answer(request) {
  const { flags, users, keys, asked, bare, patterns } = request;
  const response = { answers: [], variants: [] };
  response.compiles = patterns.map((pattern) => {
    try { new RegExp(pattern); return true; } catch (e) { return false; }
  });
  try {
    const map = {};
    for (const flag of flags) map[flag.key] = flag;
    core.topologicalSort(map); // of all flags: rollcall refuses any cycle
    const sorted = core.topologicalSort(map, keys || undefined);
    if (bare) flags.forEach(strip);
    const seen = new Map();
    for (const user of users) {
      const context = convertUserToEvaluationContext(bare ? strip(user) : user);
      if (bare) {
        strip(context.user || {});
        strip(context.groups || {});
        Object.setPrototypeOf(context, bareObject);
      }
      const results = (bare ? bareEngine : engine).evaluate(context, sorted);
      for (const key of asked) {
        const variant = results[key];
        if (!variant) {
          response.answers.push(-1);
          continue;
        }
        const text = JSON.stringify(variant);
        let i = seen.get(text);
        if (i === undefined) {
          i = seen.size;
          seen.set(text, i);
          response.variants.push({ variant, text: engine.coerceString(variant.value) });
        }
        response.answers.push(i);
      }
    }
  } catch (e) {
    response.error = String(e.message);
  }
  return JSON.stringify(response) + '\n';
}

function write(text) {
  for (let rest = Buffer.from(text); rest.length > 0;) rest = rest.subarray(fs.writeSync(1, rest));
}
write(JSON.stringify({ core: load('experiment-core/package.json').version, server: load('experiment-node-server/package.json').version,
  node: process.version }) + '\n');
const chunk = Buffer.alloc(1 << 20);
let rest = [];
for (let n; (n = fs.readSync(0, chunk)) > 0;) {
  let start = 0;
  for (let end; (end = chunk.subarray(0, n).indexOf(10, start)) >= 0; start = end + 1) {
    rest.push(Buffer.from(chunk.subarray(start, end)));
    write(answer(JSON.parse(Buffer.concat(rest).toString())));
    rest = [];
  }
  rest.push(Buffer.from(chunk.subarray(start, n)));
}
