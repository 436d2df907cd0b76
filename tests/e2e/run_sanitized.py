#!/usr/bin/env python3
"""Fixtures of every family with a team of threads under a sanitizer: the same results, and no report. See the target sanitize-kernels."""
import functools
import os
import sys

from harness import Folder, Report, WORKLOAD, need_deployc
from run_meshes import QUEUE, run_mesh

MESHES = [
    ("llama", "f32", 2, "Megatron { tp = 2 }", WORKLOAD),
    ("mixtral", "bf16", 2, "Megatron { ep = 2; moe { capacity = 0.5 } }", WORKLOAD),
    ("qwen3", "f32", 2, "Megatron { tp = 2 }", QUEUE),
    ("gemma3", "f32", 1, "Megatron {}", QUEUE),
    ("gpt_oss", "f32", 2, "Megatron { dp = 2 }", WORKLOAD),
    ("olmoe", "bf16", 1, "Megatron {}", WORKLOAD),
    ("deepseek", "f32", 2, "DPAttention { tp = 2 }", QUEUE),
]


def main():
    need_deployc()
    report, sanitizer = Report(), os.environ["DEPLOYC_SANITIZE"]
    with Folder() as folder:
        report.check_at_once((f"{sanitizer}: {case[0]} {case[1]} on {case[2]}: {case[3]}", functools.partial(run_mesh, folder, number, case))
                             for number, case in enumerate(MESHES))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
