// node scenarios.js REST SOCKETIO AMQP MQTT STOMP (ports): what an application does with documents, over each protocol, in
// the order and with the patience of the first server's functional tests. Prints a line for each scenario that held.
'use strict';
const { clients } = require('./clients');

const INDEX = 'kuzzle-test-index';
const ALT_INDEX = 'kuzzle-test-index-alt';
const NEW_INDEX = 'kuzzle-test-index-new';
const COLLECTION = 'kuzzle-collection-test';
const METADATA = { iwant: 'to break free', we: ['will', 'rock', 'you'] };

const grace = () => ({
  firstName: 'Grace', lastName: 'Hopper', info: { age: 85, city: 'NYC', hobby: 'computer' },
  location: { lat: 32.692742, lon: -97.114127 },
});
const ada = () => ({
  firstName: 'Ada', lastName: 'Lovelace', info: { age: 36, city: 'London', hobby: 'computer' },
  location: { lat: 51.519291, lon: -0.149817 },
});
const SCHEMA = {
  properties: {
    firstName: { type: 'string', copy_to: 'newFirstName' }, newFirstName: { type: 'string', store: true, index: 'not_analyzed' },
  },
};

const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });
const show = (value) => JSON.stringify(value).slice(0, 500);
function check(holds, what) { if (!holds) throw new Error(what); }
function equal(found, expected, what) { check(JSON.stringify(found) === JSON.stringify(expected), `${what}: found ${show(found)}, expected ${show(expected)}`); }

// One protocol under test; every request but those of `refused` has to succeed.
class Under {
  constructor(client) { this.client = client; }

  async send(controller, action, more) {
    return this.client.ask({ controller, action, index: INDEX, collection: COLLECTION, metadata: METADATA, ...more });
  }

  async ask(controller, action, more) {
    const answer = await this.send(controller, action, more);
    check(answer.error === null && answer.status === 200, `${controller}.${action}: ${show(answer)}`);
    check(answer.action === action && answer.requestId, `${controller}.${action} without action or id: ${show(answer)}`);
    equal(answer.metadata, METADATA, `metadata of ${controller}.${action}`);
    return answer.result;
  }

  async refused(controller, action, more) {
    const answer = await this.send(controller, action, more);
    check(answer.error !== null && answer.status >= 400, `${controller}.${action} was not refused: ${show(answer)}`);
    return answer;
  }

  // Asks again until it holds, so many times.
  async until(times, pauseMs, what, holds) {
    for (let turn = 0; ; turn += 1) {
      const found = await holds();
      if (found === true) return;
      check(turn < times, `${what}: ${show(found)}`);
      await sleep(pauseMs);
    }
  }

  async create(body) { return (await this.ask('write', 'create', { body }))._id; }

  async source(_id) { return (await this.ask('read', 'get', { _id }))._source; }

  refresh() { return this.ask('admin', 'refreshIndex', { collection: undefined }); }

  search(body, index = INDEX) { return this.ask('read', 'search', { body, index }); }

  async finds(field, value, index = INDEX) {
    const { hits, total } = await this.search({ filter: { term: { [field]: value } } }, index);
    check(Array.isArray(hits) && hits.length === total, `hits: ${show(hits)} of ${total}`);
    return hits.map((hit) => hit._id);
  }

  counts(expected, body, index = INDEX) {
    return this.until(20, 100, `a count of ${expected}`, async () => {
      const { count } = await this.ask('read', 'count', { body: body || {}, index });
      return count === expected || count;
    });
  }
}

const lines = (more) => [
  { index: { _id: 1, ...more } }, { title: 'foo' }, { index: { _id: 2, ...more } }, { title: 'bar' },
  { update: { _id: 1, ...more } }, { doc: { title: 'foobar' } }, { delete: { _id: 2, ...more } },
];

