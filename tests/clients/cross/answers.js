// node answers.js REST SOCKETIO AMQP MQTT STOMP (ports): asks over each protocol, and hears of it over each. Prints a line
// for each pair: who asked, over what it was heard, and how.
'use strict';
const { clients, fresh, read } = require('./clients');

const MESSAGES = ['AMQP', 'MQTT', 'STOMP'];
const INDEX = 'cross';
const COLLECTION = 'protocols';

function check(holds, what) { if (!holds) throw new Error(what); }

const write = (id, from) => ({
  index: INDEX, collection: COLLECTION, controller: 'write', action: 'createOrReplace', _id: id, body: { from },
});
const get = (id) => ({ index: INDEX, collection: COLLECTION, controller: 'read', action: 'get', _id: id });

function isAnswer(answer, id, from) {
  check(answer.status === 200, `status of ${JSON.stringify(answer)}`);
  check(answer.result._id === id && answer.result._source.from === from, `document of ${JSON.stringify(answer)}`);
}

// The answer itself arrives at a client of the other protocol.
async function answered(asker, hearer, from, over) {
  const id = fresh('document');
  const where = await hearer.mailbox(from);
  await asker.askFor(write(id, from), where);
  isAnswer(read(await where.inbox.next()), id, from);
  if (where.clientId) return 'answer, by its clientId';
  if (where.topic && from !== 'AMQP') return 'answer, at its topic';
  return 'answer, in its queue';
}

// The asker has its answer, and what it did is read over the other protocol.
async function seen(asker, hearer, from) {
  const id = fresh('document');
  isAnswer(await asker.ask(write(id, from)), id, from);
  isAnswer(await hearer.ask(get(id)), id, from);
  return 'document, as answered';
}

async function own(client, from) {
  const id = fresh('document');
  isAnswer(await client.ask(write(id, from)), id, from);
  return 'answer, of its own';
}

async function run() {
  const [rest, socketio, amqp, mqtt, stomp] = process.argv.slice(2).map(Number);
  const ports = { rest, socketio, amqp, mqtt, stomp };
  const open = {};
  for (const [name, client] of Object.entries(clients)) open[name] = await client.connect(ports);
  for (const [from, asker] of Object.entries(open)) {
    for (const [over, same] of Object.entries(open)) {
      // Where both are of one protocol, two clients.
      const hearer = from === over ? await clients[over].connect(ports) : same;
      const isMessage = MESSAGES.includes(from) && MESSAGES.includes(over);
      let how;
      if (isMessage) {
        how = await answered(asker, hearer, from, over);
        if (from === over) await own(asker, from);
      } else {
        how = from === over ? await own(asker, from) : await seen(asker, hearer, from);
      }
      console.log(`${from}|${over}|${how}`);
      if (hearer !== same) await hearer.end();
    }
  }
  for (const client of Object.values(open)) await client.end();
}

setTimeout(() => { console.error('it hangs'); process.exit(1); }, 150000).unref();
run().then(() => process.exit(0), (error) => {
  console.error(error.stack || error);
  process.exit(1);
});
