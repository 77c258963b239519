"""Expressions, filters, weights, verdicts, and records that are not JSON or columns. Run by selftest.py."""

import contextlib
import gzip
import io
import json
import lzma
import unittest

import events
import expr
import oracle
import pipeline as pipelines
import truth
from trial import Folder, number, row


class Expressions(unittest.TestCase):
    """SQL on one row. Where engines differ, Postgres is right."""

    KINDS = {"s": "string", "t": "string", "i": "int64", "f": "float64", "b": "bool", "actor.login": "string"}
    ROW = ("Über a-b", None, 7, 2.5, True, "ada")

    def value(self, text, row=ROW):
        found = expr.Program(self.KINDS, [expr.parse(text)]).run(row)
        return found if found is None else found[0]

    def check(self, **cases):
        for text, expected in cases.items():
            found = self.value(text)
            self.assertEqual((found, type(found)), (expected, type(expected)), text)

    def test_operators(self):
        self.check(**{
            "i / 2": 3, "-i / 2": -3, "i % -4": 3, "-i % 4": -3, "i / 2.0": 3.5, "f * 2 + i": 12.0, "2 + 3 * 4 - 1": 13,
            "coalesce(f, 0) / 4": 0.625, "f / 0": float("inf"), "- f": -2.5, "i::double / 2": 3.5,
            "s || i": "Über a-b7", "s || t": None, "i > 6 and not f > 3 or t is not null": True, "t = 'x'": None,
            "not (t = 'x')": None, "b": True, "b is not true": False, "t is null": True, "(t = 'x') is true": False,
            "i in (1, 7)": True, "i not in (1, 2)": True, "s in ('a', null)": None, "i between 7 and 8": True,
            "i not between 1 and 9": False, "t is distinct from s": True, "i <> 7": False, "i != 6": True,
            "actor.login = 'ada'": True, "\"s\" = `s`": True, "case i when 7 then 'x' else 'y' end": "x",
            "case when f > 9 then 1 end": None, "case when b then 1 else 2.5 end": 1.0})

    def test_text(self):
        self.check(**{
            "upper(s)": "ÜBER A-B", "lower('ÄB')": "äb", "length(s)": 8, "octet_length(s)": 9, "trim('  x ')": "x",
            "rtrim('sshd:', ':')": "sshd", "split_part(s, '-', 2)": "b", "split_part(s, '-', -1)": "b",
            "split_part(s, '-', 3)": "", "strpos(s, 'a')": 6, "strpos(s, 'z')": 0, "substr(s, 2, 3)": "ber",
            "substr(s, 0, 2)": "Ü", "substr(s, 6)": "a-b", "left(s, 2)": "Üb", "left(s, -6)": "Üb",
            "right(s, 3)": "a-b", "right(s, 0)": "", "replace(s, '-', '')": "Über ab", "reverse('abc')": "cba",
            "concat(s, t, i)": "Über a-b7", "starts_with(s, 'Ü')": True, "ends_with(s, 'a')": False,
            "contains(s, 'er ')": True, "coalesce(t, 'other')": "other", "nullif(s, 'x')": "Über a-b",
            "greatest(i, 9)": 9, "string_to_array(s, ' ')": ["Über", "a-b"], "string_to_array(t, ' ')": None,
            "string_to_array('a,,b', ',', '')": ["a", None, "b"], "string_to_array('', ',')": [""]})

    def test_patterns(self):
        self.check(**{
            "s like '%a-_'": True, "s like 'über%'": False, "s ilike 'über%'": True, "s not like '%x%'": True,
            "'a%b' like 'a\\%b'": True, "'axb' like 'a\\%b'": False, "t like '%'": None, "s like 'b'": False,
            "'a.b' like 'a.b'": True, "'axb' like 'a.b'": False, "s ~ '^Ü.*b$'": True, "s !~* 'A-B'": False,
            "regexp_like(s, 'A-B')": False, "regexp_like(s, 'A-B', 'i')": True})

    def test_numbers(self):
        self.check(**{
            "abs(-i)": 7, "round(f)": 3.0, "round(-f)": -3.0, "floor(f)": 2.0, "ceil(f)": 3.0, "sqrt(i + 2)": 3.0,
            "power(f, 2)": 6.25, "trunc(-f)": -2.0, "cast('-12' as bigint)": -12, "cast(f as bigint)": 2,
            "'1e3'::double": 1000.0, "try_cast('x' as bigint)": None, "cast(b as bigint)": 1,
            "cast(i as varchar)": "7"})

    def test_rows_that_fail(self):
        for text in ("i / 0", "i % 0", "cast(s as bigint)", "cast('' as double)", "cast(1e30 as bigint)",
                     "substr(s, 1, -1)", "split_part(s, ' ', 0)", "case when i / 0 > 1 then true else false end"):
            self.assertIsNone(expr.Program(self.KINDS, [expr.parse(text)]).run(self.ROW), text)
        self.assertEqual(self.value("case when i = 0 then 1 / 0 else 5 end"), 5)
        self.assertEqual(self.value("i <> 7 and 1 / (i - 7) > 0"), False)

    def test_what_is_refused(self):
        for text in ("s = 1", "i = '7'", "s + 1", "upper(i)", "now()", "regexp_match(s, 'a')", "s || f", "i and b",
                     "cast(f as text)", "cast(i as interval)", "coalesce(s, 1)", "null", "9223372036854775807 + i",
                     "f % 0", "ln(-f)", "power(i, 2)", "s like 'a' escape '!'", "s[1]", "case when i then 1 end"):
            with self.assertRaises(pipelines.Unsupported, msg=text):
                self.value(text)
        for text in ("i +", "(i", "left(s)", "i in 3", "cast(i bigint)"):
            with self.assertRaises(pipelines.Unsupported, msg=text):
                self.value(text)

    def test_what_computes_is_a_number(self):
        for text, names in {"a + b": "ab", "-a": "a", "a > 3": "a", "a = '3'": "", "abs(a) > b": "a", "3 <= a": "a",
                            "a between -1 and 2": "a", "a in (1, 2)": "a", "upper(a) = b": "", "coalesce(a, 'x')": "",
                            "case when a = 1 then b end": "a", "sqrt(a * b)": "ab"}.items():
            self.assertEqual(expr.computed(expr.parse(text)), set(names), text)

    def test_measures(self):
        name, args, named, where = expr.parse_measure("TOP(upper(a), 5, weight => n) FILTER (WHERE x = 'a,)')")
        self.assertEqual((name, expr.number_text(args[1]), named["weight"], expr.show(where)),
                         ("top", "5", expr.field("n"), "(\"x\" = 'a,)')"))
        self.assertEqual(list(map(expr.show, expr.parse_measure("quantiles(x, [0.5, 1])")[1])), ['"x"', "0.5", "1"])
        for text in ("top(a", "top(a) filter (a)", "count() where x", "top(a,, 3)"):
            with self.assertRaises(pipelines.Unsupported, msg=text):
                expr.parse_measure(text)


