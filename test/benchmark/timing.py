"""Times competitors in turns, so that a noisy machine is noisy for all of them, and prints what came out."""

import json
import time


def interleave(calls, seconds, clock=time.perf_counter):
    """The shortest time of each function of `calls` ({name: function}), in milliseconds, over rounds of all of them.

    With `clock=time.process_time` it is the processors' time, which other programs disturb less."""
    for call in calls.values():
        call()
    best = dict.fromkeys(calls, float("inf"))
    end, rounds = time.perf_counter() + seconds, 0
    while rounds < 5 or time.perf_counter() < end:
        for name, call in calls.items():
            start = clock()
            call()
            best[name] = min(best[name], 1e3 * (clock() - start))
        rounds += 1
    return best


def report(title, columns, rows, path=None):
    """Prints `rows` as a table, and writes them as JSON to `path`."""
    cells = [list(columns)] + [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    print(title)
    for row in cells:
        print("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))))
    if path:
        with open(path, "w") as file:
            json.dump({"title": title, "rows": [dict(zip(columns, row)) for row in rows]}, file, indent=2)
