"""The functions of SQL expressions that sqlite lacks, or reads otherwise than Postgres does.

Readings of the rules where words leave room: division by zero fails for integers and gives an infinity for floats; a
cast that does not fit fails, `try_cast` gives null; LIKE knows case and the escape `\\`; an empty text split gives one
empty element. Where two engines may well differ (`Unsure`) nothing is computed.
"""

import json
import math
import re
import sqlite3
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

I64 = range(-(2**63), 2**63)


class Failed(Exception):
    """The row has no value."""


class Unsure(Exception):
    """How our engine reads this is not promised."""


def connect(unsure):
    """A database that holds nothing but functions; what one of them is unsure of is appended."""
    connection = sqlite3.connect(":memory:")
    made = {name: function for name, (_, _, function) in FUNCTIONS.items() if function}
    for name, function in (made | CASTS | OTHERS).items():
        guarded = guard(function, name not in LENIENT, name.startswith("try_"), unsure)
        connection.create_function(f"sg_{name}", -1, guarded, deterministic=True)
    return connection


def guard(function, strict, trying, unsure):
    """Null in, null out, where `strict`; a failure is null where `trying`."""
    def run(*args):
        if strict and None in args:
            return None
        try:
            return function(*args)
        except Failed:
            if trying:
                return None
            raise
        except (Unsure, OverflowError, re.error) as error:
            unsure.append(f"{function.__name__}: {error}")
            raise
    return run


def div(a, b):
    if isinstance(a, float):
        if b == 0 and a == 0:
            raise Unsure("0.0 / 0.0")
        return math.copysign(math.inf, a) * math.copysign(1, b) if b == 0 else a / b
    if b == 0:
        raise Failed
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def mod(a, b):
    if isinstance(a, float):
        if b == 0:
            raise Unsure("x % 0.0")
        return math.fmod(a, b)
    return a - b * div(a, b)


def regexp(text, pattern, flags=""):
    if flags not in ("", "i"):
        raise Unsure(f"flags {flags}")
    return re.search(pattern, text, re.IGNORECASE if flags else 0) is not None


def like(text, pattern):
    return compiled(pattern).fullmatch(text) is not None