class Weblogs(Folder):
    LINE = 'h - u [17/May/2015:10:05:03 +0200] "GET /a?b HTTP/1.1" 200 12 "-" "Moz \\"x\\" \\\\ \\n"'

    def entry(self, text, combined=True):
        return events.weblog_entry(text, combined)

    def test_fields(self):
        self.assertEqual(self.entry(self.LINE), {
            "host": "h", "ident": None, "user": "u", "time": "17/May/2015:10:05:03 +0200", "method": "GET",
            "path": "/a?b", "protocol": "HTTP/1.1", "request": "GET /a?b HTTP/1.1", "status": "200", "bytes": "12",
            "referrer": None, "user_agent": 'Moz "x" \\ \\n'})
        self.assertEqual(self.entry(self.LINE + " 17 more")["bytes"], "12")
        self.assertEqual(self.entry(self.LINE, combined=False)["bytes"], "12")
        self.assertIsNone(self.entry(self.LINE.replace("200 12", "- -"))["status"])
        self.assertEqual(self.entry(self.LINE.replace("h - u", "- -x -"))["host"], "-")

    def test_requests(self):
        for request, parts in {"GET /": ("GET", "/", None), "GET / HTTP/1.0": ("GET", "/", "HTTP/1.0"),
                               "GET / http": (None,) * 3, "GET /a b HTTP/1.0": (None,) * 3, "-": (None,) * 3,
                               "": (None,) * 3, r"GET /\"q\x HTTP/2": ("GET", '/"q\\x', "HTTP/2")}.items():
            entry = self.entry(self.LINE.replace("GET /a?b HTTP/1.1", request))
            self.assertEqual(tuple(entry[name] for name in ("method", "path", "protocol")), parts, request)
            self.assertEqual(entry["request"], request.replace('\\"', '"'))

    def test_lines_without_the_shape(self):
        for old, new in (("[17", "17"), ("0]", "0"), ('"GET', "GET"), ('1.1"', "1.1"), (" 12", ""), ("h -", "h")):
            self.assertIsNone(self.entry(self.LINE.replace(old, new)), new)
        for text in (self.LINE.replace("h -", "h  -"), self.LINE.replace(" \"GET", "  \"GET")):
            self.assertIsNone(self.entry(text))
        self.assertEqual(self.entry(self.LINE.replace("- u [", "- u v ["))["user"], "u v")
        self.assertIsNotNone(self.entry(self.LINE[:-1], combined=False))
        self.assertIsNone(self.entry(self.LINE.split(' "-"')[0]))
        self.assertIsNotNone(self.entry(self.LINE.split(' "-"')[0], combined=False))

    def test_a_user_agent_that_was_cut_off(self):
        for text in (self.LINE[:-1], self.LINE[:-1].replace("Moz", 'Moz\\"')):
            expected = 'Moz "x" \\ \\n' if text == self.LINE[:-1] else 'Moz" "x" \\ \\n'
            self.assertEqual(self.entry(text)["user_agent"], expected)
        self.assertEqual(self.entry(self.LINE.split('"Moz')[0] + '"')["user_agent"], "")
        self.assertIsNone(self.entry(self.LINE.split('"Moz')[0]))
        self.assertIsNone(self.entry(self.LINE.replace('"Moz', "Moz")[:-1]))

    def test_records(self):
        text = f"{self.LINE}\r\n\nnonsense\n" + self.LINE.replace("May", "Mai") + "\n" + self.LINE.replace(" 12", " x")
        keys = 'format = "combined"\ntime = { field = "time" }\nfields = { bytes = "int64" }'
        self.put("a.log", text)
        toml = f'[source.s]\npath = "a.log"\n{keys}\n[metric]\nn = "sum(bytes)"\nt = "top(method)"\n'
        source = pipelines.load(self.put("pipeline.toml", toml)).sources[0]
        self.assertEqual(list(events.read(source, source.paths[0])), [
            (None, 1431849903 * 10**6, (12, "GET")), ("line", None, None), ("time", None, None),
            ("type", None, None)])
        with self.assertRaisesRegex(pipelines.Wrong, "clf has no referrer"):
            self.items("b.log", "", 't = "top(referrer)"', 'format = "clf"')


