"""The oracle of sites: `sites.py HUB INPUT...` counts the inputs of all sites, and compares what the hub tells in the end."""

import json
import sys

from counts import PANE_SECONDS, Verdict, instant, report


def main():
    hub, inputs = sys.argv[1], sys.argv[2:]
    verdict = Verdict()
    totals, windows, read, bad = {}, {}, 0, 0
    for path in inputs:
        with open(path, encoding="utf-8") as file:
            for line in file:
                read += 1
                try:
                    event = json.loads(line)
                except ValueError:
                    bad += 1
                    continue
                start = instant(event["ts"] - event["ts"] % PANE_SECONDS)
                shop, n = (event["shop"],), event["n"]
                for metric, by, more in (("shops", (), 1), ("shops", shop, 1), ("sum", shop, n)):
                    totals[(metric, None, by)] = totals.get((metric, None, by), 0) + more
                    windows[(metric, start, by)] = windows.get((metric, start, by), 0) + more
                for by in ((), (event["user"],)):
                    totals[("hits", None, by)] = totals.get(("hits", None, by), 0) + 1
    answers, counters = report(f"{hub}/report.out", {"hits", "shops", "sum"})
    verdict.compare(f"{hub}: totals", totals, answers)
    told = {reason: counters.get(reason, 0) for reason in ("read", "bad")}
    verdict.compare(f"{hub}: counters", {"read": read, "bad": bad}, told)
    answers, _ = report(f"{hub}/windows.out", {"shops", "sum"})
    verdict.compare(f"{hub}: windows", windows, answers)
    verdict.add("events", read - bad)
    verdict.print()


main()
