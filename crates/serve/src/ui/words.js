// Numbers, times and spans as people read them.

const SECONDS = { us: 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600, d: 86400, w: 604800 };

/** Seconds of a span as pipeline files write it: 90s, 5m, 2d. */
export const seconds = (span) => {
  const [, number, unit] = /^(\d+)(us|ms|s|m|h|d|w)$/.exec(span) ?? [];
  return number === undefined ? NaN : Number(number) * SECONDS[unit];
};

/** The shortest way to write so many seconds as a span. */
export const span = (length) => {
  for (const unit of ["d", "h", "m", "s"]) {
    if (length >= SECONDS[unit] && length % SECONDS[unit] === 0) return `${length / SECONDS[unit]}${unit}`;
  }
  return `${Math.round(length * 1e6)}us`;
};

/** Integers beyond 2^53 come as text, and infinity as +Inf. */
export const number = (value) => {
  if (value === null || value === undefined) return null;
  if (value === "+Inf") return Infinity;
  if (value === "-Inf") return -Infinity;
  return Number(value);
};

export const shown = (value) => {
  const n = number(value);
  if (n === null || Number.isNaN(n)) return "–";
  if (!Number.isFinite(n)) return n > 0 ? "∞" : "−∞";
  const digits = Number.isInteger(n) ? 0 : Math.max(0, Math.min(4, 3 - Math.floor(Math.log10(Math.abs(n) || 1))));
  return n.toLocaleString("en", { maximumFractionDigits: digits });
};

/** What stands beside a value: that it is exact, or its bounds with what they promise. */
export const bounds = (row) => {
  if (row.exact) return "exact";
  if (row.low === null || row.low === undefined) return row.guarantee === "none" ? "no bounds" : "";
  const sure = row.guarantee === "proven" ? "proven" : `${Math.round(row.confidence * 1000) / 10} %`;
  return `${shown(row.low)} … ${shown(row.high)} (${sure})`;
};

/** A group in words. */
export const group = (row) => {
  if (row.other) return "(other)";
  const values = Object.values(row.by).map((value) => (value === null || value === "" ? "(none)" : String(value)));
  return values.join(" · ");
};

export const bytes = (value) => {
  let n = Number(value);
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (n < 1024 || unit === "GiB") return `${n >= 100 || unit === "B" ? Math.round(n) : n.toFixed(1)} ${unit}`;
    n /= 1024;
  }
  return "";
};

export const clock = (text) => (text ? text.replace("T", " ").replace("Z", "") : "–");
