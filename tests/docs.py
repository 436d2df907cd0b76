#!/usr/bin/env python3
"""Every `deploy` block of README.md and docs/ is text of a .deploy file of the project, but for indentation.
A line `// ...` in a block stands for a cut."""
import pathlib
import re
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent


def plain(text):
    return "\n".join(line.strip() for line in textwrap.dedent(text).strip("\n").splitlines())


def main():
    corpus = [plain(f.read_text()) for folder in ("stdlib", "samples") for f in sorted((ROOT / folder).glob("*.deploy"))]
    passed = failed = 0
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for block in re.findall(r"^```deploy\n(.*?)^```", page.read_text(), re.M | re.S):
            chunks = [plain(c) for c in re.split(r"^\s*// \.\.\.\n", block, flags=re.M)]
            lost = [c for c in chunks if c and not any(c in text for text in corpus)]
            passed += not lost
            failed += bool(lost)
            for chunk in lost:
                print(f"FAIL {page.relative_to(ROOT)}: no .deploy file has `{chunk.splitlines()[0]}` ...")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
