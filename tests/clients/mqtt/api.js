// The API over MQTT, by mqtt.js: `node api.js SCENARIO PORT`.
'use strict';

const { VERSIONS, check, connect, equal, run, version } = require('./common');

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
