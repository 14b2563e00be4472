// What each view shows.

import { act, api, broker, remember, seconds } from "/_admin/admin.js";
import { ago, ask, chart, chips, h, number, pages, pill, rate, size, spark, table, visible } from "/_admin/dom.js";
import { openQueue } from "/_admin/queue.js";

const e = encodeURIComponent;

// A listing of the server as `state` wants it.
function list(path, state) {
  const query = new URLSearchParams({ page: state.page, pageSize: 50 });
  if (state.name) query.set("name", state.name);
  if (state.sort) { query.set("sort", state.sort); query.set("reverse", state.reverse); }
  return broker("GET", `/${path}?${query}`);
}

const fresh = (more) => ({ page: 1, name: "", sort: "", reverse: false, ...more });
const soft = (text) => h("span", { class: "soft" }, text);
const named = (text) => text === "" ? soft("(default exchange)") : h("span", { class: "name" }, visible(text));
const orDash = (value) => value === null || value === undefined || value === "" ? soft("–") : visible(value);

function figure(title, value, more) {
  return h("dl", { class: "card figure" }, h("dt", {}, title), h("dd", {}, value, more && h("small", {}, more)));
}

function trafficCharts(history) {
  const values = (name) => history.series[name] || [];
  const span = seconds(history);
  return h("div", { class: "charts" },
    chart({ title: "Messages per second", seconds: span, series: [
      { name: "published", values: values("published"), show: rate },
      { name: "delivered", values: values("delivered"), show: rate },
    ] }),
    chart({ title: "Messages in queues", seconds: span, series: [
      { name: "ready", values: values("ready"), show: number },
      { name: "unsettled", values: values("unsettled"), show: number },
    ] }));
}

const overview = {
  title: "Overview",
  state: fresh({ sort: "ready", reverse: true }),
  async load({ overview: all, kuzzle, services, problems, state, refresh }) {
    const queues = await broker("GET", "/queues?pageSize=8&sort=ready&reverse=true");
    const history = remember("overview", { published: all.published.total, delivered: all.delivered.total }, {});
    const clients = Object.values(kuzzle.protocols).reduce((sum, one) => sum + one.connections, 0);
    const plugins = Object.values(kuzzle.plugins);
    const up = plugins.filter((plugin) => plugin.state === "running").length;
    const failed = plugins.filter((plugin) => plugin.state === "failed");
    const store = services.writeEngine;
    return [
      all.alarm && h("div", { class: "banner" }, `Publishers wait: the broker is ${all.alarm}.`),
      all.journal.failure && h("div", { class: "banner" }, "The broker’s journal cannot be written: " + visible(all.journal.failure)),
      store.status === "red" && h("div", { class: "banner" }, "Documents cannot be written: " + visible(store.reason)),
      failed.map((plugin) => h("div", { class: "banner" }, `Protocol ${visible(plugin.name)} has failed: ${visible(plugin.reason)}`)),
      h("div", { class: "cards" },
        figure("Clients", number(Math.max(clients, all.connections)), `${number(up)} of ${number(plugins.length)} protocols run`),
        figure("Queues", number(all.queues), `${number(all.consumers)} consumers`),
        figure("Ready", number(all.ready), `${number(all.unsettled)} unsettled`),
        figure("Sessions", number(all.sessions), `${number(all.exchanges)} exchanges`),
        figure("Memory", size(kuzzle.memoryUsed), `${size(all.memoryBytes)} of messages`),
        figure("On disk", store.spaceUsed.replace(/([kmgt]?)b$/, (_, unit) => unit ? ` ${unit.toUpperCase()}iB` : " B"), `documents; journal ${size(all.journal.bytes)}`)),
      trafficCharts(history),
      h("section", {},
        h("div", { class: "top" }, h("h2", {}, "Longest queues"), h("div", { class: "tools" }, h("a", { href: "#queues" }, "All queues"))),
        h("div", { class: "card" }, queueTable(queues.items, null, refresh))),
      h("section", {},
        h("div", { class: "top" }, h("h2", {}, "Latest problems"), h("div", { class: "tools" }, h("a", { href: "#problems" }, "All problems"))),
        problemList(problems.slice(0, 4))),
    ];
  },
};

const STATES = { running: "good", failed: "bad", draining: "warn", starting: "warn", loaded: "warn" };

const protocols = {
  title: "Protocols",
  about: "Switching edits the file that declares them, comments and all, and applies it at once. REST is part of the server.",
  state: fresh(),
  async load() {
    const found = await api("GET", "/api/1.0/_server/protocols");
    if (!found.protocols.length) {
      return [h("div", { class: "card" }, h("p", { class: "empty" }, h("strong", {}, "No protocol is declared."), "Add a table to plugins.toml."))];
    }
    return [h("div", { class: "protocols" }, found.protocols.map(protocol))];
  },
};

