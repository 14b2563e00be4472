'use strict';
// node sdk.js PORT REST: the JavaScript SDK of 2016 connects, creates, reads, updates, replaces and deletes documents.
const Kuzzle = require('kuzzle-sdk');
const rest = require('./rest');
const steps = require('./steps');

const [port, restAddress] = process.argv.slice(2);
const COLLECTION = 'sdk';
const TEXT = 'héllo, 日本語, 😀';

// What the SDK calls with `(error, result)`, as a promise.
function call(what, start) {
  return steps.patience(new Promise((resolve, reject) => {
    start((error, result) => (error ? reject(new Error(`${what}: ${JSON.stringify(error)}`)) : resolve(result)));
  }), what);
}

(async () => {
  let kuzzle;
  await call('connect', (done) => {
    kuzzle = new Kuzzle(`http://127.0.0.1:${port}`, { defaultIndex: steps.index }, done);
  });
  const now = await call('now', (done) => kuzzle.now(done));
  if (Math.abs(now - Date.now()) > 60000) throw new Error(`now is ${now}`);

  const collection = kuzzle.dataCollectionFactory(COLLECTION);
  const created = await call('createDocument', (done) => collection.createDocument('sdk-1', { name: TEXT }, done));
  steps.equal([created.id, created.version, created.content], ['sdk-1', 1, { name: TEXT }], 'created');

  const again = await call('createDocument of one that exists',
    (done) => collection.createDocument('sdk-1', { name: 'other' }, (error) => done(null, error)));
  if (!again || !again.message) throw new Error(`a second create answered ${JSON.stringify(again)}`);

  const generated = await call('createDocument without an id', (done) => collection.createDocument({ n: 1 }, done));
  if (!generated.id) throw new Error('no id was generated');

  const fetched = await call('fetchDocument', (done) => collection.fetchDocument('sdk-1', done));
  steps.equal([fetched.id, fetched.content], ['sdk-1', { name: TEXT }], 'fetched');

  const updated = await call('updateDocument', (done) => collection.updateDocument('sdk-1', { age: 7 }, done));
  steps.equal([updated.id, updated.content], ['sdk-1', { name: TEXT, age: 7 }], 'updated');
  await rest.check(restAddress, COLLECTION, { 'sdk-1': { name: TEXT, age: 7 } });

  const replaced = await call('replaceDocument', (done) => collection.replaceDocument('sdk-1', { only: TEXT }, done));
  steps.equal(replaced.content, { only: TEXT }, 'replaced');
  await rest.check(restAddress, COLLECTION, { 'sdk-1': { only: TEXT } });

  const indexes = await call('listIndexes', (done) => kuzzle.listIndexes(done));
  if (!indexes.includes(steps.index)) throw new Error(`indexes are ${JSON.stringify(indexes)}`);
  const info = await call('getServerInfo', (done) => kuzzle.getServerInfo(done));
  if (!info.kuzzle) throw new Error(`server info is ${JSON.stringify(info)}`);

  await call('deleteDocument', (done) => collection.deleteDocument('sdk-1', done));
  const gone = await rest.fetchDocument(restAddress, COLLECTION, 'sdk-1');
  steps.equal(gone.status, 404, 'REST: status of the deleted document');
  await call('fetchDocument of the deleted one',
    (done) => collection.fetchDocument('sdk-1', (error) => done(error ? null : 'it is still there')));
  kuzzle.disconnect();
  console.log('ok sdk');
  process.exit(0);
})().catch((error) => {
  console.error(`sdk: ${error.stack || error}`);
  process.exit(1);
});
