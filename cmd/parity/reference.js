// Amplitude's engine, asked over pipes: one JSON line in, one out. Parity starts it, after hosted.js, with `node -e`.
const fs = require('fs');
const path = require('path');
const modules = path.resolve(process.argv[1]);
const hosted = process.argv[2] === 'hosted';
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
const allRules = [1, 2, 3, 4, 5, 6, 7, 8, 9];
const hostedEngine = makeHostedEngine(core, allRules);
const unruledEngine = makeHostedEngine(core, []); // npm's once more
const enginesWithout = allRules.map((rule) => makeHostedEngine(core, allRules.filter((r) => r !== rule)));

function answer(line) {
  const request = hosted ? parseJSON(line) : JSON.parse(line);
  const { flags, users, keys, asked, bare, patterns, probes } = request;
  const response = { answers: [], variants: [] };
  response.compiles = patterns.map((pattern) => {
    if (hosted) return isJavaPattern(pattern) === true;
    try { new RegExp(pattern); return true; } catch (e) { return false; }
  });
  if (hosted) response.rules = [...allRules, 0].map(() => [0, 0]);
  try {
    const map = {};
    for (const flag of flags) map[flag.key] = flag;
    core.topologicalSort(map); // of all flags: rollcall refuses any cycle
    const sorted = core.topologicalSort(map, keys || undefined);
    if (bare && !hosted) flags.forEach(strip);
    const seen = new Map();
    for (const user of users) {
      const results = hosted ? evaluateHosted(user, sorted) : evaluateNode(user, sorted, bare);
      for (const key of asked) {
        if (hosted && hostedEngine.unknown.has(key)) {
          response.answers.push(-2);
          continue;
        }
        const variant = results[key];
        if (!variant) {
          response.answers.push(-1);
          continue;
        }
        const text = engine.coerceString(toPlain(variant.value));
        const id = JSON.stringify([variant, text]);
        let i = seen.get(id);
        if (i === undefined) {
          i = seen.size;
          seen.set(id, i);
          response.variants.push({ variant, text });
        }
        response.answers.push(i);
      }
      if (hosted) for (const key of probes) countRules(response.rules, map[key], user, results);
    }
  } catch (e) {
    response.error = String(e.message);
  }
  return JSON.stringify(response) + '\n';
}

// toPlain returns the value with JavaScript's numbers: what SDKs see of an answer.
function toPlain(v) { return v === undefined ? v : JSON.parse(JSON.stringify(v)); }

function evaluateNode(user, sorted, bare) {
  const context = convertUserToEvaluationContext(bare ? strip(user) : user);
  if (bare) {
    strip(context.user || {});
    strip(context.groups || {});
    Object.setPrototypeOf(context, bareObject);
  }
  return (bare ? bareEngine : engine).evaluate(context, sorted);
}

function evaluateHosted(user, sorted) {
  hostedEngine.unknown.clear();
  return hostedEngine.evaluate(hostedEngine.makeContext(user), sorted);
}

// countRules counts for each rule where the only condition of the flag would give another answer without it, and, last,
// without all rules: how often it holds with them, and how often it does not.
function countRules(counts, flag, user, result) {
  if (!flag || hostedEngine.unknown.size > 0) return;
  const condition = flag.segments[0].conditions[0][0];
  const match = (e) => {
    try { return e.matchCondition({ context: e.makeContext(user), result }, condition); } catch (e) { return undefined; }
  };
  const want = match(hostedEngine);
  if (want === undefined) return;
  [...enginesWithout, unruledEngine].forEach((e, i) => {
    const got = match(e);
    if (got !== undefined && got !== want) counts[i][want ? 0 : 1]++;
  });
}

// checkVectors compares the hosted engine with recorded answers: for each case, the users for whom it holds.
function checkVectors({ users, cases }) {
  const check = { checked: 0, differ: [] };
  for (const { op, values, on } of cases) {
    const held = new Set(on.map(Number));
    users.forEach((properties, i) => {
      const context = hostedEngine.makeContext({ user_properties: properties });
      const condition = { selector: ['context', 'user', 'user_properties', 'p'], op, values };
      check.checked++;
      if (hostedEngine.matchCondition({ context, result: {} }, condition) !== held.has(i)) {
        check.differ.push(`${stringifyHosted(properties)} ${op} ${JSON.stringify(values)}`);
      }
    });
  }
  return check;
}

function write(text) {
  for (let rest = Buffer.from(text); rest.length > 0;) rest = rest.subarray(fs.writeSync(1, rest));
}
write(JSON.stringify({
  core: load('experiment-core/package.json').version,
  server: load('experiment-node-server/package.json').version,
  node: process.version,
  vectors: hosted ? checkVectors(parseJSON(fs.readFileSync(process.argv[3], 'utf8'))) : undefined,
}) + '\n');
const chunk = Buffer.alloc(1 << 20);
let rest = [];
for (let n; (n = fs.readSync(0, chunk)) > 0;) {
  let start = 0;
  for (let end; (end = chunk.subarray(0, n).indexOf(10, start)) >= 0; start = end + 1) {
    rest.push(Buffer.from(chunk.subarray(start, end)));
    write(answer(Buffer.concat(rest).toString()));
    rest = [];
  }
  rest.push(Buffer.from(chunk.subarray(start, n)));
}
