#!/usr/bin/env python3
"""`deployc search` beside brute force: on small spaces, every candidate is planned by itself with `deployc plan --format=json -D ...`, and
the best, the runner-up, the front and the counts are computed here. Every plan that is printed passes `check`, by -D and when it is pasted.

    run.py [WORD ...]    only the tests whose name contains a word
"""
import concurrent.futures
import itertools
import json
import math
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).absolute()
SCHEMA = json.loads((ROOT / "docs" / "schemas" / "search.json").read_text())
SPEC = """use std.models {{ Mixtral_8x7B }}
use std.clusters {{ DGX_H100, H100_SXM, H200_SXM }}
use std.plans {{ Megatron, FoldedEP, VLLM_EP }}
use std.workload {{ Inference }}

deploy D {{
  model    = Mixtral_8x7B
  cluster  = DGX_H100 {{ {cluster}price = 2 USD/h }}
{more}  plan     = {plan}
  workload = Inference {{ batch = {batch}; seq = 1024; output = 128{work} }}
{goals}}}
"""
# Those metrics that more is better of, as the language has them.
RATES = {"throughput", "throughput.sequences", "prefill.throughput", "decode.throughput", "mfu", "hfu", "memory.share"}


def spec(plan, more="", goals=(), batch="64", work="", cluster=""):
    return SPEC.format(plan=plan, more="".join(f"  {line}\n" for line in more.splitlines()), batch=batch, work=work, cluster=cluster,
                       goals="".join(f"  {goal}\n" for goal in goals))


def deployc(*words, cwd=None):
    return subprocess.run([DEPLOYC, *words], cwd=cwd, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)


def meshes(names, ranks, allowed):
    """All sizes of mesh axes. allowed: lists of those that the spec lists."""
    sizes = [allowed.get(name) or [i for i in range(1, ranks + 1) if ranks % i == 0] for name in names]
    return [dict(zip((f"plan.{name}" for name in names), chosen)) for chosen in itertools.product(*sizes)]


def value(plan, name):
    """The figure that orders plans: `metric`, `metric per gpu`, a total, or the size of a mesh axis as `plan.x == n`."""
    if match := re.fullmatch(r"workload\.page == (\d+)", name):
        return float(plan["step"]["page"] == int(match[1]))
    if name == "gpus":
        return plan["ranks"]
    if match := re.fullmatch(r"plan\.(\w+) == (\d+)", name):
        return float(next(axis["size"] for axis in plan["mesh"] if axis["axis"] == match[1]) == int(match[2]))
    base, _, per = name.partition(" per ")
    if base in plan["totals"]:
        return plan["totals"][base]
    metric = plan["times"]["metrics"][base]
    figure = metric["bound"] if metric["value"] is None else metric["value"]
    return figure / plan["ranks"] if per and figure is not None else figure


def brute_force(path, combinations, order):
    """(plans that hold, best first, each with its values; the codes of each candidate that does not)"""
    def one(values):
        done = deployc("plan", path, "--format=json", "--error-format=json", *[w for k, v in values.items() for w in ("-D", f"{k}={v}")])
        codes = {json.loads(line)["code"] for line in done.stderr.splitlines() if line.startswith("{")}
        codes = {code for code in codes if code.startswith("E")}
        plans = json.loads(done.stdout)["plans"]
        return values, codes, plans[0] if plans else None
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(one, combinations))

    def rank(result):
        plan, key = result[2], []
        for kind, name in [*order, ("maximize", "throughput per gpu"), ("minimize", "memory.peak")]:
            figure = value(plan, name)
            key.append(-figure if kind != "minimize" else figure)
        return key
    holds = sorted((result for result in results if not result[1]), key=rank)
    return [(values, plan) for values, _, plan in holds], [codes for _, codes, _ in results if codes]


def front_of(holds):
    points = [(-value(plan, "throughput per gpu"), value(plan, "tpot") or 0, value(plan, "cost")) for _, plan in holds]
    def surpassed(p):
        return any(all(a <= b for a, b in zip(q, p)) and q != p for q in points)
    return {p for p in points if not surpassed(p)}