// Protocols whose counters are looked at.
const unfolded = new Set();

// What a counter counts, without what is said beside it.
function counter(name, of) {
  const words = visible(name).replaceAll("_", " ").replace(/ total$/, "");
  return words.startsWith(of + " ") ? words.slice(of.length + 1) : words;
}

function protocol(it) {
  const word = it.enabled ? "Disable" : "Enable";
  const click = async (event) => {
    event.target.disabled = true;
    const path = `/api/1.0/_server/protocols/${e(it.name)}/${word.toLowerCase()}`;
    const text = h("p", {}, `Its ${number(it.connections)} clients are told goodbye, and its ports are closed.`);
    if (it.enabled && it.connections > 0 && !await ask(`Disable ${visible(it.name)}?`, text, word)) {
      event.target.disabled = false;
      return;
    }
    await act((result) => result.done, api("POST", path, {}));
  };
  const metrics = Object.entries(it.metrics || {});
  return h("article", { class: "card protocol" },
    h("div", {}, h("h2", {}, visible(it.name)), pill(it.state, STATES[it.state])),
    it.reason && h("p", { class: "reason" }, visible(it.reason)),
    h("dl", { class: "facts" },
      h("dt", {}, "Listens"), h("dd", { class: "mono" }, it.listen.length ? it.listen.map((address) => h("div", {}, visible(address))) : soft("nowhere")),
      h("dt", {}, "Clients"), h("dd", {}, number(it.connections)),
      h("dt", {}, "Plugin"), h("dd", {}, it.plugin ? `${visible(it.plugin)} ${visible(it.version)}` : soft("not loaded")),
      it.retryAt && [h("dt", {}, "Next try"), h("dd", {}, new Date(it.retryAt).toLocaleTimeString())]),
    metrics.length > 0 && h("details", { open: unfolded.has(it.name), ontoggle: (event) => unfolded[event.target.open ? "add" : "delete"](it.name) },
      h("summary", { "data-focus": "counters-" + it.name }, "Counters"),
      h("dl", { class: "facts" }, metrics.map(([name, value]) => [h("dt", {}, counter(name, it.name)), h("dd", {}, number(value))]))),
    h("div", { class: "act" },
      h("button", { type: "button", class: it.enabled ? "danger" : "primary", onclick: click, "data-focus": "switch-" + it.name,
        "aria-label": `${word} ${it.name}` }, word)));
}

const connections = {
  title: "Connections",
  about: "Connections to the broker. Clients of other protocols are counted under Protocols.",
  filter: "Filter by client, protocol or user",
  state: fresh(),
  async load({ state, refresh }) {
    const found = await list("connections", state);
    const close = (it) => async () => {
      const text = h("p", {}, `${visible(it.clientName || it.user)} over ${visible(it.protocol)} is told the reason, and may connect again.`);
      if (await ask(`Close connection ${it.id}?`, text, "Close")) await act(`Connection ${it.id} is closed.`, broker("DELETE", `/connections/${it.id}`));
    };
    return [h("div", { class: "card" }, table({
      caption: "Connections", rows: found.items, state, changed: refresh,
      empty: state.name ? "No connection has such a name." : "Nobody is connected to the broker.",
      columns: [
        { title: "Client", sort: "clientName", cell: (it) => [h("span", { class: "name" }, orDash(it.clientName)), h("div", { class: "soft small mono" }, visible(it.info?.remote ?? ""))] },
        { title: "Protocol", sort: "protocol", cell: (it) => visible(it.protocol) },
        { title: "User", sort: "user", cell: (it) => visible(it.user) },
        { title: "State", cell: (it) => it.throttled ? pill("blocked", "warn") : pill("running", "good") },
        { title: "Channels", n: true, sort: "channels", cell: (it) => number(it.channels) },
        { title: "Publishes/s", n: true, sort: "published.perSecond", cell: (it) => rate(it.published.perSecond) },
        { title: "Published", n: true, sort: "published.total", cell: (it) => number(it.published.total) },
        { title: "Since", sort: "openedAt", cell: (it) => soft(ago(it.openedAt)) },
        { title: "", act: true, cell: (it) => h("button", { type: "button", class: "danger", onclick: close(it), "data-focus": "close-" + it.id, "aria-label": `Close connection ${it.id}` }, "Close") },
      ],
    }), pages(found, state, refresh))];
  },
};

