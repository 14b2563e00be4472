'use strict';
// node client.js VERSION polling|websocket|upgrade PORT REST: one version of the client over one transport, in Node.
const steps = require('./steps');
const rest = require('./rest');

const [version, transport, port, restAddress] = process.argv.slice(2);
const io = require(`socket.io-client-${version}`);

(async () => {
  const collection = `node-${version}-${transport}`;
  const options = { forceNew: true, reconnection: false, timeout: 20000 };
  if (transport !== 'upgrade') options.transports = [transport];
  const stored = await steps.run(io, {
    url: `http://127.0.0.1:${port}`,
    collection,
    options,
    transport: transport === 'polling' ? 'polling' : 'websocket',
    largeBytes: 900 * 1024,
    binary: Buffer.from([0, 1, 2, 250, 251, 255]),
  });
  const checked = restAddress ? await rest.check(restAddress, collection, stored) : 'no';
  console.log(`ok ${version} ${transport}: ${checked} documents compared over REST`);
  process.exit(0);
})().catch((error) => {
  console.error(`${version} ${transport}: ${error.stack || error}`);
  process.exit(1);
});
