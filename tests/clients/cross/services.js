// node services.js REST SOCKETIO AMQP MQTT STOMP (ports): a service of each message protocol, asked by a client of each.
// Prints a line for each pair: who asked, whose service it was, and the address that the service answered to.
'use strict';
const { clients, fresh } = require('./clients');

const NAMES = ['AMQP', 'MQTT', 'STOMP'];

function check(holds, what) { if (!holds) throw new Error(what); }

const key = (topic) => topic.replace(/\//g, '.');

// Each answers in capitals, to the address that it sees in its own protocol's words, with the correlation that it sees.
const serve = {
  async AMQP(client, answers) {
    const inbox = await client.subscribe('service.amqp');
    inbox.put = ({ properties, content }) => {
      const { replyTo, correlationId, headers } = properties;
      const topic = headers['x-reply-to-topic'];
      const body = content.toString().toUpperCase();
      answers.AMQP = topic ? `amq.topic, ${topic}` : replyTo;
      if (topic) client.publish(topic, body, { correlationId });
      else client.publish(replyTo, body, { correlationId }, '');
    };
  },
  async MQTT(client, answers) {
    client.topics.set('service/mqtt', {
      put({ properties, content }) {
        const { responseTopic, correlationData } = properties;
        answers.MQTT = responseTopic;
        client.publish(responseTopic, content.toString().toUpperCase(), { qos: 1, properties: { correlationData } });
      },
    });
    await client.client.subscribeAsync('service/mqtt', { qos: 1 });
  },
  async STOMP(client, answers) {
    const inbox = await client.listen('/topic/service.stomp', 'a question over STOMP');
    inbox.put = ({ headers, content }) => {
      answers.STOMP = headers['reply-to'];
      client.publish(headers['reply-to'], content.toUpperCase(), { 'correlation-id': headers['correlation-id'] });
    };
  },
};

// Each asks with an address that the service's protocol can answer to, and gives the answer with its correlation.
const ask = {
  async AMQP(client, service, text, correlation) {
    const topic = fresh('answers/amqp');
    const { queue } = await client.channel.assertQueue('', { exclusive: true });
    await client.channel.bindQueue(queue, 'amq.topic', key(topic));
    const inbox = await client.consume(queue, 'an answer over AMQP');
    // MQTT knows no queues.
    const address = service === 'MQTT' ? { headers: { 'x-reply-to-topic': key(topic) } } : { replyTo: queue };
    await client.publish(`service.${service.toLowerCase()}`, text, { correlationId: correlation, ...address });
    const { content, properties } = await inbox.next();
    return { text: content.toString(), correlation: properties.correlationId };
  },
  async MQTT(client, service, text, correlation) {
    const responseTopic = fresh('answers/mqtt');
    const answer = new Promise((put) => client.topics.set(responseTopic, { put }));
    await client.client.subscribeAsync(responseTopic, { qos: 1 });
    const properties = { responseTopic, correlationData: Buffer.from(correlation) };
    await client.publish(`service/${service.toLowerCase()}`, text, { qos: 1, properties });
    const { content, properties: of } = await answer;
    return { text: content.toString(), correlation: of.correlationData.toString() };
  },
  async STOMP(client, service, text, correlation) {
    const name = fresh('answers.stomp');
    // As above: a topic for MQTT, a queue for the others.
    const destination = service === 'MQTT' ? `/topic/${name}` : `/queue/${name}`;
    const inbox = await client.listen(destination, 'an answer over STOMP');
    await client.publish(`/topic/service.${service.toLowerCase()}`, text, {
      'reply-to': service === 'MQTT' ? destination : name, 'correlation-id': correlation,
    });
    const { content, headers } = await inbox.next();
    return { text: content, correlation: headers['correlation-id'] };
  },
};

async function run() {
  const [rest, socketio, amqp, mqtt, stomp] = process.argv.slice(2).map(Number);
  const ports = { rest, socketio, amqp, mqtt, stomp };
  const answers = {}, asking = {}, all = [];
  for (const name of NAMES) {
    const serving = await clients[name].connect(ports);
    await serve[name](serving, answers);
    asking[name] = await clients[name].connect(ports);
    all.push(serving, asking[name]);
  }
  for (const from of NAMES) {
    for (const service of NAMES) {
      const text = `from ${from} to ${service}`, correlation = fresh('c');
      const answer = await ask[from](asking[from], service, text, correlation);
      check(answer.text === text.toUpperCase(), `${text}: answered ${answer.text}`);
      check(answer.correlation === correlation, `${text}: correlation ${answer.correlation}, expected ${correlation}`);
      console.log(`${from}|${service}|${answers[service]}`);
    }
  }
  for (const client of all) await client.end();
}

setTimeout(() => { console.error('it hangs'); process.exit(1); }, 120000).unref();
run().then(() => process.exit(0), (error) => {
  console.error(error.stack || error);
  process.exit(1);
});