function queueTable(items, state, refresh) {
  for (const it of items) {
    it.history = remember(`queue ${it.vhost} ${it.name}`,
      { in: it.published.total, out: it.delivered.total }, { ready: it.ready, unsettled: it.unsettled });
  }
  return table({
    caption: "Queues", rows: items, state, changed: refresh,
    empty: state?.name ? "No queue has such a name." : "There is no queue. Clients declare them.",
    columns: [
      { title: "Queue", sort: "name", cell: (it) => [
        h("button", { type: "button", class: "name", onclick: () => openQueue(it.vhost, it.name), "data-focus": "queue-" + it.vhost + " " + it.name }, visible(it.name)),
        h("div", {}, it.vhost !== "/" && soft(visible(it.vhost) + " "), chips([it.durable && "durable", it.autoDelete && "auto-delete", it.exclusiveTo && "exclusive", it.ofSession && "session", it.paged > 0 && "paged"]))] },
      { title: "Ready", n: true, sort: "ready", cell: (it) => number(it.ready) },
      { title: "Unsettled", n: true, sort: "unsettled", cell: (it) => number(it.unsettled) },
      { title: "Depth", cell: (it) => spark(it.history.series.ready || [], `messages ready, now ${it.ready}`) },
      { title: "In/s", n: true, sort: "published.perSecond", cell: (it) => rate(it.history.series.in?.at(-1) ?? it.published.perSecond) },
      { title: "Out/s", n: true, sort: "delivered.perSecond", cell: (it) => rate(it.history.series.out?.at(-1) ?? it.delivered.perSecond) },
      { title: "Traffic", cell: (it) => spark(it.history.series.in || [], "messages per second that come") },
      { title: "Consumers", n: true, sort: "consumers", cell: (it) => number(it.consumers) },
    ],
  });
}

const queues = {
  title: "Queues",
  filter: "Filter by name",
  state: fresh({ sort: "name" }),
  async load({ state, refresh }) {
    const found = await list("queues", state);
    return [h("div", { class: "card" }, queueTable(found.items, state, refresh), pages(found, state, refresh))];
  },
};

const exchanges = {
  title: "Exchanges",
  filter: "Filter by name",
  state: fresh({ chosen: "amq.topic", vhost: "/", bindings: { page: 1 } }),
  async load({ state, refresh }) {
    const source = new URLSearchParams({ source: state.chosen || "amq.default", page: state.bindings.page, pageSize: 50 });
    const [found, bound] = await Promise.all([list("exchanges", state), broker("GET", `/bindings/${e(state.vhost)}?${source}`)]);
    const choose = (it) => () => { Object.assign(state, { chosen: it.name, vhost: it.vhost, bindings: { page: 1 } }); refresh(); };
    return [
      h("div", { class: "card" }, table({
        caption: "Exchanges", rows: found.items, state, changed: refresh, empty: "No exchange has such a name.",
        columns: [
          { title: "Exchange", sort: "name", cell: (it) => [
            h("button", { type: "button", class: "name", onclick: choose(it), "data-focus": "exchange-" + it.vhost + " " + it.name,
              "aria-pressed": String(it.name === state.chosen && it.vhost === state.vhost) }, it.name === "" ? "(default exchange)" : visible(it.name)),
            it.vhost !== "/" && soft(" " + visible(it.vhost))] },
          { title: "Type", sort: "type", cell: (it) => it.type },
          { title: "Properties", cell: (it) => chips([it.durable && "durable", it.autoDelete && "auto-delete", it.internal && "internal"]) },
          { title: "Retained", n: true, sort: "retained", cell: (it) => number(it.retained) },
          { title: "Publishes/s", n: true, sort: "published.perSecond", cell: (it) => rate(it.published.perSecond) },
          { title: "Published", n: true, sort: "published.total", cell: (it) => number(it.published.total) },
        ],
      }), pages(found, state, refresh)),
      h("section", {},
        h("div", { class: "top" }, h("h2", {}, "Bindings of ", named(state.chosen))),
        h("div", { class: "card" }, table({
          caption: "Bindings", rows: bound.items, empty: "Nothing is bound to this exchange.",
          columns: [
            { title: "Routing key", cell: (it) => h("span", { class: "mono" }, orDash(it.routingKey)) },
            { title: "Leads to", cell: (it) => it.destinationType === "queue"
              ? h("button", { type: "button", class: "name", onclick: () => openQueue(it.vhost, it.destination), "data-focus": `bound-${it.destination} ${it.routingKey}` }, visible(it.destination))
              : named(it.destination) },
            { title: "Kind", cell: (it) => chips([it.destinationType]) },
            { title: "Arguments", cell: (it) => Object.keys(it.arguments).length ? h("code", {}, visible(JSON.stringify(it.arguments))) : soft("–") },
          ],
        }), pages(bound, state.bindings, refresh))),
    ];
  },
};

