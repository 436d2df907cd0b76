#!/usr/bin/env python3
"""The documents of `--format=json` (docs/json.md): each is held to its schema in docs/schemas, and its numbers to the text that the same
command prints and to what must be true of any plan. Every member that a schema lists is in the page.

    run.py [WORD ...]    only specs whose path contains a word
"""
import html
import html.parser
import itertools
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile

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


def near(what, one, other, scale=1e-9):
    assert abs(one - other) <= scale * max(abs(one), abs(other)) + 1e-15, f"{what}: {one} is not {other}"


def joined(parts):
    busy = [parts[name] for name in ("compute", "memory", "link")]
    return parts["launch"] + (sum(x ** 4 for x in busy) ** 0.25 if parts["smooth"] else max(busy)) + parts["more"]


def check_step(step):
    """Parts add up, nothing runs on one queue at the same time, and nothing is faster than its floor."""
    stages = [0.0] * len(step["stages"])
    for one in step["lists"]:
        busy = {"compute": 0.0, "communication": 0.0}
        ends = {}
        for term in one["terms"]:
            took = term["end"] - term["start"]
            near(f"parts of {term['what']}", took, joined(term["parts"]))
            kernel = term["kind"] in ("passes over rows", "products", "products of experts", "attention")
            busy["compute" if kernel else "communication"] += took * term["rounds"]
            assert took >= max(term["floor"].values()) * (1 - 1e-9) - 1e-15, f"{term['what']} is faster than its floor"
            assert term["start"] >= ends.get(term["queue"], 0.0) - 1e-15, f"{term['what']} starts too early on {term['queue']}"
            ends[term["queue"]] = term["end"]
        near("kernels of a list", one["compute"], busy["compute"])
        near("collectives of a list", one["communication"], busy["communication"])
        assert one["seconds"] >= max(busy.values()) * (1 - 1e-9), "a list is shorter than what one of its queues does"
        assert one["seconds"] <= (sum(busy.values()) + one["host"]) * (1 + 1e-9) + 1e-15, "a list is longer than all that it does"
        for i, times in enumerate(one["times"]):
            stages[i] += times * one["seconds"]
    for i, seconds in enumerate(stages):
        near(f"stage {i}", seconds, step["stages"][i])
    whole = sum(stages) + (step["microbatches"] - 1) * max(stages)
    near("the step", step["seconds"], whole + step["fixed"])
    near("the bubble", step["bubble"], 1 - step["microbatches"] * sum(stages) / (len(stages) * whole) if len(stages) > 1 else 0, 1e-6)
    assert step["floor"] <= step["seconds"] * (1 + 1e-9), "a step is faster than its floor"


def check_times(times):
    for name, metric in times["metrics"].items():
        if metric["value"] is None:
            assert metric["lacks"] or times["lacks"], f"{name} has no value and lacks nothing"
            continue
        low, high = metric["interval80"]
        wide_low, wide_high = metric["interval90"]
        assert wide_low <= low <= high <= wide_high, f"intervals of {name}"
        if metric["bound"] is not None and "throughput" in name:
            assert metric["value"] <= metric["bound"] * (1 + 1e-9) and wide_high <= metric["bound"] * (1 + 1e-9), f"{name} surpasses its bound"
        elif metric["bound"] is not None and name in ("ttft", "tpot"):
            assert metric["value"] >= metric["bound"] * (1 - 1e-9) and wide_low >= metric["bound"] * (1 - 1e-9), f"{name} surpasses its bound"
    for step in times["steps"]:
        check_step(step)


def check_grid(plan, text):
    """Each rank of the grid is where its coordinates and its unit of the innermost level say."""
    axes = {axis["axis"]: axis for axis in plan["mesh"]}
    lines = text.split("\n  ranks on ")[1].split("\n\n")[0].split("\n")[1:]
    heads = {line.split()[0]: {match.end(): int(match[0]) for match in re.finditer(r"(?<= )\d+", line)} for line in lines if "|" not in line and "like these" not in line}
    seen = set()
    for label, row in (line.split("|") for line in lines if "|" in line):
        cells = {len(label) + 1 + match.end(): int(match[0]) for match in re.finditer(r"\d+", row)}
        first, last = min(cells.values()), max(cells.values())
        same("a row", sorted(cells.values()), list(range(first, last + 1)))
        for name, number in re.findall(r"([A-Za-z_]\w*) (\d+)", label):
            same(f"{name} of rank {first}", coordinate(first, axes[name]) if name in axes else first // plan["levels"][0]["count"], int(number))
            assert name in axes or name == plan["levels"][0]["level"], name
        for name, columns in heads.items():
            for end, rank in cells.items():
                number = columns[max(at for at in columns if at <= end)]
                start = 0 if coordinate(first, axes[name]) == 0 or f" {name} {coordinate(first, axes[name])}+" not in label else coordinate(first, axes[name])
                same(f"{name} of rank {rank}", coordinate(rank, axes[name]), start + number)
        seen |= set(cells.values())
    same("ranks", (min(seen), max(seen)), (0, plan["ranks"] - 1))
    assert "rows like these" in text or len(seen) == plan["ranks"], f"{len(seen)} ranks of {plan['ranks']}"


def check_bars(plan, text):
    """Each sign of a bar stands for a 60th of what a bar is."""
    bars = re.findall(r"^    stages? (\d+)\S* +([a-z.]{60}) +([\d.]+)%$", text, re.M)
    stages = plan["training"]["stages"] if plan["training"] else plan["stages"]
    names = re.search(r"^    a bar is (.*), (what is usable|the fullest rank): (.*)$", text, re.M)
    kinds = [word.split()[0] for word in names[3].split(", ")]
    peak = max(stage["bytes"]["peak"] for stage in stages)
    scale = plan["device"]["usable"] if names[2] == "what is usable" else peak
    same("scale", shown(scale), names[1])
    for first, bar, percent in bars:
        found = stages[int(first)]["bytes"]
        for sign, figure in zip(kinds, found.values()):
            assert abs(bar.count(sign) - 60 * figure / scale) <= 1, f"{sign} of stage {first}"
        assert bar == "".join(sign * bar.count(sign) for sign in [*kinds, "."]), bar
        same("share of a bar", percent, f"{100 * found['peak'] / scale:.1f}")


def check_pictures(plan, text):
    if plan["status"] in ("scheduled", "training"):
        check_bars(plan, text)
        if plan["ranks"] > 1:
            check_grid(plan, text)
    goals = re.findall(r"^    (\w+) +(require|assert) +(.*)$", text.split("\n  goals\n")[-1], re.M) if "\n  goals\n" in text else []
    same("goals", len(goals), len(plan["goals"]) if plan["status"] != "open" or goals else 0)
    for (verdict, kind, line), goal in zip(goals, plan["goals"]):
        same("goal", (verdict, kind), (goal["verdict"], goal["kind"]))
        assert line == goal["text"] or line.endswith("...") and goal["text"].startswith(line[:-3]), line
    names = [plan["deploy"], plan["model"] or "", plan["cluster"] or ""]
    for line in text.splitlines():
        assert len(line) <= 100 or line.startswith(("deploy ", "  layers", "  times", "  ranks on")) or " over " in line or any(len(name) > 20 for name in names), line


def check_text(plan, text):
    """The text's figures are the document's."""
    lines = text.splitlines()
    assert lines[0].startswith(f"deploy {plan['deploy']}: "), lines[0]
    assert plan["status"] in ("scheduled", "training") or "bytes of a rank" not in text
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
                                            (f"each {one['of']}" if one["times"] == (plan["layers"] if one["of"] == "layer" else len(plan["stages"]) - 1)
                                             else f"{one['times']} {one['of']}{'s' * (one['times'] != 1)}", line[1])))
    stages = {}
    for match in re.finditer(r"^    stages? (\d+)(?:\.\.(\d+))? +(.*)$", text, re.M):
        for i in range(int(match[1]), int(match[2] or match[1]) + 1):
            stages.setdefault(i, re.findall(r"[\d.]+ [KMGTP]?i?B", match[3]))
    for stage in plan["stages"]:
        same(f"bytes of stage {stage['stage']}", stages[stage["stage"]], [shown(stage["bytes"][kind]) for kind in [*KINDS, "peak"]])
    for stage in plan["training"]["stages"] if plan["training"] else []:
        same(f"bytes of stage {stage['stage']}", stages[stage["stage"]], [shown(figure) for figure in stage["bytes"].values()])
    for name, word in [("total.weights", "weights "), ("total.kv", "positions, ")]:
        if name in plan["totals"] and not plan["workload"]["training"]:
            assert word + shown(plan["totals"][name]) in text, name


