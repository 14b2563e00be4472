// The page for operators: which view is shown, and asking the server every two seconds.

import { h, notice, number } from "/_admin/dom.js";
import { views } from "/_admin/views.js";

const PAUSE_MS = 2000;
// Ten minutes of points.
const POINTS_MAX = 300;

const main = document.getElementById("main");
const paused = document.getElementById("pause");
let shown = null;
let running = null;

// Asks the server; the answer's `result`, or an error with its message.
export async function api(method, path, body) {
  const answer = await fetch(path, {
    method,
    headers: { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: "no-store",
  });
  const response = await answer.json().catch(() => ({ error: { message: `the server answered ${answer.status}` } }));
  if (response.error) throw new Error(response.error.message);
  return response.result;
}

export const broker = (method, path, body) => api(method, "/api/1.0/_broker" + path, body);

// Does something and says how it went; what is shown is asked for again.
export async function act(done, promise) {
  try {
    const result = await promise;
    notice(typeof done === "function" ? done(result) : done);
    return result;
  } catch (error) {
    notice(error.message, true);
    return null;
  } finally {
    refresh();
  }
}

// What was seen of something over time: counters become rates.
const histories = new Map();
export function remember(key, counters, levels) {
  const now = Date.now() / 1000;
  let history = histories.get(key);
  if (!history) histories.set(key, history = { at: [], series: {}, before: null, seen: now });
  history.seen = now;
  const before = history.before;
  history.before = { now, counters };
  if (!before || now - before.now < 0.5) {
    if (before) history.before = before;
    return history;
  }
  const add = (name, value) => {
    const values = history.series[name] ??= [];
    values.push(value);
    if (values.length > POINTS_MAX) values.shift();
  };
  history.at.push(now);
  if (history.at.length > POINTS_MAX) history.at.shift();
  for (const [name, total] of Object.entries(counters)) {
    add(name, Math.max(0, (total - (before.counters[name] ?? total)) / (now - before.now)));
  }
  for (const [name, value] of Object.entries(levels)) add(name, value);
  return history;
}

export function seconds(history) {
  return history.at.length ? Date.now() / 1000 - history.at[0] : 0;
}

// What was not seen for a minute is forgotten.
function forget() {
  const limit = Date.now() / 1000 - 60;
  for (const [key, history] of histories) if (history.seen < limit) histories.delete(key);
}

async function head() {
  const [overview, info, problems] = await Promise.all([
    broker("GET", ""), api("GET", "/api/_serverInfo"), api("GET", "/api/1.0/_server/problems"),
  ]);
  const kuzzle = info.serverInfo.kuzzle;
  document.getElementById("version").textContent = `${kuzzle.version}, up ${uptime(kuzzle.uptime)}`;
  const errors = problems.problems.filter((problem) => problem.level === "error").length;
  const count = document.getElementById("problem-count");
  count.hidden = !errors;
  count.textContent = number(errors);
  const store = info.serverInfo.services.writeEngine;
  const trouble = overview.journal.failure || overview.alarm || (store.status === "red" && store.reason);
  health(trouble ? "needs attention" : "running", trouble ? "bad" : "good");
  remember("overview",
    { published: overview.published.total, delivered: overview.delivered.total },
    { ready: overview.ready, unsettled: overview.unsettled, connections: overview.connections });
  return { overview, kuzzle, services: info.serverInfo.services, problems: problems.problems };
}

function uptime(text) {
  const all = parseFloat(text) || 0;
  if (all < 60) return Math.round(all) + " s";
  if (all < 3600) return Math.round(all / 60) + " min";
  if (all < 172800) return (all / 3600).toFixed(1) + " h";
  return Math.round(all / 86400) + " days";
}

function health(text, kind) {
  const pill = document.getElementById("health");
  if (pill.textContent !== text) pill.textContent = text;
  pill.className = "pill " + kind;
}

// Puts new content in place of the old, and the focus where it was.
function show(nodes) {
  const focused = document.activeElement?.dataset?.focus;
  shown.body.replaceChildren(...nodes.flat(3).filter(Boolean));
  if (focused) {
    const again = [...shown.body.querySelectorAll("[data-focus]")].find((one) => one.dataset.focus === focused);
    again?.focus({ preventScroll: true });
  }
}

export function refresh() {
  clearTimeout(running);
  running = setTimeout(tick, 0);
}

let turn = 0;
async function tick() {
  clearTimeout(running);
  const mine = ++turn;
  const view = shown;
  try {
    if (!document.hidden) {
      const common = await head();
      const nodes = await view.load({ ...common, state: view.state, refresh });
      if (view === shown && mine === turn) show(nodes);
    }
  } catch (error) {
    health("no answer", "bad");
    if (view === shown && mine === turn && !view.body.hasChildNodes()) {
      show([h("p", { class: "empty" }, h("strong", {}, "The server does not answer."), error.message)]);
    }
  }
  forget();
  if (mine === turn && paused.getAttribute("aria-pressed") === "false") running = setTimeout(tick, PAUSE_MS);
}

function open() {
  const name = location.hash.slice(1) in views ? location.hash.slice(1) : "overview";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === "#" + name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const view = views[name];
  const tools = h("div", { class: "tools" });
  if (view.filter) {
    const changed = (event) => { view.state.name = event.target.value; view.state.page = 1; refresh(); };
    tools.append(h("input", { type: "search", placeholder: view.filter, "aria-label": view.filter, value: view.state.name, oninput: changed }));
  }
  const body = h("div", {});
  shown = { ...view, body };
  document.title = view.title + " – kuzzle-host";
  main.replaceChildren(h("div", { class: "top" }, h("h1", {}, view.title), tools, view.about && h("p", {}, view.about)), body);
  refresh();
}

paused.addEventListener("click", () => {
  const stop = paused.getAttribute("aria-pressed") === "false";
  paused.setAttribute("aria-pressed", String(stop));
  paused.textContent = stop ? "Resume" : "Pause";
  if (!stop) refresh();
});
addEventListener("hashchange", () => { open(); main.focus({ preventScroll: true }); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
open();
