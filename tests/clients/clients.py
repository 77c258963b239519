"""Real clients of Postgres ask a real run: psql, psycopg, SQLAlchemy, the JDBC driver, and what Grafana, Metabase and DBeaver
ask the catalogue. What they find is counted here too, by other means.

Usage: clients.py STREAMGAUGE DIRECTORY_OF_THE_JDBC_DRIVER
"""

import datetime
import decimal
import glob
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

import psycopg
import sqlalchemy

import twin
from handshakes import HANDSHAKES

HERE = pathlib.Path(__file__).parent
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
EVENTS = 7_200
DEVICES = ["ios", "android", "web"]
HEAVY = "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b"
PIPELINE = """
[serve]
listen = "127.0.0.1:0"
postgres = "127.0.0.1:0"
{more}
[source.events]
path = "events.ndjson"
time = {{ field = "ts", unit = "s" }}

[metric]
hits     = {{ measure = "count()", by = [[], ["device"]] }}
visitors = {{ measure = "unique(user)", by = [[], ["device"]] }}
latency  = {{ measure = "quantiles(ms)" }}
pages    = {{ measure = "top(page, 3)" }}
asked    = {{ measure = "audience(user)", by = [["device"]] }}

[view]
busy = "select start, value from hits where grouped_by = ''"
"""


def check(what, found, expected):
    if found != expected:
        sys.exit(f"clients: {what}: found {found!r}, and it should be {expected!r}")


def event(i):
    """An event a second; 900 users, each always on the same device."""
    user = i % 900
    return {
        "ts": int(START.timestamp()) + i,
        "device": DEVICES[user % 3],
        "user": f"u{user}",
        "page": f"/p/{i % 5}",
        "ms": float(i % 100),
    }


class Run:
    """A run of this pipeline, until the end of the block."""

    def __init__(self, program, directory, more=""):
        self.program, self.directory, self.more = program, pathlib.Path(directory), more

    def __enter__(self):
        (self.directory / "shop.toml").write_text(PIPELINE.format(more=self.more), encoding="utf-8")
        with open(self.directory / "events.ndjson", "w", encoding="utf-8") as file:
            file.writelines(json.dumps(event(i)) + "\n" for i in range(EVENTS))
        notes = open(self.directory / "notes", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [self.program, "run", "shop.toml"], cwd=self.directory, stdout=notes, stderr=notes
        )
        deadline = time.monotonic() + 60
        self.port = None
        while self.port is None:
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"clients: the run does not listen:\n{(self.directory / 'notes').read_text()}")
            text = (self.directory / "notes").read_text(encoding="utf-8")
            if "postgres://127.0.0.1:" in text:
                self.port = int(text.split("postgres://127.0.0.1:")[1].split("/")[0])
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=60)

    def url(self, **more):
        words = {"host": "127.0.0.1", "port": self.port, "user": "me", "dbname": "streamgauge", **more}
        return " ".join(f"{name}={value}" for name, value in words.items())

    def until_read(self, **more):
        """Waits until all events are counted."""
        deadline = time.monotonic() + 60
        with psycopg.connect(self.url(**more), autocommit=True) as connection:
            while connection.execute("select sum(accepted) from sg.sources").fetchone()[0] != EVENTS:
                if time.monotonic() > deadline:
                    sys.exit("clients: the events are not read")
                time.sleep(0.05)