def check_serve(serve, text):
    """What must be true of any two pools; the text's figures are the document's."""
    assert text.startswith(f"serve {serve['serve']}: "), text[:60]
    if serve["unplanned"]:
        assert serve["unplanned"] in text
        return
    pools = serve["pools"].values()
    same("devices", serve["devices"], sum(pool["units"] * pool["ranks"] for pool in pools))
    for pool in pools:
        assert pool["placed"][1] - pool["placed"][0] >= pool["units"] * pool["ranks"], "units share a device"
    for one in (serve["longest"], serve["shortest"]):
        assert one["windows"] <= one["bytes"] <= one["moved"] <= one["senders"] * one["sent"] * (1 + 1e-12)
        assert one["moved"] <= one["receivers"] * one["received"] * (1 + 1e-12)
        assert 1 <= one["targets"] <= one["receivers"] and 1 <= one["sources"] <= one["senders"]
    assert serve["shortest"]["bytes"] <= serve["longest"]["bytes"]
    for figure in (serve["longest"]["bytes"], serve["longest"]["sent"], serve["longest"]["received"]):
        assert shown(figure) in text, figure
    metrics, sending = serve["metrics"], serve["sending"]
    if metrics["throughput.sequences"]["value"] is None:
        assert serve["lacks"] or metrics["throughput.sequences"]["lacks"]
        return
    each = [min(pool["rate"]["value"], pool["links"]["value"]) * pool["units"] for pool in pools]
    near("the slower pool", metrics["throughput.sequences"]["value"], min(each))
    near("first token", metrics["ttft"]["value"], sending[serve["send"]]["ready"]["value"] + metrics["tpot"]["value"])
    assert sending["whole"]["ready"]["value"] >= sending["layers"]["ready"]["value"] - 1e-3, "sending by layers is later"
    for name in ("throughput.sequences", "ttft", "tpot"):
        assert metric_shown(name, metrics[name]["value"]) in text, name


def check_share(share, plans, text):
    """The fullest device holds the sum of its ranks; rates are those alone, by the turns."""
    assert text.startswith(f"share {share['share']}: "), text[:60]
    if share["unplanned"]:
        assert share["unplanned"] in text
        return
    for kind in [*KINDS, "peak"]:
        same(kind, share["bytes"][kind], sum(one["bytes"][kind] for one in share["of"]))
    assert shown(share["bytes"]["peak"]) in text
    alone = {plan["deploy"]: plan for plan in plans}
    for name in ("throughput", "throughput.sequences"):
        each = [one["turn"] and alone[one["deploy"]]["times"]["metrics"][name]["value"] for one in share["of"]]
        if any(one is None for one in each):
            assert share["metrics"][name]["value"] is None and share["metrics"][name]["lacks"], name
            continue
        for one, rate in zip(share["of"], each):
            near(f"{name} of {one['deploy']}", one[name]["value"], one["turn"] * rate)
        near(name, share["metrics"][name]["value"], sum(one["turn"] * rate for one, rate in zip(share["of"], each)))


def check_plan(spec):
    text = deployc("plan", str(spec.relative_to(ROOT)))
    if "has no deployment" in text.stderr:
        same("status of a file without deployments", deployc("plan", str(spec), "--format=json").returncode, 1)
        return
    found, status = document("plan", "plan", str(spec.relative_to(ROOT)))
    same("exit status", status, text.returncode)
    same("spec", found["spec"], str(spec.relative_to(ROOT)))
    texts = re.split(r"^(?=(?:deploy|serve|share) )", text.stdout, flags=re.M)[1:]
    same("deployments", len(texts), len(found["plans"]) + len(found["serves"]) + len(found["shares"]))
    together = [part for part in texts if part.startswith("share ")]
    for share, part in zip(found["shares"], together):
        check_share(share, found["plans"], part)
    texts = [part for part in texts if part not in together]
    for serve, part in zip(found["serves"], texts[len(found["plans"]):]):
        check_serve(serve, part)
    for plan, part in zip(found["plans"], texts):
        check_numbers(plan)
        if plan["times"]:
            check_times(plan["times"])
        check_text(plan, part)
        check_pictures(plan, part)


# ---- graphs -----------------------------------------------------------------------------------------------------------
def coordinate(rank, axis):
    return rank // axis["stride"] % axis["size"]


