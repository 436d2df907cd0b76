#!/usr/bin/env python3
"""What `deployc search` takes: processor time of whole processes, the least of several runs, which other programs disturb least.

    search.py --deployc FILE [--repetitions N]
"""
import argparse
import json
import pathlib
import resource
import subprocess
import tempfile

SPEC = """use std.deepseek_v3 {{ DeepSeek_V3 }}
use std.clusters {{ DGX_H100 }}
use std.plans {{ Megatron, FoldedEP, DPAttention, VLLM, VLLM_EP, SGLang }}
use std.workload {{ Inference }}

deploy Big {{
  model    = DeepSeek_V3
  cluster  = DGX_H100 {{ nodes = 256 }}
  plan     = {plan}
  workload = Inference {{ batch = 8192; seq = 1024..4096; output = 1024{work} }}
}}
"""
CASES = {
    "every mesh of Megatron": ("auto in [Megatron]", ""),
    "every mesh of six templates": ("auto", ""),
    "these, with 3 sizes of pages and 5 of chunks": ("auto", "; page = auto in [32, 64, 128]; chunk = auto in [1024, 2048, 4096, 8192, 16384]"),
}


def seconds(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--deployc", required=True)
    parser.add_argument("--repetitions", type=int, default=3)
    given = parser.parse_args()
    print("deployc search, DeepSeek-V3 on 2,048 H100            plans    hold  seconds of a core")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "big.deploy"
        for name, (plan, work) in CASES.items():
            path.write_text(SPEC.format(plan=plan, work=work))
            runs = [seconds([given.deployc, "search", path, "--format=json"]) for _ in range(given.repetitions)]
            found = runs[0][1]
            print(f"{name:50} {found['plans']:8} {found['holds']:7} {min(time for time, _ in runs):18.2f}")


if __name__ == "__main__":
    main()
