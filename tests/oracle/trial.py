"""What all tests of the oracle share: a folder of their own, rows of reports, the places of data and examples."""

import io
import os
import tempfile
import unittest
from pathlib import Path

import events
import pipeline as pipelines
import report as reports
import truth

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = ROOT / "examples"
DATA = Path(os.environ.get("STREAMGAUGE_DATA", ROOT.parent / "shared" / "data"))


class Folder(unittest.TestCase):
    """A directory for one test, with the files it asks for."""

    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.place = Path(place.name)

    def put(self, name, text):
        path = self.place / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    def answers(self, toml, every=None, window=None):
        pipeline = pipelines.load(self.put("pipeline.toml", toml))
        spans = [span and pipelines.parse_span(span) for span in (every, window or every)]
        return truth.compute(pipeline, *spans)

    def judge(self, answers, rows):
        out = io.StringIO()
        code = reports.check(answers, rows, out)
        return code, out.getvalue()

    def items(self, name, text, metrics, more=""):
        self.put(name, text)
        toml = f'[source.s]\npath = "{name}"\n{more}\n[metric]\n{metrics}\n'
        source = pipelines.load(self.put("pipeline.toml", toml)).sources[0]
        return [reason or values for reason, _, values in events.read(source, source.paths[0])]


def row(metric, value, by=None, start=None, end=None, **more):
    """An exact row of a report, as the contract writes it."""
    plain = {"metric": metric, "by": by or {}, "start": start, "end": end, "value": value, "low": value,
             "high": value, "confidence": 1.0, "guarantee": "exact", "exact": True, "complete_to": None,
             "late": 1, "sketch": None}
    return plain | more


def number(value, **name):
    return name | {"value": value, "low": value, "high": value}


def counters(source, **counts):
    return [row("sg.source", n, {"source": source, "reason": reason}) for reason, n in counts.items()]
