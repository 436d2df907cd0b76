#!/usr/bin/env python3
"""`launcher bench --calibrate`: what it writes is a cluster that deployc checks and times, and its figures are possible. Times decide nothing."""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import calibrate                                    # noqa: E402
from harness import DEPLOYC                         # noqa: E402

MODEL = """use std.models {{ Llama_3_2_1B }}
use std.plans {{ Megatron }}
use std.workload {{ Inference }}
{use}
model Small = Llama_3_2_1B {{
  layers = 2; d_model = 128; ffn = 256; vocab = 512; kv_heads = 4; q_group = 2; head_dim = 32; max_ctx = 512
  weight = {format}; act = {format}; kv = {format}
}}
{experts}deploy D {{
  model    = {model}
  cluster  = {cluster}
  plan     = Megatron {{ tp = {tp} }}
  workload = Inference {{ batch = 4; seq = 64; output = 8 }}
}}
"""


EXPERTS = """use std.mixtral { Mixtral }
model Sparse = Mixtral {
  layers = 2; d_model = 64; expert = 4; expert_ffn = 128; top_k = 2; vocab = 512; kv_heads = 2; q_group = 2; head_dim = 32; max_ctx = 512
  weight = f32; act = f32; kv = f32
}
"""


def text_of(experts=False, **fields):
    return MODEL.format(experts=EXPERTS if experts else "", model="Sparse" if experts else "Small", **fields)


def run(*command):
    return subprocess.run([str(x) for x in command], capture_output=True, text=True, timeout=300)


def quantities(text):
    """{name: values} of all fields of a file."""
    found = {}
    for name, value in re.findall(r"(\w+) += (-?[\d.]+(?:e[-+]?\d+)? ?[A-Za-z/%]*)", text):
        found.setdefault(name, []).append(value.strip())
    return found


def wrong_figures(text, ranks):
    """Shares beyond 100%, times below 0 or above a second, negative spreads."""
    found = quantities(text)
    for name in ("compute", "memory", "pointwise", "reduction", "share"):
        for value in (v for v in found.get(name, []) if v.endswith("%")):
            if not 0 < calibrate.number(value) <= 1:
                yield f"{name} = {value}"
    for name in ("launch", "latency", "hop"):
        for value in found.get(name, []):
            if not 0 <= calibrate.number(value) < 1:
                yield f"{name} = {value}"
    if not all(calibrate.number(v) >= 0 for v in found["spread"]):
        yield f"spread = {found['spread']}"
    if ("link Exchange" in text) != (ranks > 1) or ("all_reduce {" in text) != (ranks > 1):
        yield f"a link and an all-reduce of {ranks} rank(s)"
    for part in ("matmul ", "prefill {", "decode {", "rows {", "calibration = Measured"):
        if part not in text:
            yield f"no `{part}`"


def calibrated(folder, form, ranks, experts=False):
    """What is wrong with the records that a launcher of a format on so many ranks writes."""
    spec, launcher, records = folder / "spec.deploy", folder / "launcher", folder / "mine.deploy"
    spec.write_text(text_of(use="use std.clusters { CPUHost }", format=form, tp=ranks, cluster=f"CPUHost {{ ranks = {ranks} }}", experts=experts))
    if (built := run(DEPLOYC, spec, "-o", launcher)).returncode:
        return [built.stderr]
    if (done := run(launcher, "bench", "--calibrate", records, "--threads", 1)).returncode:
        return [done.stderr]
    left = [p.name for p in folder.iterdir() if p.name.endswith(".part")]
    text = records.read_text()
    wrong = [f"{p} is left over" for p in left] + list(wrong_figures(text, ranks))
    if f"matmul {form}_{form}" not in text:
        wrong.append(f"no products of {form}")
    if ("grouped experts_" in text) != experts:
        wrong.append("products of experts that the model has" if experts else "products of experts that the model lacks")
    spec.write_text(text_of(use='use "mine.deploy" as mine', format=form, tp=ranks, cluster="mine.ThisMachine", experts=experts))
    for command in (("check",), ("plan", "--format=json")):
        done = run(DEPLOYC, *command, spec)
        if done.returncode or "error" in done.stderr:
            wrong.append(f"{command[0]}: {done.stderr}")
    if not wrong and (lacks := [m for m in metrics(json.loads(done.stdout)) if m["name"] in ("ttft", "tpot") and m["value"] is None]):
        wrong.append(f"without a value: {lacks}")
    return wrong


def metrics(tree):
    """All objects of a document that have a name and a value."""
    if isinstance(tree, dict):
        if "name" in tree and "value" in tree:
            yield tree
        tree = list(tree.values())
    for part in tree if isinstance(tree, list) else []:
        yield from metrics(part)


def refused(folder):
    """A file that cannot be written is one message, before anything is measured."""
    done = run(folder / "launcher", "bench", "--calibrate", folder / "nowhere" / "x.deploy")
    return [] if done.returncode == 1 and "cannot write" in done.stderr else [f"status {done.returncode}: {done.stderr}"]


def gpus_are_refused(folder):
    spec, launcher = folder / "spec.deploy", folder / "gpu"
    spec.write_text(text_of(use="use std.clusters { DGX_H100 }", format="bf16", tp=4, cluster="DGX_H100 { level nvlink { count = 4 } }"))
    if (built := run(DEPLOYC, spec, "--target=cuda", "-o", launcher)).returncode:
        return [built.stderr]
    done = run(launcher, "bench", "--calibrate", folder / "gpu.deploy")
    return [] if done.returncode == 2 and "measures processors" in done.stderr else [f"status {done.returncode}: {done.stderr}"]


def main():
    failed = passed = 0
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        cases = [(f"{form}, {ranks} ranks", lambda form=form, ranks=ranks: calibrated(folder, form, ranks)) for form, ranks in
                 (("bf16", 2), ("f32", 1))] + [("experts", lambda: calibrated(folder, "f32", 1, experts=True))]
        for name, case in cases + [("a folder that is missing", lambda: refused(folder)), ("GPUs", lambda: gpus_are_refused(folder))]:
            wrong = case()
            passed, failed = passed + (not wrong), failed + bool(wrong)
            for line in wrong:
                print(f"FAIL {name}: {line}")
    print(f"{passed} passed, {failed} failed")
    return failed


if __name__ == "__main__":
    sys.exit(bool(main()))
