// Numbered messages over AMQP, by amqplib, until a signal comes: `node numbers.js send PORT` or
// `node numbers.js keep PORT SENDER`.
//
// send: one connection that must hold. Each number is published, persistent and confirmed, to a queue of its own, whence
//       it must come back, and to the key `numbers.amqp` for others; then it is printed.
// keep: a durable queue bound to `numbers.<sender>` whose consumer comes back as often as it is sent away. It prints each
//       number, and fails when one is missing or comes twice without being marked as redelivered.
'use strict';

const amqp = require('amqplib-2.3.1');

const [mode, port, sender] = process.argv.slice(2);
const url = `amqp://guest:guest@127.0.0.1:${port}`;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

let stopping = false;
process.on('SIGTERM', () => { stopping = true; });

function disturbed(why) {
  console.log(`disturbed: ${why}`);
  process.exit(1);
}

async function send() {
  const connection = await amqp.connect(url);
  connection.on('error', (error) => disturbed(error));
  connection.on('close', () => stopping || disturbed('the connection was closed'));
  const channel = await connection.createConfirmChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  let arrived;
  await channel.consume(queue, (message) => {
    channel.ack(message);
    arrived(Number(message.content));
  });
  const persistent = { deliveryMode: 2 };
  for (let number = 1; ; number += 1) {
    const back = new Promise((resolve) => { arrived = resolve; });
    channel.sendToQueue(queue, Buffer.from(String(number)), persistent);
    channel.publish('amq.topic', 'numbers.amqp', Buffer.from(String(number)), persistent);
    await channel.waitForConfirms();
    const found = await back;
    if (found !== number) disturbed(`${found} came for ${number}`);
    console.log(number);
    if (stopping) break;
  }
  await connection.close();
}

async function keep() {
  const queue = 'numbers';
  let last = 0;
  while (!stopping) {
    let connection;
    try {
      connection = await amqp.connect(url, { timeout: 5000 });
    } catch {
      await pause(5);
      continue;
    }
    const over = new Promise((resolve) => {
      connection.on('close', resolve);
      connection.on('error', () => {});
    });
    try {
      const channel = await connection.createChannel();
      channel.on('error', (error) => console.log(`channel: ${error.message}`));
      await channel.assertQueue(queue, { durable: true });
      await channel.bindQueue(queue, 'amq.topic', `numbers.${sender}`);
      await channel.prefetch(20);
      await channel.consume(queue, (message) => {
        if (message === null) return;
        const number = Number(message.content);
        if (number === last + 1) {
          last = number;
          console.log(number);
        } else if (!(number <= last && message.fields.redelivered)) {
          disturbed(`${number} came after ${last}`);
        }
        channel.ack(message);
      });
      console.log('attached');
    } catch {
      // Sent away in the midst of it.
    }
    await over;
  }
}

({ send, keep })[mode]().catch(disturbed);
