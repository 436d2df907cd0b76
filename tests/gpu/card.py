#!/usr/bin/env python3
"""Prepares what card.sh runs on a machine with a GPU and without LLVM: launchers of fixtures with the ids that they must print, and the
kernels of a full-size deployment, and of a small one, as object files.

    card.py FOLDER
"""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness import DEPLOYC, FIXTURES, Expected, need_deployc, spec

# (model, format, ranks, plan)
LAUNCHERS = (("llama", "f32", 1, "Megatron {}"), ("llama", "bf16", 1, "Megatron {}"), ("mixtral", "bf16", 1, "Megatron {}"), ("deepseek", "f32", 1, "Megatron {}"),
             ("gpt_oss", "f32", 1, "Megatron {}"), ("llama", "f32", 2, "Megatron { tp = 2 }"), ("mixtral", "f32", 2, "Megatron { ep = 2 }"))
STEPS = 8
BENCH = """use std.models {{ Llama_3_1_8B }}
use std.clusters {{ CPUHost }}
use std.plans {{ Megatron }}
use std.workload {{ Inference }}
deploy Bench {{
  model    = Llama_3_1_8B {{ {sizes} }}
  cluster  = CPUHost {{ ranks = 1; device {{ memory = 8 TiB; peak {{ f16 = 1 TFLOPS }} }} }}
  plan     = Megatron {{}}
  workload = Inference {{ {workload} }}
}}
"""
# Eight layers of the model: with their caches, 8 GB.
SIZES = {
    "full": ("layers = 8", "batch = 16; seq = 1..2048; output = 128; chunk = 8192; page = 64"),
    "small": ("layers = 2; vocab = 256; d_model = 128; kv_heads = 2; q_group = 2; head_dim = 64; ffn = 256",
              "batch = 2; seq = 1..128; output = 16; chunk = 192; page = 16"),
}


def compiled(text, to, *options):
    source = to.with_suffix(".deploy")
    source.write_text(text)
    subprocess.run([DEPLOYC, source, "-o", to, *options], check=True, timeout=120)
    return to


def expected_ids(folder, name, model, dtype, arguments):
    """What the CPU's launcher prints; in f32 that must be transformers' tokens."""
    launcher = compiled(spec(model, 1, dtype=dtype), folder / f"{name}.cpu")
    done = subprocess.run([launcher, "run", *arguments], capture_output=True, text=True, check=True, timeout=60)
    launcher.unlink()
    lines = sorted(line for line in done.stdout.splitlines() if line.startswith("ids:"))
    truth = Expected(model)
    wanted = sorted(f"ids: {','.join(map(str, p))} -> {','.join(map(str, t[:STEPS]))}" for p, t in zip(truth.prompts, truth.tokens))
    if dtype == "f32" and lines != wanted:
        sys.exit(f"{name}: {lines} instead of {wanted}")
    return lines


def make_launcher(folder, model, dtype, ranks, plan):
    name = f"{model}_{dtype}" + (f"_{ranks}" if ranks > 1 else "")
    arguments = ["--weights", str((FIXTURES / model).relative_to(FIXTURES.parents[1])), "--max-tokens", str(STEPS)]
    for prompt in Expected(model).prompts:
        arguments += ["--ids", ",".join(map(str, prompt))]
    compiled(spec(model, ranks, plan, dtype=dtype), folder / name, "--target=cuda")
    (folder / f"{name}.arguments").write_text(" ".join(arguments) + "\n")
    (folder / f"{name}.ids").write_text("\n".join(expected_ids(folder, name, model, dtype, arguments)) + "\n")


def main(folder):
    need_deployc()
    folder.mkdir(parents=True, exist_ok=True)
    for launcher in LAUNCHERS:
        make_launcher(folder, *launcher)
    for name, (sizes, workload) in SIZES.items():
        compiled(BENCH.format(sizes=sizes, workload=workload), folder / f"{name}.o", "--target=cuda", "--emit=obj")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
