// A page in headless Chromium that reports what it finds.
'use strict';
const { spawn } = require('child_process');
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');

const DEADLINE_MS = 90000;

function listen(server) {
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));
}

// Serves a page and its files; resolves with what the page reports.
async function servePage(files) {
  let reported;
  const result = new Promise((resolve) => { reported = resolve; });
  const server = http.createServer((request, answer) => {
    const name = request.url.split('?')[0];
    if (request.method === 'POST' && name === '/result') {
      const chunks = [];
      request.on('data', (chunk) => chunks.push(chunk));
      request.on('end', () => { answer.end(); reported(JSON.parse(Buffer.concat(chunks).toString('utf8'))); });
    } else if (files[name]) {
      const type = name.endsWith('.js') ? 'application/javascript' : name.endsWith('.json') ? 'application/json' : 'text/html';
      answer.setHeader('Content-Type', `${type}; charset=utf-8`);
      answer.end(files[name]);
    } else {
      answer.statusCode = 404;
      answer.end();
    }
  });
  return { port: await listen(server), result };
}

// Opens `url` in a browser of its own and ends it once `result` is there.
async function browse(url, result, more) {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'kuzzle-chromium-'));
  const browser = spawn(process.env.CHROMIUM || 'chromium', [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage', '--no-first-run',
    '--no-default-browser-check', '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--disable-extensions', `--user-data-dir=${profile}`, ...more, url,
  ], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  browser.stdout.on('data', (text) => { output += text; });
  browser.stderr.on('data', (text) => { output += text; });
  const ended = new Promise((resolve) => browser.on('exit', resolve));
  const failed = new Promise((_, reject) => {
    browser.on('error', reject);
    browser.on('exit', (code) => reject(new Error(`the browser ended with ${code} before the page reported`)));
    setTimeout(() => reject(new Error(`the page reported nothing in ${DEADLINE_MS} ms`)), DEADLINE_MS).unref();
  });
  try {
    return await Promise.race([result, failed]);
  } catch (error) {
    error.message += `\n${output.slice(-4000)}`;
    throw error;
  } finally {
    // The browser leads a process group of its own; its helpers are in it.
    try { process.kill(-browser.pid, 'SIGKILL'); } catch (_) { /* it has ended */ }
    await ended;
    fs.rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
}

module.exports = { browse, listen, servePage };
