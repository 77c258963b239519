"""The oracle on trial: hand-made events with answers worked out by hand, reports that are right and reports with
one planted error each, and the published exact figures of the real data sets.

    python3 tests/oracle/selftest.py

Tests on real data look in STREAMGAUGE_DATA, else beside the repository, and say so when they find nothing.
"""

import copy
import io
import json
import random
import sys
import unittest
from collections import Counter
from fractions import Fraction
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import clock  # noqa: E402
import events  # noqa: E402
import oracle  # noqa: E402
import pipeline as pipelines  # noqa: E402
import report as reports  # noqa: E402
import truth  # noqa: E402
from selftest_data import Examples, Published  # noqa: E402, F401
from selftest_language import Columns, Expressions, Measures, Weblogs  # noqa: E402, F401
from trial import Folder, counters, number, row  # noqa: E402

SHOP = """
panes = ["1m:10m"]
[source.shop]
path = "shop.ndjson"
time = { field = "t", unit = "s", lateness = "5s" }
null = ["NA"]
fields = { n = "int64" }
[metric]
all   = { measure = "count()", by = [[], ["who"]] }
users = { measure = "unique(who)" }
spent = { measure = "sum(x)", by = [[], ["who"]] }
mean  = { measure = "avg(x)" }
dev   = { measure = "stddev(x)" }
best  = { measure = "top(who, 1)" }
often = { measure = "freq(who)" }
mid   = { measure = "quantiles(x, 0.5, 1)" }
cuts  = { measure = "histogram(x, 1, 2)" }
most  = { measure = "max(n)" }
"""
EVENTS = """{"t":60,"who":"ada","x":1.5,"n":1}
{"t":61,"who":"bob","x":"NA","n":9007199254740993}
{"t":125,"who":"ada","x":2.5,"n":null}
{"t":62,"who":"ada","x":0.5,"n":3}
{"t":121,"who":null,"n":"4"}
not json
{"t":"x","who":"eve"}
{"t":130,"who":"eve","x":"many"}
"""


def shop_report():
    """Worked out by hand: x is 1.5, 2.5, 0.5; `NA` is null, "many" is bad; t = 62 is late behind 125 - 5."""
    return [
        row("all", 5),
        row("all", 3, {"who": "ada"}), row("all", 1, {"who": "bob"}), row("all", 1, {"who": None}),
        row("users", 2),
        row("spent", 4.5), row("spent", 4.5, {"who": "ada"}), row("spent", None, {"who": "bob"}),
        row("spent", None, {"who": None}),
        row("mean", 1.5), row("dev", 1.0),
        row("best", None, items=[number(3, item="ada")]),
        row("often", None, items=[number(3, item="ada"), number(1, item="bob")]),
        row("mid", None, quantiles=[number(1.5, q=0.5), number(2.5, q=1)]),
        row("cuts", None, buckets=[{"le": 1, "count": 1}, {"le": 2, "count": 2}, {"le": "+Inf", "count": 3}]),
        row("most", "9007199254740993"),
    ] + counters("shop", read=8, accepted=5, on_time=4, late=1, ahead=0, too_late=0, json=1, time=1, type=1)


