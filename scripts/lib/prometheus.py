"""Asks a Prometheus, and reads what the dashboard and the alerts ask it."""

import json
import math
import re
import urllib.parse

from compose import ROOT
from stack import fetch

DASHBOARD = ROOT / "deploy/grafana/dashboards/taskwire.json"


class Prometheus:
    """At this base URL."""

    def __init__(self, base):
        self.base = base

    def get(self, path, **parameters):
        answer = json.loads(fetch(f"{self.base}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=30))
        assert answer["status"] == "success", answer
        return answer["data"]

    def now(self, query):
        """[(labels, value)] of an instant query."""
        return [(one["metric"], float(one["value"][1])) for one in self.get("query", query=query)["result"]]

    def over(self, query, start, end, step):
        """[(labels, [(time, value)])] over a span, without what is no number."""
        found = self.get("query_range", query=query, start=start, end=end, step=step)["result"]
        series = [(one["metric"], [(t, float(v)) for t, v in one["values"]]) for one in found]
        return [(labels, [(t, v) for t, v in points if math.isfinite(v)]) for labels, points in series]

    def names(self):
        """Every metric that it holds."""
        return set(self.get("label/__name__/values"))

    def alerts(self):
        """[(name, expression, state)] of each alerting rule; the state is inactive, pending or firing."""
        groups = self.get("rules", type="alert")["groups"]
        return [(rule["name"], rule["query"], rule["state"]) for group in groups for rule in group["rules"]]


def panels(rate_interval):
    """The dashboard's panels that ask something: dicts of title, unit and queries [(expression, legend)]."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        queries = [
            (target["expr"].replace("$__rate_interval", rate_interval), target["legendFormat"])
            for target in panel.get("targets", [])
        ]
        if queries:
            unit = panel["fieldConfig"]["defaults"].get("unit")
            yield {"title": panel["title"], "kind": panel["type"], "unit": unit, "queries": queries}


def legend(template, labels):
    """What a curve is called."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), template) or ", ".join(labels.values())


def metric_names(expression):
    """The metrics that an expression asks for."""
    return set(re.findall(r"\b(?:taskwire_\w+|process_\w+|up|ALERTS)\b", expression))