const SCENARIOS = {
  'server information': async (under) => {
    const { serverInfo } = await under.ask('read', 'serverInfo', { index: undefined, collection: undefined });
    check(serverInfo.kuzzle.api.version === '1.0' && serverInfo.services.readEngine.status === 'green', show(serverInfo));
  },
  'create and get': async (under) => {
    const id = await under.create(grace());
    equal((await under.source(id)).lastName, 'Hopper', 'lastName');
    await under.refused('read', 'get', { _id: id, index: ALT_INDEX });
  },
  'create or replace': async (under) => {
    const id = await under.create(grace());
    const found = await under.ask('write', 'createOrReplace', { _id: id, body: { ...ada(), _id: id } });
    equal([found._id, found._version, found.created, found._source], [id, 2, false, sorted(ada())], 'what was replaced');
  },
  'replace': async (under) => {
    const id = await under.create(grace());
    await under.ask('write', 'replace', { _id: id, body: ada() });
    equal((await under.source(id)).firstName, 'Ada', 'firstName');
  },
  'update': async (under) => {
    const id = await under.create(grace());
    await under.ask('write', 'update', { _id: id, body: { firstName: 'Josepha' } });
    const found = await under.source(id);
    equal([found.firstName, found.lastName], ['Josepha', 'Hopper'], 'what was updated');
  },
  'delete': async (under) => {
    const id = await under.create(grace());
    await under.ask('write', 'delete', { _id: id });
    await under.refused('read', 'get', { _id: id });
  },
  'search': async (under) => {
    const id = await under.create(grace());
    await under.refresh();
    equal(await under.finds('firstName', 'grace'), [id], 'by an analysed term');
    equal(await under.finds('firstName', 'Grace'), [], 'by a term that analysis never makes');
    equal(await under.finds('firstName', 'grace', ALT_INDEX), [], 'in the other index');
  },
  'bulk import': async (under) => {
    await under.ask('bulk', 'import', { body: lines({}) });
    equal((await under.source('1')).title, 'foobar', 'title');
    await under.refused('read', 'get', { _id: '2' });
  },
  'global bulk import': async (under) => {
    const body = lines({ _index: INDEX, _type: COLLECTION });
    await under.ask('bulk', 'import', { body, index: undefined, collection: undefined });
    equal((await under.source('1')).title, 'foobar', 'title');
    await under.refused('read', 'get', { _id: '2' });
  },
  'truncate': async (under) => {
    const id = await under.create(grace());
    await under.refresh();
    const { ids } = await under.ask('admin', 'truncateCollection');
    check(ids.includes(id), show(ids));
    await under.refused('read', 'get', { _id: id });
  },
  'count': async (under) => {
    for (const body of [grace(), ada(), grace(), ada()]) await under.create(body);
    await under.counts(4);
    await under.counts(0, {}, ALT_INDEX);
    await under.counts(2, { query: { match: { 'info.city': 'NYC' } } });
    await under.ask('admin', 'truncateCollection');
    await under.counts(0);
  },
  'delete by a query': async (under) => {
    const ids = [await under.create(grace()), await under.create(ada())];
    await under.refresh();
    const found = await under.ask('write', 'deleteByQuery', { body: { query: { match: { 'info.hobby': 'computer' } } } });
    equal(found.ids.sort(), ids.sort(), 'ids');
  },
  'change of the mapping': async (under) => {
    await under.create(grace());
    await under.refresh();
    equal(await under.finds('newFirstName', 'Grace'), [], 'before');
    await under.ask('admin', 'updateMapping', { body: SCHEMA });
    const id = await under.create(grace());
    await under.refresh();
    check((await under.finds('newFirstName', 'Grace')).includes(id), 'not found after');
    const shown = await under.ask('admin', 'getMapping');
    equal(shown[INDEX].mappings[COLLECTION].properties.newFirstName.index, 'not_analyzed', 'the mapping');
  },
  'stored collections': async (under) => {
    await under.create(grace());
    const { type, collections } = await under.ask('read', 'listCollections', { collection: undefined, body: { type: 'stored' } });
    check(type === 'stored' && collections.stored.includes(COLLECTION), show(collections));
  },
  'an additional index': async (under) => {
    const indexes = async () => (await under.ask('read', 'listIndexes', { index: undefined, collection: undefined })).indexes;
    equal(await under.ask('admin', 'createIndex', { index: NEW_INDEX, collection: undefined }), { acknowledged: true }, 'created');
    check((await indexes()).includes(NEW_INDEX), 'it is listed');
    check(!(await indexes()).includes('my-undefined-index'), 'what is not there is not listed');
    await under.ask('admin', 'deleteIndex', { index: NEW_INDEX, collection: undefined });
    check(!(await indexes()).includes(NEW_INDEX), 'it is gone');
  },
  'automatic refresh': async (under) => {
    const of = { collection: undefined };
    equal(await under.ask('admin', 'getAutoRefresh', of), false, 'at first');
    // A second after a write it is seen anyway: whoever is so slow has to try again.
    for (let tooSlow = true; tooSlow;) {
      const began = Date.now();
      const unseen = await under.create(grace());
      const found = await under.finds('firstName', 'grace');
      tooSlow = Date.now() - began > 900;
      check(tooSlow || !found.includes(unseen), 'found at once, without');
    }
    await under.refresh();
    equal(await under.ask('admin', 'setAutoRefresh', { ...of, body: { autoRefresh: true } }), true, 'set');
    await under.ask('admin', 'truncateCollection');
    const id = await under.create(grace());
    equal(await under.finds('firstName', 'grace'), [id], 'at once, with');
    equal(await under.ask('admin', 'getAutoRefresh', of), true, 'got');
    await under.ask('write', 'update', { _id: id, body: { firstName: 'Josepha' } });
    equal(await under.finds('firstName', 'josepha'), [id], 'an update');
  },
};

