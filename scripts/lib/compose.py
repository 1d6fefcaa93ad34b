"""Reads docker-compose.yml as the engine would, and checks what can be checked of it without one.

    compose.py check      exit 0 if it fits the Compose specification and the rules below; else each problem on a line

Needs the package compose-spec (scripts/lib/common.sh installs it): a strict reader of the specification.
"""

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# Images that are made here, and the program each runs.
PROGRAMS = {"taskwire-api": "taskwire-api", "taskwire-indexer": "taskwire-indexer", "taskwire-receiver": "receiver"}
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
RUNS_ONCE = {"mongo-init"}


class Problem(Exception):
    """What is wrong, in one line."""


def load(text=None):
    """The file's services, secrets and volumes, merged and with every default written out."""
    import compose_spec

    if text is None:
        text = (ROOT / "docker-compose.yml").read_text()
    try:
        return compose_spec.PyOptions(apply_merge=True).from_yaml(text).to_dict()
    except ValueError as error:
        raise Problem(f"docker-compose.yml does not fit the Compose specification: {error}") from error


def interpolate(text, variables):
    """`${NAME}`, `${NAME:-default}` and `${NAME:?message}`, as Compose reads them."""

    def value(found):
        name, kind, rest = found.groups()
        given = variables.get(name, "")
        if given or kind is None:
            return given
        if kind == "?":
            raise Problem(f"{name} is not set: {rest}")
        return rest

    return VARIABLE.sub(value, str(text))


def ports(service):
    """The container's ports that a service is reached at."""
    exposed = [int(port) for port in service.get("expose", [])]
    return exposed + [int(port.rsplit(":", 1)[1]) for port in service.get("ports", [])]


def mounts(service):
    """(source, target, read-only) of each volume."""
    for volume in service.get("volumes", []):
        source, target, *options = volume.split(":")
        yield source, target, "ro" in options


def check(compose):
    """Everything that is wrong, a line each."""
    problems = []
    for name, service in compose["services"].items():
        problems += [f"{name}: {problem}" for problem in check_service(name, service, compose)]
    for name, secret in compose.get("secrets", {}).items():
        if not secret.get("file", "").startswith("./secrets/"):
            problems.append(f"the secret {name} is no file of secrets/")
        if f"keep {name} " not in (ROOT / "deploy/secrets.sh").read_text():
            problems.append(f"deploy/secrets.sh does not make the secret {name}")
    return problems + list(check_targets(compose))


def check_service(name, service, compose):
    lasts = name not in RUNS_ONCE
    if lasts and "healthcheck" not in service:
        yield "has no health check"
    if lasts and not service.get("deploy", {}).get("resources", {}).get("limits", {}).get("memory"):
        yield "has no limit to its memory"
    if not service.get("restart"):
        yield "does not say when it is restarted"
    if service.get("logging", {}).get("options", {}).get("max-size") is None:
        yield "has logs without an end"
    yield from check_links(service, compose)
    yield from check_environment(service)
    if service["image"] in PROGRAMS:
        yield from check_own(service)
    elif re.search(r":(latest)?$|^[^:]*$", service["image"]):
        yield f"takes any version of {service['image']}"


def check_links(service, compose):
    """Other parts of the file that it names."""
    for other, link in service.get("depends_on", {}).items():
        if other not in compose["services"]:
            yield f"depends on {other}, which is not there"
        elif link["condition"] == "service_healthy" and "healthcheck" not in compose["services"][other]:
            yield f"waits for the health of {other}, which has no health check"
    for secret in service.get("secrets", []):
        if secret not in compose.get("secrets", {}):
            yield f"mounts the secret {secret}, which is not there"
    for source, target, read_only in mounts(service):
        if not source.startswith("./"):
            if source not in compose.get("volumes", {}):
                yield f"mounts the volume {source}, which is not there"
        elif not (ROOT / source).exists():
            yield f"mounts {source}, which is not there"
        elif not read_only:
            yield f"may write to {source}"
    for port in service.get("ports", []):
        if not port.startswith("127.0.0.1:"):
            yield f"listens for the whole network ({port})"


def check_environment(service):
    known = (ROOT / ".env.example").read_text()
    for name, value in service.get("environment", {}).items():
        mounted = re.fullmatch(r"/run/secrets/(\w+)", str(value))
        if mounted and mounted[1] not in service.get("secrets", []):
            yield f"{name} names the secret {mounted[1]}, which it does not mount"
        if mounted is None and re.search(r"SECRET|KEY|PASSWORD|URI", name):
            yield f"{name} is a secret in the environment"
        if name.startswith("TASKWIRE_") and not re.search(rf"^#?{name.removesuffix('_FILE')}=", known, re.MULTILINE):
            yield f"{name} is no setting that .env.example knows"


def check_own(service):
    """What is made here runs with as little as it needs, and is asked by its own program."""
    if not service.get("read_only"):
        yield "may write to its root file system"
    if service.get("cap_drop") != ["ALL"] or "no-new-privileges:true" not in service.get("security_opt", []):
        yield "keeps privileges"
    kind, program, *_ = service["healthcheck"]["test"]
    if (kind, program) != ("CMD", PROGRAMS[service["image"]]):
        yield f"is asked for its health by {program}, which its image may not hold"
    stages = stage_texts((ROOT / "Dockerfile").read_text())
    stage = stages.get(service["build"]["target"], "")
    if f'ENTRYPOINT ["{PROGRAMS[service["image"]]}"]' not in stage:
        yield f"is built from the stage {service['build']['target']}, which does not run its program"
    user = re.findall(r"^USER (\S+)", stages.get("base", "") + stage, re.MULTILINE)
    if not user or user[-1].split(":")[0] in ("root", "0"):
        yield "runs as root"


def stage_texts(dockerfile):
    parts = re.split(r"^FROM \S+ AS (\w+)\n", dockerfile, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def check_targets(compose):
    """What Prometheus scrapes, and whom Grafana asks, are services of this file."""
    reached = {f"{name}:{port}" for name, service in compose["services"].items() for port in ports(service)}
    wanted = {
        f"{name}:{port}"
        for name, service in compose["services"].items()
        if service["image"] in ("taskwire-api", "taskwire-indexer")
        for port in ports(service)
    }
    scraped = set()
    for file in sorted((ROOT / "deploy/prometheus/targets").glob("*.yml")):
        scraped.update(re.findall(r'"([^"]+)"', file.read_text()))
    yield from (f"Prometheus scrapes {target}, which is no service's" for target in sorted(scraped - reached))
    yield from (f"Prometheus does not scrape {target}" for target in sorted(wanted - scraped))
    source = (ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text()
    asked = re.search(r"url: http://(\S+)", source)
    if asked is None or asked[1] not in reached:
        yield "Grafana's data source is no service's"


def main():
    if sys.argv[1:] != ["check"]:
        sys.exit(__doc__)
    try:
        compose = load()
        problems = check(compose)
        for service in compose["services"].values():
            for value in service.get("environment", {}).values():
                interpolate(value, os.environ)
    except Problem as problem:
        problems = [str(problem)]
    if problems:
        sys.exit("\n".join(problems))
    print(f"docker-compose.yml: {len(compose['services'])} services, nothing wrong")


if __name__ == "__main__":
    main()
