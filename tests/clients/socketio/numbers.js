// Numbered requests over socket.io, by socket.io-client 1.3.7, until a signal comes: `node numbers.js PORT`. One connection
// that must hold; each number is written into a document and, when it is answered, printed.
'use strict';

const io = require('socket.io-client-1.3.7');
const steps = require('./steps');

const [port] = process.argv.slice(2);

let stopping = false;
process.on('SIGTERM', () => { stopping = true; });

function disturbed(why) {
  console.log(`disturbed: ${why}`);
  process.exit(1);
}

(async () => {
  const options = { transports: ['websocket'], forceNew: true, reconnection: false };
  const socket = await steps.open(io, `http://127.0.0.1:${port}`, options);
  socket.on('disconnect', (why) => stopping || disturbed(`the connection was closed: ${why}`));
  for (let number = 1; ; number += 1) {
    const answer = await steps.request(socket, steps.create('numbers', String(number % 50), { number }));
    if (answer.status !== 200 || answer.result._source.number !== number) disturbed(JSON.stringify(answer));
    console.log(number);
    if (stopping) break;
  }
  socket.disconnect();
  process.exit(0);
})().catch(disturbed);
