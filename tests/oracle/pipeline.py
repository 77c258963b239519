"""The pipeline file, read a second time: which files, which fields, which metrics.

Knows the part of the language that an exact answer can be computed for; whatever lies outside is named
(`Unsupported` for a whole source, `Metric.unchecked` for one metric), never silently ignored. Reads no
data.
"""

import glob
import os
import re
import tomllib
from dataclasses import dataclass, field
from fractions import Fraction

KINDS = ("string", "int64", "float64", "bool")
NUMERIC = ("sum", "min", "max", "avg", "stddev", "quantiles", "histogram")
MEASURES = NUMERIC + ("count", "unique", "freq", "top")
QS_DEFAULT = ["0.5", "0.9", "0.95", "0.99", "0.999"]
K_DEFAULT = 10
GROUPS_DEFAULT = 1000
PANES_DEFAULT = ["1m:2d"]
AGREE_DEFAULT = 32
RECORD_BYTES_DEFAULT = 1 << 20

SPAN_UNITS = {"us": 1, "ms": 1_000, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86_400 * 10**6,
              "w": 7 * 86_400 * 10**6}
TIME_UNITS = {"s": Fraction(10**6), "ms": Fraction(1000), "us": Fraction(1), "ns": Fraction(1, 1000)}

SOURCE_KEYS = {"kind", "path", "format", "delimiter", "quoted", "header", "columns", "null", "fields", "time",
               "bad", "record_bytes_max"}
TIME_KEYS = {"field", "unit", "pattern", "lateness", "later", "ahead", "agree", "idle"}
# Keys of a metric that change how well or how dear it is measured, never what is true.
METRIC_KEYS = {"measure", "by", "keep", "keys", "source", "accuracy", "size", "hash"}


class Unsupported(Exception):
    """The pipeline asks for something that this oracle does not compute, or is wrong."""


@dataclass
class TimeSpec:
    """Event time of a source; spans in microseconds, `ahead` None means no limit."""
    path: str
    unit: Fraction | None = None
    pattern: str | None = None
    lateness: int = 0
    later: str = "correct"
    ahead: int | None = None
    agree: int = AGREE_DEFAULT


@dataclass
class Metric:
    """One measure with its grouping sets. `keep` is None (ladder and total) or "forever" (total only)."""
    name: str
    measure: str = ""
    path: str | None = None
    k: int = K_DEFAULT
    qs: list = field(default_factory=list)
    bounds: list | None = None
    by: list = field(default_factory=lambda: [()])
    forever: bool = False
    groups_max: int = GROUPS_DEFAULT
    unchecked: str | None = None


@dataclass
class Source:
    """Files of events and what is measured of them. `fields` maps the path of each used field to its kind."""
    name: str
    paths: list
    format: str
    delimiter: str
    quoted: bool
    columns: list | None
    nulls: frozenset
    fields: dict
    time: TimeSpec | None
    record_bytes_max: int
    metrics: list


@dataclass
class Pipeline:
    """Sources and the ladder: (size, keep) in microseconds, finest first."""
    name: str
    levels: list
    sources: list


def load(path, data=None):
    """Reads a pipeline file. `data` (or STREAMGAUGE_DATA) is a directory that wins over the file's."""
    with open(path, "rb") as file:
        raw = tomllib.load(file)
    data = data or os.environ.get("STREAMGAUGE_DATA")
    levels = [parse_level(text) for text in raw.get("panes", PANES_DEFAULT)]
    for (finer, _), (coarser, _) in zip(levels, levels[1:]):
        if coarser <= finer or coarser % finer:
            raise Unsupported("panes: each size must divide the next")
    tables = raw.get("source")
    if not tables:
        raise Unsupported("no [source.NAME]")
    sources = {name: parse_source(name, table, os.path.dirname(os.path.abspath(path)), data)
               for name, table in tables.items()}
    for name, table in raw.get("metric", {}).items():
        attach(sources, parse_metric(name, table), table)
    declared = {name: table.get("fields", {}) for name, table in tables.items()}
    for source in sources.values():
        source.fields = field_kinds(source, declared[source.name])
    return Pipeline(raw.get("name", ""), levels, list(sources.values()))


def parse_span(text):
    """`90s`, `1m`, `2d` in microseconds."""
    found = re.fullmatch(r"(\d+)\s*(us|ms|s|m|h|d|w)", str(text))
    if not found:
        raise Unsupported(f"`{text}` is not a length of time")
    return int(found[1]) * SPAN_UNITS[found[2]]


def parse_level(text):
    size, _, keep = text.partition(":")
    return parse_span(size), parse_span(keep)


def parse_source(name, table, base, data):
    if table.get("kind", "file") != "file":
        raise Unsupported(f"source.{name}: kind = {table['kind']!r}")
    unknown = set(table) - SOURCE_KEYS
    if unknown:
        raise Unsupported(f"source.{name}: {', '.join(sorted(unknown))}")
    paths = find_files(table["path"], base, data)
    form, delimiter = format_of(table, paths[0])
    columns = table.get("columns")
    if table.get("header", columns is None) == (columns is not None) and form == "delimited":
        raise Unsupported(f"source.{name}: either a header line or `columns`")
    nulls = table.get("null", [])
    return Source(name, paths, form, delimiter, table.get("quoted", delimiter != "\t"), columns,
                  frozenset([nulls] if isinstance(nulls, str) else nulls), {}, parse_time(table.get("time")),
                  int(table.get("record_bytes_max", RECORD_BYTES_DEFAULT)), [])


