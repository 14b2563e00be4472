// Numbered messages over MQTT, by mqtt.js, until a signal comes: `node numbers.js send PORT` or
// `node numbers.js keep PORT SENDER`.
//
// send: one connection that must hold. Each number is published with QoS 1 to a topic of its own, whence it must come
//       back, and to `numbers/mqtt` for others; then it is printed.
// keep: a session that lasts, with QoS 1 on `numbers/<sender>`, whose client comes back as often as it is sent away. It
//       prints each number, and fails when one is missing or comes twice without being marked as a duplicate.
'use strict';

const { mqtt, version } = require('./common');

const [mode, port, sender] = process.argv.slice(2);
const url = `mqtt://127.0.0.1:${port}`;

let stopping = false;
process.on('SIGTERM', () => { stopping = true; });

function disturbed(why) {
  console.log(`disturbed: ${why}`);
  process.exit(1);
}

async function send() {
  const client = mqtt.connect(url, { ...version(4), clientId: 'sender', reconnectPeriod: 0 });
  await new Promise((resolve) => client.once('connect', resolve));
  client.on('error', disturbed);
  client.on('close', () => stopping || disturbed('the connection was closed'));
  let arrived;
  client.on('message', (topic, payload) => arrived(Number(payload)));
  await client.subscribeAsync('numbers/own', { qos: 1 });
  for (let number = 1; ; number += 1) {
    const back = new Promise((resolve) => { arrived = resolve; });
    await client.publishAsync('numbers/own', String(number), { qos: 1 });
    await client.publishAsync('numbers/mqtt', String(number), { qos: 1 });
    const found = await back;
    if (found !== number) disturbed(`${found} came for ${number}`);
    console.log(number);
    if (stopping) break;
  }
  await client.endAsync();
}

async function keep() {
  const client = mqtt.connect(url, { ...version(4), clientId: 'keeper', clean: false, reconnectPeriod: 5 });
  let last = 0;
  client.on('connect', async () => {
    try {
      await client.subscribeAsync(`numbers/${sender}`, { qos: 1 });
      console.log('attached');
    } catch {
      // Sent away in the midst of it.
    }
  });
  client.on('error', () => {});
  client.on('message', (topic, payload, packet) => {
    const number = Number(payload);
    if (number === last + 1) {
      last = number;
      console.log(number);
    } else if (!(number <= last && packet.dup)) {
      disturbed(`${number} came after ${last}`);
    }
  });
  await new Promise((resolve) => process.on('SIGTERM', resolve));
  await client.endAsync(true);
}

({ send, keep })[mode]().catch(disturbed);
