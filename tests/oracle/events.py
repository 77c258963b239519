"""Files to events: decompress, cut into records, decode, convert. Slow, plain and exact.

Every record gives one item: `(None, time, values)` or `(reason, None, None)` with the reason it is bad.
Times are microseconds since 1970. Decides nothing about order; that is `clock`.

Readings of the rules where words leave room: blank lines are no records; surplus empty columns at the end
of a line are ignored (the published NASA file ends every line with two tabs), any other count of columns is
bad; only fields that a metric uses are converted; a record that is bad for two reasons counts once, in the
order too_long, utf8, json or columns, type, time; times finer than a microsecond are cut (towards the
past); 5.0 is no int64.
"""

import gzip
import json
import math
import re
import subprocess
from datetime import datetime, timedelta, timezone
from fractions import Fraction

from pipeline import Unsupported

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


def read(source, path):
    """All items of one file, in its order. `values` follow the order of `source.fields`."""
    lines = open_lines(path)
    if source.format == "ndjson":
        records = json_records(source, lines)
    else:
        records = delimited_records(source, lines)
    kinds = list(source.fields.values())
    seconds = time_reader(source.time)
    for reason, time, raws in records:
        if reason:
            yield reason, None, None
            continue
        try:
            values = tuple([convert(kind, raw, source.nulls) for kind, raw in zip(kinds, raws)])
        except BadValue:
            yield "type", None, None
            continue
        when = seconds(time) if source.time else 0
        if when is None:
            yield "time", None, None
        else:
            yield None, when, values


def open_lines(path):
    """Lines as bytes, with their ends; a byte order mark at the head is dropped."""
    if path.endswith(".zst"):
        done = subprocess.run(["zstd", "-dcq", path], stdout=subprocess.PIPE, check=True)
        data = done.stdout
    else:
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
            data = file.read()
    return iter(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"))


def json_records(source, lines):
    """(reason, raw time, raw values) of each line."""
    getters = [path.split(".") for path in source.fields]
    time_path = source.time.path.split(".") if source.time else None
    decoder = json.JSONDecoder(parse_float=Num, parse_int=Num, parse_constant=no_constant)
    for line in lines:
        if not line.strip():
            continue
        reason, record = decode_json(decoder, line.removesuffix(b"\r"), source.record_bytes_max)
        if reason:
            yield reason, None, None
        else:
            time = member(record, time_path) if time_path else None
            yield None, time, [member(record, path) for path in getters]


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
    wanted = [source.time.path if source.time else columns[0]] + list(source.fields)
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
        return None
    if spec.unit is not None:
        return lambda raw: unix_time(raw, spec.unit)
    if spec.pattern is not None:
        return lambda raw: pattern_time(raw, spec.pattern)
    days = {}
    return lambda raw: rfc3339_time(raw, days)


def unix_time(raw, unit):
    if not isinstance(raw, str) or not DECIMAL.fullmatch(raw):
        return None
    micros = math.floor(Fraction(raw) * unit)
    return micros if micros in I64 else None


def pattern_time(raw, pattern):
    if not isinstance(raw, str) or isinstance(raw, Num):
        return None
    try:
        when = datetime.strptime(raw, pattern)
    except ValueError:
        return None
    return ((when if when.tzinfo else when.replace(tzinfo=timezone.utc)) - EPOCH) // MICROSECOND


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
