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
from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import expr
from columns import NUMERIC, Layout, lay_out
from errors import Unsupported, Wrong

MEASURES = NUMERIC + ("count", "unique", "audience", "freq", "top", "seen", "sample", "session")
QS_DEFAULT = ["0.5", "0.9", "0.95", "0.99", "0.999"]
K_DEFAULT = 10
GROUPS_DEFAULT = 1000
PANES_DEFAULT = ["1m:2d"]
AGREE_DEFAULT = 32
RECORD_BYTES_DEFAULT = 1 << 20

SPAN_UNITS = {"us": 1, "ms": 1_000, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86_400 * 10**6,
              "w": 7 * 86_400 * 10**6}
TIME_UNITS = {"s": Fraction(10**6), "ms": Fraction(1000), "us": Fraction(1), "ns": Fraction(1, 1000)}

SIZE_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
COUNT_UNITS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}

SOURCE_KEYS = {"kind", "path", "format", "delimiter", "quoted", "quote", "header", "columns", "null", "fields", "time",
               "bad", "quarantine", "record_bytes_max", "record_max", "explode", "derive"}
TIME_KEYS = {"field", "row", "unit", "pattern", "zone", "lateness", "later", "ahead", "agree", "idle"}
# Keys of a metric that change how well or how dear it is measured, never what is true.
METRIC_KEYS = {"measure", "by", "keep", "keys", "source", "from", "accuracy", "size", "hash", "panes"}
FORMATS = ("ndjson", "csv", "tsv", "clf", "combined", "lines", "parquet")
CLF_PATTERN = "%d/%b/%Y:%H:%M:%S %z"
# What strptime of other languages knows and Python writes otherwise.
PATTERN_WORDS = {"%e": "%d", "%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M", "%D": "%m/%d/%y", "%h": "%b",
                 "%k": "%H", "%n": " ", "%t": " "}


@dataclass
class TimeSpec:
    """Event time of a source: a field, or `row` microseconds a record; `ahead` None means no limit."""
    path: str | None
    unit: Fraction | None = None
    pattern: str | None = None
    zone: ZoneInfo | None = None
    row: int | None = None
    lateness: int = 0
    later: str = "correct"
    ahead: int | None = None
    agree: int = AGREE_DEFAULT


@dataclass
class Metric:
    """One measure with its grouping sets. `path`, `filter` and `weight` name columns, made from the expressions
    `argument`, `where` and `weighs`; `verdict`: a `seen` metric that it rests on, which may misjudge."""
    name: str
    measure: str = ""
    path: str | None = None
    argument: expr.Node | None = None
    where: expr.Node | None = None
    weighs: expr.Node | None = None
    filter: str | None = None
    weight: str | None = None
    verdict: str | None = None
    size: tuple | None = None
    gap: int | None = None  # of sessions, in microseconds
    k: int = K_DEFAULT
    qs: list = field(default_factory=list)
    bounds: list | None = None
    by: list = field(default_factory=lambda: [()])
    forever: bool = False
    groups_max: int = GROUPS_DEFAULT
    levels: list | None = None  # its own ladder, where it has one
    unchecked: str | None = None


@dataclass
class Source:
    """Files of events and what is measured of them. `fields` maps the path of each used field of a record to its
    kind, as does `declared` with all that the file says; `layout`: the columns made of them."""
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
    derive: dict = field(default_factory=dict)
    explode: tuple | None = None  # (name, expression)
    declared: dict = field(default_factory=dict)
    layout: Layout | None = None


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
    levels = parse_levels(raw.get("panes", PANES_DEFAULT))
    tables = raw.get("source")
    if not tables:
        raise Wrong("no [source.NAME]")
    sources = {name: parse_source(name, table, os.path.dirname(os.path.abspath(path)), data)
               for name, table in tables.items()}
    for name, table in raw.get("metric", {}).items():
        attach(sources, parse_metric(name, table), table)
    for source in sources.values():
        lay_out(source)
    return Pipeline(raw.get("name", ""), levels, list(sources.values()))


def parse_span(text):
    """`90s`, `1m`, `2d` in microseconds."""
    found = re.fullmatch(r"(\d+)\s*(us|ms|s|m|h|d|w)", str(text))
    if not found:
        raise Wrong(f"`{text}` is not a length of time")
    return int(found[1]) * SPAN_UNITS[found[2]]


