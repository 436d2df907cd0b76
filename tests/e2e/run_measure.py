#!/usr/bin/env python3
"""`bench`, `run --measure` and `--trace`: what a launcher measures beside what deployc predicted. Predictions are those of `deployc plan`, bytes
are those that were sent, figures add up, and the timeline has one clock. How fast anything is decides nothing."""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

from harness import DEPLOYC, FIXTURES, MODELS

SPEC = """use {module} {{ {model} }}
use std.plans {{ Megatron, FoldedEP }}
use std.workload {{ Inference }}
use std.clusters {{ CPU_Rank }}
use std.hw {{ Cluster, Link }}
model Small = {model} {{
  {sizes}
  weight = f32; act = f32; kv = f32
}}
device Rank = CPU_Rank {{ {efficiency}sms = 1 }}
link Wire : Link {{ unidirectional = 5 GB/s }}
cluster Box : Cluster {{ device = Rank; level socket {{ count = {sockets}; link = Wire }}; level node {{ count = {nodes}; link = Wire }} }}
deploy D {{
  model    = Small
  cluster  = Box
  plan     = {plan}
  workload = Inference {{ batch = 4; seq = 64; output = 16 }}
}}
"""
STATED = "efficiency { matmul = 10%; memory = 50%; link = 50% }; "
KINDS = {"passes over rows", "products", "products of experts", "attention", "collectives", "exchanges of experts", "messages between stages"}
GROUPS = {"collectives", "exchanges of experts"}      # kinds that all ranks of a group take part in


class Wrong(Exception):
    pass


def run(*command, status=0):
    done = subprocess.run([str(x) for x in command], capture_output=True, text=True, timeout=300)
    if done.returncode != status:
        raise Wrong(f"{command[0]} exits with {done.returncode}: {done.stderr[-300:]}")
    return done


def build(folder, model, plan, sockets, nodes, efficiency=STATED, more=""):
    module, name, sizes = MODELS[model]
    sizes += f"; {more}" if more else ""
    (folder / "spec.deploy").write_text(SPEC.format(module=module, model=name, sizes=sizes, plan=plan, sockets=sockets, nodes=nodes, efficiency=efficiency))
    run(DEPLOYC, folder / "spec.deploy", "-o", folder / "launcher")
    return folder / "launcher"


def tables(text):
    """{phase: {line: (measured, predicted or None, the remark)}}, in s and as texts of bytes."""
    found, phase = {}, None
    for line in text.splitlines():
        if match := re.match(r"a step of (\w+): the mean of (\d+)", line):
            phase = found[match[1]] = {"steps": int(match[2])}
        elif phase is not None and (match := re.match(r"  ([a-z][\w ]+?)  +(\S+ \w+) +(-|\S+ \w+)(?:  (\S+))?$", line)):
            phase[match[1]] = [float(t.split()[0]) / 1e3 if t.endswith(" ms") else None if t == "-" else t for t in match.groups()[1:3]] + [match[4]]
    return found


def check_bytes(phase, name):
    sent = {line: figures for line, figures in phase.items() if line.startswith("sent over ")}
    for line, (measured, predicted, remark) in sent.items():
        if measured != predicted or remark != "equal":
            raise Wrong(f"{name}: {line}: {measured}, predicted {predicted}, {remark}")
    return set(sent)


def planned(folder, prompt):
    """The prefill step of prompts of so many tokens."""
    plans = json.loads(run(DEPLOYC, "plan", "--format=json", "-D", f"workload.seq={prompt}", folder / "spec.deploy").stdout)["plans"]
    step = next(s for s in plans[0]["times"]["steps"] if s["program"] == "prefill")
    if step["tokens"] not in (2 * prompt, 4 * prompt) or step["context"] != prompt:
        raise Wrong(f"the plan's step has {step['tokens']} tokens up to {step['context']}")
    return step


