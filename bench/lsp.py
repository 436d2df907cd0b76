#!/usr/bin/env python3
"""How long the language server takes after a keystroke, by the clock (medians and 95th percentiles) and on a core (medians), and whether its
memory grows.

    lsp.py --deployc FILE [--rounds N] [--edits N]

The cores count what the server itself computes, whatever else runs. `all of it` is what a keystroke takes until the server waits again:
diagnostics, then the goals of every deployment.
"""
import argparse
import os
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/lsp"))
import client
from client import Client, place

HEAD = """use std.models { Mixtral_8x7B, Llama_3_1_8B }
use std.clusters { DGX_H100 }
use std.plans { Megatron, VLLM }
use std.workload { Inference }

"""
DEPLOY = """/// Deployment number {i}, with what a reader has to know.
deploy Chat{i} {{
  model    = {model}
  cluster  = DGX_H100 {{ nodes = {nodes} }}
  plan     = {plan} {{ tp = {tp}; {rest} }}
  workload = Inference {{
    batch  = {batch}
    seq    = 128..10240
    output = 256
  }}
  require ttft <= 10 s
}}

"""
PLAN = """plan Own{i} {{
  mesh dp = 1
  mesh tp = 1
  batch              -> dp
  kv_heads * q_group -> tp
  ffn                -> tp
  vocab              -> tp
}}

"""


def spec(lines, deployments):
    """So many lines: some deployments, else plans."""
    text, i = HEAD, 0
    while text.count("\n") < lines:
        i += 1
        if i <= deployments:
            text += DEPLOY.format(i=i, model="Mixtral_8x7B" if i % 2 else "Llama_3_1_8B", nodes=1 + i % 2, plan="Megatron" if i % 2 else "VLLM",
                                  tp=4, rest=f"{'ep' if i % 2 else 'dp'} = {2 * (1 + i % 2)}", batch=128)
        else:
            text += PLAN.format(i=i)
    return text


def core_ms(process):
    """Milliseconds on a core so far."""
    return int(pathlib.Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]) / 1e6


def settle(c):
    """Waits until the server waits: it sleeps, and computed nothing for a while."""
    before = -1
    while before != core_ms(c.process) or pathlib.Path(f"/proc/{c.process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
        before = core_ms(c.process)
        while c.read(0.02):
            pass


def press(c, text, i):
    """A keystroke in the first deployment."""
    at, end = place(text, "batch  = 128", 9), place(text, "batch  = 128", 12)
    c.change("a.deploy", [{"range": {"start": at, "end": end}, "text": str(128 + 8 * (i % 2))}], i + 2)
    c.diagnostics("a.deploy")


def measure(text, rounds):
    """For each kind of answer: pairs of milliseconds, by the clock and on a core."""
    times = {"diagnostics": [], "all of it": [], "hover": [], "completion": []}
    with tempfile.TemporaryDirectory() as folder:
        c = Client(folder)

        def timed(name, work):
            settle(c)
            c.notes.clear()
            start, cores = time.perf_counter(), core_ms(c.process)
            work()
            times[name].append((1e3 * (time.perf_counter() - start), core_ms(c.process) - cores))
            return cores
        c.open("a.deploy", text)
        c.diagnostics("a.deploy")
        for i in range(rounds):
            cores = timed("diagnostics", lambda: press(c, text, i))
            settle(c)
            times["all of it"].append((None, core_ms(c.process) - cores))
            for method in ("hover", "completion"):
                timed(method, lambda: c.at(method, "a.deploy", place(text, "tp = 4")))
        c.process.kill()
    return times


def resident(process):
    return int(pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2 ** 20


def memory(text, edits):
    """MiB after a tenth of the edits, and after all of them."""
    with tempfile.TemporaryDirectory() as folder:
        c, after = Client(folder), []
        c.open("a.deploy", text)
        c.diagnostics("a.deploy")
        for i in range(edits):
            press(c, text, i)
            c.notes.clear()
            if i + 1 in (edits // 10, edits):
                after.append(resident(c.process))
        c.process.kill()
    return after


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--deployc", required=True)
    options.add_argument("--rounds", type=int, default=40)
    options.add_argument("--edits", type=int, default=10_000)
    given = options.parse_args()
    client.DEPLOYC = pathlib.Path(given.deployc).resolve()
    print(f"{'milliseconds':44} {'median':>8} {'95%':>8} {'on a core':>10}")
    for lines, deployments in ((300, 4), (300, 1000), (10_000, 4), (10_000, 1000)):
        text = spec(lines, deployments)
        for name, pairs in measure(text, given.rounds).items():
            wall = sorted(w for w, _ in pairs if w is not None)
            clock = f"{statistics.median(wall):8.1f} {wall[int(0.95 * (len(wall) - 1))]:8.1f}" if wall else " " * 17
            label = f"{lines:>6} lines, {text.count('deploy Chat'):>3} deployments: {name}"
            print(f"{label:44} {clock} {statistics.median(cores for _, cores in pairs):10.1f}", flush=True)
    if given.edits:
        first, last = memory(spec(300, 4), given.edits)
        print(f"memory: {first:.1f} MiB after {given.edits // 10} edits, {last:.1f} MiB after {given.edits}")


if __name__ == "__main__":
    main()
