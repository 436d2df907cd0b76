#!/usr/bin/env python3
"""Real specs with a few tokens changed, through the whole of `deployc check` and `deployc plan`: each ends with status 0 or 1, in
time, and never with an internal error or by a signal. Best with a deployc built with sanitizers.
    mutate.py [COUNT [FIRST]]       mutants FIRST, FIRST + 1 ...: a number always makes the same mutant
    mutate.py --show NUMBER"""
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).absolute()
SPECS = [p for folder in ("samples", "stdlib", "tests/golden") for p in sorted((ROOT / folder).glob("*.deploy"))]
SECONDS = 10
TOKEN = re.compile(r'//[^\n]*|"[^"\n]*"|[A-Za-z_]\w*|\d[\w.]*|\.\.\.|\.\.|->|@\[|[<>=!]=|\s+|.', re.S)
ODD = ["0", "-1", "1", "2", "3", "7", "1_000_003", "9_223_372_036_854_775_807", "1e308", "0.0", "none", "auto", "true", "[]", "{}", "{", "}",
       "(", ")", "]", "..", "->", "@[", "*", "/", "mod", "in", "if", "then", "else", "when", "repeat", "param", "axis", "let", "state",
       "dynamic", "ragged", "concat", "\n", ";", "\"\"", "\"{layer}\"", "1 GiB", "f32", "mxfp4", "?", "!", "=", ":", ",", ".", "`", "\0"]


def tokens_of(path):
    return TOKEN.findall(path.read_text())


def is_word(token):
    return not token.isspace() and not token.startswith("//")


def mutated(number):
    """The text of a mutant: tokens of one spec dropped, doubled, swapped, or put in place of others."""
    r = random.Random(number)
    tokens = tokens_of(r.choice(SPECS))
    for _ in range(r.choice((1, 1, 1, 2, 3, 8))):
        at = [i for i, t in enumerate(tokens) if is_word(t)]
        if not at:
            break
        i, j = r.choice(at), r.choice(at)
        how = r.randrange(7)
        if how == 0:
            del tokens[i]
        elif how == 1:
            tokens.insert(i, tokens[j])
        elif how == 2:
            tokens[i], tokens[j] = tokens[j], tokens[i]
        elif how == 3:
            tokens[i] = tokens[j]
        elif how == 4:
            tokens[i] = r.choice(ODD)
        elif how == 5:
            tokens[i:i] = tokens[min(i, j):min(max(i, j), min(i, j) + 60)]
        else:
            numbers = [k for k in at if tokens[k][0].isdigit()] or [i]
            tokens[r.choice(numbers)] = r.choice(ODD)
    return "".join(tokens)


def trouble(words, path):
    """What is wrong with the run, or None."""
    try:
        done = subprocess.run([DEPLOYC, *words, path], capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return f"not done after {SECONDS} s"
    said = done.stderr.decode(errors="replace")
    if done.returncode in (0, 1) and "internal error" not in said:
        return None
    return f"status {done.returncode}: " + (re.findall(r"^.*(?:ERROR|internal error|runtime error).*$", said, re.M) or ["nothing said"])[0]


def main():
    if sys.argv[1:2] == ["--show"]:
        sys.stdout.write(mutated(int(sys.argv[2])))
        return 0
    count, first = (int(a) for a in (sys.argv[1:] + ["60", "1"][len(sys.argv) - 1:])[:2])
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "mutant.deploy"
        for number in range(first, first + count):
            path.write_text(mutated(number))
            for words in ["check"], ["plan"]:
                wrong = trouble(words, path)
                if wrong:
                    print(f"FAIL mutant {number}: deployc {words[0]}: {wrong}")
                    failed += 1
    print(f"{2 * count - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
