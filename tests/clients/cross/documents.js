// node documents.js REST SOCKETIO AMQP MQTT STOMP (ports): asks for everything that can be done with documents, the same
// over each protocol. Prints a line of JSON for each answer: protocol, what was asked, and the answer.
'use strict';
const { clients } = require('./clients');

const people = {
  grace: { firstName: 'Grace', info: { city: 'NYC', age: 85 }, born: '1906-12-09', location: { lat: 32.692742, lon: -97.114127 } },
  ada: { firstName: 'Ada', info: { city: 'London', age: 36 }, born: '1815-12-10', location: { lat: 51.519291, lon: -0.149817 } },
  mary: { firstName: 'Mary', info: { city: 'NYC', age: 30.5 }, born: '1920-01-02', location: { lat: 40.7, lon: -74 } },
};

const at = (controller, action, more) => ({ controller, action, index: 'same', collection: 'people', ...more });
const write = (action, _id, body) => at('write', action, { _id, body });
const read = (action, body) => at('read', action, { body });
const admin = (action, body) => at('admin', action, { body });
const ofIndex = (action, body) => ({ controller: 'admin', action, index: 'same', body });
const elsewhere = (request, more) => ({ ...request, index: 'nowhere', ...more });

const MAPPING = {
  properties: {
    firstName: { type: 'string', copy_to: 'exact' }, exact: { type: 'string', store: true, index: 'not_analyzed' },
    location: { type: 'geo_point' },
  },
};

