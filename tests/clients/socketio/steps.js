// What every generation of client does, in Node and in a browser alike. Plain functions over promises; no test framework,
// because half of them runs in a page.
(function (root, make) {
  if (typeof module === 'object' && module.exports) module.exports = make();
  else root.steps = make();
})(this, function () {
  'use strict';

  var PATIENCE_MS = 20000;
  // Two bytes, three bytes, a surrogate pair, and what looks like text encoded twice.
  var TEXT = 'héllo wörld, Ωmega, 日本語, 😀, Ã©';
  var INDEX = 'clients';

  function fail(what) { throw new Error(what); }

  // JSON with sorted keys, as the server stores it.
  function canonical(value) {
    if (Array.isArray(value)) return '[' + value.map(canonical).join(',') + ']';
    if (value === null || typeof value !== 'object') return String(JSON.stringify(value));
    return '{' + Object.keys(value).sort().map(function (key) {
      return JSON.stringify(key) + ':' + canonical(value[key]);
    }).join(',') + '}';
  }

  function equal(found, expected, what) {
    var a = canonical(found), b = canonical(expected);
    if (a !== b) fail(what + ': found ' + a.slice(0, 300) + ', expected ' + b.slice(0, 300));
  }

  function patience(promise, what) {
    return new Promise(function (resolve, reject) {
      var timer = setTimeout(function () { reject(new Error(what + ': nothing after ' + PATIENCE_MS + ' ms')); }, PATIENCE_MS);
      promise.then(function (value) { clearTimeout(timer); resolve(value); },
        function (error) { clearTimeout(timer); reject(error); });
    });
  }

  var lastId = 0;
  function id() { return 'r' + (++lastId) + '-' + Math.random().toString(36).slice(2); }

  // One request as the SDK of 2016 sends it: event `kuzzle` out, event `<requestId>` back.
  function request(socket, message) {
    message.requestId = message.requestId || id();
    var answered = new Promise(function (resolve) { socket.once(message.requestId, resolve); });
    socket.emit('kuzzle', message);
    return patience(answered, message.controller + '.' + message.action);
  }

  function create(collection, documentId, body) {
    return { controller: 'write', action: 'createOrReplace', index: INDEX, collection: collection, _id: documentId, body: body };
  }

  function get(collection, documentId) {
    return { controller: 'read', action: 'get', index: INDEX, collection: collection, _id: documentId };
  }

  function open(io, url, options) {
    var socket = io(url, options);
    return patience(new Promise(function (resolve, reject) {
      socket.on('connect', function () { resolve(socket); });
      ['error', 'connect_error', 'connect_timeout'].forEach(function (event) {
        socket.on(event, function (error) { reject(new Error(event + ': ' + (error && error.message || error))); });
      });
    }), 'connect');
  }

  // The transport that ends up carrying the session; an upgrade takes a few round trips.
  function transport(socket, expected) {
    var until = Date.now() + PATIENCE_MS;
    return new Promise(function (resolve, reject) {
      (function look() {
        var name = socket.io.engine.transport.name;
        if (name === expected && !socket.io.engine.upgrading) return resolve(name);
        if (Date.now() > until) return reject(new Error('transport is ' + name + ', expected ' + expected));
        setTimeout(look, 20);
      })();
    });
  }

  // Runs every step. `settings`: `url`, `collection`, `options` for the client, `transport` that is expected in the end,
  // `binary` bytes to attach. Resolves to the documents that the server has to hold afterwards, by their id.
  function run(io, settings) {
    var collection = settings.collection, stored = {}, socket;

    function store(documentId, body) {
      stored[documentId] = body;
      return request(socket, create(collection, documentId, body)).then(function (answer) {
        equal(answer.error, null, 'error of ' + documentId);
        equal(answer.status, 200, 'status of ' + documentId);
        equal(answer.result._id, documentId, '_id of ' + documentId);
        equal(answer.result._source, body, '_source of ' + documentId);
      });
    }

    function fetch(documentId) {
      return request(socket, get(collection, documentId)).then(function (answer) {
        equal(answer.status, 200, 'status of get ' + documentId);
        equal(answer.result._source, stored[documentId], 'get ' + documentId);
      });
    }

    return open(io, settings.url, settings.options).then(function (opened) {
      socket = opened;
      // At once, while a client that upgrades is still on long-polling or between both.
      return store('early', { text: TEXT });
    }).then(function () {
      return fetch('early');
    }).then(function () {
      return transport(socket, settings.transport);
    }).then(function () {
      return store('late', { text: TEXT, quote: 'a "quoted" \\ line\n' });
    }).then(function () {
      return fetch('late');
    }).then(function () {
      // Pipelined: answers come in the order of their requests.
      var order = [], expected = [], all = [];
      for (var i = 0; i < 100; i++) (function (i) {
        var message = i % 3 ? create(collection, 'p' + i, { n: i, text: TEXT }) : { controller: 'read', action: 'now' };
        if (i % 3) stored['p' + i] = message.body;
        expected.push(i);
        all.push(request(socket, message).then(function (answer) {
          equal(answer.status, 200, 'status of pipelined ' + i);
          order.push(i);
        }));
      })(i);
      return Promise.all(all).then(function () { equal(order, expected, 'order of answers'); });
    }).then(function () {
      return store('large', { text: new Array(settings.largeBytes).join('x') });
    }).then(function () {
      return fetch('large');
    }).then(function () {
      // An acknowledgement is not part of the protocol; who waits for one gets the answer there too.
      var message = { controller: 'read', action: 'now', requestId: id() };
      var event = new Promise(function (resolve) { socket.once(message.requestId, resolve); });
      var ack = new Promise(function (resolve) { socket.emit('kuzzle', message, resolve); });
      return patience(Promise.all([event, ack]), 'acknowledgement').then(function (both) {
        equal(both[1], both[0], 'acknowledged answer');
      });
    }).then(function () {
      // Nothing of this has an answer; nothing of it may disturb what follows.
      socket.emit('other', { a: 1 });
      socket.emit('other', settings.binary, { b: settings.binary });
      socket.emit('kuzzle', { controller: 'write', body: { b: settings.binary } });
      socket.emit('kuzzle');
      socket.emit('kuzzle', 'text');
      return fetch('late');
    }).then(function () {
      return request(socket, { controller: 'read', action: 'nothing' }).then(function (answer) {
        equal(answer.status, 400, 'status of an unknown action');
        equal(answer.error.message, 'No corresponding action nothing in controller read', 'message');
      });
    }).then(function () {
      // There is one namespace.
      var other = socket.io.socket('/other');
      return patience(new Promise(function (resolve, reject) {
        other.on('error', resolve);
        other.on('connect_error', resolve);
        other.on('connect', function () { reject(new Error('namespace /other was joined')); });
        if (other.connect) other.connect();
      }), 'refusal of a namespace').then(function () { return fetch('late'); });
    }).then(function () {
      equal(socket.io.engine.transport.name, settings.transport, 'transport in the end');
      socket.disconnect();
      return stored;
    });
  }

  return { run: run, request: request, open: open, index: INDEX, create: create, get: get, equal: equal, patience: patience };
});
