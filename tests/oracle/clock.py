"""The clock of one partition (SEMANTICS 1.2, 1.3, 1.5), over the whole list of its event times at once.

Says of every record whether it is on time, late or ahead, and where the watermark stood when that was said.

Readings of the rules where words leave room: all records of a run that agrees beyond F + ahead count as
`ahead`, the last one too; any `agree` consecutive ones may agree, so the run slides on; with `ahead` the
held rows are judged in order only after F is known; the median of an even number is the lower one.
"""

from collections import deque

HELD_MAX = 65_536
ON_TIME, LATE, AHEAD = "on_time", "late", "ahead"


def judge(times, spec):
    """([(verdict, watermark before the record moves the clock)], final watermark or None)."""
    if not times:
        return [], None
    clock = times[0] if spec.ahead is None else first_clock(times, spec)
    verdicts, run = [], deque(maxlen=spec.agree)
    for time in times:
        watermark = clock - spec.lateness
        if spec.ahead is not None and time > clock + spec.ahead:
            verdicts.append((AHEAD, watermark))
            run.append(time)
            if len(run) == spec.agree and max(run) - min(run) <= spec.ahead:
                clock = min(run)
                run.clear()
            continue
        run.clear()
        verdicts.append((LATE if time < watermark else ON_TIME, watermark))
        clock = max(clock, time)
    return verdicts, clock - spec.lateness


def first_clock(times, spec):
    """Smallest of the first `agree` records in a row within `ahead` of one another; if none, the median of what may be
    held, or at an earlier end the smallest that lies at most `ahead` before the median."""
    run = deque(maxlen=spec.agree)
    held = times[:HELD_MAX]
    for time in held:
        run.append(time)
        if len(run) == spec.agree and max(run) - min(run) <= spec.ahead:
            return min(run)
    median = sorted(held)[(len(held) - 1) // 2]
    if len(held) == HELD_MAX:
        return median
    return min(time for time in held if median - spec.ahead <= time <= median)


def retained(time, watermark, levels):
    """Whether some level still keeps the pane of this time. Without levels nothing is too late."""
    return not levels or any(time - time % size + size + keep > watermark for size, keep in levels)


def window_retained(start, end, watermark, levels):
    """Whether whole panes that are kept make up the window: the longest first (sizes are nested)."""
    at = start
    while at < end:
        for size, keep in reversed(levels):
            if at % size == 0 and at + size <= end and at + size + keep > watermark:
                at += size
                break
        else:
            return False
        if at + levels[0][0] + levels[0][1] > watermark:  # from here on the finest level keeps everything
            return (end - at) % levels[0][0] == 0 and at % levels[0][0] == 0
    return True
