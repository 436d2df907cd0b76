#!/usr/bin/env python3
"""Kernels through NVIDIA's assembler for several machines: no error, no warning, the functions that `deployc plan --kernels` lists, tuned ones
without a stack or spilled registers. Of library models at full size no kernel spills, and no more families than GENERAL take the
general path.

    ptx.py [--all] [WORD ...]     one model of each family and fixtures on one rank; or all models, fixtures on all meshes of
                                  tests/e2e/run_meshes.py, and one machine more. WORD: only cases whose names contain one
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

from ptxas import ptxas

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import harness
import run_meshes

DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).resolve()
MACHINES = ("sm_80", "sm_90a", "sm_100") + (("sm_120",) if "--all" in sys.argv else ())
ABSTRACT = {"MoEDecoder"}      # has no sizes
FAMILIES = ("Llama_3_1_8B", "Mixtral_8x7B", "Qwen3_8B", "Qwen3_30B_A3B", "DeepSeek_V3", "OLMoE_1B_7B", "Gemma3_1B", "Gemma3_27B", "GPT_OSS_20B")
GENERAL = {"route", "assign", "sort", "offsets", "draw"}
SPEC = """use std.models {{ {model} }}
use std.clusters {{ CPUHost }}
use std.plans {{ Megatron }}
use std.workload {{ Inference }}
deploy Full {{
  model    = {model}
  cluster  = CPUHost {{ ranks = {ranks}; device {{ memory = 8 TiB; peak {{ f16 = 1 TFLOPS }} }} }}
  plan     = Megatron {{ tp = {ranks} }}
  workload = Inference {{ batch = 4; seq = 1..512; output = 128 }}
}}
"""


def emit(spec, *options):
    done = subprocess.run([DEPLOYC, "-", *options], input=spec, capture_output=True, text=True, timeout=harness.HANGS)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[0])
    return done.stdout


def listed(spec):
    """-> {function: "tuned" or "general"}"""
    done = subprocess.run([DEPLOYC, "plan", "-", "--target=cuda", "--kernels"], input=spec, capture_output=True, text=True, timeout=harness.HANGS,
                          env={**os.environ, "PATH": ""})
    ways = dict(re.findall(r"^  (dr_\w+) +(tuned|general) +-  ", done.stdout, re.M))
    if done.returncode or "`ptxas` is not on PATH" not in done.stdout:
        raise RuntimeError(done.stderr.strip() or "plan --kernels does not say that ptxas is not on PATH")
    return ways


def functions(text):
    """-> (what comes before them, {name: text})"""
    head, *bodies = re.split(r"(?=^\.visible \.entry )", text, flags=re.M)
    return head, {re.match(r"\.visible \.entry (\w+)", body)[1]: body for body in bodies}


def shape(body):
    """A function's text without the names that are counted through the module."""
    body = re.sub(r"\bdr_(?!shared)\w+|(?<=L__BB)\d+", "", body)
    for name in re.findall(r"^\t?\.shared .*?(\w+)\[", body, re.M):
        body = re.sub(rf"\b{name}\b", re.sub(r"\d+$", "", name), body)
    return body


seen, lock = set(), threading.Lock()


def new_functions(text):
    """-> (a module of those functions that no other case has had, their names, the names of all)"""
    head, all_ = functions(text)
    with lock:
        new = {name: body for name, body in all_.items() if (shape(body) not in seen, seen.add(shape(body)))[0]}
    return head + "".join(new.values()), set(new), set(all_)


def check(machine, module, names, ways, full_size):
    """-> (most registers, most bytes of stack)"""
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(module)
        file.flush()
        done = subprocess.run([ptxas(), f"-arch={machine}", "-v", file.name, "-o", "/dev/null"], capture_output=True, text=True, timeout=300)
    said = done.stdout + done.stderr
    wrong = [line for line in said.splitlines() if "ptxas info" not in line and not line.startswith("    ")]
    if done.returncode or wrong:
        raise RuntimeError(f"{machine}: {wrong[0] if wrong else said}")
    found = re.findall(r"Function properties for (\w+)\n *(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", said)
    stacks = {name: int(stack) for name, stack, _, _ in found}
    if set(stacks) != names:
        raise RuntimeError(f"{machine}: ptxas found other functions: {sorted(set(stacks) ^ names)}")
    stacked = [f"{name}: {n} bytes" for name, n in stacks.items() if n and ways[name] == "tuned"]
    if stacked:
        raise RuntimeError(f"{machine}: tuned kernels with a stack: {stacked}")
    spilled = [f"{name} ({ways[name]})" for name, _, *spills in found if any(map(int, spills)) and (full_size or ways[name] == "tuned")]
    if spilled:
        raise RuntimeError(f"{machine}: kernels that spill registers: {spilled}")
    return max(int(n) for n in re.findall(r"Used (\d+) registers", said)), max(stacks.values())


def assemble(spec, full_size):
    """-> what to print of the kernels"""
    ways = listed(spec)
    general = {re.sub(r"dr_|_\d+", "", name) for name, way in ways.items() if way == "general"}
    if full_size and general - GENERAL:
        raise RuntimeError(f"on the general path: {sorted(general - GENERAL)}")
    module, new, all_ = new_functions(emit(spec, "--target=cuda", "--emit=ptx"))
    if all_ != set(ways):
        raise RuntimeError(f"the functions are not those that are listed: {sorted(all_ ^ set(ways))}")
    text = f"{len(ways)} functions, {list(ways.values()).count('tuned')} tuned"
    if not new:
        return f"{text}; other cases have them all"
    most = [max(numbers) for numbers in zip(*(check(machine, module, new, ways, full_size) for machine in MACHINES))]
    return f"{text}; {len(new)} that no other case has: up to {most[0]} registers, {most[1]} bytes of stack"


def cases(arguments):
    """-> [(name, spec, whether it is a library model)]"""
    words, all_ = [a for a in arguments if not a.startswith("--")], "--all" in arguments
    names = re.findall(r"^model (\w+) ", (ROOT / "stdlib" / "models.deploy").read_text(), re.M) if all_ else FAMILIES
    found = [(f"{n} on {ranks}", SPEC.format(model=n, ranks=ranks), True) for n in names if n not in ABSTRACT for ranks in (1, 2)]
    for model, dtype, ranks, plan, workload, *refine in run_meshes.MESHES:
        if all_ or ranks == 1:
            name = ", ".join((plan, *refine))
            found.append((f"fixture {model} {dtype} on {ranks}: {name}", harness.spec(model, ranks, plan, dtype, workload, *refine), False))
    return [case for case in found if not words or any(w in case[0] for w in words)]


def main(arguments):
    passed = failed = 0
    print(f"ptxas: {ptxas()}")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        running = [(name, pool.submit(assemble, spec, full_size)) for name, spec, full_size in cases(arguments)]
        for name, case in running:
            try:
                print(f"ok   {name}: {case.result()}")
                passed += 1
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                print(f"FAIL {name}: {error}")
                failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
