"""What is true: every answer of a pipeline, computed from all its events with integers and fractions.

Keeps every value, so memory grows with the file. `compute` folds the events, `Cell` answers for one
(metric, group, window). Knows nothing of reports.

Readings of the rules where words leave room: `late` counts every event behind the watermark whatever is
done with it, and `too_late` those of the corrected ones that no level of the file's ladder keeps;
`accepted` counts all that enter the total; without event time every event is on time; NaN and infinity
enter no measure; the deviation of fewer than two values is null; a group stands in the answer if an event
of it was folded, also when the measured field was missing; an event that a filter keeps out is not folded, so a
group or window of nothing else is not reported; an item of weight 0 is none; a negative weight counts once a metric,
and only where there is an item; the empty text is no item (`unique`, `audience`, `top`, `freq`) and no key of `seen`,
whose verdict is null; verdicts are given in the order of the files; the empty text has no sessions either, and what is
late and was let in belongs to them as if it had come in time.
"""

import itertools
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cached_property

import clock
import events
from errors import Unsupported

COUNTERS = ("read", "accepted", "on_time", "late", "ahead", "too_late", "late_dropped", "late_quarantined")
REASONS = ("json", "utf8", "columns", "line", "type", "derive", "time", "too_long")


class Cell:
    """All values of one metric, group and window."""

    def __init__(self, metric, kind, count, values):
        self.metric, self.kind, self.count = metric, kind, count
        if kind == "float64" and not metric.weight:
            values = [value for value in values if math.isfinite(value)]
        self.values = values

    def value(self):
        """The number of the answer; None where there is none, and for list measures."""
        name, values = self.metric.measure, self.values
        if name == "count":
            return self.count
        if name in ("unique", "audience", "seen"):
            return len(self.distinct)
        if not values or name in ("top", "freq", "quantiles", "histogram", "sample"):
            return None
        if name in ("min", "max"):
            return min(values) if name == "min" else max(values)
        if name == "sum":
            return sum(values) if self.kind == "int64" else math.fsum(values)
        if name == "avg":
            return float(exact_sum(values) / len(values))
        return sample_deviation(values)

    @cached_property
    def distinct(self):
        """Distinct values that are no empty strings."""
        return set(self.values) - {""}

    @cached_property
    def weights(self):
        """How often each value occurs, or how much it weighs."""
        if not self.metric.weight:
            return Counter(value for value in self.values if value != "")
        found = Counter()
        for value, weight in self.values:
            if weight > 0 and value != "" and not (isinstance(value, float) and not math.isfinite(value)):
                found[value] += weight
        return found

    @cached_property
    def ordered(self):
        return sorted(self.values)

    def quantile(self, q):
        """Smallest x with at least ceil(q n) values <= x."""
        n = len(self.values)
        return self.ordered[min(max(math.ceil(q * n), 1), n) - 1] if n else None


def exact_sum(values, power=1):
    """The sum of the values (or of their squares) as a fraction, however large or small they are."""
    if all(value.is_integer() if isinstance(value, float) else True for value in values):
        return Fraction(sum(int(value) ** power for value in values))
    by_exponent = defaultdict(int)
    for value in values:
        mantissa, exponent = math.frexp(value)
        by_exponent[exponent] += int(mantissa * 2**53) ** power
    scaled = (total * Fraction(2) ** (power * (exponent - 53)) for exponent, total in by_exponent.items())
    return sum(scaled, Fraction(0))


def sample_deviation(values):
    n = len(values)
    if n < 2:
        return None
    variance = (exact_sum(values, 2) - exact_sum(values) ** 2 / n) / (n - 1)
    with localcontext() as context:
        context.prec = 60
        return float((Decimal(variance.numerator) / Decimal(variance.denominator)).sqrt())


@dataclass
class Answers:
    """Cells by (metric, sorted tuple of (path, value), start, end); counters by (source, reason)."""
    cells: dict = field(default_factory=dict)
    crowded: set = field(default_factory=set)  # (metric, paths) with more groups than are kept apart
    counters: dict = field(default_factory=dict)
    kinds: dict = field(default_factory=dict)  # (metric, path) -> kind
    metrics: dict = field(default_factory=dict)
    late: dict = field(default_factory=dict)  # metric -> late events of its source
    samples: dict = field(default_factory=dict)  # metric -> (columns it may show, field of time, all columns)
    misjudged: dict = field(default_factory=dict)  # metric -> most events that verdicts may get wrong


