"""Spark reads our sketches and merges them with its own, and we read Spark's: `cargo xtask interop` runs it.

    python spark.py DIR COMMAND...

COMMAND starts `crates/sketch/examples/interop_files.rs`. Values are written to DIR, sketched there by us and here by Spark over a range
that overlaps ours, and both sides estimate what is in either. What is expected is counted from the values themselves.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from pyspark.sql import SparkSession

# Relative errors that neither side may pass: lg K 12 has 1.3 % (HLL of one stream) to 1.6 %, and these are fixed values.
ERROR = 0.05
# Slots that Spark makes room for; ours has 64.
ITEMS = 1000


def main():
    home, command = Path(sys.argv[1]), sys.argv[2:]
    started = time.monotonic()
    cases = [
        # A list, a set, registers; strings with an empty one and a null.
        Case("few", "string", range(0, 4), range(2, 6), ["", None]),
        Case("some", "string", range(0, 150), range(100, 300), ["", None]),
        Case("many", "string", range(0, 20_000), range(10_000, 30_000), ["", None]),
        Case("few", "bigint", range(0, 4), range(2, 6), [None]),
        Case("many", "bigint", range(-10_000, 10_000), range(0, 20_000), [None]),
        Case("few", "double", range(0, 4), range(2, 6), [None]),
        Case("many", "double", range(0, 20_000), range(10_000, 30_000), [None]),
        Skewed("hits", "string", 30),
        Skewed("hits", "bigint", 30),
        Skewed("purged", "string", 500),
    ]
    for case in cases:
        write_values(home / "values" / case.file, case.ours)
    run(command, "write", home)
    spark = start()
    print(f"Spark {spark.version} on Java {spark._jvm.System.getProperty('java.version')}")
    failures = []
    (home / "theirs").mkdir(exist_ok=True)
    for case in cases:
        for what, got, low, high in case.ask(spark, home):
            report(failures, case.file, what, got, low, high)
    for line in run(command, "read", home).splitlines():
        name, value, low, high, *item = line.split("\t")
        file, kind = name.rsplit(".", 1)
        case = next(case for case in cases if case.file == file)
        if kind == "top":
            truth = case.truth[case.parse(item[0])]
            report(failures, file, f"ours of Spark's top, {item[0]}", truth, float(low), float(high))
        elif kind == "kll":
            report(failures, file, "ours of Spark's kll, median", float(value), *case.median)
        else:
            exact = case.union
            report(failures, file, f"ours of Spark's {kind}", float(value), exact * (1 - ERROR), exact * (1 + ERROR))
            report(failures, file, f"bounds of ours of Spark's {kind}", exact, float(low), float(high))
    spark.stop()
    print(f"{time.monotonic() - started:.0f} s")
    if failures:
        sys.exit("interop: " + "\n         ".join(["not what was expected:", *failures]))


def report(failures, file, what, got, low, high):
    right = low <= got <= high
    expected = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    print(f"{'ok ' if right else 'NOT'} {file:14} {what:34} {got:>10.6g}  expected {expected}")
    if not right:
        failures.append(f"{file}, {what}: {got}, not {expected}")


def run(command, verb, home):
    return subprocess.run([*command, verb, str(home)], check=True, stdout=subprocess.PIPE, text=True).stdout


def start():
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "1",
        "spark.default.parallelism": "1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        # Many small queries: what is compiled for one is not worth it.
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.sql.adaptive.enabled": "false",
    }
    builder = SparkSession.builder.master("local[1]").appName("interop")
    for key, value in settings.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def write_values(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{chr(92) + 'N' if v is None else v}\n" for v in values), encoding="utf-8")


class Case:
    """Distinct values: a range of ours, one of Spark's, and what stands in both columns beside them."""

    def __init__(self, name, kind, ours, theirs, both):
        self.file, self.kind = f"{name}.{kind}", kind
        of = {"string": lambda i: f"user_{i}", "bigint": lambda i: i, "double": lambda i: i / 4}[kind]
        self.ours = [of(i) for i in ours] + both
        self.theirs = [of(i) for i in theirs] + both
        known = [set(values) - {"", None} for values in (self.ours, self.theirs)]
        self.single, self.union, self.both = len(known[0]), len(known[0] | known[1]), len(known[0] & known[1])
        self.exact = self.union < 1_000
        # Half of what both saw lies between these: KLL with k = 200 errs by 1.3 % of the rank, twice as much in a hundred.
        numbers = sorted(v for v in self.ours + self.theirs if v is not None) if kind != "string" else []
        self.median = tuple(numbers[int(q * (len(numbers) - 1))] for q in (0.47, 0.53)) if numbers else None

    def within(self, exact):
        return (exact, exact) if self.exact else (exact * (1 - ERROR), exact * (1 + ERROR))

    def ask(self, spark, home):
        # Spark's HLL takes no doubles.
        hlls = [] if self.kind == "double" else ["hll4", "hll6", "hll8"]
        images = {name: image(home, self.file, name) for name in [*hlls, "theta"]}
        if self.median:
            images["kll"] = image(home, self.file, "kll")
        spark.createDataFrame([(v,) for v in self.ours], f"v {self.kind}").createOrReplaceTempView("same")
        spark.createDataFrame([(v,) for v in self.theirs], f"v {self.kind}").createOrReplaceTempView("other")
        spark.createDataFrame([tuple(images.values())], ", ".join(f"{n} binary" for n in images)).createOrReplaceTempView("ours")
        aggregates = "theta_sketch_agg(v) t" + (", hll_sketch_agg(v) h" if hlls else "")
        if self.median:
            aggregates += f", kll_sketch_agg_{self.kind}(v) q"
        columns, expected = [], []

        def expect(what, expression, bounds):
            columns.append(f"cast({expression} as double)")
            expected.append((what, *bounds))

        for name in hlls:
            expect(f"{name}", f"hll_sketch_estimate({name})", self.within(self.single))
            expect(f"{name} with Spark's", f"hll_sketch_estimate(hll_union({name}, o.h))", self.within(self.union))
            # Of the same values nothing is new: not one register differs.
            same = f"hll_sketch_estimate(hll_union({name}, s.h)) - hll_sketch_estimate(hll_union(s.h, s.h))"
            expect(f"{name} with the same of Spark", same, (0, 0))
        expect("theta", "theta_sketch_estimate(theta)", self.within(self.single))
        expect("theta with Spark's", "theta_sketch_estimate(theta_union(theta, o.t))", self.within(self.union))
        both = self.within(self.both) if self.exact else (self.both * 0.92, self.both * 1.08)
        expect("theta in both", "theta_sketch_estimate(theta_intersection(theta, o.t))", both)
        same = "theta_sketch_estimate(theta_union(theta, s.t)) - theta_sketch_estimate(theta)"
        expect("theta with the same of Spark", same, (0, 0))
        if self.median:
            n = sum(v is not None for v in self.ours)
            expect("kll, number", f"kll_sketch_get_n_{self.kind}(kll)", (n, n))
            merged = f"kll_sketch_merge_{self.kind}(kll, o.q)"
            expect("kll, median with Spark's", f"kll_sketch_get_quantile_{self.kind}({merged}, 0.5D)", self.median)
        query = f"with s as (select {aggregates} from same), o as (select {aggregates} from other) "
        names = ", ".join(f"{expression} c{i}" for i, expression in enumerate(columns))
        row = spark.sql(f"{query} select {names}, o.* from ours, s, o").collect()[0]
        (home / "theirs" / f"{self.file}.theta").write_bytes(row["t"])
        if hlls:
            (home / "theirs" / f"{self.file}.hll").write_bytes(row["h"])
        if self.median:
            (home / "theirs" / f"{self.file}.kll").write_bytes(row["q"])
        for i, (what, low, high) in enumerate(expected):
            yield what, row[f"c{i}"], low, high


