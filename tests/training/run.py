#!/usr/bin/env python3
"""What `deployc plan` says of training, held to closed forms that others published, and to what must be true of any plan.

    run.py [WORD ...]    only the tests whose name contains a word
"""
import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).absolute()

GPT = """use std.gpt2 {{ GPT2 }}
use std.clusters {{ DGX_A100 }}
use std.plans {{ Megatron }}
use std.workload {{ Training, AdamW, Optimizer }}
deploy T {{
  model    = GPT2 {{ layers = {layers}; d_model = {h}; kv_heads = {a}; vocab = {v}; max_ctx = {s}; weight = bf16; act = bf16; kv = bf16 }}
  cluster  = DGX_A100 {{ nodes = {nodes} }}
  plan     = Megatron {{ tp = {t}; pp = {p}; dp = {d}; pipeline {{ microbatches = {m}; schedule = {schedule}; virtual = {virtual} }}; {more} }}
  workload = Training {{ batch = {batch}; seq = {s}{work} }}
  gpus     = {gpus}
}}
"""
DEFAULTS = dict(layers=8, h=1024, a=16, v=51200, s=512, t=1, p=1, d=1, m=1, b=2, schedule="one_f_one_b", virtual=1, more="", work="")
WHOLE = "at residual { seq -> none }"  # tensor parallel without sequence parallel


class Failed(Exception):
    """A failed test; its text is one line of the report."""


def plan(text, *settings):
    """The object of the deployment in `plan --format=json`."""
    with tempfile.NamedTemporaryFile("w", suffix=".deploy") as spec:
        spec.write(text)
        spec.flush()
        words = [word for one in settings for word in ("-D", one)]
        done = subprocess.run([DEPLOYC, "plan", spec.name, "--format=json", *words], capture_output=True, text=True, timeout=60)
    if not done.stdout:
        raise Failed(next((line for line in done.stderr.splitlines() if "error" in line), "no output"))
    plans = json.loads(done.stdout)["plans"]
    if not plans or not plans[0]["training"]:
        raise Failed(next((line for line in done.stderr.splitlines() if "error" in line), "no plan of training"))
    return plans[0]


