// What pages need beyond htmx: the session's token for its requests, the live stream, charts, questions before deeds.
// No page holds a script of its own: what is to be done stands in data attributes (docs/portal.md lists them).
"use strict";

const token = document.querySelector('meta[name="csrf-token"]')?.content;

document.addEventListener("htmx:configRequest", (event) => {
  if (token) event.detail.headers["X-CSRF-Token"] = token;
});

document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

// The live stream. `<body-part data-live="/api/v1/live?site=…">`: one stream for a page. Each event is given to the
// document as `live:record`, `live:twin`; elements with data-refresh="record twin" (and hx-get) load anew, at most
// every data-refresh-ms; `reset` loads all of them anew, and so does `hello`: what happened while the page was on its way
// was told to nobody.
const LONGEST_WAIT_MS = 30000;

class LiveStream {
  constructor(element) {
    this.url = element.dataset.live;
    this.states = document.querySelectorAll("[data-live-state]");
    this.waitMs = 1000;
    this.open();
    window.addEventListener("pagehide", () => this.source.close());
    window.addEventListener("pageshow", (event) => { if (event.persisted) this.open(); });
  }

  open() {
    this.source = new EventSource(this.url);
    this.source.onopen = () => { this.waitMs = 1000; this.show("on"); };
    this.source.onerror = () => this.failed();
    for (const kind of ["hello", "record", "twin", "alarm", "reset"]) {
      this.source.addEventListener(kind, (event) => this.pass(kind, event));
    }
    this.source.addEventListener("ended", () => { this.source.close(); window.location.reload(); });
  }

  failed() {
    this.show("off");
    // The browser tries again by itself unless the answer was an error: then so do we, ever more slowly.
    if (this.source.readyState === EventSource.CLOSED) {
      setTimeout(() => this.open(), this.waitMs);
      this.waitMs = Math.min(this.waitMs * 2, LONGEST_WAIT_MS);
    }
  }

  pass(kind, event) {
    document.dispatchEvent(new CustomEvent(`live:${kind}`, { detail: JSON.parse(event.data) }));
    for (const element of document.querySelectorAll("[data-refresh]")) {
      if (kind === "hello" || kind === "reset" || element.dataset.refresh.split(" ").includes(kind)) refresh(element);
    }
  }

  show(state) {
    for (const element of this.states) {
      element.dataset.state = state;
      element.querySelector("span").textContent = element.dataset[state];
    }
  }
}

// Parts by their ids, since each is another element after it was loaded anew.
const due = new Map();
const loadedAt = new Map();

// At once where nothing happened lately, else when data-refresh-ms have gone by since the last time. Twins follow the
// ledger a moment later: what shows both looks once more, data-refresh-again-ms after the last event.
function refresh(element) {
  const { id, dataset } = element;
  const sinceMs = Date.now() - (loadedAt.get(id) ?? 0);
  if (!due.has(id)) due.set(id, setTimeout(load, Math.max(0, Number(dataset.refreshMs ?? 250) - sinceMs), id, id));
  if (dataset.refreshAgainMs) {
    const again = `${id} again`;
    clearTimeout(due.get(again));
    due.set(again, setTimeout(load, Number(dataset.refreshAgainMs), id, again));
  }
}

function load(id, name) {
  due.delete(name);
  const element = document.getElementById(id);
  if (element === null || isHeld(element)) return;
  loadedAt.set(id, Date.now());
  window.htmx.trigger(element, "refresh");
}

// Not under somebody's fingers: a form that is open there, or a link that the keyboard has come to, is finished with first.
const held = new Set();

function isHeld(element) {
  const isInUse = element.querySelector("details.deed[open]") !== null || element.querySelector(":focus-visible") !== null;
  if (isInUse) held.add(element.id);
  return isInUse;
}

function release() {
  const parts = [...held].map((id) => document.getElementById(id));
  held.clear();
  for (const part of parts) if (part !== null) refresh(part);
}

document.addEventListener("focusout", () => setTimeout(release)); // once the focus is where it goes
document.addEventListener("toggle", release, true);

// The keyboard may have come there while the new part was on its way.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { requestConfig, target } = event.detail;
  const byItself = (requestConfig.triggeringEvent?.type ?? "refresh") === "refresh"; // a poll has no event
  if (byItself && isHeld(target)) event.detail.shouldSwap = false;
});

// Charts. `<div class="chart" data-chart="/api/…" data-unit="l" data-type="bars|line" data-labels='["…"]'>`: the address
// answers {"x": [unix seconds], "series": [[numbers], …], "labels": ["1", …]}. With `data-of="Chamber"` these labels are the
// series' names, and what each counts stands upon the one before.
const DAY_S = 86400;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

