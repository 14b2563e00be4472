'use strict';
// node page.js URL FOLDER [QUICK]
//   goes through the page for operators of the server at URL as one would, and leaves pictures of it in FOLDER. The server
//   has the protocol `amqp`, a queue whose name is markup, and the queue `orders` with messages in it.
const assert = require('assert');
const http = require('http');
const path = require('path');
const { Browser } = require('./browser');

const [url, folder] = process.argv.slice(2);
const MARKUP = '<img src=x onerror="window.harmed=1">';
const VIEWS = ['overview', 'protocols', 'connections', 'queues', 'exchanges', 'subscriptions', 'problems'];

async function through(browser) {
  const text = (selector) => `document.querySelector(${JSON.stringify(selector)})?.innerText`;
  const click = (selector, words) => browser.wait(`${selector} ${words}`, `(() => {
    const found = [...document.querySelectorAll(${JSON.stringify(selector)})].find((one) => one.textContent.trim() === ${JSON.stringify(words)});
    found?.click(); return Boolean(found); })()`);
  const shoot = async (name) => {
    // Colours fade in.
    await browser.wait('the page to come to rest', `document.getAnimations().every((one) => one.playState === 'finished')`);
    await browser.screenshot(path.join(folder, name + '.png'));
  };

  await browser.size(1360, 900, 'light');
  await browser.open(url + '/_admin');
  await browser.wait('the figures', `document.querySelectorAll('.figure').length >= 6 && ${text('#health')} === 'running'`);
  // Points for the charts.
  await browser.wait('lines in the charts', `document.querySelectorAll('.chart path.line').length >= 4`);
  await new Promise((resolve) => setTimeout(resolve, Number(process.env.POINTS_MS || 0)));

  for (const scheme of ['light', 'dark']) {
    await browser.size(1360, 900, scheme);
    for (const view of VIEWS) {
      await browser.evaluate(`location.hash = ${JSON.stringify(view)}`);
      await browser.wait(view, `document.querySelector('nav a[aria-current]')?.hash === '#${view}' && document.querySelector('main > div:last-child').hasChildNodes()`);
      assert.equal(await browser.evaluate('document.documentElement.scrollWidth <= innerWidth'), true, `${view} is too wide`);
      await shoot(`${view}-${scheme}`);
    }
  }
  await browser.size(400, 800, 'light');
  await browser.evaluate(`location.hash = 'queues'`);
  await browser.wait('the queues', `document.title.startsWith('Queues') && document.querySelector('main table')`);
  assert.equal(await browser.evaluate('document.documentElement.scrollWidth <= innerWidth'), true, 'too wide for a telephone');
  await shoot('queues-narrow');
  await browser.size(1360, 900, 'light');

  // Names are text, whatever they look like.
  await browser.wait('the name that is markup', `[...document.querySelectorAll('button.name')].some((one) => one.textContent === ${JSON.stringify(MARKUP)})`);
  assert.equal(await browser.evaluate(`document.querySelectorAll('main img').length`), 0);
  await click('button.name', MARKUP);
  await browser.wait('its dialog', `document.querySelector('dialog[open] h2')?.textContent === ${JSON.stringify(MARKUP)}`);
  await browser.wait('its figures', `document.querySelector('dialog .facts')`);
  assert.equal(await browser.evaluate(`document.querySelectorAll('dialog img').length`), 0);
  await click('dialog button', 'Done');

  // A queue is filtered for, looked into, and purged once that is confirmed.
  await browser.evaluate(`(() => { const input = document.querySelector('input[type=search]'); input.value = 'ORDERS'; input.dispatchEvent(new Event('input')); })()`);
  await browser.wait('one queue', `document.querySelectorAll('main tbody tr').length === 1`);
  await click('button.name', 'orders');
  await click('dialog button', 'Look at messages');
  await browser.wait('the messages', `[...document.querySelectorAll('dialog pre')].some((one) => one.textContent.includes('<b>payload</b>'))`);
  await browser.wait('the chart of its depth', `document.querySelectorAll('dialog path.line').length >= 2`);
  await shoot('queue');
  await browser.size(1360, 900, 'dark');
  await shoot('queue-dark');
  await browser.size(1360, 900, 'light');
  await click('dialog button', 'Purge');
  await browser.wait('the question', `document.querySelector('dialog.ask[open]')`);
  await shoot('ask');
  await click('dialog.ask button', 'Cancel');
  await browser.wait('the question to go', `!document.querySelector('dialog.ask')`);
  await click('dialog button', 'Purge');
  await click('dialog.ask button', 'Purge');
  await browser.wait('the queue to be empty', `/^0 /.test(document.querySelector('dialog .facts dd')?.textContent || '')`);
  await click('dialog button', 'Done');

  // A protocol is switched off and on.
  await browser.evaluate(`location.hash = 'protocols'`);
  const state = `document.querySelector('.protocol .pill')?.textContent`;
  await browser.wait('it to run', `${state} === 'running'`);
  await click('.protocol button', 'Disable');
  await browser.wait('the question, or the end', `document.querySelector('dialog.ask[open]') || ${state} === 'stopped'`);
  await browser.evaluate(`document.querySelector('dialog.ask .danger')?.click()`);
  await browser.wait('it to stop', `${state} === 'stopped'`);
  await click('.protocol button', 'Enable');
  await browser.wait('it to run again', `${state} === 'running'`);

  // The keyboard reaches everything that can be done, and each of it has a name.
  const nameless = await browser.evaluate(`[...document.querySelectorAll('button, a, input')].filter((one) => !(one.getAttribute('aria-label') || one.textContent.trim())).length`);
  assert.equal(nameless, 0, 'something has no name');
  assert.equal(await browser.evaluate('window.harmed'), undefined, 'a name was taken for markup');
  assert.deepEqual(browser.complaints, []);
  const elsewhere = browser.requested.filter((one) => !one.startsWith(url) && !one.startsWith('data:') && !one.startsWith('about:'));
  assert.deepEqual(elsewhere, [], 'the page asked for something elsewhere');
}

// A page of another origin that tries what the operator's page may.
async function elsewhere(browser) {
  const server = http.createServer((_, answer) => { answer.setHeader('Content-Type', 'text/html'); answer.end('<p>another page</p>'); });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  await browser.open(`http://127.0.0.1:${server.address().port}/`);
  await browser.wait('the other page', `document.body?.innerText === 'another page'`);
  const queue = url + '/api/1.0/_broker/queues/%2F/orders';
  const tried = await browser.evaluate(`(async () => {
    const tries = [
      [${JSON.stringify(queue)}, { method: 'DELETE' }],
      [${JSON.stringify(queue)}, { method: 'GET' }],
      [${JSON.stringify(queue)} + '/get', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' }],
      [${JSON.stringify(queue)} + '/get', { method: 'POST', mode: 'no-cors', body: '{"requeue":false}' }],
    ];
    const seen = [];
    for (const [target, options] of tries) {
      try { const answer = await fetch(target, options); seen.push(answer.type + ' ' + answer.status); } catch (_) { seen.push('refused'); }
    }
    return seen;
  })()`);
  assert.deepEqual(tried, ['refused', 'refused', 'refused', 'opaque 0']);
  await browser.evaluate(`document.body.innerHTML = '<iframe src="${url}/_admin"></iframe>'`);
  server.close();
}

(async () => {
  const browser = await Browser.start();
  try {
    await through(browser);
    browser.complaints = [];
    await elsewhere(browser);
  } finally {
    await browser.close();
  }
  console.log('ok the page for operators');
})().then(() => process.exit(0), (error) => {
  console.error(error.stack || error);
  process.exit(1);
});