def gpt(**values):
    """A GPT; b sequences are a microbatch of a data-parallel rank."""
    x = {**DEFAULTS, **values}
    x["batch"] = x["b"] * x["m"] * x["d"]
    x["gpus"] = x["t"] * x["p"] * x["d"]
    x["nodes"] = -(-x["gpus"] // 8)
    return plan(GPT.format(**x)), x


def same(what, one, other, within=1e-12):
    if abs(one - other) > within * max(abs(one), abs(other)):
        raise Failed(f"{what}: {one} is not {other}")


# ---- bytes ------------------------------------------------------------------------------------------------------------

def per_layer(mode, x):
    """Korthikanti et al., arXiv 2205.05198, table 2: bytes of a layer, without what dropout keeps. Of 34 sbh, two masks of sbh are
    dropout's, one behind each projection, which tensor parallelism without sequence parallelism leaves whole (10 = 8 + 2). The
    quadratic term is that of scores in memory; a fused attention keeps the logarithms of its sums instead, 4 bytes a query and head."""
    sbh, t = x["s"] * x["b"] * x["h"], x["t"]
    sums = 4 * x["s"] * x["b"] * x["a"] / t
    return {"tensor": sbh * (8 + 24 / t) + sums, "tensor and sequence": sbh * 32 / t + sums, "full": 2 * sbh / t}[mode]


def saved_of_a_layer():
    for mode, more in [("tensor", WHOLE), ("tensor and sequence", ""), ("full", "memory { recompute = [layer] }")]:
        for t in (1, 2, 8):
            found, x = gpt(t=t, p=4, m=4, more=more)
            stage = found["training"]["stages"][1]
            same(f"{mode}, tp {t}", stage["bytes"]["saved"], 3 * 2 * per_layer(mode, x))


def in_flight():
    """Stage s of p keeps min(p - s, m) microbatches; interleaving keeps (1 + (p - 1) / (p v)) of the first stage's (the same paper, 4.2.1)."""
    for p, m in [(2, 8), (4, 2), (4, 8), (8, 16)]:
        found, x = gpt(p=p, m=m)
        for s, stage in enumerate(found["training"]["stages"][:-1]):
            same(f"stage {s} of {p}, {m} microbatches", stage["bytes"]["saved"], min(p - s, m) * 8 / p * per_layer("tensor", x))
    for v in (2, 4):
        found, x = gpt(p=4, m=8, layers=16, schedule="interleaved", virtual=v)
        first = found["training"]["stages"][0]
        same(f"virtual = {v}", first["bytes"]["saved"], 16 * per_layer("tensor", x) * (1 + 3 / (4 * v)))
        same("layers of its chunks", sum(end - begin for begin, end in first["layers"]), 4)
    found, x = gpt(p=4, m=8, schedule="fill_drain")
    same("fill_drain", found["training"]["stages"][0]["bytes"]["saved"], 8 * 2 * per_layer("tensor", x))


def regions_computed_again():
    """Without the MLP: less its two wide values, 8 sbh each, over t. A value by name: less that value."""
    base, x = gpt(p=4, m=4, t=2)
    sbh = x["s"] * x["b"] * x["h"]
    for what, less in [("layer.mlp", 16 * sbh / 2), ("layer.attn.o", (2 * sbh + 4 * x["s"] * x["b"] * x["a"]) / 2),
                       ("layer.attn", (8 * sbh + 4 * x["s"] * x["b"] * x["a"]) / 2)]:
        found, _ = gpt(p=4, m=4, t=2, more=f"memory {{ recompute = [{what}] }}")
        saved = [one["training"]["stages"][1]["bytes"]["saved"] for one in (base, found)]
        same(what, saved[0] - saved[1], 3 * 2 * less)


def states_of_a_param():
    """Narayanan et al., arXiv 2104.04473: 12 L h^2 (1 + 13 / 12h + (v + s) / 12Lh) parameters, and 2 h of a norm that they leave out."""
    found, x = gpt(layers=4)
    params = 12 * x["layers"] * x["h"]**2 * (1 + 13 / (12 * x["h"]) + (x["v"] + x["s"]) / (12 * x["layers"] * x["h"])) + 2 * x["h"]
    total = found["totals"]
    same("params", total["params"], params)
    same("weights", total["memory.weights"], 2 * params)
    same("gradients", total["memory.gradients"], 4 * params)
    same("optimizer", total["memory.optimizer"], 12 * params)
    found, _ = gpt(layers=4, work="; gradient = bf16; optimizer = AdamW { moments = bf16; master = none }")
    same("gradients in bf16", found["totals"]["memory.gradients"], 2 * params)
    same("moments in bf16", found["totals"]["memory.optimizer"], 4 * params)
    found, _ = gpt(layers=4, work="; optimizer = Optimizer {}")
    same("no moments", found["totals"]["memory.optimizer"], 4 * params)


LLAMA = """use std.models {{ Llama_3_1_8B }}
use std.clusters {{ DGX_A100 }}
use std.plans {{ Megatron }}
use std.workload {{ Training }}
deploy T {{
  model    = Llama_3_1_8B
  cluster  = DGX_A100 {{ nodes = 8 }}
  plan     = Megatron {{ dp = 64; {more} }}
  workload = Training {{ batch = 64; seq = 512; gradient = bf16 }}
}}
"""


def zero():
    """Rajbhandari et al., arXiv 1910.02054: of P parameters over n ranks, 16 P bytes; 4 P + 12 P/n; 2 P + 14 P/n; 16 P/n."""
    for more, whole, shared in [("", 16, 0), ("store optimizer { d_model -> dp }", 4, 12), ("store gradients { d_model -> dp }", 2, 14),
                                ("store weights { d_model -> dp }", 0, 16)]:
        total = plan(LLAMA.format(more=more))["totals"]
        states = sum(total[f"memory.{kind}"] for kind in ("weights", "gradients", "optimizer"))
        same(more or "no rule", states, (whole + shared / 64) * total["params"])


def parts_are_the_whole():
    for values in [dict(), dict(t=4, p=4, m=8), dict(p=4, m=8, layers=16, schedule="interleaved", virtual=2), dict(d=8, more="store weights { d_model -> dp }")]:
        found, _ = gpt(**values)
        stages = [stage["bytes"] for stage in found["training"]["stages"]]
        for i, stage in enumerate(stages):
            same(f"peak of stage {i}", stage["peak"], sum(stage[kind] for kind in ("weights", "gradients", "optimizer", "saved", "working")))
        for kind in ("weights", "gradients", "optimizer", "peak"):
            same(f"memory.{kind}", found["totals"][f"memory.{kind}"], max(stage[kind] for stage in stages))
        same("memory.activations", found["totals"]["memory.activations"], max(stage["saved"] + stage["working"] for stage in stages))


# ---- times ------------------------------------------------------------------------------------------------------------

PARTS = ["kernels", "communication", "host", "messages", "waiting", "gradients", "optimizer", "engine"]


def time_of(found):
    """The parts of a step, after what must be true of any."""
    step = found["training"]["time"]
    if not step:
        raise Failed("no time")
    same("parts of a step", sum(step[part] for part in PARTS), step["seconds"], 1e-9)
    metrics = found["times"]["metrics"]
    same("step_time", metrics["step_time"]["value"], step["seconds"])
    if not metrics["step_time"]["bound"] < step["seconds"]:
        raise Failed("a step faster than the peak of its devices")
    if not 0 <= metrics["bubble"]["value"] < 1 or not 0 < metrics["mfu"]["value"] <= metrics["hfu"]["value"] < 1:
        raise Failed("a share beyond its limits")
    for body in step["bodies"]:
        if not 0 < body["forward"] < body["backward"]:
            raise Failed("a backward pass shorter than the forward pass")
    return step


def parts_of_a_step():
    for values in [dict(), dict(t=4, p=4, m=8), dict(p=4, m=8, layers=16, schedule="interleaved", virtual=2),
                   dict(d=8, more="store weights { d_model -> dp }"), dict(t=2, p=2, d=2, m=4, more="memory { recompute = [layer] }"),
                   dict(t=8, more=WHOLE + "; comm { overlap = chunks }")]:
        time_of(gpt(**values)[0])


def model_operations():
    """Korthikanti et al., appendix A: 72 B L s h^2 (1 + s / 6h + v / 12hL) operations, on A100 at 312e12 a second each."""
    for values in [dict(), dict(t=4, p=4, m=8, more="memory { recompute = [layer] }"), dict(d=4, h=2048, layers=3)]:
        found, x = gpt(**values)
        n = 72 * x["batch"] * x["layers"] * x["s"] * x["h"]**2 * (1 + x["s"] / (6 * x["h"]) + x["v"] / (12 * x["h"] * x["layers"]))
        same("step_time at the peak", found["times"]["metrics"]["step_time"]["bound"], n / (312e12 * x["gpus"]))


def bubbles():
    """Narayanan et al.: (p - 1) / m of the work of equal stages, a v-th of it with v chunks. Here the head is small, not nothing."""
    for p, m, v in [(2, 2, 1), (4, 8, 1), (4, 32, 1), (8, 8, 1), (4, 8, 2), (4, 8, 4)]:
        found, _ = gpt(p=p, m=m, layers=32, h=8192, a=64, s=2048, v=16, virtual=v, schedule="interleaved" if v > 1 else "one_f_one_b",
                       more="pipeline { double_buffer = true }")
        work = (p - 1) / (v * m)
        same(f"p = {p}, m = {m}, v = {v}", found["times"]["metrics"]["bubble"]["value"], work / (1 + work), 0.03)


def flat():
    """A layer takes the same, however many there are, and however many ranks have other sequences."""
    one = time_of(gpt(t=2)[0])["bodies"][0]
    for values in [dict(layers=96), dict(d=512), dict(p=8), dict(m=64)]:
        other = time_of(gpt(t=2, **values)[0])["bodies"][0]
        for way in ("forward", "backward"):
            same(f"{way} with {values}", one[way], other[way], 1e-9)


SLOWER = """use std.llama { Llama_3_1_8B }
use std.hw { Cluster, Link }
use std.clusters { A100_SXM }
use std.plans { Megatron }
use std.workload { Training }
link Inside : Link { unidirectional = 300 GB/s }
link Between : Link { unidirectional = 25 GB/s }
cluster Pod : Cluster {
  nodes : Int = 4
  device = A100_SXM
  level nvlink { count = 8; link = Inside }
  level fabric { count = nodes; link = Between }
}
deploy T {
  model    = Llama_3_1_8B
  cluster  = Pod
  plan     = Megatron { tp = 4; pp = 4; dp = 2; pipeline { microbatches = 8; schedule = one_f_one_b } }
  workload = Training { batch = 16; seq = 2048 }
}
"""


def links():
    """Slower links never make a step shorter, and what they slow is what crosses them."""
    steps = [time_of(plan(SLOWER.replace("300 GB", inside + " GB").replace("25 GB", between + " GB")))
             for inside, between in [("300", "25"), ("150", "25"), ("300", "5"), ("150", "5")]]
    for slower, faster in [(1, 0), (2, 0), (3, 1), (3, 2)]:
        if not steps[slower]["seconds"] > steps[faster]["seconds"]:
            raise Failed("a step that does not feel its links")
    same("kernels", steps[0]["kernels"], steps[3]["kernels"], 1e-9)
    if not steps[1]["communication"] > 1.5 * steps[0]["communication"] or not steps[2]["messages"] > 2 * steps[0]["messages"]:
        raise Failed("parts that do not feel their links")


def lengths():
    """Bytes and times of a range of lengths are those of the longest; its mean is that of a workload of one length."""
    some, longest, mean = (plan(SLOWER, f"workload.seq={seq}") for seq in ("512..2048", "2048", "1280"))
    if some["training"]["stages"] != longest["training"]["stages"] or time_of(some) | {"mean": None} != time_of(longest):
        raise Failed("a range that is not planned for its longest sequence")
    if some["times"]["metrics"] != longest["times"]["metrics"]:
        raise Failed("metrics of a range are not those of its longest sequence")
    same("length", time_of(some)["mean"]["length"], 1280, 0)
    same("mean", time_of(some)["mean"]["seconds"], time_of(mean)["seconds"], 1e-12)


def published():
    """tests/accuracy/training: steps and layers that others published. docs/planner.md has the errors."""
    folder, errors = ROOT / "tests" / "accuracy" / "training", {}
    rows = list(csv.DictReader((folder / "measured.csv").open()))
    for spec in sorted({row["spec"] for row in rows}):
        done = subprocess.run([DEPLOYC, "plan", folder / f"{spec}.deploy", "--format=json"], capture_output=True, text=True, timeout=60)
        for one in json.loads(done.stdout)["plans"]:
            step = time_of(one)
            for row in rows:
                if row["spec"] == spec and row["deploy"] == one["deploy"]:
                    seconds = step["seconds"] if row["metric"] == "step" else step["bodies"][0][row["metric"]]
                    errors[one["deploy"], row["metric"]] = seconds / float(row["seconds"]) - 1
    if len(errors) != len(rows):
        raise Failed(f"{len(errors)} of {len(rows)} rows")
    group = {(row["deploy"], row["metric"]): row["group"] for row in rows}
    text = []
    for name, most in [("Korthikanti table 5", 4), ("Korthikanti table 4", 4), ("Megatron-Bridge, dense", 11)]:
        some = [abs(error) for key, error in errors.items() if group[key] == name]
        mean = 100 * sum(some) / len(some)
        if mean > most:
            raise Failed(f"{name}: a mean error of {mean:.1f}%")
        text.append(f"{name} {mean:.1f}%")
    return ", ".join(text)


def gradients_over_ranks():
    """An all-reduce moves 2 (n - 1) / n of what it adds up; a scatter and a gather half of that each. Links of an A100: 300 GB/s."""
    for more, work, each in [("", "", 8), ("", "; gradient = bf16", 4), ("store optimizer { d_model -> dp }", "", 4 + 2)]:
        found, _ = gpt(d=8, h=4096, more=more, work=work)
        seconds, least = time_of(found)["gradients"], each * 7 / 8 * found["totals"]["params"] / 300e9
        if not least < seconds < 1.6 * least:
            raise Failed(f"{more}{work}: {seconds} s of at least {least}")
    for values in [dict(), dict(p=2)]:
        spent = time_of(gpt(**values)[0])["gradients"]
        if (spent > 0) != (values.get("p", 1) > 1):  # the ends of a tied embedding
            raise Failed(f"gradients of {values}: {spent} s")


TESTS = {"gradients over ranks": gradients_over_ranks, "published steps": published, "parts of a step": parts_of_a_step, "operations of the model": model_operations, "bubbles": bubbles, "flat": flat, "links": links, "lengths": lengths,
         "saved of a layer": saved_of_a_layer, "microbatches in flight": in_flight, "regions computed again": regions_computed_again,
         "states of a param": states_of_a_param, "ZeRO": zero, "parts are the whole": parts_are_the_whole}


def main(words):
    if not DEPLOYC.exists():
        sys.exit(f"{DEPLOYC} is missing: run `make`, or set DEPLOYC")
    passed = failed = 0
    for title, test in TESTS.items():
        if words and not any(word in title for word in words):
            continue
        start = time.monotonic()
        try:
            verdict, note = "ok  ", test() or ""
            passed += 1
        except (Failed, subprocess.TimeoutExpired, OSError, ValueError) as failure:
            verdict, note = "FAIL", str(failure)
            failed += 1
        print(f"{verdict} {title:<32} {time.monotonic() - start:5.1f} s  {note}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
