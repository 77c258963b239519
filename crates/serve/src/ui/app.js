// The page: sources on top, a card per metric, one stream of answers, a window to choose, a box for SQL.

import { metrics, show as showToken, sql, status, stream, views } from "./api.js";
import { card, clear, complain, el, questions, show, showView, viewCard } from "./cards.js";
import { resize } from "./charts.js";
import { bytes, clock, seconds, shown } from "./words.js";

const WINDOWS = ["1m", "5m", "15m", "1h", "6h", "24h", "7d", "30d"];
const STATUS_EVERY_MS = 1000;
const VIEWS_EVERY_MS = 2000;
const VIEWS_MAX = 24;
const $ = (id) => document.getElementById(id);

let known = [];
let close = () => {};

/** Remembers how the page was left; where that is not allowed, it is forgotten. */
const memory = {
  get: (key) => { try { return localStorage.getItem(`streamgauge.${key}`); } catch { return null; } },
  set: (key, value) => { try { localStorage.setItem(`streamgauge.${key}`, value); } catch { /* as well */ } },
};

function link(state) {
  const words = { live: "live", lost: "connection lost, trying again" };
  $("link").className = `link ${state}`;
  if ($("link").textContent !== words[state]) $("link").textContent = words[state];
}

/** The windows that some metric can answer, from its finest pane to what it keeps. */
function windowsOf(list) {
  const levels = list.flatMap((metric) => metric.panes).map((pane) => pane.split(":").map(seconds));
  if (levels.length === 0) return ["all"];
  const finest = Math.min(...levels.map(([size]) => size));
  const longest = Math.max(...levels.map(([, keep]) => keep));
  return [...WINDOWS.filter((w) => seconds(w) >= finest && seconds(w) <= longest), "all"];
}

function pick(list) {
  const offered = windowsOf(list);
  const left = memory.get("window");
  const chosen = offered.includes(left) ? left : offered.includes("1h") ? "1h" : offered.at(-1);
  const choice = (name, at) => {
    const input = el("input", { type: "radio", name: "window", value: name, id: `window-${name}`, checked: name === chosen });
    input.addEventListener("change", () => follow(name));
    return el("label", { for: `window-${name}`, title: at < 9 ? `key ${at + 1}` : null }, input, el("span", {}, name));
  };
  $("windows").replaceChildren(...offered.map(choice));
  return chosen;
}

/** Asks for everything anew, in this window. */
function follow(window) {
  close();
  memory.set("window", window);
  const asked = new Map();
  for (const metric of known) {
    const node = document.querySelector(`[data-metric="${CSS.escape(metric.metric)}"]`);
    const wanted = questions(metric, window);
    clear(node, new Set(wanted.map(({ use }) => use)));
    for (const question of wanted) asked.set(question.ask, { metric, question, node });
  }
  const at = (ask, use) => { const found = asked.get(ask); if (found) use(found); };
  // A stream has at most 64 questions, a browser few connections to one server.
  const asks = [...asked.keys()];
  const parts = [];
  for (let from = 0; from < asks.length && parts.length < 4; from += 64) parts.push(asks.slice(from, from + 64));
  const closers = parts.map((part) => stream(part, {
    link,
    answer: (ask, answer) => at(ask, ({ metric, question, node }) => show(node, metric, question, answer)),
    problem: (ask, detail, hint) => at(ask, ({ node }) => complain(node, detail, hint)),
  }));
  close = () => closers.forEach((closer) => closer());
}

let before = new Map();

/** Late, bad and memory of every source, always in sight. */
async function told() {
  const now = performance.now();
  const { sources } = await status();
  const line = (source) => {
    if (source.error) return el("div", { class: "source" }, el("span", { class: "trouble" }, el("b", {}, source.error)));
    const { counters } = source;
    const last = before.get(source.source);
    const rate = last ? Math.max(0, (counters.read - last.read) / ((now - last.now) / 1000)) : 0;
    before.set(source.source, { read: counters.read, now });
    const used = Object.values(source.memory_bytes).reduce((sum, n) => sum + n, 0);
    const fact = (name, value, trouble) => el("span", { class: trouble ? "trouble" : null }, `${name} `, el("b", { "data-fact": name }, value));
    return el("div", { class: "source", "data-source": source.source },
      el("h2", {}, source.source),
      fact("read", shown(counters.read)), fact("events/s", shown(Math.round(rate))),
      fact("late", shown(counters.late ?? 0)), fact("too late", shown(counters.too_late ?? 0), counters.too_late > 0),
      fact("bad", shown(counters.bad ?? 0), counters.bad > 0),
      fact("quarantine", shown((counters.late_quarantined ?? 0))),
      fact("memory", bytes(used)), fact("complete to", clock(source.complete_to)));
  };
  $("sources").replaceChildren(...sources.map(line));
}