class Columns(Folder):
    """Lines, lists, derived columns, and time from none of the fields."""

    def times(self, text, keys, metrics='n = "count()"', name="s.txt"):
        self.put(name, text)
        toml = f'[source.s]\npath = "{name}"\n{keys}\n[metric]\n{metrics}\n'
        source = pipelines.load(self.put("pipeline.toml", toml)).sources[0]
        return [reason or (time if time is None else time / 10**6) for reason, time, _ in
                events.read(source, source.paths[0])]

    def test_lines(self):
        found = self.items("s.txt", b'a "b\r\n\n \nc,d\n\xff\nlonger than it may be\ne', 't = "top(line)"',
                           'format = "lines"\nrecord_max = "16B"')
        self.assertEqual(found, [('a "b',), ("c,d",), "utf8", "too_long", ("e",)])

    def test_explode(self):
        keys = "format = \"lines\"\nexplode = { item = \"string_to_array(nullif(line, 'none'), ' ')\" }"
        found = self.items("s.txt", "a  b\nnone\n\nc", 't = "top(item)"', keys)
        self.assertEqual([found[0][1:], *found[1:]],
                         [("a",), ("a  b", ""), ("a  b", "b"), "exploded_empty", ("c", "c")])
        answers = self.answers(f'[source.s]\npath = "s.txt"\n{keys}\n[metric]\nt = "count()"\n')
        self.assertEqual({name: n for (_, name), n in answers.counters.items() if n},
                         {"read": 5, "accepted": 4, "on_time": 4, "exploded_empty": 1})

    def test_derive(self):
        keys = ('derive = { half = "double / 2", double = "n * 2", buy = "kind = \'p\'", per = "100 / m" }\n'
                'fields = { n = "int64", m = "int64" }')
        metrics = 'a = "sum(half)"\nb = { measure = "count()", by = ["buy"] }\nc = "sum(per)"'
        text = '{"n":3,"kind":"p","m":7}\n{"n":4,"m":0}\n{"kind":"q"}\n{"n":"x","m":0}\n'
        self.assertEqual(self.items("s.ndjson", text, metrics, keys),
                         [(3, "p", 7, 6, 3, True, 14), "derive", (None, "q", None, None, None, False, None), "type"])
        self.assertEqual(self.items("s.ndjson", text, 'a = "count()"', keys)[1], "derive")  # though nobody asks
        for derive in ('a = "b", b = "a"', 'a = "upper(a)"'):
            with self.assertRaisesRegex(pipelines.Wrong, "made of itself"):
                self.items("s.ndjson", text, 't = "top(a)"', f"derive = {{ {derive} }}")

    def test_time_by_row(self):
        text = "t\n1\n\nx\n3\n"
        keys = 'time = { row = "2s" }\nfields = { t = "int64" }'
        self.assertEqual(self.times(text, keys, 'n = "sum(t)"', "s.csv"), [0, "type", 4])
        keys = 'format = "lines"\nexplode = { i = "string_to_array(line, \',\')" }\ntime = { row = "1s" }'
        self.assertEqual(self.times("a,b\n\xff\nc\n".encode("latin-1"), keys), [0, 1, "utf8", 3])
        self.put("a.txt", "a\nb\n")
        self.put("b.txt", "c\n")
        toml = '[source.s]\npath = ["a.txt", "b.txt"]\nformat = "lines"\ntime = { row = "1m" }\n[metric]\nn = "count()"'
        cells = self.answers(toml, "1m").cells
        self.assertEqual([start // 60_000_000 for _, _, start, _ in cells], [0, 1, 2])

    def test_time_of_a_derived_column(self):
        keys = ('format = "lines"\nderive = { at = "concat(\'1970 \', substr(line, 1, 15))" }\n'
                'time = { field = "at", pattern = "%Y %b %e %H:%M:%S" }')
        self.assertEqual(self.times("Jan  2 00:00:01 x\nJan 12 00:00:00\nsoon\n", keys),
                         [86_401, 11 * 86_400, "time"])
        keys = 'format = "lines"\nderive = { n = "cast(line as bigint)" }\ntime = { field = "n", unit = "ms" }'
        self.assertEqual(self.times("1500\nx\n", keys), [1.5, "derive"])

    def test_a_ladder_of_its_own(self):
        self.put("s.csv", "t\n" + "".join(f"{t}\n" for t in (0, 30, 100, 3600)))
        toml = ('panes = ["10s:1d"]\n[source.s]\npath = "s.csv"\ntime = { field = "t", unit = "s" }\n[metric]\n'
                'a = "count()"\nb = { measure = "count()", panes = ["1m:30m", "1h:1d"] }\n')
        starts = lambda name, every: [start // 10**6 for found, _, start, _ in self.answers(toml, every).cells
                                      if found == name]
        self.assertEqual((starts("a", "1m"), starts("b", "1m")), ([0, 60, 3600], [3600]))
        self.assertEqual((starts("a", "1h"), starts("b", "1h")), ([0, 3600], [0, 3600]))

    def test_zones(self):
        def at(text):
            zoned = 'time = { field = "line", pattern = "%Y-%m-%d %T", zone = "Europe/Berlin" }'
            return self.times(text, 'format = "lines"\n' + zoned)[0]
        self.assertEqual(at("2015-01-01 01:00:00"), 1420070400)
        self.assertEqual(at("2015-07-01 02:00:00"), 1435708800)
        self.assertEqual(at("2015-10-25 02:30:00"), 1445733000)  # stands twice on the clock: the first
        self.assertEqual(at("2015-03-29 02:30:00"), 1427592600)  # stands on no clock: as if it were winter still

    def test_what_is_refused(self):
        for keys in ('time = "arrival"', 'time = { field = "line", pattern = "%Q %F" }',
                     'time = { field = "line", pattern = "%b" }', 'explode = { a = "f(line)" }',
                     'derive = { a = "upper(line) + 1" }', 'kind = "http"'):
            with self.assertRaises(pipelines.Unsupported) as caught:
                self.items("s.txt", "a\n", 't = "count()"\nu = "top(a)"', 'format = "lines"\n' + keys)
            self.assertNotIsInstance(caught.exception, pipelines.Wrong, keys)
        toml = '[source.s]\npath = "s.txt"\nformat = "lines"\ntime = "arrival"\n[metric]\nn = "count()"\n'
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(oracle.main(["answers", self.put("p.toml", toml)]), 3)
        self.assertIn("arrival", said.getvalue())

    def test_what_is_refused_of_one_metric(self):
        toml = ('[source.s]\npath = "s.txt"\nformat = "lines"\n[metric]\na = "count() filter (where f(line))"\n'
                'b = "top(line + \'x\')"\nc = { measure = "seen(line)", size = "1M @ 1%", keep = "5m" }\n'
                'd = "count() filter (where c)"\ne = "count()"\n')
        self.put("s.txt", "a\n")
        found = {name: metric.unchecked for name, metric in self.answers(toml).metrics.items()}
        self.assertEqual((found["a"], found["d"], found["e"]), ("function f", "rests on c", None))
        self.assertIn("mixes", found["b"])
        self.assertIn("for ever", found["c"])

    def test_compression_is_told_by_the_first_bytes(self):
        for name, text in (("a.txt", lzma.compress(b"a\nb\n")), ("b.txt.xz", lzma.compress(b"a\nb\n")),
                           ("c.txt", gzip.compress(b"a\nb\n"))):
            self.assertEqual(self.items(name, text, 't = "top(line)"', 'format = "lines"'), [("a",), ("b",)])

    def test_parquet(self):
        try:
            import pyarrow.parquet
        except ImportError:
            with self.assertRaisesRegex(pipelines.Unsupported, "pyarrow"):
                self.items("s.parquet", b"PAR1", 't = "top(a)"')
            return
        table = pyarrow.table({"a": ["x", None], "n": [1, 2], "f": [0.5, None],
                               "t": pyarrow.array([1_500_000, 2_000_000], pyarrow.timestamp("us"))})
        pyarrow.parquet.write_table(table, self.place / "s.parquet")
        metrics, keys = 't = "top(a)"\ns = "sum(n)"\nu = "sum(f)"', 'fields = { n = "int64" }'
        self.assertEqual(self.items("s.parquet", (self.place / "s.parquet").read_bytes(), metrics, keys),
                         [("x", 1, 0.5), (None, 2, None)])
        toml = f'[source.s]\npath = "s.parquet"\ntime = {{ field = "t" }}\n{keys}\n[metric]\n{metrics}\n'
        source = pipelines.load(self.put("p.toml", toml)).sources[0]
        self.assertEqual([time for _, time, _ in events.read(source, source.paths[0])], [1_500_000, 2_000_000])


STREAM = """
[source.s]
path = "s.csv"
fields = { n = "int64" }
[metric]
known  = { measure = "seen(who)", size = "1M @ 1%", keep = "forever" }
bought = { measure = "seen(who) filter (where what = 'buy')", size = "1M @ 1%", keep = "forever" }
again  = { measure = "count() filter (where known)", by = [[], ["what"]] }
states = { measure = "count()", by = ["bought"] }
new    = "unique(who) filter (where not known)"
buyers = "audience(who) filter (where what = 'buy')"
shout  = "top(upper(what), 2)"
heavy  = "top(who, 5, weight => n)"
often  = "freq(what, weight => n) filter (where who is not null)"
worth  = "sum(n * 2) filter (where n > 0)"
some   = "sample(2)"
all    = "sample(9) filter (where what = 'buy')"
"""
STREAM_EVENTS = "who,what,n\n" \
    "ada,see,1\nbob,see,2\nada,buy,3\nada,see,-4\n,buy,5\nbob,buy,0\nada,buy,\neve,see,7\n,see,-1\n"


class Measures(Folder):
    """Filters, weights, verdicts and samples, and errors planted in reports of them."""

    def setUp(self):
        super().setUp()
        self.put("s.csv", STREAM_EVENTS)
        self.truth = self.answers(STREAM)

    def at(self, metric, **by):
        return self.truth.cells[metric, tuple(sorted(by.items())), None, None]

    def test_filters_and_expressions(self):
        self.assertEqual(self.at("shout").weights, {"SEE": 5, "BUY": 4})
        self.assertEqual(self.at("worth").value(), 36)
        self.assertEqual(self.at("buyers").value(), 2)
        self.assertEqual(self.at("all").count, 4)

    def test_weights(self):
        self.assertEqual(self.at("heavy").weights, {"ada": 4, "bob": 2, "eve": 7})
        self.assertEqual(self.at("often").weights, {"see": 10, "buy": 3})
        self.assertEqual(self.truth.counters["s", "weight_negative"], 2)  # ada of two metrics

    def test_verdicts(self):
        """known: - - ada ada null bob ada - null; bought is true for the last two events of ada."""
        self.assertEqual([self.at(name).value() for name in ("known", "bought", "again", "new")], [3, 2, 4, 3])
        self.assertEqual((self.at("again", what="see").value(), self.at("again", what="buy").value()), (1, 3))
        counts = {key[1][0][1]: cell.count for key, cell in self.truth.cells.items() if key[0] == "states"}
        self.assertEqual(counts, {False: 5, True: 2, None: 2})
        verdicts = {name: metric.verdict for name, metric in self.truth.metrics.items() if metric.verdict}
        self.assertEqual(verdicts, {"again": "known", "states": "bought", "new": "known"})

    def test_an_empty_key_is_none(self):
        self.assertEqual(truth.verdicts([("",), ("a",), ("",), (None,), ("a",)], 0, None),
                         [(None,), (False,), (None,), (None,), (True,)])
        self.assertEqual(truth.Cell(self.truth.metrics["known"], "string", 2, ["", "a"]).value(), 1)

    def test_verdicts_of_verdicts_and_of_late_events(self):
        toml = """
            [source.s]
            path = "t.csv"
            time = { field = "t", unit = "s", later = "drop" }
            [metric]
            second = { measure = "seen(who) filter (where first)", size = "1K @ 1%", keep = "forever" }
            first  = { measure = "seen(who)", size = "1K @ 1%", keep = "forever" }
            third  = "count() filter (where second)"
            """
        self.put("t.csv", "who,t\na,5\nb,4\nb,6\na,7\na,8\nb,9\n")  # the first b is late and dropped
        self.truth = self.answers(toml)
        self.assertEqual([self.at(name).value() for name in ("first", "second", "third")], [2, 2, 1])
        circle = toml.replace("seen(who)\"", "seen(who) filter (where second)\"")
        with self.assertRaisesRegex(pipelines.Wrong, "made of itself"):
            self.answers(circle)

    def test_sessions(self):
        """ada: 0 10 | 31; bob: 5 | 40, which 22 makes one of, though it is late; nobody has none."""
        toml = """
            panes = ["10s:1h"]
            [source.s]
            path = "v.csv"
            time = { field = "t", unit = "s" }
            [metric]
            visits = "session(who, gap => '20s', open => '1k')"
            some   = "session(who, gap => '20s') filter (where t <> '22')"
        """
        self.put("v.csv", "t,who\n0,ada\n5,bob\n7,\n10,ada\n31,ada\n40,bob\n22,bob\n")
        found = self.answers(toml).cells
        self.assertEqual(sorted(found["visits.duration_s", (), None, None].values), [0, 10, 35])
        self.assertEqual(sorted(found["visits.events", (), None, None].values), [1, 2, 3])
        self.assertEqual([found[name, (), None, None].value() for name in ("visits", "some")], [3, 4])
        windows = self.answers(toml, every="20s").cells
        ends = {key[2] // 10**6: cell.count for key, cell in windows.items() if key[0] == "visits"}
        self.assertEqual(ends, {0: 1, 20: 1, 40: 1})
        for wrong in ("session(who)", "session(who, gap => 20)"):
            with self.assertRaises(pipelines.Wrong):
                self.answers(toml.replace("session(who, gap => '20s', open => '1k')", wrong))

    def test_a_weight_is_a_whole_number(self):
        self.assertEqual(self.answers(STREAM.replace('n = "int64"', "").replace("worth  = ", "#")).kinds["heavy", "n"],
                         "int64")
        for keys in ("", 'n = "float64"'):
            with self.assertRaisesRegex(pipelines.Wrong, "declare it|no whole number"):
                self.answers(STREAM.replace('n = "int64"', keys))

    def right(self):
        out = io.StringIO()
        oracle.write(self.truth, out)
        return json.loads(out.getvalue())["rows"]

    def test_a_right_report_passes(self):
        code, text = self.judge(self.truth, self.right())
        self.assertEqual(code, 0, text)

    def caught(self, expected, plant):
        rows = self.right()
        plant(rows, {(r["metric"], *r["by"].values()): r for r in rows})
        code, text = self.judge(self.truth, rows)
        self.assertEqual(code, 1, text)
        self.assertIn(expected, text)

    def test_planted_errors(self):
        self.caught("exact, though it rests on known", lambda rows, at: at["again",].update(exact=True))
        self.caught("proven bounds broken", lambda rows, at: at["again",].update(value=5, low=5, high=6))
        self.caught("proven bounds broken", lambda rows, at: at["again", "see"].update(value=2, low=2, high=3))
        self.caught("exact, but value 4 ", lambda rows, at: at["known",].update(value=4, low=4, high=4))
        self.caught("exact, but value 3 ", lambda rows, at: at["buyers",].update(value=3, low=3, high=3))
        self.caught("no row for {}", lambda rows, at: rows.remove(at["again",]))
        self.caught("should not be there", lambda rows, at: at["again", "see"]["by"].update(what=3))
        self.caught("s weight_negative is missing",
                    lambda rows, at: rows.remove(at["sg.source", "s", "weight_negative"]))
        self.caught("item 'ada': exact", lambda rows, at: at["heavy",]["items"][1].update(value=8))
        self.caught("exact, but 2 items of 3", lambda rows, at: at["heavy",]["items"].pop())

    def test_planted_errors_of_samples(self):
        self.caught("1 rows, asked for 2", lambda rows, at: at["some",]["rows"].pop())
        self.caught("5 rows, asked for 4", lambda rows, at: at["all",]["rows"].append(at["all",]["rows"][0]))
        self.caught("no such event", lambda rows, at: at["some",]["rows"][0].update(n=9))
        self.caught("no such event", lambda rows, at: at["some",]["rows"][0].update(who=7))
        self.caught("not so often", lambda rows, at: at["some",]["rows"].__setitem__(1, at["some",]["rows"][0]))
        self.caught("no such event", lambda rows, at: at["all",]["rows"][0].update(what="see", n=1))
        self.caught("sample with colour", lambda rows, at: at["some",]["rows"][0].update(colour="red"))
        self.caught("of a list measure", lambda rows, at: at["some",].update(value=2))

    def test_groups_that_verdicts_made_or_missed_are_forgiven(self):
        rows = self.right()
        rows = [found for found in rows if (found["metric"], found["by"]) != ("states", {"bought": True})]
        extra = row("again", 1, {"what": "steal"}, low=0, high=1, exact=False, guarantee="proven", late=0)
        code, text = self.judge(self.truth, rows + [extra])
        self.assertEqual(code, 0, text)
        self.truth.misjudged["states"] = 1
        self.assertIn("no row for {'bought': True}", self.judge(self.truth, rows)[1])
        self.assertIn("bounds broken", self.judge(self.truth, rows + [extra | {"low": 1}])[1])

    def test_items_of_no_weight_may_be_listed(self):
        rows = self.right()
        next(found for found in rows if found["metric"] == "heavy")["items"].append(number(0, item="cy"))
        self.assertEqual(self.judge(self.truth, rows)[0], 0)