def psql(run, *commands, password=None, **more):
    """What psql prints, and how it ended."""
    words = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1", run.url(**more)]
    for command in commands:
        words += ["-c", command]
    environment = {**os.environ, "PGPASSWORD": password or "", "PGCONNECT_TIMEOUT": "30", "PAGER": ""}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=120, check=False)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def by_psql(run):
    code, found, _ = psql(run, "select device, value from hits(by => 'device') order by device")
    check("psql", (code, found.split("\n")), (0, ["android|2400", "ios|2400", "web|2400"]))
    names = ["asked", "busy", "hits", "latency", "pages", "visitors"]
    code, found, _ = psql(run, "\\d")
    check("\\d", (code, [line.split("|")[1] for line in found.split("\n")]), (0, names))
    code, found, _ = psql(run, "\\dt")
    check("\\dt", [line.split("|")[1] for line in found.split("\n")], [n for n in names if n != "busy"])
    code, found, _ = psql(run, "\\d hits")
    columns = [line.split("|")[:2] for line in found.split("\n")]
    check("\\d hits", columns[:4], [["start", "timestamp with time zone"], ["end", "timestamp with time zone"], ["device", "text"], ["value", "bigint"]])
    code, found, _ = psql(run, "\\sv busy")
    check("\\sv busy", (code, "from hits where grouped_by" in found), (0, True))
    for command in ["\\dn", "\\l", "\\du", "\\df", "\\dv", "\\di", "\\ds", "\\dp", "\\dT", "\\dx", "\\db", "\\dt sg.*", "\\conninfo", "\\sv busy", "\\d+ busy", "\\dm", "\\dE", "\\des", "\\dRp", "\\dconfig", "\\dd", "\\do", "\\dC", "\\dO", "\\dA", "\\dX", "\\encoding"]:
        code, _, wrong = psql(run, command)
        check(f"psql {command}: {wrong}", code, 0)
    code, _, wrong = psql(run, "set statement_timeout = '300ms'", HEAVY)
    check("a timeout", (code, "statement timeout" in wrong), (1, True))
    code, _, wrong = psql(run, "copy (select 1) to '/tmp/streamgauge-never'")
    check("copy", (code, pathlib.Path("/tmp/streamgauge-never").exists()), (1, False))
    code, found, wrong = psql(run, "select sum(value) from visitors where grouped_by = 'device'")
    check("a warning", (code, "WARNING" in wrong and "merge_agg" in wrong), (0, True))
    print("psql: statements, \\d and its kin, timeout, warnings")


