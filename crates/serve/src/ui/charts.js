// Charts by uPlot: a line with the band of its bounds, or several quantiles. What they show stands in a table for who cannot see them.

const hue = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const two = (n) => String(n).padStart(2, "0");

/** Ticks of the time axis, in UTC: clock times, and the day where it changes. */
const times = (_, ticks) => {
  let day = null;
  return ticks.map((tick) => {
    const at = new Date(tick * 1000);
    const [date, clock] = [`${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}`, `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`];
    const text = clock === "00:00" ? date : day === null || day === date ? clock : `${date} ${clock}`;
    day = date;
    return text;
  });
};

/** Draws into `place`, or redraws what is there. `lines` are { label, values } over the times `at`, in seconds; `low` and `high` are optional. */
export function line(place, at, lines, band) {
  const data = [at, ...lines.map((l) => l.values)];
  if (band) data.push(band.high, band.low);
  const theme = document.documentElement.className;
  const shape = `${lines.map((l) => l.label).join()}|${Boolean(band)}|${theme}`;
  if (place.plot && place.shape === shape) {
    place.plot.setData(data);
    return;
  }
  place.plot?.destroy();
  const axis = { stroke: hue("--soft"), grid: { stroke: hue("--line"), width: 1 }, ticks: { show: false } };
  const series = [{}];
  lines.forEach((l, number) =>
    series.push({ label: l.label, stroke: hue("--hue"), width: 2, dash: number ? [3 * number, 3] : undefined, points: { show: at.length < 2 } }));
  const bands = [];
  if (band) {
    const invisible = { stroke: "transparent", width: 0, points: { show: false } };
    series.push({ label: "high", ...invisible }, { label: "low", ...invisible });
    bands.push({ series: [lines.length + 1, lines.length + 2], fill: hue("--band") });
  }
  place.shape = shape;
  place.plot = new globalThis.uPlot({
    width: Math.max(place.clientWidth, 200),
    height: 120,
    tzDate: (ts) => globalThis.uPlot.tzDate(new Date(ts * 1000), "UTC"),
    legend: { show: false },
    cursor: { y: false },
    scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high ?? 1) === 0 ? 1 : (high ?? 1) * 1.05] } },
    axes: [{ ...axis, values: times }, { ...axis, size: 52, values: (_, ticks) => ticks.map((v) => v.toLocaleString("en", { notation: "compact" })) }],
    series,
    bands,
  }, data, place);
}

/** Charts follow the width of their cards. */
export function resize(root) {
  for (const place of root.querySelectorAll(".chart")) {
    place.plot?.setSize({ width: Math.max(place.clientWidth, 200), height: 120 });
  }
}
