#!/usr/bin/env python3
"""Files for editors, in the real ones. Names of editors as arguments: only these.

Each `tests()` gives (name, what was seen, what must be seen)."""
import importlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "editors"))
EDITORS = ["neovim", "vim", "emacs", "textmate", "vscode", "github", "lists", "page"]


def outcome(editor):
    try:
        for name, seen, wanted in importlib.import_module(editor).tests():
            yield name, None if seen == wanted else f"{str(seen)[:1500]}\n    instead of {str(wanted)[:1500]}"
    except Exception as e:
        yield "to its end", f"{type(e).__name__}: {str(e)[:3000]}"


def main():
    passed = failed = 0
    for editor in sys.argv[1:] or EDITORS:
        for name, wrong in outcome(editor):
            passed, failed = passed + (not wrong), failed + bool(wrong)
            if wrong:
                print(f"FAIL {editor}: {name}: {wrong}")
    print(f"{passed} passed, {failed} failed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