class Reports(Folder):
    """A right report passes; each planted error is caught, and named."""

    def setUp(self):
        super().setUp()
        self.put("shop.ndjson", EVENTS)
        self.truth = self.answers(SHOP)

    def test_a_right_report_passes(self):
        code, text = self.judge(self.truth, shop_report())
        self.assertEqual(code, 0, text)

    def test_what_the_oracle_prints_is_a_right_report(self):
        out = io.StringIO()
        oracle.write(self.truth, out)
        rows = reports.load(self.put("report.json", out.getvalue()))
        self.assertEqual(self.judge(self.truth, rows)[0], 0)

    def test_all_three_shapes_of_a_report_are_read(self):
        rows = shop_report()
        for text in (json.dumps(rows), json.dumps({"rows": rows}), "\n".join(map(json.dumps, rows)) + "\n"):
            self.assertEqual(len(reports.load(self.put("report.json", text))), len(rows))
        with self.assertRaises(reports.Unreadable):
            reports.load(self.put("report.json", '{"metric": "all"'))

    def caught(self, expected, plant):
        rows = copy.deepcopy(shop_report())
        found = {(r["metric"], json.dumps(sorted(r["by"].items()))): r for r in rows}
        plant(rows, lambda metric, **by: found[metric, json.dumps(sorted(by.items()))])
        code, text = self.judge(self.truth, rows)
        self.assertEqual(code, 1, text)
        self.assertIn(expected, text)

    def test_rows(self):
        self.caught("no row for", lambda rows, _: rows.pop(1))
        self.caught("row twice", lambda rows, _: rows.append(rows[1]))
        self.caught("should not be there", lambda rows, _: rows.append(row("all", 1, {"who": "eve"})))
        self.caught("should not be there", lambda rows, at: at("all", who="ada")["by"].update(who=7))
        self.caught("should not be there", lambda rows, at: at("users").update(start="1970-01-01T00:00:00Z"))
        self.caught("should not be there", lambda rows, at: at("users").update(start="soon"))
        self.caught("no such metric", lambda rows, _: rows.append(row("other", 1)))
        self.caught("row without late", lambda rows, at: at("users").pop("late"))
        self.caught("others", lambda rows, _: rows.append(row("all", 1, other=True)))

    def test_values(self):
        self.caught("exact, but value 4 ", lambda rows, at: at("all").update(value=4))
        self.caught("truth 4.5", lambda rows, at: at("spent", who="ada").update(value=4.500000000000001))
        self.caught("truth None", lambda rows, at: at("spent", who="bob").update(value=0))
        self.caught("truth 1.0", lambda rows, at: at("dev").update(value=1.000000000001))
        self.caught("truth 9007199254740993", lambda rows, at: at("most").update(value="9007199254740992"))
        self.caught("is no number", lambda rows, at: at("all").update(value="five"))
        self.caught("is no number", lambda rows, at: at("all").update(value=True))
        self.caught("truth 5", lambda rows, at: at("all").update(value=None))
        self.caught("late 0, truth 1", lambda rows, at: at("all").update(late=0))
        self.caught("sketch 'hll'", lambda rows, at: at("all").update(sketch="hll"))
        self.caught("guarantee 'good'", lambda rows, at: at("all").update(guarantee="good"))
        self.caught("is no time", lambda rows, at: at("all").update(complete_to="now"))

    def test_bounds(self):
        def proven(low, value, high):
            return {"low": low, "value": value, "high": high, "guarantee": "proven", "exact": False}
        self.caught("proven bounds broken", lambda rows, at: at("users").update(proven(3, 3, 4)))
        self.caught("proven bounds broken", lambda rows, at: at("users").update(proven(0, 1, 1)))
        self.caught("not low <= value", lambda rows, at: at("users").update(proven(1, 4, 3)))
        self.caught("not low <= value", lambda rows, at: at("users").update(proven(None, 2, 3)))
        self.caught("exact bounds broken", lambda rows, at: at("users").update(
            proven(3, 3, 4) | {"guarantee": "exact"}))
        self.caught("probabilistic with confidence", lambda rows, at: at("users").update(
            proven(1, 2, 3) | {"guarantee": "probabilistic", "confidence": 1.0}))

    def test_lists(self):
        def low_weight(rows, at):
            at("best")["items"] = [number(1, item="bob")]

        def estimate(name, weight, low, high):
            return {"item": name, "value": weight, "low": low, "high": high}

        def light(rows, at):
            at("best").update(exact=False, guarantee="proven", items=[estimate("bob", 1, 1, 1)])

        self.caught("'ada' is missing, weight 3 > 1", low_weight)
        self.caught("'ada' is missing, weight 3 > 1", light)
        self.caught("exact, but 1 items of 2", lambda rows, at: at("often")["items"].pop())
        self.caught("an item twice", lambda rows, at: at("often")["items"].append(number(1, item="bob")))
        self.caught("2 items, asked", lambda rows, at: at("best")["items"].append(number(1, item="bob")))
        self.caught("item 'ada': exact", lambda rows, at: at("often")["items"][0].update(value=2))
        self.caught("item 'cy': exact", lambda rows, at: at("often")["items"][1].update(item="cy"))
        self.caught("no items", lambda rows, at: at("best").pop("items"))
        self.caught("of a list measure", lambda rows, at: at("best").update(value=3))
        self.caught("q 0.5: exact", lambda rows, at: at("mid")["quantiles"][0].update(value=2.5))
        self.caught("asked for [0.5, 1.0]", lambda rows, at: at("mid")["quantiles"].pop())
        self.caught("count 1 at le 2", lambda rows, at: at("cuts")["buckets"][1].update(count=1))
        self.caught("asked for [1.0, 2.0]", lambda rows, at: at("cuts")["buckets"].pop(0))
        self.caught("do not ascend", lambda rows, at: at("cuts")["buckets"].pop())

    def test_approximate_lists_pass(self):
        rows = shop_report()
        for found in rows:
            if found["metric"] in ("best", "often", "mid"):
                found.update(exact=False, guarantee="proven")
            for item in found.get("items", []) + found.get("quantiles", []):
                item.update(low=item["low"] - 1, value=item["value"] - 0.5)
        code, text = self.judge(self.truth, rows)
        self.assertEqual(code, 0, text)

    def test_groups_beyond_the_limit(self):
        crowded = SHOP.replace('by = [[], ["who"]] }', 'by = [[], ["who"]], keys = "2 + other" }', 1)
        answers, rows = self.answers(crowded), shop_report()
        self.assertIn("3 groups apart, limit 2", self.judge(answers, rows)[1])
        rows[2] |= {"by": {}, "other": True, "value": 2}
        self.assertEqual(self.judge(answers, rows)[0], 0)
        rows[1]["high"] = rows[1]["value"] = 2
        self.assertEqual(self.judge(answers, rows)[0], 1)

    def test_counters(self):
        self.caught("shop late = 0, truth 1",
                    lambda rows, at: at("sg.source", source="shop", reason="late").update(value=0))
        self.caught("shop json is missing", lambda rows, at: rows.pop(-3))
        self.caught("no such source", lambda rows, at: rows.extend(counters("shed", read=8)))
        self.caught("does not know", lambda rows, at: rows.extend(counters("shop", lost=2)))