@lru_cache
def compiled(pattern):
    """A pattern of LIKE as a regular expression."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    return re.compile("".join(wild.get(part) or re.escape(part[-1]) for part in parts), re.DOTALL)


def split_part(text, by, n):
    parts = text.split(by) if by else [text]
    if n == 0:
        raise Failed
    return parts[n - 1 if n > 0 else n] if abs(n) <= len(parts) else ""


def string_to_array(text, by, null=None):
    """As JSON, for sqlite knows no lists. A null separator cuts into characters."""
    if text is None:
        return None
    parts = list(text) if by is None else text.split(by) if by else [text]
    return json.dumps([None if part == null else part for part in parts], ensure_ascii=False)


def substr(text, start, length=None):
    """Counts from 1; what lies before the text takes up length, as in Postgres."""
    if length is not None and length < 0:
        raise Failed
    end = len(text) if length is None else max(start - 1 + length, 0)
    return text[max(start - 1, 0):end]


def rounded(x):
    """Half away from zero."""
    return float(Decimal(x).to_integral_value(ROUND_HALF_UP)) if math.isfinite(x) else x


def whole(of):
    return lambda x: float(of(x)) if math.isfinite(x) else x


def within(of, least, open_end=False):
    """A function that has no value below `least`."""
    def run(x):
        if x < least or open_end and x == least:
            raise Unsure(f"{of.__name__}({x})")
        return of(x)
    return run


def concat(*parts):
    return "".join(str(part) for part in parts if part is not None)


def greatest(*values):
    return max((value for value in values if value is not None), default=None)


def least(*values):
    return min((value for value in values if value is not None), default=None)


def to_int(value):
    if isinstance(value, str):
        if value != value.strip():
            raise Unsure(f"a cast of {value!r}")
        if not re.fullmatch(r"[+-]?\d+", value, re.ASCII):
            raise Failed
    elif not math.isfinite(value):
        raise Failed
    if int(value) not in I64:
        raise Failed
    return int(value)


def to_float(value):
    if isinstance(value, str):
        if value != value.strip() or value.lower().endswith(("nan", "inf", "infinity")):
            raise Unsure(f"a cast of {value!r}")
        if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", value, re.ASCII):
            raise Failed
    return float(value)


def to_bool(value):
    if isinstance(value, str):
        if value.lower() not in ("true", "false"):
            raise Unsure(f"a cast of {value!r}")
        return value.lower() == "true"
    return value != 0


CASTS = {"cast_string": str, "cast_int64": to_int, "cast_float64": to_float, "cast_bool": to_bool}
CASTS |= {"try_" + name: made for name, made in CASTS.items()}
OTHERS = {"div": div, "mod": mod, "regexp": regexp, "like": like,
          "iregexp": lambda text, pattern: regexp(text, pattern, "i"),
          "ilike": lambda text, pattern: like(text.lower(), pattern.lower())}
LENIENT = ("concat", "greatest", "least", "string_to_array")  # they see nulls
S, I, N = "string", "int64", "number"
# Kinds of the arguments (`?`: may be left out), kind of the result (None: that of the arguments), function (None:
# sqlite's own).
FUNCTIONS = {
    "coalesce": (("any", "*"), None, None), "nullif": (("any", "*"), None, None),
    "greatest": (("any", "*"), None, greatest), "least": (("any", "*"), None, least),
    "concat": (("text", "*"), S, concat),
    "upper": ((S,), S, str.upper), "lower": ((S,), S, str.lower), "length": ((S,), I, len),
    "octet_length": ((S,), I, lambda text: len(text.encode())),
    "btrim": ((S, S + "?"), S, lambda text, what=" ": text.strip(what)),
    "ltrim": ((S, S + "?"), S, lambda text, what=" ": text.lstrip(what)),
    "rtrim": ((S, S + "?"), S, lambda text, what=" ": text.rstrip(what)),
    "substr": ((S, I, I + "?"), S, substr),
    "left": ((S, I), S, lambda text, n: text[:n]),
    "right": ((S, I), S, lambda text, n: text[-n:] if n else ""),
    "strpos": ((S, S), I, lambda text, part: text.find(part) + 1),
    "split_part": ((S, S, I), S, split_part), "replace": ((S, S, S), S, str.replace),
    "reverse": ((S,), S, lambda text: text[::-1]), "repeat": ((S, I), S, lambda text, n: text * n),
    "starts_with": ((S, S), "bool", str.startswith), "ends_with": ((S, S), "bool", str.endswith),
    "contains": ((S, S), "bool", lambda text, part: part in text),
    "regexp_like": ((S, S, S + "?"), "bool", regexp),
    "string_to_array": ((S, S, S + "?"), "list", string_to_array),
    "abs": ((N,), None, None), "round": ((N,), "float64", rounded), "trunc": ((N,), "float64", whole(math.trunc)),
    "floor": ((N,), "float64", whole(math.floor)), "ceil": ((N,), "float64", whole(math.ceil)),
    "sqrt": ((N,), "float64", within(math.sqrt, 0)), "exp": ((N,), "float64", math.exp),
    "ln": ((N,), "float64", within(math.log, 0, open_end=True)),
    "log10": ((N,), "float64", within(math.log10, 0, open_end=True)),
    "power": ((N, N), "float64", math.pow),
}
ALIASES = {"trim": "btrim", "char_length": "length", "character_length": "length", "substring": "substr",
           "instr": "strpos", "ceiling": "ceil", "pow": "power"}
COMPUTING = ("abs", "round", "floor", "ceil", "sqrt", "ln", "exp", "power", "trunc", "log10")
