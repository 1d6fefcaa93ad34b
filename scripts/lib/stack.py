"""The services of docker-compose.yml as plain processes on the loopback: their own commands, settings, secrets, health
checks and order, with addresses and paths put in place of the containers'. MongoDB is scripts/mongod's; Grafana is left out.

    stack.py [--dir D] [--seconds N] [--scrape N]      until Ctrl-C, or for N seconds
"""

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from compose import PROGRAMS, ROOT, interpolate, load, mounts, ports

# Not run here: started by scripts/mongod, and not to be had without an engine.
ELSEWHERE = {"mongo", "mongo-init", "grafana"}
PATIENCE = 60


class Failed(Exception):
    """What went wrong, in one line."""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def fetch(url, timeout=5):
    """The body of a 200."""
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read().decode()


def seconds(text):
    """A duration of the compose file."""
    return sum(float(n) * {"s": 1, "m": 60, "h": 3600}[unit] for n, unit in re.findall(r"([\d.]+)([smh])", str(text)))


def say(text):
    print(f"stack: {text}", file=sys.stderr, flush=True)


class Stack:
    """`directory` holds everything that it writes. `without`: services that are not started."""

    def __init__(self, directory, database="TasksTrackerDb", scrape=None, without=(), oplog=512):
        self.directory = directory
        self.scrape = scrape
        self.oplog = oplog
        self.compose = load()
        self.services = {
            name: service
            for name, service in self.compose["services"].items()
            if name not in ELSEWHERE and name not in without
        }
        self.binaries = Path(os.environ.get("TASKWIRE_BIN_DIR") or ROOT / "target/debug")
        self.variables = {
            "TASKWIRE_DATABASE": database,
            "TASKWIRE_TARGET_ALLOWLIST": "127.0.0.0/8,::1/128",
            "TASKWIRE_LOG_FORMAT": "text",
            **os.environ,
        }
        self.running = {}
        self.ports = {(name, port): free_port() for name, service in self.services.items() for port in ports(service)}
        self.mongo_port = free_port()

    # ---- what stands for what ----

    def address(self, service, port):
        return f"127.0.0.1:{self.ports[service, port]}"

    def url(self, service):
        return f"http://{self.address(service, ports(self.services[service])[0])}"

    @property
    def uri(self):
        return f"mongodb://127.0.0.1:{self.mongo_port}/?replicaSet=rs0"

    @property
    def database(self):
        return self.variables["TASKWIRE_DATABASE"]

    def secret(self, name):
        return self.directory / "secrets" / name

    def here(self, service, text):
        """A text of the compose file with this machine's addresses and paths."""
        text = interpolate(text, self.variables)
        text = re.sub(r"/run/secrets/(\w+)", lambda found: str(self.secret(found[1])), text)
        for source, target, _ in mounts(self.services[service]):
            text = re.sub(rf"(^|=){target}(?=/|$)", lambda found: found[1] + str(self.mounted(source)), text)
        return re.sub(r"\b([\w.-]+):(\d+)\b", lambda found: self.here_address(service, found), text)

    def here_address(self, service, found):
        own = found[1] in ("0.0.0.0", "127.0.0.1")
        key = (service if own else found[1], int(found[2]))
        return self.address(*key) if key in self.ports else found[0]

    def mounted(self, source):
        return self.directory / "mounted" / source.removeprefix("./")

    def environment(self, name):
        """Nothing of the surroundings, as in a container."""
        given = self.services[name].get("environment", {})
        own = {variable: self.here(name, value) for variable, value in given.items()}
        return {"PATH": os.environ["PATH"], **own}

    def program(self, name):
        image = self.services[name]["image"]
        if image in PROGRAMS:
            return str(self.binaries / PROGRAMS[image])
        return shutil.which(image.split("/")[-1].split(":")[0]) or ""

    def command(self, name):
        arguments = [self.here(name, argument) for argument in self.services[name].get("command", [])]
        if name == "prometheus":
            # Its default is every address.
            arguments.append(f"--web.listen-address={self.address(name, 9090)}")
        return [self.program(name), *arguments]

    # ---- starting and stopping ----

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        for name in self.services:
            if not os.access(self.program(name), os.X_OK):
                raise Failed(f"{name} has no program to run: {self.program(name) or self.services[name]['image']}")
        self.directory.mkdir(parents=True, exist_ok=True)
        # Ports are others each time, which the set's members are named by: nothing of an earlier run is of use.
        self.mongod("stop", "--purge")
        for old in ("mounted", "secrets", "logs"):
            shutil.rmtree(self.directory / old, ignore_errors=True)
        self.make_secrets()
        self.mount()
        self.start_mongo()
        for name in self.in_order():
            self.start_service(name)
        self.wait_healthy(self.services)

    def make_secrets(self):
        environment = {**os.environ, "SECRETS_DIR": str(self.directory / "secrets"), "MONGODB_URI": self.uri}
        subprocess.run([ROOT / "deploy/secrets.sh"], env=environment, check=True, capture_output=True)

    def mount(self):
        for service in self.services.values():
            for source, _, _ in mounts(service):
                place = self.mounted(source)
                if source.startswith("./"):
                    shutil.copytree(ROOT / source, place, dirs_exist_ok=True)
                else:
                    place.mkdir(parents=True, exist_ok=True)
        if "prometheus" in self.services:
            folder = self.mounted("./deploy/prometheus")
            for file in folder.glob("targets/*.yml"):
                file.write_text(self.here("prometheus", file.read_text()))
            if self.scrape:
                config = folder / "prometheus.yml"
                text = re.sub(r"(scrape|evaluation)_interval: \w+", rf"\1_interval: {self.scrape}s", config.read_text())
                config.write_text(text)

    def mongod(self, *arguments):
        environment = {name: value for name, value in os.environ.items() if name != "TASKWIRE_MONGODB_URI"}
        command = [ROOT / "scripts/mongod", *arguments, "--dir", self.directory / "mongod"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(done.stderr.strip().splitlines()[-1])

    def start_mongo(self):
        self.mongod("start", "--port", str(self.mongo_port), "--oplog", str(self.oplog))

    def stop_mongo(self):
        self.mongod("stop")

    def in_order(self):
        """Each after those that it depends on."""
        order = []

        def take(name):
            for other in self.services[name].get("depends_on", {}):
                if other in self.services:
                    take(other)
            if name not in order:
                order.append(name)

        for name in self.services:
            take(name)
        return order

    def start_service(self, name):
        waits = self.services[name].get("depends_on", {}).items()
        self.wait_healthy([n for n, link in waits if n in self.services and link["condition"] == "service_healthy"])
        logs = self.directory / "logs"
        logs.mkdir(exist_ok=True)
        with (logs / f"{name}.log").open("ab") as log:
            # In a session of its own: a Ctrl-C at the terminal is for this script.
            self.running[name] = subprocess.Popen(
                self.command(name),
                env=self.environment(name),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def healthy(self, name):
        """What its own health check says: None if all is well, else why not."""
        kind, *test = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD", f"{name}: {kind} is not run here"
        program, *arguments = [self.here(name, argument) for argument in test]
        limit = seconds(self.services[name]["healthcheck"]["timeout"])
        if program == "wget":
            try:
                fetch(arguments[-1], limit)
                return None
            except (OSError, urllib.error.URLError) as error:
                return str(error)
        command = [self.program(name), *arguments]
        asked = subprocess.run(command, env=self.environment(name), timeout=limit, capture_output=True, text=True)
        return None if asked.returncode == 0 else (asked.stderr or asked.stdout).strip()

    def wait_healthy(self, names):
        until = time.monotonic() + PATIENCE
        for name in names:
            while (why := self.healthy(name)) is not None:
                if (code := self.running[name].poll()) is not None:
                    raise Failed(f"{name} ended with {code}: {self.last_line(name)}")
                if time.monotonic() > until:
                    raise Failed(f"{name} is not healthy after {PATIENCE} s: {why}")
                time.sleep(0.1)

    def last_line(self, name):
        lines = (self.directory / "logs" / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def signal(self, name, number):
        self.running[name].send_signal(number)

    def stop_service(self, name):
        process = self.running.pop(name)
        if process.poll() is None:
            # One that stands still would not hear.
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(seconds(self.services[name].get("stop_grace_period", "10s")))
            except subprocess.TimeoutExpired:
                say(f"{name} does not stop: killing it")
                process.kill()
        return process.wait()

    def stop(self):
        for name in reversed(list(self.running)):
            self.stop_service(name)
        self.mongod("stop", "--purge")

    def operate(self, *arguments):
        """A command of taskwire-indexer with its settings; gives exit code and output."""
        command = [self.program("indexer-1"), *arguments]
        done = subprocess.run(command, env=self.environment("indexer-1"), capture_output=True, text=True, timeout=300)
        return done.returncode, done.stdout + done.stderr

    def load(self, *arguments):
        """The command of a load on this stack, to be started by the caller."""
        return [
            str(self.binaries / "load"),
            *("--uri", self.uri, "--database", self.database, "--api", self.url("api")),
            *("--jwt-secret-file", str(self.secret("jwt_secret"))),
            *("--hook", f"{self.url('receiver')}/hook", "--hook-secret-file", str(self.secret("receiver_secret"))),
            *arguments,
        ]


def stop_on_signals():
    """SIGTERM and SIGHUP end like Ctrl-C: what was started is stopped."""

    def stop(*_):
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--dir", type=Path, default=ROOT / ".cache/stack", help="where data, logs and secrets go")
    parser.add_argument("--seconds", type=float, help="end by itself after so long")
    parser.add_argument("--scrape", type=int, help="seconds between Prometheus' scrapes (else what its file says)")
    arguments = parser.parse_args()
    stop_on_signals()
    without = [] if shutil.which("prometheus") else ["prometheus"]
    if without:
        say("prometheus is not installed: left out")
    try:
        with Stack(arguments.dir.resolve(), scrape=arguments.scrape, without=without) as stack:
            for name in stack.services:
                print(f"{name:<12} {stack.url(name)}   log: {stack.directory}/logs/{name}.log")
            print(f"{'MongoDB':<12} {stack.uri}   database: {stack.database}")
            print(f"{'secrets':<12} {stack.directory}/secrets", flush=True)
            time.sleep(arguments.seconds if arguments.seconds else 10**9)
    except KeyboardInterrupt:
        print()
    except Failed as failed:
        sys.exit(f"stack: {failed}")


if __name__ == "__main__":
    main()
