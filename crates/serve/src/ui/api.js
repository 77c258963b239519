// What the page asks of the server. Paths are relative, so that it works below any path of a gateway.

/** An answer that says no carries a sentence and what to do. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `the server says ${status}`);
    this.status = status;
    this.hint = problem.hint ?? "";
  }
}

async function json(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, body);
  return body;
}

/** Shows the server a token, which the browser keeps as a cookie that scripts cannot read. */
export async function show(token) {
  const response = await fetch("v1/session", { method: "POST", headers: { authorization: `Bearer ${token}` } });
  if (!response.ok) throw new Refused(response.status, await response.json().catch(() => ({})));
}

export const metrics = async () => (await json(await fetch("v1/metrics"))).metrics;

export const status = async () => json(await fetch("v1/status"));

export const sql = async (query) =>
  json(await fetch("v1/sql", {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify({ query }),
  }));

/** Views of the pipeline file; null where the server answers no SQL. */
export async function views() {
  if (!(await status()).sql) return null;
  const answer = await sql("select view from sg.views order by view");
  return answer.rows.map(([view]) => view);
}

/** Asks many questions over one connection until it is closed; `on.answer(ask, answer)` is told what changes. */
export function stream(asks, on) {
  const query = asks.map((ask) => `ask=${encodeURIComponent(ask)}`).join("&");
  const events = new EventSource(`v1/stream?${query}&every=1s`);
  events.addEventListener("open", () => on.link("live"));
  events.addEventListener("error", () => on.link("lost"));
  events.addEventListener("answer", (event) => {
    const { ask, answer } = JSON.parse(event.data);
    on.link("live");
    on.answer(ask, answer);
  });
  events.addEventListener("problem", (event) => {
    const { ask, detail, hint } = JSON.parse(event.data);
    on.problem(ask, detail, hint);
  });
  events.addEventListener("end", () => on.link("lost"));
  return () => events.close();
}
