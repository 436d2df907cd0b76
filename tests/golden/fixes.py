#!/usr/bin/env python3
"""The edits of diagnostics. Each edit, applied alone to its wrong spec, removes its diagnostic and causes no other. The edit of
an error may cause warnings of passes that the error prevented.
Values suggested by a help text, given with -D, do the same, except for warnings.
The specs in beginner/ become clean by applying all edits offered, round by round.

    fixes.py [WORD ...]    only the files whose name contains a word
"""
import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", HERE.parents[1] / "build" / "deployc")).absolute()
ROUNDS = 5


# Behind the values of a help text stands what they do.
ADVICE = re.compile(r"((?:`[^`]+`(?: with | on |, )?)+) (?:fits|fills|holds|stays inside|replicates nothing|has room)|prompts of at most (\d+)")
RECORDS = {"cache": "workload", "batch": "workload", "stages": "plan.pipeline", "microbatches": "plan.pipeline"}


def diagnostics(path, *values):
    done = subprocess.run([DEPLOYC, "check", "--error-format=json", *values, path.name], cwd=path.parent, capture_output=True, text=True, timeout=300)
    return [d for d in map(json.loads, done.stderr.splitlines()) if not d["allowed"]]


def kinds(found):
    """The report, independent of its place."""
    return collections.Counter((d["code"], d["message"]) for d in found)


def applied(text, fixes):
    """The text after the edits; of overlapping ones only the first is applied."""
    end = len(text) + 1
    for fix in sorted(fixes, key=lambda f: (f["offset"], f["end_offset"]), reverse=True):
        if fix["end_offset"] < end:
            text = text[:fix["offset"]] + fix["replacement"].encode() + text[fix["end_offset"]:]
            end = fix["offset"]
    return text


class Copy:
    """A copy of a spec beside it, so that its imports are found."""
    def __init__(self, path):
        handle, name = tempfile.mkstemp(suffix=".fixed", prefix="fixed-", dir=path.parent)
        os.close(handle)
        self.path = pathlib.Path(name)

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        self.path.unlink()


def check_each(path):
    """(number of edits, [what is wrong])"""
    text, before, wrong, n = path.read_bytes(), diagnostics(path), [], 0
    for d in before:
        if not d["fix"]:
            continue
        n += 1
        if d["fix"]["file"] != path.name:
            wrong.append(f"{d['code']}: the edit is in {d['fix']['file']}")
            continue
        with Copy(path) as copy:
            copy.write_bytes(applied(text, [d["fix"]]))
            after = kinds(diagnostics(copy))
        gone, left = (d["code"], d["message"]), kinds(before)
        left[gone] -= 1
        if after[gone] > left[gone]:
            wrong.append(f"{d['code']} stays after its edit `{d['fix']['replacement']}`")
        wrong += [f"the edit of {d['code']} brings {code}: {message}" for code, message in after - left
                  if (code, message) != gone and (code[0] == "E" or d["code"][0] == "W")]
    return n, wrong


def suggested(text):
    """[-D options, one list for each alternative] of a help text."""
    found = []
    for match in ADVICE.finditer(text):
        if match[2]:
            found.append([f"-Dworkload.seq={match[2]}"])
            continue
        quotes = [re.sub(r"^(\w+) { (.*) }$", r"plan.\1.\2", quoted) for quoted in re.findall("`([^`]+)`", match[1])]
        values = [v.split(" = ") for quoted in quotes for v in quoted.split("; ")]
        if any(len(v) != 2 for v in values):
            continue
        found.append([f"-D{name if '.' in name or name == 'gpus' else RECORDS.get(name, 'plan') + '.' + name}={value}" for name, value in values])
    return found


def check_advice(path):
    """(number of suggestions, [what is wrong])"""
    before, wrong, n = diagnostics(path), [], 0
    codes = collections.Counter(d["code"] for d in before)
    for d in before:
        for values in suggested(d["help"] or ""):
            n += 1
            after = collections.Counter(a["code"] for a in diagnostics(path, *values))
            if after[d["code"]] >= codes[d["code"]]:
                wrong.append(f"{d['code']} stays with {' '.join(values)}")
            wrong += [f"{' '.join(values)}, suggested by {d['code']}, brings {code}" for code in after - codes if code[0] == "E"]
    return n, wrong


def check_beginner(path):
    """What is wrong, or None."""
    text = path.read_bytes()
    with Copy(path) as copy:
        for _ in range(ROUNDS):
            copy.write_bytes(text)
            found = diagnostics(copy)
            fixes = [d["fix"] for d in found if d["fix"]]
            if not found:
                return None
            if not fixes:
                break
            text = applied(text, fixes)
    return "; ".join(f"{d['code']} {d['line']}:{d['column']} {d['message']}" for d in found)


def chosen(*patterns):
    """Specs; commands of other programs, which `deployc import` reads, are none."""
    paths = sorted(p for pattern in patterns for p in HERE.glob(pattern) if b"\n// run: import " not in p.read_bytes())
    return [p for p in paths if not sys.argv[1:] or any(word in p.name for word in sys.argv[1:])]


def main():
    passed = failed = edits = suggestions = 0
    for path in chosen("*.deploy", "beginner/*.deploy"):
        n, wrong = check_each(path)
        edits += n
        if path.read_text().count("\ndeploy ") == 1:
            advised, bad = check_advice(path)
            suggestions, wrong = suggestions + advised, wrong + bad
        passed += not wrong
        failed += bool(wrong)
        for text in wrong:
            print(f"FAIL {path.name}: {text}")
    for path in chosen("beginner/*.deploy"):
        wrong = None if diagnostics(path) else "has no mistake"
        wrong = wrong or check_beginner(path)
        passed += not wrong
        failed += bool(wrong)
        if wrong:
            print(f"FAIL {path.name}: its edits leave {wrong}")
    print(f"{edits} edits, {suggestions} suggestions", file=sys.stderr)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