def check_groups(edge, nodes, axes):
    """Nodes of one group differ only in the axes of the edge, and are all that do."""
    over = {name.split(".")[0] for name in edge["over"]}
    whole = all("." not in name for name in edge["over"])
    same("nodes in groups", sorted(name for group in edge["groups"] for name in group), sorted(nodes))
    for group in edge["groups"]:
        for name in group:
            others = {other for other, node in nodes.items()
                      if all(coordinate(node["rank"], axis) == coordinate(nodes[name]["rank"], axis) for axis in axes if axis["axis"].split(".")[0] not in over)}
            assert set(group) <= others, f"{name} in a group of {edge['cause']}"
            assert not whole or set(group) == others, f"{name} in a group of {edge['cause']}: {sorted(others)}"


def check_pairs(edge, graph, run):
    """Each node of the run sends to the one of the same coordinates: its own between equal stages, else of the next run."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    starts = {one["stage"] for one in graph["stages"]}
    same("senders", sorted(pair[0] for pair in edge["groups"]), sorted(name for name in nodes if nodes[name]["stage"] == run["stage"]))
    for one, other in edge["groups"]:
        same("coordinates of a pair", nodes[one]["coordinates"], nodes[other]["coordinates"])
        to = nodes[other]["stage"]
        assert to == run["stage"] and run["count"] > 1 or to == run["stage"] + run["count"] and to in starts, f"{one} sends to {other}"


def check_graph(name, *words, large=False):
    graph, status = document("graph", "graph", *words)
    plan = next(plan for plan in document("plan", "plan", words[0], *(word for word in words[1:] if not word.startswith("--deploy")))[0]["plans"]
                if plan["deploy"] == graph["deploy"])
    runs = {run["stage"]: run for run in graph["stages"]}
    same("ranks of the nodes", sum(node["ranks"] for node in graph["nodes"]), plan["ranks"])
    same("ids", len({node["id"] for node in graph["nodes"]}), len(graph["nodes"]))
    assert len(graph["nodes"]) <= max(64, len(runs)), f"{len(graph['nodes'])} nodes"
    assert not large or len(json.dumps(graph)) < 100_000, "a graph that grows with ranks"
    for node in graph["nodes"]:
        for axis in graph["axes"]:
            same(f"coordinate of {node['id']}", coordinate(node["rank"], axis), node["coordinates"].get(axis["axis"], 0))
    counted = {}
    for edge in graph["edges"]:
        run = runs[edge["stage"]]
        if edge["kind"] == "send":
            check_pairs(edge, graph, run)
            if edge["groups"][0][0] != edge["groups"][0][1]:
                counted[edge["program"], edge["cause"]] = counted.get((edge["program"], edge["cause"]), 0) + edge["times"] * run["count"]
            continue
        check_groups(edge, {node["id"]: node for node in graph["nodes"] if node["stage"] == edge["stage"]}, graph["axes"])
        counted[edge["program"], edge["cause"]] = counted.get((edge["program"], edge["cause"]), 0) + edge["times"] * run["count"]
    listed = {}
    for one in plan["collectives"]:
        if one["kind"] != "recv":
            listed[one["program"], one["cause"]] = listed.get((one["program"], one["cause"]), 0) + one["times"]
    for key in listed.keys() | counted.keys():
        often = [one["of"] for one in plan["collectives"] if (one["program"], one["cause"]) == key]
        if "step" not in often:                 # what all stages compute from inputs runs on each of them
            same(f"runs of {key[1]} in {key[0]}", counted.get(key), listed.get(key))
    check_graph_times(graph, plan)
    check_dot(graph, *words)


def check_joint_graph(spec, name, kind):
    """The graphs are those of the deployments; what is handed over is what the plan says."""
    joint, plan = document("graph", "graph", spec, f"--deploy={name}")[0], document("plan", "plan", spec, f"--deploy={name}")[0]
    said = next(one for one in plan[f"{kind}s"] if one[kind] == name)
    for graph in joint["graphs"]:
        alone = document("graph", "graph", spec, f"--deploy={graph['deploy']}")[0]
        same(f"graph of {graph['deploy']}", {key: value for key, value in graph.items() if key != "units"},
             {key: value for key, value in alone.items() if key not in ("format", "version", "spec")})
    same("members", len({graph["deploy"] for graph in joint["graphs"]}), len(joint["graphs"]))
    if kind == "serve":
        same("units", [graph["units"] for graph in joint["graphs"]], [said["pools"][side]["units"] for side in ("prefill", "decode")])
        same("bytes", joint["handover"]["bytes"], said["longest"]["bytes"])
    drawn = deployc("graph", spec, f"--deploy={name}").stdout
    done = subprocess.run(["dot", "-Tplain"], input=drawn, capture_output=True, text=True, timeout=60)
    same("what dot says", (done.returncode, done.stderr), (0, ""))
    same("boxes", len(set(re.findall(r"subgraph (\w+)", drawn))), sum(1 + len(graph["stages"]) for graph in joint["graphs"]))
    same("an edge between them", "lhead" in drawn, kind == "serve")


def check_graph_times(graph, plan):
    """Stages take what the steps say, and collectives outside exchanges add up to those of the stages' lists."""
    steps = {step["program"]: step for step in plan["times"]["steps"]}
    for run in graph["stages"]:
        same("seconds of a stage", run["seconds"], {name: steps[name]["stages"][run["stage"]] if name in steps else None for name in run["seconds"]})
        for name, step in steps.items():
            terms = sum(one["times"][run["stage"]] * (term["end"] - term["start"]) for one in step["lists"] for term in one["terms"]
                        if term["kind"] in ("collectives", "messages between stages"))
            edges = [edge for edge in graph["edges"] if edge["program"] == name and edge["stage"] == run["stage"]]
            edges = [edge for edge in edges if edge["kind"] != "send" or (edge["groups"][0][0] == edge["groups"][0][1]) == (run["count"] > 1)]
            took = sum(edge["times"] * edge["seconds"] for edge in edges if edge["kind"] != "all_to_all")
            near(f"collectives of {name} on stage {run['stage']}", took, terms, 1e-6)