// What is asked, in this order.
const STEPS = [
  ['create an index', ofIndex('createIndex')],
  ['create it again', ofIndex('createIndex')],
  ['create a collection', write('createCollection')],
  ['create it again, which succeeds', write('createCollection')],
  ['create a collection of no index', elsewhere(write('createCollection'))],
  ['the mapping of an empty collection', admin('getMapping')],
  ['update the mapping', admin('updateMapping', MAPPING)],
  ['update it again, which succeeds', admin('updateMapping', MAPPING)],
  ['the mapping of no index', elsewhere(admin('getMapping'))],
  ['automatic refresh, unless told', ofIndex('getAutoRefresh')],
  ['refresh by itself', ofIndex('setAutoRefresh', { autoRefresh: true })],
  ['automatic refresh, once told', ofIndex('getAutoRefresh')],
  ['refresh by what is no boolean', ofIndex('setAutoRefresh', { autoRefresh: 'yes' })],
  ['refresh by nothing', ofIndex('setAutoRefresh', {})],
  ['create', write('create', 'grace', people.grace)],
  ['create what exists', write('create', 'grace', people.ada)],
  ['create nothing', write('create', 'empty', {})],
  ['create or replace, new', write('createOrReplace', 'ada', people.mary)],
  ['create or replace, old', write('createOrReplace', 'ada', people.ada)],
  ['create or replace, to be replaced', write('createOrReplace', 'mary', people.ada)],
  ['replace what exists', write('replace', 'mary', people.mary)],
  ['replace what does not', write('replace', 'nobody', people.mary)],
  ['update', write('update', 'mary', { info: { hobby: 'computer' } })],
  ['update what does not exist', write('update', 'nobody', { a: 1 })],
  ['create what does not fit', write('create', 'unfit', { info: { age: 'old' } })],
  ['get', at('read', 'get', { _id: 'mary' })],
  ['get what does not exist', at('read', 'get', { _id: 'nobody' })],
  ['the mapping that documents made', admin('getMapping')],
  ['a mapping that contradicts', admin('updateMapping', { properties: { born: { type: 'long' } } })],
  ['a mapping that is none', admin('updateMapping', { properties: { a: { type: 'strong' } } })],
  ['search for everything', read('search', {})],
  ['search by an analysed term', read('search', { filter: { term: { firstName: 'grace' } } })],
  ['search by the term itself, which is analysed', read('search', { filter: { term: { firstName: 'Grace' } } })],
  ['search by an exact term', read('search', { filter: { term: { exact: 'Grace' } } })],
  ['search with a score', read('search', { query: { match: { 'info.city': 'NYC' } }, size: 1 })],
  ['search by an id', read('search', { filter: { regexp: { _uid: 'people.(a|m).*' } }, sort: { _uid: 'desc' }, version: true })],
  ['search, sorted and cut', read('search', { sort: [{ 'info.age': 'desc' }], from: 1, size: 1, _source: 'firstName', fields: ['info.city'] })],
  ['search with highlights', read('search', { query: { match: { firstName: 'ada' } }, highlight: { fields: { firstName: {} } } })],
  ['search with aggregations', read('search', {
    size: 0,
    aggs: {
      cities: { terms: { field: 'info.city' }, aggs: { ages: { stats: { field: 'info.age' } } } },
      decades: { date_histogram: { field: 'born', interval: 'year', min_doc_count: 1, format: 'yyyy' } },
    },
  })],
  ['search around a place', read('search', { filter: { geo_distance: { distance: '50km', location: { lat: 51.5, lon: 0 } } } })],
  ['search by a range of dates', read('search', { query: { filtered: { filter: { range: { born: { gte: '1900', lt: '1920-01-01' } } } } } })],
  ['search what finds nothing', read('search', { query: { match: { firstName: 'nobody' } } })],
  ['search no collection', { ...read('search', {}), collection: 'nothing' }],
  ['search no index', elsewhere(read('search', {}))],
  ['search by an unknown query', read('search', { query: { bool: { must: [{ trem: { a: 1 } }] } } })],
  ['search with an unknown key', read('search', { quarry: {} })],
  ['search beyond the last page', read('search', { from: 10000, size: 1 })],
  ['search for a negative size', read('search', { size: -1 })],
  ['count', read('count', { query: { match: { 'info.city': 'NYC' } } })],
  ['count everything', read('count', {})],
  ['count no index', elsewhere(read('count', {}))],
  ['count with a sort', read('count', { sort: 'born' })],
  ['import', at('bulk', 'import', { body: [
    { index: { _id: 1 } }, { title: 'foo' }, { index: { _id: 2 } }, { title: 'bar' },
    { update: { _id: 1 } }, { doc: { title: 'foobar' } }, { delete: { _id: 2 } }] })],
  ['import, naming the collection', { ...at('bulk', 'import', { body: [{ index: { _id: 3, _type: 'titles' } }, { title: 'three' }] }), collection: undefined }],
  ['import, naming everything', { controller: 'bulk', action: 'import', body: [{ create: { _id: 4, _index: 'same', _type: 'titles' } }, { title: 'four' }] }],
  ['import without a collection', { controller: 'bulk', action: 'import', index: 'same', body: [{ index: { _id: 5 } }, { title: 'five' }] }],
  ['import in part', at('bulk', 'import', { body: [
    { create: { _id: 1 } }, { title: 'again' }, { update: { _id: 'nobody' } }, { doc: { a: 1 } }, { delete: { _id: 'nobody' } },
    { index: { _id: 6 } }, { born: 'not a date' }, { index: { _id: 7 } }, { title: 'seven' }] })],
  ['import lines out of order', at('bulk', 'import', { body: [{ index: { _id: 8 } }, { title: 'eight' }, { title: 'nine' }, { index: { _id: 9 } }] })],
  ['import without a document', at('bulk', 'import', { body: [{ index: { _id: 8 } }] })],
  ['import nothing', at('bulk', 'import', { body: [] })],
  ['what was refused was not imported', at('read', 'get', { _id: '8' })],
  ['the stored collections', at('read', 'listCollections', { body: { type: 'stored' }, collection: undefined })],
  ['all collections', at('read', 'listCollections', { body: { type: 'all' }, collection: undefined })],
  ['collections of an unknown type', at('read', 'listCollections', { body: { type: 'some' }, collection: undefined })],
  ['the indexes', { controller: 'read', action: 'listIndexes' }],
  ['refresh', ofIndex('refreshIndex')],
  ['refresh no index', elsewhere(ofIndex('refreshIndex'))],
  ['delete', write('delete', '1')],
  ['delete what does not exist', write('delete', '1')],
  ['delete by a query', write('deleteByQuery', undefined, { query: { match: { 'info.city': 'NYC' } } })],
  ['delete by a query that finds nothing', write('deleteByQuery', undefined, { query: { match: { 'info.city': 'NYC' } } })],
  ['delete by a query that is none', write('deleteByQuery', undefined, { query: { trem: {} } })],
  ['delete by a query of no index', elsewhere(write('deleteByQuery', undefined, {}))],
  ['truncate', admin('truncateCollection')],
  ['truncate no index', elsewhere(admin('truncateCollection'))],
  ['count what is left', read('count', {})],
  ['the mapping after all', { ...admin('getMapping'), collection: 'titles' }],
  ['delete some indexes', { controller: 'admin', action: 'deleteIndexes', body: { indexes: ['nowhere'] } }],
  ['delete the index', ofIndex('deleteIndex')],
  ['delete it again', ofIndex('deleteIndex')],
  ['automatic refresh of what is gone', ofIndex('getAutoRefresh')],
];

async function run() {
  const [rest, socketio, amqp, mqtt, stomp] = process.argv.slice(2).map(Number);
  const ports = { rest, socketio, amqp, mqtt, stomp };
  for (const [protocol, client] of Object.entries(clients)) {
    const open = await client.connect(ports);
    for (const [what, request] of STEPS) {
      const answer = await open.ask({ ...request, metadata: { step: what } });
      console.log(JSON.stringify({ protocol, what, answer }));
    }
    await open.end();
  }
}

setTimeout(() => { console.error('it hangs'); process.exit(1); }, 150000).unref();
run().then(() => process.exit(0), (error) => {
  console.error(error.stack || error);
  process.exit(1);
});
