"""The oracle of time-abuse: makes events of many files of which some lie about time, and counts every window by itself.

    time_abuse.py make FOLDER SEED EVENTS     writes s00.ndjson ... and expected.json
    time_abuse.py judge FOLDER                reads report.out, windows.out

Most files tell times in order, with days out of order, clocks that were turned and leap seconds; one is poison: far futures, far pasts,
other units, the ends of the range; one falls silent. With `ahead` no event from the future moves the clock of its file, and
none of another file. So every good event is in time, and counts in its window; the poison counts where its own time lies, or as bad when that
is none.
"""

import json
import random
import sys

from counts import Verdict, instant, number

BEGIN = 1_700_000_000
FILES = 20
PANE = 60
AHEAD = 3600
LATENESS = 5
# Event time reaches so many microseconds to either side of 1970 (docs/pipeline-file.md).
MICROS_MAX = 2**60
# So many good events a file begins with: it takes 32 that agree to set a clock.
AGREE = 64
YEAR_2500 = 16_725_225_600
POISON = [0, -1, 1, -86_400, -BEGIN, BEGIN * 1_000, BEGIN * 1_000_000, BEGIN * 1_000_000_000, YEAR_2500, YEAR_2500 * 1_000, 2**31 - 1, 2**31, 2**32,
          -(2**31) - 1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 253_402_300_799, 253_402_300_800, 9_223_372_036_854,
          9_223_372_036_855, -9_223_372_036_854, -9_223_372_036_855, -62_135_596_800, 10**30,
          1_152_921_504_606, 1_152_921_504_607, -1_152_921_504_606, -1_152_921_504_607]


def is_time(ts):
    return -MICROS_MAX <= ts * 1_000_000 <= MICROS_MAX


def make(folder, seed, events):
    draw = random.Random(seed)
    totals, windows, bad, read, poisoned = {}, {}, 0, 0, 0
    for number_of in range(FILES):
        name = f"s{number_of:02}"
        poison = number_of == 7
        # One file falls silent after a tenth of it.
        count = events // FILES // (10 if number_of == 11 else 1)
        with open(f"{folder}/{name}.ndjson", "w", encoding="utf-8") as file:
            for i in range(count):
                ts = BEGIN + i * 86_400 * 2 // (events // FILES) - draw.randrange(LATENESS)
                kind = "good"
                # Never two in a row that could agree on a false clock: they are far from one another.
                if poison and i > AGREE and i % 3 == 2:
                    ts, kind = POISON[(i // 3) % len(POISON)], "poison"
                    poisoned += 1
                read += 1
                file.write('{"ts":%d,"source":"%s","kind":"%s"}\n' % (ts, name, kind))
                if not is_time(ts):
                    bad += 1
                    continue
                totals[name + " " + kind] = totals.get(name + " " + kind, 0) + 1
                if kind == "good":
                    at = instant(ts - ts % PANE) + " " + name
                    windows[at] = windows.get(at, 0) + 1
    with open(f"{folder}/expected.json", "w", encoding="utf-8") as file:
        json.dump({"totals": totals, "windows": windows, "bad": bad, "read": read}, file)
    verdict = Verdict()
    verdict.figures = {"events": read, "events_of_poison": poisoned}
    verdict.print()


def judge(folder):
    verdict = Verdict()
    with open(f"{folder}/expected.json", encoding="utf-8") as file:
        expected = json.load(file)
    totals, counters = {}, {}
    with open(f"{folder}/report.out", encoding="utf-8") as file:
        for row in json.load(file):
            if row["metric"] == "sg.source":
                counters[row["by"]["reason"]] = number(row["value"])
            elif row["metric"] == "all":
                totals[row["by"]["source"] + " " + row["by"]["kind"]] = number(row["value"])
    verdict.compare("totals", expected["totals"], totals)
    windows = {}
    with open(f"{folder}/windows.out", encoding="utf-8") as file:
        for row in json.load(file):
            if row["metric"] == "good" and row["by"]["source"] is not None:
                at = row["start"] + " " + row["by"]["source"]
                windows[at] = windows.get(at, 0) + number(row["value"])
    verdict.compare("windows of the good ones", expected["windows"], windows)
    accepted = sum(expected["totals"].values())
    verdict.compare("counters", {"read": expected["read"], "accepted": accepted, "bad": expected["bad"]},
                    {key: counters.get(key, 0) for key in ("read", "accepted", "bad")})
    on_time = counters.get("on_time", 0)
    good = sum(count for key, count in expected["totals"].items() if key.endswith(" good"))
    if counters.get("late", 0) + counters.get("ahead", 0) + on_time != accepted:
        verdict.fail(f"late, ahead and on_time do not add up: {counters}")
    if on_time < good:
        verdict.fail(f"only {on_time} of {good} good events were in time: {counters}")
    if not counters.get("ahead"):
        verdict.fail("nothing was ahead: nothing was proven")
    verdict.add("events_ahead", counters.get("ahead", 0))
    verdict.add("events_late", counters.get("late", 0))
    verdict.print()


def main():
    what, folder, *rest = sys.argv[1:]
    make(folder, int(rest[0]), int(rest[1])) if what == "make" else judge(folder)


main()
