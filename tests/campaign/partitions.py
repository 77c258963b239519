"""The oracle of partitions: `partitions.py FOLDER` counts a.ndjson and b.ndjson, and compares.

Nothing is late in its own file, so nothing is corrected: every cell leaves once, with revision 0, and is told right at once.
"""

import json
import sys

from counts import PANE_SECONDS, Verdict, group, instant, number, report


def main():
    folder = sys.argv[1]
    verdict = Verdict()
    wanted, read = {}, 0
    for name in ("a", "b"):
        with open(f"{folder}/{name}.ndjson", encoding="utf-8") as file:
            for line in file:
                event = json.loads(line)
                read += 1
                start = instant(event["ts"] - event["ts"] % PANE_SECONDS)
                shop = (event["shop"],)
                for key, more in ((("shops", start, ()), 1), (("shops", start, shop), 1), (("sum", start, shop), event["n"])):
                    wanted[key] = wanted.get(key, 0) + more
    _, counters = report(f"{folder}/report.out", set())
    told = {reason: counters.get(reason, 0) for reason in ("read", "accepted", "on_time", "late")}
    verdict.compare(f"{folder}: counters", {"read": read, "accepted": read, "on_time": read, "late": 0}, told)
    answers, _ = report(f"{folder}/windows.out", {"shops", "sum"})
    verdict.compare(f"{folder}: windows", wanted, answers)
    left = {}
    with open(f"{folder}/panes.ndjson", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            key = (row["metric"], row["start"], group(row["by"]))
            if row["revision"] or key in left:
                verdict.fail(f"{folder}: {key} left with revision {row['revision']}: it had left before it was whole")
            left[key] = number(row["value"])
    verdict.compare(f"{folder}: what has left", {key: wanted.get(key, 0) for key in left}, left)
    missing = len(wanted) - len(left)
    # The last pane of all may still be open.
    if missing > len({key for key in wanted if key[1] == max(start for _, start, _ in wanted)}):
        verdict.fail(f"{folder}: {missing} cells have not left")
    verdict.add("cells_that_left_once", len(left))
    verdict.add("events", read)
    verdict.print()


main()