def bench(folder, model, plan, sockets, nodes, levels, more=""):
    """Prompts of 64 tokens and the plan's batch are a step that `deployc plan` predicts too, and one of the sizes of the launcher's tables."""
    launcher = build(folder, model, plan, sockets, nodes, more=more)
    found = tables(run(launcher, "bench", "--prompt", 64, "--output", 4).stdout)
    for name, phase in found.items():
        if (crossed := check_bytes(phase, name)) != {f"sent over {level}" for level in levels}:
            raise Wrong(f"{name}: {crossed}")
    step = planned(folder, 64)
    if abs(found["prefill"]["step"][1] / step["seconds"] - 1) > 1e-3:
        raise Wrong(f"predicted {found['prefill']['step'][1]} s, by the plan {step['seconds']} s")
    idle = found["prefill"]["bubble"][1] / found["prefill"]["step"][1]
    if abs(idle - step["bubble"]) > 0.01:
        raise Wrong(f"a bubble of {idle:.3f}, by the plan {step['bubble']:.3f}")
    if more:       # buffers of exchanges, which are sent whole, have other sizes in a plan for shorter prompts
        return
    between = tables(run(launcher, "bench", "--prompt", 40, "--output", 1).stdout)["prefill"]["step"][1]
    if abs(between / planned(folder, 40)["seconds"] - 1) > 0.05:
        raise Wrong(f"predicted {between} s between the sizes, by the plan {planned(folder, 40)['seconds']} s")


def nothing_predicted(folder):
    text = run(build(folder, "llama", "Megatron { tp = 2 }", 2, 1, efficiency=""), "bench", "--prompt", 8, "--output", 2).stdout
    if text.count("nothing was predicted: Rank has neither a calibration nor an `efficiency`") != 2:
        raise Wrong(f"it is not said why nothing is predicted: {text}")
    for name, phase in tables(text).items():
        if phase["step"][1] is not None or phase["compute"][0] <= 0:
            raise Wrong(f"{name}: {phase}")
        if check_bytes(phase, name) != {"sent over socket"}:
            raise Wrong(f"{name}: bytes are not predicted")


# ---- the timeline ----------------------------------------------------------------------------------------------------
def events_of(path):
    trace = json.loads(path.read_text())
    about = trace["otherData"]
    if about["format"] != "deployc-trace" or about["version"] != 1 or about["dropped"]:
        raise Wrong(f"the trace says of itself: {about}")
    return [e for e in trace["traceEvents"] if e["ph"] == "X"], {(e["pid"], e["tid"]): e["args"]["name"] for e in trace["traceEvents"]
                                                                  if e["name"] == "thread_name"}


def check_tracks(events, tracks):
    """Nothing on one track overlaps; an operation is inside a layer, and on the queue of its kind."""
    queues = {"collectives": "reductions", "exchanges of experts": "experts", "messages between stages": "pipeline", "layers": "layers"}
    last = {}
    for e in sorted(events, key=lambda e: e["ts"]):
        track = e["pid"], e["tid"]
        if e["ts"] < 0 or e["dur"] < 0 or e["ts"] < last.get(track, 0) - 1e-6:
            raise Wrong(f"{e} overlaps with the event before it on its track")
        last[track] = e["ts"] + e["dur"]
        if tracks[track] != queues.get(e["cat"], "compute") or e["cat"] not in KINDS | {"layers"}:
            raise Wrong(f"{e} is on the track {tracks[track]}")
    layers = [e for e in events if e["cat"] == "layers"]
    for e in events:
        if e["cat"] != "layers" and not any(la["pid"] == e["pid"] and la["ts"] <= e["ts"] + 1e-3 and
                                            e["ts"] + e["dur"] <= la["ts"] + la["dur"] + 1e-3 for la in layers):
            raise Wrong(f"{e} is in no layer")


def check_clock(events, ranks):
    """A collective ends on no rank before it has begun on all others: so it is on one clock."""
    of = [[e for e in events if e["pid"] == rank and e["cat"] in GROUPS] for rank in range(ranks)]
    if not of[0] or len({len(mine) for mine in of}) != 1:
        raise Wrong(f"collectives of the ranks: {[len(mine) for mine in of]}")
    for at in zip(*of):
        if len({e["name"] for e in at}) != 1 or max(e["ts"] for e in at) > min(e["ts"] + e["dur"] for e in at):
            raise Wrong(f"a collective does not overlap: {at}")


