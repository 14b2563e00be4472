// node client.js node mqtt|stomp URL [CA] runs the steps of a client here
// node client.js browser mqtt|stomp URL  runs them in a page of headless Chromium, which another port of localhost serves
// node client.js page-of URL HOST        a page of that host tries to connect; says how its WebSocket ended
// node client.js stay URL                connects, says `connected`, and `ok` once a message to `stay` has come
// node client.js raw URL [SUBPROTOCOL..] says how a plain WebSocket opened: `open CHOSEN`, or `refused STATUS`, or `failed WHY`
// node client.js version URL SUBPROTOCOL ACCEPT  the version of STOMP that is agreed on, where those two differ
// node client.js text URL REQUEST        sends a line as text and prints the text that comes
// node client.js amqp URL                a queue, a message and a request over AMQP
'use strict';
const fs = require('fs');
const path = require('path');
const WebSocket = require('ws');
const { browse, servePage } = require('../chromium');
const mqttSteps = require('./mqtt_steps');
const stompSteps = require('./stomp_steps');

const CLIENTS = {
  stomp: {
    package: '@stomp/stompjs', bundle: 'node_modules/@stomp/stompjs/bundles/stomp.umd.min.js', global: 'StompJs',
    steps: 'stompSteps', file: 'stomp_steps.js',
  },
  mqtt: { package: 'mqtt', bundle: 'node_modules/mqtt/dist/mqtt.min.js', global: 'mqtt', steps: 'mqttSteps', file: 'mqtt_steps.js' },
};

const file = (name) => fs.readFileSync(path.join(__dirname, name));

async function inNode(client, url, ca) {
  const options = ca ? { ca: fs.readFileSync(ca) } : {};
  if (client === 'stomp') Object.assign(globalThis, { WebSocket });
  return { mqttSteps, stompSteps }[CLIENTS[client].steps].run(require(CLIENTS[client].package), url, options);
}

async function inBrowser(client, url) {
  const { bundle, global, steps, file: stepsFile } = CLIENTS[client];
  const served = await servePage({
    '/': file('page.html'),
    '/client.js': file(bundle),
    '/steps.js': file(stepsFile),
    '/settings.json': JSON.stringify({ client: global, steps, url, options: {} }),
  });
  const found = await browse(`http://localhost:${served.port}/`, served.result, []);
  if (found.error) throw new Error(found.error);
  return found.done;
}

const KNOCK = `<!doctype html><script>
  const socket = new WebSocket(URL_HERE, 'mqtt');
  const report = (done) => fetch('/result', { method: 'POST', body: JSON.stringify({ done }) });
  socket.onopen = () => report('open ' + socket.protocol);
  socket.onclose = (event) => report('closed ' + event.code);
</script>`;

async function pageOf(url, host) {
  const served = await servePage({ '/': KNOCK.replace('URL_HERE', JSON.stringify(url)) });
  const rules = `--host-resolver-rules=MAP ${host} 127.0.0.1`;
  return (await browse(`http://${host}:${served.port}/`, served.result, [rules])).done;
}

async function stay(url) {
  const client = await mqttSteps.connect(require('mqtt'), url, 5, {});
  await client.subscribeAsync('stay', { qos: 1 });
  console.log('connected');
  await client.next('a message to `stay`');
  return 'it stayed';
}

function raw(url, ...offered) {
  return new Promise((done) => {
    const socket = new WebSocket(url, offered);
    socket.on('unexpected-response', (request, response) => done(`refused ${response.statusCode}`));
    socket.on('error', (error) => done(`failed ${error.message}`));
    socket.on('open', () => { done(`open ${socket.protocol}`); socket.close(); });
  });
}

function version(url, offered, accepted) {
  return new Promise((done, failed) => {
    const socket = new WebSocket(url, offered);
    socket.on('error', failed);
    socket.on('open', () => socket.send(`CONNECT\naccept-version:${accepted}\nhost:/\n\n\0`));
    socket.on('message', (message) => { done(/^version:(.*)$/m.exec(String(message))[1]); socket.close(); });
  });
}

function text(url, request) {
  return new Promise((done, failed) => {
    const socket = new WebSocket(url);
    socket.on('error', failed);
    socket.on('open', () => socket.send(`${request}\n`));
    socket.on('message', (message, isBinary) => { done(`${isBinary ? 'binary' : 'text'} ${message}`); socket.close(); });
  });
}

async function amqp(url) {
  globalThis.WebSocket = WebSocket;
  const { AMQPWebSocketClient } = require('@cloudamqp/amqp-client');
  const connection = await new AMQPWebSocketClient(url, '/', 'guest', 'guest').connect();
  const channel = await connection.channel();
  const queue = await channel.queueDeclare('', { exclusive: true });
  const got = [];
  let came = () => {};
  await channel.basicConsume(queue.name, { noAck: true }, (message) => { got.push(message.bodyString()); came(); });
  const until = async (count) => { while (got.length < count) await new Promise((done) => { came = done; }); };
  const large = 'é'.repeat(200000);
  await channel.basicPublish('', queue.name, large);
  await until(1);
  if (got[0] !== large) throw new Error('a large message is another');
  await channel.basicPublish('amq.topic', 'kuzzle', '{"controller":"read","action":"now"}', { replyTo: queue.name });
  await until(2);
  if (JSON.parse(got[1]).status !== 200) throw new Error(`the answer ${got[1]}`);
  await connection.close();
  return 'two messages';
}

const [what, ...more] = process.argv.slice(2);
const scenarios = { node: inNode, browser: inBrowser, 'page-of': pageOf, stay, raw, version, text, amqp };
setTimeout(() => { console.error(`${what} hangs`); process.exit(1); }, 120000).unref();
scenarios[what](...more).then((done) => {
  console.log(`ok ${done}`);
  process.exit(0);
}, (error) => {
  console.error(`${process.argv.slice(2).join(' ')}: ${error.stack || error}`);
  process.exit(1);
});