async function draw(element) {
  const answer = await fetch(element.dataset.chart, { headers: { Accept: "application/json" } });
  if (!answer.ok) return;
  const { x, series, labels } = await answer.json();
  element.plot?.destroy();
  element.replaceChildren();
  if (series.some((values) => values.some((value) => value !== null))) {
    const of = element.dataset.of;
    const names = of ? labels.map((label) => `${of} ${label}`) : JSON.parse(element.dataset.labels ?? "[]");
    const drawn = series.map((own, place) => ({ own, name: names[place] ?? "", place, shown: of ? sumOf(series, place) : own }));
    if (of) drawn.reverse(); // the highest first: the lower ones stand before it
    element.plot = new window.uPlot(optionsOf(element, x, drawn), [x, ...drawn.map((each) => each.shown)], element);
  } else {
    element.plot = null;
    element.append(Object.assign(document.createElement("p"), { className: "empty", textContent: document.body.dataset.nothing }));
  }
}

function sumOf(series, last) {
  return series[last].map((_value, at) => series.slice(0, last + 1).reduce((sum, values) => sum + (values[at] ?? 0), 0));
}

function optionsOf(element, x, drawn) {
  const bars = element.dataset.type === "bars";
  const paths = bars ? window.uPlot.paths.bars({ size: [0.7, 48] }) : undefined;
  const number = new Intl.NumberFormat(document.documentElement.lang);
  const unit = element.dataset.unit ? ` ${element.dataset.unit}` : "";
  const axis = { stroke: colour("--text-soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
  const tone = (place) => colour(`--series-${(place % 4) + 1}`);
  return {
    width: element.clientWidth,
    height: Number(element.dataset.height ?? 220),
    tzDate: (seconds) => window.uPlot.tzDate(new Date(seconds * 1000), element.dataset.zone ?? "Europe/Berlin"),
    fmtDate: (template) => dates(template),
    scales: {
      x: { range: (_plot, first, last) => rangeOf(x, first, last, bars) },
      y: { range: (_plot, low, high) => [Math.min(0, low), Math.max(high * 1.08, Number(element.dataset.top ?? 1))] },
    },
    axes: [axis, {
      ...axis,
      size: (_plot, values) => 16 + 8 * Math.max(2, ...(values ?? []).map((value) => value.length)),
      values: (_plot, ticks) => ticks.map((tick) => number.format(tick)),
    }],
    series: [{ label: document.body.dataset.time, value: "{DD}.{MM}. {HH}:{mm}" }, ...drawn.map(({ own, name, place }) => ({
      label: name,
      stroke: tone(place),
      fill: bars ? tone(place) : undefined,
      width: bars ? 0 : 2,
      points: { show: !bars && x.length < 60 },
      paths,
      value: (_plot, _value, _series, at) => (typeof own[at] === "number" ? number.format(own[at]) + unit : "–"),
    }))],
  };
}

// Bars stand in the middle of what they count: there is half of one before the first and after the last.
function rangeOf(x, first, last, bars) {
  if (x.length === 1) return [x[0] - DAY_S / 2, x[0] + DAY_S / 2];
  const half = bars ? (x[1] - x[0]) / 2 : 0;
  return [first - half, last + half];
}

// Days before months, hours by 24: uPlot's templates come from a country where it is otherwise.
const TEMPLATES = new Map([["{M}/{D}/{YY}", "{D}.{M}.{YY}"], ["{M}/{D}", "{D}.{M}."], ["\n{M}/{D}/{YY}", "\n{D}.{M}.{YY}"], ["\n{M}/{D}", "\n{D}.{M}."]]);
const MONTHS = Array.from({ length: 12 }, (_each, month) => new Intl.DateTimeFormat(document.documentElement.lang, { month: "long" }).format(new Date(2026, month, 15)));
const WEEKDAYS = Array.from({ length: 7 }, (_each, day) => new Intl.DateTimeFormat(document.documentElement.lang, { weekday: "long" }).format(new Date(2026, 0, 4 + day)));
const NAMES = { MMMM: MONTHS, MMM: MONTHS.map((name) => name.slice(0, 3)), WWWW: WEEKDAYS, WWW: WEEKDAYS.map((name) => name.slice(0, 2)) };

function dates(template) {
  const ours = template
    .replaceAll("{h}{aa}", "{HH}:00")
    .replaceAll("{h}:{mm}{aa}", "{HH}:{mm}")
    .replace(/\n?\{M\}\/\{D\}(\/\{YY\})?/, (found) => TEMPLATES.get(found) ?? found);
  return window.uPlot.fmtDate(ours, NAMES);
}

function drawAll(root) {
  for (const element of root.querySelectorAll("[data-chart]")) draw(element);
}

document.addEventListener("DOMContentLoaded", () => {
  const live = document.querySelector("[data-live]");
  if (live) new LiveStream(live);
  drawAll(document);
});
document.addEventListener("htmx:afterSwap", (event) => drawAll(event.detail.elt));

let resized;
window.addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(() => {
    for (const element of document.querySelectorAll("[data-chart]")) {
      element.plot?.setSize({ width: element.clientWidth, height: element.plot.height });
    }
  }, 150);
});
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll(document));