def check_dot(graph, *words):
    """graphviz reads the picture without a word, and it has every rank that the document names first."""
    done = deployc("graph", *words)
    drawn = subprocess.run(["dot", "-Tplain"], input=done.stdout, capture_output=True, text=True, timeout=60)
    same("what dot says", (drawn.returncode, drawn.stderr), (0, ""))
    for node in graph["nodes"]:
        word = f"rank {node['rank']}<" if node["ranks"] == 1 else f"first: {node['rank']}<"
        assert word in done.stdout or node["ranks"] > 1, f"{node['id']} is not drawn"
    for run in graph["stages"]:
        assert f"<B>stage{'s' * (run['count'] > 1)} {run['stage']}" in done.stdout, f"stage {run['stage']} is not drawn"


LARGE = ["samples/mixtral_8x22b.deploy", *(word for value in (
    "cluster.nodes=12288", "plan.pp=8", "plan.dp=768", "plan.ep=4", "plan.tp=4", "workload.batch=24576", "plan.pipeline.microbatches=8") for word in ("-D", value))]
GRAPHS = {name: [f"{name.split(' ')[0]}.deploy", *(f"--deploy={deploy}" for deploy in name.split(" ")[1:])] for name in (
    "samples/tiny_llama", "samples/tiny_mixtral", "samples/quickstart", "samples/plan001 Folded", "samples/plan001 Independent", "samples/plans/plan002", "samples/plans/plan002_corrected",
    "samples/mixtral_8x22b", "tests/golden/good/two_loops Cut", "tests/golden/good/windows",
    "tests/golden/good/layouts_and_counts", "tests/golden/good/shared_windows", "tests/golden/good/plan003", "samples/plans/plan003")}


# ---- comparisons ------------------------------------------------------------------------------------------------------
def codes(spec, *words):
    """The codes that `check` prints: (errors, warnings)."""
    found = sorted({json.loads(line)["code"] for line in deployc("check", spec, "--error-format=json", *words).stderr.splitlines()
                    if not json.loads(line)["allowed"]})
    return [code for code in found if code[0] == "E"], [code for code in found if code[0] == "W"]


def plan_of(spec, *words):
    plans = document("plan", "plan", spec, *words)[0]["plans"]
    return plans[0] if plans else None


def runs_of(plan):
    """{(program, kind, over, region): (runs, bytes)}, from the document of a plan."""
    found = {}
    for one in plan["collectives"]:
        key = one["program"], one["kind"], "*".join(one["over"]) or "one rank", one["region"]
        runs, size = found.get(key, (0, 0))
        more = one["times"] * plan["step"]["microbatches"]
        found[key] = runs + more, size + more * one["max_bytes"]
    return found


def predictions(plan):
    """The metrics of a plan's document that have a value."""
    metrics = plan["times"]["metrics"] if plan["times"] else {}
    return {name: {"value": one["value"], "interval80": one["interval80"]} for name, one in metrics.items() if one["value"] is not None}


def check_diff(a, b, values):
    """values: of -D, for b. With b None, it is a with these values."""
    sets = [word for path, value in values.items() for word in ("-D", f"{path}={value}")]
    diff, status = document("diff", "diff", a, *([b] if b else []), *sets)
    sides = {"a": (a, []), "b": (b or a, sets)}
    plans = {}
    for side, (spec, words) in sides.items():
        errors, warnings = codes(spec, *words)
        same(f"codes of {side}", (diff[side]["errors"], diff[side]["warnings"]), (errors, warnings))
        plans[side] = plan_of(spec, *words)
    same("status", status, int(any(diff[side]["errors"] for side in sides)))
    for side, plan in plans.items():
        totals = {one["total"]: one[side] for one in diff["totals"] if one[side] is not None}
        if plan:
            same(f"totals of {side}", totals, plan["totals"] | ({"ranks": plan["ranks"]} if plan["ranks"] else {}))
            listed = {(one["program"], one["kind"], one["over"], one["region"]): (one[side]["runs"], one[side]["bytes"])
                      for one in diff["collectives"] if one[side]["runs"]}
            same(f"collectives of {side}", listed, runs_of(plan))
            same(f"metrics of {side}", {one["metric"]: one[side] for one in diff["metrics"] if one[side]}, predictions(plan))
    paths = {one["path"]: one for one in diff["settings"]}
    for path, value in values.items():
        same(path, paths[path]["b"], value)
    for one in diff["settings"]:
        assert one["a"] != one["b"], f"{one['path']} does not differ"
    if not b and not any(path.startswith("model") for path in values):
        assert not [path for path in paths if path.startswith("model.")], "settings of the same model"
    text = deployc("diff", a, *([b] if b else []), *sets).stdout
    for one in diff["settings"][:40]:
        assert f"{one['path']} " in text and f"{one['a'] or '-'} -> {one['b'] or '-'}" in text, one["path"]
    for one in diff["totals"]:
        if one["total"].startswith("memory.") and one["total"] != "memory.headroom" and one["a"] and one["b"]:
            assert re.search(rf"^    {re.escape(one['total'])} +{re.escape(shown(one['a']))} +{re.escape(shown(one['b']))}", text, re.M), one["total"]


def check_what_if(spec, ranges, fixed=()):
    sets = [word for path, values in ranges.items() for word in ("-D", f"{path}={','.join(values)}")]
    table, status = document("what-if", "what-if", spec, *sets)
    combinations = list(itertools.product(*ranges.values()))
    same("rows", [tuple(row["values"].values()) for row in table["rows"]], combinations)
    for row in table["rows"]:
        words = [word for path, value in row["values"].items() for word in ("-D", f"{path}={value}")]
        same(f"codes of {words}", (row["errors"], row["warnings"]), codes(spec, *words))
        plan = plan_of(spec, *words)
        if plan:
            same(f"totals of {words}", (row["totals"], row["ranks"]), (plan["totals"], plan["ranks"]))
            if plan["times"]:
                same(f"metrics of {words}", row["metrics"], predictions(plan))
        same(f"fits {words}", row["fits"], bool(plan and plan["status"] in ("scheduled", "training") and not row["errors"]))
    same("status", status, int(all(row["errors"] for row in table["rows"])))
    text = deployc("what-if", spec, *sets).stdout.splitlines()
    same("lines", len(text), len(combinations) + 3 + any({"ttft", "step_time"} & set(row["metrics"]) for row in table["rows"]))
    for line, row in zip(text[2:], table["rows"]):
        same("values in a line", line.split()[:len(ranges)], list(row["values"].values()))
        assert not row["fits"] or shown(row["totals"]["memory.peak"]) in line and "fits" in line, line
        assert line.endswith(" ".join(row["errors"] + row["warnings"])), line


