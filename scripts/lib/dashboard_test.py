"""Runs the stack under a short load with every kind of trouble, lets a real Prometheus scrape it each second, and asks what
the dashboard and the alerts ask: each query must return data, and each alert must know its metrics.

    dashboard_test.py [--dir D]      exit 0, or each failure on a line; the panels as drawn: D/panels.svg
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import plot
from compose import ROOT
from prometheus import Prometheus, legend, metric_names, panels
from stack import Failed, Stack, fetch, stop_on_signals

SECONDS = 10
# How long each thing is waited for: counts are made every 15 s.
PATIENCE = 30
# What the load's trouble must be seen as; each begins at 0.
MUST_RISE = [
    "max(taskwire_webhooks_failing)",
    "max(taskwire_dead_letters)",
    "max(taskwire_quarantine_entries)",
    "sum(taskwire_deliveries_failed_total)",
    'sum(increase(taskwire_webhooks_disabled_total{reason="gone"}[1h]))',
    'sum(increase(taskwire_inbound_requests_total{outcome="created"}[1h]))',
    'sum(increase(taskwire_inbound_requests_total{outcome="unauthorized"}[1h]))',
]
# Fire in this run, having nothing to wait for; and what must not.
MUST_FIRE = {"TaskwireWebhookDisabled", "TaskwireDeadLetters"}
MUST_NOT_FIRE = {"TaskwireNoLeader", "TaskwireDown", "TaskwireLag", "TaskwireGapRecovered"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--dir", type=Path, default=ROOT / ".cache/dashboard-test")
    arguments = parser.parse_args()
    stop_on_signals()
    try:
        with Stack(arguments.dir.resolve(), scrape=1) as stack:
            failures = run(stack)
    except Failed as failed:
        failures = [str(failed)]
    except KeyboardInterrupt:
        sys.exit("stopped")
    if failures:
        sys.exit("\n".join(failures))


def run(stack):
    prometheus = Prometheus(stack.url("prometheus"))
    # It looks for its targets every few seconds, and what happens before the first look is no increase.
    wait_until(lambda: sorted(value for _, value in prometheus.now('up{job=~"taskwire.*"}')) == [1, 1, 1])
    begun = time.time()
    load = stack.load("--seconds", str(SECONDS), "--rate", "40", "--trouble")
    subprocess.run(load, check=True, stdout=subprocess.DEVNULL, timeout=120)
    failures = list(lint(stack))
    asked = list(panels(rate_interval="5s"))
    wait_until(lambda: not without_data(prometheus, asked, begun))
    failures += [f"no data: {title}: {query}" for title, query in without_data(prometheus, asked, begun)]
    wait_until(lambda: not list(unmoved(prometheus)))
    failures += [f"still 0: {query}" for query in unmoved(prometheus)]
    wait_until(lambda: not MUST_FIRE - firing(prometheus))
    failures += check_alerts(prometheus)
    leaders, standbys = prometheus.now("sum(taskwire_watcher_leader)"), prometheus.now("taskwire_resume_token_lag_seconds")
    if [value for _, value in leaders] != [1.0] or len(standbys) != 1:
        failures.append(f"of two indexers one leads, and only that one knows a lag: {leaders}, {standbys}")
    picture = stack.directory / "panels.svg"
    picture.write_text(plot.svg([drawn(prometheus, panel, begun) for panel in asked if panel["kind"] != "table"]))
    queries = sum(len(panel["queries"]) for panel in asked)
    print(f"{len(asked)} panels, {queries} queries, {len(prometheus.alerts())} alerts; drawn in {picture}")
    return failures


def wait_until(holds):
    """At most until the patience ends; what does not hold then is told by who asks again."""
    until = time.monotonic() + PATIENCE
    while not holds() and time.monotonic() < until:
        time.sleep(0.5)


def unmoved(prometheus):
    return (query for query in MUST_RISE if not any(value > 0 for _, value in prometheus.now(query)))


def firing(prometheus):
    return {name for name, _, state in prometheus.alerts() if state == "firing"}


def without_data(prometheus, asked, begun):
    """(title, query) of each that has found nothing in the run so far."""
    return [
        (panel["title"], query)
        for panel in asked
        for query, _ in panel["queries"]
        if not any(points for _, points in prometheus.over(query, begun, time.time(), 1))
    ]


def check_alerts(prometheus):
    known = prometheus.names()
    for name, expression, _ in prometheus.alerts():
        for metric in sorted(metric_names(expression) - known):
            yield f"the alert {name} asks for {metric}, which does not exist"
    fire = firing(prometheus)
    for name in sorted(MUST_FIRE - fire):
        yield f"{name} does not fire"
    for name in sorted(MUST_NOT_FIRE & fire):
        yield f"{name} fires"


def lint(stack):
    """What promtool has to say of each process's metrics."""
    for name in stack.services:
        if name in ("receiver", "prometheus"):
            continue
        text = fetch(f"{stack.url(name)}/metrics")
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        if done.returncode != 0:
            yield from (f"{name}: {line}" for line in (done.stderr + done.stdout).splitlines())


def drawn(prometheus, panel, begun):
    series = {}
    for query, template in panel["queries"]:
        for labels, points in prometheus.over(query, begun, time.time(), 1):
            series[legend(template, labels)] = points
    return {"title": panel["title"], "unit": panel["unit"], "series": series}


if __name__ == "__main__":
    main()
