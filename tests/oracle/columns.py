"""Which columns an event has: fields of the record, the exploded item, derived ones, expressions, verdicts.

Every argument, filter and weight of a metric becomes a column, named by the field or by the text of the
expression; whatever reads events then needs no expressions. `lay_out` is told a source and fills `fields` and `layout`.

Readings of the rules where words leave room: a derived column is computed though nothing uses it, so a row on which it
fails is bad; `sample` shows all that is declared or derived; an expression as a measure's argument that fails makes the
row bad like a derived column; a field used as a weight and otherwise must be declared.
"""

from dataclasses import dataclass, field

import expr
from errors import Unsupported, Wrong

KINDS = ("string", "int64", "float64", "bool")
CLF = ("host", "ident", "user", "time", "method", "path", "protocol", "request", "status", "bytes")
KNOWN_FIELDS = {"clf": CLF, "combined": CLF + ("referrer", "user_agent"), "lines": ("line",)}
NUMERIC = ("sum", "min", "max", "avg", "stddev", "quantiles", "histogram")


@dataclass
class Layout:
    """How rows grow: `item` makes a list of a record, `made` adds columns to an event; `later` are steps behind the
    clock, ("eval", program) or ("seen", key, filter or None), each adding columns in turn. `columns` maps the
    columns of events as they are read to kinds, `kinds` those behind all steps."""
    item: expr.Program | None = None
    made: expr.Program | None = None
    later: list = field(default_factory=list)
    columns: dict = field(default_factory=dict)
    kinds: dict = field(default_factory=dict)
    shown: list = field(default_factory=list)  # columns that a sample may show


def lay_out(source):
    """Again without the metrics that turn out to be beyond us, as their fields are not read then."""
    while True:
        try:
            return Plan(source).lay_out()
        except OneMetric as error:
            error.metric.unchecked = str(error)


class OneMetric(Unsupported):
    """Only this metric cannot be computed."""

    def __init__(self, metric, error):
        super().__init__(str(error))
        self.metric = metric


