'use strict';
// node reconnect.js VERSION TRANSPORT PORT: connects, then says on stdout what happens: `connected`, `disconnected`, and
// `answered` once a request after the reconnection has its answer, which ends it.
const steps = require('./steps');

const [version, transport, port] = process.argv.slice(2);
const io = require(`socket.io-client-${version}`);

const options = { forceNew: true, reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 };
if (transport !== 'upgrade') options.transports = [transport];
const socket = io(`http://127.0.0.1:${port}`, options);
const settled = transport === 'polling' ? 'polling' : 'websocket';
let disconnected = false;

function whenSettled(then) {
  if (socket.io.engine.transport.name === settled && !socket.io.engine.upgrading) return then();
  setTimeout(whenSettled, 20, then);
}

socket.on('connect', () => whenSettled(async () => {
  const answer = await steps.request(socket, { controller: 'read', action: 'now' });
  steps.equal(answer.status, 200, 'status of read.now');
  console.log(disconnected ? 'answered' : 'connected');
  if (disconnected) process.exit(0);
}));
socket.on('disconnect', (reason) => {
  disconnected = true;
  console.log(`disconnected ${reason}`);
});
process.on('unhandledRejection', (error) => {
  console.error(`${version}: ${error.stack || error}`);
  process.exit(1);
});
setTimeout(() => {
  console.error(`${version}: not reconnected in time`);
  process.exit(1);
}, 90000);
