// Prints the variant of the flag f for a user, and again when it has changed, with a client that evaluates by itself and
// polls the server for its flags.
'use strict';

const path = require('node:path');
const { Experiment } = require(path.join(__dirname, '../node/node_modules/@amplitude/experiment-node-server'));

async function main() {
  const client = Experiment.initializeLocal('key', { serverUrl: process.argv[2], flagConfigPollingIntervalMillis: 50 });
  await client.start();
  const variant = () => client.evaluateV2({ user_id: 'u' }).f.key;
  const first = variant();
  console.log(first);
  while (variant() === first) await new Promise((resolve) => setTimeout(resolve, 10));
  console.log(variant());
  client.stop();
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
