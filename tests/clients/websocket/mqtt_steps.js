// What mqtt.js does over a WebSocket, in Node and in a page alike.
(function (root, make) {
  if (typeof module === 'object' && module.exports) module.exports = make();
  else root.mqttSteps = make();
})(this, function () {
  'use strict';

  const PATIENCE_MS = 30000;
  const LARGE_BYTES = 700 * 1024;

  function check(holds, what) { if (!holds) throw new Error(what); }

  function within(promise, what) {
    return Promise.race([promise, new Promise((_, reject) => {
      setTimeout(() => reject(new Error(`${what}: nothing after ${PATIENCE_MS} ms`)), PATIENCE_MS);
    })]);
  }

  async function connect(mqtt, url, version, more) {
    const client = mqtt.connect(url, {
      protocolVersion: version, protocolId: version === 3 ? 'MQIsdp' : 'MQTT', reconnectPeriod: 0, connectTimeout: PATIENCE_MS,
      ...more,
    });
    client.got = [];
    client.waiting = [];
    client.on('message', (topic, payload, packet) => {
      const message = { topic, payload, qos: packet.qos };
      const waiting = client.waiting.shift();
      if (waiting) waiting(message);
      else client.got.push(message);
    });
    client.next = (what) => within(
      client.got.length ? Promise.resolve(client.got.shift()) : new Promise((done) => client.waiting.push(done)), what);
    await within(new Promise((resolve, reject) => {
      client.once('connect', resolve);
      client.once('error', reject);
      client.once('close', () => reject(new Error('closed before CONNACK')));
    }), 'CONNACK');
    client.on('error', () => {});
    return client;
  }

  // Resolves with what was done, in a line.
  async function run(mqtt, url, more) {
    let count = 0;
    for (const version of [3, 4, 5]) {
      const name = `ws-${version}-${Math.random().toString(36).slice(2)}`;
      const client = await connect(mqtt, url, version, { clientId: name, ...more });
      await client.subscribeAsync(`${name}/#`, { qos: 2 });
      for (const qos of [0, 1, 2]) {
        await client.publishAsync(`${name}/small`, `héllo ${qos}`, { qos });
        const small = await client.next(`a message of QoS ${qos}`);
        check(small.payload.toString() === `héllo ${qos}` && small.qos === qos, `a message of QoS ${qos}`);
        count += 1;
      }
      const large = new Uint8Array(LARGE_BYTES).map((_, at) => (at * 31) % 251);
      await client.publishAsync(`${name}/large`, typeof Buffer === 'undefined' ? large : Buffer.from(large), { qos: 1 });
      const back = await client.next('a large message');
      check(back.payload.length === large.length, `a large message of ${back.payload.length} bytes`);
      check(large.every((byte, at) => back.payload[at] === byte), 'the bytes of a large message');
      for (let at = 0; at < 500; at += 1) client.publish(`${name}/many`, String(at), { qos: 0 });
      for (let at = 0; at < 500; at += 1) {
        const one = await client.next(`message ${at} of many`);
        check(one.payload.toString() === String(at), `message ${at} of many is ${one.payload}`);
      }
      await client.subscribeAsync(`mqtt/${name}`, { qos: 1 });
      await client.publishAsync('kuzzle', JSON.stringify({ clientId: name, controller: 'read', action: 'now' }), { qos: 1 });
      const answer = JSON.parse((await client.next('the answer to a request')).payload.toString());
      check(answer.status === 200, `the answer ${JSON.stringify(answer)}`);
      const closed = new Promise((done) => client.once('close', done));
      await client.endAsync();
      await within(closed, 'the end');
      count += 502;
    }
    return `${count} messages`;
  }

  return { connect, run };
});
