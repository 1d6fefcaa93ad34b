"""Holds docs/FEATURES.md and the tests that docs/ARCHITECTURE.md names against the tree: every file and every test is there.

    features.py        from the repository; says what is wrong, and exits 1
"""

import re
import sys
from pathlib import Path

CODE = re.compile(r"`([^`]+)`")
PATH = re.compile(r"^[\w.@-]+(/[\w.@-]+)+$|^\w[\w-]*\.(md|yml|toml|json)$")
# A test of Rust by its name, which is a sentence; one of the page by its title, in quotes.
NAME = re.compile(r"^[a-z0-9]+(_[a-z0-9]+){2,}$")
RUST_TEST = re.compile(r"#\[(?:tokio::)?test\b[^\]]*\](?:\s*#\[[^\]]*\])*\s*(?:async )?fn (\w+)\(")
UNTESTED = ("**no test**", "**No test**")


def tests_of(path):
    text = path.read_text()
    return set(RUST_TEST.findall(text)) if path.suffix == ".rs" else text


def rows(page):
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("| ") and not line.startswith(("| ---", "| what ")):
            yield number, [cell.strip() for cell in line.strip().strip("|").split(" | ")]


def faults_of(cells):
    if len(cells) != 3:
        yield f"has {len(cells)} cells"
        return
    _, code, shown = cells
    paths = CODE.findall(code)
    if not paths:
        yield "names no code"
    yield from (f"there is no {path}" for path in paths if not Path(path).exists())
    file, found = None, False
    for token in CODE.findall(shown):
        if PATH.match(token):
            file, found = Path(token), True
            if not file.exists():
                yield f"there is no {token}"
        elif NAME.match(token) or token.startswith('"'):
            name = token.strip('"')
            if file is None or not file.exists() or name not in tests_of(file):
                yield f"there is no test {name} in {file}"
    if not found and not any(text in shown for text in UNTESTED):
        yield "names no test, and does not say so"


def main():
    page, wrong = Path("docs/FEATURES.md"), []
    for number, cells in rows(page):
        wrong += [f"{page}:{number}: {fault}" for fault in faults_of(cells)]
    sources = [path for folder in ("src", "indexer/src", "tests") for path in Path(folder).rglob("*.rs")]
    known = set().union(*(tests_of(path) for path in sources))
    page = Path("docs/ARCHITECTURE.md")
    for number, line in enumerate(page.read_text().splitlines(), 1):
        names = (name for name in CODE.findall(line) if re.match(r"^[a-z0-9]+(_[a-z0-9]+){4,}$", name))
        wrong += [f"{page}:{number}: there is no test {name}" for name in names if name not in known and not name.startswith("taskwire_")]
    print("\n".join(wrong) or "every file and test that the docs name is there")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
