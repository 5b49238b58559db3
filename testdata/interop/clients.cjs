// Asks a server what Amplitude's own clients ask it, for clients_test.go. The argument is the server's URL, standard
// input has the users: a line of JSON each, as Amplitude's SDKs have them. Standard output gets a line of JSON for each
// client and user: {"client": "…", "user": <its line>, "variants": {flag: variant}}.
'use strict';

const path = require('node:path');
const readline = require('node:readline');

// Nothing but the server is asked: it has an address, and any name of a host is an error.
require('node:dns').lookup = (host) => {
  console.error(`a client asked for the host ${host}`);
  process.exit(1);
};
const load = (name) => require(path.join(__dirname, '../node/node_modules/@amplitude', name));
const { Experiment: node } = load('experiment-node-server');
const { Experiment: browser } = load('experiment-js-client');

const url = process.argv[2];
const atOnce = 16;

const clients = {
  'node fetch': () => {
    const client = node.initializeRemote('key', { serverUrl: url });
    return { ask: (user) => client.fetch(user) };
  },
  'node fetchV2': () => {
    const client = node.initializeRemote('key', { serverUrl: url });
    return { ask: (user) => client.fetchV2(user, { tracksAssignment: false, tracksExposure: false }) };
  },
  'node fetchV2 of two flags': () => {
    const client = node.initializeRemote('key', { serverUrl: url });
    return { ask: (user) => client.fetchV2(user, { flagKeys: ['dark-mode', 'checkout-redesign'] }) };
  },
  'node local': () => local({}),
  'node local, streaming': () => local({ streamUpdates: true, streamServerUrl: url }),
  'browser fetch': () => {
    const client = browser.initialize('key-fetch', { serverUrl: url, flagsServerUrl: url, instanceName: 'fetch', throwOnError: true });
    client.setUserProvider({ getUser: () => ({}) }); // not the defaults of a browser, which a snapshot does not know
    return { inTurn: true, ask: (user) => client.fetch(user).then(() => client.all()) };
  },
  'browser local': async () => {
    const client = browser.initialize('key-local', {
      serverUrl: url, flagsServerUrl: url, instanceName: 'local', fetchOnStart: false, pollOnStart: false, throwOnError: true,
    });
    client.setUserProvider({ getUser: () => ({}) });
    await client.start({ user_id: 'u' });
    return { inTurn: true, ask: (user) => (client.setUser(user), client.all()), stop: () => client.stop() };
  },
};

async function local(config) {
  const client = node.initializeLocal('key', {
    serverUrl: url, flagConfigPollingIntervalMillis: 60000,
    cohortSyncConfig: { apiKey: 'api', secretKey: 'secret', cohortServerUrl: url },
    ...config,
  });
  await client.start();
  return { ask: (user) => client.evaluateV2(structuredClone(user)), stop: () => client.stop() };
}

async function main() {
  const users = [];
  for await (const line of readline.createInterface({ input: process.stdin })) users.push(JSON.parse(line));
  for (const [name, start] of Object.entries(clients)) {
    const client = await start();
    const ask = async (i) => {
      const variants = await client.ask(users[i]);
      process.stdout.write(JSON.stringify({ client: name, user: i, variants }) + '\n');
    };
    const step = client.inTurn ? 1 : atOnce; // a browser has one user
    for (let i = 0; i < users.length; i += step) {
      await Promise.all(users.slice(i, i + step).map((_, j) => ask(i + j)));
    }
    client.stop?.();
  }
}

// The clients' timers would keep the process for seconds.
main().then(() => process.stdout.write('', () => process.exit(0))).catch((e) => {
  console.error(e);
  process.exit(1);
});
