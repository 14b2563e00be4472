// From CONNECT to the end and what outlives it, by mqtt.js: `node sessions.js SCENARIO PORT`.
'use strict';

const { VERSIONS, check, connect, equal, fail, pause, run, until, version } = require('./common');

const texts = (messages) => messages.map((message) => message.text);

// Options of a client that keeps its session.
function lasting(number, clientId) {
  const properties = number === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {};
  return { ...version(number), clientId, clean: false, ...properties };
}

function will(text, more) {
  return { will: { topic: 'will/of/me', payload: text, qos: 1, retain: false, ...more } };
}

async function refused(port, options) {
  try {
    await connect(port, options);
  } catch (error) {
    return error.code;
  }
  return fail(`was not refused: ${JSON.stringify(options)}`);
}

run({
  async users(port) {
    for (const [number, bad] of [[3, 4], [4, 4], [5, 0x86]]) {
      for (const [username, password] of [[undefined, undefined], ['guest', 'guest'], ['/:guest', 'guest']]) {
        const client = await connect(port, { ...version(number), username, password });
        await client.publishAsync('users', 'x', { qos: 1 });
        await client.endAsync();
      }
      for (const [username, password] of [['guest', 'wrong'], ['nobody', 'guest'], ['nowhere:guest', 'guest']]) {
        equal(await refused(port, { ...version(number), username, password }), bad, `${username} of ${number}`);
      }
    }
  },

  async connack(port) {
    const client = await connect(port, { clientId: '', clean: true, keepalive: 600 });
    const told = client.connack.properties;
    check(told.assignedClientIdentifier.length > 8, 'an identifier of its own');
    equal(told.serverKeepAlive, 5, 'the keep alive of the settings');
    equal(told.receiveMaximum, 100, 'the receive maximum of the settings');
    equal(told.maximumQoS, undefined, 'all of QoS');
  },

  async keepAlive(port) {
    const silent = await connect(port, { keepalive: 1, reschedulePings: false });
    const started = Date.now();
    silent.keepaliveManager && silent.keepaliveManager.destroy();
    equal((await silent.received('disconnect')).reasonCode, 0x8d, 'the reason');
    check(Date.now() - started >= 1400, 'one and a half keep alives');
  },

  async wills(port) {
    const heir = await connect(port);
    await heir.subscribeAsync('will/#', { qos: 1 });
    for (const number of VERSIONS) {
      const lost = await connect(port, { ...version(number), ...will('lost') });
      await lost.lose();
      equal((await heir.next('a will')).text, 'lost', 'a client that is lost');
      const leaves = await connect(port, { ...version(number), ...will('leaves') });
      await leaves.endAsync();
      const first = await connect(port, { ...version(number), clientId: 'taken', ...will('taken') });
      const second = await connect(port, { ...version(number), clientId: 'taken' });
      equal((await heir.next('a will')).text, 'taken', 'a client whose identifier is taken over');
      await until('the end', () => !first.connected);
      if (number === 5) equal((await first.received('disconnect')).reasonCode, 0x8e, 'why');
      await second.endAsync();
    }
    const kept = await connect(port, will('kept', { retain: true }));
    await kept.lose();
    equal((await heir.next()).text, 'kept', 'a will to be retained');
    const late = await connect(port);
    await late.subscribeAsync('will/#', { qos: 1 });
    check((await late.next()).retain, 'a will that was retained');
    await late.publishAsync('will/of/me', '', { qos: 1, retain: true });
    equal((await heir.next()).text, '', 'its removal');
    const asks = await connect(port, will('asked for'));
    await asks.endAsync(false, { reasonCode: 4 });
    equal((await heir.next()).text, 'asked for', 'DISCONNECT with will');
  },

  async willDelay(port) {
    const heir = await connect(port);
    await heir.subscribeAsync('will/#', { qos: 1 });
    const options = { clientId: 'delays', clean: false, properties: { sessionExpiryInterval: 60 } };
    const delayed = (text) => will(text, { properties: { willDelayInterval: 2 } });
    await (await connect(port, { ...options, ...delayed('cancelled') })).lose();
    const back = await connect(port, { ...options, ...delayed('delayed') });
    await pause(3000);
    equal(heir.got, [], 'it came back in time');
    const lostAt = Date.now();
    await back.lose();
    equal((await heir.next()).text, 'delayed', 'it did not come back');
    check(Date.now() - lostAt >= 1900, 'the will waits');
  },

  async offline(port) {
    for (const number of VERSIONS) {
      const id = `offline-${number}`;
      const client = await connect(port, lasting(number, id));
      check(!client.connack.sessionPresent, 'no session yet');
      await client.subscribeAsync('offline/#', { qos: 2 });
      await client.endAsync();
      const publisher = await connect(port);
      const sent = [];
      for (const qos of [1, 2]) {
        for (let at = 0; at < 20; at++) {
          sent.push(`${qos} ${at}`);
          await publisher.publishAsync('offline/a', `${qos} ${at}`, { qos });
        }
      }
      const back = await connect(port, lasting(number, id));
      if (number > 3) check(back.connack.sessionPresent, 'the session is there');
      await until('what was missed', () => back.got.length >= sent.length);
      await back.caughtUp();
      equal(texts(back.got), sent, 'what was missed, in order');
      await back.endAsync();
      const anew = await connect(port, { ...version(number), clientId: id, clean: true });
      check(!anew.connack.sessionPresent, 'a clean start');
      await publisher.publishAsync('offline/a', 'x', { qos: 1 });
      await anew.caughtUp();
      equal(anew.got, [], 'its subscriptions are gone');
      await anew.endAsync();
    }
  },

  async redelivery(port) {
    for (const number of VERSIONS) {
      const id = `again-${number}`;
      const client = await connect(port, lasting(number, id));
      // Nothing is acknowledged.
      client.handleMessage = () => {};
      await client.subscribeAsync('again', { qos: 1 });
      const publisher = await connect(port);
      await publisher.publishAsync('again', 'first', { qos: 1 });
      const came = await client.received('publish');
      await client.lose();
      const back = await connect(port, lasting(number, id));
      const again = await back.received('publish');
      equal([again.payload.toString(), again.dup, again.messageId], ['first', true, came.messageId], 'again');
      await back.endAsync();
      const third = await connect(port, lasting(number, id));
      await third.caughtUp();
      equal(third.got, [], 'acknowledged');
      await third.endAsync();
      await (await connect(port, { ...version(number), clientId: id, clean: true })).endAsync();
    }
  },

  async sessionExpiry(port) {
    const options = { clientId: 'expires', clean: false, properties: { sessionExpiryInterval: 1 } };
    const client = await connect(port, options);
    await client.subscribeAsync('expires', { qos: 1 });
    await client.endAsync();
    await until('the end of the session', async () => {
      await pause(1500);
      const back = await connect(port, { ...options, properties: { sessionExpiryInterval: 0 } });
      const { sessionPresent } = back.connack;
      await back.endAsync();
      return !sessionPresent;
    });
  },

  async messageExpiry(port) {
    const client = await connect(port, lasting(5, 'late'));
    await client.subscribeAsync('expiry', { qos: 1 });
    await client.endAsync();
    const publisher = await connect(port);
    const expires = (messageExpiryInterval) => ({ qos: 1, properties: { messageExpiryInterval } });
    await publisher.publishAsync('expiry', 'soon', expires(1));
    await publisher.publishAsync('expiry', 'later', expires(100));
    await pause(2100);
    const back = await connect(port, lasting(5, 'late'));
    const message = await back.next();
    equal(message.text, 'later', 'what has expired is gone');
    const left = message.properties.messageExpiryInterval;
    check(left > 0 && left <= 98, `the time that is left: ${left}`);
  },

  // Leaves a session behind, for a server that starts again.
  async leave(port) {
    const client = await connect(port, lasting(5, 'restarts'));
    await client.subscribeAsync('restart/#', { qos: 2, properties: { subscriptionIdentifier: 9 } });
    await client.subscribeAsync('$share/group/shared', { qos: 1 });
    await client.endAsync();
    const publisher = await connect(port);
    for (const qos of [1, 2]) await publisher.publishAsync('restart/a', `before ${qos}`, { qos });
    await publisher.publishAsync('restart/kept', 'kept', { qos: 1, retain: true });
  },

  async comeBack(port) {
    const publisher = await connect(port);
    await publisher.subscribeAsync('restart/kept', { qos: 1 });
    equal((await publisher.next()).text, 'kept', 'the retained message');
    const client = await connect(port, lasting(5, 'restarts'));
    check(client.connack.sessionPresent, 'the session is there');
    // mqtt.js tells of a message of QoS 2 when it is released, which may be after a later one of QoS 1.
    await until('what was missed', () => client.got.length >= 3);
    await client.caughtUp();
    equal(texts(client.got).sort(), ['before 1', 'before 2', 'kept'], 'what was missed');
    client.got = [];
    await publisher.publishAsync('restart/b', 'after', { qos: 2 });
    const after = await client.next();
    equal([after.text, after.qos, after.properties.subscriptionIdentifier], ['after', 2, 9], 'the subscription');
    await publisher.publishAsync('shared', 'to the group', { qos: 1 });
    equal((await client.next()).text, 'to the group', 'the shared subscription');
  },

  // Is told that the server stops, and comes back by itself.
  async reconnect(port) {
    const client = await connect(port, { ...lasting(5, 'comes-back'), reconnectPeriod: 100 });
    await client.subscribeAsync('reconnect', { qos: 1 });
    console.log('connected');
    const goodbye = await client.received('disconnect');
    equal(goodbye.reasonCode, 0x8b, 'the goodbye');
    console.log('told');
    const connack = new Promise((done) => client.once('connect', done));
    check((await connack).sessionPresent, 'the session is there');
    await client.publishAsync('reconnect', 'x', { qos: 1 });
    equal((await client.next()).text, 'x', 'the subscription is there');
  },
});
