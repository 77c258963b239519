"""Asks a peer the six questions of the bench about one NDJSON file, on one thread.

usage: peer.py duckdb|duckdb-exact|datafusion FILE

1 count   2 distinct users   3 count by event type   4 ten most frequent users   5 p50 and p99 of the latency
6 distinct users per minute and device

Every peer loads the five columns it needs into a table first and then asks: with JSON that beat scanning the file once
for each question. It answers approximately where it can (DataFusion has no approximate top ten). Prints one JSON
object; its clock and CPU time start after the imports, in favour of the peer. `top` holds the users whose count is at
least that of the tenth, so that a tie is no error.
"""

import json
import resource
import sys
import time

COLUMNS = {
    "ts": "BIGINT",
    "user_id": "VARCHAR",
    "event": "VARCHAR",
    "page": "VARCHAR",
    "device": "VARCHAR",
    "latency_ms": "DOUBLE",
    "value": "DOUBLE",
}
USED = "ts, user_id, event, device, latency_ms"


def duckdb_approximate(path):
    import duckdb

    with Clock(f"DuckDB {duckdb.__version__}") as clock:
        db = duckdb_loaded(duckdb, path)
        count, distinct, by_event, top, quantiles = db.execute(
            """SELECT count(*), approx_count_distinct(user_id), histogram(event), approx_top_k(user_id, 10),
                      approx_quantile(latency_ms, [0.5, 0.99]) FROM events"""
        ).fetchone()
        windows = db.execute(
            "SELECT ts // 60000, device, approx_count_distinct(user_id) FROM events GROUP BY ALL"
        ).fetchall()
    return clock.report(count, distinct, by_event, top, quantiles, windows)


def duckdb_exact(path):
    import duckdb

    with Clock(f"DuckDB {duckdb.__version__}") as clock:
        db = duckdb_loaded(duckdb, path)
        count, distinct, quantiles = db.execute(
            "SELECT count(*), count(DISTINCT user_id), quantile_disc(latency_ms, [0.5, 0.99]) FROM events"
        ).fetchone()
        by_event = dict(db.execute("SELECT event, count(*) FROM events GROUP BY ALL").fetchall())
        top = db.execute(
            """SELECT user_id FROM (SELECT user_id, rank() OVER (ORDER BY count(*) DESC) AS place
               FROM events GROUP BY user_id) WHERE place <= 10 ORDER BY place, user_id"""
        ).fetchall()
        windows = db.execute(
            "SELECT ts // 60000, device, count(DISTINCT user_id) FROM events GROUP BY ALL"
        ).fetchall()
    return clock.report(count, distinct, by_event, [user for (user,) in top], quantiles, windows)


def duckdb_loaded(duckdb, path):
    db = duckdb.connect()
    db.execute("SET threads = 1")
    db.execute("SET preserve_insertion_order = false")
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in COLUMNS.items())
    db.execute(
        f"""CREATE TEMP TABLE events AS SELECT {USED}
            FROM read_json('{quoted(path)}', format = 'newline_delimited', columns = {{{columns}}})"""
    )
    return db


def datafusion(path):
    import datafusion as df
    import pyarrow as pa

    arrow = {"BIGINT": pa.int64(), "VARCHAR": pa.string(), "DOUBLE": pa.float64()}
    schema = pa.schema([(name, arrow[kind]) for name, kind in COLUMNS.items()])
    with Clock(f"DataFusion {df.__version__}") as clock:
        ctx = df.SessionContext(df.SessionConfig().with_target_partitions(1))
        ctx.register_json("file", path, schema=schema, file_extension=".ndjson")
        ctx.sql(f"CREATE TABLE events AS SELECT {USED} FROM file").collect()

        def rows(sql):
            return [tuple(row.values()) for row in ctx.sql(sql).to_pylist()]

        [(count, distinct, p50, p99)] = rows(
            """SELECT count(*) AS n, approx_distinct(user_id) AS d, approx_percentile_cont(latency_ms, 0.5) AS p50,
                      approx_percentile_cont(latency_ms, 0.99) AS p99 FROM events"""
        )
        by_event = dict(rows("SELECT event, count(*) AS n FROM events GROUP BY event"))
        top = rows("SELECT user_id, count(*) AS n FROM events GROUP BY user_id ORDER BY n DESC LIMIT 10")
        windows = rows(
            """SELECT ts / 60000 AS minute, device, approx_distinct(user_id) AS n
               FROM events GROUP BY ts / 60000, device"""
        )
    return clock.report(count, distinct, by_event, [user for user, _ in top], [p50, p99], windows)


class Clock:
    """Wall and CPU seconds of its block."""

    def __init__(self, engine):
        self.engine = engine

    def __enter__(self):
        self.cpu_s = -cpu_seconds()
        self.wall_s = -time.monotonic()
        return self

    def __exit__(self, *trouble):
        self.wall_s += time.monotonic()
        self.cpu_s += cpu_seconds()

    def report(self, count, distinct, by_event, top, quantiles, windows):
        return {
            "engine": self.engine,
            "wall_s": self.wall_s,
            "cpu_s": self.cpu_s,
            "answers": {
                "count": count,
                "distinct": float(distinct),
                "by_event": by_event,
                "top": top,
                "p50": float(quantiles[0]),
                "p99": float(quantiles[1]),
                "windows": {f"{minute}|{device}": float(n) for minute, device, n in windows},
            },
        }


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def quoted(path):
    return path.replace("'", "''")


PEERS = {"duckdb": duckdb_approximate, "duckdb-exact": duckdb_exact, "datafusion": datafusion}

if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in PEERS:
        sys.exit(__doc__)
    print(json.dumps(PEERS[sys.argv[1]](sys.argv[2])))
