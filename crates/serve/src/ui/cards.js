// One card per metric: what to ask for it, and how to show what comes.

import { line } from "./charts.js";
import { bounds, clock, group, number, seconds, shown, span } from "./words.js";

/** Groups in a list, and rows and columns of a heat map. */
const GROUPS_MAX = 12;
const HEAT_STEPS = 60;
const CHART_STEPS = 120;

export const el = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};

/** Steps of about `count` to a window, of whole panes; null where the metric has none that are kept long enough. */
function step(metric, window, count) {
  const levels = metric.panes.map((pane) => pane.split(":").map(seconds));
  const fit = levels.filter(([size, keep]) => keep >= window || size === levels.at(-1)?.[0]);
  const level = fit.find(([size]) => window / size <= count) ?? fit.at(-1);
  if (!level) return null;
  const size = level[0];
  return size * Math.max(1, Math.ceil(window / size / count));
}

/** What a metric is asked: its numbers now by grouping set, and the total over time. */
export function questions(metric, window) {
  const paned = metric.panes.length > 0;
  const now = paned && window !== "all" ? `window=${window}` : "";
  const asks = metric.by.map((by) => ({
    use: by.length === 0 ? "total" : "groups",
    by,
    ask: `${metric.metric}?${[now, `by=${by.map(encodeURIComponent).join(",")}`, "limit=1000"].filter(Boolean).join("&")}`,
  }));
  if (paned) {
    const coarsest = seconds(metric.panes.at(-1).split(":")[0]);
    const over = (by, use, count) => {
      const every = window === "all" ? coarsest : step(metric, seconds(window), count);
      if (!every || seconds(window) / every < 2) return;
      const since = window === "all" ? "" : `&since=${window}`;
      asks.push({ use, by, ask: `${metric.metric}?every=${span(every)}${since}&by=${by.map(encodeURIComponent).join(",")}&limit=20000` });
    };
    if (metric.by.some((by) => by.length === 0) && charted(metric)) over([], "history", CHART_STEPS);
    const grouped = metric.by.find((by) => by.length > 0);
    if (grouped && single(metric)) over(grouped, "heat", HEAT_STEPS);
  }
  return asks;
}

const single = (metric) => !["top", "freq", "quantiles", "histogram", "sample", "seen"].includes(metric.measure);
const charted = (metric) => single(metric) || metric.measure === "quantiles";

/** The frame of a card; what changes is filled in by `show`. */
export function card(metric) {
  const of = metric.of ? `${metric.measure}(${metric.of})` : `${metric.measure}()`;
  const id = `metric-${metric.metric.replace(/[^\w-]/g, "_")}`;
  const node = el("article", { class: "card", "data-metric": metric.metric, "aria-labelledby": id },
    el("div", { class: "head" }, el("h2", { id }, metric.metric), el("span", { class: "measure" }, `${of} · ${metric.source}`)));
  for (const part of ["total", "history", "groups", "heat"]) node.append(el("div", { "data-part": part }));
  node.append(el("p", { class: "problem", role: "alert", hidden: true }));
  return node;
}

/** The frame of the card of a view. */
export function viewCard(name) {
  const id = `view-${name.replace(/[^\w-]/g, "_")}`;
  return el("article", { class: "card", "data-view": name, "aria-labelledby": id },
    el("div", { class: "head" }, el("h2", { id }, name), el("span", { class: "measure" }, "view")),
    el("div", { "data-part": "rows" }), el("p", { class: "problem", role: "alert", hidden: true }));
}