def parse_levels(texts):
    levels = [parse_level(text) for text in texts]
    for (finer, _), (coarser, _) in zip(levels, levels[1:]):
        if coarser <= finer or coarser % finer:
            raise Wrong("panes: each size must divide the next")
    return levels


def parse_level(text):
    size, _, keep = text.partition(":")
    return parse_span(size), parse_span(keep)


def parse_size(value, units, pattern):
    found = re.fullmatch(pattern, str(value))
    if not found or found[2] not in units:
        raise Wrong(f"`{value}` is no size")
    return int(found[1]) * units[found[2]]


def parse_source(name, table, base, data):
    if table.get("kind", "file") != "file":
        raise Unsupported(f"source.{name}: kind = {table['kind']!r}")
    unknown = set(table) - SOURCE_KEYS
    if unknown:
        raise Unsupported(f"source.{name}: {', '.join(sorted(unknown))}")
    given = [table["path"]] if isinstance(table["path"], str) else table["path"]
    paths = [file for path in given for file in find_files(path, base, data)]
    form, delimiter = format_of(table, paths[0])
    names = table.get("columns")
    if table.get("header", names is None) == (names is not None) and form == "delimited":
        raise Wrong(f"source.{name}: either a header line or `columns`")
    nulls = table.get("null", [])
    longest = table.get("record_max", table.get("record_bytes_max", RECORD_BYTES_DEFAULT))
    if isinstance(longest, str):
        longest = parse_size(longest, SIZE_UNITS, r"(\d+) *(\w+)")
    source = Source(name, paths, form, delimiter, table.get("quote", table.get("quoted", delimiter != "\t")), names,
                    frozenset([nulls] if isinstance(nulls, str) else nulls), {}, parse_time(table.get("time"), form),
                    longest, [])
    source.declared = table.get("fields", {})
    source.derive = {column: expr.parse(text) for column, text in table.get("derive", {}).items()}
    exploded = [(column, expr.parse(text)) for column, text in table.get("explode", {}).items()]
    if len(exploded) > 1:
        raise Unsupported(f"source.{name}: explode of several lists")
    source.explode = exploded[0] if exploded else None
    return source


def find_files(path, base, data):
    """The files behind `path`: by its last part in the data directory, else relative to the pipeline file."""
    for place in ([os.path.join(data, os.path.basename(path))] if data else []) + [os.path.join(base, path)]:
        found = sorted(glob.glob(place)) or ([place] if os.path.exists(place) else [])
        if found:
            return found
    raise FileNotFoundError(f"no file `{path}`")


def format_of(table, path):
    """(format, delimiter), from `format` or the extension before that of the compression; csv and tsv are one."""
    word = table.get("format")
    if word is None:
        name = re.sub(r"\.(gz|zst|xz)$", "", path)
        extension = name.rsplit(".", 1)[-1]
        word = {"jsonl": "ndjson", "json": "ndjson"}.get(extension, extension)
    if word not in FORMATS:
        raise Unsupported(f"format {word!r}")
    if word not in ("csv", "tsv"):
        return word, ""
    return "delimited", table.get("delimiter", "\t" if word == "tsv" else ",")


def parse_time(table, form):
    if table is None:
        return None
    if not isinstance(table, dict) or ("field" in table) == ("row" in table) or set(table) - TIME_KEYS:
        raise Unsupported(f"time = {table!r}")
    spec = TimeSpec(table.get("field"), pattern=table.get("pattern"))
    if "row" in table:
        spec.row = parse_span(table["row"])
    if "unit" in table:
        spec.unit = TIME_UNITS[table["unit"]]
    elif spec.path == "time" and form in ("clf", "combined") and spec.pattern is None:
        spec.pattern = CLF_PATTERN
    if spec.pattern is not None:
        spec.pattern = python_pattern(spec.pattern)
    if "zone" in table:
        spec.zone = ZoneInfo(table["zone"])
    spec.lateness = parse_span(table.get("lateness", "0s"))
    spec.later = table.get("later", "correct")
    spec.ahead = parse_span(table["ahead"]) if "ahead" in table else None
    spec.agree = int(table.get("agree", AGREE_DEFAULT))
    if spec.later not in ("correct", "drop", "quarantine") or spec.agree < 1:
        raise Wrong(f"time = {table!r}")
    return spec


