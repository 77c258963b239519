"""Files to events: decompress, cut into records, decode, convert. Slow, plain and exact.

Every record gives one item: `(None, time, values)` or `(reason, None, None)` with the reason it is bad.
Times are microseconds since 1970. Decides nothing about order; that is `clock`.

Readings of the rules where words leave room: blank lines are no records; surplus empty columns at the end
of a line are ignored (the published NASA file ends every line with two tabs), any other count of columns is
bad; only fields that a metric uses are converted; a record that is bad for two reasons counts once, in the
order too_long, utf8, json or columns or line, type, derive, time; times finer than a microsecond are cut (towards
the past); 5.0 is no int64; a record whose list cannot be computed is bad once (derive), one whose fields do not
convert too; an empty list takes no number where time is the row; a local time that stands twice on the clock is
the first, one that is skipped is read with the offset before the gap; surplus text behind the last field of a web
log is ignored in both formats, one blank stands between its fields, and a user agent whose quotes never close takes
the rest of its line.
"""

import gzip
import itertools
import json
import lzma
import math
import re
import subprocess
from datetime import datetime, timedelta, timezone
from fractions import Fraction

from errors import Unsupported

I64 = range(-(2**63), 2**63)
INT = re.compile(r"[+-]?\d+", re.ASCII)
FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity|nan)", re.ASCII | re.IGNORECASE)
DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?"
                     r"(?:([Zz])|([+-])(\d\d):(\d\d))", re.ASCII)
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)


class Num(str):
    """Source text of a JSON number, so that 1.0 stays "1.0" where a string is wanted."""


class BadValue(Exception):
    """A value does not convert to the kind of its field."""


def read(source, path, numbers=None):
    """All items of one file, in its order. `values` follow the order of `source.layout.columns`; `numbers` counts on
    from file to file. An empty list gives `("exploded_empty", None, None)`."""
    numbers, made = numbers or itertools.count(), source.layout.made
    kinds = list(source.fields.values())
    seconds = time_reader(source.time)
    place = time_place(source)
    for reason, time, raws in records(source, path):
        rows = None
        if not reason:
            try:
                values = tuple([convert(kind, raw, source.nulls) for kind, raw in zip(kinds, raws)])
                rows = (values,) if source.layout.item is None else exploded(source.layout.item, values)
                reason = None if rows is not None else "derive"
            except BadValue:
                reason = "type"
        if rows == []:
            yield "exploded_empty", None, None
        for row in (None,) if rows is None else rows:
            number, bad = next(numbers), reason
            if row is not None and made is not None:
                more = made.run(row)
                bad, row = ("derive", None) if more is None else (None, row + more)
            if bad:
                yield bad, None, None
                continue
            when = seconds(number if place == ROW else time if place is None else as_raw(row[place]))
            if when is None:
                yield "time", None, None
            else:
                yield None, when, row


def records(source, path):
    """(reason, raw time, raw values) of each record."""
    if source.format == "parquet":
        return parquet_records(source, path)
    readers = {"ndjson": json_records, "delimited": delimited_records, "lines": line_records}
    return readers.get(source.format, weblog_records)(source, open_lines(path))


def exploded(program, values):
    """A row for each element of the list; None where there is no telling."""
    found = program.run(values)
    return found and [values + (item,) for item in found[0] or ()]


ROW = "row"


def time_place(source):
    """Where event time stands: ROW, the place of a column, or None for a field of the record."""
    if source.time is None or source.time.row is not None:
        return ROW
    made = source.time.path in source.derive or source.explode and source.time.path == source.explode[0]
    return list(source.layout.columns).index(source.time.path) if made else None


def time_field(source):
    """The field of the record that holds event time, if one does."""
    return source.time.path if time_place(source) is None else None


def as_raw(value):
    """A computed value as a record would write it."""
    return value if value is None or isinstance(value, (str, bool)) else Num(repr(value))


