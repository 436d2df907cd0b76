#!/usr/bin/env python3
"""Mistakes that people make: 30 of beginners, 20 of those who come from vLLM, SGLang, Megatron, DeepSpeed, torchtitan or Kubernetes. The first
line of each spec says what its author meant; it is not part of the spec. Only the edits that the compiler prints are applied, round by round.
Then the spec has to be clean, but for those in DECISIONS, whose message must say what the author has to decide.

    run.py [WORD ...]    only the specs whose name contains a word; -v shows the last text and what is left
"""
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", HERE.parents[1] / "build" / "deployc")).absolute()
ROUNDS = 8
BEGINNERS, ENGINES, CLEAN = 30, 20, 40

# By name: words that the messages left after the last round must have, and nothing else may be left.
DECISIONS = {
    "minus_one_node": ["a level joins at least 1 unit", "`nodes` = -1"],
    "too_large_for_one_gpu": ["does not fit", "`tp = 4` with `gpus = 4` fits"],
    "deepspeed_json": ["this is JSON", "with a model: it is not stated"],
    "megatron_words": ["the pipeline's cuts over `pp` cross `fabric`", "say so, `// deploy: allow W0607 reason`"],
    "torchtitan_toml": ["this is TOML", "with a model: `std.models` has no `llama3-8B`"],
    "vllm_quantization": ["weights with scales are not built", "plan the model in bf16"],
}


def diagnostics(text):
    done = subprocess.run([DEPLOYC, "check", "--error-format=json", "-"], input=text, capture_output=True, timeout=20)
    if done.returncode not in (0, 1):
        raise SystemExit(f"deployc ends with {done.returncode}:\n{done.stderr.decode()}")
    return [d for d in map(json.loads, done.stderr.splitlines()) if not d["allowed"]]


def applied(text, fixes):
    """The text after the edits; of overlapping ones only the first is applied."""
    done, end = [], 0
    for fix in sorted(fixes, key=lambda f: (f["offset"], f["end_offset"])):
        if fix["offset"] >= end:
            done.append(fix)
            end = fix["end_offset"]
    for fix in reversed(done):
        text = text[:fix["offset"]] + fix["replacement"].encode() + text[fix["end_offset"]:]
    return text


def mended(text):
    """The text after all rounds, the diagnostics left, and how many rounds had edits."""
    for rounds in range(ROUNDS + 1):
        found = diagnostics(text)
        fixes = [d["fix"] for d in found if d["fix"]]
        if not fixes or rounds == ROUNDS:
            return text, found, rounds
        text = applied(text, fixes)


def left(found):
    return "\n".join(f"    {d['code']} {d['line']}:{d['column']} {d['message']}" + (f" [{d['help']}]" if d["help"] else "") for d in found)


def judge(path, verbose):
    """(clean by edits alone?, what is wrong or None)"""
    text = path.read_bytes().split(b"\n", 1)[1]
    if not diagnostics(text):
        return False, "has no mistake"
    text, found, rounds = mended(text)
    if verbose:
        print(f"---- {path.name}: {rounds} rounds\n{text.decode()}{left(found)}")
    decision = DECISIONS.get(path.stem)
    if decision is None:
        return not found, "its edits leave\n" + left(found) if found else None
    said = " ".join(f"{d['message']} {' '.join(d['notes'])} {d['help']}" for d in found)
    missing = [word for word in decision if word not in said]
    if not found:
        return True, "is clean by edits alone: take it from the list of decisions"
    return False, f"the message lacks {missing}:\n" + left(found) if missing else None


def main():
    words = [a for a in sys.argv[1:] if a != "-v"]
    passed = failed = clean = 0
    folders = {}
    for folder in ("beginner", "engines"):
        paths = sorted((HERE / folder).glob("*.deploy"))
        folders[folder] = len(paths)
        for path in paths:
            if words and not any(word in path.stem for word in words):
                continue
            ok, wrong = judge(path, "-v" in sys.argv)
            clean += ok
            passed += not wrong
            failed += bool(wrong)
            if wrong:
                print(f"FAIL {folder}/{path.name}: {wrong}")
    if not words:
        wrong = folders != {"beginner": BEGINNERS, "engines": ENGINES} or clean < CLEAN
        print(f"{clean} of {sum(folders.values())} mistakes are clean after the printed edits alone, at least {CLEAN} must be")
        passed, failed = passed + (not wrong), failed + wrong
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