class Skewed:
    """Item i comes 2,000/(i + 1) times, on both sides; 64 slots of ours hold 48 items."""

    def __init__(self, name, kind, items):
        self.file, self.kind = f"{name}.{kind}", kind
        of = {"string": lambda i: f"item_{i}", "bigint": lambda i: i}[kind]
        self.parse = {"string": str, "bigint": int}[kind]
        self.ours = [of(i) for i in range(items) for _ in range(2000 // (i + 1))] + [None]
        self.truth = Counter({item: 2 * n for item, n in Counter(self.ours).items() if item is not None})
        self.exact = items <= 48

    def ask(self, spark, home):
        # Spark's state is the sketch and eight bytes with the number of nulls, within a struct.
        state = image(home, self.file, "top") + bytearray(8)
        ddl = {"string": "item string not null", "bigint": "item BIGINT NOT NULL"}[self.kind]
        spark.createDataFrame([(state,)], "state binary").createOrReplaceTempView("ours")
        spark.createDataFrame([(v,) for v in self.ours], f"v {self.kind}").createOrReplaceTempView("same")
        mine = f"named_struct('sketch', state, 'maxItemsTracked', {ITEMS}, 'itemDataType', cast(null as {self.kind}), 'itemDataTypeDDL', '{ddl}')"
        query = f"""
            with o as (select {mine} k from ours), s as (select approx_top_k_accumulate(v, {ITEMS}) k from same)
            select 'top' what, to_json(approx_top_k_estimate(k, 5)) top, null state from o
            union all
            select 'top with Spark''s', to_json(approx_top_k_estimate(k, 5)), null
            from (select approx_top_k_combine(k, {ITEMS}) k from (select k from o union all select k from s))
            union all
            select 'theirs', null, k.sketch from s"""
        for row in spark.sql(query).collect():
            if row["what"] == "theirs":
                # The nulls are Spark's own affair.
                (home / "theirs" / f"{self.file}.top").write_bytes(row["state"][:-8])
                continue
            share = 2 if row["what"] == "top" else 1
            named = [item for item in json.loads(row["top"]) if item["item"] is not None]
            for item in named:
                # Spark shows the upper bound: never less than the truth; what may be more is the offset, below 2N/L.
                truth = self.truth[item["item"]] // share
                more = 0 if self.exact else sum(self.truth.values()) // share * 2 / 48
                yield f"{row['what']}, {item['item']}", item["count"], truth, truth + more
            yield f"{row['what']}, items named", len(named), 4, 5


def image(home, file, kind):
    return bytearray((home / "ours" / f"{file}.{kind}").read_bytes())


if __name__ == "__main__":
    main()
