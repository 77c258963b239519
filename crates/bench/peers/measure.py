"""Runs one command and says what it cost.

usage: measure.py OUTPUT COMMAND [ARGUMENT...]

The command's stdout goes to the file OUTPUT, its stderr passes through. One JSON object is printed: exit status, wall
and CPU seconds, peak resident bytes and whether the kernel counted them.

The kernel counts what this script held when it forked into the child's peak. A command that stays below that is
sampled instead: the high-water mark of its own memory, as last seen before it ended.
"""

import json
import os
import resource
import subprocess
import sys
import threading
import time

SAMPLE_EVERY_S = 0.01
UNIT = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in KiB except on macOS


class Sampler(threading.Thread):
    """Reads the high-water mark of a process again and again; the last reading counts."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.path = f"/proc/{pid}/status"
        self.bytes = None

    def run(self):
        while True:
            try:
                with open(self.path, encoding="ascii", errors="replace") as status:
                    marks = [line.split()[1] for line in status if line.startswith("VmHWM:")]
            except OSError:
                return
            if not marks:  # it has ended and waits to be collected
                return
            self.bytes = int(marks[0]) * 1024
            time.sleep(SAMPLE_EVERY_S)


def main(output, command):
    with open(output, "wb") as out:
        start = time.monotonic()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out)
        sampler = Sampler(child.pid)
        sampler.start()
        _, status, used = os.wait4(child.pid, 0)
        wall = time.monotonic() - start
        sampler.join()
    counted = used.ru_maxrss * UNIT
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT
    by_kernel = counted > own or sampler.bytes is None
    cost = {
        "status": os.waitstatus_to_exitcode(status),
        "wall_s": wall,
        "cpu_s": used.ru_utime + used.ru_stime,
        "rss_bytes": counted if by_kernel else sampler.bytes,
        "rss_by_kernel": by_kernel,
    }
    print(json.dumps(cost))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
