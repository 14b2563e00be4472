// The API over MQTT, by mqtt.js: `node api.js SCENARIO PORT`.
'use strict';

const { VERSIONS, check, connect, equal, run, until, version } = require('./common');

const json = (message) => JSON.parse(message.text);

function ask(client, request, options) {
  return client.publishAsync('kuzzle', JSON.stringify(request), { qos: 1, ...options });
}

run({
  async answers(port) {
    for (const number of VERSIONS) {
      const client = await connect(port, { ...version(number), clientId: `device-${number}` });
      // Both spellings, and the client identifier of CONNECT where the request has none.
      for (const [filter, id] of [['mqtt/{}', 'one'], ['mqtt.{}', 'two'], ['mqtt/{}', undefined]]) {
        const key = id || `device-${number}`;
        await client.subscribeAsync(filter.replace('{}', key), { qos: 1 });
        await ask(client, { clientId: id, controller: 'read', action: 'now', requestId: `r-${key}` });
        const answer = await client.next(`the answer to ${key}`);
        equal(answer.topic, `mqtt/${key}`, 'where it came');
        equal([json(answer).status, json(answer).requestId], [200, `r-${key}`], 'the answer');
        await client.unsubscribeAsync(filter.replace('{}', key));
      }
      await client.endAsync();
    }
  },

  async errors(port) {
    const client = await connect(port, { clientId: 'wrong' });
    await client.subscribeAsync('mqtt/wrong', { qos: 1 });
    await ask(client, { controller: 'no such', action: 'thing', requestId: 'r' });
    const answer = json(await client.next());
    check(answer.status >= 400 && answer.error.message && answer.requestId === 'r', JSON.stringify(answer));
    await client.publishAsync('kuzzle', 'this is no JSON', { qos: 1 });
    check(json(await client.next()).status === 400, 'something that is no request');
  },

  async responseTopic(port) {
    const client = await connect(port, { clientId: 'asks' });
    await client.subscribeAsync('answers/here', { qos: 1 });
    const properties = { responseTopic: 'answers/here', correlationData: Buffer.from('seven') };
    await ask(client, { controller: 'read', action: 'now' }, { properties });
    const answer = await client.next();
    equal([answer.topic, json(answer).status], ['answers/here', 200], 'the answer');
    equal(answer.properties.correlationData.toString(), 'seven', 'its correlation data');
  },

  async realtime(port) {
    const watcher = await connect(port, { clientId: 'watcher' });
    await watcher.subscribeAsync('mqtt/watcher', { qos: 1 });
    const request = (controller, action, body) =>
      ({ index: 'index', collection: 'collection', controller, action, body });
    const writer = await connect(port, { clientId: 'writer' });
    await writer.subscribeAsync('mqtt/writer', { qos: 1 });
    await ask(writer, { ...request('write', 'createOrReplace', { name: 'x' }), _id: 'first' });
    equal(json(await writer.next()).status, 200, 'a document');
    await ask(watcher, request('subscribe', 'on', { equals: { name: 'Ada' } }));
    const room = json(await watcher.next()).result;
    check(room.channel && room.roomId, JSON.stringify(room));
    await watcher.subscribeAsync(room.channel, { qos: 1 });
    await ask(writer, { ...request('write', 'createOrReplace', { name: 'Ada' }), _id: 'second' });
    equal(json(await writer.next()).status, 200, 'another');
    const told = await until('the notification', () => watcher.got.find((message) => message.topic !== 'mqtt/watcher'));
    equal(JSON.parse(told.text).result._id, 'second', 'the notification');
  },

  // Reserved for the host: nobody else answers in its name, or listens to what others ask.
  async reserved(port) {
    const eavesdropper = await connect(port, { clientId: 'ear' });
    for (const filter of ['#', '+', 'kuzzle', 'mqtt/+']) await eavesdropper.subscribeAsync(filter, { qos: 1 });
    const victim = await connect(port, { clientId: 'victim' });
    await victim.subscribeAsync('mqtt/victim', { qos: 1 });
    await ask(victim, { controller: 'read', action: 'now' });
    equal(json(await victim.next()).status, 200, 'the answer');
    await eavesdropper.caughtUp();
    equal(eavesdropper.got, [], 'what others ask and are answered');
    await eavesdropper.publishAsync('mqtt/victim', 'forged', { qos: 1 }).catch(() => {});
    await victim.caughtUp();
    equal(victim.got, [], 'an answer that is none');
  },
});
