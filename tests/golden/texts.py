#!/usr/bin/env python3
"""What the compiler prints for each wrong spec, to the letter: notes, helps and edits too. run.py says which mistakes are right; this
says when a text changes, so that the change is read.

    texts.py [WORD ...]           only the files whose name contains a word
    texts.py --update [WORD ...]  writes tests/golden/texts; for review, never unseen
"""
import difflib
import re
import sys

import run

TEXTS = run.HERE / "texts"


def printed(path):
    """Without numbers of lines: run.py has those of the file, and those of the library change with every edit of it."""
    done = run.deployc(path)
    text = re.sub(r"^ *(?:\d+ |(?= [|=]|-->))", " ", done.stdout + done.stderr, flags=re.M)
    return re.sub(r"(std\.\w+):\d+", r"\1", text) + f"exit {done.returncode}\n"


def main(arguments):
    words = [a for a in arguments if a != "--update"]
    passed = failed = 0
    for path in run.specs():
        if words and not any(w in path.name for w in words):
            continue
        kept, now = TEXTS / f"{path.stem}.txt", printed(path)
        if "--update" in arguments:
            kept.parent.mkdir(exist_ok=True)
            kept.write_text(now)
        before = kept.read_text() if kept.exists() else ""
        passed += before == now
        if before != now:
            failed += 1
            changes = difflib.unified_diff(before.splitlines(), now.splitlines(), "before", "now", lineterm="", n=0)
            print(f"FAIL {path.name}: " + "\n    ".join(["another text; `tests/golden/texts.py --update` if it is right", *changes]))
    stems = {path.stem for path in run.specs()}
    for kept in [] if words else sorted(TEXTS.glob("*.txt")):
        if kept.stem not in stems:
            failed += 1
            print(f"FAIL {kept.name}: no wrong spec has that name")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