class Plan:
    """The names of a source and what they mean."""

    def __init__(self, source):
        self.source = source
        self.metrics = [metric for metric in source.metrics if not metric.unchecked]
        self.verdicts = {metric.name: metric for metric in self.metrics if metric.measure == "seen"}
        self.lost = {metric.name for metric in source.metrics if metric.unchecked and metric.measure == "seen"}
        self.item = source.explode[0] if source.explode else None
        self.reached = {}  # name -> names it is made of, itself included

    def lay_out(self):
        source = self.source
        for metric in self.metrics:
            lost = self.lost & set(self.reach(roots(metric)))
            if lost:
                raise OneMetric(metric, f"rests on {', '.join(lost)}")
        used = self.used()
        source.fields = {name: None for name in used if self.is_field(name)}
        self.choose_kinds(used)
        layout, kinds = Layout(), dict(source.fields)
        if source.explode:
            layout.item = expr.Program(kinds, [source.explode[1]])
            if layout.item.kinds != ["list"]:
                raise Wrong("explode of what is no list")
            kinds[self.item] = "string"
        derived = {name: self.inlined(expr.field(name)) for name in used if name in source.derive}
        nodes = derived | self.expressions(late=False)
        nodes = {name: node for name, node in nodes.items() if name not in kinds}
        if nodes:
            layout.made = self.program(kinds, nodes)
        layout.columns = dict(kinds)
        self.judge_later(layout, kinds)
        self.name_columns(kinds)
        layout.kinds, source.layout = kinds, layout
        layout.shown = [name for name in kinds if name in used and name not in self.verdicts]

    # -- names

    def is_field(self, name):
        return name not in self.source.derive and name not in self.verdicts and name != self.item

    def reach(self, names, above=()):
        """All names that these are made of, in the order of need; a circle is an error."""
        found = []
        for name in names:
            if name in above:
                raise Wrong(f"{name} is made of itself")
            if name not in self.reached:
                below = ()
                if name in self.source.derive:
                    below = self.source.derive[name].fields()
                elif name in self.verdicts:
                    below = roots(self.verdicts[name])
                self.reached[name] = self.reach(below, above + (name,)) + [name]
            found += self.reached[name]
        return list(dict.fromkeys(found))

    def used(self):
        names = [name for metric in self.metrics for name in roots(metric)] + list(self.source.derive)
        if any(metric.measure == "sample" for metric in self.metrics):
            names += [name for name in self.source.declared if self.is_field(name)]
            names += [self.item] if self.item else []
        time = self.source.time and self.source.time.path
        if time and not self.is_field(time):
            names.append(time)
        if self.source.explode:
            names += self.source.explode[1].fields()
        return self.reach(names)

    # -- kinds

    def choose_kinds(self, used):
        """Declared; else float64 where something computes with it, int64 as a weight, string elsewhere."""
        source, declared = self.source, self.source.declared
        computed, weights, plain = set(), set(), set()
        for metric in self.metrics:
            plain |= {name for group in metric.by for name in group}
            for node in filter(None, (metric.argument, metric.where, metric.weighs)):
                computed |= expr.computed(node)
                if node.op != "field":
                    plain |= set(node.fields())
            if metric.argument and metric.argument.op == "field":
                (computed if metric.measure in NUMERIC else plain).add(metric.argument.args[0])
            if metric.weighs and metric.weighs.op == "field":
                weights.add(metric.weighs.args[0])
        for node in [source.derive[name] for name in used if name in source.derive]:
            computed |= expr.computed(node)
            plain |= set(node.fields())
        for name in source.fields:
            known = declared.get(name)
            if known is None and name in weights and name in computed | plain:
                raise Wrong(f"{name} is a weight and something else: declare it")
            source.fields[name] = known or ("float64" if name in computed else "int64" if name in weights else "string")
            if source.fields[name] not in KINDS:
                raise Wrong(f"fields: {name} = {known!r}")
        self.check_names()

    def check_names(self):
        source, known = self.source, KNOWN_FIELDS.get(self.source.format)
        strange = [name for name in source.fields if known and name not in known]
        if strange:
            raise Wrong(f"{source.format} has no {', '.join(strange)}")
        twice = (set(source.derive) & set(self.verdicts)) | ({self.item} & (set(source.derive) | set(self.verdicts)))
        if twice - {None}:
            raise Wrong(f"{', '.join(twice - {None})} means two things")
        if any(name in self.verdicts for node in source.derive.values() for name in node.fields()):
            raise Wrong("derived columns that rest on verdicts")

    # -- expressions

    def inlined(self, node):
        """The expression with derived columns replaced by what they are made of."""
        while any(name in self.source.derive for name in node.fields()):
            node = expr.replaced(node, self.source.derive)
        return node

    def expressions(self, late, metrics=None):
        """{column: expression} of what is not simply a column; `late`: what rests on verdicts, or what does not."""
        found = {}
        for metric in metrics or self.metrics:
            for node in filter(None, (metric.argument, metric.where, metric.weighs)):
                rests = bool(set(self.reach(node.fields())) & set(self.verdicts))
                if node.op != "field" and rests == late:
                    found[expr.show(node)] = node if late else self.inlined(node)
        return found

    def program(self, kinds, nodes):
        """The program of new columns, whose kinds are added."""
        for name, node in nodes.items():
            try:
                expr.Program(kinds, [node])
            except Unsupported as error:
                owner = next((metric for metric in self.metrics for part in (metric.argument, metric.where,
                              metric.weighs) if part and expr.show(part) == name), None)
                raise OneMetric(owner, error) if owner else error from None
        made = expr.Program(kinds, list(nodes.values()))
        kinds |= dict(zip(nodes, made.kinds))
        return made

    def judge_later(self, layout, kinds):
        order = [self.verdicts[name] for name in self.reach(self.verdicts) if name in self.verdicts]
        for metric in order:
            self.add_late(layout, kinds, [metric])
            names = list(kinds)
            where = names.index(expr.column(metric.where)) if metric.where else None
            layout.later.append(("seen", names.index(expr.column(metric.argument)), where))
            kinds[metric.name] = "bool"
        if self.verdicts:
            self.add_late(layout, kinds, self.metrics)

    def add_late(self, layout, kinds, metrics):
        nodes = {name: node for name, node in self.expressions(True, metrics).items() if name not in kinds}
        if nodes:
            layout.later.append(("eval", self.program(kinds, nodes)))

    def name_columns(self, kinds):
        for metric in self.metrics:
            metric.path, metric.filter, metric.weight = (
                part and expr.column(part) for part in (metric.argument, metric.where, metric.weighs))
            below = [name for name in roots(metric) if name != metric.name]
            metric.verdict = next((name for name in self.reach(below) if name in self.verdicts), None)
            wrong = metric.filter and kinds[metric.filter] != "bool" and "its filter is no condition"
            if metric.measure in NUMERIC and kinds[metric.path] not in ("int64", "float64"):
                wrong = f"{metric.path} is not a number"
            if metric.weight and kinds[metric.weight] != "int64":
                wrong = f"{metric.weight} is no whole number"
            if wrong:
                raise Wrong(f"metric.{metric.name}: {wrong}")


def roots(metric):
    """Names that the metric itself mentions."""
    names = [name for group in metric.by for name in group]
    for node in (metric.argument, metric.where, metric.weighs):
        names += node.fields() if node else []
    return names
