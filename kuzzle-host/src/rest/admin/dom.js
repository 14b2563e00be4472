// Elements, numbers and charts. Text that comes from the server is put into text nodes and attributes alone, never into
// markup: names of queues are chosen by whoever declares them.

const SVG = "http://www.w3.org/2000/svg";

// An element: `properties` are attributes, `on...` are listeners, children are nodes or texts.
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

function s(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(3)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

// Text as it is, but for characters that nobody sees: those are shown as they are written in programs.
export function visible(text) {
  return String(text ?? "").replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g,
    (found) => "\\u{" + found.codePointAt(0).toString(16) + "}");
}

export function number(value) {
  if (value === null || value === undefined) return "–";
  return Number(value).toLocaleString("en");
}

export function rate(value) {
  const n = Number(value) || 0;
  if (n > 0 && n < 10) return n.toFixed(1);
  return n < 10000 ? String(Math.round(n)) : number(Math.round(n / 100) / 10) + "k";
}

export function size(bytes) {
  let n = Number(bytes) || 0;
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (n < 1024 || unit === "GiB") return (n < 10 && unit !== "B" ? n.toFixed(1) : Math.round(n)) + " " + unit;
    n /= 1024;
  }
  return "";
}

export function ago(ms) {
  const seconds = Math.max(0, Math.round((Date.now() - ms) / 1000));
  if (seconds < 60) return seconds + " s ago";
  if (seconds < 3600) return Math.round(seconds / 60) + " min ago";
  if (seconds < 172800) return Math.round(seconds / 3600) + " h ago";
  return Math.round(seconds / 86400) + " days ago";
}

export function pill(text, kind) {
  return h("span", { class: "pill " + (kind || "") }, text);
}

export function chips(words) {
  return words.filter(Boolean).map((word) => h("span", { class: "chip" }, word));
}

function points(values, width, height, top) {
  const step = width / Math.max(1, values.length - 1);
  return values.map((value, at) => [at * step, height - (value / top) * (height - 2) - 1]);
}

function line(values, width, height, top, kind) {
  if (values.length < 2) return [];
  const path = points(values, width, height, top).map(([x, y], at) => (at ? "L" : "M") + x.toFixed(1) + " " + y.toFixed(1)).join("");
  return [
    s("path", { class: "area " + kind, d: `${path}L${width} ${height}L0 ${height}Z` }),
    s("path", { class: "line " + kind, d: path }),
  ];
}

// The next number above that reads well on an axis.
function ceiling(value) {
  if (value <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * power >= value) * power;
}

export function spark(values, label) {
  const top = ceiling(Math.max(0, ...values));
  return s("svg", { class: "spark", viewBox: "0 0 120 28", preserveAspectRatio: "none", role: "img", "aria-label": label },
    ...line(values, 120, 28, top, ""));
}

// A chart of one or two series: `{title, series: [{name, values, show}], seconds}`.
export function chart({ title, series, seconds }) {
  const top = ceiling(Math.max(0, ...series.flatMap((one) => one.values)));
  const last = (one) => one.show(one.values.at(-1) ?? 0);
  const label = title + ": " + series.map((one) => one.name + " " + last(one)).join(", ");
  return h("div", { class: "card chart" },
    h("div", { class: "legend" },
      h("span", { class: "title" }, title),
      series.map((one, at) => h("span", { class: "key" + (at ? " second" : "") }, one.name + " ", h("b", {}, last(one))))),
    s("svg", { viewBox: "0 0 400 120", preserveAspectRatio: "none", role: "img", "aria-label": label },
      [1, 60, 119].map((y) => s("path", { class: "grid", d: `M0 ${y}H400` })),
      series.map((one, at) => line(one.values, 400, 120, top, at ? "second" : ""))),
    h("div", { class: "axis" },
      h("span", {}, seconds > 90 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds)} s ago`),
      h("span", {}, "top " + series[0].show(top)),
      h("span", {}, "now")));
}

// A table. `columns`: `{title, cell, n: whether a number, sort: the server's field, act}`; `state` has `sort`, `reverse`.
export function table({ caption, columns, rows, state, changed, empty }) {
  if (!rows.length) return h("p", { class: "empty" }, empty || "There is nothing.");
  const title = (column) => {
    if (!column.sort || !state) return h("th", { scope: "col", class: column.n ? "n" : null }, column.title);
    const is = state.sort === column.sort;
    const order = is ? (state.reverse ? "descending" : "ascending") : null;
    const click = () => {
      state.reverse = is ? !state.reverse : Boolean(column.n);
      state.sort = column.sort;
      state.page = 1;
      changed();
    };
    return h("th", { scope: "col", class: column.n ? "n" : null, "aria-sort": order },
      h("button", { type: "button", onclick: click, "data-focus": "sort-" + column.sort }, column.title));
  };
  return h("div", { class: "scroll" }, h("table", { "aria-label": caption },
    h("thead", {}, h("tr", {}, columns.map(title))),
    h("tbody", {}, rows.map((row) => h("tr", {},
      columns.map((column) => h("td", { class: column.n ? "n" : column.act ? "act" : null }, column.cell(row))))))));
}

// The buttons below a listing that has more than one page.
export function pages(listing, state, changed) {
  if (listing.pages < 2) return null;
  const go = (by) => () => { state.page = listing.page + by; changed(); };
  return h("div", { class: "pages" },
    h("span", {}, `Page ${number(listing.page)} of ${number(listing.pages)}, ${number(listing.matched)} in all`),
    h("button", { type: "button", disabled: listing.page <= 1, onclick: go(-1), "data-focus": "page-before" }, "Previous"),
    h("button", { type: "button", disabled: listing.page >= listing.pages, onclick: go(1), "data-focus": "page-next" }, "Next"));
}

export function notice(text, isBad) {
  const shown = h("div", { class: "notice" + (isBad ? " bad" : "") }, visible(text).replaceAll("\\u{a}", "\n"));
  const notices = document.getElementById("notices");
  notices.append(shown);
  // Shown anew, so that it is above a dialog that was opened since.
  notices.hidePopover();
  notices.showPopover();
  const gone = () => { shown.remove(); if (!notices.hasChildNodes()) notices.hidePopover(); };
  setTimeout(gone, isBad ? 9000 : 4000);
}

// Asks before something is done that cannot be undone. Resolves with the answer.
export function ask(title, text, word) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { class: "ask", "aria-label": title },
      h("div", { class: "head" }, h("h2", {}, title)),
      h("div", { class: "body" }, h("div", {}, text), h("div", { class: "row end" },
        h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
        h("button", { type: "button", class: "danger primary", onclick: () => dialog.close("yes") }, word))));
    dialog.addEventListener("close", () => { dialog.remove(); resolve(dialog.returnValue === "yes"); });
    document.body.append(dialog);
    dialog.showModal();
  });
}
