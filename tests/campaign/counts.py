"""What the oracles of the campaigns have in common: reading reports and sink files, and comparing counts.

It shares no code with the engine, and knows of its output only what docs/answer.schema.json says.
"""

import datetime
import json
import os
import sys

PANE_SECONDS = 10


def instant(seconds):
    """Seconds since 1970 as reports write them."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def group(by):
    """A group as a key: its values in the order of names."""
    return tuple(by[name] for name in sorted(by))


def number(value):
    """Integers beyond 2^53 are written as strings."""
    return int(value) if isinstance(value, str) else value


class Verdict:
    """Differences, told at most so many times."""

    def __init__(self):
        self.failures = []
        self.figures = {"lost": 0, "doubled": 0, "counts_compared": 0}

    def fail(self, text):
        if len(self.failures) < 10:
            self.failures.append(text)

    def add(self, figure, count):
        self.figures[figure] = self.figures.get(figure, 0) + count

    def compare(self, where, wanted, told):
        """Two maps from keys to counts, exactly."""
        self.figures["counts_compared"] += len(wanted)
        if wanted == told:
            return
        for key in sorted(wanted.keys() | told.keys(), key=repr):
            want, have = wanted.get(key, 0), told.get(key, 0)
            if want != have:
                self.add("lost" if have < want else "doubled", abs(want - have))
                self.fail(f"{where}: {key}: {have} are told, {want} were there")

    def print(self):
        json.dump({**self.figures, "failures": self.failures}, sys.stdout)


def report(path, metrics):
    """The answers of these metrics: {(metric, start, group): value}, and the counters of the source."""
    answers, counters = {}, {}
    with open(path, encoding="utf-8") as file:
        for row in json.load(file):
            if row["metric"] == "sg.source":
                counters[row["by"]["reason"]] = number(row["value"])
            elif row["metric"] in metrics:
                assert not row.get("other"), row
                key = (row["metric"], row["start"], group(row["by"]))
                assert key not in answers, f"{path}: {key} is told twice"
                answers[key] = number(row["value"])
    return answers, counters


def sink(verdict, path):
    """What was told last of every cell: {(metric, start, group): value}. Revisions must grow: what is told twice fails."""
    last = {}
    lines = 0
    if not os.path.exists(path):
        return {}  # nothing has left
    with open(path, encoding="utf-8") as file:
        for line in file:
            lines += 1
            row = json.loads(line)
            key = (row["metric"], row["start"], group(row["by"]))
            revision = row["revision"]
            before = last.get(key)
            if before is not None and before[0] >= revision:
                verdict.fail(f"{path}: line {lines}: {key} has revision {revision} after {before[0]}")
                verdict.add("sink_lines_doubled", 1)
            last[key] = (revision, number(row["value"]))
    verdict.add("sink_lines", lines)
    return {key: value for key, (_, value) in last.items()}