function sorted(value) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}

// What stands there before the scenarios of each protocol.
async function prepare(rest) {
  for (const index of [INDEX, ALT_INDEX]) {
    await rest.ask({ controller: 'admin', action: 'deleteIndex', index });
    const body = [
      { create: { _id: 'fixture' } }, { firstName: 'Fixture', info: { city: 'Nowhere', age: 1 } }, { delete: { _id: 'fixture' } },
    ];
    const imported = await rest.ask({ controller: 'bulk', action: 'import', index, collection: COLLECTION, body });
    check(imported.error === null, show(imported));
    check((await rest.ask({ controller: 'admin', action: 'refreshIndex', index })).error === null, 'refresh');
  }
}

async function tidy(rest) {
  const indexes = [INDEX, ALT_INDEX, NEW_INDEX];
  const answers = await Promise.all(indexes.flatMap((index) => [
    rest.ask({ controller: 'admin', action: 'deleteIndex', index }),
    rest.ask({ controller: 'admin', action: 'setAutoRefresh', index, body: { autoRefresh: false } }),
  ]));
  for (const answer of answers) {
    check(answer.error === null || (answer.status === 400 && answer.action === 'deleteIndex'), show(answer));
  }
}

async function run() {
  const [rest, socketio, amqp, mqtt, stomp] = process.argv.slice(2).map(Number);
  const ports = { rest, socketio, amqp, mqtt, stomp };
  const setUp = await clients.REST.connect(ports);
  for (const [protocol, client] of Object.entries(clients)) {
    await prepare(setUp);
    const open = await client.connect(ports);
    for (const [name, scenario] of Object.entries(SCENARIOS)) {
      const under = new Under(open);
      try {
        await scenario(under);
        await under.refresh();
        await under.ask('admin', 'truncateCollection');
        await under.refresh();
        await under.ask('admin', 'setAutoRefresh', { collection: undefined, body: { autoRefresh: false } });
      } catch (error) { throw new Error(`${protocol}, ${name}: ${error.stack}`); }
      console.log(`${protocol}|${name}`);
    }
    await open.end();
    await tidy(setUp);
  }
}

setTimeout(() => { console.error('it hangs'); process.exit(1); }, 150000).unref();
run().then(() => process.exit(0), (error) => {
  console.error(error.stack || error);
  process.exit(1);
});
