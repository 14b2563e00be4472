// What @stomp/stompjs does over a WebSocket, in Node and in a page alike.
(function (root, make) {
  if (typeof module === 'object' && module.exports) module.exports = make();
  else root.stompSteps = make();
})(this, function () {
  'use strict';

  const PATIENCE_MS = 30000;
  const LARGE_LETTERS = 200 * 1024;

  function check(holds, what) { if (!holds) throw new Error(what); }

  function within(promise, what) {
    return Promise.race([promise, new Promise((_, reject) => {
      setTimeout(() => reject(new Error(`${what}: nothing after ${PATIENCE_MS} ms`)), PATIENCE_MS);
    })]);
  }

  // Messages of one subscription, one after the other.
  function subscribe(client, destination) {
    const got = [], waiting = [];
    const subscription = client.subscribe(destination, (message) => {
      if (waiting.length) waiting.shift()(message);
      else got.push(message);
    });
    return {
      next: (what) => within(got.length ? Promise.resolve(got.shift()) : new Promise((done) => waiting.push(done)), what),
      end: () => subscription.unsubscribe(),
    };
  }

  async function session(StompJs, url, version) {
    const { Client, Versions } = StompJs;
    let stopped;
    const client = new Client({
      brokerURL: url, reconnectDelay: 0, heartbeatIncoming: 1000, heartbeatOutgoing: 1000,
      connectHeaders: { login: 'guest', passcode: 'guest', host: '/' },
      stompVersions: new Versions([version]),
    });
    // What the server sends that is not text comes in binary messages, which the client takes too.
    const ended = new Promise((done) => { stopped = done; });
    await within(new Promise((resolve, reject) => {
      client.onConnect = resolve;
      client.onStompError = (frame) => reject(new Error(frame.headers.message));
      client.onWebSocketError = () => reject(new Error('no WebSocket'));
      client.onWebSocketClose = (event) => { stopped(event.code); reject(new Error(`closed with ${event.code}`)); };
      client.activate();
    }), 'CONNECTED');
    check(client.connectedVersion === version, `version ${client.connectedVersion}`);

    const name = `ws-${Math.random().toString(36).slice(2)}`;
    const topic = subscribe(client, `/topic/${name}.*`);
    const queue = subscribe(client, `/queue/${name}`);
    client.publish({ destination: `/topic/${name}.a`, body: 'héllo', headers: { foo: 'bar' } });
    const small = await topic.next('a message of a topic');
    check(small.body === 'héllo' && small.headers.foo === 'bar', `a message: ${small.body}`);
    const large = 'é'.repeat(LARGE_LETTERS);
    client.publish({ destination: `/queue/${name}`, body: large });
    check((await queue.next('a large message')).body === large, 'a large message');
    const bytes = new Uint8Array(1000).map((_, at) => at % 256);
    client.publish({ destination: `/queue/${name}`, binaryBody: bytes });
    const back = (await queue.next('a message of bytes')).binaryBody;
    check(back.length === 1000 && bytes.every((byte, at) => back[at] === byte), 'a message of bytes');
    for (let at = 0; at < 200; at += 1) client.publish({ destination: `/topic/${name}.b`, body: String(at) });
    for (let at = 0; at < 200; at += 1) {
      const one = await topic.next(`message ${at} of many`);
      check(one.body === String(at), `message ${at} of many is ${one.body}`);
    }
    client.publish({
      destination: '/exchange/amq.topic/kuzzle', body: JSON.stringify({ controller: 'read', action: 'now' }),
      headers: { 'reply-to': name, 'content-type': 'application/json' },
    });
    const answer = JSON.parse((await queue.next('the answer to a request')).body);
    check(answer.status === 200, `the answer ${JSON.stringify(answer)}`);
    await client.deactivate();
    await within(ended, 'the end');
    return 204;
  }

  // Resolves with what was done, in a line.
  async function run(StompJs, url) {
    let count = 0;
    for (const version of ['1.0', '1.1', '1.2']) count += await session(StompJs, url, version);
    return `${count} messages`;
  }

  return { run };
});
