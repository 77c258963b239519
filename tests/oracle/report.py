"""A report against the truth: which rows must be there, and which promises each row makes.

A row promises equality (`exact`), bounds that always hold (`proven`, `exact` guarantee) or bounds that hold
with a confidence (`probabilistic`). Probabilistic bounds are judged twice: no single answer may lie further
out than chance allows for the number of answers looked at, and of answers about nearly disjoint sets of
values no more may be outside than the confidence allows (binomial). Each test raises a false alarm in less
than one of 10,000 honest runs.

What rests on a verdict of `seen` is never exact; groups that only misjudged events make, or miss, are forgiven for
as many events as the size of the filters explains.
"""

import json
import math
import sys
from bisect import bisect_right
from collections import Counter, defaultdict
from fractions import Fraction
from statistics import NormalDist

import events
import truth

KEYS = ("metric", "by", "start", "end", "value", "low", "high", "confidence", "guarantee", "exact",
        "complete_to", "late", "sketch")
LISTS = {"top": "items", "freq": "items", "quantiles": "quantiles", "histogram": "buckets", "sample": "rows"}
GUARANTEES = ("exact", "proven", "probabilistic", "none")
PLAIN = ("count", "sum", "min", "max", "avg", "stddev")  # exact by nature: no sketch
ROUNDED = ("avg", "stddev")  # rounded from fractions: equal to within 1e-15 of the value
FALSE_ALARM = 1e-4
STRETCH_MIN = 2.1  # bounds of 95 % widened by this are those of 4 sigma
OVERLAP_MAX = 0.2  # sets that share more than this are no two trials
FAILURES_SHOWN = 8
DOUBTS = ("session_late", "session_cut")  # the oracle keeps all sessions
FREQ_ITEMS_MAX = 1_000  # freq lists no more, however many it has counted


class Unreadable(Exception):
    """The report is no JSON report."""