class Chances(Folder):
    """Probabilistic bounds: what chance explains passes, what it does not is caught."""

    def many(self, error_of):
        """A report of 400 groups, unique 1000 values each, with errors in sigmas by `error_of(group)`."""
        metric = pipelines.Metric("users", "unique", "user", by=[("g",)])
        answers = truth.Answers(metrics={"users": metric}, late={"users": 0})
        answers.kinds["users", "g"] = "string"
        rows, sigma = [], 10.0
        for g in range(400):
            values = [f"{g}:{i}" for i in range(1000)]
            answers.cells["users", (("g", str(g)),), None, None] = truth.Cell(metric, "string", 1000, values)
            value = 1000 + sigma * error_of(g)
            low, high = value - 1.96 * sigma, value + 1.96 * sigma
            rows.append(row("users", value, {"g": str(g)}, low=low, high=high, late=0, exact=False,
                            guarantee="probabilistic", confidence=0.95))
        return self.judge(answers, rows)

    def test_honest_errors_pass(self):
        for seed in range(20):
            draw = random.Random(seed)
            code, text = self.many(lambda g: draw.gauss(0, 1))
            self.assertEqual(code, 0, text)

    def test_bounds_that_are_too_narrow_are_caught(self):
        draw = random.Random(1)
        code, text = self.many(lambda g: draw.gauss(0, 1.5))
        self.assertEqual(code, 1)
        self.assertIn("of 400 unrelated answers outside", text)

    def test_one_answer_far_out_is_caught(self):
        code, text = self.many(lambda g: 6 if g == 7 else 0)
        self.assertEqual(code, 1)
        self.assertIn("times as far out", text)
        self.assertEqual(self.many(lambda g: 4 if g == 7 else 0)[0], 0)

    def test_sets_that_overlap_are_one_trial(self):
        same = {str(i) for i in range(100)}
        self.assertEqual(reports.independent([(False, same)] * 50), (1, 1))
        self.assertEqual(reports.independent([(False, None)] * 3), (3, 3))

    def test_binomial_tail(self):
        self.assertAlmostEqual(reports.binomial_tail(10, 10, 0.5), 0.5**10)
        self.assertAlmostEqual(reports.binomial_tail(3, 1, 0.05), 1 - 0.95**3)


