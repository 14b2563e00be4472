'use strict';
// node sdk_documents.js PORT REST: the JavaScript SDK of 2016 searches, counts, deletes by filters, maps, truncates, refreshes.
const Kuzzle = require('kuzzle-sdk');
const steps = require('./steps');

const [port] = process.argv.slice(2);
const INDEX = 'sdk-documents';
const COLLECTION = 'people';

// What the SDK calls with `(error, result)`, as a promise.
function call(what, start) {
  return steps.patience(new Promise((resolve, reject) => {
    start((error, result) => (error ? reject(new Error(`${what}: ${JSON.stringify(error)}`)) : resolve(result)));
  }), what);
}

// The error of what has to fail.
function fails(what, start) {
  return steps.patience(new Promise((resolve, reject) => {
    start((error, result) => (error ? resolve(error) : reject(new Error(`${what} answered ${JSON.stringify(result)}`))));
  }), what);
}

(async () => {
  let kuzzle;
  await call('connect', (done) => { kuzzle = new Kuzzle(`http://127.0.0.1:${port}`, { defaultIndex: INDEX }, done); });
  await call('createIndex', (done) => kuzzle.query({ controller: 'admin', action: 'createIndex', index: INDEX }, {}, done));

  const get = () => call('getAutoRefresh', (done) => kuzzle.getAutoRefresh(INDEX, done));
  steps.equal((await get()).result, false, 'automatic refresh at first');
  const set = await call('setAutoRefresh', (done) => kuzzle.setAutoRefresh(INDEX, true, done));
  steps.equal([set.result, (await get()).result], [true, true], 'automatic refresh');

  const people = kuzzle.dataCollectionFactory(COLLECTION);
  await call('create', (done) => people.create(done));
  steps.equal((await call('getMapping', (done) => people.getMapping(done))).mapping, {}, 'mapping of an empty collection');
  const mapping = people.dataMappingFactory({ firstName: { type: 'string', copy_to: 'exact' } });
  mapping.set('exact', { type: 'string', index: 'not_analyzed' });
  const applied = await call('apply', (done) => mapping.apply(done));
  steps.equal(applied.mapping, {
    exact: { type: 'string', index: 'not_analyzed' }, firstName: { type: 'string', copy_to: ['exact'] },
  }, 'mapping');
  const conflict = people.dataMappingFactory({ firstName: { type: 'long' } });
  const refused = await fails('a mapping that contradicts', (done) => conflict.apply(done));
  if (!/firstName/.test(refused.message)) throw new Error(`refused with ${refused.message}`);

  const documents = { grace: ['Grace', 'NYC'], ada: ['Ada', 'London'], mary: ['Mary', 'NYC'] };
  for (const [id, [firstName, city]] of Object.entries(documents)) {
    await call('createDocument', (done) => people.createDocument(id, { firstName, info: { city } }, done));
  }
  const search = (filters) => call('advancedSearch', (done) => people.advancedSearch(filters, done));
  const ids = (found) => found.documents.map((document) => document.id);
  const grace = await search({ filter: { term: { exact: 'Grace' } }, version: true });
  steps.equal([grace.total, ids(grace)], [1, ['grace']], 'found by an exact term');
  const [document] = grace.documents;
  steps.equal([document.version, document.content], [1, { firstName: 'Grace', info: { city: 'NYC' } }], 'document found');
  steps.equal(ids(await search({ query: { match: { 'info.city': 'nyc' } }, sort: { exact: 'desc' } })), ['mary', 'grace'], 'sorted');
  const malformed = await fails('a search that is none', (done) => people.advancedSearch({ query: { trem: {} } }, done));
  if (!/trem/.test(malformed.message)) throw new Error(`refused with ${malformed.message}`);

  const all = await call('fetchAllDocuments', (done) => people.fetchAllDocuments(done));
  steps.equal([all.total, ids(all)], [3, ['grace', 'ada', 'mary']], 'all documents');
  const page = await call('fetchAllDocuments, a page', (done) => people.fetchAllDocuments({ from: 1, size: 1 }, done));
  steps.equal([page.total, ids(page)], [3, ['ada']], 'a page of them');

  const count = (filters) => call('count', (done) => people.count(filters, done));
  steps.equal([await count({}), await count({ query: { match: { 'info.city': 'NYC' } } })], [3, 2], 'counts');

  const deleted = await call('deleteDocument by a filter',
    (done) => people.deleteDocument({ query: { match: { 'info.city': 'NYC' } } }, done));
  steps.equal(deleted, ['grace', 'mary'], 'deleted');
  steps.equal(await count({}), 1, 'documents left');

  await call('setAutoRefresh, off', (done) => kuzzle.setAutoRefresh(INDEX, false, done));
  // A second after a write it is seen anyway: whoever is so slow has to try again.
  for (let tooSlow = true; tooSlow;) {
    const began = Date.now();
    await call('createDocument',
      (done) => people.createDocument('late', { firstName: `Late${began}` }, { updateIfExist: true }, done));
    const seen = await count({ query: { term: { exact: `Late${began}` } } });
    tooSlow = Date.now() - began > 900;
    if (!tooSlow) steps.equal(seen, 0, 'documents before the refresh');
  }
  const refreshed = await call('refreshIndex', (done) => kuzzle.refreshIndex(INDEX, done));
  steps.equal(refreshed.result ? refreshed.result._shards.failed : refreshed._shards.failed, 0, 'failed shards');
  steps.equal(await count({}), 2, 'documents after the refresh');

  const truncated = await call('truncate', (done) => people.truncate(done));
  steps.equal(truncated.result.ids, ['ada', 'late'], 'truncated');
  await call('refreshIndex', (done) => kuzzle.refreshIndex(INDEX, done));
  steps.equal(await count({}), 0, 'documents after the truncation');
  const listed = await call('listCollections', (done) => kuzzle.listCollections(INDEX, done));
  steps.equal(listed.stored, [COLLECTION], 'stored collections');
  kuzzle.disconnect();
  console.log('ok sdk_documents');
  process.exit(0);
})().catch((error) => {
  console.error(`sdk_documents: ${error.stack || error}`);
  process.exit(1);
});