def compute(pipeline, every=None, window=None):
    """All answers to the question: totals, or windows of `window` every `every` (microseconds)."""
    answers = Answers()
    for source in pipeline.sources:
        ladders = [metric.levels or pipeline.levels for metric in source.metrics if not metric.forever]
        levels = [level for ladder in ladders for level in ladder] or pipeline.levels
        rows, counters, watermark = accept(source, levels, every is not None)
        rows = grown(source, rows)
        kinds = source.layout.kinds
        for metric in source.metrics:
            if metric.weight and not metric.unchecked:
                counters["weight_negative"] += negative_weights(kinds, metric, rows)
        counters = {reason: n for reason, n in counters.items() if n or reason in COUNTERS + REASONS}
        answers.counters |= {(source.name, reason): n for reason, n in counters.items()}
        for metric in source.metrics:
            answers.metrics[metric.name] = metric
            answers.late[metric.name] = counters["late"]
            if metric.unchecked:
                continue
            answers.kinds |= {(metric.name, path): kind for path, kind in kinds.items()}
            answers.samples[metric.name] = source.layout.shown, source.time and source.time.path, list(kinds)
            if metric.verdict:
                answers.misjudged[metric.name] = misjudged(source, len(rows))
            if metric.measure == "session":
                found = sessions(source.layout.kinds, metric, rows)
                fold_sessions(answers, source, metric, found, every and (every, window),
                              (watermark, metric.levels or pipeline.levels))
                continue
            for paths in metric.by:
                if every is None or metric.forever:
                    fold_totals(answers, source, metric, paths, rows)
                else:
                    kept = watermark, metric.levels or pipeline.levels
                    fold_windows(answers, source, metric, paths, rows, (every, window), kept)
    return answers


def accept(source, levels, windowed):
    """([(time, values, only total)], counters, final watermark) of a source: read, then judge, by file."""
    rows, counters, watermarks = [], Counter({name: 0 for name in COUNTERS + REASONS}), []
    numbers = itertools.count()
    for path in source.paths:
        good = []
        for reason, time, values in events.read(source, path, numbers):
            counters["read"] += 1
            if reason:
                counters[reason] += 1
            else:
                good.append((time, values))
        if source.time is None:
            counters["on_time"] += len(good)
            rows += [(0, values, False) for _, values in good]
            continue
        verdicts, watermark = clock.judge([time for time, _ in good], source.time)
        watermarks += [] if watermark is None else [watermark]
        for (time, values), (verdict, at) in zip(good, verdicts):
            counters[verdict] += 1
            only_total = verdict == clock.LATE and not clock.retained(time, at, levels)
            if verdict == clock.LATE and source.time.later != "correct":
                counters["late_dropped" if source.time.later == "drop" else "late_quarantined"] += 1
                continue
            counters["too_late"] += only_total
            rows.append((time, values, only_total))
    counters["accepted"] = len(rows)
    if windowed and source.time is None:
        raise Unsupported(f"source.{source.name} has no time, so there are no windows")
    last = max(watermarks, default=None)
    if len(source.paths) > 1 and source.time:
        if not all(clock.retained(time, last, levels) for time, _, _ in rows):
            raise Unsupported(f"source.{source.name}: which panes of several files are kept is not defined")
    return rows, counters, last


def grown(source, rows):
    """The rows with the columns behind the clock: verdicts, and what is made of them."""
    for step in source.layout.later:
        if step[0] == "eval":
            more = [step[1].run(values) for _, values, _ in rows]
            if None in more:
                raise Unsupported(f"source.{source.name}: {step[1].names} fails")
        else:
            more = verdicts([values for _, values, _ in rows], step[1], step[2])
        rows = [(time, values + extra, only_total) for (time, values, only_total), extra in zip(rows, more)]
    return rows


def verdicts(rows, key, where):
    """(was the key there before,) for each row; it is put there where the filter holds."""
    known, found = set(), []
    for values in rows:
        item = None if values[key] == "" else values[key]
        found.append((None if item is None else item in known,))
        if item is not None and (where is None or values[where]):
            known.add(item)
    return found


def misjudged(source, n):
    """More false positives than this among n events are no chance (6 sigma), if the filters are as wide as they say."""
    expected = sum(n * metric.size[1] for metric in source.metrics if metric.measure == "seen" and metric.size)
    return expected + 6 * math.sqrt(expected) + 6


def sessions(kinds, metric, rows):
    """(time of the last event, seconds, events) of each session: all events of a key in the order of time, cut where the
    next one comes more than `gap` later."""
    place, _, where = places(kinds, metric)
    times = defaultdict(list)
    for time, values, _ in rows:
        if values[place] not in (None, "") and (where is None or values[where] is True):
            times[values[place]].append(time)
    found = []
    for of_key in times.values():
        of_key.sort()
        ends = [at for at, (a, b) in enumerate(zip(of_key, of_key[1:])) if b - a > metric.gap] + [len(of_key) - 1]
        start = 0
        for end in ends:
            seconds = (of_key[end] - of_key[start]) / 10**6
            found.append((of_key[end], seconds, end + 1 - start))
            start = end + 1
    return found


