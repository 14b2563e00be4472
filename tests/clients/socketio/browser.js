'use strict';
// node browser.js page VERSION polling|upgrade PORT REST
//   runs the steps of every client in headless Chromium, in a page of another origin.
// node browser.js document PORT REST CERTIFICATE KEY
//   runs the document's example as it is printed: the script from https://cdn.socket.io, which is this process here and
//   sends the file of the npm package; the server as http://localhost:7512, which PORT stands for where it is another.
const { spawn } = require('child_process');
const fs = require('fs');
const http = require('http');
const https = require('https');
const os = require('os');
const path = require('path');
const rest = require('./rest');
const steps = require('./steps');

const DEADLINE_MS = 90000;
const EXAMPLE = `<script src="https://cdn.socket.io/socket.io-1.3.7.js"></script>
<script>
    var socket = io('http://localhost:7512');
</script>`;

// The file that each version's authors publish for browsers.
function bundle(version) {
  const folder = path.join(__dirname, 'node_modules', `socket.io-client-${version}`);
  const file = version.startsWith('1.') ? 'socket.io.js' : path.join('dist', 'socket.io.js');
  return fs.readFileSync(path.join(folder, file));
}

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

async function page(version, transport, port, restAddress) {
  const collection = `browser-${version}-${transport}`;
  const options = { forceNew: true, reconnection: false, timeout: 20000 };
  if (transport !== 'upgrade') options.transports = [transport];
  const settings = {
    url: `http://127.0.0.1:${port}`,
    collection,
    options,
    transport: transport === 'polling' ? 'polling' : 'websocket',
    largeBytes: 900 * 1024,
  };
  const served = await servePage({
    '/': fs.readFileSync(path.join(__dirname, 'page.html')),
    '/steps.js': fs.readFileSync(path.join(__dirname, 'steps.js')),
    '/client.js': bundle(version),
    '/settings.json': JSON.stringify(settings),
  });
  const found = await browse(`http://localhost:${served.port}/`, served.result, []);
  if (found.error) throw new Error(found.error);
  const checked = await rest.check(restAddress, collection, found.stored);
  return `${version} ${transport} in a browser: ${checked} documents compared over REST`;
}

async function documentExample(port, restAddress, certificate, key) {
  const served = await servePage({
    '/': fs.readFileSync(path.join(__dirname, 'document.html'), 'utf8').replace('<!-- EXAMPLE -->', EXAMPLE),
    '/steps.js': fs.readFileSync(path.join(__dirname, 'steps.js')),
  });
  let fetched = 0;
  const cdn = https.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, (request, answer) => {
    if (request.headers.host !== 'cdn.socket.io' || request.url !== '/socket.io-1.3.7.js') {
      answer.statusCode = 404;
      return answer.end();
    }
    fetched += 1;
    answer.setHeader('Content-Type', 'application/javascript');
    return answer.end(bundle('1.3.7'));
  });
  const cdnPort = await listen(cdn);
  const rules = [`MAP cdn.socket.io:443 127.0.0.1:${cdnPort}`];
  if (port !== '7512') rules.push(`MAP localhost:7512 127.0.0.1:${port}`);
  const found = await browse(`http://127.0.0.1:${served.port}/`, served.result, [
    `--host-resolver-rules=${rules.join(', ')}`, '--ignore-certificate-errors',
  ]);
  if (found.error) throw new Error(found.error);
  steps.equal(fetched, 1, 'how often the script was fetched from the CDN');
  steps.equal(found.origin, `http://127.0.0.1:${served.port}`, 'origin of the page');
  await rest.check(restAddress, 'document', found.stored);
  return 'the document’s example in a browser';
}

const [what, ...rest_of_it] = process.argv.slice(2);
(what === 'document' ? documentExample(...rest_of_it) : page(...rest_of_it)).then((done) => {
  console.log(`ok ${done}`);
  process.exit(0);
}, (error) => {
  console.error(`${process.argv.slice(2).join(' ')}: ${error.stack || error}`);
  process.exit(1);
});