const subscriptions = {
  title: "Subscriptions",
  about: "Who is waiting for messages now: consumers of queues, and sessions that keep their messages while nobody is there.",
  filter: "Filter by queue or name",
  state: fresh({ sessions: fresh() }),
  async load({ state, refresh }) {
    state.sessions.name = state.name;
    const [consumers, sessions] = await Promise.all([list("consumers", state), list("sessions", state.sessions)]);
    const end = (it) => async () => {
      const text = h("p", {}, `Its ${number(it.ready)} waiting messages are lost, and a client that is connected by it is closed.`);
      if (await ask(`Delete the session ${visible(it.name)}?`, text, "Delete")) {
        await act("The session is deleted.", broker("DELETE", `/sessions/${e(it.vhost)}/${e(it.name)}`));
      }
    };
    return [
      h("section", {},
        h("div", { class: "top" }, h("h2", {}, `Consumers (${number(consumers.matched)})`)),
        h("div", { class: "card" }, table({
          caption: "Consumers", rows: consumers.items, state, changed: refresh, empty: "Nobody consumes.",
          columns: [
            { title: "Queue", sort: "queue", cell: (it) => h("button", { type: "button", class: "name", onclick: () => openQueue(it.vhost, it.queue), "data-focus": `of-${it.queue} ${it.name}` }, visible(it.queue)) },
            { title: "Consumer", sort: "name", cell: (it) => orDash(it.name) },
            { title: "Connection", n: true, sort: "connection", cell: (it) => it.connection },
            { title: "Credit", n: true, sort: "credit", cell: (it) => it.credit === null ? soft("unlimited") : number(it.credit) },
            { title: "Properties", cell: (it) => chips([it.needsSettling ? "settles" : "settled at once", it.exclusive && "exclusive", it.priority !== 0 && `priority ${it.priority}`]) },
          ],
        }), pages(consumers, state, refresh))),
      h("section", {},
        h("div", { class: "top" }, h("h2", {}, `Sessions (${number(sessions.matched)})`)),
        h("div", { class: "card" }, table({
          caption: "Sessions", rows: sessions.items, state: state.sessions, changed: refresh, empty: "There is no session.",
          columns: [
            { title: "Session", sort: "name", cell: (it) => h("span", { class: "name" }, visible(it.name)) },
            { title: "State", cell: (it) => it.connection ? pill("connected", "good") : pill("away", "") },
            { title: "Ready", n: true, sort: "ready", cell: (it) => number(it.ready) },
            { title: "Unsettled", n: true, sort: "unsettled", cell: (it) => number(it.unsettled) },
            { title: "Expires", cell: (it) => it.expiresAt ? new Date(it.expiresAt).toLocaleString() : soft("–") },
            { title: "Properties", cell: (it) => chips([it.durable && "durable", it.hasWill && "will"]) },
            { title: "", act: true, cell: (it) => h("button", { type: "button", class: "danger", onclick: end(it), "data-focus": "session-" + it.name, "aria-label": `Delete session ${it.name}` }, "Delete") },
          ],
        }), pages(sessions, state.sessions, refresh))),
    ];
  },
};

function problemList(problems) {
  if (!problems.length) {
    return h("div", { class: "card" }, h("p", { class: "empty" }, h("strong", {}, "No problems."), "Warnings and errors of the log appear here."));
  }
  return h("div", { class: "card" }, problems.map((it) => h("article", { class: "problem" },
    h("div", {}, pill(it.level, it.level === "error" ? "bad" : "warn")),
    h("div", {},
      h("p", {}, visible(it.message), it.count > 1 && soft(` × ${number(it.count)}`)),
      h("p", { class: "fields mono" }, Object.entries(it.fields).map(([name, value]) => `${visible(name)}=${visible(value)}`).join("  "))),
    h("div", { class: "soft small" }, h("time", { datetime: new Date(it.at).toISOString(), title: new Date(it.at).toLocaleString() }, ago(it.at)),
      h("div", {}, visible(it.target))))));
}

const problems = {
  title: "Problems",
  about: "The latest warnings and errors of the log since the start. Payloads and credentials are never in them.",
  state: fresh(),
  async load({ problems: found }) {
    return [problemList(found)];
  },
};

export const views = { overview, protocols, connections, queues, exchanges, subscriptions, problems };
