// What the scripts share: clients of mqtt.js that remember what they got, and patience.
'use strict';

const mqtt = require('mqtt');

const PATIENCE_MS = 30000;
const VERSIONS = [3, 4, 5];

function fail(what) { throw new Error(what); }

function check(holds, what) { if (!holds) fail(what); }

function equal(found, expected, what) {
  const a = JSON.stringify(found), b = JSON.stringify(expected);
  if (a !== b) fail(`${what}: found ${a}, expected ${b}`);
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// Looks again until `look` finds something.
async function until(what, look) {
  const started = Date.now();
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() - started > PATIENCE_MS) fail(`waited in vain for ${what}`);
    await pause(5);
  }
}

// Which version a client speaks, with what it needs for that.
function version(number) {
  return { protocolVersion: number, protocolId: number === 3 ? 'MQIsdp' : 'MQTT' };
}

// Connects; the client keeps its messages in `got` and its packets in `packets`, and does not come back by itself.
async function connect(port, options) {
  const client = mqtt.connect(`mqtt://127.0.0.1:${port}`,
    { ...version(5), reconnectPeriod: 0, connectTimeout: PATIENCE_MS, ...options });
  client.got = [];
  client.packets = [];
  client.on('message', (topic, payload, packet) => {
    client.got.push({ topic, text: payload.toString(), qos: packet.qos, retain: packet.retain, dup: packet.dup,
      properties: packet.properties });
  });
  client.on('packetreceive', (packet) => client.packets.push(packet));
  await new Promise((resolve, reject) => {
    client.once('connect', (connack) => { client.connack = connack; resolve(); });
    client.once('error', reject);
    client.once('close', () => reject(new Error('closed before CONNACK')));
  });
  client.on('error', () => {});
  client.next = async (what) => {
    await until(what || 'a message', () => client.got.length > 0);
    return client.got.shift();
  };
  client.received = (cmd) => until(cmd, () => client.packets.find((packet) => packet.cmd === cmd));
  // As a cable that is pulled: no DISCONNECT.
  client.lose = async () => {
    const closed = new Promise((done) => client.once('close', done));
    client.stream.destroy();
    await closed;
  };
  // What was sent before has come: a message to itself comes after it.
  client.caughtUp = async () => {
    const topic = `caught-up/${Math.floor(Math.random() * 1e9)}`;
    await client.subscribeAsync(topic, { qos: 0 });
    await client.publishAsync(topic, 'now', { qos: 1 });
    await until('its own message', () => client.got.some((message) => message.topic === topic));
    client.got = client.got.filter((message) => message.topic !== topic);
    await client.unsubscribeAsync(topic);
  };
  return client;
}

// Runs the scenario that the command line names.
async function run(scenarios) {
  const [name, port, ...more] = process.argv.slice(2);
  check(scenarios[name], `no scenario ${name}`);
  setTimeout(() => { console.error(`${name} hangs`); process.exit(1); }, 4 * PATIENCE_MS).unref();
  try {
    await scenarios[name](Number(port), ...more);
    console.log(`ok ${name}`);
    process.exit(0);
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
}

module.exports = { mqtt, VERSIONS, check, connect, equal, fail, pause, run, until, version };