def python_pattern(pattern):
    """The pattern as Python's strptime reads it."""
    if not re.search("%[YyFDcxG]", pattern):
        raise Unsupported(f"time.pattern {pattern!r} without a year")
    written = re.sub("%.", lambda found: PATTERN_WORDS.get(found[0], found[0]), pattern)
    try:
        datetime.strptime("", written)
    except ValueError as error:
        if "does not match" not in str(error):
            raise Unsupported(f"time.pattern {pattern!r}: {error}") from None
    return written


def attach(sources, metric, table):
    wanted = table.get("from", table.get("source")) if isinstance(table, dict) else None
    if wanted is None and len(sources) == 1:
        wanted = next(iter(sources))
    if wanted not in sources:
        raise Wrong(f"metric.{metric.name}: which source?")
    sources[wanted].metrics.append(metric)


def parse_metric(name, table):
    table = {"measure": table} if isinstance(table, str) else table
    metric = Metric(name)
    strange = set(table) - METRIC_KEYS
    if strange:
        metric.unchecked = f"key {', '.join(sorted(strange))}"
    keep = table.get("keep")
    metric.forever = keep == "forever"
    metric.levels = parse_levels(table["panes"]) if "panes" in table else None
    if keep is not None and not metric.forever:
        metric.unchecked = f"keep = {keep!r}"
    by = table.get("by", [[]])
    if not by or isinstance(by[0], str):
        by = [by]
    metric.by = [tuple(group) for group in by]
    keys = re.fullmatch(r"(\d+) *\+ *other", table.get("keys", f"{GROUPS_DEFAULT} + other"))
    if not keys:
        raise Wrong(f"metric.{name}: keys")
    metric.groups_max = int(keys[1])
    try:
        parse_measure(metric, table["measure"])
        if metric.measure == "seen":
            parse_seen(metric, table)
    except Wrong as error:
        raise Wrong(f"metric.{name}: {error}") from None
    except Unsupported as error:
        metric.unchecked = str(error)
    return metric


def parse_measure(metric, text):
    """`top(page, 50, weight => bytes) filter (where status < 400)`."""
    metric.measure, args, named, metric.where = expr.parse_measure(text)
    if metric.measure not in MEASURES:
        raise Unsupported(f"measure {metric.measure}")
    weighs = named.pop("weight", None)
    if metric.measure == "session":
        parse_session(metric, text, named)
    if named or weighs and metric.measure not in ("top", "freq"):
        raise Unsupported(f"arguments of `{text}`")
    metric.weighs = weighs
    if metric.measure == "sample":
        metric.k, args = int(expr.number_text(args[0])), []  # what is shown is checked as it comes
    elif metric.measure != "count":
        if not args:
            raise Wrong(f"`{text}` names no field")
        metric.argument, args = args[0], args[1:]
    rest = [expr.number_text(arg) for arg in args]
    if metric.measure == "top" and rest:
        metric.k, rest = int(rest[0]), rest[1:]
    elif metric.measure == "quantiles":
        metric.qs, rest = [Fraction(q) for q in rest or QS_DEFAULT], []
    elif metric.measure == "histogram":
        metric.bounds, rest = [float(bound) for bound in rest] or None, []
    if rest:
        raise Unsupported(f"arguments of `{text}`")


def parse_session(metric, text, named):
    """`session(user, gap => '30m', open => '1M')`: how many are held changes nothing as long as they fit."""
    if "gap" not in named:
        raise Wrong(f"`{text}` has no gap")
    metric.gap = parse_span(expr.text_of(named.pop("gap")))
    named.pop("open", None)
    if metric.by != [()]:
        raise Wrong(f"`{text}` by groups")


def parse_seen(metric, table):
    """`size = "1M @ 1%"`: for how many keys, and the share of new ones that may pass for known."""
    count, _, share = str(table.get("size", "")).partition("@")
    if not share.strip().endswith("%"):
        raise Wrong('seen needs `size = "1M @ 1%"`')
    metric.size = parse_size(count.strip(), COUNT_UNITS, r"(\d+) *(\w*)"), float(share.strip()[:-1]) / 100
    metric.forever = table.get("keep", "forever") == "forever"  # the only way so far
    if not metric.forever or metric.by != [()]:
        raise Unsupported("seen that is not kept for ever, or by groups")