def by_psycopg(run):
    with psycopg.connect(run.url(application_name="clients")) as connection:
        ask = lambda *words: connection.execute(*words).fetchall()
        check("values", ask("select %s, %s, %s, %s, %s, %b", (1, "it's", True, 0.5, None, b"\0\xff")), [(1, "it's", True, 0.5, None, b"\0\xff")])
        found = ask("select start, value from hits(%s, %s, by => %s) order by start", ("1h", "1h", ""))
        check("hours", found, [(START, 3600), (START + datetime.timedelta(hours=1), 3600)])
        since = START + datetime.timedelta(minutes=90)
        check("since", ask("select sum(value) from hits where grouped_by = '' and start >= %s", (since,)), [(1800,)])
        check("one of", ask("select count(*) from hits(by => 'device') where device = any(%s)", (["ios", "web"],)), [(2,)])
        check("users", ask("select value, exact from visitors(by => '')"), [(900, True)])
        sketch = ask("select sketch from asked(by => 'device') where device = 'ios'")[0][0]
        check("a sketch comes back", ask("select estimate(%b), low(%b)", (sketch, sketch)), [(300.0, 300.0)])
        check("a list", ask("select top(sketch, 1) from pages()")[0][0][0]["value"], EVENTS // 5)
        check("none", ask("select ratio_bounds(a.sketch, b.sketch) from asked(by => 'device') a cross join asked(by => 'device') b where a.device = 'ios' and b.device = 'web'")[0][0]["value"], 0.0)
        connection.commit()
        with connection.cursor(name="cursor") as cursor:
            cursor.itersize = 7
            cursor.execute("select value from hits where grouped_by = '' and value is not null")
            check("a named cursor", sum(value for (value,) in cursor), EVENTS)
        connection.commit()
        binary = connection.cursor(binary=True)
        binary.execute("select start, value, exact, confidence, make_array(1, null), cast(-1.25 as decimal(10, 3)) from hits('1h', '1h', by => '') order by start limit 1")
        check("binary", binary.fetchone(), (START, 3600, True, 1.0, [1, None], decimal.Decimal("-1.250")))
        for i in range(8):
            found = connection.execute("select value + %s from hits(by => '')", (i,), prepare=True).fetchone()
        check("prepared", found, (EVENTS + 7,))
        connection.commit()
        with connection.transaction():
            try:
                with connection.transaction():
                    connection.execute("select nope from hits")
            except psycopg.errors.UndefinedColumn:
                pass
            check("a savepoint", ask("select 1"), [(1,)])
        with connection.pipeline():
            one, two = connection.execute("select 1"), connection.execute("select value from hits(by => '')")
            check("a pipeline", (one.fetchone(), two.fetchone()), ((1,), (EVENTS,)))
        for statement, error in [
            ("selec", psycopg.errors.SyntaxError),
            ("select * from nope", psycopg.errors.UndefinedTable),
            ("insert into hits values (1)", psycopg.errors.ReadOnlySqlTransaction),
            ("drop table hits", psycopg.errors.ReadOnlySqlTransaction),
        ]:
            try:
                connection.execute(statement)
                sys.exit(f"clients: {statement} was answered")
            except error:
                connection.rollback()
        timer = threading.Timer(0.5, connection.cancel)
        timer.start()
        try:
            connection.execute(HEAVY)
            sys.exit("clients: a query was not cancelled")
        except psycopg.errors.QueryCanceled:
            connection.rollback()
        timer.join()
    print("psycopg: values, binary, prepared, cursors, pipelines, savepoints, errors, cancellation")


def by_sqlalchemy(run):
    engine = sqlalchemy.create_engine(f"postgresql+psycopg://me@127.0.0.1:{run.port}/streamgauge")
    inspected = sqlalchemy.inspect(engine)
    check("tables", sorted(inspected.get_table_names()), ["asked", "hits", "latency", "pages", "visitors"])
    check("views", inspected.get_view_names(), ["busy"])
    metadata = sqlalchemy.MetaData()
    metadata.reflect(engine)
    hits = metadata.tables["hits"]
    with engine.connect() as connection:
        query = sqlalchemy.select(sqlalchemy.func.sum(hits.c.value)).where(hits.c.grouped_by == "")
        check("a statement that was built", connection.execute(query).scalar(), EVENTS)
    engine.dispose()
    print("SQLAlchemy: tables are reflected and asked")


def by_jdbc(run, driver, *secret, more=""):
    jars = glob.glob(f"{driver}/postgresql-*.jar")
    check("one JDBC driver", len(jars), 1)
    url = f"jdbc:postgresql://127.0.0.1:{run.port}/streamgauge{more}"
    words = ["java", "-Duser.timezone=UTC", "-cp", jars[0], str(HERE / "Ask.java"), url, "me", *secret]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    check(f"java: {done.stderr}", done.returncode, 0)
    found = dict(line.split("=", 1) for line in done.stdout.strip().split("\n"))
    return found


def jdbc(run, driver):
    found = by_jdbc(run, driver)
    expected = dict(line.split("=", 1) for line in (HERE / "jdbc.txt").read_text(encoding="utf-8").strip().split("\n"))
    for name in expected | found:
        check(f"JDBC: {name}", found.get(name), expected.get(name))
    print(f"JDBC: {len(found)} questions, of the catalogue and of what is measured")


def handshakes(run):
    asked = 0
    with psycopg.connect(run.url(), autocommit=True) as connection:
        for client, questions in HANDSHAKES.items():
            for text, judge in questions:
                try:
                    cursor = connection.execute(text, prepare=False)
                    while cursor.nextset():
                        pass
                    rows = cursor.fetchall()
                except psycopg.Error as error:
                    sys.exit(f"clients: {client} asks\n{text}\nand is told: {error}")
                if not judge(rows):
                    sys.exit(f"clients: {client} asks\n{text}\nand finds {rows!r}")
                asked += 1
    print(f"{', '.join(HANDSHAKES)}: {asked} questions as they ask them")


def beside_postgres(run):
    if not twin.there():
        print("SKIPPED the comparison with a real Postgres: there is none")
        return
    with psycopg.connect(run.url(), autocommit=True) as connection:
        asked, differ = twin.compare(connection)
    check("what the interpreter says otherwise than Postgres", "\n".join(differ), "")
    print(f"Postgres itself: {asked} questions, the same answers")


def board(run):
    """The board of deploy/grafana, with its variables and macros filled in as Grafana does."""
    text = json.loads((HERE / "../../deploy/grafana/streamgauge-postgres.json").read_text(encoding="utf-8"))
    chosen = {}
    with psycopg.connect(run.url(), autocommit=True) as connection:

        def ask(sql):
            for name, value in chosen.items():
                sql = sql.replace(f"${name}", value)
            sql = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN '2026-01-01T00:00:00Z' AND '2026-01-01T06:00:00Z'", sql)
            check(f"a name of the board is unknown: {sql}", "$" in sql, False)
            try:
                return connection.execute(sql, prepare=False).fetchall()
            except psycopg.Error as error:
                sys.exit(f"clients: the board asks\n{sql}\nand is told: {error}")

        for variable in text["templating"]["list"]:
            if variable["type"] == "query":
                found = [row[0] for row in ask(variable["query"])]
                chosen[variable["name"]] = {"metric": "hits", "dimension": "device"}[variable["name"]]
                check(f"the board's {variable['name']}", chosen[variable["name"]] in found, True)
        found = {panel["id"]: ask(panel["targets"][0]["rawSql"]) for panel in text["panels"]}
    check("the board's total", found[2], [(EVENTS, EVENTS, EVENTS)])
    check("the board's panes", sum(row[1] for row in found[1]), EVENTS)
    check("the board's groups", sum(row[2] for row in found[3]), EVENTS)
    check("the board's newest hour", sorted(found[4]), [("android", 1200), ("ios", 1200), ("web", 1200)])
    check("the board's sources", found[5][0][:3], ("events", EVENTS, EVENTS))
    print(f"the Grafana board: {len(found)} panels")


def behind_tokens(program, driver):
    with tempfile.TemporaryDirectory() as directory:
        words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
        subprocess.run(words, cwd=directory, capture_output=True, check=True)
        for name, token in [("readers", "ask-1\nask-2\n"), ("senders", "send-1\n"), ("all", "all-1\n")]:
            (pathlib.Path(directory) / name).write_text(token, encoding="utf-8")
        more = """token = { file = "all" }
read_token = { file = "readers" }
ingest_token = { file = "senders" }
tls = { cert = "cert.pem", key = "key.pem" }
"""
        with Run(program, directory, more) as run:
            run.until_read(password="ask-1", sslmode="require")
            total = "select value from hits(by => '')"
            for mode in ["require", "verify-full"]:
                for token in ["ask-1", "ask-2", "all-1"]:
                    found = psql(run, total, password=token, sslmode=mode, sslrootcert=f"{directory}/cert.pem", host="localhost", hostaddr="127.0.0.1", channel_binding="require")
                    check(f"psql with {token} and {mode}", found[:2], (0, str(EVENTS)))
            for token, mode, words in [("send-1", "require", "sending events"), ("ask-3", "require", "authentication failed"), ("ask-1", "disable", "encrypted")]:
                code, _, wrong = psql(run, total, password=token, sslmode=mode)
                check(f"psql with {token} and {mode}: {wrong}", (code != 0, words in wrong), (True, True))
            found = by_jdbc(run, driver, "ask-1", more="?sslmode=require")
            check("JDBC over TLS", found.get("total", "").split(" ")[0], "900")
            check("JDBC with a wrong token", by_jdbc(run, driver, "no", more="?sslmode=require"), {"connect": "SQLSTATE 28P01"})
            check("JDBC in the clear", by_jdbc(run, driver, "ask-1", more="?sslmode=disable"), {"connect": "SQLSTATE 28000"})
    print("tokens and TLS: psql with channel binding, JDBC; others are turned away")


def main():
    program, driver = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    with tempfile.TemporaryDirectory() as directory, Run(program, directory) as run:
        run.until_read()
        by_psql(run)
        by_psycopg(run)
        by_sqlalchemy(run)
        jdbc(run, driver)
        handshakes(run)
        board(run)
        beside_postgres(run)
    behind_tokens(program, driver)


if __name__ == "__main__":
    main()