COMPARISONS = {
    "diff of a mesh": lambda: check_diff("samples/tiny_mixtral.deploy", None, {"plan.tp": "4", "plan.ep": "1"}),
    "diff of microbatches": lambda: check_diff("samples/mixtral_8x22b.deploy", None, {"plan.pipeline.microbatches": "4"}),
    "diff of two specs": lambda: check_diff("samples/tiny_llama.deploy", "samples/tiny_mixtral.deploy", {}),
    "diff of a batch": lambda: check_diff("samples/quickstart.deploy", None, {"workload.batch": "64"}),
    "diff of a format": lambda: check_diff("samples/quickstart.deploy", None, {"model.weight": "fp8_e4m3"}),
    "diff with what does not fit": lambda: check_diff("samples/quickstart.deploy", None, {"workload.batch": "4096"}),
    "diff with a mistake": lambda: check_diff("samples/quickstart.deploy", None, {"plan.tp": "3"}),
    "what-if of a mesh": lambda: check_what_if("samples/quickstart.deploy", {"plan.tp": ["2", "4", "8"], "plan.ep": ["1", "2", "4"]}),
    "what-if of ranges and lists": lambda: check_what_if("samples/mixtral_8x22b.deploy", {
        "workload.seq": ["128..1024", "128..8192"], "plan.pipeline.stages": ["[28,28]", "[20,36]"]}),
    "what-if of training": lambda: check_what_if("tests/golden/good/steps_of_training.deploy", {"plan.pipeline.microbatches": ["4", "8"]}),
    "diff of training": lambda: check_diff("tests/golden/good/steps_of_training.deploy", None, {"plan.tp": "4", "plan.dp": "16"}),
    "what-if of nothing that fits": lambda: check_what_if("samples/quickstart.deploy", {"workload.batch": ["4096", "8192"]}),
}


# ---- traces -----------------------------------------------------------------------------------------------------------
def check_trace(*words, cut=False):
    plan = plan_of(*words)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "trace.json")
        same("status", deployc("trace", *words, "-o", str(path)).returncode, 0)
        trace = json.loads(path.read_text())
    errors = list(jsonschema.Draft202012Validator(json.loads((SCHEMAS / "trace.json").read_text())).iter_errors(
        trace | {"traceEvents": trace["traceEvents"][:300]}))
    assert not errors, f"{errors[0].json_path}: {errors[0].message}"
    steps = plan["times"]["steps"]
    same("seconds", [trace["otherData"][f"{step['program']}_seconds"] for step in steps], [step["seconds"] for step in steps])
    stages, events = len(plan["stages"]), [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert len(events) <= 200_000, f"{len(events)} events"
    same("stages", {event["pid"] for event in events}, set(range(stages)))
    tracks = {}
    for event in events:
        tracks.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["ts"] + event["dur"]))
    for track, spans in tracks.items():
        spans.sort()
        for one, other in zip(spans, spans[1:]):
            assert one[1] <= other[0] + 1e-6 * max(1, other[0]), f"events of {track} overlap at {other[0]} us"
    origin = 0.0
    for step in steps:
        own = [event for event in events if event["cat"] == "layers" and event["name"].startswith(f"{step['program']}, ")]
        drawn = {event["args"]["microbatch"] for event in own}
        assert cut or drawn == set(range(step["microbatches"])), f"microbatches of {step['program']}: {sorted(drawn)}"
        for stage, seconds in enumerate(step["stages"]):
            lists = [event for event in own if event["pid"] == stage]
            near(f"time of stage {stage} in {step['program']}", sum(event["dur"] for event in lists) / 1e6, len(drawn) * seconds)
            numbers = sorted(int(event["name"].rsplit(" ", 1)[1]) for event in lists if ", layer " in event["name"])
            same(f"layers of stage {stage}", numbers, sorted(list(range(*plan["stages"][stage]["layers"])) * len(drawn)))
        near("start", min(event["ts"] for event in own) / 1e6, origin + step["fixed"], 1e-6)
        if not cut:
            near("end", max(event["ts"] + event["dur"] for event in own) / 1e6, origin + step["seconds"], 1e-6)
        origin += step["seconds"]


TRACES = {f"trace of {words[0]}": lambda words=words: check_trace(*words) for words in (
    ["samples/quickstart.deploy"], ["samples/mixtral_8x22b.deploy"], ["tests/golden/good/windows.deploy"])}
def order_of(schedule, stages, m, chunks, stage):
    """The order of a stage as those who published it say: (program, microbatch, chunk)."""
    def turn(k, backward):
        chunk, microbatch = k // stages % chunks, k // (stages * chunks) * stages + k % stages
        return ("backward" if backward else "forward", microbatch if chunks > 1 else k, (chunks - 1 - chunk if backward else chunk) if chunks > 1 else 0)
    runs = m * chunks
    ahead = {"fill_drain": runs, "one_f_one_b": min(stages - 1 - stage, runs),
             "interleaved": min(runs, 2 * (stages - 1 - stage) + (chunks - 1) * stages)}[schedule]
    order = [turn(k, False) for k in range(ahead)]
    for k in range(runs - ahead):
        order += [turn(ahead + k, False), turn(k, True)]
    return order + [turn(k, True) for k in range(runs - ahead, runs)]


