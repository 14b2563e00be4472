// stompit, and stomp-client of 2016: `client.js stompit|stomp-client PORT`.
'use strict';

const assert = require('assert');

const port = Number(process.argv[3]);
const REQUEST = JSON.stringify({ controller: 'read', action: 'now' });

setTimeout(() => {
  console.error('it took too long');
  process.exit(1);
}, 60000).unref();

const promised = (call) =>
  new Promise((resolve, reject) => call((error, value) => (error ? reject(error) : resolve(value))));

const read = (message) => promised((done) => message.readString('utf-8', done));

async function stompit() {
  const { connect } = require('stompit');
  for (const host of ['/', 'rabbit']) {
    const connectHeaders = { host, login: 'guest', passcode: 'guest', 'heart-beat': '5000,5000' };
    const client = await promised((done) => connect({ host: '127.0.0.1', port, connectHeaders }, done));
    const queue = `/queue/stompit-${host.length}`;

    const next = (destination, ack) => {
      let subscription;
      const got = new Promise((resolve, reject) => {
        subscription = client.subscribe({ destination, ack }, async (error, message) => {
          if (error) return reject(error);
          const body = await read(message);
          if (ack !== 'auto') client.ack(message);
          resolve({ body, headers: message.headers });
        });
      });
      return { got, end: () => subscription.unsubscribe() };
    };

    const first = next(queue, 'client-individual');
    const frame = client.send({ destination: queue, 'content-type': 'text/plain', colour: 'red:blue\n\\' });
    frame.write('hello');
    frame.end();
    const { body, headers } = await first.got;
    assert.strictEqual(body, 'hello');
    assert.strictEqual(headers.colour, 'red:blue\n\\');
    first.end();

    const second = next(queue, 'auto');
    const transaction = client.begin();
    transaction.send({ destination: queue }).end('in a transaction');
    await promised((done) => transaction.commit({ onReceipt: () => done() }));
    assert.strictEqual((await second.got).body, 'in a transaction');
    second.end();

    const answers = next('/queue/stompit-answers', 'auto');
    const headersOfRequest = { destination: '/exchange/amq.topic/kuzzle', 'reply-to': 'stompit-answers' };
    client.send(headersOfRequest).end(REQUEST);
    assert.strictEqual(JSON.parse((await answers.got).body).status, 200);
    await promised((done) => client.disconnect(done));
  }
}

async function stompClient() {
  const { StompClient } = require('stomp-client');
  const client = new StompClient('127.0.0.1', port, 'guest', 'guest', '1.0', '/');
  await new Promise((resolve, reject) => {
    client.on('error', reject);
    client.connect(resolve);
  });
  const answer = new Promise((resolve) => {
    client.subscribe('/queue/era', (body, headers) => resolve({ body, headers }));
  });
  client.publish('/exchange/amq.topic/kuzzle', REQUEST, { 'reply-to': 'era' });
  const { body, headers } = await answer;
  assert.strictEqual(JSON.parse(body).status, 200);
  assert.strictEqual(headers.destination, '/queue/era');
  client.unsubscribe('/queue/era');
  const topic = new Promise((resolve) => client.subscribe('/topic/era.colon', (body) => resolve(body)));
  client.publish('/topic/era.colon', 'a:b');
  assert.strictEqual(await topic, 'a:b');
  await new Promise((resolve) => client.disconnect(resolve));
}

const run = { stompit, 'stomp-client': stompClient }[process.argv[2]];
run().then(
  () => {
    console.log(`ok ${process.argv[2]}`);
    process.exit(0);
  },
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
