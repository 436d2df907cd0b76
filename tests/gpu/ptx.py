#!/usr/bin/env python3
"""Kernels through NVIDIA's assembler for several machines: no error, no warning, the functions that `deployc plan --kernels` lists, tuned ones
without a stack or spilled registers. Of library models at full size no kernel spills, and no more families than GENERAL take the
general path. Functions of equal text are assembled once for a machine.

    ptx.py [WORD ...]           one model of each family of the library: on one rank for EACH machine, on two for one of all machines in
                                turn. Fixtures on one rank, for one of EACH in turn. The step `ptx` of `make check`
    ptx.py --all [WORD ...]     all models of the library on one rank and on two, fixtures on all meshes of tests/e2e/run_meshes.py,
                                each for all machines. `make test-gpu`
    WORD: only cases whose names contain one
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
EACH = ("sm_80", "sm_90a", "sm_100")
MACHINES = (*EACH, "sm_100a", "sm_103a", "sm_120", "sm_120a")
ABSTRACT = {"MoEDecoder"}      # has no sizes
FAMILIES = ("Llama_3_1_8B", "Llama4_Scout", "Mistral_7B_v0_1", "Mixtral_8x7B", "Qwen2_5_7B", "Qwen1_5_MoE_A2_7B", "Qwen3_8B", "Qwen3_30B_A3B",
            "DeepSeek_V2_Lite", "DeepSeek_V3", "OLMoE_1B_7B", "Gemma2_9B", "Gemma3_1B", "Gemma3_27B", "GPT2_124M", "GPT_OSS_20B", "Phi3_Mini",
            "Granite_3_1_2B", "OLMo2_7B", "GLM4_9B", "MiniMax_M2", "Ernie4_5_0_3B")
WAYS = {"GPT2_1_5B": 5}         # 25 heads; the others are split two ways
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
    """-> {function: "tuned", "fma" or "general"}"""
    done = subprocess.run([DEPLOYC, "plan", "-", "--target=cuda", "--kernels"], input=spec, capture_output=True, text=True, timeout=harness.HANGS,
                          env={**os.environ, "PATH": ""})
    ways = dict(re.findall(r"^  (dr_\w+) +(tuned|fma|general) +-  ", done.stdout, re.M))
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


def new_functions(machine, head, bodies):
    """-> (a module of those functions that no other case has had for this machine, their names)"""
    with lock:
        new = {name: body for name, body in bodies.items() if ((machine, shape(body)) not in seen, seen.add((machine, shape(body))))[0]}
    return head + "".join(new.values()), set(new)


def check(machine, module, names, ways, full_size):
    """-> (most registers, most bytes of stack)"""
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(module)
        file.flush()
        done = subprocess.run([ptxas(), f"-arch={machine}", "-v", file.name, "-o", "/dev/null"], capture_output=True, text=True, timeout=harness.HANGS)
    said = done.stdout + done.stderr
    wrong = [line for line in said.splitlines() if "ptxas info" not in line and not line.startswith("    ")]
    if done.returncode or wrong:
        raise RuntimeError(f"{machine}: {wrong[0] if wrong else said}")
    found = re.findall(r"Function properties for (\w+)\n *(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", said)
    stacks = {name: int(stack) for name, stack, _, _ in found}
    if set(stacks) != names:
        raise RuntimeError(f"{machine}: ptxas found other functions: {sorted(set(stacks) ^ names)}")
    stacked = [f"{name}: {n} bytes" for name, n in stacks.items() if n and ways[name] != "general"]
    if stacked:
        raise RuntimeError(f"{machine}: tuned kernels with a stack: {stacked}")
    spilled = [f"{name} ({ways[name]})" for name, _, *spills in found if any(map(int, spills)) and (full_size or ways[name] != "general")]
    if spilled:
        raise RuntimeError(f"{machine}: kernels that spill registers: {spilled}")
    return max(int(n) for n in re.findall(r"Used (\d+) registers", said)), max(stacks.values())


def assemble(spec, full_size, machines):
    """-> what to print of the kernels"""
    ways = listed(spec)
    general = {re.sub(r"dr_|_\d+", "", name) for name, way in ways.items() if way == "general"}
    if full_size and general - GENERAL:
        raise RuntimeError(f"on the general path: {sorted(general - GENERAL)}")
    head, bodies = functions(emit(spec, "--target=cuda", "--emit=ptx"))
    if set(bodies) != set(ways):
        raise RuntimeError(f"the functions are not those that are listed: {sorted(set(bodies) ^ set(ways))}")
    text, most = f"{len(ways)} functions, {len(ways) - list(ways.values()).count('general')} tuned", []
    for machine in machines:
        module, new = new_functions(machine, head, bodies)
        if new:
            text += f"; {len(new)} for {machine}"
            most.append(check(machine, module, new, ways, full_size))
    if not most:
        return f"{text}; other cases have them all"
    return f"{text}: up to {max(m[0] for m in most)} registers, {max(m[1] for m in most)} bytes of stack"


def library():
    """-> {model: its module}"""
    return dict(re.findall(r"^model (\w+) += (\w+)\.", (ROOT / "stdlib" / "models.deploy").read_text(), re.M))


def cases(arguments):
    """-> [(name, spec, whether it is a library model, machines)]"""
    words, all_ = [a for a in arguments if not a.startswith("--")], "--all" in arguments
    models = {name: module for name, module in library().items() if name not in ABSTRACT}
    without = set(models.values()) - {models[name] for name in FAMILIES}
    if without:
        sys.exit(f"FAMILIES has no model of {sorted(without)}")
    found = []
    for number, name in enumerate(models if all_ else FAMILIES):
        ways = WAYS.get(name, 2)
        for ranks, machines in ((1, EACH), (ways, (MACHINES[number % len(MACHINES)],))):
            found.append((f"{name} on {ranks}", SPEC.format(model=name, ranks=ranks), True, MACHINES if all_ else machines))
    fixtures = [mesh for mesh in run_meshes.MESHES if all_ or mesh[2] == 1]
    for number, (model, dtype, ranks, plan, workload, *refine) in enumerate(fixtures):
        name = ", ".join((plan, *refine))
        found.append((f"fixture {model} {dtype} on {ranks}: {name}", harness.spec(model, ranks, plan, dtype, workload, *refine), False,
                      MACHINES if all_ else (EACH[number % len(EACH)],)))
    return [case for case in found if not words or any(w in case[0] for w in words)]


def main(arguments):
    passed = failed = 0
    print(f"ptxas: {ptxas()}")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        running = [(name, pool.submit(assemble, *case)) for name, *case in cases(arguments)]
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
