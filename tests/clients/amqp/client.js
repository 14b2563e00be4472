'use strict';
// node client.js VERSION PORT: one version of amqplib.
const assert = require('assert');

const [version, port] = process.argv.slice(2);
const amqp = require(`amqplib-${version}`);
const prefix = `node-${version}-`;
const url = `amqp://guest:guest@127.0.0.1:${port}`;

const DEADLINE = setTimeout(() => {
  console.error('it took too long');
  process.exit(1);
}, 120000);

// Waits until `ask` gives something.
async function until(what, ask) {
  for (let tries = 0; tries < 600; tries += 1) {
    const found = await ask();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited for ${what} in vain`);
}

// The channel is closed with this code and text, and the connection goes on. A connection of its own: 0.4 uses the number
// of a closed channel again before it has agreed to the end.
async function refuses(code, text, action) {
  const connection = await amqp.connect(url);
  const [other, channel] = [await connection.createChannel(), await connection.createChannel()];
  const closed = new Promise((resolve) => channel.on('error', resolve));
  Promise.resolve(action(channel)).catch(() => {});
  const error = await closed;
  assert.ok(error.message.includes(`${code} (`) && error.message.includes(text), error.message);
  await other.checkExchange('amq.direct');
  await connection.close();
}

// The connection is closed with this code and text.
async function breaks(code, text, action) {
  const connection = await amqp.connect(url);
  const closed = new Promise((resolve) => connection.on('error', resolve));
  const channel = await connection.createChannel();
  channel.on('error', () => {});
  Promise.resolve(action(channel)).catch(() => {});
  const error = await closed;
  assert.ok(error.message.includes(`${code} (`) && error.message.includes(text), error.message);
}

async function confirmed(connection, action) {
  const channel = await connection.createConfirmChannel();
  const returned = [];
  channel.on('return', (message) => returned.push(message));
  await action(channel);
  await channel.waitForConfirms();
  await channel.close();
  return returned;
}

async function drain(channel, queue) {
  const bodies = [];
  for (let message = await channel.get(queue, { noAck: true }); message; message = await channel.get(queue, { noAck: true })) {
    bodies.push(message.content.toString());
  }
  return bodies;
}

async function queues(connection) {
  const channel = await connection.createChannel();
  const made = await channel.assertQueue('', { exclusive: true });
  assert.match(made.queue, /^amq\.gen-.{22}$/);
  const queue = `${prefix}q`;
  await channel.assertQueue(queue, { durable: false });
  await confirmed(connection, (other) => {
    for (let number = 0; number < 3; number += 1) other.sendToQueue(queue, Buffer.from(String(number)));
  });
  assert.deepStrictEqual(await channel.checkQueue(queue), { queue, messageCount: 3, consumerCount: 0 });
  const first = await channel.get(queue, {});
  assert.strictEqual(first.fields.messageCount, 2);
  channel.nack(first);
  const again = await channel.get(queue, {});
  assert.strictEqual(again.content.toString(), '0');
  assert.ok(again.fields.redelivered);
  channel.ack(again);
  assert.deepStrictEqual(await channel.purgeQueue(queue), { messageCount: 2 });
  assert.strictEqual(await channel.get(queue, {}), false);
  assert.deepStrictEqual(await channel.deleteQueue(queue), { messageCount: 0 });
  await channel.close();
}

async function publishes(connection) {
  const queue = `${prefix}publishes`;
  const channel = await connection.createChannel();
  await channel.assertQueue(queue);
  const properties = {
    contentType: 'text/plain', headers: { deep: { list: [1, 'two', true, null] } }, deliveryMode: 2, priority: 3,
    correlationId: 'c', replyTo: 'r', messageId: 'm', timestamp: 1700000000, type: 't', appId: 'a',
  };
  // The largest takes many frames of the least size, which 0.4 asks for.
  const sizes = [0, 1, 4088, 4089, 300000];
  const returned = await confirmed(connection, (other) => {
    for (const size of sizes) other.sendToQueue(queue, Buffer.alloc(size, 7), properties);
    other.publish('', `${prefix}nowhere`, Buffer.from('back'), { ...properties, mandatory: true });
  });
  for (const size of sizes) {
    const message = await channel.get(queue, { noAck: true });
    assert.ok(message.content.equals(Buffer.alloc(size, 7)), `${size} bytes`);
    for (const name of Object.keys(properties)) assert.deepStrictEqual(message.properties[name], properties[name], name);
  }
  assert.strictEqual(returned.length, 1);
  const [{ fields, content, properties: same }] = returned;
  assert.deepStrictEqual([fields.replyCode, fields.replyText, fields.routingKey], [312, 'NO_ROUTE', `${prefix}nowhere`]);
  assert.deepStrictEqual([content.toString(), same.correlationId], ['back', 'c']);
  await channel.deleteQueue(queue);

  await channel.assertQueue(queue, { arguments: { 'x-max-length': 1, 'x-overflow': 'reject-publish' } });
  const full = await connection.createConfirmChannel();
  const answers = [];
  for (let number = 0; number < 3; number += 1) {
    full.sendToQueue(queue, Buffer.from('x'), {}, (error) => { answers[number] = Boolean(error); });
  }
  await until('three answers', () => answers.filter((answer) => answer !== undefined).length === 3);
  assert.deepStrictEqual(answers, [false, true, true]);
  await full.close();
  await channel.deleteQueue(queue);
  await channel.close();
}

async function consumers(connection) {
  const queue = `${prefix}consumers`;
  const channel = await connection.createChannel();
  await channel.assertQueue(queue);
  await confirmed(connection, (other) => {
    for (let number = 0; number < 10; number += 1) other.sendToQueue(queue, Buffer.from(String(number)));
  });
  const seen = [];
  await channel.prefetch(4);
  const { consumerTag } = await channel.consume(queue, (message) => seen.push(message));
  assert.match(consumerTag, /^amq\.ctag-.{22}$/);
  const bodies = () => seen.map((message) => message && message.content.toString()).join('');
  await until('four deliveries', () => seen.length >= 4);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.strictEqual(bodies(), '0123');
  channel.ack(seen[1], true);
  await until('two more', () => seen.length >= 6);
  channel.nack(seen[2], false, true);
  await until('the one that comes again', () => seen.length >= 7);
  assert.strictEqual(bodies(), '0123452');
  assert.ok(seen[6].fields.redelivered);
  channel.reject(seen[6], false);
  await until('the next', () => seen.length >= 8);
  await channel.cancel(consumerTag);
  await channel.recover();
  await channel.close();
  const other = await connection.createChannel();
  assert.strictEqual((await drain(other, queue)).join(''), '3456789');
  const gone = [];
  await other.consume(queue, (message) => gone.push(message));
  await (await connection.createChannel()).deleteQueue(queue);
  await until('the consumer to be cancelled', () => gone.length === 1);
  assert.strictEqual(gone[0], null);
  await other.close();
}

async function exchanges(connection) {
  const channel = await connection.createChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  const routed = async (exchange, key, headers) => {
    await confirmed(connection, (other) => other.publish(exchange, key, Buffer.from('x'), { headers }));
    return (await drain(channel, queue)).length;
  };
  const kinds = [
    ['direct', 'a', {}, [['a', {}, 1], ['b', {}, 0]]],
    ['fanout', '', {}, [['b', {}, 1]]],
    ['topic', '*.b.#', {}, [['a.b', {}, 1], ['a.b.c.d', {}, 1], ['b', {}, 0]]],
    ['headers', '', { 'x-match': 'all', one: 1 }, [['', { one: 1, two: 2 }, 1], ['', { one: '1' }, 0]]],
  ];
  for (const [kind, pattern, binding, messages] of kinds) {
    const exchange = prefix + kind;
    await channel.assertExchange(exchange, kind, { durable: false });
    await channel.checkExchange(exchange);
    await channel.bindQueue(queue, exchange, pattern, binding);
    for (const [key, headers, number] of messages) {
      assert.strictEqual(await routed(exchange, key, headers), number, `${kind} ${key}`);
    }
    await channel.unbindQueue(queue, exchange, pattern, binding);
    const [[key, headers]] = messages;
    assert.strictEqual(await routed(exchange, key, headers), 0, `${kind} without its binding`);
    await channel.deleteExchange(exchange);
  }
  const [source, target] = [`${prefix}source`, `${prefix}target`];
  await channel.assertExchange(source, 'direct', { autoDelete: true });
  await channel.assertExchange(target, 'fanout', { internal: true });
  await channel.bindExchange(target, source, 'key');
  await channel.bindQueue(queue, target, '');
  assert.strictEqual(await routed(source, 'key'), 1);
  await channel.unbindExchange(target, source, 'key');
  await channel.deleteExchange(target);
  await channel.close();
  await refuses(404, `NOT_FOUND - no exchange '${source}' in vhost '/'`, (other) => other.checkExchange(source));
}

async function directReplies(connection) {
  const channel = await connection.createChannel();
  const queue = `${prefix}service`;
  await channel.assertQueue(queue);
  const answers = [];
  await channel.consume('amq.rabbitmq.reply-to', (message) => answers.push(message), { noAck: true });
  await channel.consume(queue, (message) => {
    // None: the queue is gone.
    if (!message) return;
    assert.match(message.properties.replyTo, /^amq\.rabbitmq\.reply-to\./);
    channel.sendToQueue(message.properties.replyTo, Buffer.from('answer'), { correlationId: message.properties.correlationId });
    channel.ack(message);
  });
  channel.sendToQueue(queue, Buffer.from('question'), { replyTo: 'amq.rabbitmq.reply-to', correlationId: 'one' });
  await until('the answer', () => answers.length);
  assert.deepStrictEqual([answers[0].content.toString(), answers[0].properties.correlationId], ['answer', 'one']);
  await channel.deleteQueue(queue);
  await channel.close();
}

async function errors() {
  const missing = `${prefix}missing`;
  const noQueue = `NOT_FOUND - no queue '${missing}' in vhost '/'`;
  await refuses(404, noQueue, (channel) => channel.checkQueue(missing));
  await refuses(404, noQueue, (channel) => channel.bindQueue(missing, 'amq.direct', ''));
  await refuses(404, `NOT_FOUND - no exchange '${missing}' in vhost '/'`,
    (channel) => channel.publish(missing, '', Buffer.from('x')));
  await refuses(406, 'PRECONDITION_FAILED - unknown delivery tag 5',
    (channel) => channel.ack({ fields: { deliveryTag: 5 } }));
  await refuses(406, "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.topic' in vhost '/': "
    + "received 'fanout' but current is 'topic'", (channel) => channel.assertExchange('amq.topic', 'fanout'));
  await refuses(403, "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'",
    (channel) => channel.assertExchange('amq.mine', 'fanout'));
  await refuses(403, "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
    (channel) => channel.deleteExchange('amq.direct'));
  await breaks(503, "COMMAND_INVALID - unknown exchange type 'nope'", (channel) => channel.assertExchange(missing, 'nope'));
  await assert.rejects(amqp.connect(`amqp://guest:wrong@127.0.0.1:${port}`));
  await assert.rejects(amqp.connect(`${url}/nope`), /ConnectionClose|NOT_ALLOWED/);
}

(async () => {
  const connection = await amqp.connect(url);
  const steps = [queues, publishes, consumers, exchanges, directReplies, errors];
  for (const step of steps) await step(connection);
  await connection.close();
  console.log(`ok amqplib ${version}: ${steps.length} steps`);
  clearTimeout(DEADLINE);
})().catch((error) => {
  console.error(error.stack || error);
  process.exit(1);
});
