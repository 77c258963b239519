#!/usr/bin/env python3
"""The dashboard in a real browser: it loads without a word of complaint, shows what the API says, and moves on with the events.

    dashboard.py PROGRAM [--screenshots DIR]

Starts the program over a file that it writes, opens the page in Chromium, and looks. Needs playwright and openapi-spec-validator
(requirements.txt) and a Chromium of the system.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

PIPELINE = """
panes = ["1m:1d", "1h:7d"]

[serve]
listen = "127.0.0.1:0"

[source.shop]
path   = "events.ndjson"
time   = { field = "ts", unit = "s" }
fields = { ts = "int64", ms = "float64" }

[metric]
visitors = { measure = "unique(user)", by = [[], ["device"]] }
hits     = { measure = "count()", by = [[], ["device"]] }
pages    = "top(page, 5)"
latency  = "quantiles(ms)"
known    = { measure = "seen(user)", size = "100K @ 1%" }
sizes    = "histogram(ms)"
"""
PATIENCE_S = 30
DEVICES = ("ios", "android", "<b>web</b>")


def events(begin, end):
    for at in range(begin, end):
        user = at * 7919 % 5000
        yield json.dumps({"ts": at, "user": f"u{user}", "device": DEVICES[at % 3], "page": f"/p{user % 40 % (1 + at % 40)}",
                          "ms": (at * 31 % 977) / 7})


class Program:
    """The program over a file that grows."""

    def __init__(self, path, directory):
        self.file = directory / "events.ndjson"
        self.file.write_text("\n".join(events(0, 7200)) + "\n", encoding="utf-8")
        (directory / "p.toml").write_text(PIPELINE, encoding="utf-8")
        self.process = subprocess.Popen([path, "run", "p.toml"], cwd=directory, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.address = None
        for line in self.process.stderr:
            found = re.match(r"listening on (http://\S+)", line)
            if found:
                self.address = found.group(1)
                break
        # What follows must go somewhere.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def grow(self, begin, end):
        with open(self.file, "a", encoding="utf-8") as file:
            file.write("\n".join(events(begin, end)) + "\n")

    def ask(self, path):
        with urllib.request.urlopen(f"{self.address}/{path}", timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


def until(what, is_so):
    """Waits until it is so; the last thing seen stands in the complaint."""
    end = time.monotonic() + PATIENCE_S
    while True:
        good, seen = is_so()
        if good:
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"{what}: {seen!r}")
        time.sleep(0.1)


def refused(page):
    """What the page says of a query that makes no sense; the browser itself logs the status, which is no complaint of ours."""
    page.fill("#query", "select nothing from nowhere")
    page.click("#sql button[type=submit]")
    return until("a hint", lambda: ((node := page.query_selector("#answer .problem")) is not None, node)).inner_text()


def value(page, metric):
    """The number that a card shows, as the page was told it."""
    found = page.query_selector(f'[data-metric="{metric}"] [data-part="total"] [data-value]')
    return found.get_attribute("data-value") if found else None


def look(page, program, shots):
    said = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    # A stream that the page itself closes is no failure.
    page.on("requestfailed", lambda request: None if "/v1/stream" in request.url else said.append(f"{request.url}: {request.failure}"))
    page.on("dialog", lambda dialog: (said.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.goto(program.address)

    # Every metric has a card, and what the cards say is what the API says.
    named = [metric["metric"] for metric in program.ask("v1/metrics")["metrics"]]
    until("cards", lambda: ((cards := [c.get_attribute("data-metric") for c in page.query_selector_all("[data-metric]")]) == named, cards))
    for window in ("1h", "all"):
        page.check(f"#window-{window}", force=True)
        query = "" if window == "all" else f"window={window}&"
        for metric in ("visitors", "hits"):
            row = program.ask(f"v1/metrics/{metric}?{query}by=")["rows"][0]
            until(f"{metric} {window}", lambda: ((seen := value(page, metric)) == str(row["value"]), (seen, row["value"])))
        shown = page.inner_text('[data-metric="visitors"] [data-part="total"] .bounds')
        assert ("exact" in shown) == row["exact"] or metric != "visitors", shown
        groups = program.ask(f"v1/metrics/hits?{query}by=device")["rows"]
        most = {row["by"]["device"]: str(row["value"]) for row in groups}
        texts = page.eval_on_selector_all('[data-metric="hits"] [data-part="groups"] tr',
                                          "rows => rows.map(row => [row.cells[0].innerText, row.cells[1].dataset.value])")
        assert dict(texts) == most, (texts, most)  # also: a group that looks like HTML is text
        top = [item["item"] for item in program.ask(f"v1/metrics/pages?{query}by=")["rows"][0]["items"]]
        seen = page.eval_on_selector_all('[data-metric="pages"] [data-part="total"] tr', "rows => rows.map(row => row.cells[0].innerText)")
        assert seen == top, (seen, top)
    page.check("#window-1h", force=True)
    until("charts", lambda: ((n := len(page.query_selector_all(".chart canvas"))) >= 3, n))
    until("a heat map", lambda: ((n := len(page.query_selector_all('[data-metric="hits"] .heat td'))) >= 60, n))
    # SQL: an example, a query that is typed, and one that makes no sense.
    page.wait_for_selector("#sql:not([hidden])", timeout=PATIENCE_S * 1000)
    page.fill("#query", "select device, value from hits('1h', by => 'device') order by device")
    page.keyboard.press("Control+Enter")
    cells = lambda: page.eval_on_selector_all("#answer tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.innerText))")
    until("an answer in SQL", lambda: ((seen := cells()) == [[name, "1200"] for name in sorted(DEVICES)], seen))
    page.screenshot(path=shots / "light.png", full_page=True)

    # It moves on with the events, without being loaded again.
    program.grow(7200, 9000)
    row = until("all of them", lambda: ((row := program.ask("v1/metrics/hits?by=")["rows"][0])["value"] == 9000, row))
    page.check("#window-all", force=True)
    until("the total", lambda: ((seen := value(page, "hits")) == str(row["value"]), seen))
    read = until("the source", lambda: ((seen := page.inner_text('[data-fact="read"]')) == "9,000", seen))
    assert read == "9,000"

    # By keyboard, and in the dark.
    page.keyboard.press("d")
    assert page.evaluate("document.documentElement.className") == "dark"
    page.keyboard.press("5")
    assert page.evaluate("document.querySelector('#windows input:checked').id") == "window-6h"
    until("charts again", lambda: ((n := len(page.query_selector_all(".chart canvas"))) >= 1, n))
    page.screenshot(path=shots / "dark.png", full_page=True)
    nameless = page.evaluate("[...document.querySelectorAll('button, input, textarea, [role=img]')].filter(node => "
                             "!(node.innerText || node.labels?.length || node.getAttribute('aria-label'))).length")
    assert nameless == 0, f"{nameless} controls have no name"
    wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert not wide, "the page is wider than its window"
    page.set_viewport_size({"width": 390, "height": 800})
    page.screenshot(path=shots / "narrow.png", full_page=True)
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"), "too wide for a telephone"
    assert not said, said
    assert "nowhere" in refused(page)


DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def judge(program):
    """Prometheus' own judge finds nothing wrong with what is told, nor with our alerts; and what alerts and boards ask for is told."""
    for words in (["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]):
        subprocess.run(["promtool", *words], cwd=DEPLOY / "prometheus", check=True, stdout=subprocess.DEVNULL)
    until("all is read", lambda: ((read := program.ask("v1/status")["sources"][0].get("counters", {}).get("read")) == 7200, read))
    for query in ("", "?window=5m"):
        with urllib.request.urlopen(f"{program.address}/metrics{query}", timeout=PATIENCE_S) as answer:
            text = answer.read()
        told = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
        assert told.returncode == 0 and not told.stderr.strip(), told.stderr.decode() + text.decode()
        assert b"streamgauge_metric_visitors_low" in text and b"streamgauge_sketch_fill_ratio" in text
    families = set(re.findall(r"^# TYPE (\S+)", text.decode(), re.M))
    for file in ("prometheus/alerts.yml", "grafana/streamgauge.json"):
        asked = set(re.findall(r"streamgauge_[a-z_]+[a-z](?![\w$]|\.\+)", (DEPLOY / file).read_text(encoding="utf-8")))
        unknown = {name for name in asked - families if not name.startswith("streamgauge_metric_")}
        assert unknown <= {"streamgauge_inbox_backlog_bytes", "streamgauge_inbox_disk_bytes"}, f"{file} asks for {unknown}"


def document(program):
    """A validator of others finds nothing wrong with the document of the API, and it names what is asked here."""
    from openapi_spec_validator import validate

    told = program.ask("openapi.json")
    validate(told)
    assert {"/v1/metrics/{name}", "/v1/sql", "/v1/events"} <= set(told["paths"]), sorted(told["paths"])


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("program")
    options.add_argument("--screenshots", type=Path)
    options = options.parse_args()
    from playwright.sync_api import sync_playwright

    browser_path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser_path is None:
        sys.exit("there is no Chromium: install the package `chromium`")
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        shots = options.screenshots or directory
        shots.mkdir(parents=True, exist_ok=True)
        program = Program(os.path.abspath(options.program), directory)
        try:
            assert program.address, "the program does not listen"
            document(program)
            judge(program)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
                look(browser.new_page(viewport={"width": 1280, "height": 900}), program, shots)
                browser.close()
        finally:
            code = program.stop()
        assert code == 0, f"the program ended with {code}"
    print("dashboard: all is well")


if __name__ == "__main__":
    main()
