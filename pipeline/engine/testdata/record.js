// Records what Amplitude's own engine answers; ../doc.go says how to run it.
'use strict';
const path = require('path');
const dir = process.argv[2];
const core = require(path.resolve(dir, 'amplitude-experiment-core-0.13.6/package'));
const { convertUserToEvaluationContext } = require(path.resolve(dir,
  'amplitude-experiment-node-server-1.13.6/package/dist/src/util/user.js'));
const engine = new core.EvaluationEngine();

// evaluate takes the user as JSON text, so that its numbers are written here as anybody could write them.
function evaluate(flags, user, keys) {
  const map = {};
  for (const flag of flags) map[flag.key] = flag;
  return engine.evaluate(convertUserToEvaluationContext(JSON.parse(user)), core.topologicalSort(map, keys));
}

// 1. Every operator, against every list of values, for every value of a property.
const ops = ['is', 'is not', 'contains', 'does not contain', 'less', 'less or equal', 'greater', 'greater or equal',
  'version less', 'version less or equal', 'version greater', 'version greater or equal', 'set is', 'set is not',
  'set contains', 'set does not contain', 'set contains any', 'set does not contain any', 'no such operator'];
const regexOps = ['regex match', 'regex does not match'];
const values = [[], [''], ['(none)'], ['a'], ['A'], ['a', 'b'], ['b', 'a', 'a'], ['a', '(none)'], ['true'], ['FALSE', 'x'],
  ['True', 'False'], ['1'], ['1.0'], ['10', '9'], ['-1e3'], ['0x1F'], [' 5 '], ['Infinity'], ['NaN'], ['abc', '2'],
  ['1.2.3'], ['1.10'], ['1.2.3-beta.1', 'x'], ['1.2.3-'], ['ä', 'ß'], ['ΣΑΣ'], ['😀'], ['\uffee'], ['[object Object]'],
  ['{"a":1}'], ['null'], ['1e+21'], ['K'],
  ['c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7', 'c8', 'c9', 'a'], ['c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7', 'c8', 'c9', 'TRUE', 'b']];
const properties = [null, '"absent"', 'null', '""', '"a"', '"A"', '"ab"', '"(none)"', '" a"', '"true"', '"TRUE"', '"fal\\u017fe"',
  'true', 'false', '0', '-0', '1', '1.0', '1.50', '9', '10', '-1000', '31', '5', '1e21', '1E+21', '1e-7', '0.000001', '123456789012345678',
  '12345678901234567890', '1e400', '0.1', '"1"', '"1.0"', '"0x1F"', '"0b11"', '"0o17"', '"1_0"', '"+5"', '"5."', '".5"', '"."',
  '"1e3"', '"e3"', '" 5\\u00a0"', '"\\ufeff5"', '"Infinity"', '"-Infinity"', '"inf"', '"NaN"', '"1.2"', '"1.2.3"', '"1.10.0"',
  '"1.2.3-beta.1"', '"1.2.3-"', '"1.2.3-a..b"', '"1.2.3-.a"', '"1.2.3-a."', '"1.2.3+build"', '"v1.2.3"', '"1.2.3.4"',
  '"99999999999999999999.1"', '"1.2.3-beta.10"', '"01.02"', '"1."', '"ÄSS"', '"straße"', '"ΑΣΑΣ"', '"σας"', '"İ"', '"\\u212a"', '"😀"', '"😎"',
  '"\\uffee"', '"\\ue000"', '{}', '{"a":1}', '{"10":1,"2":{},"a":[1,"x",null,1e21,-0],"b":"\\b\\f\\u0001\\"\\\\\\u2028"}', '[]', '[[]]', '["a"]',
  '["a","b"]', '["b","a","a"]', '["",null,"a"]', '["A",true,1,1.50]', '["true","False"]', '[true,false]', '["(none)"]', '[{"a":1}]',
  '["c1","c2","c3","c4","c5","c6","c7","c8","c9","a"]', '["c1","c2","c3","c4","c5","c6","c7","c8","c9","b","true","z"]', '[1e400]', '["1.2.4","0.9"]', '[10,8]',
  '"[]"', '"[\\"a\\",\\"b\\"]"', '" [\\"a\\"]"', '"[\\"a\\"] "', '"[1,2,true]"', '"[a]"', '"["', '"[{\\"b\\":1,\\"a\\":2}]"', '"[{\\"a\\":0,\\"a\\":1}]"',
  '"[null,\\"\\"]"', '"[1e400,1.0]"', '"[\\"a\\",]"', '"[1] x"'];