def find_files(path, base, data):
    """The files behind `path`: by its last part in the data directory, else relative to the pipeline file."""
    for place in ([os.path.join(data, os.path.basename(path))] if data else []) + [os.path.join(base, path)]:
        found = sorted(glob.glob(place)) or ([place] if os.path.exists(place) else [])
        if found:
            return found
    raise FileNotFoundError(f"no file `{path}`")


def format_of(table, path):
    """("ndjson" | "delimited", delimiter), from `format` or the extension before .gz or .zst."""
    word = table.get("format")
    if word is None:
        name = re.sub(r"\.(gz|zst)$", "", path)
        extension = name.rsplit(".", 1)[-1]
        word = {"jsonl": "ndjson", "json": "ndjson"}.get(extension, extension)
    if word == "ndjson":
        return "ndjson", ""
    if word not in ("csv", "tsv"):
        raise Unsupported(f"format {word!r}")
    return "delimited", table.get("delimiter", "\t" if word == "tsv" else ",")


def parse_time(table):
    if table is None:
        return None
    if not isinstance(table, dict) or "field" not in table or set(table) - TIME_KEYS:
        raise Unsupported(f"time = {table!r}")
    spec = TimeSpec(table["field"], pattern=table.get("pattern"))
    if "unit" in table:
        spec.unit = TIME_UNITS[table["unit"]]
    spec.lateness = parse_span(table.get("lateness", "0s"))
    spec.later = table.get("later", "correct")
    spec.ahead = parse_span(table["ahead"]) if "ahead" in table else None
    spec.agree = int(table.get("agree", AGREE_DEFAULT))
    if spec.later not in ("correct", "drop", "quarantine") or spec.agree < 1:
        raise Unsupported(f"time = {table!r}")
    return spec


def attach(sources, metric, table):
    wanted = table.get("source") if isinstance(table, dict) else None
    if wanted is None and len(sources) == 1:
        wanted = next(iter(sources))
    if wanted not in sources:
        raise Unsupported(f"metric.{metric.name}: which source?")
    sources[wanted].metrics.append(metric)


def parse_metric(name, table):
    table = {"measure": table} if isinstance(table, str) else table
    metric = Metric(name)
    strange = set(table) - METRIC_KEYS
    if strange:
        metric.unchecked = f"key {', '.join(sorted(strange))}"
    keep = table.get("keep")
    metric.forever = keep == "forever"
    if keep is not None and not metric.forever:
        metric.unchecked = f"keep = {keep!r}"
    by = table.get("by", [[]])
    if not by or isinstance(by[0], str):
        by = [by]
    metric.by = [tuple(group) for group in by]
    keys = re.fullmatch(r"(\d+) *\+ *other", table.get("keys", f"{GROUPS_DEFAULT} + other"))
    if not keys:
        raise Unsupported(f"metric.{name}: keys")
    metric.groups_max = int(keys[1])
    parse_measure(metric, table["measure"])
    return metric


def parse_measure(metric, text):
    """`top(page, 50)`: the name, the field and what follows it."""
    found = re.fullmatch(r"\s*(\w+)\s*\((.*)\)\s*", text, re.DOTALL)
    if not found:
        raise Unsupported(f"metric.{metric.name}: `{text}`")
    metric.measure = found[1]
    if metric.measure not in MEASURES:
        metric.unchecked = f"measure {metric.measure}"
        return
    args = [part.strip() for part in re.sub(r"[\[\]]", "", found[2]).split(",") if part.strip()]
    if metric.measure == "count":
        metric.unchecked = metric.unchecked or ("count of a field" if args else None)
        return
    if not args:
        raise Unsupported(f"metric.{metric.name}: `{text}` names no field")
    metric.path, rest = args[0].strip("\"`"), args[1:]
    if metric.measure == "top" and rest:
        metric.k = int(rest[0].rpartition("=")[2])
    elif metric.measure == "quantiles":
        metric.qs = [Fraction(q) for q in rest or QS_DEFAULT]
    elif metric.measure == "histogram":
        metric.bounds = [float(bound) for bound in rest] or None
    elif rest and metric.measure != "top":
        metric.unchecked = f"arguments of `{text}`"


def field_kinds(source, declared):
    """Kind of every used field: declared, else float64 where a measure computes with it, else string."""
    kinds = {}
    for metric in source.metrics:
        if metric.unchecked:
            continue
        for path in [path for group in metric.by for path in group] + [metric.path]:
            if path is not None:
                kinds.setdefault(path, declared.get(path, "string"))
        if metric.measure in NUMERIC:
            kinds[metric.path] = declared.get(metric.path, "float64")
    for path, kind in kinds.items():
        if kind not in KINDS:
            raise Unsupported(f"fields: {path} = {kind!r}")
    for metric in source.metrics:
        computes = metric.measure in NUMERIC and not metric.unchecked
        if computes and kinds[metric.path] not in ("int64", "float64"):
            raise Unsupported(f"metric.{metric.name}: {metric.path} is not a number")
    return kinds
