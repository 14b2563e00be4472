// Numbered messages over STOMP, by stompit, until a signal comes: `node numbers.js send PORT` or
// `node numbers.js keep PORT SENDER`.
//
// send: one connection that must hold. Each number is sent, persistent and with a receipt, to a queue of its own, whence it
//       must come back, and to `/topic/numbers.stomp` for others; then it is printed.
// keep: a durable subscription of `/topic/numbers.<sender>` whose client comes back as often as it is sent away. It prints
//       each number, and fails when one is missing or comes twice without being marked as redelivered.
'use strict';

const stompit = require('stompit');

const [mode, port, sender] = process.argv.slice(2);
const options = { host: '127.0.0.1', port: Number(port), connectHeaders: { host: '/' } };
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

let stopping = false;
process.on('SIGTERM', () => { stopping = true; });

function disturbed(why) {
  console.log(`disturbed: ${why}`);
  process.exit(1);
}

function connect() {
  return new Promise((resolve, reject) => {
    stompit.connect(options, (error, client) => (error ? reject(error) : resolve(client)));
  });
}

function read(message) {
  return new Promise((resolve, reject) => {
    message.readString('utf-8', (error, text) => (error ? reject(error) : resolve(Number(text))));
  });
}

function publish(client, destination, number) {
  return new Promise((resolve) => {
    const frame = client.send({ destination, persistent: 'true' }, { onReceipt: resolve });
    frame.write(String(number));
    frame.end();
  });
}

async function send() {
  const client = await connect();
  client.on('error', (error) => stopping || disturbed(error));
  let arrived;
  client.subscribe({ destination: '/queue/numbers-own', ack: 'auto' }, async (error, message) => {
    if (error) return stopping || disturbed(error);
    return arrived(await read(message));
  });
  for (let number = 1; ; number += 1) {
    const back = new Promise((resolve) => { arrived = resolve; });
    await Promise.all([publish(client, '/queue/numbers-own', number), publish(client, '/topic/numbers.stomp', number)]);
    const found = await back;
    if (found !== number) disturbed(`${found} came for ${number}`);
    console.log(number);
    if (stopping) break;
  }
  client.disconnect(() => process.exit(0));
}

async function keep() {
  // Nobody can listen to the frame in which it reads the server's ERROR, and which fails with what it reads.
  process.on('uncaughtException', (error) => {
    if (!/connection_forced/.test(error.message)) disturbed(error.stack);
  });
  let last = 0;
  while (!stopping) {
    let client;
    try {
      client = await connect();
    } catch {
      await pause(5);
      continue;
    }
    const over = new Promise((resolve) => {
      client.on('error', resolve);
      client.on('close', resolve);
    });
    const headers = { destination: `/topic/numbers.${sender}`, id: 'numbers', durable: 'true', 'auto-delete': 'false',
      ack: 'client-individual' };
    client.subscribe(headers, async (error, message) => {
      if (error) return;
      // What is being read when the connection ends says so by itself.
      message.on('error', () => {});
      try {
        const redelivered = message.headers.redelivered === 'true';
        const number = await read(message);
        if (number === last + 1) {
          last = number;
          console.log(number);
        } else if (!(number <= last && redelivered)) {
          disturbed(`${number} came after ${last}`);
        }
        client.ack(message);
      } catch {
        // Sent away in the midst of it.
      }
    });
    // Its receipt comes behind the subscription.
    publish(client, '/topic/attached', 0).then(() => console.log('attached'));
    await over;
  }
}

({ send, keep })[mode]().catch(disturbed);
