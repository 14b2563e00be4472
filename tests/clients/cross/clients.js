// One client of each protocol, all with the same few abilities:
//   ask(request)            sends a request whose answer comes to this client itself, and gives it
//   askFor(request, where)  sends a request whose answer goes to another client: `where` is what that one has made
//   mailbox(asker)          makes a place of this client's where an answer to a request over `asker` can arrive
//   publish, subscribe      messages on `amq.topic`
'use strict';
const http = require('http');
const amqplib = require('amqplib');
const mqtt = require('mqtt');
const { io } = require('socket.io-client');
const stompit = require('stompit');

const PATIENCE_MS = 30000;

let last = 0;
const fresh = (what) => `${what}-${process.pid}-${last += 1}`;

function within(promise, what) {
  return Promise.race([promise, new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`${what}: nothing after ${PATIENCE_MS} ms`)), PATIENCE_MS).unref();
  })]);
}

// What arrives, one after the other.
class Inbox {
  constructor(what) {
    this.what = what;
    this.got = [];
    this.waiting = [];
  }

  put(message) {
    const waiting = this.waiting.shift();
    if (waiting) waiting(message);
    else this.got.push(message);
  }

  next() {
    const next = this.got.length ? Promise.resolve(this.got.shift()) : new Promise((done) => this.waiting.push(done));
    return within(next, this.what);
  }
}

// Verb and path below `/api/1.0` of each action that has one.
const ROUTES = {
  write: {
    create: (r) => (r._id ? ['PUT', `/${r.index}/${r.collection}/${r._id}/_create`] : ['POST', `/${r.index}/${r.collection}/_create`]),
    createOrReplace: (r) => ['PUT', `/${r.index}/${r.collection}/${r._id}`],
    replace: (r) => ['PUT', `/${r.index}/${r.collection}/${r._id}/_replace`],
    update: (r) => ['PUT', `/${r.index}/${r.collection}/${r._id}/_update`],
    delete: (r) => ['DELETE', `/${r.index}/${r.collection}/${r._id}`],
    deleteByQuery: (r) => ['DELETE', `/${r.index}/${r.collection}/_query`],
    createCollection: (r) => ['PUT', `/${r.index}/${r.collection}`],
  },
  read: {
    get: (r) => ['GET', `/${r.index}/${r.collection}/${r._id}`],
    search: (r) => ['POST', `/${r.index}/${r.collection}/_search`],
    count: (r) => ['POST', `/${r.index}/${r.collection}/_count`],
    listCollections: (r) => ['GET', `/${r.index}/_listCollections/${r.body.type}`],
    listIndexes: () => ['GET', '/_listIndexes'],
    now: () => ['GET', '/_now'],
    serverInfo: () => ['GET', '/../_serverInfo'],
  },
  bulk: {
    import: (r) => ['POST', `${r.index ? `/${r.index}` : ''}${r.collection ? `/${r.collection}` : ''}/_bulk`],
  },
  admin: {
    createIndex: (r) => ['PUT', `/${r.index}`],
    deleteIndex: (r) => ['DELETE', `/${r.index}`],
    deleteIndexes: () => ['DELETE', '/_deleteIndexes'],
    updateMapping: (r) => ['PUT', `/${r.index}/${r.collection}/_mapping`],
    getMapping: (r) => ['GET', `/${r.index}/${r.collection}/_mapping`],
    truncateCollection: (r) => ['DELETE', `/${r.index}/${r.collection}/_truncate`],
    refreshIndex: (r) => ['POST', `/${r.index}/_refresh`],
    getAutoRefresh: (r) => ['GET', `/${r.index}/_autoRefresh`],
    setAutoRefresh: (r) => ['POST', `/${r.index}/_autoRefresh`],
  },
};

class Rest {
  static async connect(ports) {
    return Object.assign(new Rest(), { port: ports.rest });
  }