def search(path, *words):
    done = deployc("search", path, "--format=json", *words)
    found = json.loads(done.stdout)
    jsonschema.validate(found, SCHEMA)
    return found, done


def close(one, other):
    return one is other or math.isclose(one, other, rel_tol=1e-9)


def check_space(folder, text, combinations, order):
    path = folder / "spec.deploy"
    path.write_text(text)
    found, done = search(path)
    holds, refused = brute_force(path, combinations, order)
    assert found["holds"] == len(holds), f"{found['holds']} hold, by brute force {len(holds)} of {len(combinations)}"
    assert found["plans"] == found["holds"] + sum(found["refused"].values())
    assert set(found["refused"]) <= {code for codes in refused for code in codes} | {"E0601"}, found["refused"]
    assert done.returncode == (0 if holds else 1), done.returncode
    assert len(found["best"]) == min(2, len(holds))
    for mine, (values, plan) in zip(found["best"], holds):
        assert {k: str(v) for k, v in values.items()} == mine["values"], f"found {mine['values']}, by brute force {values}"
        assert close(mine["peak"], plan["totals"]["memory.peak"]) and mine["ranks"] == plan["ranks"]
        for name, metric in plan["times"]["metrics"].items():
            assert mine["metrics"][name]["value"] == metric["value"], name
    points = {(-value(p, "throughput per gpu"), value(p, "tpot") or 0, value(p, "cost")) for p in
              ({"ranks": p["ranks"], "totals": {}, "times": {"metrics": p["metrics"]}} for p in found["front"])}
    assert points == front_of(holds), "the front is another"
    for plan in [*found["best"], *found["front"]]:
        check_choice(folder, text, path, plan)
    return found, done


def check_choice(folder, text, path, plan):
    """What is printed passes `check`, by -D and as items of the spec."""
    done = deployc("check", path, *[w for k, v in plan["values"].items() for w in ("-D", f"{k}={v}")])
    assert done.returncode == 0 and "W0810" not in done.stderr, done.stderr
    items = dict(item.split(" ", 1) for item in re.split(r"; (?=(?:plan|gpus|workload|cluster) )", plan["choice"]))
    replaced = "|".join(name for name, rest in items.items() if rest.startswith("="))
    pasted = re.sub(rf"^  ({replaced}) +=.*\n", "", text, flags=re.M) if replaced else text
    lines = "".join(f"  {name} {rest}\n" for name, rest in items.items())
    (folder / "pasted.deploy").write_text(re.sub(r"\n}\n$", f"\n{lines}}}\n", pasted))
    done = deployc("check", folder / "pasted.deploy")
    assert done.returncode == 0 and "W0810" not in done.stderr, f"{lines}{done.stderr}"


# ---- tests ------------------------------------------------------------------------------------------------------------
def test_mesh_of_a_plan(folder):
    combinations = [m for m in meshes(["pp", "dp", "ep", "tp"], 8, {}) if math.prod(m.values()) == 8]
    found, _ = check_space(folder, spec("Megatron { tp = 8 }"), combinations, [])
    assert found["fields"] == ["plan.pp", "plan.dp", "plan.ep", "plan.tp"] and found["plans"] == len(combinations) == 20


def test_lists(folder):
    combinations = meshes(["dp", "ep", "tp"], 8, {"tp": [1, 3, 4, 8], "ep": [1, 2, 3]})
    combinations = [m for m in combinations if math.prod(m.values()) == 8]
    goals = ["require tpot <= 7 s", "minimize tpot"]
    check_space(folder, spec("Megatron { tp = auto in [1, 3, 4, 8]; ep = auto in 1..3; dp = auto }", goals=goals), combinations,
                [("minimize", "tpot")])


