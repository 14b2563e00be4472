// Messages from client to client, by mqtt.js: `node messages.js SCENARIO PORT`.
'use strict';

const { VERSIONS, check, connect, equal, run, until, version } = require('./common');

const texts = (messages) => messages.map((message) => message.text);

run({
  async qos(port) {
    for (const from of VERSIONS) {
      for (const to of VERSIONS) {
        const subscriber = await connect(port, { ...version(to), clientId: 'subscriber' });
        const publisher = await connect(port, { ...version(from), clientId: 'publisher' });
        const granted = await subscriber.subscribeAsync('qos/#', { qos: 2 });
        equal(granted.map((grant) => grant.qos), [2], 'granted');
        for (const qos of [0, 1, 2]) {
          const sent = Array.from({ length: 50 }, (_, at) => String(at));
          await Promise.all(sent.map((text) => publisher.publishAsync(`qos/${qos}`, text, { qos })));
          await until('all messages', () => subscriber.got.length >= sent.length);
          await subscriber.caughtUp();
          equal(texts(subscriber.got), sent, `${from} to ${to} with QoS ${qos}`);
          check(subscriber.got.every((message) => message.qos === qos && !message.dup), 'the QoS of the publisher');
          subscriber.got = [];
        }
        await subscriber.subscribeAsync('qos/#', { qos: 0 });
        await publisher.publishAsync('qos/x', 'lowered', { qos: 2 });
        equal((await subscriber.next()).qos, 0, 'the QoS of the subscription');
        await Promise.all([subscriber.endAsync(), publisher.endAsync()]);
      }
    }
  },

  async burst(port) {
    const [publisher, subscriber] = [await connect(port), await connect(port)];
    await subscriber.subscribeAsync('burst', { qos: 0 });
    const sent = Array.from({ length: 8000 }, (_, at) => String(at));
    publisher.stream.setMaxListeners(0);
    // All of it is written before this process reads again.
    await Promise.all(sent.map((text) => publisher.publishAsync('burst', text, { qos: 0 })));
    await until('all messages', () => subscriber.got.length >= sent.length);
    equal(texts(subscriber.got), sent, 'messages');
  },

  async topics(port) {
    const client = await connect(port, version(4));
    await client.subscribeAsync(['dots.a', 'one/+/three', 'all/#'], { qos: 0 });
    for (const [published, delivered] of [['dots/a', 'dots/a'], ['dots.a', 'dots/a'], ['one/two/three', 'one/two/three'],
      ['all', 'all'], ['all/a/b', 'all/a/b'], ['all//', 'all//']]) {
      await client.publishAsync(published, 'x', { qos: 1 });
      equal((await client.next(published)).topic, delivered, published);
    }
    await client.publishAsync('one/two/2/three', 'x', { qos: 1 });
    await client.publishAsync('$SYS/all', 'x', { qos: 1 });
    await client.caughtUp();
    equal(client.got, [], 'what matches nothing');
  },

  async retained(port) {
    for (const number of VERSIONS) {
      const publisher = await connect(port, version(number));
      await publisher.publishAsync('retained/a', 'one', { qos: 1, retain: true });
      await publisher.publishAsync('retained/b', 'two', { qos: 0, retain: true });
      await publisher.publishAsync('retained/a', 'passing', { qos: 1 });
      await publisher.caughtUp();
      for (const filter of ['retained/a', 'retained/+', 'retained/#', '#']) {
        const late = await connect(port, version(number));
        await late.subscribeAsync(filter, { qos: 1 });
        await until(filter, () => late.got.length >= (filter === 'retained/a' ? 1 : 2));
        await late.caughtUp();
        const found = late.got.filter((message) => message.topic.startsWith('retained/'));
        equal(texts(found).sort(), filter === 'retained/a' ? ['one'] : ['one', 'two'], filter);
        check(found.every((message) => message.retain), 'the retain flag');
        late.got = [];
        await publisher.publishAsync('retained/a', 'live', { qos: 1 });
        check(!(await late.next()).retain, 'a message that just came');
        await late.endAsync();
      }
      await publisher.publishAsync('retained/a', '', { qos: 1, retain: true });
      await publisher.publishAsync('retained/b', '', { qos: 1, retain: true });
      const late = await connect(port, version(number));
      await late.subscribeAsync('retained/#', { qos: 1 });
      await late.caughtUp();
      equal(late.got, [], 'what was removed');
    }
  },

  async retainOptions(port) {
    const publisher = await connect(port);
    await publisher.publishAsync('options/a', 'kept', { qos: 1, retain: true });
    const client = await connect(port);
    await client.subscribeAsync('options/a', { qos: 1, rh: 2 });
    await client.caughtUp();
    equal(client.got, [], 'retain handling 2');
    await client.unsubscribeAsync('options/a');
    await client.subscribeAsync('options/a', { qos: 1, rh: 1 });
    equal((await client.next()).text, 'kept', 'retain handling 1, new');
    await client.subscribeAsync('options/a', { qos: 1, rh: 1 });
    await client.caughtUp();
    equal(client.got, [], 'retain handling 1, not new');
    await client.subscribeAsync('options/a', { qos: 1, rh: 0, rap: true });
    equal((await client.next()).text, 'kept', 'retain handling 0');
    await publisher.publishAsync('options/a', 'again', { qos: 1, retain: true });
    check((await client.next()).retain, 'retain as published');
    await client.subscribeAsync('options/a', { qos: 1, rh: 2, rap: false });
    await publisher.publishAsync('options/a', 'again', { qos: 1, retain: true });
    check(!(await client.next()).retain, 'retain not as published');
    await publisher.publishAsync('options/a', '', { qos: 1, retain: true });
  },

  async shared(port) {
    const members = [];
    for (const at of [0, 1, 2]) {
      const member = await connect(port, version(at === 0 ? 4 : 5));
      const granted = await member.subscribeAsync('$share/workers/job/#', { qos: 1 });
      equal(granted[0].qos, 1, 'granted');
      members.push(member);
    }
    const all = await connect(port);
    await all.subscribeAsync('job/#', { qos: 1 });
    const publisher = await connect(port);
    const sent = Array.from({ length: 60 }, (_, at) => String(at));
    for (const text of sent) await publisher.publishAsync('job/x', text, { qos: 1 });
    const got = () => members.flatMap((member) => texts(member.got));
    await until('all jobs', () => got().length >= sent.length && all.got.length >= sent.length);
    equal(got().map(Number).sort((a, b) => a - b).map(String), sent, 'each job once');
    check(members.every((member) => member.got.length > 0), 'every member works');
    equal(texts(all.got), sent, 'others get all');
    await members[0].endAsync();
    await members[1].lose();
    members[2].got = [];
    for (const text of sent) await publisher.publishAsync('job/x', text, { qos: 1 });
    await until('the jobs of those who left', () => members[2].got.length >= sent.length);
    equal(texts(members[2].got), sent, 'one is left');
  },

  async properties(port) {
    const [publisher, subscriber, old] = [await connect(port), await connect(port), await connect(port, version(4))];
    for (const client of [subscriber, old]) await client.subscribeAsync('properties', { qos: 1 });
    const properties = {
      payloadFormatIndicator: true,
      contentType: 'text/plain',
      responseTopic: 'answers/here',
      correlationData: Buffer.from([0, 1, 255]),
      userProperties: { name: ['first', 'second'], other: 'third' },
    };
    await publisher.publishAsync('properties', 'x', { qos: 1, properties });
    const found = (await subscriber.next()).properties;
    for (const name of Object.keys(properties)) equal(found[name], properties[name], name);
    equal((await old.next()).text, 'x', 'a client of 3.1.1');
  },

  async aliases(port) {
    const publisher = await connect(port);
    check(publisher.connack.properties.topicAliasMaximum >= 2, 'aliases are offered');
    const subscriber = await connect(port, { properties: { topicAliasMaximum: 1 } });
    await subscriber.subscribeAsync('alias/#', { qos: 1 });
    for (const [topic, alias] of [['alias/a', 1], ['', 1], ['alias/b', 2], ['', 1], ['', 2], ['alias/c', 1], ['', 1]]) {
      await publisher.publishAsync(topic, 'x', { qos: 1, properties: { topicAlias: alias } });
    }
    const expected = ['alias/a', 'alias/a', 'alias/b', 'alias/a', 'alias/b', 'alias/c', 'alias/c'];
    await until('all messages', () => subscriber.got.length >= expected.length);
    equal(subscriber.got.map((message) => message.topic), expected, 'topics');
    const published = subscriber.packets.filter((packet) => packet.cmd === 'publish');
    const aliases = published.map((packet) => packet.properties && packet.properties.topicAlias);
    check(aliases.filter((alias) => alias === 1).length === 3, `the server uses the one alias that it may: ${aliases}`);
  },

  async subscriptionIdentifiers(port) {
    const client = await connect(port);
    const subscribe = (filter, subscriptionIdentifier) =>
      client.subscribeAsync(filter, { qos: 1, properties: { subscriptionIdentifier } });
    await subscribe('ids/+', 7);
    await subscribe('ids/#', 268435455);
    await client.subscribeAsync('ids/a', { qos: 1 });
    await client.publishAsync('ids/a', 'x', { qos: 1 });
    const identifiers = [(await client.next()).properties.subscriptionIdentifier].flat();
    equal(identifiers.sort((a, b) => a - b), [7, 268435455], 'all that matched');
    await subscribe('ids/+', 8);
    await client.unsubscribeAsync('ids/#');
    await client.publishAsync('ids/a', 'x', { qos: 1 });
    equal([(await client.next()).properties.subscriptionIdentifier].flat(), [8], 'as subscribed last');
    await client.caughtUp();
    equal(client.got, [], 'overlapping subscriptions bring one message');
  },

  async noLocal(port) {
    const [client, other] = [await connect(port), await connect(port)];
    await client.subscribeAsync('local', { qos: 1, nl: true });
    await client.publishAsync('local', 'mine', { qos: 1 });
    await other.publishAsync('local', 'theirs', { qos: 1 });
    equal((await client.next()).text, 'theirs', 'not its own');
  },

  async unsubscribe(port) {
    const client = await connect(port);
    await client.subscribeAsync(['un/a', 'un/b'], { qos: 1 });
    await client.unsubscribeAsync(['un/a', 'un/never']);
    equal((await client.received('unsuback')).granted, [0, 0x11], 'reason codes');
    await client.publishAsync('un/a', 'x', { qos: 1 });
    await client.publishAsync('un/b', 'y', { qos: 1 });
    equal((await client.next()).text, 'y', 'the other subscription');
  },

  async reasonCodes(port) {
    const client = await connect(port);
    await client.publishAsync('nobody/listens', 'x', { qos: 1 });
    equal((await client.received('puback')).reasonCode, 0x10, 'no matching subscribers');
    client.publish('nobody/listens', 'x', { qos: 2 });
    equal((await client.received('pubrec')).reasonCode, 0x10, 'no matching subscribers, QoS 2');
  },

  async requestResponse(port) {
    const [asker, responder] = [await connect(port), await connect(port)];
    await responder.subscribeAsync('ask/me', { qos: 1 });
    await asker.subscribeAsync('answers/asker', { qos: 1 });
    const correlationData = Buffer.from('42');
    await asker.publishAsync('ask/me', '6 * 7', { qos: 1, properties: { responseTopic: 'answers/asker', correlationData } });
    const question = await responder.next();
    await responder.publishAsync(question.properties.responseTopic, 'answer',
      { qos: 1, properties: { correlationData: question.properties.correlationData } });
    const answer = await asker.next();
    equal([answer.text, answer.properties.correlationData.toString()], ['answer', '42'], 'the answer');
  },

  async packetSizes(port) {
    const small = await connect(port, { properties: { maximumPacketSize: 200 } });
    await small.subscribeAsync('sizes', { qos: 1 });
    const publisher = await connect(port);
    await publisher.publishAsync('sizes', 'x'.repeat(300), { qos: 1 });
    await publisher.publishAsync('sizes', 'fits', { qos: 1 });
    equal((await small.next()).text, 'fits', 'what is too large is left out');
    check(publisher.connack.properties.maximumPacketSize === 16777216, 'the limit of the server is told');
    const large = 'y'.repeat(5000000);
    await publisher.subscribeAsync('large', { qos: 2 });
    await publisher.publishAsync('large', large, { qos: 2 });
    check((await publisher.next()).text === large, 'five million bytes');
  },
});
