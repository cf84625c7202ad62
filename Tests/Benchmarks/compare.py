#!/usr/bin/env python3
"""Compares benchmark records: Billhook's median beside that of every peer, work item by work item.

Usage: compare.py FILE...

Each file holds JSON objects, one a line, with "work", "peer" and "median_s"; lines that are not
JSON objects (warnings among a peer's output) are passed over. Several records of the same work and
peer, from runs in turn, count as one: the median of their medians, with the spread beside it. The
ratio is the peer's time over Billhook's: above 1 Billhook is faster.
"""
import json
import statistics
import sys


def read(paths):
    """Medians by work and peer, in the order of appearance, and the machines described."""
    times, machines = {}, []
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if not isinstance(record, dict) or "work" not in record:
                    continue
                if "median_s" in record:
                    peers = times.setdefault(record["work"], {})
                    peers.setdefault(record["peer"], []).append(record["median_s"])
                elif record not in machines:
                    machines.append(record)
    return times, machines


def seconds(value):
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def spread(values):
    """Half of the range over the median, in percent; nothing for a single value."""
    if len(values) < 2:
        return ""
    return f" +-{50 * (max(values) - min(values)) / statistics.median(values):.0f} %"


def rows(times):
    for work, peers in times.items():
        ours = peers.get("billhook")
        others = sorted(
            ((peer, values) for peer, values in peers.items() if peer != "billhook"),
            key=lambda entry: statistics.median(entry[1]))
        mine = seconds(statistics.median(ours)) + spread(ours) if ours else "-"
        if not others:
            yield work, mine, "-", "-", "-"
        for peer, values in others:
            theirs = statistics.median(values)
            ratio = f"{theirs / statistics.median(ours):.2f}" if ours else "-"
            yield work, mine, peer, seconds(theirs) + spread(values), ratio


def main(paths):
    if not paths or paths[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if paths else 2
    times, machines = read(paths)
    for machine in machines:
        print(f"{machine.get('cpu')}, {machine.get('cores')} cores, {machine.get('simd')}, "
              f"{' '.join(machine.get('features', []))}")
    table = [("work", "billhook", "peer", "peer's time", "ratio"), *rows(times)]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