  // The body of a request, and its metadata where it has some, are the payload.
  ask(request) {
    const [method, path] = ROUTES[request.controller][request.action](request);
    const payload = request.metadata ? { body: request.body || {}, metadata: request.metadata } : request.body;
    const text = payload === undefined ? '' : JSON.stringify(payload);
    return within(new Promise((resolve, reject) => {
      const sent = http.request({
        port: this.port, host: '127.0.0.1', method, path: new URL(`http://x/api/1.0${path}`).pathname,
        // Node tells no length by itself where a body is unusual.
        headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) },
      }, (answer) => {
        const chunks = [];
        answer.on('data', (chunk) => chunks.push(chunk));
        answer.on('end', () => {
          const said = Buffer.concat(chunks).toString();
          try {
            const response = JSON.parse(said);
            if (response.status !== answer.statusCode) throw new Error(`HTTP status ${answer.statusCode}`);
            resolve(response);
          } catch (error) { reject(new Error(`${method} ${path}: ${error.message}: ${said}`)); }
        });
      });
      sent.on('error', reject);
      sent.end(text);
    }), 'an answer over REST');
  }

  async end() {}
}

class SocketIo {
  static async connect(ports) {
    const socket = io(`http://127.0.0.1:${ports.socketio}`, { transports: ['websocket'], reconnection: false });
    await within(new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('connect_error', reject);
    }), 'a connection over socket.io');
    return Object.assign(new SocketIo(), { socket });
  }

  ask(request) {
    const requestId = fresh('request');
    const answer = new Promise((done) => this.socket.once(requestId, done));
    this.socket.emit('kuzzle', { ...request, requestId });
    return within(answer, 'an answer over socket.io');
  }

  async end() { this.socket.close(); }
}

class Amqp {
  static async connect(ports) {
    const connection = await amqplib.connect(`amqp://guest:guest@127.0.0.1:${ports.amqp}`);
    const channel = await connection.createConfirmChannel();
    return Object.assign(new Amqp(), { connection, channel });
  }

