'use strict';
// A headless Chromium that is told what to do over a pipe, and tells what went wrong in its pages.
const { spawn } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const DEADLINE_MS = 60000;

class Browser {
  static async start() {
    const browser = new Browser();
    browser.profile = fs.mkdtempSync(path.join(os.tmpdir(), 'kuzzle-chromium-'));
    browser.process = spawn(process.env.CHROMIUM || 'chromium', [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage', '--no-first-run',
      '--no-default-browser-check', '--disable-background-networking', '--disable-component-update', '--disable-sync',
      '--disable-extensions', '--hide-scrollbars', '--remote-debugging-pipe', `--user-data-dir=${browser.profile}`,
    ], { detached: true, stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
    browser.next = 1;
    browser.waiting = new Map();
    browser.complaints = [];
    let text = '';
    browser.process.stdio[4].on('data', (chunk) => {
      const parts = (text + chunk).split('\0');
      text = parts.pop();
      for (const part of parts) browser.take(JSON.parse(part));
    });
    const { targetId } = await browser.send('Target.createTarget', { url: 'about:blank' });
    ({ sessionId: browser.session } = await browser.send('Target.attachToTarget', { targetId, flatten: true }));
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await browser.send(domain + '.enable');
    return browser;
  }

  take(message) {
    if (message.id) {
      const { resolve, reject } = this.waiting.get(message.id);
      this.waiting.delete(message.id);
      if (message.error) reject(new Error(message.error.message)); else resolve(message.result);
    } else if (message.method === 'Runtime.exceptionThrown') {
      const { text, exception } = message.params.exceptionDetails;
      this.complaints.push(exception?.description || text);
    } else if (message.method === 'Log.entryAdded' && ['error', 'warning'].includes(message.params.entry.level)) {
      this.complaints.push(`${message.params.entry.text} ${message.params.entry.url || ''}`);
    } else if (message.method === 'Network.requestWillBeSent') {
      (this.requested ??= []).push(message.params.request.url);
    }
  }

  send(method, params = {}) {
    return new Promise((resolve, reject) => {
      const id = this.next++;
      this.waiting.set(id, { resolve, reject });
      const sessionId = method.startsWith('Target.') ? undefined : this.session;
      this.process.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + '\0');
      setTimeout(() => reject(new Error(`${method} took too long`)), DEADLINE_MS).unref();
    });
  }

  async evaluate(expression) {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description || exceptionDetails.text}`);
    return result.value;
  }

  // Waits until an expression says something that is true, and returns that.
  async wait(what, expression) {
    const end = Date.now() + DEADLINE_MS;
    let last;
    while (Date.now() < end) {
      last = await this.evaluate(expression).catch((error) => { last = error; return null; });
      if (last) return last;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const text = await this.evaluate('document.body.innerText').catch(String);
    throw new Error(`waited in vain for ${what}; the page says:\n${text}`);
  }

  open(url) {
    return this.send('Page.navigate', { url });
  }

  async size(width, height, scheme) {
    await this.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
    await this.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
  }

  async screenshot(file) {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png' });
    fs.writeFileSync(file, Buffer.from(data, 'base64'));
  }

  async close() {
    const ended = new Promise((resolve) => this.process.on('exit', resolve));
    // The browser leads a process group of its own; its helpers are in it.
    try { process.kill(-this.process.pid, 'SIGKILL'); } catch (_) { /* it has ended */ }
    await ended;
    fs.rmSync(this.profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
}

module.exports = { Browser };