def check_training_trace(*words, cut=False):
    plan = plan_of(*words)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "trace.json")
        same("status", deployc("trace", *words, "-o", str(path)).returncode, 0)
        trace = json.loads(path.read_text())
    errors = list(jsonschema.Draft202012Validator(json.loads((SCHEMAS / "trace.json").read_text())).iter_errors(trace | {"traceEvents": trace["traceEvents"][:300]}))
    assert not errors, f"{errors[0].json_path}: {errors[0].message}"
    step, training = plan["training"]["time"], plan["training"]
    same("seconds", trace["otherData"]["step_seconds"], step["seconds"])
    events = [event | {"end": event["ts"] + event["dur"]} for event in trace["traceEvents"] if event["ph"] == "X"]
    assert len(events) <= 200_000, f"{len(events)} events"
    near("the end of the step", max(event["end"] for event in events if not cut or event["tid"] == 2) / 1e6, step["seconds"])
    stages, chunks = len(training["stages"]), len(training["stages"][0]["layers"])
    after = min(event["ts"] for event in events if event["tid"] == 2) / 1e6
    done = {}
    for stage in range(stages):
        own = [event for event in events if event["pid"] == stage and event["tid"] == 0]
        for one, other in zip(own, own[1:]):
            assert one["end"] <= other["ts"] * (1 + 1e-12) + 1e-6, f"stage {stage} does two things at {other['ts']} us"
        order = [(event["cat"], event["args"]["microbatch"], int(event["name"].split("chunk ")[1]) if chunks > 1 else 0) for event in own]
        expected = order_of(training["schedule"], stages, training["microbatches"], chunks, stage)
        drawn = max(entry[1] for entry in order) + 1
        same(f"order of stage {stage}", order, [entry for entry in expected if entry[1] < drawn] if cut else expected)
        for event, (program, microbatch, chunk) in zip(own, order):
            done[program, microbatch, chunk * stages + stage] = (event["ts"], event["end"])
        if not cut and stage == step["slowest"]:
            busy = sum(event["dur"] for event in own) / 1e6
            near("work of the slowest stage", busy, step["kernels"] + step["communication"] + step["host"])
            near("its wait", after - busy - step["messages"], step["waiting"], 1e-6)
        if not cut:
            assert own[-1]["end"] / 1e6 <= after * (1 + 1e-9), "a stage that works after the microbatches"
    for (program, microbatch, piece), (start, _) in done.items():
        needs = ("forward", microbatch, piece - 1) if program == "forward" else ("backward", microbatch, piece + 1)
        if needs in done:
            assert start >= done[needs][1] * (1 - 1e-12) - 1e-6, f"{program} {microbatch} of piece {piece} starts before what it needs"
        if program == "backward" and not cut:
            assert start >= done["forward", microbatch, piece][1] * (1 - 1e-12) - 1e-6, f"backward {microbatch} before its forward"
    ends = {stage: sum(event["dur"] for event in events if event["tid"] == 2 and event["pid"] == stage and event["cat"] != "engine") for stage in range(stages)}
    near("gradients and optimizer", max(ends.values()) / 1e6, step["gradients"] + step["optimizer"])


TRAINED = ["tests/golden/good/steps_of_training.deploy"]
TRACES |= {
    "trace of training": lambda: check_training_trace(*TRAINED),
    "trace of training, all forwards first": lambda: check_training_trace(*TRAINED, "-D", "plan.pipeline.schedule=fill_drain"),
    "trace of training in chunks": lambda: check_training_trace(*TRAINED, "-D", "plan.pipeline.schedule=interleaved", "-D", "plan.pipeline.virtual=2"),
    "trace of training that is cut": lambda: check_training_trace(*TRAINED, "-D", "plan.pipeline.microbatches=65536", "-D", "workload.batch=524288", cut=True)}
TRACES["trace that is cut"] = lambda: check_trace(*LARGE, "-D", "plan.pipeline.microbatches=32", cut=True)


# ---- reports ----------------------------------------------------------------------------------------------------------
def prefixed(figure, largest, prefixes, unit):
    """Three digits, with the prefix that fits."""
    i = 0
    while i + 1 < len(prefixes) and abs(figure) < 0.9995 * largest:
        largest, i = largest / 1000, i + 1
    scaled = figure / largest
    return f"{scaled:.{2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0}f} {prefixes[i]}{unit}"


def timed(figure):
    return prefixed(figure, 1, ["", "m", "u", "n"], "s") if figure > 0 else "0 s"


def metric_shown(name, figure):
    if name in ("ttft", "tpot", "step_time", "comm.time", "handover.time"):
        return prefixed(figure, 1, ["", "m", "u", "n"], "s")
    units = {"throughput": "tokens/s", "prefill.throughput": "tokens/s", "decode.throughput": "tokens/s", "throughput.sequences": "sequences/s", "energy": "J"}
    if name in units:
        return prefixed(figure, 1e9, ["G", "M", "k", ""], units[name])
    return f"{figure:.3g} USD" if name == "cost" else shown(figure) if name in ("comm.bytes", "handover.bytes") else f"{100 * figure:.1f}%"


FORMS = {"seconds": timed, "bytes": shown, "whole": lambda figure: f"{figure:,.0f}", "percent": lambda figure: f"{100 * figure:.1f}%", "rate": lambda figure: f"{figure / 1e9:.4g} GB/s"}


def counted(figure):
    unit = 0
    while figure >= 1000 and unit < 4:
        figure, unit = figure / 1000, unit + 1
    return f"{figure:.2f} {'KMGT'[unit - 1]}" if unit else f"{figure:.0f}"


