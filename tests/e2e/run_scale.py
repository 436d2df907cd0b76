#!/usr/bin/env python3
"""Compile time and memory do not grow with ranks or layers, and the code differs only in numbers."""
import re
import sys

from harness import DEPLOYC, Failed, Folder, Report, measured, need_deployc, spec

SECONDS, MIB = 1.0, 300         # the figures to reach; only LATE seconds fail, machines differ
LATE = 5.0


def mixtral_8x22b(nodes):
    """8 ranks per node; the work of one rank stays the same."""
    return f"""use std.models {{ Mixtral_8x22B }}
use std.clusters {{ DGX_H100 }}
use std.plans {{ Megatron }}
use std.workload {{ Inference }}

deploy Scale {{
  model    = Mixtral_8x22B
  cluster  = DGX_H100 {{ nodes = {nodes} }}
  plan     = Megatron {{ pp = 2; dp = {nodes}; ep = 2; tp = 2 }}
  workload = Inference {{ batch = {16 * nodes}; seq = 128..4096; output = 256; chunk = 2048 }}
}}
"""


def tiny(layers):
    return spec("mixtral", 8, "Megatron { pp = 2; ep = 2; tp = 2 }", refine=f"layers = {layers}")


def without_numbers(text):
    """Names of files differ as well: they are not code."""
    text = re.sub(r'^(; ModuleID|source_filename).*$', "", text, flags=re.M)
    text = re.sub(r'c"(\\.|[^"])*"', 'c"..."', text)
    text = re.sub(r"0x[0-9A-Fa-f]+", "N", text)
    return re.sub(r"\d+(\.\d+e[+-]\d+)?", "N", text)


def compile_form(folder, name, text, *options):
    source = folder / f"{name}.deploy"
    source.write_text(text)
    out = folder / f"{name}.out"
    code, seconds, mib, _, err = measured([DEPLOYC, source, "-o", out, *options])
    if code:
        raise Failed(f"deployc exits with {code}: {err.strip().splitlines()[:1]}")
    if seconds > LATE or mib > MIB:
        raise Failed(f"{seconds:.2f} s and {mib:.0f} MiB, at most {LATE} s and {MIB} MiB")
    slow = " (the figure is 1 s)" if seconds > SECONDS else ""
    return out, f"{seconds:.2f} s{slow}, {mib:.0f} MiB"


def main():
    need_deployc()
    report = Report()
    with Folder() as folder:
        code = {}

        def llvm(name, text):
            out, note = compile_form(folder, name, text, "--emit=llvm")
            code[name] = without_numbers(out.read_text())
            return note

        def same(first, second):
            if first not in code or second not in code:
                raise Failed("one of them did not compile")
            a, b = code[first].splitlines(), code[second].splitlines()
            for number, (x, y) in enumerate(zip(a, b), 1):
                if x != y:
                    raise Failed(f"line {number} differs: {x.strip()[:60]} | {y.strip()[:60]}")
            if len(a) != len(b):
                raise Failed(f"{len(a)} lines and {len(b)} lines")
            return f"{len(a)} lines"

        for nodes in (1, 64, 12_500):
            ranks = 8 * nodes
            report.check(f"Mixtral 8x22B, {ranks} ranks, --emit=llvm", lambda: llvm(f"ranks{ranks}", mixtral_8x22b(nodes)))
        for nodes in (1, 64, 12_500):
            ranks = 8 * nodes
            report.check(f"Mixtral 8x22B, {ranks} ranks, launcher",
                         lambda: compile_form(folder, f"full{ranks}", mixtral_8x22b(nodes))[1])
        for layers in (4, 400):
            report.check(f"{layers} layers, --emit=llvm", lambda: llvm(f"layers{layers}", tiny(layers)))
        report.check("code of 512 and 100000 ranks", lambda: same("ranks512", "ranks100000"))
        report.check("code of 8 and 512 ranks", lambda: same("ranks8", "ranks512"))
        report.check("code of 4 and 400 layers", lambda: same("layers4", "layers400"))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
