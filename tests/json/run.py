#!/usr/bin/env python3
"""The documents of `--format=json` (docs/json.md): each is held to its schema in docs/schemas, and its numbers to the text that the same
command prints and to what must be true of any plan. Every member that a schema lists is in the page.

    run.py [WORD ...]    only specs whose path contains a word
"""
import json
import os
import pathlib
import re
import subprocess
import sys

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).absolute()
SCHEMAS = ROOT / "docs" / "schemas"
SPECS = [*sorted((ROOT / "samples").glob("**/*.deploy")), *sorted((ROOT / "tests" / "golden" / "good").glob("*.deploy")),
         ROOT / "tests/golden/e0701_kv_cache.deploy", ROOT / "tests/golden/many_syntax.deploy"]
KINDS = ["weights", "kv", "activations", "comm"]


def deployc(*words):
    return subprocess.run([DEPLOYC, *words], cwd=ROOT, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def document(form, *words):
    """(the document, its exit status); AssertionError: it is not one of that form."""
    done = deployc(*words, "--format=json")
    found = json.loads(done.stdout, parse_constant=lambda word: (_ for _ in ()).throw(AssertionError(f"{word} in {words}")))
    errors = sorted(jsonschema.Draft202012Validator(json.loads((SCHEMAS / f"{form}.json").read_text())).iter_errors(found), key=str)
    assert not errors, f"{errors[0].json_path}: {errors[0].message}"
    return found, done.returncode


def shown(figure):
    """Bytes as deployc prints them."""
    unit = 0
    while figure >= 1024 and unit < 5:
        figure, unit = figure / 1024, unit + 1
    return f"{figure:.1f} {'KMGTP'[unit - 1]}iB" if unit else f"{figure:.0f} B"


def same(what, one, other):
    assert one == other, f"{what}: {one} is not {other}"


# ---- plans ------------------------------------------------------------------------------------------------------------
def check_numbers(plan):
    """What must be true of any plan."""
    axes = plan["mesh"] or []
    for i, axis in enumerate(axes):
        inner = 1
        for other in axes[i + 1:]:
            inner *= other["size"]
        same(f"stride of {axis['axis']}", axis["stride"], inner)
    same("layers of the loops", sum(loop["layers"] for loop in plan["loops"]), plan["layers"])
    if plan["status"] != "scheduled":
        return
    same("ranks of the stages", sum(stage["ranks"] for stage in plan["stages"]), plan["ranks"])
    at = 0
    for stage in plan["stages"]:
        same("first layer", stage["layers"][0], at)
        at = stage["layers"][1]
        same("peak", stage["bytes"]["peak"], sum(stage["bytes"][kind] for kind in KINDS))
    same("layers of the stages", at, plan["layers"])
    for kind in [*KINDS, "peak"]:
        same(f"memory.{kind}", plan["totals"][f"memory.{kind}"], max(stage["bytes"][kind] for stage in plan["stages"]))
    device = plan["device"]
    same("usable", device["usable"], device["memory"] - device["reserve"])
    size = {axis["axis"]: axis["size"] for axis in axes}
    steps = {program["program"]: program for program in plan["step"]["programs"]}
    for one in plan["collectives"]:
        if all("." not in axis for axis in one["over"]):
            ranks = 1
            for axis in one["over"]:
                ranks *= size[axis]
            same(f"ranks of {one['cause']}", one["ranks"], ranks)
        most = {"token": steps[one["program"]]["tokens"], "row": steps[one["program"]]["rows"], "round": 1, "call": 1}.get(one["per"])
        if most is not None:
            assert abs(one["bytes"] * most - one["max_bytes"]) <= 1e-9 * one["max_bytes"], f"max_bytes of {one['cause']}"
        limit = {"layer": plan["layers"], "step": 1, "cut": len(plan["stages"]) - 1}[one["of"]]
        assert 1 <= one["times"] <= limit, f"times of {one['cause']}"
        assert one["cause"].startswith(one["kind"] + " over"), one["cause"]


def check_text(plan, text):
    """The text's figures are the document's."""
    lines = text.splitlines()
    assert lines[0].startswith(f"deploy {plan['deploy']}: "), lines[0]
    assert plan["status"] == "scheduled" or "bytes of a rank" not in text
    printed, program = [], None
    for line in lines:
        if match := re.match(r"  collectives of (\w+)", line):
            program = match[1]
        elif match := re.match(r"    (\S+ ?\S*) {1,}([\d.]+ [KMGTP]?i?B)(?: an? (\w+))?(?: in use)?  (\w+ over .*)", line):
            printed.append((program, match[1].strip(), match[2], match[3], match[4]))
    same("lines of collectives", len(printed), len(plan["collectives"]))
    for line, one in zip(printed, plan["collectives"]):
        same("collective", (line[0], line[2], line[3] or "call", line[4]), (one["program"], shown(one["bytes"]), one["per"], one["cause"]))
        same(f"how often {one['cause']}", *(("once", line[1]) if one["of"] == "step" else
                                            (True, line[1] in (f"each {one['of']}", f"{one['times']} {one['of']}{'s' * (one['times'] != 1)}"))))
    stages = {}
    for match in re.finditer(r"^    stages? (\d+)(?:\.\.(\d+))? +(.*)$", text, re.M):
        for i in range(int(match[1]), int(match[2] or match[1]) + 1):
            stages[i] = re.findall(r"[\d.]+ [KMGTP]?i?B", match[3])
    for stage in plan["stages"]:
        same(f"bytes of stage {stage['stage']}", stages[stage["stage"]], [shown(stage["bytes"][kind]) for kind in [*KINDS, "peak"]])
    for name, word in [("total.weights", "weights "), ("total.kv", "positions, ")]:
        if name in plan["totals"] and not plan["workload"]["training"]:
            assert word + shown(plan["totals"][name]) in text, name


def check_plan(spec):
    text = deployc("plan", str(spec.relative_to(ROOT)))
    if "has no deployment" in text.stderr:
        same("status of a file without deployments", deployc("plan", str(spec), "--format=json").returncode, 1)
        return
    found, status = document("plan", "plan", str(spec.relative_to(ROOT)))
    same("exit status", status, text.returncode)
    same("spec", found["spec"], str(spec.relative_to(ROOT)))
    texts = re.split(r"^(?=deploy )", text.stdout, flags=re.M)[1:]
    same("deployments", len(texts), len(found["plans"]))
    for plan, part in zip(found["plans"], texts):
        check_numbers(plan)
        check_text(plan, part)


# ---- the page ---------------------------------------------------------------------------------------------------------
def members(schema):
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from members(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from members(value)


def check_page(path):
    page = (ROOT / "docs" / "json.md").read_text()
    jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text()))
    missing = sorted({name for name in members(json.loads(path.read_text())) if f"`{name}`" not in page})
    assert not missing, f"docs/json.md does not name {', '.join(missing)}"


def main(words):
    tests = [(f"page of {path.name}", lambda path=path: check_page(path)) for path in sorted(SCHEMAS.glob("*.json"))]
    tests += [(f"plan {path.relative_to(ROOT)}", lambda path=path: check_plan(path)) for path in SPECS]
    passed = failed = 0
    for name, test in tests:
        if words and not any(word in name for word in words):
            continue
        try:
            test()
            passed += 1
        except (AssertionError, KeyError, ValueError) as wrong:
            failed += 1
            print(f"FAIL {name}: {type(wrong).__name__} {wrong}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
