// node mapping.js REST SOCKETIO AMQP MQTT STOMP (ports): publishes to `amq.topic` over each message protocol, and prints what
// a consumer of each gets: a line of JSON for each message, `{what, AMQP, MQTT, STOMP}`.
'use strict';
const { clients } = require('./clients');

const PROPERTIES = [
  'contentType', 'contentEncoding', 'deliveryMode', 'priority', 'correlationId', 'replyTo', 'expiration', 'messageId',
  'type', 'appId',
];
// Of the session and the delivery, not of the message.
const OF_THE_DELIVERY = ['message-id', 'subscription', 'content-length', 'redelivered', 'ack'];

// Clients choose a number for each receipt that they ask for, and it travels with the message.
const RECEIPT = 'chosen';

function withPlainReceipt(headers) {
  return 'receipt' in headers ? { ...headers, receipt: RECEIPT } : { ...headers };
}

const known = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));

// What each consumer sees, in one plain shape.
const seen = {
  AMQP(message) {
    const { fields, properties, content } = message;
    const kept = known(Object.fromEntries(PROPERTIES.map((name) => [name, properties[name]])));
    return { key: fields.routingKey, ...kept, headers: withPlainReceipt(properties.headers || {}), body: content.toString() };
  },
  MQTT(message) {
    const { correlationData, userProperties, ...rest } = message.properties;
    const properties = known({
      ...rest, correlationData: correlationData && correlationData.toString(),
      userProperties: userProperties && withPlainReceipt(userProperties),
    });
    delete properties.subscriptionIdentifier;
    return { topic: message.topic, qos: message.qos, retain: message.retain, ...properties, body: message.content.toString() };
  },
  STOMP(message) {
    const headers = withPlainReceipt(message.headers);
    for (const name of OF_THE_DELIVERY) delete headers[name];
    return { ...headers, body: message.content };
  },
};

const PROMISED = { deliveryMode: 2 };
const MESSAGES = {
  'AMQP, all properties': ({ AMQP }) => AMQP.publish('sensor.temp', '21', {
    ...PROMISED, contentType: 'text/plain', correlationId: 'c1', replyTo: 'rq', messageId: 'm1', expiration: '60000',
    headers: { h1: 'v', n: { '!': 'byte', value: 3 } },
  }),
  'AMQP, no properties': ({ AMQP }) => AMQP.publish('sensor.temp', '21', {}),
  'AMQP, an empty key': ({ AMQP }) => AMQP.publish('', '21', {}),
  'MQTT, QoS 0': ({ MQTT }) => MQTT.publish('sensor/temp', '21', { qos: 0 }),
  'MQTT, QoS 1': ({ MQTT }) => MQTT.publish('sensor/temp', '21', { qos: 1 }),
  'MQTT, QoS 2': ({ MQTT }) => MQTT.publish('sensor/temp', '21', { qos: 2 }),
  'MQTT, retained': ({ MQTT }) => MQTT.publish('sensor/temp', '21', { qos: 1, retain: true }),
  'MQTT, a dot in the topic': ({ MQTT }) => MQTT.publish('a.b/c', '21', { qos: 0 }),
  'MQTT, properties of 5.0': ({ MQTT }) => MQTT.publish('sensor/temp', '21', {
    qos: 1,
    properties: {
      contentType: 'text/plain', correlationData: Buffer.from('c1'), responseTopic: 'answers/here', messageExpiryInterval: 60,
      userProperties: { h1: 'v' },
    },
  }),
  'STOMP, headers': ({ STOMP }) => STOMP.publish('/topic/sensor.temp', '21', {
    'content-type': 'text/plain', foo: 'bar', 'correlation-id': 'c1', 'reply-to': 'qq', 'amqp-message-id': 'm1', priority: '3',
  }),
  'STOMP, persistent': ({ STOMP }) => STOMP.publish('/topic/sensor.temp', '21', { persistent: 'true' }),
  'STOMP, no headers': ({ STOMP }) => STOMP.publish('/topic/sensor.temp', '21', {}),
  'STOMP, a slash in the key': ({ STOMP }) => STOMP.publish('/topic/sensor%2Ftemp', '21', {}),
};

// Who hears nothing of a message: that it is the next one that comes is seen in the line after it.
const UNHEARD = { 'AMQP, an empty key': ['MQTT'] };

async function run() {
  const [rest, socketio, amqp, mqtt, stomp] = process.argv.slice(2).map(Number);
  const ports = { rest, socketio, amqp, mqtt, stomp };
  const open = {}, inboxes = {};
  for (const name of ['AMQP', 'MQTT', 'STOMP']) {
    open[name] = await clients[name].connect(ports);
    inboxes[name] = await open[name].subscribe('#');
  }
  for (const [what, publish] of Object.entries(MESSAGES)) {
    await publish(open);
    const line = { what };
    for (const [name, inbox] of Object.entries(inboxes)) {
      line[name] = (UNHEARD[what] || []).includes(name) ? null : seen[name](await inbox.next());
    }
    console.log(JSON.stringify(line));
  }
  // To another exchange: nobody who listens to `amq.topic` hears it, while what comes after it is heard.
  await open.AMQP.publish('sensor.temp', 'unheard', {}, 'amq.fanout');
  await open.AMQP.publish('after', 'heard', {});
  for (const [name, inbox] of Object.entries(inboxes)) {
    const { body } = seen[name](await inbox.next());
    if (body !== 'heard') throw new Error(`${name} heard what was published to amq.fanout: ${body}`);
  }
  for (const client of Object.values(open)) await client.end();
}

setTimeout(() => { console.error('it hangs'); process.exit(1); }, 150000).unref();
run().then(() => process.exit(0), (error) => {
  console.error(error.stack || error);
  process.exit(1);
});
