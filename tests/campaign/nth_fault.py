"""The oracle of nth-fault: `nth_fault.py TRACE` reads what strace tells of a run in which a sync failed.

After that nothing is known of what the file holds on disk, so it must not be written, cut or synced again: another try could succeed,
and tell of bytes as durable that are gone. The quarantine is left out: what its buffer holds may follow when a run ends, nobody takes it for durable,
and the next start cuts it back to the length that its commit names.
"""

import re
import sys

from counts import Verdict

CALL = re.compile(r"^\d+ +(\w+)\(\d+<(.*?)>")


def main():
    verdict = Verdict()
    verdict.figures = {}
    failed = set()
    with open(sys.argv[1], encoding="utf-8", errors="replace") as file:
        for line in file:
            call = CALL.match(line)
            if not call:
                continue
            name, path = call.groups()
            if path.endswith("quarantine.ndjson"):
                continue
            if path in failed and name in ("write", "pwrite64", "ftruncate", "fsync", "fdatasync"):
                verdict.fail(f"{path}: {name} after a sync of it that failed")
            if name in ("fsync", "fdatasync") and "(INJECTED)" in line and "EINTR" not in line:
                failed.add(path)
                verdict.add("files_left_alone_after_a_failed_sync", 1)
    verdict.print()


main()
