#!/usr/bin/env python3
"""bench/calibrate.py on tables that are made up: from constants that are known, with noise. What it writes is checked by deployc, read
back, and must give the times of fresh sizes that the known constants give.

    calibrate.py [--keep DIR]
"""
import ctypes
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench"))
import calibrate                                    # noqa: E402
from operator_tables import Table                   # noqa: E402

DEPLOYC = os.environ.get("DEPLOYC", str(ROOT / "build/deployc"))
NOISE = 0.03
# Kind, name, constants, and the sizes of a row: the least and the greatest.
KNOWN = [
    ("matmul", "bfloat16", (0.75, 0.8, 4, 1e-6, 3e-6, 0.5, 2e-6), ((1, 8192), (256, 16384), (256, 16384))),
    ("matmul", "fp8", (0.6, 0.7, 5, 1e-6, 9e-6, 0.9, 3e-6), ((1, 8192), (256, 16384), (256, 16384))),
    ("link", "all_reduce", (2e-6, 5e-6, 0.05, 4e-6, 0.4, 3e-5, 0.8), ((2, 8), (256, 1 << 28))),
    ("link", "all_to_all", (3e-7, 6e-6, 0.04, 5e-6, 0.5, 2e-5, 0.7), ((2, 8), (256, 1 << 28))),
]
SPEC = """
use std.hw {{ Accelerator, Cluster }}
use std.models {{ Llama_3_1_8B }}
use std.workload {{ Inference }}
device Card : Accelerator {{ memory = 80 GiB; bandwidth = 3 TB/s; peak {{ bf16 = 900 TFLOPS }}; sms = 132; calibration = H100_SXM }}
cluster Box : Cluster {{ device = Card; level box {{ count = 1 }} }}
plan One {{ mesh tp = 1 }}
deploy D {{ model = Llama_3_1_8B; cluster = Box; plan = One; workload = Inference {{ batch = 8; seq = 128 }} }}
"""


def sizes(random, ranges, n):
    return np.floor(np.exp2(np.column_stack([random.uniform(np.log2(lo), np.log2(hi), n) for lo, hi in ranges])))


def written_tables(folder, library, random):
    products, links = ["system,source_table,device,dtype,m,n,k,latency_ms,tflops"], ["system,nccl_dir_version,op,num_gpus,size_bytes,latency_ms"]
    words = {there: here for here, there in calibrate.operator_tables.COLLECTIVES.items()}
    for kind, name, constants, ranges in KNOWN:
        rows = sizes(random, ranges, 400)
        seconds = calibrate.Times(library, "H100_SXM", Table("h100_sxm", kind, name, rows, None))(constants)
        for row, t in zip(rows.astype(int), seconds * np.exp(random.normal(0, NOISE, len(rows))) * 1e3):
            text = ",".join(map(str, row))
            if kind == "matmul":
                products.append(f"h100_sxm,t,H100,{name},{text},{t!r},0")
            else:
                links.append(f"h100_sxm,{calibrate.operator_tables.NCCL['h100_sxm']},{words[name]},{text},{t!r}")
    (folder / "op_aic_gemm_subsample.csv").write_text("\n".join(products) + "\n")
    (folder / "comm_aic_nccl.csv").write_text("\n".join(links) + "\n")


def main(folder):
    library, random, failed = ctypes.CDLL(str(calibrate.BUILD / "bench/calibrate.so")), np.random.default_rng(3), []
    written_tables(folder, library, random)
    out = folder / "calibration.deploy"
    run = subprocess.run([sys.executable, ROOT / "bench/calibrate.py", folder, "--device", "H100_SXM", "-o", out], capture_output=True, text=True)
    if run.returncode:
        return [f"calibrate.py: {run.stderr.strip()}"], 1
    found = calibrate.committed(out)
    for kind, name, constants, ranges in KNOWN:
        rows = sizes(random, ranges, 400)
        table = Table("h100_sxm", kind, name, rows, None)
        times, fitted = calibrate.Times(library, "H100_SXM", table), calibrate.known(found, "H100_SXM", table)
        error = np.median(np.abs(times(fitted) / times(constants) - 1)) if fitted else np.inf
        if not error < NOISE:
            failed.append(f"{kind} {name}: {error:.1%} off what the known constants give; fitted: {fitted}")
    spec = folder / "spec.deploy"
    spec.write_text(out.read_text() + SPEC.format())
    check = subprocess.run([DEPLOYC, "check", spec], capture_output=True, text=True)
    if check.returncode:
        failed.append(f"deployc check: {check.stderr}")
    return failed, len(KNOWN) + 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--keep"]:
        wrong, n = main(pathlib.Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as made:
            wrong, n = main(pathlib.Path(made))
    for line in wrong:
        print("FAIL", line)
    print(f"{n - len(wrong)} passed, {len(wrong)} failed")
    sys.exit(bool(wrong))