async function watch() {
  try {
    await told();
  } catch {
    link("lost");
  }
  setTimeout(watch, STATUS_EVERY_MS);
}

function theme(dark) {
  document.documentElement.className = dark ? "dark" : "";
  $("theme").setAttribute("aria-pressed", String(dark));
  $("theme").textContent = dark ? "Light" : "Dark";
}

/** Asks for every view, one after the other, and again in a while: one that has not changed is answered from memory. */
async function look(names) {
  for (const name of document.hidden ? [] : names) {
    const node = document.querySelector(`[data-view="${CSS.escape(name)}"]`);
    try {
      showView(node, await sql(`select * from "${name.replaceAll('"', '""')}" limit 1000`));
    } catch (problem) {
      complain(node, problem.message, problem.hint);
    }
  }
  setTimeout(() => look(names), VIEWS_EVERY_MS);
}

/** The box for SQL and the cards of views, where the server answers it. */
async function ask() {
  const named = await views();
  if (named === null) return;
  const carded = named.slice(0, VIEWS_MAX);
  $("metrics").append(...carded.map(viewCard));
  look(carded);
  $("sql").hidden = false;
  const box = $("query");
  const first = known.find((metric) => metric.panes.length > 0) ?? known[0];
  const examples = [
    ...named.map((name) => `select * from ${name}`),
    ...(first ? [`select * from ${first.metric}() limit 20`] : []),
    ...(first?.panes.length ? [`select start, value, low, high from ${first.metric} order by start desc limit 20`] : []),
    "select * from sg.memory",
  ];
  $("examples").replaceChildren(...examples.slice(0, 6).map((text) => {
    const button = el("button", { type: "button" }, text.length > 44 ? `${text.slice(0, 43)}…` : text);
    button.addEventListener("click", () => { box.value = text; run(); });
    return button;
  }));
  box.value = examples[0];
  box.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run(); });
  $("sql").querySelector("form").addEventListener("submit", (event) => { event.preventDefault(); run(); });
}

async function run() {
  const place = $("answer");
  try {
    const { columns, rows, lints } = await sql($("query").value);
    const head = el("tr", {}, ...columns.map(({ name }) => el("th", { scope: "col" }, name)));
    const cell = (value) => el("td", { class: typeof value === "number" ? "number" : null }, value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));
    const body = rows.slice(0, 500).map((row) => el("tr", {}, ...row.map(cell)));
    const table = el("table", {}, el("caption", {}, `${rows.length} rows`), el("thead", {}, head), el("tbody", {}, ...body));
    place.replaceChildren(...(lints ?? []).map((lint) => el("p", { class: "problem" }, `${lint.text} ${lint.hint ?? ""}`)), table);
  } catch (problem) {
    place.replaceChildren(el("p", { class: "problem", role: "alert" }, problem.hint ? `${problem.message}: ${problem.hint}` : problem.message));
  }
}

/** Asks for a token, once: the browser keeps it. */
function login(problem) {
  const input = el("input", { type: "password", id: "token", autocomplete: "current-password", required: true });
  const form = el("form", { class: "card" }, el("h2", {}, "This server asks for a token"),
    el("label", { for: "token" }, "Token"), input, el("button", { type: "submit" }, "Show it"),
    el("p", { class: "problem", role: "alert" }, problem.status === 403 ? problem.message : ""));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await showToken(input.value);
      location.reload();
    } catch (refused) {
      form.querySelector(".problem").textContent = refused.message;
    }
  });
  $("metrics").replaceChildren(form);
  input.focus();
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "radio") return;
  if (event.key === "d") $("theme").click();
  if (event.key === "/" && !$("sql").hidden) { event.preventDefault(); $("query").focus(); }
  const choice = /^[1-9]$/.test(event.key) ? $("windows").querySelectorAll("input")[Number(event.key) - 1] : null;
  if (choice) { choice.checked = true; choice.focus(); follow(choice.value); }
}

async function begin() {
  const left = memory.get("theme");
  theme(left ? left === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  $("theme").addEventListener("click", () => {
    const dark = document.documentElement.className !== "dark";
    theme(dark);
    memory.set("theme", dark ? "dark" : "light");
    follow(document.querySelector("#windows input:checked").value);
  });
  document.addEventListener("keydown", keys);
  addEventListener("resize", () => resize(document));
  try {
    known = await metrics();
  } catch (problem) {
    if (problem.status === 401 || problem.status === 403) return login(problem);
    $("metrics").replaceChildren(el("p", { class: "problem", role: "alert" }, `${problem.message} ${problem.hint ?? ""}`));
    return;
  }
  $("metrics").replaceChildren(...known.map(card));
  follow(pick(known));
  watch();
  ask();
}

begin();