/** One row that has a value is a number with its bounds; all else is a table. */
export function showView(node, { columns, rows }) {
  node.querySelector(".problem").hidden = true;
  const names = columns.map(({ name }) => name);
  const row = rows.length === 1 ? Object.fromEntries(names.map((name, at) => [name, rows[0][at]])) : null;
  const place = part(node, "rows");
  if (row && "value" in row && typeof row.value !== "object") {
    const between = "low" in row && "high" in row ? (row.exact || row.low === row.high ? "exact" : `${shown(row.low)} … ${shown(row.high)}`) : "";
    place.replaceChildren(
      el("div", {}, el("span", { class: "value", "data-value": row.value ?? "" }, shown(row.value))), el("div", { class: "bounds" }, between));
    return;
  }
  const known = columns.map(({ name, type }, at) => ({ name, at, bytes: /Binary/.test(type) })).filter(({ bytes }) => !bytes);
  const cell = (value) => el("td", { class: typeof value === "number" ? "number" : null },
    value === null ? "" : typeof value === "number" ? shown(value) : typeof value === "object" ? JSON.stringify(value) : String(value));
  const more = rows.length > GROUPS_MAX ? `, ${rows.length - GROUPS_MAX} more` : "";
  place.replaceChildren(el("table", {}, el("caption", {}, `${rows.length} rows${more}`),
    el("thead", {}, el("tr", {}, ...known.map(({ name }) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, ...rows.slice(0, GROUPS_MAX).map((row) => el("tr", {}, ...known.map(({ at }) => cell(row[at])))))));
}

const part = (node, name) => node.querySelector(`[data-part="${name}"]`);

/** Empties the parts of a card that are asked for no more, and what is to be drawn anew. */
export function clear(node, uses) {
  for (const name of ["total", "history", "groups", "heat"]) {
    if (!uses.has(name) || name === "history") part(node, name).replaceChildren();
  }
}

export function complain(node, detail, hint) {
  const place = node.querySelector(".problem");
  place.textContent = hint ? `${detail}: ${hint}` : detail;
  place.hidden = false;
}

/** Shows an answer in its part of the card. */
export function show(node, metric, question, answer) {
  node.querySelector(".problem").hidden = true;
  const rows = answer.rows.filter((row) => row.metric === metric.metric);
  const others = answer.rows.filter((row) => row.metric !== metric.metric);
  if (question.use === "total") total(part(node, "total"), metric, rows[0], others);
  if (question.use === "groups") groups(part(node, "groups"), metric, question.by, rows);
  if (question.use === "history") history(part(node, "history"), metric, rows);
  if (question.use === "heat") heat(part(node, "heat"), question.by, rows);
}

function total(place, metric, row, others) {
  if (!row) {
    place.replaceChildren(el("p", { class: "note" }, "nothing in this window"));
    return;
  }
  const children = [];
  if (row.items) children.push(list(row.items.map((item) => [String(item.item ?? "(none)"), item]), "heaviest items"));
  else if (row.quantiles) children.push(list(row.quantiles.map((q) => [`p${Math.round(q.q * 1e4) / 100}`, q]), "quantiles"));
  else if (row.buckets) children.push(buckets(row.buckets));
  else if (row.rows) children.push(sample(row.rows));
  else {
    children.push(
      el("div", {}, el("span", { class: "value", "data-value": row.value ?? "" }, shown(row.value))),
      el("div", { class: "bounds" }, bounds(row)));
  }
  for (const other of others) {
    if (other.quantiles) {
      const name = other.metric.slice(metric.metric.length + 1);
      children.push(list(other.quantiles.map((q) => [`p${Math.round(q.q * 1e4) / 100}`, q]), name));
    }
  }
  if (row.fill !== undefined) {
    children.push(el("p", { class: "note" }, `filter ${shown(row.fill * 100)} % full, false positives ${shown(row.false_positive_rate * 100)} %`));
  }
  if (row.resolution) children.push(el("p", { class: "note" }, `finer panes are gone: whole panes of ${row.resolution}`));
  if (row.start) children.push(el("p", { class: "note" }, `${clock(row.start)} to ${clock(row.end)} UTC`));
  place.replaceChildren(...children);
}

/** A table of names, values and bounds, with a bar for who looks. */
function list(entries, caption) {
  const most = Math.max(...entries.map(([, e]) => number(e.value) ?? 0), 0);
  const body = entries.slice(0, GROUPS_MAX).map(([name, e]) =>
    el("tr", {}, el("th", { scope: "row" }, name),
      el("td", { class: "number", "data-value": e.value ?? "" }, shown(e.value)),
      el("td", { class: "number bounds" }, e.low === undefined || e.low === e.high ? "exact" : `${shown(e.low)} … ${shown(e.high)}`),
      el("td", { class: "bar", "aria-hidden": "true" }, el("meter", { min: 0, max: most || 1, value: number(e.value) ?? 0 }))));
  const more = entries.length > GROUPS_MAX ? `, ${entries.length - GROUPS_MAX} more` : "";
  return el("table", {}, el("caption", {}, caption + more), el("tbody", {}, ...body));
}

function buckets(found) {
  let before = 0;
  const entries = found.map(({ le, count }) => {
    const entry = [`≤ ${shown(le)}`, { value: count - before }];
    before = count;
    return entry;
  });
  return list(entries.filter(([, e]) => e.value > 0), "values by bucket");
}

function sample(rows) {
  const names = Object.keys(rows[0] ?? {});
  return el("table", {}, el("caption", {}, `${rows.length} events, drawn at random`),
    el("thead", {}, el("tr", {}, ...names.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, ...rows.slice(0, GROUPS_MAX).map((row) => el("tr", {}, ...names.map((name) => el("td", {}, String(row[name] ?? "")))))));
}

function groups(place, metric, by, rows) {
  if (rows.some((row) => row.items)) {
    const tables = rows.slice(0, 4).map((row) => list(row.items.map((item) => [String(item.item ?? "(none)"), item]), group(row)));
    place.replaceChildren(...tables);
    return;
  }
  const entry = (row) => [group(row), row.quantiles ? row.quantiles.find((q) => q.q === 0.5) ?? row.quantiles[0] : row];
  const entries = rows.map(entry).sort((a, b) => (number(b[1]?.value) ?? 0) - (number(a[1]?.value) ?? 0));
  const what = metric.measure === "quantiles" ? "median by " : "by ";
  place.replaceChildren(list(entries, what + by.join(", ")));
}

const at = (row) => Date.parse(row.start) / 1000;

function history(place, metric, rows) {
  const inTime = rows.filter((row) => row.start);
  if (inTime.length === 0) return;
  let chart = place.querySelector(".chart");
  if (!chart) {
    chart = el("div", { class: "chart", role: "img" });
    place.replaceChildren(chart);
  }
  const times = inTime.map(at);
  if (metric.measure === "quantiles") {
    const wanted = inTime[0].quantiles.map((q) => q.q).filter((q) => q <= 0.99).slice(-3).reverse();
    const of = (q) => inTime.map((row) => number(row.quantiles.find((found) => found.q === q)?.value));
    line(chart, times, wanted.map((q) => ({ label: `p${q * 100}`, values: of(q) })));
    chart.setAttribute("aria-label", `${metric.metric} over time: quantiles ${wanted.join(", ")}`);
    return;
  }
  const of = (key) => inTime.map((row) => number(row[key]));
  const band = inTime.some((row) => !row.exact && row.low !== null) ? { low: of("low"), high: of("high") } : null;
  line(chart, times, [{ label: metric.metric, values: of("value") }], band);
  const last = inTime.at(-1);
  chart.setAttribute("aria-label", `${metric.metric} over time, ${inTime.length} steps, the last ${shown(last.value)} ${bounds(last)}`);
}

/** Groups by time: the darker, the more. */
function heat(place, by, rows) {
  const cells = new Map();
  const sums = new Map();
  const times = [...new Set(rows.filter((row) => row.start).map((row) => row.start))].sort().slice(-HEAT_STEPS);
  for (const row of rows) {
    const name = group(row);
    cells.set(`${name}\n${row.start}`, number(row.value) ?? 0);
    sums.set(name, (sums.get(name) ?? 0) + (number(row.value) ?? 0));
  }
  if (times.length < 2) return place.replaceChildren();
  const names = [...sums.keys()].sort((a, b) => sums.get(b) - sums.get(a)).slice(0, GROUPS_MAX);
  const most = Math.max(...cells.values(), 1e-9);
  const body = names.map((name) => el("tr", {}, el("th", { scope: "row", title: name }, name), ...times.map((time) => {
    const value = cells.get(`${name}\n${time}`) ?? 0;
    const cell = el("td", { title: `${name} ${clock(time)}: ${shown(value)}` });
    cell.style.setProperty("--share", String(value / most));
    return cell;
  })));
  place.replaceChildren(el("div", { class: "heat", tabindex: 0, role: "group", "aria-label": `by ${by.join(", ")} over time` },
    el("table", { "aria-hidden": "true" }, el("tbody", {}, ...body)),
    el("p", { class: "visually-hidden" }, `Heat map of ${names.length} groups over ${times.length} steps; the table above has the sums.`)));
}