def fold_sessions(answers, source, metric, found, question, kept):
    """Their number, and as metrics of their own the quantiles of how long they took and of how many events they had; each in
    the pane of its last event. What is kept is reckoned from `gap` before the watermark."""
    qs = [Fraction(q) for q in ("0.5", "0.9", "0.95", "0.99", "0.999")]
    watermark, levels = kept
    parts = ((metric.name, "count", 1), (metric.name + ".duration_s", "quantiles", 1),
             (metric.name + ".events", "quantiles", 2))
    for name, measure, place in parts:
        part = replace(metric, name=name, measure=measure, qs=qs)
        answers.metrics[name], answers.late[name] = part, answers.late[metric.name]
        cells = defaultdict(list)
        if question is None:
            cells[None, None] = [session[place] for session in found]
        else:
            every, window = question
            if not levels or every % levels[0][0] or window % levels[0][0]:
                raise Unsupported("windows that are no whole number of panes")
            for session in found:
                pane = session[0] - session[0] % math.gcd(every, window)
                for start in starts_of(pane, every, window):
                    if clock.window_retained(start, start + window, watermark - metric.gap, levels):
                        cells[start, start + window].append(session[place])
        for (start, end), values in cells.items():
            kind = "int64" if place == 2 else "float64"
            answers.cells[name, (), start, end] = Cell(part, kind, len(values), values)


def negative_weights(kinds, metric, rows):
    item, weight, where = places(kinds, metric)
    return sum(values[weight] is not None and values[weight] < 0 and values[item] is not None
               and (where is None or values[where] is True) for _, values, _ in rows)


def places(kinds, metric):
    """Where argument, weight and filter of a metric stand in a row; None for what it has not."""
    names = list(kinds)
    return [name and names.index(name) for name in (metric.path, metric.weight, metric.filter)]


def group_key(kinds, paths):
    """A function from values to the group: a sorted tuple of (path, value)."""
    if not paths:
        return lambda values: ()
    found = sorted((path, list(kinds).index(path)) for path in paths)
    return lambda values: tuple([(path, values[place]) for path, place in found])


def fold(source, metric, paths, rows, slot):
    """{slot: {group: [count, values]}}; `slot` maps a time to the pane it belongs to."""
    kinds = source.layout.kinds
    key = group_key(kinds, paths)
    place, weight, where = places(kinds, metric)
    folded = defaultdict(dict)
    for time, values, _ in rows:
        if where is not None and values[where] is not True:
            continue
        cells, group = folded[slot(time)], key(values)
        cell = cells.get(group)
        if cell is None:
            cell = cells[group] = [0, []]
        cell[0] += 1
        if place is None:
            if metric.measure == "sample":
                cell[1].append(values)
        elif values[place] is not None:
            if weight is None:
                cell[1].append(values[place])
            elif values[weight] is not None:
                cell[1].append((values[place], values[weight]))
    return folded


def fold_totals(answers, source, metric, paths, rows):
    cells = fold(source, metric, paths, rows, lambda _: None)[None]
    if not paths:
        cells.setdefault((), [0, []])  # the total stands in the answer even of an empty stream
    if len(cells) > metric.groups_max:
        answers.crowded.add((metric.name, frozenset(paths)))
    for group, (count, values) in cells.items():
        cell = Cell(metric, source.layout.kinds.get(metric.path), count, values)
        answers.cells[metric.name, group, None, None] = cell


def fold_windows(answers, source, metric, paths, rows, question, kept):
    """Folds panes of the greatest length common to the question, then merges them into the windows kept."""
    (every, window), (watermark, levels) = question, kept
    if not levels or every % levels[0][0] or window % levels[0][0]:
        raise Unsupported("windows that are no whole number of panes")
    step = math.gcd(every, window)
    panes = fold(source, metric, paths, [row for row in rows if not row[2]], lambda time: time - time % step)
    if len({key for cells in panes.values() for key in cells}) > metric.groups_max:
        answers.crowded.add((metric.name, frozenset(paths)))
    for start in sorted({start for pane in panes for start in starts_of(pane, every, window)}):
        if not clock.window_retained(start, start + window, watermark, levels):
            continue
        merged = defaultdict(lambda: [0, []])
        for pane in range(start, start + window, step):
            for group, (count, values) in panes.get(pane, {}).items():
                cell = merged[group]
                cell[0] += count
                cell[1] += values
        for group, (count, values) in merged.items():
            cell = Cell(metric, source.layout.kinds.get(metric.path), count, values)
            answers.cells[metric.name, group, start, start + window] = cell


def starts_of(pane, every, window):
    """Starts of the windows that hold a pane."""
    start = pane - pane % every
    while start + window > pane:
        yield start
        start -= every
