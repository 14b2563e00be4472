'use strict';
// node browser.js page VERSION polling|upgrade PORT REST
//   runs the steps of every client in headless Chromium, in a page of another origin.
// node browser.js document PORT REST CERTIFICATE KEY
//   runs the document's example as it is printed: the script from https://cdn.socket.io, which is this process here and
//   sends the file of the npm package; the server as http://localhost:7512, which PORT stands for where it is another.
const fs = require('fs');
const https = require('https');
const path = require('path');
const { browse, listen, servePage } = require('../chromium');
const rest = require('./rest');
const steps = require('./steps');

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
