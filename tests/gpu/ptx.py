#!/usr/bin/env python3
"""The kernels of library models at full size, through NVIDIA's assembler: no error, no warning, no spilled register, the functions that
`deployc plan --kernels` lists, tuned ones without a stack, and no more families on the general path than GENERAL.

    ptx.py [--all] [WORD ...]     one model of each family, or all; WORD: only those whose names contain one
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from ptxas import ptxas

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).resolve()
MACHINES = ("sm_80", "sm_90a", "sm_100")
FAMILIES = ("Llama_3_1_8B", "Mixtral_8x7B", "Qwen3_8B", "Qwen3_30B_A3B", "DeepSeek_V3", "OLMoE_1B_7B", "Gemma3_27B", "GPT_OSS_20B")
GENERAL = {"route", "assign", "sort", "offsets", "candidates", "draw"}
SPEC = """use std.models {{ {model} }}
use std.clusters {{ CPUHost }}
use std.plans {{ Megatron }}
use std.workload {{ Inference }}
deploy Full {{
  model    = {model}
  cluster  = CPUHost {{ ranks = {ranks}; device {{ memory = 8 TiB; peak {{ f16 = 1 TFLOPS }} }} }}
  plan     = Megatron {{ tp = {ranks} }}
  workload = Inference {{ batch = 4; seq = 1..2048; output = 128 }}
}}
"""


def emit(spec, *options):
    done = subprocess.run([DEPLOYC, "-", *options], input=spec, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[0])
    return done.stdout


def listed(spec):
    """-> {function: "tuned" or "general"}"""
    done = subprocess.run([DEPLOYC, "plan", "-", "--target=cuda", "--kernels"], input=spec, capture_output=True, text=True, timeout=120,
                          env={**os.environ, "PATH": ""})
    ways = dict(re.findall(r"^  (dr_\w+) +(tuned|general) +-  ", done.stdout, re.M))
    if done.returncode or "`ptxas` is not on PATH" not in done.stdout:
        raise RuntimeError(done.stderr.strip() or "plan --kernels does not say that ptxas is not on PATH")
    return ways


def assemble(model, ranks):
    """-> what to print of the kernels"""
    spec = SPEC.format(model=model, ranks=ranks)
    ways = listed(spec)
    general = {re.sub(r"dr_|_\d+", "", name) for name, way in ways.items() if way == "general"}
    if general - GENERAL:
        raise RuntimeError(f"on the general path: {sorted(general - GENERAL)}")
    text, most, stack = emit(spec, "--target=cuda", "--emit=ptx"), 0, 0
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(text)
        file.flush()
        for machine in MACHINES:
            done = subprocess.run([ptxas(), f"-arch={machine}", "-v", file.name, "-o", "/dev/null"], capture_output=True, text=True, timeout=300)
            said = done.stdout + done.stderr
            wrong = [line for line in said.splitlines() if "ptxas info" not in line and not line.startswith("    ")]
            if done.returncode or wrong:
                raise RuntimeError(f"{machine}: {wrong[0] if wrong else said}")
            stacks = {name: int(n) for name, n in re.findall(r"Function properties for (\w+)\n *(\d+) bytes stack frame", said)}
            if set(stacks) != set(ways):
                raise RuntimeError(f"{machine}: the functions are not those that are listed: {sorted(set(stacks) ^ set(ways))}")
            if any(n and ways[name] == "tuned" for name, n in stacks.items()):
                raise RuntimeError(f"{machine}: tuned kernels with a stack: {[name for name, n in stacks.items() if n and ways[name] == 'tuned']}")
            spilled = [int(n) for n in re.findall(r"(\d+) bytes spill stores", said)]
            if any(spilled):
                raise RuntimeError(f"{machine}: {sum(map(bool, spilled))} of {len(spilled)} kernels spill registers")
            most = max(most, *(int(n) for n in re.findall(r"Used (\d+) registers", said)))
            stack = max(stack, *stacks.values())
    return f"{len(ways)} functions, {list(ways.values()).count('tuned')} tuned, up to {most} registers, {stack} bytes of stack"


def models(arguments):
    words = [a for a in arguments if not a.startswith("--")]
    names = re.findall(r"^model (\w+) ", (ROOT / "stdlib" / "models.deploy").read_text(), re.M) if "--all" in arguments else FAMILIES
    return [n for n in names if not words or any(w in n for w in words)]


def main(arguments):
    passed = failed = 0
    print(f"ptxas: {ptxas()}")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        cases = [(model, ranks, pool.submit(assemble, model, ranks)) for model in models(arguments) for ranks in (1, 2)]
        for model, ranks, case in cases:
            try:
                print(f"ok   {model} on {ranks}: {case.result()}")
                passed += 1
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                print(f"FAIL {model} on {ranks}: {error}")
                failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