const patterns = ['', 'a', '^a$', '^.$', '^..$', '^\\s$', '^\\S+$', '\\d+', '^\\w+$', '\\bfoo\\b', '[^]', '[]', '^[^a]$', '[a-c]+', '[\\d-x]', '[\\w-]',
  '\\u0041', '\\x41', '\\ud83d', '[\\ud800-\\udfff]', '[\\u0000-\\uffff]', '^[😀]$', '^[😀]{2}$', '😀', '\\p{L}', '\\Aa', 'a\\z', 'a{2}', 'a{,2}', 'a{', 'x{1',
  'a{2,}', 'a{1,2}?', '(a|b)+c', '(?:a)', '(?<n>a)b', '\\/', '\\-', '\\e', '\\cA', '\\c', '[\\b]', '\\0', '\\01', '\\8', '(a)\\2', ']', '}', '[[:alpha:]]', '[a[]',
  '^\\d{3}-\\d{4}$', '@example\\.com$', '^(?:[^@]+)@', '[\\s]', '[\\S]', '[^\\s]', '.*', 'a.b', '\\Qa\\E', '[.]', '[*+?^$]', '\\$', '(|a)', 'a|', '\\k', '[^\\W]', '[\\c]', '[\\c1]'];
const subjects = ['', 'a', 'A', 'aa', 'ab', 'abc', 'aac', 'foo bar', 'foobar', 'é', '😀', '😎', '\u2028', '\u00a0', '\ufeff', '\r', '\n', 'a\nb', 'a\rb', 'a\u2028b', '\v',
  'p{L}', 'a{,2}', 'a{', 'x{1', 'Aa', 'az', '/', '-', 'e', '\u0001', '\\c', '\b', '\u0000', '8', 'a\u0002', ']', '}', 'l:]', ':]', '[', '555-1234', 'x@example.com', 'QaE', '.', '*', '$',
  'k', '_', '\ue000', '\u{100000}', 'c', '\\', '\u0011'];
const conditionFlags = [];
for (const op of ops) for (const v of values) conditionFlags.push({ op, values: v });
const answers = properties.map((p) => {
  const user = p === '"absent"' ? '{"user_id":"u","user_properties":{}}' : p === null ? '{"user_id":"u"}' : `{"user_id":"u","user_properties":{"p":${p}}}`;
  const flags = conditionFlags.map((c, i) => ({ key: `f${i}`, variants: { on: { key: 'on' } },
    segments: [{ conditions: [[{ selector: ['context', 'user', 'user_properties', 'p'], ...c }]], variant: 'on' }] }));
  const result = evaluate(flags, user);
  return { user, matched: flags.map((f) => (result[f.key] ? '1' : '0')).join('') };
});
const regexAnswers = patterns.map((pattern) => ({ pattern, matched: subjects.map((s) => {
  const flag = (op) => ({ key: op, variants: { on: { key: 'on' } },
    segments: [{ conditions: [[{ selector: ['context', 'user', 'user_properties', 'p'], op, values: [pattern] }]], variant: 'on' }] });
  const result = evaluate(regexOps.map(flag), JSON.stringify({ user_properties: { p: s } }));
  if (Boolean(result[regexOps[0]]) === Boolean(result[regexOps[1]])) throw new Error(`${pattern} ${s}`);
  return result[regexOps[0]] ? '1' : '0';
}).join('') }));

// 2. Random deployments: segments, buckets, dependencies, metadata, groups, selectors of all shapes.
let seed = 20240607;
const random = (n) => { // mulberry32
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * n);
};
const pick = (list) => list[random(list.length)];
const maybe = (n, f) => (random(n) === 0 ? f() : undefined);
const selectors = [['context', 'user', 'user_id'], ['context', 'user', 'device_id'], ['context', 'user', 'country'], ['context', 'user', 'user_properties', 'plan'],
  ['context', 'user', 'user_properties', 'tags'], ['context', 'user', 'user_properties', 'nested', 'deep', 'x'], ['context', 'user', 'user_properties', 'tags', '0'],
  ['context', 'user', 'user_properties', 'tags', 'length'], ['context', 'user', 'user_properties', 'tags', '01'], ['context', 'user', 'user_properties'], ['context', 'user'], ['context'], ['context', 'groups'],
  ['context', 'groups', 'org'], ['context', 'groups', 'org', 'group_name'], ['context', 'groups', 'org', 'group_properties', 'size'], ['context', 'groups', 'org', 'group_properties'],
  ['context', 'groups', 'org', 'cohort_ids'], ['context', 'groups', 'team', 'group_name'], ['context', 'user', 'cohort_ids'], ['context', 'user', 'groups'], ['context', 'user', ''], [],
  ['result'], ['other'], ['context', 'user', 'user_id', 'length']];
