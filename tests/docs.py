#!/usr/bin/env python3
"""The `deploy` blocks of README.md and docs/.

Those of docs/language.md are compiled. A block is a module; the text after its first word means

    ```deploy                     `deployc check` says nothing
    ```deploy W0811 E0201         ... says exactly these codes, in this order
    ```deploy more ...            the block continues the module of the one before it

and a `text` block directly after it is exactly what the compiler prints for a file named spec.deploy.
Every other block, and each `c` block, is text of a file of the project, except for indentation; a line `// ...` marks a cut.

For `name` (`folder/file.c`) in a page, that file must contain the name.

    docs.py --update    writes what the compiler prints to docs/language.md; review the change
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).absolute()
LANGUAGE = ROOT / "docs" / "language.md"
BLOCK = re.compile(r"^```deploy(?P<info>[^\n]*)\n(?P<text>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?", re.M | re.S)


def plain(text):
    return "\n".join(line.strip() for line in textwrap.dedent(text).strip("\n").splitlines())


def corpus(suffix, *folders):
    return [plain(f.read_text()) for folder in folders for f in sorted((ROOT / folder).glob(f"*.{suffix}"))]


def lost_chunks(block, corpus):
    chunks = [plain(c) for c in re.split(r"^\s*// \.\.\.\n", block, flags=re.M)]
    return [c for c in chunks if c and not any(c in text for text in corpus)]


def quoted(pages):
    """Blocks that are text of a file. -> (passed, failed)"""
    code = ("support", "lexer", "parser", "sema", "dag", "planner", "target", "codegen", "codegen/cpu", "codegen/gpu", "runtime", "driver")
    corpora = {"deploy": corpus("deploy", "stdlib", "samples", "tests/models/families"), "c": corpus("[ch]", *code) + corpus("def", "support")}
    passed = failed = 0
    for page in pages:
        for kind, block in re.findall(r"^```(deploy|c)\n(.*?)^```", page.read_text(), re.M | re.S):
            lost = lost_chunks(block, corpora[kind])
            passed += not lost
            failed += bool(lost)
            for chunk in lost:
                print(f"FAIL {page.relative_to(ROOT)}: no file has `{chunk.splitlines()[0]}` ...")
    return passed, failed


def named(pages):
    """`name` (`folder/file.c`): the file exists and contains the name. -> (passed, failed)"""
    passed = failed = 0
    for page in pages:
        for name, file in re.findall(r"`(\w+)` \(`([\w/]+\.[chly]|[\w/]+\.def)`", page.read_text()):
            good = (ROOT / file).exists() and re.search(rf"\b{name}\b", (ROOT / file).read_text())
            passed, failed = passed + bool(good), failed + (not good)
            if not good:
                print(f"FAIL {page.relative_to(ROOT)}: {file} has no `{name}`")
    return passed, failed


def changelog():
    """Every code of diag.def was added once, and is not retired; every other one that was added is. The page is up to date. -> (passed, failed)"""
    codes = re.findall(r"^X\(([EW]\d{4}),", (ROOT / "support/diag.def").read_text(), re.M)
    table = (ROOT / "support/changes.def").read_text()
    added = [code for line in re.findall(r'^ADDED\("[^"]*", "([^"]*)"\)', table, re.M) for code in line.split()]
    retired = re.findall(r'^RETIRED\("[^"]*", "(\w+)"', table, re.M)
    changed = re.findall(r'^CHANGED\("[^"]*", "(\w+)"', table, re.M)
    days = re.findall(r'^[A-Z]+\("(\d{4}-\d\d-\d\d)", ', table, re.M)
    page = subprocess.run([DEPLOYC, "explain", "--changes"], capture_output=True, text=True).stdout
    wrong = [f"{c}: no line ADDED in support/changes.def" for c in codes if c not in added]
    wrong += [f"{c}: added twice in support/changes.def" for c in set(added) if added.count(c) > 1]
    wrong += [f"{c}: in support/changes.def, and neither in diag.def nor retired" for c in added if c not in codes and c not in retired]
    wrong += [f"{c}: retired, and still in diag.def" for c in retired if c in codes]
    wrong += [f"{c}: changed or retired, and never added" for c in changed + retired if c not in added]
    wrong += ["the days of support/changes.def are not in order, newest first"] * (days != sorted(days, reverse=True))
    wrong += ["a line of support/changes.def has another form"] * (len(days) != len(re.findall(r"^[A-Z]+\(", table, re.M)))
    wrong += ["docs/changelog.md is not up to date: run `make docs`"] * (page != (ROOT / "docs/changelog.md").read_text())
    for text in wrong:
        print(f"FAIL {text}")
    return len(codes), len(wrong)


def check(module):
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "spec.deploy").write_text(module)
        run = subprocess.run([DEPLOYC, "check", "spec.deploy"], cwd=folder, capture_output=True, text=True, timeout=20)
    return run.stderr + run.stdout


def compiled(path):
    """Blocks that are modules. -> (passed, failed, the page with the compiler's output in its `text` blocks)"""
    passed = failed = 0
    text, module = path.read_text(), ""

    def one(block):
        nonlocal passed, failed, module
        words = block["info"].split()
        module = module + "\n" + block["text"] if words[:1] == ["more"] else block["text"]
        said = check(module)
        codes = re.findall(r"^(?:error|warning)\[([EW]\d{4})\]", said, re.M)
        wrong = codes != [w for w in words if w != "more"]
        stale = block["output"] is not None and block["output"] != said
        line = text.count("\n", 0, block.start()) + 1
        if wrong:
            print(f"FAIL {path.name}:{line}: says {codes}, its line {words}\n" + textwrap.indent(said, "    "))
        elif stale:
            print(f"FAIL {path.name}:{line}: the output that is shown is not what deployc prints")
        failed += wrong or stale
        passed += not (wrong or stale)
        return block[0].replace(f"```text\n{block['output']}```", f"```text\n{said}```") if stale else block[0]

    page = BLOCK.sub(one, text)
    return passed, failed, page


def main():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    passed, failed = quoted([p for p in pages if p != LANGUAGE])
    more, worse = named(pages)
    passed, failed = passed + more, failed + worse
    more, worse = changelog()
    passed, failed = passed + more, failed + worse
    more, worse, page = compiled(LANGUAGE)
    if "--update" in sys.argv:
        LANGUAGE.write_text(page)
    print(f"{passed + more} passed, {failed + worse} failed")
    return 1 if failed + worse else 0


if __name__ == "__main__":
    sys.exit(main())
