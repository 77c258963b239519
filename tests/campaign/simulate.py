"""Judges a trace of `streamgauge-simulate simulate --trace FILE`: what was answered against a count of the events.

It shares no code with the engine, nor with the count that the simulation makes for itself: clocks and verdicts are done anew
here after docs/CONCEPTS.md. Counts, sums, extremes and means by group and slice of time are compared where nothing gave way.

Usage: simulate.py TRACE
"""

import datetime
import json
import sys

FAR = 1 << 62


class Partition:
    def __init__(self):
        self.clock = None
        self.waiting = []
        self.beyond = []
        self.gone = False


class Source:
    """Clocks, verdicts, counters."""

    def __init__(self, time):
        self.time = time
        self.ahead = FAR if time is None or time["ahead_us"] is None else time["ahead_us"]
        self.partitions = {}
        self.taken = []
        self.counters = {"read": 0, "on_time": 0, "ahead": 0, "late": 0, "bad": 0, "late_dropped": 0, "late_quarantined": 0}

    def count(self, name):
        self.counters[name] += 1

    def piece(self, piece):
        for partition in piece["silent"]:
            self.goes(partition)
        partition = self.partitions.setdefault(piece["partition"], Partition())
        partition.gone = False
        for line in piece["lines"]:
            self.count("read")
            event = parsed(line, self.time is not None)
            if event is None:
                self.count("bad")
            elif self.time is None:
                self.count("on_time")
                self.taken.append(event)
            else:
                self.event(partition, event)

    def event(self, partition, event):
        if partition.clock is not None:
            self.judge(partition, event)
        elif self.time["ahead_us"] is None:
            partition.clock = event["us"]
            self.judge(partition, event)
        else:
            partition.waiting.append(event)
            clock = self.agreed(partition, event["us"])
            if clock is not None:
                self.begins(partition, clock)

    def begins(self, partition, clock):
        partition.clock, partition.beyond = clock, []
        waiting, partition.waiting = partition.waiting, []
        for event in waiting:
            self.judge(partition, event)

    def agreed(self, partition, us):
        partition.beyond = (partition.beyond + [us])[-self.time["agree"]:]
        if len(partition.beyond) < self.time["agree"] or max(partition.beyond) - min(partition.beyond) > self.ahead:
            return None
        smallest, partition.beyond = min(partition.beyond), []
        return smallest

    def judge(self, partition, event):
        us = event["us"]
        if us > partition.clock + self.ahead:
            self.count("ahead")
            self.taken.append(event)
            clock = self.agreed(partition, us)
            partition.clock = partition.clock if clock is None else clock
            return
        partition.beyond = []
        partition.clock = max(partition.clock, us)
        if us >= partition.clock - self.time["lateness_us"]:
            self.count("on_time")
            self.taken.append(event)
            return
        self.count("late")
        if self.time["later"] == "correct":
            self.taken.append(event)
        else:
            self.count("late_dropped" if self.time["later"] == "drop" else "late_quarantined")

    def goes(self, number):
        partition = self.partitions.setdefault(number, Partition())
        if partition.clock is None and partition.waiting:
            times = sorted(event["us"] for event in partition.waiting)
            median = times[(len(times) - 1) // 2]
            self.begins(partition, next(us for us in times if us + self.ahead >= median))
        partition.gone = True

    def end(self):
        for number in sorted(self.partitions):
            self.goes(number)


def parsed(line, timed):
    """An event, or nothing when a record is bad."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    value = record.get("v")
    if timed and "ts" not in record or not isinstance(value, int):
        return None
    return {"us": record.get("ts", 0) * 1000, "k": record["k"], "u": record["u"], "v": value}


def micros(text):
    if text is None:
        return None
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return round(moment.timestamp()) * 1_000_000


def truth(measure, events):
    values = [event["v"] for event in events]
    if measure == "Count":
        return len(values)
    if not values:
        return None
    if measure.startswith("Sum"):
        return sum(values)
    if measure.startswith("Min"):
        return min(values)
    if measure.startswith("Max"):
        return max(values)
    if measure.startswith("Avg"):
        return sum(values) / len(values)
    return False


def equal(told, wanted):
    if told is None or wanted is None:
        return told == wanted
    told = float(told)
    return abs(told - wanted) <= 1e-9 * max(1.0, abs(wanted))


def judge(head, source, answers):
    """What differs, and how many numbers were compared."""
    measures = {metric["name"]: metric for metric in head["metrics"]}
    compared, failures = 0, []
    for answer in answers:
        name, by = answer["metric"], answer["by"]
        if name == "sg.source":
            wanted = source.counters.get(by["reason"])
            if wanted is not None:
                compared += 1
                if float(answer["value"]) != wanted:
                    failures.append(f"{by['reason']} is {answer['value']}, counted {wanted}")
            continue
        metric = measures.get(name)
        if metric is None or answer.get("other"):
            continue
        start, end = micros(answer["start"]), micros(answer["end"])
        if not head["exact"] and (by or start is not None or not metric["total"]):
            continue
        events = [
            event
            for event in source.taken
            if all(event[key] == value for key, value in by.items())
            and (start is None or start <= event["us"] < end)
        ]
        wanted = truth(metric["measure"], events)
        if wanted is False:
            continue
        compared += 1
        if not equal(answer["value"], wanted):
            failures.append(f"{name} of {by} in {answer['start']}..{answer['end']} is {answer['value']}, counted {wanted}")
    return compared, failures


def main(path):
    seeds = compared = 0
    failures, head, source, answers = [], None, None, []
    with open(path, encoding="utf-8") as file:
        for line in file:
            told = json.loads(line)
            if "seed" in told:
                head, source, answers = told, Source(told["time"]), []
            elif "lines" in told:
                source.piece(told)
            elif "answer" in told:
                answers.append(told["answer"])
            else:
                source.end()
                count, wrong = judge(head, source, answers)
                failures += [f"seed {head['seed']}: {why}" for why in wrong]
                seeds, compared = seeds + 1, compared + count
    json.dump({"seeds": seeds, "compared": compared, "failures": failures[:10]}, sys.stdout)
    print()
    return 1 if failures or not compared else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
