"""The oracle of the campaigns over HTTP: `kill_http.py FOLDER` compares what clients have sent with what is told.

A folder holds journal.ndjson (every body that was made, and whether it was acknowledged), report.out (totals), windows.out (by
ten seconds), panes.ndjson (what has left). An acknowledged body is counted once; any other one whole or not at all.
"""

import json
import sys

from counts import PANE_SECONDS, Verdict, instant, report, sink


def main():
    folder = sys.argv[1]
    verdict = Verdict()
    answers, counters = report(f"{folder}/report.out", {"hits", "sum", "shops"})
    wanted, windows = {}, {}
    total = bodies = acked = there = 0
    shops = {}
    with open(f"{folder}/journal.ndjson", encoding="utf-8") as journal:
        for line in journal:
            sent = json.loads(line)
            events = [json.loads(event) for event in sent["body"].splitlines()]
            name = f"{sent['producer']}-{sent['sequence']}"
            keys = {("hits", None, (name,)): len(events), ("sum", None, (name,)): sum(e["n"] for e in events)}
            bodies += 1
            acked += sent["acked"]
            if not sent["acked"]:
                if not any(key in answers for key in keys):
                    continue
                there += 1
            wanted.update(keys)
            total += len(events)
            for event in events:
                start = instant(event["ts"] - event["ts"] % PANE_SECONDS)
                for by in ((), (event["shop"],)):
                    key = ("shops", start, by)
                    windows[key] = windows.get(key, 0) + 1
                shops[event["shop"]] = shops.get(event["shop"], 0) + 1
    wanted[("hits", None, ())] = wanted[("shops", None, ())] = total
    wanted.update({("shops", None, (shop,)): count for shop, count in shops.items()})
    verdict.compare(f"{folder}: totals", wanted, answers)
    for reason in ("read", "accepted"):
        verdict.compare(f"{folder}: {reason}", {reason: total}, {reason: counters[reason]})
    told, _ = report(f"{folder}/windows.out", {"shops"})
    verdict.compare(f"{folder}: windows", windows, told)
    # What has left was closed; corrections have left behind it. So what was told last holds.
    left = sink(verdict, f"{folder}/panes.ndjson")
    verdict.compare(f"{folder}: what has left", {key: windows.get(key, 0) for key in left}, left)
    closed = {start for _, start, _ in left}
    verdict.compare(
        f"{folder}: cells of panes that have left",
        {key: 1 for key in windows if key[1] in closed},
        {key: 1 for key in left},
    )
    verdict.add("bodies", bodies)
    verdict.add("bodies_acknowledged", acked)
    verdict.add("bodies_unacknowledged_but_whole", there)
    verdict.add("events", total)
    verdict.print()


main()