def test_order_of_claims(folder):
    combinations = [m for m in meshes(["pp", "ep", "tp"], 8, {}) if math.prod(m.values()) == 8]
    plan = "FoldedEP { pp = auto; ep = auto; tp = auto }"
    first, _ = check_space(folder, spec(plan, goals=["prefer plan.pp == 2", "maximize decode.throughput"]), combinations,
                           [("prefer", "plan.pp == 2"), ("maximize", "decode.throughput")])
    last, _ = check_space(folder, spec(plan, goals=["maximize decode.throughput", "prefer plan.pp == 2"]), combinations,
                          [("maximize", "decode.throughput"), ("prefer", "plan.pp == 2")])
    assert first["best"][0]["values"]["plan.pp"] == "2" != last["best"][0]["values"]["plan.pp"]


def test_devices_and_work(folder):
    combinations = [{"gpus": g, "plan.pipeline.microbatches": b, "plan.ep": g // tp, "plan.tp": tp, "workload.chunk": chunk}
                    for g in (1, 2, 4, 8) for b in (1, 2) for tp in (1, 2, 4, 8) if g % tp == 0 for chunk in (256, 512, 1024)]
    text = spec("Megatron { ep = auto; tp = auto; pipeline { microbatches = auto in [1, 2] } }", more="gpus = auto",
                work="; chunk = auto", goals=["require memory.headroom >= 10%", "minimize cost"])
    check_space(folder, text, combinations, [("minimize", "cost")])


def test_kinds_of_devices(folder):
    text = spec("VLLM_EP { dp = auto; tp = auto }", cluster="device = auto in [H100_SXM, H200_SXM]; ")
    combinations = [{"cluster.device": d, "plan.dp": 8 // tp, "plan.tp": tp} for d in ("H100_SXM", "H200_SXM") for tp in (1, 2, 4, 8)]
    check_space(folder, text, combinations, [])


def mesh_of(plan, ranks, names):
    return [{"plan": plan, **m} for m in meshes(names, ranks, {}) if math.prod(m.values()) == ranks]


def test_whole_plans(folder):
    """A bare plan stands for all of its meshes; one with a mesh is taken as it is; a field that is open in it is searched."""
    written = "FoldedEP { ep = 4; tp = 2 }", "VLLM_EP { dp = 2; tp = auto in [2, 4] }"
    text = spec(f"auto in [Megatron, {written[0]}, {written[1]}]", goals=["minimize tpot"])
    combinations = [*mesh_of("Megatron", 8, ["pp", "dp", "ep", "tp"]), {"plan": written[0]},
                    *[{"plan": written[1], "plan.tp": tp} for tp in (2, 4)]]
    found, _ = check_space(folder, text, combinations, [("minimize", "tpot")])
    assert found["fields"] == ["plan", "plan.pp", "plan.dp", "plan.ep", "plan.tp"] and found["plans"] == len(combinations) == 23
    named = deployc("search", folder / "spec.deploy", "-D", "plan=auto", "--format=json")
    plans = {"Megatron": 20, "FoldedEP": 20, "VLLM_EP": 10}
    assert json.loads(named.stdout)["plans"] == sum(plans.values()), "not the plans that the file names"
    # What else the text says of a plan stays.
    best = json.loads(deployc("search", folder / "spec.deploy", "--format=json", "-D", f"plan=auto in [{written[1]}]").stdout)["best"][0]
    assert re.fullmatch(r"plan = VLLM_EP \{ dp = 2; tp = 4 \}", best["choice"]), best["choice"]


def test_whole_clusters(folder):
    text = spec("auto in [VLLM_EP]", goals=["minimize gpus", "minimize tpot"]).replace(
        "cluster  = DGX_H100 { price = 2 USD/h }", "cluster  = auto in [DGX_H100 { price = 2 USD/h }, DGX_A100 { nodes = auto in [1, 2]; price = 1 USD/h }]")
    text = text.replace("{ DGX_H100,", "{ DGX_A100, DGX_H100,")
    h100, a100 = re.findall(r"DGX_\w+ \{[^}]*\}", text)
    combinations = [{"cluster": h100, **m} for m in mesh_of("VLLM_EP", 8, ["dp", "pp", "tp"])]
    combinations += [{"cluster": a100, "cluster.nodes": n, **m} for n in (1, 2) for m in mesh_of("VLLM_EP", 8 * n, ["dp", "pp", "tp"])]
    order = [("minimize", "gpus"), ("minimize", "tpot")]
    found, _ = check_space(folder, text, combinations, order)
    assert "cluster.nodes" in found["fields"] and found["best"][0]["ranks"] == 8


def test_rules(folder):
    """Where a rule places an axis: those of a list, or every product of mesh axes that are larger than 1."""
    rules = "at moe { expert -> auto in [ep, ep * tp, none]; expert_ffn -> auto }"
    text = spec(f"Megatron {{ ep = 4; tp = 2; {rules} }}", goals=["minimize tpot"])
    combinations = [{"plan.rule expert at moe": e, "plan.rule expert_ffn at moe": f} for e in ("ep", "ep * tp", "none")
                    for f in ("none", "ep", "tp", "ep * tp")]
    found, _ = check_space(folder, text, combinations, [("minimize", "tpot")])
    assert found["plans"] == 12 and found["refused"].get("E0501"), found
    assert "plan = Megatron { ep = 4; tp = 2; at moe { expert -> " in found["best"][0]["choice"], found["best"][0]["choice"]
    # Each scope is closed before the next begins.
    two = text.replace(rules, "at moe { expert -> auto in [ep, ep * tp] }; at attn { kv_heads -> auto in [tp, none] }")
    found, _ = check_space(folder, two, [{"plan.rule expert at moe": e, "plan.rule kv_heads at attn": k} for e in ("ep", "ep * tp") for k in ("tp", "none")],
                           [("minimize", "tpot")])
    assert found["best"][0]["choice"] == "plan = Megatron { ep = 4; tp = 2; at moe { expert -> ep }; at attn { kv_heads -> tp } }", found["best"][0]["choice"]
    # In a template, a rule on an axis that the model lacks is inert, open or not.
    dense = text.replace("Mixtral_8x7B", "Llama_3_1_8B").replace("deploy D", "plan Mine = Megatron { expert -> auto; ffn -> auto in [tp, none] }\n\ndeploy D")
    dense = re.sub(r"plan     = .*", "plan     = Mine { tp = 8 }", dense)
    check_space(folder, dense, [{"plan.rule ffn": f} for f in ("tp", "none")], [("minimize", "tpot")])


def test_typed_fields(folder):
    """Enums, Bools, records that the file names; powers of two for batches and pages."""
    text = spec("Megatron { pp = 4; dp = 2; pipeline { schedule = auto; microbatches = auto in [4]; double_buffer = auto } }",
                goals=["minimize step_time"]).replace("use std.workload { Inference }", "use std.workload { Training }")
    text = re.sub("Inference .*", "Training { batch = 32; seq = 1024 }", text).replace("Mixtral_8x7B", "Llama_3_1_8B")
    orders = ("fill_drain", "one_f_one_b", "interleaved", "zero_bubble")
    combinations = [{"plan.pipeline.schedule": o, "plan.pipeline.microbatches": 4, "plan.pipeline.double_buffer": b} for o in orders
                    for b in ("false", "true")]
    check_space(folder, text, combinations, [("minimize", "step_time")])
    text = text.replace("schedule = auto;", "schedule = auto in [interleaved, one_f_one_b];")
    check_space(folder, text, [c for o in ("interleaved", "one_f_one_b") for c in combinations if c["plan.pipeline.schedule"] == o],
                [("minimize", "step_time")])
    text = spec("VLLM_EP { tp = 8 }", batch="auto", work="; page = auto", cluster="device = auto; ",
                goals=["require tpot <= 1 s", "maximize throughput", "prefer workload.page == 64"]).replace("seq = 1024", "seq = 30000")
    combinations = [{"cluster.device": d, "workload.batch": 2 ** b, "workload.page": p} for d in ("H100_SXM", "H200_SXM")
                    for b in range(11) for p in (16, 32, 64, 128, 256)]
    found, _ = check_space(folder, text, combinations, [("maximize", "throughput"), ("prefer", "workload.page == 64")])
    assert found["refused"].get("E0701") or found["refused"].get("E0808"), found["refused"]


def test_bounds(folder):
    """Without a calibration, bounds order the plans."""
    text = spec("VLLM_EP { dp = auto; tp = auto }", cluster="device { calibration = none }; ")
    found, done = check_space(folder, text, [{"plan.dp": 8 // tp, "plan.tp": tp} for tp in (1, 2, 4, 8)], [])
    assert all(step["bound"] for step in found["best"][0]["order"]) and found["best"][0]["metrics"]["tpot"]["lacks"]
    assert "bounds order the plans" in deployc("search", folder / "spec.deploy").stdout


def test_training(folder):
    text = spec("Megatron { pp = auto; dp = auto; tp = auto; pipeline { schedule = one_f_one_b; microbatches = auto in [2, 4] } }",
                goals=["require memory.headroom >= 3%", "minimize step_time"]).replace("use std.workload { Inference }", "use std.workload { Training }")
    text = re.sub("Inference .*", "Training { batch = 32; seq = 1024 }", text).replace("Mixtral_8x7B", "Llama_3_1_8B")
    combinations = [{"plan.pipeline.microbatches": b, **m} for b in (2, 4) for m in meshes(["pp", "dp", "tp"], 8, {}) if math.prod(m.values()) == 8]
    found, _ = check_space(folder, text, combinations, [("minimize", "step_time")])
    assert found["holds"] and found["best"][0]["metrics"]["step_time"]["value"] > 0


def test_nothing_holds(folder):
    path = folder / "spec.deploy"
    path.write_text(spec("Megatron { tp = auto }", more="gpus = 1"))
    found, done = search(path)
    assert done.returncode == 1 and found["holds"] == 0 and not found["best"] and found["refused"] == {"E0701": 1}, found
    help_ = re.search(r"with (\d+) devices, `plan = Megatron \{ tp = (\d+) \}` holds", done.stderr)
    assert help_, done.stderr
    devices, tp = help_.groups()
    assert deployc("check", path, "-D", f"gpus={devices}", "-D", f"plan.tp={tp}").returncode == 0
    assert deployc("check", path, "-D", f"gpus={int(devices) // 2}", "-D", f"plan.tp={int(tp) // 2}").returncode == 1


def test_nearest(folder):
    goals = ["require tpot <= 1 us", "require ttft <= 2 us"]
    path = folder / "spec.deploy"
    path.write_text(spec("Megatron { tp = auto; ep = auto }", goals=goals))
    _, done = search(path)
    assert done.returncode == 1 and "it misses `tpot <= 1 us` by" in done.stderr and "it misses `ttft <= 2 us` by" in done.stderr
    # The plan that misses its largest miss by least, computed from the plans themselves.
    def miss(tp):
        plan = json.loads(deployc("plan", path, "--format=json", "-D", f"plan.tp={tp}", "-D", f"plan.ep={8 // tp}").stdout)["plans"][0]
        metrics = plan["times"]["metrics"]
        return max(metrics["tpot"]["value"] / 1e-6, metrics["ttft"]["value"] / 2e-6) - 1
    best = min((1, 2, 4, 8), key=miss)
    assert f"the nearest: `plan = Megatron {{ ep = {8 // best}; tp = {best} }}`" in done.stderr, done.stderr


def test_looser_requirements_hold(folder):
    """What the help says that the nearest plan reaches, in place of what is required: a plan holds then."""
    path = folder / "spec.deploy"
    goals = ["require tpot <= 1 ms", "require memory.headroom >= 95%", "require memory.kv < 1 GiB"]
    path.write_text(spec("Megatron { tp = auto; ep = auto }", goals=goals))
    _, done = search(path)
    line = re.search(r"the nearest plan is predicted to reach ([^;\n]*)", done.stderr)
    assert done.returncode == 1 and line, done.stderr
    looser = re.findall(r"`([^`]+)`", line[1])
    assert looser and all(any(goal.split()[1] == claim.split()[0] for goal in goals) for claim in looser), line[1]
    kept = [goal for goal in goals if goal.split()[1] not in {claim.split()[0] for claim in looser}]
    path.write_text(spec("Megatron { tp = auto; ep = auto }", goals=[*kept, *(f"require {claim}" for claim in looser)]))
    found, done = search(path)
    assert done.returncode == 0 and found["holds"] >= 1, done.stderr


def drain(terminal):
    """Reads a terminal until nobody has its other end."""
    try:
        while os.read(terminal, 4096):
            pass
    except OSError:
        pass
    os.close(terminal)


def test_interruption(folder):
    """SIGINT once the terminal shows a plan that holds: the best so far is printed."""
    numbers = ", ".join(map(str, range(1, 600)))
    path = folder / "spec.deploy"
    path.write_text(spec("Megatron { tp = auto; ep = auto }", batch=f"auto in [{numbers}]"))
    terminal, its_end = pty.openpty()
    run = subprocess.Popen([DEPLOYC, "search", path], stdout=subprocess.PIPE, stderr=its_end, text=True)
    os.close(its_end)
    seen = ""
    while not re.search(r"of 2396 plans, [1-9]\d* hold; best so far: plan = Megatron", seen):
        assert select.select([terminal], [], [], 60)[0], seen
        seen += os.read(terminal, 4096).decode()
    run.send_signal(signal.SIGINT)
    reader = threading.Thread(target=drain, args=(terminal,))
    reader.start()
    out, _ = run.communicate(timeout=60)
    reader.join()
    assert run.returncode == 130, (run.returncode, out)
    assert re.search(r"interrupted after [1-9]\d* of 2396 plans", out) and "\nbest " in out, out


def test_lock_of_whole_parts(folder):
    """A lock decides a whole plan with the fields in it; -D refines what it decided, or replaces it."""
    path, lock = locked(folder, spec("auto", goals=["minimize tpot"]))
    values = json.loads(lock.read_text())["deployments"][0]["values"]
    assert list(values)[0] == "plan" and "plan.tp" in values
    done = deployc("check", "--locked", path)
    assert done.returncode == 0 and f"D.plan = {values['plan']}, by {lock}" in done.stdout, done.stderr
    plan = json.loads(deployc("plan", path, "--format=json").stdout)["plans"][0]
    assert {axis["axis"]: axis["size"] for axis in plan["mesh"]} == {k[5:]: int(v) for k, v in values.items() if k != "plan"}
    (row,) = json.loads(deployc("what-if", path, "--format=json", "-D", "plan.comm.reduce=f32").stdout)["rows"]
    assert row["fits"] and "W0810" not in row["warnings"]
    plan = json.loads(deployc("plan", path, "--format=json", "-D", "plan=VLLM_EP { tp = 4; dp = 2 }").stdout)["plans"][0]
    assert plan["plan"] == "VLLM_EP" and [axis["size"] for axis in plan["mesh"]] == [2, 1, 4], plan["mesh"]
    for order in (1, -1):
        document = json.loads(lock.read_text())
        document["deployments"][0]["values"] = dict(list(values.items())[::order])
        lock.write_text(json.dumps(document))
        assert deployc("check", "--locked", path).returncode == 0, "the order of values in a lock says nothing"


LOCKED = "Megatron { tp = auto; ep = auto }"


def locked(folder, text):
    """A spec with a fresh lock: (its path, that of the lock)."""
    path = folder / "spec.deploy"
    path.write_text(text)
    found, done = search(path)
    assert done.returncode == 0 and found["lock"] == str(folder / "spec.lock"), done.stderr
    return path, folder / "spec.lock"


def test_lock(folder):
    """`check`, `plan` and a build take what is open from a fresh lock, and it is what the search found."""
    path, lock = locked(folder, spec(LOCKED))
    document = json.loads(lock.read_text())
    (entry,) = document["deployments"]
    best = search(path)[0]["best"][0]
    assert entry["values"] == best["values"] and entry["memory.peak"] == best["peak"]
    assert entry["metrics"]["tpot"] == best["metrics"]["tpot"]["value"]
    plain = json.loads(deployc("plan", path, "--format=json", *[w for k, v in best["values"].items() for w in ("-D", f"{k}={v}")]).stdout)
    taken = deployc("plan", path, "--format=json")
    assert "W0810" not in taken.stderr and json.loads(taken.stdout)["plans"] == plain["plans"]
    done = deployc("check", "--locked", path)
    assert done.returncode == 0 and f"D.plan.tp = {best['values']['plan.tp']}, by {lock}" in done.stdout, done.stdout + done.stderr
    # What -D sets is not open.
    other = deployc("plan", path, "--format=json", "-D", "plan.tp=2", "-D", "plan.ep=4")
    sizes = {axis["axis"]: axis["size"] for axis in json.loads(other.stdout)["plans"][0]["mesh"]}
    assert sizes["tp"] == 2 and sizes["ep"] == 4, sizes


def test_lock_and_comparisons(folder):
    """`diff` and `what-if` take what is open from the lock too; what -D sets is not open."""
    path, lock = locked(folder, spec(LOCKED))
    best = search(path)[0]["best"][0]
    (row,) = json.loads(deployc("what-if", path, "--format=json", "-D", "workload.output=64").stdout)["rows"]
    sets = [w for k, v in best["values"].items() for w in ("-D", f"{k}={v}")]
    plain = json.loads(deployc("plan", path, "--format=json", *sets, "-D", "workload.output=64").stdout)["plans"][0]
    assert row["ranks"] == 8 and "W0810" not in row["warnings"], row
    assert row["totals"]["memory.peak"] == plain["totals"]["memory.peak"]
    rows = json.loads(deployc("what-if", path, "--format=json", "-D", "plan.tp=2,4", "-D", "D.plan.ep=4,2").stdout)["rows"]
    assert [bool(row["errors"]) for row in rows] == [False, True, True, False], rows
    done = deployc("diff", path, "-D", "plan.tp=2", "-D", "plan.ep=4", "--format=json")
    settings = {entry["path"]: entry for entry in json.loads(done.stdout)["settings"]}
    assert "W0810" not in done.stderr and str(best["values"]["plan.tp"]) in json.dumps(settings["plan.tp"]), settings
    lock.unlink()
    (row,) = json.loads(deployc("what-if", path, "--format=json", "-D", "workload.output=64").stdout)["rows"]
    assert row["ranks"] is None and "W0810" in row["warnings"], row


def test_lock_and_build(folder):
    text = (ROOT / "samples" / "tiny_mixtral.deploy").read_text()
    text = re.sub(r"Megatron *\{[^}]*\}", "Megatron { tp = auto; ep = auto in [1, 2] }", text)
    path, lock = locked(folder, text)
    lock.rename(folder / "kept")
    done = deployc(path, "--emit=llvm", "-o", "/dev/null")
    assert done.returncode == 1 and "E0804" in done.stderr and f"`{lock}` is missing" in done.stderr, done.stderr
    (folder / "kept").rename(lock)
    done = deployc(path, "--emit=llvm", "-o", "/dev/null")
    assert done.returncode == 0 and "E0804" not in done.stderr, done.stderr


def test_stale_locks(folder):
    path, lock = locked(folder, spec(LOCKED))
    fresh, text = lock.read_text(), path.read_text()

    def refused(why):
        done = deployc("check", "--locked", path)
        assert done.returncode == 1 and "E0813" in done.stderr and why in done.stderr, (why, done.stderr)
        done = deployc("check", path)
        assert done.returncode == 0 and "W0810" in done.stderr and " by " not in done.stdout, done.stderr
    path.write_text(text + "// changed\n")
    refused("is stale: the spec or the library has changed since")
    path.write_text(text)
    assert deployc("check", "--locked", path).returncode == 0
    document = json.loads(fresh)
    lock.write_text(json.dumps({**document, "library": "0.0.0 0123456789abcdef"}))
    refused("is stale")
    lock.write_text(json.dumps({**document, "deployments": []}))
    refused("has no value for it")
    for wrong in ("", "{", "[]", json.dumps({**document, "version": 2}), json.dumps({**document, "format": "deployc-plan"})):
        lock.write_text(wrong)
        refused("is not a lock that this version reads")
    lock.unlink()
    refused("is missing")
    # A value that the language does not take is a mistake with a place, and not more.
    (entry,) = document["deployments"]
    for value in ("8 8", "none", "99999999999999999999", 8):
        lock.write_text(json.dumps({**document, "deployments": [{**entry, "values": {**entry["values"], "plan.tp": value}}]}))
        done = deployc("check", "--locked", path)
        assert done.returncode == 1 and re.search(r"^error\[E", done.stderr, re.M), (value, done.stderr)


def test_locks_of_several(folder):
    """Files that a spec uses count too; deployments keep their entries; without `auto`, or with -D, nothing is written."""
    (folder / "plans.deploy").write_text("use std.plans { Megatron }\nplan Mine = Megatron { tp = auto; ep = auto }\n")
    one = spec("mine.Mine").replace("use std.workload", 'use "plans.deploy" as mine\nuse std.workload')
    two = re.search(r"^deploy D .*", one, re.S | re.M)[0].replace("deploy D", "deploy E").replace("batch = 64", "batch = 32")
    path = folder / "spec.deploy"
    path.write_text(f"{one}\n{two}")
    for name in ("D", "E"):
        search(path, f"--deploy={name}")
    assert [entry["deploy"] for entry in json.loads((folder / "spec.lock").read_text())["deployments"]] == ["D", "E"]
    done = deployc("check", "--locked", path)
    assert done.returncode == 0, done.stderr
    found, _ = search(path, "--deploy=E")
    assert found["best"][0]["choice"].startswith("plan = mine.Mine { "), found["best"][0]["choice"]
    before = (folder / "spec.lock").read_text()
    assert search(path, "--deploy=E", "-D", "workload.batch=16")[0]["lock"] is None and (folder / "spec.lock").read_text() == before
    (folder / "plans.deploy").write_text((folder / "plans.deploy").read_text() + "// changed\n")
    assert deployc("check", "--locked", path).stderr.count("E0813") == 2
    search(path, "--deploy=E")
    assert [entry["deploy"] for entry in json.loads((folder / "spec.lock").read_text())["deployments"]] == ["E"]
    path.write_text(spec("Megatron { tp = 8 }"))
    (folder / "spec.lock").unlink()
    assert search(path)[0]["lock"] is None and not (folder / "spec.lock").exists()


def test_two_thousand_ranks(folder):
    """Every mesh of a template is legal only if its product is the number of devices: 364 ways to write 2^11 as four factors."""
    path = folder / "spec.deploy"
    path.write_text("""use std.deepseek_v3 { DeepSeek_V3 }
use std.clusters { DGX_H100 }
use std.plans { Megatron }
use std.workload { Inference }

deploy Big {
  model    = DeepSeek_V3
  cluster  = DGX_H100 { nodes = 256 }
  plan     = Megatron { dp = 16; ep = 16; tp = 8 }
  workload = Inference { batch = 8192; seq = 1024..4096; output = 1024 }
}
""")
    found, done = search(path)
    assert done.returncode == 0 and found["plans"] == math.comb(14, 3), found["plans"]
    assert all(plan["ranks"] == 2048 for plan in found["best"])
    for plan in found["best"]:
        assert deployc("check", path, *[w for k, v in plan["values"].items() for w in ("-D", f"{k}={v}")]).returncode == 0


def main():
    passed = failed = 0
    for name, test in sorted(globals().items()):
        if not name.startswith("test_") or (sys.argv[1:] and not any(word in name for word in sys.argv[1:])):
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                test(pathlib.Path(folder))
                passed += 1
            except Exception as error:  # pylint: disable=broad-except
                failed += 1
                print(f"FAIL {name}: {type(error).__name__}: {error}")
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
