"""The oracle of sync-order: `sync_order.py TRACE...` reads what strace -f -y has told, and judges the order of calls.

- A file of a commit is renamed to its place only after a sync that follows its last write.
- A commit is renamed to its place only after its segments have been, and their names were made durable with the directory.
- What leaves through the sink is written only after the commit that names it, and the directory, were made durable; and it is synced
  before the next commit takes it for granted.
- Bodies are acknowledged only after their log was synced behind them.
"""

import re
import sys

from counts import Verdict

LINE = re.compile(r"^(\d+) +(.*)$")
CALL = re.compile(r"^(\w+)\((.*)$")
RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$")
OF_FD = re.compile(r"^\d+<(.*?)>")


def calls(path):
    """(name, arguments, whether it begins, whether it has ended), in the order of lines; a call that blocks comes twice."""
    under_way = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = LINE.match(line.rstrip("\n"))
            if not match:
                continue
            pid, text = match.groups()
            resumed = RESUMED.match(text)
            if resumed:
                name, begun = under_way.pop(pid, (resumed.group(1), ""))
                yield name, begun, False, not resumed.group(2).split("= ")[-1].startswith("-1")
                continue
            call = CALL.match(text)
            if not call:
                continue
            name, arguments = call.groups()
            if arguments.endswith("<unfinished ...>"):
                under_way[pid] = (name, arguments)
                yield name, arguments, True, False
            else:
                yield name, arguments, True, not arguments.split("= ")[-1].startswith("-1")


class Judge:
    """What was written, synced and renamed so far."""

    def __init__(self, path, verdict):
        self.path, self.verdict = path, verdict
        self.unsynced = set()  # files written to since their last sync
        self.unnamed = set()  # files renamed since their directory was synced
        self.sink_open = False  # bytes of the sink that are not synced
        self.committed = False
        self.synced = self.answered = 0

    def fail(self, text):
        self.verdict.fail(f"{self.path}: {text}")

    def see(self, name, arguments, begins, ended):
        of_fd = OF_FD.match(arguments)
        file = of_fd.group(1) if of_fd else ""
        if name in ("write", "pwrite64", "writev") and file:
            self.write(file, begins)
        elif name in ("fsync", "fdatasync") and ended:
            self.sync(file)
        elif name.startswith("rename") and begins:
            names = re.findall(r'"([^"]*)"', arguments)
            self.rename(names[0], names[-1])
        if name in ("write", "writev", "sendto", "sendmsg") and begins and '"HTTP/1.1 200' in arguments:
            self.answered += 1
            self.verdict.add("answers", 1)
            if self.answered > self.synced:
                self.fail(f"answer {self.answered} came when {self.synced} bodies were durable")

    def write(self, file, begins):
        if not begins:
            return
        self.unsynced.add(file)
        if file.endswith("panes.ndjson"):
            self.sink_open = True
            if not self.committed or any("/commit-" in name for name in self.unnamed):
                self.fail("lines leave before the commit that names them is durable")
            self.verdict.add("writes_to_the_sink", 1)

    def sync(self, file):
        self.verdict.add("syncs", 1)
        if "/inbox/" in file and file in self.unsynced and not file.endswith(".part"):
            self.synced += 1
        self.unsynced.discard(file)
        if file.endswith("panes.ndjson"):
            self.sink_open = False
        # A directory is synced: the names in it are durable.
        self.unnamed = {name for name in self.unnamed if not file.endswith("/" + name.rsplit("/", 1)[0])}

    def rename(self, old, new):
        self.verdict.add("renames", 1)
        if "/e/" not in new:
            return
        if any(file.endswith("/" + old) for file in self.unsynced):
            self.fail(f"{new} takes its place before its bytes are durable")
        if "/commit-" in new:
            if any("/segment-" in name for name in self.unnamed):
                self.fail(f"{new} is there before the names of its segments are durable")
            if self.sink_open:
                self.fail(f"{new} takes for granted what has left and is not durable")
            self.committed = True
            self.verdict.add("commits", 1)
        self.unnamed.add(new)


def main():
    verdict = Verdict()
    for path in sys.argv[1:]:
        judge = Judge(path, verdict)
        for call in calls(path):
            judge.see(*call)
        if any("/e/" in name for name in judge.unnamed):
            judge.fail(f"{sorted(judge.unnamed)[-1]} was never made durable with its directory")
    if not verdict.figures.get("commits") or not verdict.figures.get("answers"):
        verdict.fail("there was no commit, or no answer: nothing was judged")
    verdict.print()


main()
