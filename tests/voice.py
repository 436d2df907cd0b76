#!/usr/bin/env python3
"""Rejects wording that a native reader stumbles over, in comments, pages, messages and names.

tests/voice.baseline lists the hits that remain, as `FILE: WORDS COUNT`. It only shrinks: a file with more hits than the baseline allows
fails, and so does a baseline that allows more hits than there are.

    voice.py            reports what differs from the baseline
    voice.py --all      prints every hit, with what to write instead
    voice.py --shrink   lowers the baseline to what is left
"""
import collections
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASELINE = ROOT / "tests" / "voice.baseline"
SOURCES = ["*.c", "*.h", "*.md", "*.def", "*.y", "*.l", "*.py", "*.sh", "Makefile", "stdlib/*.deploy"]
# The words themselves, and pages generated from texts that are read here.
SKIPPED = re.compile(r"tests/voice\.py$|docs/errors\.md$|docs/stdlib/")

# Words, as the baseline names them; what they look like; what to write instead.
WORDS = [(name, re.compile(pattern), instead) for name, pattern, instead in [
    ("behind the other", r"one(?: owner's)? behind the other", "back to back (storage), concatenated (lists)"),
    ("NULL behind", r"\b(?:NULL|NUL|false|zeros|-1) behind\b", "NULL-terminated; false past the end"),
    ("behind", r"\bbehind (?!the other)(?:it|its|them|the|an?|this|that|these|another|something|which|`)", "after, past, following"),
    ("is no", r"(?<!here )\b(?:is|are) no (?!faster|longer|more|less|deeper|other|better|such)[`*A-Za-z]", "is not a, are not"),
    ("has not", r"\b(?:has|have) not\b(?! (?:been|yet|to\b|\w+ed\b))", "has no, lacks"),
    ("speaks of", r"\bspeaks? of\b", "applies to, refers to, names"),
    ("takes back", r"\b(?:takes? back|taken back|takes a rule back)\b", "suppress (a warning), cancel (a rule)"),
    ("is told", r"\b(?:is|are|not|and) told\b(?! apart)|\btells? (?:of|which)\b", "is reported, reports, identified"),
    ("of ours", r"\bof ours\b", "in deployc"),
    ("is not there", r"\b(?:is|are) not there\b|\bis there twice\b", "is missing; appears twice"),
    ("outside of", r"\b(?:out|in)side of\b", "outside, inside"),
    ("old words", r"\banew\b|\bparted\b|\bin vain\b|\bnevertheless\b|\bin its stead\b|\bfor ever\b|[Aa]t the begin\b",
     "again, separated, futile, anyway, instead, forever, at the start"),
    ("alike", r"\blies? alike\b|\branks alike\b|\bplace .{0,12} alike\b", "are stored the same way; place identically"),
    ("Gives", r"\bGives (?:the|its|an?) ", "Returns"),
    ("most tokens", r"\bmost (?:tokens|rows|arguments|R|T)\b", "max, maximum"),
    ("MOST", r"\b(?:MOST|LEAST)_|_(?:MOST|LEAST)\b|\bMOST\b", "MAX, MIN"),
    ("stands", r"\b(?:lines?|items?|strings?) stands?\b|\bstands? (?:behind|above|before|there)\b", "is, appears, comes"),
    ("blanks", r"\bblanks?\b(?! line|\()", "spaces; whitespace"),
    ("line ends", r"\bline ends?\b(?! in)", "newline"),
    ("old chapters", r"language\.md (?:section )?[0-9]", "the chapter's title"),
]]


def hits():
    """(file, words) -> the lines that match, once for each match."""
    listed = subprocess.run(["git", "ls-files", "--", *SOURCES], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = collections.defaultdict(list)
    for file in listed.split("\n"):
        if not file or SKIPPED.match(file) or not (ROOT / file).exists():
            continue
        for number, line in enumerate((ROOT / file).read_text().split("\n"), 1):
            for name, pattern, _ in WORDS:
                found[file, name] += [(number, line.strip()) for _ in pattern.finditer(line)]
    return {key: lines for key, lines in found.items() if lines}


def read_baseline():
    allowed = {}
    for line in BASELINE.read_text().split("\n"):
        if line:
            file, words = line.split(": ")
            name, count = words.rsplit(" ", 1)
            allowed[file, name] = int(count)
    return allowed


def write_baseline(allowed):
    BASELINE.write_text("".join(f"{file}: {name} {count}\n" for (file, name), count in sorted(allowed.items()) if count))


def main():
    found, allowed = hits(), read_baseline()
    instead = {name: text for name, _, text in WORDS}
    if "--all" in sys.argv:
        for (file, name), lines in sorted(found.items()):
            for number, line in lines:
                print(f"{file}:{number}: {name} => {instead[name]}\n    {line}")
        return 0
    if "--shrink" in sys.argv:
        allowed = {key: min(count, len(found.get(key, []))) for key, count in allowed.items()}
        write_baseline(allowed)
    failed = 0
    for file, name in sorted(found.keys() | allowed.keys()):
        lines, limit = found.get((file, name), []), allowed.get((file, name), 0)
        if len(lines) > limit:
            print(f"FAIL {file}: \"{name}\" {len(lines)} times, the baseline allows {limit}; write: {instead[name]}")
            print("".join(f"    {file}:{number}: {line}\n" for number, line in lines), end="")
        elif len(lines) < limit:
            print(f"FAIL {file}: \"{name}\" {len(lines)} times, the baseline still allows {limit}: tests/voice.py --shrink")
        failed += len(lines) != limit
    print(f"{len(found.keys() | allowed.keys()) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
