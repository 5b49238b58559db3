// Amplitude's own engine, for the part engine: node engine.js CONFIGS USERS FLAG,FLAG…
// It reads the users (a line of JSON each), warms up, and prints its answers. Then each line on standard input, a number
// of seconds, is a round of that much CPU: it evaluates all users and flags again and again.
'use strict';
const fs = require('fs');
const { EvaluationEngine, topologicalSort } = require('@amplitude/experiment-core');
const { convertUserToEvaluationContext } = require('@amplitude/experiment-node-server/dist/src/util/user.js');
const [configs, users, keys] = process.argv.slice(2);

// Not measured: reading, sorting the flags, making the contexts of the users.
const map = {};
for (const flag of JSON.parse(fs.readFileSync(configs, 'utf8'))) map[flag.key] = flag;
const asked = keys.split(',');
const flags = topologicalSort(map, asked);
const contexts = fs.readFileSync(users, 'utf8').trim().split('\n').map((line) => convertUserToEvaluationContext(JSON.parse(line)));
const engine = new EvaluationEngine();

let kept = 0; // so that V8 does not optimize evaluations away
function round(seconds) {
  const start = process.cpuUsage();
  let passes = 0;
  let used;
  do {
    for (const context of contexts) kept += engine.evaluate(context, flags)[asked[0]] === undefined ? 0 : 1;
    passes++;
    used = process.cpuUsage(start);
  } while (used.user + used.system < seconds * 1e6);
  return { ns: ((used.user + used.system) * 1000) / (passes * contexts.length * asked.length) };
}

round(3); // the warm-up
const answers = {};
for (const context of contexts) {
  const results = engine.evaluate(context, flags);
  for (const key of asked) {
    if (results[key] === undefined) continue;
    const name = `${key} ${results[key].key}`;
    answers[name] = (answers[name] ?? 0) + 1;
  }
}
console.log(JSON.stringify({ answers }));
require('readline').createInterface({ input: process.stdin }).on('line', (line) => console.log(JSON.stringify(round(Number(line)))));
