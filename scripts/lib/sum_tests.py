"""Adds up what cargo nextest, cargo test and vitest say at their ends: prints "passed failed skipped".

    sum_tests.py <log>
"""

import re
import sys

ANSI = re.compile(r"\x1b\[[0-9;]*m")
NEXTEST = re.compile(r"^\s*Summary \[.*?\] .*? tests? run: (?P<rest>.*)$")
CARGO = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;")
VITEST = re.compile(r"^\s*Tests  (?P<rest>(\d+ \w+( \| )?)+) \(\d+\)$")
# What nextest calls the ends that are no success.
BAD = ("failed", "timed out", "exec failed")


def add_up(lines):
    passed = failed = skipped = 0
    for line in (ANSI.sub("", line) for line in lines):
        if found := NEXTEST.match(line):
            rest = re.sub(r"\([^)]*\)", "", found["rest"])
            for count, kind in re.findall(r"(\d+) ([a-z ]+?)\s*(?:,|$)", rest):
                if kind == "passed":
                    passed += int(count)
                elif kind in BAD:
                    failed += int(count)
                elif kind == "skipped":
                    skipped += int(count)
        elif found := VITEST.match(line):
            counts = {kind: int(count) for count, kind in re.findall(r"(\d+) (\w+)", found["rest"])}
            passed += counts.get("passed", 0)
            failed += counts.get("failed", 0)
            skipped += counts.get("skipped", 0) + counts.get("todo", 0)
        elif found := CARGO.match(line):
            passed, failed, skipped = (
                total + int(count) for total, count in zip((passed, failed, skipped), found.groups())
            )
    return passed, failed, skipped


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], errors="replace") as log:
        print(*add_up(log))