  // A queue, or where its asker knows no queues, a queue behind a topic or behind the key of a client.
  async mailbox(asker) {
    const { queue } = await this.channel.assertQueue(fresh('answers'), { autoDelete: true });
    const where = { queue };
    if (asker === 'MQTT') {
      where.topic = fresh('answers/amqp');
      await this.channel.bindQueue(queue, 'amq.topic', where.topic.replace(/\//g, '.'));
    }
    where.inbox = await this.consume(queue, 'an answer over AMQP');
    return where;
  }

  async consume(queue, what) {
    const inbox = new Inbox(what);
    await this.channel.consume(queue, (message) => inbox.put(message), { noAck: true });
    return inbox;
  }

  async subscribe(pattern) {
    const { queue } = await this.channel.assertQueue('', { exclusive: true });
    await this.channel.bindQueue(queue, 'amq.topic', pattern);
    return this.consume(queue, 'a message over AMQP');
  }

  async publish(key, body, properties, exchange = 'amq.topic') {
    this.channel.publish(exchange, key, Buffer.from(body), properties);
    await within(this.channel.waitForConfirms(), 'a confirm over AMQP');
  }

  async askFor(request, where) {
    const body = where.clientId ? { ...request, clientId: where.clientId } : request;
    await this.publish('kuzzle', JSON.stringify(body), { replyTo: where.queue });
  }

  async ask(request) {
    const where = await this.mailbox('AMQP');
    await this.askFor(request, where);
    return read(await where.inbox.next());
  }

  async end() { await this.connection.close(); }
}

class Mqtt {
  static async connect(ports) {
    const clientId = fresh('mqtt');
    const options = { clientId, protocolVersion: 5, reconnectPeriod: 0, connectTimeout: PATIENCE_MS };
    const client = await within(mqtt.connectAsync(`mqtt://127.0.0.1:${ports.mqtt}`, options), 'a connection over MQTT');
    const self = Object.assign(new Mqtt(), { client, ports, clientId, topics: new Map() });
    client.on('message', (topic, payload, packet) => {
      const inbox = self.topics.get(topic) || self.topics.get('#');
      if (inbox) inbox.put({ topic, content: payload, qos: packet.qos, retain: packet.retain, properties: packet.properties || {} });
    });
    return self;
  }

  // The topic of its identifier, which any JSON may name; or a topic of its own for those that can name one.
  async mailbox(asker) {
    const inbox = new Inbox('an answer over MQTT');
    if (asker === 'STOMP') {
      const topic = fresh('answers/mqtt');
      this.topics.set(topic, inbox);
      await this.client.subscribeAsync(topic, { qos: 1 });
      return { topic, inbox };
    }
    this.topics.set(`mqtt/${this.clientId}`, inbox);
    await this.client.subscribeAsync(`mqtt/${this.clientId}`, { qos: 1 });
    return { clientId: this.clientId, inbox };
  }

  async subscribe(filter, qos = 1) {
    const inbox = new Inbox('a message over MQTT');
    this.topics.set('#', inbox);
    await this.client.subscribeAsync(filter, { qos });
    return inbox;
  }

  publish(topic, body, options) {
    return within(this.client.publishAsync(topic, body, options), 'an acknowledgement over MQTT');
  }

  async askFor(request, where) {
    const body = where.clientId ? { ...request, clientId: where.clientId } : request;
    const properties = where.topic ? { responseTopic: where.topic } : {};
    await this.publish('kuzzle', JSON.stringify(body), { qos: 1, properties });
  }

  async ask(request) {
    const where = await this.mailbox('MQTT');
    await this.askFor(request, where);
    return read(await where.inbox.next());
  }

  async end() { await this.client.endAsync(); }
}

class Stomp {
  static async connect(ports) {
    const options = {
      host: '127.0.0.1', port: ports.stomp, connectHeaders: { host: '/', login: 'guest', passcode: 'guest', 'heart-beat': '0,0' },
    };
    const client = await within(new Promise((resolve, reject) => {
      stompit.connect(options, (error, connected) => (error ? reject(error) : resolve(connected)));
    }), 'a connection over STOMP');
    const self = Object.assign(new Stomp(), { client });
    client.on('error', (error) => { if (!self.hasEnded) throw error; });
    return self;
  }

  // A queue, or a topic for those that know no queues.
  async mailbox(asker) {
    if (asker === 'MQTT') {
      const topic = fresh('answers/stomp');
      return { topic, inbox: await this.listen(`/topic/${topic.replace(/\//g, '.')}`, 'an answer over STOMP') };
    }
    const queue = fresh('answers');
    return { queue, inbox: await this.listen(`/queue/${queue}`, 'an answer over STOMP') };
  }

  async listen(destination, what) {
    const inbox = new Inbox(what);
    this.client.subscribe({ destination, ack: 'auto' }, (error, message) => {
      if (error) throw error;
      message.readString('utf8', (failed, body) => {
        if (failed) throw failed;
        inbox.put({ content: body, headers: message.headers });
      });
    });
    await this.receipt();
    return inbox;
  }

  // A frame that is answered has come after those before it.
  receipt() { return this.send({ destination: '/exchange/amq.fanout' }, ''); }

  send(headers, body) {
    return within(new Promise((resolve) => {
      this.client.send(headers, { onReceipt: () => resolve() }).end(body);
    }), 'a receipt over STOMP');
  }

  subscribe(pattern) { return this.listen(`/topic/${pattern}`, 'a message over STOMP'); }

  publish(destination, body, headers) { return this.send({ destination, ...headers }, body); }

  async askFor(request, where) {
    const headers = { destination: '/exchange/amq.topic/kuzzle', 'content-type': 'application/json' };
    if (where.queue) headers['reply-to'] = where.queue;
    if (where.topic) headers['reply-to'] = `/topic/${where.topic.replace(/\//g, '.')}`;
    await this.send(headers, JSON.stringify(request));
  }

  // With a queue that the server makes for it, as clients of STOMP do.
  async ask(request) {
    const where = await this.mailbox('STOMP');
    await this.askFor(request, where);
    return read(await where.inbox.next());
  }

  async end() {
    this.hasEnded = true;
    await new Promise((done) => this.client.disconnect(done));
  }
}

const read = (message) => JSON.parse(message.content.toString());

module.exports = { clients: { REST: Rest, 'socket.io': SocketIo, AMQP: Amqp, MQTT: Mqtt, STOMP: Stomp }, fresh, read };