class Clock(unittest.TestCase):
    """Who is late, who is ahead."""

    def check(self, times, expected, final, **spec):
        verdicts, watermark = clock.judge(times, pipelines.TimeSpec("t", **spec))
        self.assertEqual([verdict[0] + verdict[1] for verdict, _ in verdicts], expected.split())
        self.assertEqual(watermark, final)

    def test_without_ahead_the_first_record_sets_the_clock(self):
        self.check([100, 90, 1000, 99, 998, 997], "on la on la on la", 998, lateness=2)

    def test_nothing_at_all(self):
        self.check([], "", None)

    def test_a_record_far_ahead_does_not_move_the_clock(self):
        self.check([10, 11, 999, 12, 13], "on on ah on on", 13, ahead=10, agree=2)

    def test_records_that_agree_are_a_gap(self):
        self.check([10, 11, 999, 995, 12, 1000], "on on ah ah la on", 1000, ahead=10, agree=2)
        self.check([10, 11, 999, 995], "on on ah ah", 995, ahead=10, agree=2)
        self.check([10, 11, 999, 12, 995, 13], "on on ah on ah on", 13, ahead=10, agree=2)
        self.check([10, 11, 500, 900, 901, 902], "on on ah ah ah on", 902, ahead=10, agree=2)

    def test_before_the_first_clock_rows_are_held(self):
        self.check([500, 3, 100, 101, 102], "ah la on on on", 102, ahead=10, agree=2)
        # The median of 4 is the lower one, and 5 lies within 100 of it; within 90 it does not.
        self.check([5, 300, 100, 200], "on ah on on", 200, ahead=100, agree=9)
        self.check([5, 300, 100, 190], "la ah on on", 190, ahead=90, agree=9)

    def test_more_rows_than_are_held(self):
        times = [index * 100 for index in range(70_000)]
        verdicts, _ = clock.judge(times, pipelines.TimeSpec("t", ahead=10, agree=32))
        counts = Counter(verdict for verdict, _ in verdicts)
        self.assertEqual(counts, {"late": 32_767, "on_time": 1, "ahead": 70_000 - 32_768})

    def test_what_levels_keep(self):
        levels = [(10, 20), (100, 300)]
        self.assertTrue(clock.retained(5, 29, [(10, 20)]))
        self.assertFalse(clock.retained(5, 30, [(10, 20)]))
        self.assertTrue(clock.retained(5, 399, levels))
        self.assertFalse(clock.retained(5, 400, levels))
        self.assertTrue(clock.window_retained(0, 100, 399, levels))
        self.assertFalse(clock.window_retained(0, 100, 400, levels))
        self.assertFalse(clock.window_retained(0, 50, 100, levels))  # part of a coarse pane is no answer
        self.assertTrue(clock.window_retained(0, 130, 120, levels))  # a coarse pane, then fine ones
        self.assertFalse(clock.window_retained(0, 130, 200, levels))