def traced(folder, model, plan, sockets, nodes):
    """A run over prompts of a file, measured and traced: both say the same."""
    ranks, launcher, out = sockets * nodes, build(folder, model, plan, sockets, nodes), folder / "out"
    (folder / "prompts.jsonl").write_text("".join(json.dumps({"ids": list(range(1, n)), "max_tokens": 5}) + "\n" for n in (4, 9, 17)))
    run(launcher, "run", "--weights", FIXTURES / model, "--prompts", folder / "prompts.jsonl", "--output-dir", out, "--measure",
        "--trace", folder / "t.json")
    steps = json.loads((out / "performance.json").read_text())["steps"]
    events, tracks = events_of(folder / "t.json")
    check_tracks(events, tracks)
    if nodes == 1:
        check_clock(events, ranks)
    for phase in steps.values():
        parts = sum(phase["measured"][part] for part in ("compute", "exposed", "bubble", "host"))
        if abs(parts / phase["measured"]["step"] - 1) > 1e-5 or (nodes > 1) != (phase["measured"]["bubble"] > 0):
            raise Wrong(f"the parts of a step, {phase['measured']}, take {parts} s")
    for figure, kinds in (("compute", KINDS - GROUPS - {"messages between stages"}), ("exposed", GROUPS)):
        by_trace = sum(e["dur"] for e in events if e["cat"] in kinds) / 1e6 / ranks
        measured = sum(steps[phase]["steps"] * steps[phase]["measured"][figure] for phase in steps)
        sends = sum(e["dur"] for e in events if e["cat"] == "messages between stages" and e["args"]["sent"]) / 1e6 / ranks
        by_trace += sends if figure == "exposed" else 0
        if not abs(by_trace / measured - 1) < 1e-5:       # figures are written with six digits
            raise Wrong(f"{figure}: {measured} s by --measure, {by_trace} s by the trace")
    sent = sum(e["args"]["sent"] for e in events if e["cat"] != "layers") / ranks
    measured = sum(steps[phase]["steps"] * sum(steps[phase]["measured"]["sent"].values()) for phase in steps)
    if not abs(sent / measured - 1) < 1e-5:
        raise Wrong(f"{measured} bytes by --measure, {sent} by the trace")
    names = {e["name"] for e in events}
    predicted = {e["name"] for e in json.loads(run(DEPLOYC, "trace", folder / "spec.deploy", "-o", "-").stdout)["traceEvents"] if e["ph"] == "X"}
    if unknown := {name for name in names - predicted}:
        raise Wrong(f"`deployc trace` has no {sorted(unknown)[:5]}")
    if list(folder.glob("*.part")):
        raise Wrong("a part of a file is left over")


def refused(folder):
    launcher = build(folder, "llama", "Megatron {}", 1, 1)
    if "cannot write" not in run(launcher, "bench", "--prompt", 4, "--output", 1, "--trace", folder / "nowhere" / "t.json", status=1).stderr:
        raise Wrong("a folder that is missing is not named")
    if "goes without --trace" not in run(launcher, "bench", "--calibrate", folder / "a", "--trace", folder / "b", status=2).stderr:
        raise Wrong("--calibrate and --trace")


def main():
    cases = [("bench: tensor parallel", lambda f: bench(f, "llama", "Megatron { tp = 2 }", 2, 1, ["socket"])),
             ("bench: a pipeline over nodes", lambda f: bench(f, "llama", "Megatron { pp = 2; tp = 2 }", 2, 2, ["socket", "node"])),
             ("bench: all-reduces over two levels", lambda f: bench(f, "llama", "Megatron { tp = 4 }", 2, 2, ["socket", "node"])),
             ("bench: experts that all tokens choose", lambda f: bench(f, "mixtral", "FoldedEP { ep = 2; tp = 2 }", 4, 1, ["socket"], "top_k = 8")),
             ("nothing predicted", nothing_predicted),
             ("traced: tensor parallel", lambda f: traced(f, "llama", "Megatron { tp = 2 }", 2, 1)),
             ("traced: a pipeline", lambda f: traced(f, "llama", "Megatron { pp = 2; tp = 2; pipeline { microbatches = 2 } }", 2, 2)),
             ("traced: experts", lambda f: traced(f, "mixtral", "Megatron { ep = 2 }", 2, 1)),
             ("refused", refused)]
    chosen = [(name, case) for name, case in cases if len(sys.argv) < 2 or any(word in name for word in sys.argv[1:])]
    failed = 0
    for name, case in chosen:
        with tempfile.TemporaryDirectory() as made:
            try:
                case(pathlib.Path(made))
            except Wrong as wrong:
                failed += 1
                print(f"FAIL {name}: {wrong}")
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return failed


if __name__ == "__main__":
    sys.exit(bool(main()))
