#!/usr/bin/env python3
"""The form of the C sources: .clang-format, and lines of at most 120 columns (a tab counts as 4), also where it does not apply.

    style.py           says what is not in form
    style.py --write   brings C sources into form
"""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FORMATTER = "clang-format-19"
COLUMNS, TAB = 120, 4


def sources(*patterns):
    listed = subprocess.run(["git", "ls-files", "--", *patterns], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\n") if name and (ROOT / name).exists()]


def out_of_form(paths):
    """Those that the formatter would change."""
    said = subprocess.run([FORMATTER, "--dry-run", "-Werror", *paths], capture_output=True, text=True).stderr
    return {pathlib.Path(line.split(":")[0]) for line in said.split("\n") if ": error: " in line}


def long_lines(path):
    return [n for n, line in enumerate(path.read_text().split("\n"), 1) if len(line.expandtabs(TAB)) > COLUMNS]


def main():
    formatted = sources("*.c", "*.h")
    if "--write" in sys.argv[1:]:
        subprocess.run([FORMATTER, "-i", *formatted], check=True)
    unformed, failed = out_of_form(formatted), 0
    for path in sources("*.c", "*.h", "*.def", "*.y", "*.l"):
        wrong = [f"line {n} has more than {COLUMNS} columns" for n in long_lines(path)]
        if path in unformed:
            wrong.append("is not in form: tests/style.py --write")
        for text in wrong:
            print(f"FAIL {path.relative_to(ROOT)}: {text}")
        failed += bool(wrong)
    print(f"{len(sources('*.c', '*.h', '*.def', '*.y', '*.l')) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