const words = ['a', 'b', 'pro', 'free', 'DE', 'US', 'acme', '10', '250', 'true', '(none)', 'on', 'treatment', 'c1', '3', '["a","pro"]'];
const scalars = ['a', 'b', 'pro', 'free', 'DE', true, false, 10, 250.5, 'TRUE', '', null, 3, '["a","pro"]'];
const range = (top) => { const a = random(top + 1); const b = random(top + 1); return [Math.min(a, b), Math.max(a, b)]; };
const metadata = () => maybe(2, () => {
  const m = {};
  for (const k of ['segmentName', 'experimentKey', 'flagVersion', 'default', 'deployed', 'x', '7']) {
    const v = maybe(3, () => pick(['s', 1, 1.5, true, false, null, { a: [1] }, 'exp-2']));
    if (v !== undefined) m[k] = v;
  }
  return m;
});
const condition = (keys) => ({
  selector: maybe(4, () => ['result', pick(keys), pick(['key', 'value', 'payload', 'metadata']), ...(maybe(3, () => ['a']) || [])].slice(0, 1 + random(4))) || pick(selectors),
  op: pick(ops), values: Array.from({ length: random(4) }, () => pick(words)) });
function deployment() {
  const keys = Array.from({ length: 1 + random(5) }, (_, i) => pick(['flag-', 'exp.', '']) + i);
  return keys.map((key, i) => {
    const names = ['on', 'treatment', 'control'].slice(0, 1 + random(3));
    const variants = {};
    for (const name of names) {
      variants[name] = { key: name, value: maybe(2, () => pick(['on', 5, true, null, { b: 1, a: 2 }])), payload: maybe(2, () => pick([{ z: 1, a: [true, 'x'] }, 'text', 7, null, [1, 2]])), metadata: metadata() };
    }
    const variant = () => pick([...names, ...names, 'gone']);
    const segments = Array.from({ length: random(4) }, () => ({
      metadata: metadata(),
      conditions: maybe(2, () => Array.from({ length: random(3) }, () => Array.from({ length: random(3) }, () => condition(keys)))),
      variant: maybe(2, variant),
      bucket: maybe(2, () => ({ selector: pick(selectors), salt: pick(['', 'salt', 'añ😀', 'longer salt']), allocations: Array.from({ length: random(4) }, () => ({
        range: pick([[0, 100], range(100), [0, 49.5]]),
        distributions: Array.from({ length: random(4) }, () => ({ variant: variant(), range: pick([[0, 42949673], [0, 21474836], range(42949673)]) })) })) })) }));
    return { key, variants, segments, metadata: metadata(), dependencies: maybe(2, () => Array.from({ length: random(3) }, () => pick([...keys.slice(0, i), 'gone']))) };
  });
}
function randomUser() {
  const u = {};
  const set = (o, k, v) => { if (random(3) > 0) o[k] = v; };
  set(u, 'cohort_ids', ['c1', 'c2'].slice(random(3)));
  set(u, 'country', pick(['DE', 'US', 'de']));
  set(u, 'device_id', pick(['d1', 'device-2', '😀']));
  set(u, 'group_cohort_ids', { org: { acme: ['c1'] } });
  set(u, 'group_properties', { org: { acme: pick([{ size: 250 }, {}, { size: [1, 'a'] }]), 7: { size: 'seven' } } });
  set(u, 'groups', pick([{ org: ['acme', 'b'] }, { org: [] }, { org: [''], team: ['b'] }, { org: [7] }, { team: ['a'] }, {}]));
  set(u, 'user_id', pick(['u1', 'user-2', 'ümläut', 'a']) + (random(2) ? random(1000) : ''));
  const p = {};
  set(p, 'nested', { deep: pick([{ x: pick(scalars) }, 'x', null]) });
  set(p, 'plan', pick(scalars));
  set(p, 'tags', pick([['a', 'pro', 1], [], '["a","b"]', [null, '', 'a'], 'a', [['a'], { b: 1 }]]));
  set(u, 'user_properties', p);
  return u;
}
const strip = (o) => JSON.parse(JSON.stringify(o)); // undefined goes, as it does on the wire
const cases = [];
for (let i = 0; i < 250; i++) {
  const flags = strip(deployment());
  const keys = maybe(3, () => flags.filter(() => random(2)).map((f) => f.key));
  for (let j = 0; j < 4; j++) {
    const user = JSON.stringify(sorted(randomUser()));
    const want = strip(evaluate(flags, user, keys));
    if (j === 0) cases.push({ flags, keys, users: [] });
    cases[cases.length - 1].users.push({ user, want });
  }
}
// sorted puts names in the order in which rollcall keeps them.
function sorted(v) {
  if (Array.isArray(v)) return v.map(sorted);
  if (v === null || typeof v !== 'object') return v;
  return Object.fromEntries(Object.keys(v).sort().map((k) => [k, sorted(v[k])]));
}

const lines = (list) => '[\n' + list.map((x) => JSON.stringify(x)).join(',\n') + '\n]';
process.stdout.write(`{"conditions":${lines(conditionFlags)},\n"answers":${lines(answers)},\n"subjects":${JSON.stringify(subjects)},\n` +
  `"regexes":${lines(regexAnswers)},\n"cases":${lines(cases)}}\n`);
