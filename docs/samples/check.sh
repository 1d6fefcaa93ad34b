#!/usr/bin/env bash
# Runs each sample that can run here against tests/vectors/signing.json: genuine requests must be accepted (with the new
# and, during a rotation, the previous secret), changed and stale ones refused. Prints which samples were skipped, and why.
set -euo pipefail
cd "$(dirname "$0")"

python3 - <<'PYTHON'
import json, os, shutil, subprocess, sys, tempfile

vectors = json.load(open("../../tests/vectors/signing.json", encoding="utf-8"))


def cases():
    """Name, secret, timestamp, signature, body, now, whether it is genuine."""
    for vector in vectors:
        name, at, signature, body = vector["name"], vector["timestamp"], vector["xSignature"], vector["body"].encode()
        secrets = [vector["secret"]] + ([vector["previous"]] if vector["previous"] else [])
        for secret in secrets:
            yield name, secret, at, signature, body, at, True
            yield name + ", 300 s late", secret, at, signature, body, at + 300, True
            yield name + ", 300 s early", secret, at, signature, body, at - 300, True
        secret = secrets[0]
        yield name + ", stale", secret, at, signature, body, at + 301, False
        yield name + ", from the future", secret, at, signature, body, at - 301, False
        yield name + ", another body", secret, at, signature, body + b" ", at, False
        yield name + ", another time", secret, at + 1, signature, body, at, False
        yield name + ", another secret", secret + "x", at, signature, body, at, False
        yield name + ", cut signature", secret, at, signature.split(",")[0][:-1], body, at, False
        yield name + ", no signature", secret, at, "", body, at, False
        yield name + ", no number", secret, "soon", signature, body, at, False


def run(command):
    """How many cases the sample got right; stops at the first that it got wrong."""
    right = 0
    for name, secret, at, signature, body, now, genuine in cases():
        environment = {**os.environ, "WEBHOOK_SECRET": secret}
        arguments = [*command, str(at), signature, str(now)]
        done = subprocess.run(arguments, input=body, capture_output=True, env=environment)
        if done.returncode != (0 if genuine else 1):
            said = (done.stdout + done.stderr).decode().strip()
            sys.exit(f"{command[-1]}: {name}: exit {done.returncode}, wanted {0 if genuine else 1}: {said}")
        right += 1
    return right


def compiled(directory):
    """The C# sample as a command, or why not."""
    if not (shutil.which("mcs") and shutil.which("mono")):
        return None, "neither mcs nor mono is installed"
    program = os.path.join(directory, "Verify.exe")
    subprocess.run(["mcs", "-warnaserror", f"-out:{program}", "Verify.cs"], check=True)
    return ["mono", program], None


with tempfile.TemporaryDirectory() as directory:
    samples = []
    for sample, program in [("verify.sh", "openssl"), ("verify.mjs", "node"), ("verify.py", "python3")]:
        interpreter = "bash" if sample.endswith(".sh") else program
        there = shutil.which(program)
        samples.append((sample, [interpreter, sample] if there else None, None if there else f"no {program} here"))
    samples.append(("Verify.cs", *compiled(directory)))
    for sample, command, why_not in samples:
        if command is None:
            print(f"{sample:<11} skipped: {why_not}")
        else:
            print(f"{sample:<11} {run(command)} cases right")
PYTHON
