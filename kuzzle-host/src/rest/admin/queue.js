// One queue: what waits in it over time, where its messages come from, and what can be done to it.

import { act, broker, remember, seconds } from "/_admin/admin.js";
import { ask, chart, chips, h, number, rate, size, visible } from "/_admin/dom.js";

const PAUSE_MS = 2000;
const e = encodeURIComponent;

// Opens the dialog of a queue.
export function openQueue(vhost, name) {
  const path = `/queues/${e(vhost)}/${e(name)}`;
  const live = h("div", { class: "row" });
  const seen = h("div", {});
  const dialog = h("dialog", { "aria-label": "Queue " + name },
    h("div", { class: "head" },
      h("div", {}, h("h2", {}, visible(name)), h("span", { class: "soft small" }, "queue of virtual host " + visible(vhost))),
      h("button", { type: "button", onclick: () => dialog.close() }, "Done")),
    h("div", { class: "body" }, live, tools(path, name, seen, () => dialog.close()), seen));
  let timer = null;
  async function tick() {
    try {
      const [it, bindings] = await Promise.all([
        broker("GET", path), broker("GET", `/bindings/${e(vhost)}?destination=${e(name)}&pageSize=20`),
      ]);
      live.replaceChildren(...facts(it, bindings));
    } catch (error) {
      live.replaceChildren(h("div", { class: "banner" }, visible(error.message)));
    }
    if (dialog.open) timer = setTimeout(tick, PAUSE_MS);
  }
  dialog.addEventListener("close", () => { clearTimeout(timer); dialog.remove(); });
  document.body.append(dialog);
  dialog.showModal();
  tick();
}

function facts(it, bindings) {
  const history = remember(`queue ${it.vhost} ${it.name}`,
    { in: it.published.total, out: it.delivered.total }, { ready: it.ready, unsettled: it.unsettled });
  const values = (name) => history.series[name] || [];
  const span = seconds(history);
  const argumentsShown = Object.entries(it.arguments);
  const bound = bindings.items.filter((one) => one.source !== "");
  return [
    h("div", { class: "charts grow" },
      chart({ title: "Depth", seconds: span, series: [
        { name: "ready", values: values("ready"), show: number }, { name: "unsettled", values: values("unsettled"), show: number }] }),
      chart({ title: "Per second", seconds: span, series: [
        { name: "in", values: values("in"), show: rate }, { name: "out", values: values("out"), show: rate }] })),
    h("dl", { class: "facts grow" },
      h("dt", {}, "Ready"), h("dd", {}, `${number(it.ready)} (${size(it.readyBytes)})`),
      h("dt", {}, "Unsettled"), h("dd", {}, `${number(it.unsettled)} (${size(it.unsettledBytes)})`),
      h("dt", {}, "Consumers"), h("dd", {}, number(it.consumers)),
      h("dt", {}, "Since the start"), h("dd", {}, `${number(it.published.total)} in, ${number(it.delivered.total)} out, ${number(it.settled.total)} settled`),
      h("dt", {}, "Kind"), h("dd", {}, chips([it.durable ? "durable" : "transient", it.autoDelete && "auto-delete",
        it.exclusiveTo && `of connection ${it.exclusiveTo}`, it.ofSession && "of a session"])),
      h("dt", {}, "Arguments"), h("dd", {}, argumentsShown.length ? h("code", {}, visible(JSON.stringify(it.arguments))) : h("span", { class: "soft" }, "none")),
      h("dt", {}, "Bound to"), h("dd", {}, bound.length ? bound.map((one) => h("div", { class: "mono" }, `${visible(one.source)}  ${visible(one.routingKey)}`))
        : h("span", { class: "soft" }, "the default exchange alone"))),
  ];
}

function tools(path, name, seen, close) {
  const count = h("input", { type: "number", min: 1, max: 100, value: 5, "aria-label": "How many messages" });
  const look = async () => {
    const got = await act((result) => `${result.messages.length} of ${result.ready} messages, which stay in the queue`,
      broker("POST", path + "/get", { count: Number(count.value) || 1, requeue: true, truncate: 4096 }));
    if (got) seen.replaceChildren(...got.messages.map(message));
  };
  const purge = async () => {
    const text = h("p", {}, "All messages that wait in it are removed for good.");
    if (await ask(`Purge ${visible(name)}?`, text, "Purge")) {
      await act((result) => `${result.messages} messages were removed.`, broker("DELETE", path + "/contents"));
      seen.replaceChildren();
    }
  };
  const remove = async () => {
    const text = h("p", {}, "It goes with its messages and bindings, and its consumers are cancelled.");
    if (await ask(`Delete ${visible(name)}?`, text, "Delete") && await act("The queue is deleted.", broker("DELETE", path))) close();
  };
  return h("div", { class: "row" },
    h("button", { type: "button", class: "primary", onclick: look }, "Look at messages"), count,
    h("span", { class: "spacer" }),
    h("button", { type: "button", class: "danger", onclick: purge }, "Purge"),
    h("button", { type: "button", class: "danger", onclick: remove }, "Delete"));
}

function message(it) {
  const properties = Object.entries(it.properties);
  return h("article", { class: "message" },
    h("div", { class: "row small" },
      h("span", { class: "mono" }, visible(it.routingKey) || "–"),
      h("span", { class: "soft" }, `${number(it.payloadBytes)} bytes, ${it.exchange ? "exchange " + visible(it.exchange) : "default exchange"}`),
      chips([it.redelivered && "redelivered", it.payloadEncoding === "base64" && "base64"])),
    properties.length > 0 && h("div", { class: "soft small mono" }, visible(JSON.stringify(it.properties))),
    h("pre", {}, it.payload));
}
