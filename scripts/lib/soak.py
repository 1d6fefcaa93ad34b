"""A long steady load on the stack, with a fault every while; then proves that nothing is missing, and draws what it saw.

    soak.py [--minutes N] [--rate N] [--every SECONDS] [--dir D]
"""

import argparse
import csv
import itertools
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import plot
from compose import ROOT
from prometheus import Prometheus
from stack import Failed, Stack, fetch, stop_on_signals

SAMPLE = 5
WATCHED = ("api", "indexer-1", "indexer-2")
# How long the last event may take after the load: what failed while the receiver stood still waits for its retry.
PATIENCE = 300
METRICS = {
    "lag": "taskwire_resume_token_lag_seconds",
    "queue": "taskwire_queue_depth",
    "overdue": "taskwire_queue_oldest_age_seconds",
}


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def metric(text, name):
    """The sum of a metric over its labels; None if it is absent."""
    values = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
    return sum(map(float, values)) if values else None


class Soak:
    def __init__(self, stack, arguments):
        self.stack = stack
        self.every = arguments.every
        self.rows = []
        self.marks = []
        self.alerts = {}
        self.prometheus = Prometheus(stack.url("prometheus"))
        self.begun = time.time()
        self.undo = []

    # ---- faults: each is begun, and ended by what it returns, so many seconds later ----

    def kill_an_indexer(self):
        """The one that leads, by SIGKILL; back after 5 s."""
        name = next((n for n in WATCHED[1:] if metric(self.scrape(n), "taskwire_watcher_leader")), WATCHED[1])
        self.mark(f"{name} killed")
        self.stack.signal(name, signal.SIGKILL)
        self.stack.running.pop(name).wait()
        return 5, lambda: self.stack.start_service(name)

    def freeze_the_receiver(self):
        self.mark("receiver frozen for 20 s")
        self.stack.signal("receiver", signal.SIGSTOP)
        return 20, lambda: self.stack.signal("receiver", signal.SIGCONT)

    def restart_mongod(self):
        self.mark("mongod restarted")
        self.stack.stop_mongo()
        return 0, self.stack.start_mongo

    def mark(self, text):
        say(text)
        self.marks.append((time.time(), text))

    # ---- looking ----

    def scrape(self, name):
        try:
            return fetch(f"{self.stack.url(name)}/metrics", timeout=2)
        except OSError:
            return ""

    def sample(self):
        row = {"time": time.time()}
        for name in WATCHED:
            text = self.scrape(name)
            row[f"{name} rss"] = metric(text, "process_resident_memory_bytes")
            row[f"{name} files"] = metric(text, "process_open_fds")
            row[f"{name} threads"] = metric(text, "process_threads")
            for short, metric_name in METRICS.items():
                value = metric(text, metric_name)
                if value is not None:
                    row[short] = max(value, row.get(short, 0))
            delivered = metric(text, "taskwire_deliveries_succeeded_total") or 0
            row["delivered"] = row.get("delivered", 0) + delivered
        self.rows.append(row)
        for name, _, state in self.prometheus.alerts():
            if state != self.alerts.setdefault(name, ["inactive"])[-1]:
                self.alerts[name].append(state)
                say(f"{name} is {state}")

    # ---- the run ----

    def run(self, load):
        faults = itertools.cycle([self.kill_an_indexer, self.freeze_the_receiver, self.restart_mongod])
        next_fault, next_sample = time.time() + self.every / 2, time.time()
        while load.poll() is None:
            now = time.time()
            for due, undo in [one for one in self.undo if one[0] <= now]:
                self.undo.remove((due, undo))
                undo()
            if now >= next_fault:
                next_fault += self.every
                lasts, undo = next(faults)()
                self.undo.append((now + lasts, undo))
            if now >= next_sample:
                next_sample += SAMPLE
                self.sample()
            time.sleep(0.2)
        for _, undo in self.undo:
            undo()
        if load.returncode != 0:
            raise Failed(f"the load ended with {load.returncode}")

    def settle(self, written):
        """Waits until the receiver has every event that must have followed."""
        until = time.time() + PATIENCE
        while time.time() < until:
            self.sample()
            got = json.loads(fetch(self.stack.url("receiver")))
            if got["distinct_events"] >= written["events"]:
                break
            time.sleep(SAMPLE)
        return got

    def write_samples(self):
        columns = ["time", *sorted({name for row in self.rows for name in row} - {"time"})]
        with (self.stack.directory / "samples.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, columns, restval="")
            table.writeheader()
            table.writerows(self.rows)

    def draw(self):
        picture = self.stack.directory / "soak.svg"
        picture.write_text(plot.svg(list(self.panels()), columns=2, marks=self.marks))
        return picture

    def panels(self):
        def curve(column):
            return [(row["time"], row[column]) for row in self.rows if row.get(column) is not None]

        def each(what):
            return {name: curve(f"{name} {what}") for name in WATCHED}

        yield {"title": "Resident memory", "unit": "bytes", "series": each("rss")}
        yield {"title": "Open files", "series": each("files")}
        yield {"title": "Behind the database", "unit": "s", "series": {"lag": curve("lag")}}
        yield {"title": "Waiting deliveries", "series": {"queue": curve("queue")}}
        yield {"title": "Longest overdue", "unit": "s", "series": {"overdue": curve("overdue")}}
        now = time.time()
        arrived = 'sum(rate(taskwire_deliveries_succeeded_total[30s]))'
        found = self.prometheus.over(arrived, self.begun, now, SAMPLE)
        yield {"title": "Delivered a second", "unit": "cps", "series": {"delivered": found[0][1] if found else []}}

    def growth(self):
        """How memory and files changed from the run's second quarter to its last, of each process: medians."""
        quarter = len(self.rows) // 4
        if quarter < 2:
            return
        for name in WATCHED:
            for what, scale, unit in (("rss", 1e-6, " MB"), ("files", 1, "")):
                early, late = (
                    sorted(row[f"{name} {what}"] for row in rows if row.get(f"{name} {what}") is not None)
                    for rows in (self.rows[quarter : 2 * quarter], self.rows[-quarter:])
                )
                if early and late:
                    yield f"{name} {what}: {early[len(early) // 2] * scale:.0f}{unit} -> {late[len(late) // 2] * scale:.0f}{unit}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=int, default=100, help="changes of tasks a second")
    parser.add_argument("--every", type=float, help="seconds from fault to fault (a ninth of the run, 180 at most)")
    parser.add_argument("--dir", type=Path, default=ROOT / ".cache/soak")
    arguments = parser.parse_args()
    lasts = arguments.minutes * 60
    arguments.every = arguments.every or min(180, lasts / 9)
    stop_on_signals()
    try:
        with Stack(arguments.dir.resolve(), scrape=SAMPLE, oplog=2048) as stack:
            wrong = soak(stack, arguments, lasts)
    except Failed as failed:
        wrong = [str(failed)]
    except KeyboardInterrupt:
        sys.exit("stopped")
    if wrong:
        sys.exit("\n".join(wrong))
    print("nothing is missing")


def soak(stack, arguments, lasts):
    soak = Soak(stack, arguments)
    say(f"{arguments.rate} changes a second for {arguments.minutes:g} minutes, a fault every {arguments.every:.0f} s")
    load = subprocess.Popen(
        stack.load("--seconds", str(int(lasts)), "--rate", str(arguments.rate)), stdout=subprocess.PIPE, text=True
    )
    try:
        soak.run(load)
        written = json.loads(load.stdout.read())
        say(f"the load has ended: {written['changes']} changes, {written['events']} events must follow")
        got = soak.settle(written)
    finally:
        load.kill()
        load.wait()
        soak.write_samples()
    print(f"curves: {soak.draw()}")
    return list(judge(soak, written, got))


def judge(soak, written, got):
    """Prints what was seen; gives what is wrong."""
    code, said = soak.stack.operate("audit")
    print(said.strip())
    print(f"the receiver: {got}")
    for line in soak.growth():
        print(line)
    fired = sorted(name for name, states in soak.alerts.items() if "firing" in states)
    print(f"alerts that fired: {', '.join(fired) or 'none'}")
    print(f"alerts that did not: {', '.join(sorted(set(soak.alerts) - set(fired)))}")
    if code != 0:
        yield f"the audit ended with {code}"
    if got["distinct_events"] != written["events"]:
        yield f"{written['events']} events must have come, {got['distinct_events']} did"
    if got["refused"]:
        yield f"{got['refused']} requests did not verify: {got['complaints']}"


if __name__ == "__main__":
    main()
