'use strict';
// node ask.js VERSION PORT REQUEST: sends one request, a JSON text, and prints its response.
const steps = require('./steps');

const [version, port, request] = process.argv.slice(2);
const io = require(`socket.io-client-${version}`);

(async () => {
  const socket = await steps.open(io, `http://127.0.0.1:${port}`, { forceNew: true, reconnection: false });
  const response = await steps.request(socket, JSON.parse(request));
  console.log(JSON.stringify(response));
  process.exit(0);
})().catch((error) => {
  console.error(`${version}: ${error.stack || error}`);
  process.exit(1);
});