def open_lines(path):
    """Lines as bytes, with their ends; a byte order mark at the head is dropped. The first bytes tell how a file is
    compressed."""
    with open(path, "rb") as file:
        data = file.read()
    if data.startswith(b"\x1f\x8b"):
        data = gzip.decompress(data)
    elif data.startswith(b"\xfd7zXZ\x00"):
        data = lzma.decompress(data)
    elif data.startswith(b"\x28\xb5\x2f\xfd"):
        data = subprocess.run(["zstd", "-dcq", path], stdout=subprocess.PIPE, check=True).stdout
    return iter(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"))


def texts(source, lines):
    """(reason, text) of each line that is not blank."""
    for line in lines:
        line = line.removesuffix(b"\r")
        if not line.strip():
            continue
        if len(line) > source.record_bytes_max:
            yield "too_long", None
            continue
        try:
            yield None, line.decode("utf-8")
        except UnicodeDecodeError:
            yield "utf8", None


def line_records(source, lines):
    for reason, text in texts(source, lines):
        yield reason, text, [text] * len(source.fields)


def weblog_records(source, lines):
    names, time = list(source.fields), time_field(source)
    for reason, text in texts(source, lines):
        entry = None if reason else weblog_entry(text, source.format == "combined")
        if entry is None:
            yield reason or "line", None, None
        else:
            yield None, entry.get(time), [entry[name] for name in names]


QUOTED = r'"((?:[^"\\]|\\.)*)"'
CLF = re.compile(r"([^ ]+) ([^ ]+) ((?:(?! \[).)+) \[([^\]]*)\] " + QUOTED + r" ([^ ]+) ([^ ]+)")
# A user agent that was cut off has no second quote.
COMBINED = re.compile(CLF.pattern + f" {QUOTED} (?:{QUOTED}|\"(.*))")


def weblog_entry(text, combined):
    """The fields of a line by name; None where it has not the shape."""
    found = (COMBINED if combined else CLF).match(text)
    if not found:
        return None
    host, ident, user, time, request, status, size, *agents = found.groups()
    if combined:
        referrer, agent, broken_off = agents
        agents = [referrer, broken_off if agent is None else agent]
    request, *agents = (re.sub(r'\\(["\\])', r"\1", quoted) for quoted in (request, *agents))
    parts = request.split(" ")
    if len(parts) == 2 and all(parts):
        parts.append(None)
    elif len(parts) != 3 or not all(parts) or not parts[2].startswith("HTTP/"):
        parts = [None] * 3
    names = ("ident", "user", "status", "bytes", "referrer", "user_agent")
    known = {name: None if value == "-" else value for name, value in zip(names, (ident, user, status, size, *agents))}
    return known | {"host": host, "time": time, "request": request} | dict(zip(("method", "path", "protocol"), parts))


def parquet_records(source, path):
    """Needs pyarrow, which is not in Python's library."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise Unsupported("parquet without pyarrow") from None
    getters = [path.split(".") for path in source.fields]
    time_path = (time_field(source) or "").split(".")
    for batch in parquet.ParquetFile(path).iter_batches():
        for record in batch.to_pylist():
            yield None, plain(member(record, time_path)), [plain(member(record, path)) for path in getters]


def plain(value):
    """A value of a table as JSON would write it."""
    if isinstance(value, datetime):
        zoned = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        return zoned.isoformat().replace("+00:00", "Z")
    return Num(repr(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def json_records(source, lines):
    """(reason, raw time, raw values) of each line."""
    getters = [path.split(".") for path in source.fields]
    time_path = (time_field(source) or "").split(".")
    decoder = json.JSONDecoder(parse_float=Num, parse_int=Num, parse_constant=no_constant)
    for line in lines:
        if not line.strip():
            continue
        reason, record = decode_json(decoder, line.removesuffix(b"\r"), source.record_bytes_max)
        if reason:
            yield reason, None, None
        else:
            yield None, member(record, time_path), [member(record, path) for path in getters]


def decode_json(decoder, line, limit):
    if len(line) > limit:
        return "too_long", None
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return "utf8", None
    try:
        record = decoder.decode(text)
        if "\\ud" in text.lower():
            json.dumps(record, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        return "json", None
    return (None, record) if isinstance(record, dict) else ("json", None)


def no_constant(word):
    raise ValueError(f"{word} is not JSON")


def member(record, path):
    """The member at a path; None where there is none."""
    for name in path:
        if not isinstance(record, dict):
            return None
        record = record.get(name)
    return record


def delimited_records(source, lines):
    """(reason, raw time, raw values) of each row; the first line names the columns unless `columns` does."""
    columns = source.columns
    places = columns and column_places(source, columns)
    for reason, row in rows(source, lines):
        if places is None:
            columns = row or []
            places = column_places(source, columns)
            continue
        if not reason and len(row) != len(columns):
            if len(row) < len(columns) or any(row[len(columns):]):
                reason = "columns"
        if reason:
            yield reason, None, None
        else:
            raws = [row[place] or None for place in places]
            yield None, raws[0], raws[1:]


def column_places(source, columns):
    """Places of the time and the fields in a row (place 0 stands for an absent time)."""
    wanted = [time_field(source) or columns[0]] + list(source.fields)
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise Unsupported(f"source.{source.name}: no column {', '.join(missing)}")
    return [columns.index(name) for name in wanted]


def rows(source, lines):
    """(reason, fields) of each row. A row may span lines inside quotes (RFC 4180)."""
    for line in lines:
        while source.quoted and ends_inside(line, source) and len(line) <= source.record_bytes_max:
            more = next(lines, None)
            if more is None:
                break
            line += b"\n" + more
        line = line.removesuffix(b"\r")
        if not line.strip(b" \r"):
            continue
        if len(line) > source.record_bytes_max:
            yield "too_long", None
            continue
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            yield "utf8", None
            continue
        if source.quoted and '"' in text:
            yield None, split_quoted(text, source.delimiter)[0]
        else:
            yield None, text.split(source.delimiter)


def ends_inside(line, source):
    """Whether the line breaks off inside quotes. Bytes as characters will do: the delimiter is ASCII."""
    return b'"' in line and split_quoted(line.decode("latin-1"), source.delimiter)[1]


def split_quoted(text, delimiter):
    """(fields, open). A field may stand in quotes, quotes inside are doubled; open: the last never closed."""
    found, at, unclosed = [], 0, False
    while True:
        if text[at:at + 1] == '"':
            parts, at = [], at + 1
            while True:
                end = text.find('"', at)
                unclosed = end < 0
                end = len(text) if unclosed else end
                parts.append(text[at:end])
                at = end + 1
                if text[at:at + 1] != '"':
                    break
                parts.append('"')
                at += 1
            end = text.find(delimiter, at)
            end = len(text) if end < 0 else end
            found.append("".join(parts) + text[at:end])
        else:
            end = text.find(delimiter, at)
            end = len(text) if end < 0 else end
            found.append(text[at:end])
        if end >= len(text):
            return found, unclosed
        at = end + 1


def convert(kind, raw, nulls):
    """A raw value as its kind; None when missing. Raises BadValue."""
    if raw is None:
        return None
    if kind == "string":
        if isinstance(raw, str):
            return str(raw)
        if isinstance(raw, bool):
            return "true" if raw else "false"
    elif isinstance(raw, str):
        if kind == "float64" and FLOAT.fullmatch(raw):
            return float(raw)
        if kind == "int64" and INT.fullmatch(raw) and int(raw) in I64:
            return int(raw)
        if kind == "bool" and raw in ("true", "false") and not isinstance(raw, Num):
            return raw == "true"
    elif kind == "bool" and isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw in nulls:
        return None
    raise BadValue


def time_reader(spec):
    """A function from a raw value to microseconds, or None where it is no time."""
    if spec is None:
        return lambda _: 0
    if spec.row is not None:
        return lambda number: number * spec.row
    if spec.unit is not None:
        return lambda raw: unix_time(raw, spec.unit)
    if spec.pattern is not None:
        return lambda raw: pattern_time(raw, spec.pattern, spec.zone or timezone.utc)
    days = {}
    return lambda raw: rfc3339_time(raw, days)


def unix_time(raw, unit):
    if not isinstance(raw, str) or not DECIMAL.fullmatch(raw):
        return None
    micros = math.floor(Fraction(raw) * unit)
    return micros if micros in I64 else None


def pattern_time(raw, pattern, zone=timezone.utc):
    if not isinstance(raw, str) or isinstance(raw, Num):
        return None
    try:
        when = datetime.strptime(raw, pattern)
    except ValueError:
        return None
    return ((when if when.tzinfo else when.replace(tzinfo=zone)) - EPOCH) // MICROSECOND


def rfc3339_time(raw, days):
    """Microseconds of an RFC 3339 time; a blank may stand for the T. `days` remembers midnights."""
    found = isinstance(raw, str) and RFC3339.fullmatch(raw)
    if not found:
        return None
    day, hour, minute, second, fraction, _, sign, off_hour, off_minute = found.groups()
    midnight = days.get(day)
    if midnight is None:
        try:
            midnight = (datetime.fromisoformat(day).replace(tzinfo=timezone.utc) - EPOCH) // MICROSECOND
        except ValueError:
            return None
        days[day] = midnight
    if int(hour) > 23 or int(minute) > 59 or int(second) > 59:
        return None
    at = (int(hour) * 3600 + int(minute) * 60 + int(second)) * 10**6 + int(((fraction or "") + "000000")[:6])
    if sign:
        if int(off_hour) > 23 or int(off_minute) > 59:
            return None
        shift = (int(off_hour) * 60 + int(off_minute)) * 60 * 10**6
        at += -shift if sign == "+" else shift
    return midnight + at


def write_time(micros):
    """RFC 3339 in UTC, for answers."""
    if micros is None:
        return None
    when = EPOCH + timedelta(microseconds=micros)
    text = when.strftime("%Y-%m-%dT%H:%M:%S").rjust(20 - 1, "0")
    part = micros % 10**6
    if part:
        text += f".{part // 1000:03}" if part % 1000 == 0 else f".{part:06}"
    return text + "Z"