class Page(html.parser.HTMLParser):
    """Elements with attributes that start with `data-`, and their text; the script; whatever refers to something outside."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.data, self.outside, self.bar = [], [], None, [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.outside += [f"{tag} {name}" for name in attributes if name in ("src", "href", "srcset", "action")]
        element = attributes | {"tag": tag, "text": "", "bar": self.bar}
        if "data-scale" in attributes:
            self.bar = float(attributes["data-scale"])
        if any(name.startswith("data-") for name in attributes) or tag == "script":
            self.elements.append(element)
        if tag not in ("meta", "br"):
            self.open.append(element)

    def handle_endtag(self, tag):
        same("end tag", tag, self.open[-1]["tag"])
        if "data-scale" in self.open.pop():
            self.bar = None

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data


def at(data, path):
    for name in path.split("/"):
        data = data[int(name)] if isinstance(data, list) else data[name]
    return data


def check_cells(page, data):
    """Each cell has the coordinates of its rank, and the stage."""
    plan, graph = data["plan"], data["graph"]
    cells = [element for element in page.elements if "data-rank" in element]
    ranks = [int(cell["data-rank"]) for cell in cells]
    same("cells", len(set(ranks)), len(ranks))
    assert len(ranks) <= 1024 and (plan["ranks"] > 16 or sorted(ranks) == list(range(plan["ranks"]))), "cells of all ranks"
    pipeline = [axis for axis in plan["mesh"] if axis["axis"] not in [other["axis"].split(".")[0] for other in graph["axes"]] and axis["size"] > 1]
    for cell, rank in zip(cells, ranks):
        where = " ".join(f"{axis['axis']} {coordinate(rank, axis)}" for axis in graph["axes"][-3:])
        same("text of a cell", cell["text"], f"{rank}{where}")
        if len(pipeline) == 1:
            same(f"stage of rank {rank}", cell["title"], f"stage {coordinate(rank, pipeline[0])}")


def percent(element, name):
    return float(re.search(rf"{name}:([\d.]+)%", element["style"])[1])


def check_times_of_page(page, data):
    """Metrics as the document has them; bars of stages and queues at their places; the largest terms by the terms of lists."""
    times = data["plan"]["times"]
    for element in page.elements:
        if "data-metric" in element:
            value = at(data, element["data-of"])
            same(element["data-of"], element["text"], "-" if value is None else metric_shown(element["data-metric"], value))
    for element in page.elements:
        if "data-term" in element:
            term, one = at(data, element["data-term"]), at(data, element["data-term"].split("/terms/")[0])
            assert abs(percent(element, "left") - 100 * term["start"] / one["seconds"]) < 1e-3, element
            assert abs(percent(element, "width") - 100 * (term["end"] - term["start"]) / one["seconds"]) < 1e-3, element
            assert element["title"].startswith(term["what"] + ": "), element
    if len(data["plan"]["stages"]) > 1:
        bars = [element for element in page.elements if "data-microbatch" in element]
        for step in times["steps"]:
            lanes, count = min(16, len(step["stages"])), min(32, step["microbatches"])
            own, bars = bars[:lanes * count], bars[lanes * count:]
            end = {}
            for m in range(count):
                for stage, seconds in enumerate(step["stages"][:lanes]):
                    start = max(end.get((stage - 1, m), step["fixed"]), end.get((stage, m - 1), step["fixed"]))
                    end[stage, m] = start + seconds
                    bar = next(one for one in own if (int(one["data-stage"]), int(one["data-microbatch"])) == (stage, m))
                    assert abs(percent(bar, "left") - 100 * start / step["seconds"]) < 1e-3, bar
                    assert abs(percent(bar, "width") - 100 * seconds / step["seconds"]) < 1e-3, bar
        same("further bars", bars, [])
    for step in times["steps"]:
        slowest = step["stages"].index(max(step["stages"]))
        took = {}
        for one in step["lists"]:
            for term in one["terms"]:
                more = step["microbatches"] * one["times"][slowest] * term["rounds"] * (term["end"] - term["start"])
                took[term["what"]] = took.get(term["what"], 0) + more
        largest = [one for one in data["largest"] if one["program"] == step["program"]]
        same("largest terms", len(largest), min(8, sum(seconds > 0 for seconds in took.values())))
        for one, seconds in zip(largest, sorted(took.values(), reverse=True)):
            near(one["what"], one["seconds"], took[one["what"]])
            near("its place", one["seconds"], seconds)
            near("its share", one["share"], one["seconds"] / (step["microbatches"] * step["stages"][slowest]))


def check_figures(page, data):
    """Each figure is that of the data in its form, and each part of a bar as wide as its share."""
    figures = [element for element in page.elements if "data-as" in element]
    assert len(figures) > 30, f"{len(figures)} figures"
    for figure in figures:
        value = at(data, figure["data-of"])
        form = FORMS | {"count": counted}
        same(figure["data-of"], figure["text"], "-" if value is None else form[figure["data-as"]](value))
    for part in (element for element in page.elements if "data-of" in element and "data-as" not in element and "data-metric" not in element and "style" in element):
        width = float(re.match(r"width:([\d.]+)%", part["style"])[1])
        assert abs(width - 100 * at(data, part["data-of"]) / part["bar"]) < 1e-3, part


def check_training_report(*words):
    """A page of training: bytes of each kind, ranks in their stage, and the events of the trace at their places."""
    data, status = document("report", "report", *words)
    with tempfile.TemporaryDirectory() as folder:
        path, trace = pathlib.Path(folder, "report.html"), pathlib.Path(folder, "trace.json")
        same("status", deployc("report", *words, "-o", str(path)).returncode, status)
        deployc("trace", *words, "-o", str(trace))
        text, events = path.read_text(), [event for event in json.loads(trace.read_text())["traceEvents"] if event["ph"] == "X"]
    page, training = Page(text), data["plan"]["training"]
    same("what refers to something outside", page.outside, [])
    same("data", json.loads(next(element["text"] for element in page.elements if element["tag"] == "script")), data)
    same("plan", data["plan"], plan_of(*words))
    check_figures(page, data)
    peaks = [stage["bytes"]["peak"] for stage in training["stages"]]
    same("fullest", peaks[data["fullest"]], max(peaks))
    shown = re.findall(r'data-of="plan/training/stages/(\d+)/layers/(\d+)/0"[^>]*>(\d+)<[^>]*> to (\d+)', text)
    assert shown, "no stage has its layers"
    for stage, chunk, first, last in shown:
        same(f"layers of stage {stage}", [int(first), int(last) + 1], training["stages"][int(stage)]["layers"][int(chunk)])
    kinds = {element["data-of"].rsplit("/", 1)[1] for element in page.elements if "bar" in element and element["bar"] and "data-of" in element and "data-as" not in element}
    same("kinds of memory", kinds, {"weights", "gradients", "optimizer", "saved", "working"})
    pipeline = next(axis for axis in data["plan"]["mesh"] if axis["axis"] == "pp")
    for cell in (element for element in page.elements if "data-rank" in element):
        same(f"stage of rank {cell['data-rank']}", cell["title"], f"stage {coordinate(int(cell['data-rank']), pipeline)}")
        for name, number in re.findall(r"(\w+) (\d+)", cell["text"][len(cell["data-rank"]):]):
            same(f"{name} of rank {cell['data-rank']}", int(number), coordinate(int(cell["data-rank"]), next(axis for axis in data["plan"]["mesh"] if axis["axis"] == name)))
    pieces = {(int(one["data-stage"]), one["data-program"], int(one["data-microbatch"]), int(one["data-chunk"])): one for one in page.elements if "data-program" in one}
    drawn = [event for event in events if event["tid"] == 0]
    same("pieces", len(pieces), len(drawn))
    seconds = training["time"]["seconds"]
    for event in drawn:
        chunk = int(event["name"].split("chunk ")[1]) if "chunk" in event["name"] else 0
        one = pieces[event["pid"], event["cat"], event["args"]["microbatch"], chunk]
        assert abs(percent(one, "left") - 1e-4 * event["ts"] / seconds) < 1e-3 and abs(percent(one, "width") - 1e-4 * event["dur"] / seconds) < 1e-3, one
    after = [(percent(one, "left"), percent(one, "width")) for one in page.elements if "data-after" in one]
    for (left, width), event in zip(after, [event for event in events if event["tid"] == 2]):
        assert abs(left - 1e-4 * event["ts"] / seconds) < 1e-3 and abs(width - 1e-4 * event["dur"] / seconds) < 1e-3, event
    for goal in data["plan"]["goals"]:
        assert goal["text"] in html.unescape(text) and f">{goal['verdict']}<" in text, goal


def check_terms(page, data):
    """Each term has a row, with the time that its formula gives."""
    rows = [element for element in page.elements if "data-sum" in element]
    steps = data["plan"]["times"]["steps"]
    same("rows of terms", len(rows), sum(len(part["terms"]) for step in steps for part in step["lists"]))
    for row in rows:
        same(f"time of {row['data-sum']}", row["text"], timed(joined(at(data, row["data-sum"])["parts"])))


def figures_of(plan):
    return -plan["throughput"], plan["tpot"], plan["cost"] or 0


def rises(what, pairs):
    """The second of each pair by the first, which is a length by factors: a straight line."""
    pairs = sorted((math.log(a), b) for a, b in pairs)
    (a, at_a), (b, at_b) = pairs[0], pairs[-1]
    for x, y in pairs:
        line = at_a + (at_b - at_a) * (x - a) / (b - a) if b > a else at_a
        assert abs(y - line) <= 0.2, f"{what}: {y} is not {line}"
    return at_b - at_a


def check_search(page, data, *words):
    """The plans are those of `deployc search`; each point of the plot has the place of its figures."""
    points = {int(element["data-plan"].rsplit("/", 1)[1]): element for element in page.elements if "data-plan" in element}
    found = data["search"]
    if found is None:
        return same("points", points, {})
    wanted = json.loads(deployc("search", "--format=json", *words).stdout)
    same("tried", found["tried"], wanted["plans"])
    same("plans", len(found["plans"]), wanted["holds"])
    plans = found["plans"]
    same("front", [plan["choice"] for plan in plans if plan["front"]], [plan["choice"] for plan in wanted["front"]])
    drawn = [i for i, plan in enumerate(plans) if plan["throughput"] and plan["tpot"]]
    for i in drawn:
        as_good = [k for k in drawn if k != i and all(a <= b for a, b in zip(figures_of(plans[k]), figures_of(plans[i])))]
        better = [k for k in as_good if figures_of(plans[k]) != figures_of(plans[i])]
        assert not better if plans[i]["front"] else any(plans[k]["front"] for k in as_good), plans[i]
    if not points:
        return None
    same("points", sorted(points), drawn)
    for i, point in points.items():
        same("class", point["class"], "front" if plans[i]["front"] else "rival")
    assert rises("x", [(plans[i]["tpot"], float(points[i]["cx"])) for i in drawn]) >= 0
    assert rises("y", [(plans[i]["throughput"], float(points[i]["cy"])) for i in drawn]) <= 0
    return None


def check_report(*words):
    data, status = document("report", "report", *words)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "report.html")
        same("status", deployc("report", *words, "-o", str(path)).returncode, status)
        text = path.read_text()
    page = Page(text)
    same("what refers to something outside", page.outside, [])
    assert "http" not in re.sub(r"<script.*</script>", "", text, flags=re.S), "an address"
    said = [json.loads(line) for line in deployc("check", "--error-format=json", *words).stderr.splitlines()]
    errors, warnings = (sum(d["code"][0] == letter and not d["allowed"] for d in said) for letter in "EW")
    assert f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}" in text, "mistakes"
    same("data", json.loads(next(element["text"] for element in page.elements if element["tag"] == "script")), data)
    same("plan", data["plan"], plan_of(*words))
    graph = document("graph", "graph", *words)[0]
    same("graph", data["graph"], {name: value for name, value in graph.items() if name not in ("format", "version", "spec")})
    fullest = max(stage["bytes"]["peak"] for stage in data["plan"]["stages"])
    same("fullest", data["plan"]["stages"][data["fullest"]]["bytes"]["peak"], fullest)
    assert sum(weight["bytes"] for weight in data["weights"]) <= data["plan"]["stages"][data["fullest"]]["bytes"]["weights"], "weights"
    for one in data["traffic"]:
        edges = [edge for edge in data["graph"]["edges"] if edge["program"] == one["program"] and edge["level"] == one["level"]
                 and edge["stage"] == one["stage"] and (edge["kind"] != "send" or edge["groups"][0][0] != edge["groups"][0][1])]
        for kind, size in one["kinds"].items():
            same(f"{kind} of {one['program']}", size, sum(edge["times"] * edge["max_bytes"] for edge in edges if edge["kind"] == kind)
                 * data["plan"]["step"]["microbatches"])
        same("bytes", one["bytes"], sum(one["kinds"].values()))
    check_figures(page, data)
    wanted = sorted(codes(*words)[0]) + sorted(codes(*words)[1])
    same("codes", sorted({note["code"] for note in data["notes"]}), wanted)
    body = html.unescape(re.sub(r"<script.*</script>|</?code>", "", text, flags=re.S))
    for note in data["notes"]:
        assert note["message"].replace("`", "") in body.replace("`", ""), note
    check_cells(page, data)
    check_times_of_page(page, data)
    check_terms(page, data)
    check_search(page, data, *words)


REPORTS = {f"report of {words[0]}": lambda words=words: check_report(*words) for words in (
    ["samples/quickstart.deploy"], ["samples/tiny_mixtral.deploy"], ["samples/tiny_llama.deploy"], ["samples/plans/plan002.deploy"], ["samples/mixtral_8x22b.deploy"],
    ["tests/golden/good/layouts_and_counts.deploy"], ["tests/golden/e0701_kv_cache.deploy"], ["tests/golden/good/windows.deploy"])}
REPORTS |= {f"report of training {i}": lambda words=words: check_training_report(*words) for i, words in enumerate((
    TRAINED, [*TRAINED, "-D", "plan.pipeline.schedule=interleaved", "-D", "plan.pipeline.virtual=2"], ["samples/plans/plan004_corrected.deploy", "--deploy", "Train"]))}
REPORTS["report of 98304 ranks"] = lambda: check_report(*LARGE)


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
    tests += [(f"graph {name}", lambda name=name, words=words: check_graph(name, *words)) for name, words in GRAPHS.items()]
    tests += [(f"graph {name}", lambda spec=spec, name=name, kind=kind: check_joint_graph(spec, name, kind))
              for spec, name, kind in (("samples/pools.deploy", "Chat", "serve"), ("samples/shared.deploy", "Both", "share"))]
    tests += [("graph of 98304 ranks", lambda: check_graph("large", *LARGE, large=True))]
    tests += [*COMPARISONS.items(), *REPORTS.items(), *TRACES.items()]
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