class Windows(Folder):
    def rows(self, text, every, window=None, extra=""):
        self.put("a.csv", text)
        toml = 'panes = ["1m:10m"]\n[source.a]\npath = "a.csv"\ntime = { field = "t", unit = "s" }\n'
        toml += '[metric]\nn = { measure = "count()" ' + extra + "}\n"
        answers = self.answers(toml, every, window)
        self.late = answers.counters["a", "too_late"]
        return {start and start // 60_000_000: cell.count for (_, _, start, _), cell in answers.cells.items()}

    def test_tumbling_sliding_and_totals(self):
        text = "t\n0\n59\n60\n200\n"
        self.assertEqual(self.rows(text, "1m"), {0: 2, 1: 1, 3: 1})
        self.assertEqual(self.rows(text, "1m", "2m"), {-1: 2, 0: 3, 1: 1, 2: 1, 3: 1})
        self.assertEqual(self.rows(text, None), {None: 4})
        self.assertEqual(self.rows(text, "1m", extra=', keep = "forever"'), {None: 4})

    def test_panes_past_their_keep_are_not_reported(self):
        self.assertEqual(self.rows("t\n0\n60\n659\n", "1m"), {0: 1, 1: 1, 10: 1})
        self.assertEqual(self.rows("t\n0\n60\n660\n", "1m"), {1: 1, 11: 1})
        self.assertEqual(self.rows("t\n0\n60\n660\n", "1m", "2m"), {1: 1, 10: 1, 11: 1})

    def test_what_is_too_late_enters_the_total_only(self):
        text = "t\n0\n660\n59\n60\n"
        self.assertEqual(self.rows(text, "1m"), {1: 1, 11: 1})
        self.assertEqual(self.late, 1)
        self.assertEqual(self.rows(text, None), {None: 4})

    def test_windows_that_are_no_whole_panes_are_refused(self):
        with self.assertRaises(pipelines.Unsupported):
            self.rows("t\n0\n", "90s")


class Decoding(Folder):
    def test_json(self):
        lines = ['{"a":{"b":1.0},"n":2}', '{"a":7,"n":-1e2}', '{"a":{"b":true},"n":"3"}', "", "[1]",
                 '{"a":NaN}', '{"a":{"b":[]}}', '{"n":"x"}', '{"n":"-"}', '{"n":false}',
                 '{"a":{"b":"\\ud800"}}', '{"a":{"b":""}}', '{"a":1}{}', '{"n":1e999}']
        text = "\r\n".join(lines).encode() + b"\n{\"a\":\"\xff\"}\n"
        found = self.items("s.ndjson", text, 'u = "unique(a.b)"\ns = "sum(n)"', 'null = ["-"]')
        self.assertEqual(found, [
            ("1.0", 2.0), (None, -100.0), ("true", 3.0), "json", "json", "type", "type", (None, None), "type",
            "json", ("", None), "json", (None, float("inf")), "utf8"])

    def test_delimited(self):
        text = 'a,b\n1,x\n2,"y, ""z"""\n3,"two\nlines"\n,\n4\n5,x,,\n6,x,y\n"7",a"b\nNA,NA\n\nq,x\n'
        keys = 'null = "NA"\nfields = { a = "int64" }'
        found = self.items("s.csv", text, 's = "sum(a)"\nt = "top(b)"', keys)
        self.assertEqual(found, [
            (1, "x"), (2, 'y, "z"'), (3, "two\nlines"), (None, None), "columns", (5, "x"), "columns", (7, 'a"b'),
            (None, "NA"), "type"])

    def test_columns_and_quotes_of_tsv(self):
        found = self.items("s.tsv", '"x\t1\ny\t2\n', 't = "top(a)"', 'columns = ["a", "b"]')
        self.assertEqual(found, [('"x',), ("y",)])

    def test_records_that_are_too_long(self):
        found = self.items("s.csv", "a\n123456\n123\n", 't = "top(a)"', "record_bytes_max = 5")
        self.assertEqual(found, ["too_long", ("123",)])

    def test_times(self):
        for text, micros in [
                ("1970-01-01T00:00:01Z", 10**6), ("1970-01-01 01:00:00.5+01:00", 500_000),
                ("1969-12-31t23:59:59.9999999z", -1), ("2015-09-12T00:46:58.771Z", 1442018818771000),
                ("2015-02-29T00:00:00Z", None), ("1970-01-01T00:00:00", None), (events.Num("5"), None)]:
            self.assertEqual(events.rfc3339_time(text, {}), micros, text)
        for text, unit, micros in [
                ("12", "s", 12 * 10**6), ("1.5", "ms", 1500), ("-1", "ns", -1), ("1e3", "us", 1000),
                ("x", "s", None), ("1e30", "s", None)]:
            self.assertEqual(events.unix_time(text, pipelines.TIME_UNITS[unit]), micros, text)
        micros = events.pattern_time("02/Jan/1970:00:00:00 +0100", "%d/%b/%Y:%H:%M:%S %z")
        self.assertEqual(micros, 23 * 3600 * 10**6)
        self.assertEqual(events.write_time(-1), "1969-12-31T23:59:59.999999Z")


class Numbers(unittest.TestCase):
    def cell(self, measure, values, kind="float64"):
        return truth.Cell(pipelines.Metric("m", measure, "x"), kind, len(values), values)

    def test_sums_are_exact(self):
        self.assertEqual(self.cell("sum", [1e308, 1.0, -1e308]).value(), 1.0)
        self.assertEqual(self.cell("avg", [1e16, 1.0, -1e16]).value(), 1 / 3)
        self.assertEqual(self.cell("stddev", [1e9, 1e9 + 1, 1e9 + 2]).value(), 1.0)
        self.assertEqual(self.cell("stddev", [0.1]).value(), None)
        self.assertEqual(self.cell("sum", [2**63 - 1] * 3, "int64").value(), 3 * (2**63 - 1))
        self.assertEqual(truth.exact_sum([0.1, 0.25], 2), Fraction(0.1) ** 2 + Fraction(1, 16))
        self.assertEqual(self.cell("max", [1.0, float("inf"), float("nan")]).value(), 1.0)

    def test_quantiles(self):
        cell = self.cell("quantiles", [float(x) for x in range(100, 0, -1)])
        self.assertEqual([cell.quantile(Fraction(q)) for q in ("0", "0.07", "0.5", "0.501", "1")],
                         [1, 7, 50, 51, 100])

    def test_null_and_empty(self):
        self.assertEqual(self.cell("unique", ["", "a", "a"], "string").value(), 1)
        self.assertEqual(self.cell("top", ["", "a", ""], "string").weights, {"a": 1})
        self.assertEqual(self.cell("unique", [], "string").value(), 0)
        self.assertIsNone(self.cell("sum", []).value())


if __name__ == "__main__":
    unittest.main()
