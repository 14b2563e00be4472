'use strict';
// Looks at what the server stored, over REST: an echo would hide damage that is undone on the way back.
const http = require('http');
const steps = require('./steps');

function fetchDocument(rest, collection, id) {
  return new Promise((resolve, reject) => {
    http.get(`http://${rest}/api/1.0/${steps.index}/${collection}/${encodeURIComponent(id)}`, (answer) => {
      const chunks = [];
      answer.on('data', (chunk) => chunks.push(chunk));
      answer.on('end', () => {
        try { resolve(JSON.parse(Buffer.concat(chunks).toString('utf8'))); } catch (error) { reject(error); }
      });
    }).on('error', reject);
  });
}

// `stored`: bodies by their document's id.
async function check(rest, collection, stored) {
  for (const [id, body] of Object.entries(stored)) {
    const answer = await fetchDocument(rest, collection, id);
    steps.equal(answer.status, 200, `REST: status of ${id}`);
    steps.equal(answer.result._source, body, `REST: ${id}`);
  }
  return Object.keys(stored).length;
}

module.exports = { check, fetchDocument };