def load(path):
    """Rows of a report: `{"rows": [...]}`, an array, or one object a line."""
    if path == "-":
        text = sys.stdin.read()
    else:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    decoder = json.JSONDecoder(parse_constant=events.no_constant)
    try:
        found = decoder.decode(text)
    except ValueError:
        try:
            found = [decoder.decode(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise Unreadable(f"neither JSON nor lines of JSON: {error}") from None
    if isinstance(found, dict):
        found = found["rows"] if "rows" in found else [found]
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise Unreadable("rows that are no objects")
    return found


def check(answers, rows, out):
    """Judges all rows, writes one line a metric, returns the exit code."""
    judge = Judge(answers)
    for row in rows:
        judge.take(row)
    judge.missing()
    judge.chances()
    return judge.tell(out)


class Tally:
    """What was found about one metric."""

    def __init__(self):
        self.rows, self.estimates, self.outside, self.unbounded = 0, 0, 0, 0
        self.worst, self.failures = 0.0, []


class Judge:
    """Takes row after row, then says what is missing and whether chance explains the rest."""

    def __init__(self, answers):
        self.answers = answers
        self.tallies = {name: Tally() for name in list(answers.metrics) + ["sg.source"]}
        self.seen, self.counted = set(), {}
        self.groups = defaultdict(set)  # (metric, paths) -> groups reported, where they are crowded
        self.far = []  # (metric, where, stretch needed, confidence) of answers outside probabilistic bounds
        self.trials = defaultdict(list)  # (path, confidence) -> [(inside, set of values or None)]
        self.probabilistic = 0

    # -- rows

    def take(self, row):
        name = row.get("metric")
        if name == "sg.source":
            return self.take_counter(row)
        if isinstance(name, str) and name.startswith("sg."):
            return None
        metric = self.answers.metrics.get(name)
        if metric is None:
            tally = self.tallies.setdefault(str(name), Tally())
            return tally.failures.append("no such metric in the pipeline")
        if metric.unchecked:
            return None
        tally = self.tallies[name]
        tally.rows += 1
        lost = [key for key in KEYS if key not in row]
        if lost:
            return tally.failures.append(f"row without {', '.join(lost)}: {brief(row)}")
        if row.get("other") is True:
            if not any(crowd[0] == name for crowd in self.answers.crowded):
                tally.failures.append(f"others, though no group is too many: {brief(row)}")
            return None
        key = self.key_of(row, metric)
        cell = self.answers.cells.get(key)
        if cell is None and metric.verdict and self.may_be(key):
            cell = truth.Cell(metric, self.answers.kinds.get((name, metric.path)), 0, [])
        if cell is None:
            return tally.failures.append(f"row that should not be there: {brief(row)}")
        if key in self.seen:
            return tally.failures.append(f"row twice: {brief(row)}")
        self.seen.add(key)
        paths = frozenset(path for path, _ in key[1])
        if (name, paths) in self.answers.crowded:
            self.groups[name, paths].add(key[1])
        return self.take_answer(tally, row, cell)

    def key_of(self, row, metric):
        """The row's key as `Answers.cells` has it; None where it cannot be one."""
        if not isinstance(row["by"], dict):
            return None
        by = []
        for path, value in sorted(row["by"].items()):
            kind = self.answers.kinds.get((metric.name, path))
            by.append((path, typed(kind, value)))
        start, end = (micros(row[name]) for name in ("start", "end"))
        return metric.name, tuple(by), start, end

    def may_be(self, key):
        """Whether misjudged events may have made a group: its fields and window are those of some other."""
        paths = {path for path, _ in key[1]}
        grouped = any(paths == set(by) for by in self.answers.metrics[key[0]].by)
        typed_well = not any(isinstance(value, tuple) for _, value in key[1])
        windows = {(found[2], found[3]) for found in self.answers.cells}
        return grouped and typed_well and (key[2], key[3]) in windows

    def take_counter(self, row):
        by = row.get("by") or {}
        key, tally = (by.get("source"), by.get("reason")), self.tallies["sg.source"]
        tally.rows += 1
        if key in self.counted:
            tally.failures.append(f"row twice: {brief(row)}")
        self.counted[key] = row.get("value")
        expected = self.answers.counters.get(key)
        if key[0] not in {source for source, _ in self.answers.counters}:
            tally.failures.append(f"no such source: {brief(row)}")
        elif key[1] in DOUBTS and any(metric.gap for metric in self.answers.metrics.values()):
            pass  # what did not fit: the bounds must hold all the same
        elif expected is None and number(row.get("value")) != 0:
            tally.failures.append(f"{key[1]} = {row.get('value')}: a reason that the oracle does not know")
        elif expected is not None and number(row.get("value")) != expected:
            tally.failures.append(f"{key[0]} {key[1]} = {row.get('value')}, truth {expected}")

    def take_answer(self, tally, row, cell):
        where, metric = place(row), cell.metric
        if row["guarantee"] not in GUARANTEES or not isinstance(row["exact"], bool):
            return tally.failures.append(f"{where}: guarantee {row['guarantee']!r}, exact {row['exact']!r}")
        confidence = number(row["confidence"])
        chancy = row["guarantee"] == "probabilistic" and not row["exact"]
        if chancy and not (isinstance(confidence, Fraction) and 0 < confidence < 1):
            return tally.failures.append(f"{where}: probabilistic with confidence {row['confidence']!r}")
        if number(row["late"]) != self.answers.late[metric.name]:
            tally.failures.append(f"{where}: late {row['late']}, truth {self.answers.late[metric.name]}")
        if micros(row["complete_to"]) == "no time":
            tally.failures.append(f"{where}: complete_to {row['complete_to']!r} is no time")
        if metric.verdict and row["exact"]:
            tally.failures.append(f"{where}: exact, though it rests on {metric.verdict}")
        if metric.measure in PLAIN and not metric.verdict and row["sketch"] is not None:
            tally.failures.append(f"{where}: sketch {row['sketch']!r} of a {metric.measure}")
        listed = LISTS.get(metric.measure)
        if listed is None:
            values = cell.distinct if metric.measure in ("unique", "audience") else None
            return self.estimate(tally, where, row, row, cell.value(),
                                 trial=None if values is None else (values,))
        if row["value"] is not None:
            tally.failures.append(f"{where}: value {row['value']!r} of a list measure")
        if not isinstance(row.get(listed), list) or not all(isinstance(item, dict) for item in row[listed]):
            return tally.failures.append(f"{where}: no {listed}")
        return getattr(self, "take_" + listed)(tally, where, row, cell)

    # -- one number

    def estimate(self, tally, where, row, answer, truth, trial=None):
        """One number with its bounds, under the promises of its row; a `trial` counts for the share."""
        value, low, high = (number(answer.get(name)) for name in ("value", "low", "high"))
        tally.estimates += 1
        if high is None and low is not None and self.answers.metrics[row["metric"]].gap:
            high = math.inf  # of sessions that were cut nobody knows how long they were
        if truth is None or value is None:
            if truth is not None or value is not None or low is not None or high is not None:
                tally.failures.append(f"{where}: {shown(answer)}, truth {truth}")
            return
        if isinstance(value, Unreadable):
            tally.failures.append(f"{where}: {shown(answer)} is no number")
            return
        true = Fraction(truth)
        rounded = self.answers.metrics[row["metric"]].measure in ROUNDED
        slack = abs(true) * Fraction(1, 10**15) if rounded else 0
        tally.worst = max(tally.worst, relative_error(value, true))
        if row["exact"] and abs(value - true) > slack:
            tally.failures.append(f"{where}: exact, but {shown(answer)}, truth {truth}")
            return
        if row["guarantee"] == "none" and not row["exact"]:
            tally.unbounded += 1
            return
        bounded = isinstance(low, (Fraction, float)) and isinstance(high, (Fraction, float))
        if not bounded or not low <= value <= high:
            tally.failures.append(f"{where}: not low <= value <= high: {shown(answer)}")
            return
        inside = low - slack <= true <= high + slack
        if row["guarantee"] == "probabilistic" and not row["exact"]:
            self.chance(tally, where, row, (value, low, high, true), inside, trial)
        elif not inside:
            text = f"{where}: {row['guarantee']} bounds broken: {shown(answer)}, truth {truth}"
            tally.failures.append(text)

    def chance(self, tally, where, row, numbers, inside, trial):
        """Remembers an answer that may be outside its bounds now and then."""
        value, low, high, true = numbers
        metric, confidence = self.answers.metrics[row["metric"]], float(row["confidence"])
        self.probabilistic += 1
        if not inside:
            tally.outside += 1
            room = high - value if true > high else value - low
            stretch = float(abs(true - value) / room) if room else math.inf
            self.far.append((metric.name, where, stretch, confidence))
        if trial is not None and fresh(row):
            self.trials[metric.path, confidence].append((inside, trial[0]))

    # -- lists

    def take_items(self, tally, where, row, cell):
        """top and freq: each item's bounds, no item twice, none missing that is too heavy to be missed."""
        items, weights = row["items"], cell.weights
        found = [typed(cell.kind, item.get("item")) for item in items]
        if len(set(found)) != len(found):
            tally.failures.append(f"{where}: an item twice")
        values = [number(item.get("value")) for item in items]
        if not all(isinstance(value, Fraction) for value in values):
            tally.failures.append(f"{where}: items without a value")
            return
        if cell.metric.measure == "top":
            if len(items) > cell.metric.k:
                tally.failures.append(f"{where}: {len(items)} items, asked for {cell.metric.k}")
            if values != sorted(values, reverse=True):
                tally.failures.append(f"{where}: items are not in order")
        chosen = tally.rows % len(items) if items else None
        for at, (item, name) in enumerate(zip(items, found)):
            self.estimate(tally, f"{where} item {item.get('item')!r}", row, item, weights.get(name, 0),
                          trial=(None,) if at == chosen else None)
        self.left_out(tally, where, row, cell, (items, found, values))

    def left_out(self, tally, where, row, cell, listed):
        """Items that had to be listed. A weight may exceed its estimate by the widest bounds told."""
        items, found, values = listed
        weights, top = cell.weights, cell.metric.measure == "top"
        most = cell.metric.k if top else FREQ_ITEMS_MAX
        wanted = min(most, len(weights))
        if row["exact"]:
            weighing = sum(value != 0 for value in values) if cell.metric.weight else len(items)
            if weighing != wanted:
                tally.failures.append(f"{where}: exact, but {len(items)} items of {wanted}")
            limit = min(values, default=0)
        else:
            numbers = [(number(item.get("low")), number(item.get("high"))) for item in items]
            widths = [high - low for low, high in numbers
                      if isinstance(low, Fraction) and isinstance(high, Fraction)]
            full = not top or len(items) >= most
            limit = (min(values, default=0) if full else 0) + max(widths, default=0)
        absent = weights.keys() - set(found)
        heaviest = max(((weights[item], repr(item)) for item in absent), default=None)
        if heaviest and heaviest[0] > limit:
            text = f"{where}: {heaviest[1]} is missing, weight {heaviest[0]} > {float(limit):g}"
            tally.failures.append(text)

    def take_quantiles(self, tally, where, row, cell):
        answers = row["quantiles"]
        asked = [float(q) for q in cell.metric.qs]
        if [number(answer.get("q")) for answer in answers] != asked:
            given = [answer.get("q") for answer in answers]
            tally.failures.append(f"{where}: quantiles {given}, asked for {asked}")
            return
        for at, (q, answer) in enumerate(zip(cell.metric.qs, answers)):
            self.estimate(tally, f"{where} q {float(q):g}", row, answer, cell.quantile(q),
                          trial=(None,) if at == tally.rows % len(answers) else None)

    def take_buckets(self, tally, where, row, cell):
        """Cumulative counts must be equal; only empty powers of two are left out."""
        answers = row["buckets"]
        edges = [number(answer.get("le")) for answer in answers]
        if not edges or edges[-1] != math.inf or not all(isinstance(edge, Fraction) for edge in edges[:-1]) \
                or any(a >= b for a, b in zip(edges, edges[1:])):
            tally.failures.append(f"{where}: bounds that do not ascend to +Inf")
            return
        if cell.metric.bounds and [float(edge) for edge in edges[:-1]] != cell.metric.bounds:
            given = [float(edge) for edge in edges]
            tally.failures.append(f"{where}: bounds {given}, asked for {cell.metric.bounds}")
        counts = [number(answer.get("count")) for answer in answers]
        tally.estimates += len(counts)
        for edge, count in zip(edges, counts):
            true = bisect_right(cell.ordered, edge)
            if count != true and not cell.metric.verdict:
                tally.failures.append(f"{where}: count {count} at le {float(edge):g}, truth {true}")
        pairs = zip(edges[:-1], edges[1:-1], counts)
        if not cell.metric.bounds and any(0 < a * 2 < b and bisect_right(cell.ordered, b / 2) != count
                                          for a, b, count in pairs):
            tally.failures.append(f"{where}: values in buckets wider than a power of two")

    def take_rows(self, tally, where, row, cell):
        """sample: as many as asked for or as there are, each an event, none more often than it occurs."""
        rows, wanted = row["rows"], min(cell.metric.k, cell.count)
        shown, time, columns = self.answers.samples[cell.metric.name]
        tally.estimates += len(rows)
        if len(rows) != wanted:
            tally.failures.append(f"{where}: {len(rows)} rows, asked for {wanted}")
        counts = {}  # how often each choice of fields occurs in the cell
        for found in rows:
            known = {name: value for name, value in found.items() if name in shown}
            strange = set(found) - set(shown) - {time} - set(self.answers.metrics)
            if strange:
                tally.failures.append(f"{where}: sample with {', '.join(sorted(strange))}")
            names = tuple(sorted(known))
            if names not in counts:
                places = [columns.index(name) for name in names]
                counts[names] = Counter(tuple([event[at] for at in places]) for event in cell.values)
            kinds = self.answers.kinds
            event = tuple(typed(kinds[cell.metric.name, name], known[name]) for name in names)
            counts[names][event] -= 1
            if counts[names][event] < 0:
                tally.failures.append(f"{where}: no such event, or not so often: {json.dumps(known)}")

    # -- at the end

    def missing(self):
        forgiven = Counter()
        for key, cell in self.answers.cells.items():
            crowd = (key[0], frozenset(path for path, _ in key[1]))
            if key not in self.seen and crowd not in self.answers.crowded:
                if cell.metric.verdict and (key[1] or key[2] is not None):
                    forgiven[key[0]] += cell.count
                    if forgiven[key[0]] <= self.answers.misjudged[key[0]]:
                        continue
                by, start = dict(key[1]), events.write_time(key[2])
                text = f"no row for {by} {start or ''}, which has {cell.count} events"
                self.tallies[key[0]].failures.append(text)
        for crowd in self.answers.crowded:
            kept, limit = len(self.groups[crowd]), self.answers.metrics[crowd[0]].groups_max
            if not 0 < kept <= limit:
                text = f"by {sorted(crowd[1])}: {kept} groups apart, limit {limit}"
                self.tallies[crowd[0]].failures.append(text)
        for (source, reason), expected in self.answers.counters.items():
            if (source, reason) not in self.counted and expected:
                self.tallies["sg.source"].failures.append(f"{source} {reason} is missing, truth {expected}")

    def chances(self):
        """Whether chance explains the answers outside probabilistic bounds."""
        for name, where, stretch, confidence in self.far:
            limit = stretch_max(self.probabilistic, confidence)
            if stretch > limit:
                text = f"{stretch:.2f} times as far out as the {confidence:.0%} bounds, limit {limit:.2f}"
                self.tallies[name].failures.append(f"{where}: {text}")
        for (path, confidence), trials in self.trials.items():
            n, outside = independent(trials)
            if binomial_tail(n, outside, 1 - confidence) < FALSE_ALARM:
                text = f"{path}: {outside} of {n} unrelated answers outside their {confidence:.0%} bounds"
                for name, metric in self.answers.metrics.items():
                    if metric.path == path and self.tallies[name].outside:
                        self.tallies[name].failures.append(text)

    def tell(self, out):
        """One line a metric, failures below it. Returns the exit code."""
        width = max(map(len, self.tallies))
        unchecked = [metric for metric in self.answers.metrics.values() if metric.unchecked]
        failed = False
        for name, tally in self.tallies.items():
            metric = self.answers.metrics.get(name)
            if metric and metric.unchecked:
                print(f"{name:<{width}}  NOT CHECKED: {metric.unchecked}", file=out)
                continue
            failed = failed or bool(tally.failures)
            notes = f"  {tally.outside} of {tally.estimates} outside" if tally.outside else ""
            notes += f"  {tally.unbounded} without guarantee" if tally.unbounded else ""
            print(f"{name:<{width}}  rows {tally.rows:>6}  worst error {tally.worst:>9.3%}"
                  f"  {'FAIL' if tally.failures else 'OK'}{notes}", file=out)
            for failure in tally.failures[:FAILURES_SHOWN]:
                print(f"    {failure}", file=out)
            if len(tally.failures) > FAILURES_SHOWN:
                print(f"    ... and {len(tally.failures) - FAILURES_SHOWN} more", file=out)
        return 1 if failed else 3 if unchecked else 0


def number(value):
    """A number of the report as a fraction (infinities as floats); None for null, Unreadable for the rest."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return Unreadable(repr(value))
    if isinstance(value, str) and value.lower() in ("+inf", "inf", "-inf"):
        return float(value)
    try:
        return Fraction(value)
    except (ValueError, OverflowError):
        return Unreadable(repr(value))


def relative_error(value, true):
    if true:
        return float(abs(value - true) / abs(true))
    return math.inf if value else 0.0


def typed(kind, value):
    """A value of the report as the truth holds it; a value of another type equals no truth."""
    if value is None:
        return None
    if kind == "int64" and isinstance(value, str) and value.lstrip("-").isdigit():
        return int(value)
    fits = {"string": str, "bool": bool, "int64": int, "float64": (int, float)}.get(kind, ())
    if not isinstance(value, fits) or (kind != "bool" and isinstance(value, bool)):
        return "other type", repr(value)
    return float(value) if kind == "float64" else value


def micros(text):
    """A time of the report; None for null, "no time" for what is neither."""
    if text is None:
        return None
    time = events.rfc3339_time(text, {})
    return "no time" if time is None else time


def brief(row):
    told = {key: row.get(key) for key in ("metric", "by", "start", "end", "value")}
    return json.dumps(told, ensure_ascii=False)


def place(row):
    return json.dumps(row["by"], ensure_ascii=False) + (f" {row['start']}" if row["start"] else "")


def shown(answer):
    return f"value {answer.get('value')} in [{answer.get('low')}, {answer.get('high')}]"


def fresh(row):
    """Whether a row is a trial: a total, or of sliding windows those that do not overlap."""
    start, end = micros(row["start"]), micros(row["end"])
    return start is None or start % (end - start) == 0


def independent(trials):
    """(number, misses) of the trials about nearly disjoint sets; small sets first, so that many remain."""
    n = outside = 0
    used = set()
    for inside, values in sorted(trials, key=lambda trial: len(trial[1]) if trial[1] else 0):
        if values is not None:
            if len(values & used) > OVERLAP_MAX * len(values):
                continue
            used |= values
        n += 1
        outside += not inside
    return n, outside


def stretch_max(n, confidence):
    """By how much bounds may be missed when n answers are looked at, in units of their own width."""
    normal = NormalDist()
    sigmas = normal.inv_cdf(1 - FALSE_ALARM / (2 * max(n, 1)))
    return max(STRETCH_MIN, sigmas / normal.inv_cdf((1 + confidence) / 2))


def binomial_tail(n, k, p):
    """P(at least k of n), each with probability p."""
    if k == 0:
        return 1.0
    logs = (math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * math.log(p)
            + (n - i) * math.log1p(-p) for i in range(k, n + 1))
    return math.fsum(map(math.exp, logs))
