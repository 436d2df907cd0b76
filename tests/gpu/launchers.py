#!/usr/bin/env python3
"""Launchers of --target=cuda on the emulated GPU (LD_LIBRARY_PATH names its folder): the tokens of the CPU, the same bits in every run, and
what they say where something is missing."""
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness import DEPLOYC, FIXTURES, ROOT, Failed, Folder, Report, need_deployc

SAMPLE, WEIGHTS = ROOT / "samples" / "tiny_mixtral.deploy", FIXTURES / "mixtral"
RANKS = 8


def compiled(folder, target):
    launcher = folder / target
    done = subprocess.run([DEPLOYC, SAMPLE, f"--target={target}", "-o", launcher], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise Failed(done.stderr)
    return launcher


def run(launcher, *options, **environment):
    changed = {**os.environ, "EMU_DEVICES": str(RANKS), **environment}
    return subprocess.run([launcher, "run", "--weights", WEIGHTS, "--ids", "1,2,3,250", "--max-tokens", "5", *options], capture_output=True,
                          text=True, timeout=120, env={name: value for name, value in changed.items() if value is not None})


def ids(done):
    if done.returncode:
        raise Failed(done.stderr.strip())
    return [line for line in done.stdout.splitlines() if line.startswith("ids:")]


def tokens(cpu, cuda, folder):
    """Eight ranks on eight GPUs: pipeline, tensor and expert parallel."""
    logits = [folder / f"{seed}.npy" for seed in (1, 2)]
    runs = [ids(run(cuda, f"--logits={file}", EMU_SEED=str(seed))) for seed, file in enumerate(logits)]
    expected = ids(run(cpu))
    if any(r != expected for r in runs):
        raise Failed(f"{runs} instead of {expected}")
    if logits[0].read_bytes() != logits[1].read_bytes():
        raise Failed("other bits in another order of blocks")
    return expected[0]


def sampled(cpu, cuda):
    options = "--temperature=0.8", "--top-p=0.9", "--top-k=20", "--seed=7"
    if ids(run(cuda, *options)) != ids(run(cpu, *options)):
        raise Failed("other tokens")


def same(cpu, cuda, **environment):
    got, expected = ids(run(cuda, **environment)), ids(run(cpu))
    if got != expected:
        raise Failed(f"{got} instead of {expected}")


def faults(cuda):
    """A kernel fails on rank 2, or never ends: the message names it with DEPLOY_SYNC=1, and says so without."""
    kernel = "dr_contract_1:4:2"
    fails(cuda, "error: rank 2 ", "the GPU failed: CUDA_ERROR_ILLEGAL_ADDRESS", "DEPLOY_SYNC=1 names it",
          "newest first: in layer 1 `", "`layer.attn: contract wv`", EMU_FAULT=kernel)
    fails(cuda, "error: rank 2 ", "in layer 1 at `layer.attn: contract wv`: the kernel `dr_contract_1` failed: CUDA_ERROR_ILLEGAL_ADDRESS",
          EMU_FAULT=kernel, DEPLOY_SYNC="1")
    stuck, start = "its GPU was stuck for 1 s (DEPLOY_TIMEOUT)", time.monotonic()
    fails(cuda, "error: rank 2 ", stuck, "`layer.attn: contract wv`", EMU_HANG=kernel, DEPLOY_TIMEOUT="1")
    fails(cuda, "error: rank 2 ", "in layer 1 at `layer.attn: contract wv`: " + stuck, EMU_HANG=kernel, DEPLOY_TIMEOUT="1", DEPLOY_SYNC="1")
    if time.monotonic() - start > 30:
        raise Failed("the launchers ended late")


def fails(launcher, *words, **environment):
    done = run(launcher, **environment)
    missing = [w for w in words if w not in done.stderr]
    if done.returncode not in (1, 2) or missing:
        raise Failed(f"status {done.returncode}, without {missing}: {done.stderr.strip()}")


def main():
    need_deployc()
    report = Report()
    with Folder() as folder:
        cpu, cuda = compiled(folder, "cpu"), compiled(folder, "cuda")
        report.check("the tokens of the CPU, the same bits twice", lambda: tokens(cpu, cuda, folder))
        report.check("the same sampled tokens", lambda: sampled(cpu, cuda))
        report.check("no driver", lambda: fails(cuda, "there is no NVIDIA driver", "--target=cpu", LD_LIBRARY_PATH=None))
        report.check("too few GPUs", lambda: fails(cuda, "a rank needs a GPU of its own, and this host has 2", EMU_DEVICES="2"))
        report.check("GPUs that CUDA_VISIBLE_DEVICES hides", lambda: fails(cuda, "and CUDA_VISIBLE_DEVICES=2,5,9,1 leaves 2", CUDA_VISIBLE_DEVICES="2,5,9,1"))
        report.check("no GPU that is visible", lambda: fails(cuda, "and CUDA_VISIBLE_DEVICES= leaves 0", CUDA_VISIBLE_DEVICES=""))
        report.check("a GPU older than Ampere", lambda: fails(cuda, "has compute capability 7.5: launchers need 8.0", EMU_CAPABILITY="7.5"))
        for capability in "8.0", "8.9", "10.0", "12.0":
            report.check(f"a GPU of compute capability {capability}", lambda: same(cpu, cuda, EMU_CAPABILITY=capability))
        report.check("the same tokens with DEPLOY_SYNC=1", lambda: same(cpu, cuda, DEPLOY_SYNC="1"))
        report.check("a kernel that fails, and one that never ends", lambda: faults(cuda))
        report.check("too little memory", lambda: fails(cuda, "the GPU does not have ", " bytes of memory left", EMU_MEMORY=str(1 << 20)))
        report.check("a device of another target", lambda: fails(cuda, "a launcher of --target=cuda has no device `cpu`, but cuda", DEPLOY_DEVICE="cpu"))
        report.check("a GPU for a launcher of the CPU", lambda: fails(cpu, "a launcher of --target=cpu has no device `cuda`", DEPLOY_DEVICE="cuda"))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
