"""Exact answers for a pipeline, and the judge of a report.

    oracle.py check PIPELINE.toml REPORT.json [--data DIR] [--every 1m] [--window 1h]
    oracle.py answers PIPELINE.toml [--data DIR] [--every 1m] [--window 1h]

`check` recomputes every answer of `streamgauge run --once --format json PIPELINE.toml` from the files and
compares. It shares no code with the engine: both are written from the same promises, so where they differ
one of them misread. Exit code 0: all promises kept; 1: some broken; 2: the pipeline or the report cannot be
read; 3: kept, but some metrics are outside what the oracle computes, or the whole
pipeline is. DIR (or STREAMGAUGE_DATA) is where the data files are, if not where the pipeline says.
"""

import argparse
import json
import math
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import errors  # noqa: E402
import events  # noqa: E402
import pipeline as pipelines  # noqa: E402
import report as reports  # noqa: E402
import truth  # noqa: E402


def main(argv=None):
    options = arguments().parse_args(argv)
    try:
        pipeline = pipelines.load(options.pipeline, options.data)
        every, window = question(options)
        answers = truth.compute(pipeline, every, window)
        if options.command == "answers":
            write(answers, sys.stdout)
            return 0
        rows = reports.load(options.report)
    except (errors.Unsupported, reports.Unreadable, OSError, KeyError, ValueError) as error:
        print(f"oracle: {type(error).__name__}: {error}", file=sys.stderr)
        return 3 if isinstance(error, errors.Unsupported) and not isinstance(error, errors.Wrong) else 2
    return reports.check(answers, rows, sys.stdout)


def arguments():
    parser = argparse.ArgumentParser(description="Exact answers for a pipeline, and the judge of a report.")
    commands = parser.add_subparsers(dest="command", required=True)
    texts = {"check": "compare a report with the truth", "answers": "print the truth as a report"}
    for name, text in texts.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("pipeline")
        if name == "check":
            command.add_argument("report", help="file with the JSON report, or - for stdin")
        command.add_argument("--data", help="directory with the data files")
        command.add_argument("--every", help="distance between the starts of windows")
        command.add_argument("--window", help="length of a window; the same as --every if absent")
    return parser


def question(options):
    """(every, window) in microseconds, or (None, None) for totals."""
    if options.window and not options.every:
        raise errors.Wrong("--window without --every")
    if not options.every:
        return None, None
    every = pipelines.parse_span(options.every)
    return every, pipelines.parse_span(options.window) if options.window else every


def write(answers, out):
    """The truth in the shape of a report, rows in a stable order."""
    rows = [row_of(answers, key, cell) for key, cell in answers.cells.items()]
    for (source, reason), count in answers.counters.items():
        rows.append(plain_row("sg.source", {"source": source, "reason": reason}, None, None) | bounds(count))
    rows.sort(key=lambda row: (row["metric"], row["start"] or "", json.dumps(row["by"])))
    out.write('{"rows": [\n' + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]}\n")


def row_of(answers, key, cell):
    metric, by, start, end = key
    row = plain_row(metric, {path: wide(value) for path, value in by}, start, end)
    row |= bounds(cell.value()) | {"late": answers.late[metric]}
    if cell.metric.measure in ("top", "freq"):
        heavy = sorted(cell.weights.items(), key=lambda item: (-item[1], str(item[0])))
        heavy = heavy[:cell.metric.k] if cell.metric.measure == "top" else heavy
        row["items"] = [{"item": wide(item)} | bounds(weight) for item, weight in heavy]
    elif cell.metric.measure == "quantiles":
        row["quantiles"] = [{"q": float(q)} | bounds(cell.quantile(q)) for q in cell.metric.qs]
    elif cell.metric.measure == "histogram":
        row["buckets"] = buckets(cell)
    elif cell.metric.measure == "sample":
        shown, _, names = answers.samples[metric]
        row["rows"] = [{name: wide(event[names.index(name)]) for name in shown}
                       for event in cell.values[:cell.metric.k]]
    if cell.metric.verdict:
        row |= {"exact": False, "guarantee": "proven"}
    return row


def plain_row(metric, by, start, end):
    return {"metric": metric, "by": by, "start": events.write_time(start), "end": events.write_time(end),
            "confidence": 1.0, "guarantee": "exact", "exact": True, "complete_to": None, "late": 0,
            "sketch": None}


def bounds(value):
    value = wide(value)
    return {"value": value, "low": value, "high": value}


def wide(value):
    """Integers beyond 2^53 are strings."""
    return str(value) if isinstance(value, int) and abs(value) > 2**53 else value


def buckets(cell):
    """Cumulative counts at the bounds asked for, else at the powers of two that the values need."""
    edges = cell.metric.bounds or sorted({power_above(value) for value in cell.values})
    found = [{"le": edge, "count": sum(value <= edge for value in cell.values)} for edge in edges]
    return found + [{"le": "+Inf", "count": len(cell.values)}]


def power_above(value):
    """Smallest of 0 and the positive and negative powers of two that is not below the value."""
    if value == 0:
        return 0.0
    mantissa, exponent = math.frexp(value)
    if value > 0:
        return math.ldexp(1.0, exponent if mantissa > 0.5 else exponent - 1)
    return -math.ldexp(1.0, exponent - 1)


if __name__ == "__main__":
    sys.exit(main())
