#!/usr/bin/env python3
"""Launchers of --target=cuda on the emulated GPU (LD_LIBRARY_PATH names its folder): the tokens of the CPU, the same bits in every run, and
what they say where something is missing.

    launchers.py [WORD ...]    only tests whose names have one of the words
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from ptxas import ptxas
from harness import DEPLOYC, FIXTURES, ROOT, Failed, Folder, Report, need_deployc, read_safetensors, spec, write_safetensors

SAMPLE = ROOT / "samples" / "tiny_mixtral.deploy"
RANKS = 8


def compiled(folder, target, source=SAMPLE):
    launcher = folder / f"{source.stem}_{target}"
    done = subprocess.run([DEPLOYC, source, f"--target={target}", "-o", launcher], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise Failed(done.stderr)
    return launcher


def run(launcher, *options, weights="mixtral", command="run", **environment):
    changed = {**os.environ, "EMU_DEVICES": str(RANKS), **environment}
    asked = options if any("--ids" in str(o) for o in options) else ("--ids", "1,2,3,250", "--max-tokens", "5", *options)
    asked = ("--weights", FIXTURES / weights, *asked) if command == "run" else options
    return subprocess.run([launcher, command, *asked], capture_output=True, text=True, timeout=120,
                          env={name: value for name, value in changed.items() if value is not None})


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


LONG = "--ids=" + ",".join(str(3 * i % 120) for i in range(40)), "--max-tokens=5"


def same(cpu, cuda, long=False, weights="mixtral", **environment):
    options = LONG if long else ()
    got, expected = ids(run(cuda, *options, weights=weights, **environment)), ids(run(cpu, *options, weights=weights))
    if got != expected:
        raise Failed(f"{got} instead of {expected}")


QKV = "layer.attn: contract wq, wk, wv"


def kernel_of(operation):
    """The function of the sample that does an operation for few rows."""
    listed = subprocess.run([DEPLOYC, "plan", SAMPLE, "--target=cuda", "--kernels"], capture_output=True, text=True, timeout=60,
                            env={**os.environ, "PATH": ""}).stdout              # without an assembler, which takes a second
    return re.search(rf"^  (dr_\w+_few) .* {re.escape(operation)}( and|$)", listed, re.M).group(1)


def faults(cuda):
    """A kernel fails on rank 2, or never ends: the message names it with DEPLOY_SYNC=1, and says so without."""
    name = kernel_of(QKV)
    kernel = f"{name}:2:2"                                                      # its second launch on rank 2: that of layer 1
    fails(cuda, "error: rank 2 ", "the GPU failed: CUDA_ERROR_ILLEGAL_ADDRESS", "DEPLOY_SYNC=1 names it",
          "newest first: in layer 1 `", f"`{QKV}`", EMU_FAULT=kernel)
    fails(cuda, "error: rank 2 ", f"in layer 1 at `{QKV}`: the kernel `{name}` failed: CUDA_ERROR_ILLEGAL_ADDRESS",
          EMU_FAULT=kernel, DEPLOY_SYNC="1")
    stuck, start = "its GPU was stuck for 1 s (DEPLOY_TIMEOUT)", time.monotonic()
    fails(cuda, "error: rank 2 ", stuck, f"`{QKV}`", EMU_HANG=kernel, DEPLOY_TIMEOUT="1")
    fails(cuda, "error: rank 2 ", f"in layer 1 at `{QKV}`: {stuck}", EMU_HANG=kernel, DEPLOY_TIMEOUT="1", DEPLOY_SYNC="1")
    if not 2 <= time.monotonic() - start <= 30:
        raise Failed("the launchers ended too late, or before their time")


def probe(cuda, folder):
    """What `probe` writes is a cluster that deployments compile for, once what the driver does not tell is filled in."""
    h100 = {"EMU_NAME": "NVIDIA H100 80GB HBM3", "EMU_MEMORY": str(81559 << 20)}
    written, golden = run(cuda, command="probe", **h100).stdout, (ROOT / "tests" / "gpu" / "probe_h100.deploy").read_text()
    if re.sub(r"The host has \d+ B and \d+ cores", "The host has 1 B and 1 cores", written) != golden:
        raise Failed(written)
    use = ("\nuse std.models { Qwen3_8B }\nuse std.plans { Megatron }\nuse std.workload { Inference }\ndeploy On { model = Qwen3_8B; cluster = ThisMachine; "
           "plan = Megatron { tp = 4; pp = 2; pipeline { microbatches = 2 } }; workload = Inference { batch = 8; seq = 1..64; output = 64; chunk = 64; page = 16 } }\n")

    def check(text):
        (folder / "probed.deploy").write_text(text + use)
        return subprocess.run([DEPLOYC, "check", folder / "probed.deploy"], capture_output=True, text=True)

    if check(written).returncode:
        raise Failed(check(written).stderr)
    file = folder / "cluster.deploy"
    run(cuda, "-o", file, command="probe", EMU_MEMORY="80G", EMU_LINK="pcie")
    unknown = file.read_text()
    if "level node { count = 8 }" not in unknown or "error[E0202]: field `bandwidth` of `ThisGPU` is not set" not in check(unknown).stderr:
        raise Failed(unknown + check(unknown).stderr)
    filled = unknown.replace("// bandwidth = ... ", "bandwidth = 2000 ").replace("// peak { bf16 = ... ", "peak { bf16 = 300 ").replace("= ... ", "= 20 ")
    if check(filled).returncode:
        raise Failed(filled + check(filled).stderr)
    for words, options, changed in (("File exists", ("-o", file), {}), ("GPU 0 is a A of 2147483648 B, GPU 2 a B of 2147483648 B", (), {"EMU_NAME": "A,A,B"}),
                                    ("there is no NVIDIA driver", (), {"LD_LIBRARY_PATH": None}), ("probe takes -o FILE", ("-x",), {}),
                                    ("the NVIDIA driver shows no GPU", (), {"CUDA_VISIBLE_DEVICES": ""})):
        done = run(cuda, *options, command="probe", **changed)
        if words not in done.stderr or done.returncode not in (1, 2) or done.stdout:
            raise Failed(f"{words}: {done.stderr}{done.stdout}")
    if file.read_text() != unknown:
        raise Failed("a file that was there is written")


def room(cuda):
    """The plan's bytes fit, or one is missing: the message has the sum."""
    said = run(cuda, EMU_MEMORY=str(1 << 20)).stderr
    need, *parts = (int(n) for n in re.findall(r"(?:takes|weights|caches|tables|workspaces|communication) (\d+)", said)[:6])
    if sum(parts) != need or " of its 1048576 B are free" not in said:
        raise Failed(said)
    fails(cuda, f"and {need // 2} of its {need // 2} B are free: driver, context, kernels and other programs take 0 B", EMU_MEMORY=str(need // 2))
    most = max(int(n) for n in re.findall(r"allocated (\d+) B", run(cuda).stdout))
    ids(run(cuda, EMU_MEMORY=str(most)))


def ranges(cuda, folder):
    """A profiler sees a range for each step and, within it, for each operation."""
    log, tool = folder / "ranges", pathlib.Path(os.environ["LD_LIBRARY_PATH"].split(":")[0]) / "nvtx_tool.so"
    ids(run(cuda, NVTX_INJECTION64_PATH=str(tool), NVTX_TOOL_LOG=str(log)))
    depth, seen = {}, {}
    for line in log.read_text().splitlines():
        process, what, name = line.split(" ", 2)
        depth[process] = depth.get(process, 0) + (1 if what == "push" else -1)
        seen.setdefault((what, depth[process]), set()).add(name)
    if len(depth) != RANKS or any(depth.values()) or sorted(d for what, d in seen if what == "push") != [1, 2]:
        raise Failed(f"{depth}, {sorted(seen)}")
    if seen["push", 1] != {"prefill", "decode"} or f"{QKV}, layer 1" not in seen["push", 2]:
        raise Failed(f"{seen}")
    done = run(cuda, NVTX_INJECTION64_PATH="/nonexistent")
    if ids(done) and done.stderr.count("warning: a profiler sees no ranges: NVTX_INJECTION64_PATH=/nonexistent: ") != 1:
        raise Failed(done.stderr)


def graphs(folder):
    """Decode steps are graphs, with NCCL's collectives too: the tokens of the CPU, the bits of eager steps, and of each order that the emulator chooses."""
    one, four = spec("llama", 1), spec("llama", 4, "Megatron { pp = 2; tp = 2 }")
    prompts = "--ids=1,2,3", "--ids=4,5", "--ids=7,8,9,10,11", "--max-tokens=12", "--stop-ids=55"
    for name, text, ranks in ("one", one, 1), ("four", four, 4):
        (folder / f"{name}.deploy").write_text(text)
        launchers = {target: compiled(folder, target, folder / f"{name}.deploy") for target in ("cpu", "cuda")}
        expected, eager = ids(run(launchers["cpu"], *prompts, weights="llama")), folder / "eager.npy"
        if ids(run(launchers["cuda"], *prompts, f"--logits={eager}", weights="llama", DEPLOY_SYNC="1")) != expected:
            raise Failed(f"{name}: other tokens, eagerly")
        for seed, delay in (1, 0), (2, 200), (3, 2000):
            logits = folder / f"{seed}.npy"
            done = run(launchers["cuda"], *prompts, f"--logits={logits}", weights="llama", EMU_SEED=str(seed), EMU_DELAY_US=str(delay))
            if ids(done) != expected or logits.read_bytes() != eager.read_bytes():
                raise Failed(f"{name}: other tokens or bits as graphs, seed {seed}")
            made = re.findall(r"^graphs: rank \d+ made (\d+) of decode steps, launched (\d+) times$", done.stdout, re.M)
            if len(made) != ranks or any(int(m) < 1 or int(n) < 6 for m, n in made):
                raise Failed(f"{name}: {done.stdout}")
    fails(launchers["cuda"], "every rank waits for others for 1 s (DEPLOY_TIMEOUT), this one in a graph with collectives: DEPLOY_SYNC=1 names the operation",
          options=(*prompts, "--max-tokens=20"), weights="llama", EMU_HANG="dr_attend_0:12:1", DEPLOY_TIMEOUT="1")
    failed = run(folder / "one_cuda", *prompts, weights="llama", EMU_FAULT="dr_attend_0:16")
    if failed.returncode != 1 or "at `a decode step as a graph`: the GPU failed" not in failed.stderr or "DEPLOY_SYNC=1 names it" not in failed.stderr:
        raise Failed(failed.stderr)
    return " ".join(f"{m}:{n}" for m, n in made)


def overlapped(done):
    return int((re.findall(r"^overlap: (\d+) steps were queued before the tokens of the one before were known$", done.stdout, re.M) or [0])[0])


OVERLAPS = (("llama", 1, "Megatron {}", "lengths", "stop tokens", "sampling", "a bias", "penalties"),
            ("llama", 4, "Megatron { dp = 2; tp = 2 }", "stop tokens"),
            ("mixtral", 4, "Megatron { ep = 4 }", "sampling"), ("llama", 4, "DPAttention { dp = 2; tp = 2 }", "lengths"))
PROMPTS = "--ids=1,2,3", "--ids=4,5", "--ids=7,8,9,10,11", "--ids=12", "--ids=1,15,7,42", "--ids=69,68,67", "--max-tokens=9"
ASKED = {"lengths": (), "stop tokens": ("--stop-ids=55,19,115",), "sampling": ("--temperature=0.9", "--top-p=0.9", "--top-k=20", "--seed=7"),
         "a bias": ("--logit-bias=7:-100,9:2.5", "--logprobs=2"), "penalties": ("--repetition-penalty=1.3", "--frequency-penalty=0.5")}


def overlap(folder):
    """Steps overlap: the tokens of the CPU, whatever ends sequences and changes logits. Where steps have the same sequences, the bits of those that do
    not overlap. Penalties need the tokens, and pipelines have them elsewhere: their steps run one by one."""
    counts = []
    for number, (model, ranks, plan, *names) in enumerate(OVERLAPS):
        source = folder / f"overlap{number}.deploy"
        source.write_text(spec(model, ranks, plan, workload="batch = 4; seq = 1..64; output = 64; chunk = 8; page = 16"))
        cpu, cuda = (compiled(folder, target, source) for target in ("cpu", "cuda"))
        for index, name in enumerate(names):
            options = ASKED[name]
            logits = [folder / "one_by_one.npy", folder / "overlapping.npy"]
            expected = ids(run(cpu, *PROMPTS, *options, weights=model))
            alone = run(cuda, *PROMPTS, *options, f"--logits={logits[0]}", weights=model, DEPLOY_SYNC="1")
            delay = (0, 200, 3000)[(number + index) % 3]
            done = run(cuda, *PROMPTS, *options, f"--logits={logits[1]}", weights=model, EMU_SEED=str(index), EMU_DELAY_US=str(delay))
            if ids(done) != expected or ids(alone) != expected:
                raise Failed(f"{model}, {plan}, {name}: {ids(done)} or {ids(alone)} instead of {expected}")
            if name != "stop tokens" and logits[0].read_bytes() != logits[1].read_bytes():
                raise Failed(f"{model}, {plan}, {name}: other bits")
            if overlapped(alone) or (overlapped(done) < 5) != (name == "penalties"):
                raise Failed(f"{model}, {plan}, {name}: {overlapped(alone)} and {overlapped(done)} steps overlap")
            counts.append(overlapped(done))
    (folder / "stages.deploy").write_text(spec("llama", 2, "Megatron { pp = 2 }"))
    if overlapped(run(compiled(folder, "cuda", folder / "stages.deploy"), *PROMPTS, weights="llama")):
        raise Failed("a pipeline overlaps")
    return " ".join(map(str, counts))


def odd_numbers(folder):
    """An id whose row of the embedding is infinite is sampled while the next step is under way: the message is that of the CPU."""
    source, weights = folder / "odd.deploy", folder / "odd"
    source.write_text(spec("olmoe", 1))
    launchers = [compiled(folder, target, source) for target in ("cpu", "cuda")]
    sampled = re.findall(r"-> ([\d,]+)", ids(run(launchers[0], *PROMPTS, weights="olmoe"))[0])[0].split(",")
    weights.mkdir()
    tensors = read_safetensors(FIXTURES / "olmoe" / "model.safetensors")
    table = tensors["model.embed_tokens.weight"].copy()
    table[int(sampled[3])] = float("inf")
    write_safetensors(weights / "model.safetensors", {**tensors, "model.embed_tokens.weight": table})
    (weights / "config.json").write_text((FIXTURES / "olmoe" / "config.json").read_text())
    said = [run(launcher, *PROMPTS, weights=weights) for launcher in launchers]
    if any(done.returncode != 1 for done in said) or said[0].stderr != said[1].stderr or "the first such numbers of a contraction are in layer 0" not in said[0].stderr:
        raise Failed(f"{said[0].stderr}{said[1].stderr}")


def microbatches(folder):
    """More microbatches than buffers of inputs: a buffer is filled again only when its copy has been made, however late the GPU is."""
    (folder / "micro.deploy").write_text(spec("llama", 1, "Megatron { pipeline { microbatches = 4 } }"))
    launchers = [compiled(folder, target, folder / "micro.deploy") for target in ("cpu", "cuda")]
    prompts = "--ids=1,2,3", "--ids=4,5", "--ids=7,8,9,10,11", "--ids=12", "--max-tokens=6"
    expected = ids(run(launchers[0], *prompts, weights="llama"))
    for seed in range(4):
        if ids(run(launchers[1], *prompts, weights="llama", EMU_SEED=str(seed), EMU_DELAY_US="2000")) != expected:
            raise Failed(f"other tokens, seed {seed}")


def fails(launcher, *words, options=(), statuses=(1, 2), **environment):
    done = run(launcher, *options, **environment)
    missing = [w for w in words if w not in done.stderr]
    if done.returncode not in statuses or missing:
        raise Failed(f"status {done.returncode}, without {missing}: {done.stderr.strip()}")


def without_nccl(folder):
    """A folder with the driver, and an NCCL that cannot be opened."""
    alone = folder / "driver"
    alone.mkdir()
    (alone / "libcuda.so.1").symlink_to(pathlib.Path(os.environ["LD_LIBRARY_PATH"]).resolve() / "libcuda.so.1")
    (alone / "libnccl.so.2").write_bytes(b"")       # hides that of the machine
    return str(alone)


def one_rank(folder):
    source = folder / "one.deploy"
    source.write_text(spec("mixtral", 1))
    return compiled(folder, "cuda", source)


def long(folder):
    """A launcher whose runs take minutes."""
    source = folder / "long.deploy"
    source.write_text(spec("mixtral", RANKS, "Megatron { pp = 2; ep = 2; tp = 2 }", workload="batch = 1; seq = 1..64; output = 16384; page = 16", refine="max_ctx = 32768"))
    return compiled(folder, "cuda", source)


def larger_than_the_host(folder):
    """16 ranks with 15 GiB each: the memory of GPUs is not the host's."""
    source = folder / "large.deploy"
    source.write_text(spec("mixtral", 16, "Megatron { dp = 16 }", workload="batch = 15360; seq = 1..64; output = 16384; page = 16",
                           refine="max_ctx = 32768"))
    fails(compiled(folder, "cuda", source), "the plan takes ", " B of the device", EMU_DEVICES="16")


def nccl_fails(cuda):
    """A collective of rank 3 fails on the GPU, or never ends on any."""
    start = time.monotonic()
    call = "3:4"
    fails(cuda, "error: rank 3 ", ": NCCL failed in layer 0 at `layer.moe: all_gather (contract)`: unhandled system error: EMU_NCCL_FAIL: this "
          "call fails on rank 3", "rank 3 aborts a communicator of 8\n", "rank 3 aborts a communicator of 2\n", EMU_NCCL_FAIL=call)
    fails(cuda, "every rank waits for others for 1 s (DEPLOY_TIMEOUT), this one in a collective of GPUs", EMU_NCCL_HANG=call, DEPLOY_TIMEOUT="1")
    fails(cuda, "while loading weights: every rank waits for others for 1 s", EMU_NCCL_HANG="5:0", DEPLOY_TIMEOUT="1")
    if not 2 <= time.monotonic() - start <= 30:
        raise Failed("the launchers ended too late, or before their time")


def nccl_splits(cuda):
    """A communicator of a group that is not the plan's: of other ranks, or in another order."""
    fails(cuda, ": internal: NCCL's group has 8 ranks, and this one is number ", statuses=(70,), EMU_NCCL_SPLIT="colors")
    fails(cuda, ": internal: NCCL's group has 2 ranks, and this one is number ", statuses=(70,), EMU_NCCL_SPLIT="keys")


def slow(launcher):
    """A step that takes longer than DEPLOY_TIMEOUT is not stuck while its kernels end one after the other."""
    start = time.monotonic()
    ids(run(launcher, "--ids=1,2,3", "--max-tokens=1", EMU_SLOW_US="60000", DEPLOY_TIMEOUT="3"))
    if time.monotonic() - start < 4:
        raise Failed("the step was not slow")


def killed(launcher, number, *words):
    """A rank ends, or stops, while the others wait for it in collectives."""
    job = subprocess.Popen([launcher, "run", "--weights", FIXTURES / "mixtral", "--ids", "1,2,3,250", "--max-tokens", "16000"], stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True, env={**os.environ, "EMU_DEVICES": str(RANKS), "DEPLOY_TIMEOUT": "2"})
    time.sleep(1.5)
    ranks = sorted(int(pid) for pid in pathlib.Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split())
    os.kill(ranks[5], number)
    try:
        _, said = job.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        job.kill()
        raise Failed("still running after 20 s") from None
    missing = [w for w in words if w not in said]
    if job.returncode != 1 or missing or len(ranks) != RANKS:
        raise Failed(f"status {job.returncode}, {len(ranks)} ranks, without {missing}: {said.strip()}")


def environment(cuda, cpu):
    """`plan` shows what the libraries will read, of GPUs alone."""
    variables = {"CUDA_VISIBLE_DEVICES": "0,1", "NCCL_ALGO": "Ring\x1b", "NCCLX": "1"}
    shown = [subprocess.run([launcher, "plan"], capture_output=True, text=True, env=variables).stdout for launcher in (cuda, cpu)]
    lines = [line for line in shown[0].splitlines() if line.startswith("environment: ")]
    if sorted(lines) != ["environment: CUDA_VISIBLE_DEVICES=0,1", "environment: NCCL_ALGO=Ring\\x1b"] or "environment: " in shown[1]:
        raise Failed(str(lines))


TARGETS = "sm_86", "sm_89", "sm_90", "sm_100a", "sm_103a", "sm_120a"      # besides those of ptx.py


def assembled(source):
    """The text that a launcher carries is for sm_80 without a letter, so NVIDIA's assembler takes it for every later GPU, and for none before."""
    text = source.with_suffix(".ptx")
    text.write_text(subprocess.run([DEPLOYC, source, "--target=cuda", "--emit=ptx"], capture_output=True, text=True, check=True, timeout=60).stdout)
    if re.findall(r"^\.target (.*)$", text.read_text(), re.M) != ["sm_80"]:
        raise Failed("another target than sm_80")
    missing = [i for i in ("mma.sync.aligned.m16n8k16", "ldmatrix.sync", "cp.async.cg") if i not in text.read_text()]
    if missing:
        raise Failed(f"without {missing}")
    running = {t: subprocess.Popen([ptxas(), f"-arch={t}", text, "-o", "/dev/null"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
               for t in (*TARGETS, "sm_75")}
    said = {t: (process.communicate()[0], process.returncode) for t, process in running.items()}
    wrong = [f"{t}: {words}" for t, (words, status) in said.items() if (status or words) and t != "sm_75"]
    if wrong or not said["sm_75"][1]:
        raise Failed("; ".join(wrong) or "sm_75 is taken")
    return f"{len(TARGETS)} targets"


class Chosen(Report):
    """Those tests whose names have one of the command line's words."""

    def check(self, name, test):
        if not sys.argv[1:] or any(word in name for word in sys.argv[1:]):
            super().check(name, test)


def kernels():
    """The list, with what an assembler on PATH says."""
    with Folder() as folder:
        assembler = folder / "ptxas"
        assembler.write_text("#!/bin/sh\ngrep -o 'entry dr_[a-z0-9_]*' \"$3\" | while read -r _ name; do\n"
                             "echo \"ptxas info    : Compiling entry function '$name' for 'sm_80'\"\n"
                             "echo \"ptxas info    : Function properties for $name\"\n"
                             "echo '    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads'\n"
                             "echo 'ptxas info    : Used 77 registers, used 0 barriers'\ndone\n")
        assembler.chmod(0o755)
        done = subprocess.run([DEPLOYC, "plan", SAMPLE, "--target=cuda", "--kernels"], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"})
        lines = [line.split() for line in done.stdout.splitlines() if line.startswith("  dr_")]
        ways = {line[0]: line[1] for line in lines}
        if done.returncode or not lines or any(line[2:5] != ["77", "8", "16"] for line in lines):
            raise Failed(done.stderr + done.stdout)
        added = len({re.match(r"dr_contract_\d+", name)[0] for name in ways if name.startswith("dr_contract")})     # the sample is in f32
        if set(ways.values()) != {"tuned", "fma", "general"} or ways.get("dr_contract_0_few") != "fma" or f"\nfma: {added} of the tuned ones, " not in done.stdout:
            raise Failed(done.stdout)
    refused = subprocess.run([DEPLOYC, "plan", SAMPLE, "--kernels"], capture_output=True, text=True, timeout=60)
    if refused.returncode != 2 or "--target=cuda --kernels" not in refused.stderr:
        raise Failed(refused.stderr)


def main():
    need_deployc()
    report = Chosen()
    with Folder() as folder:
        cpu, cuda = compiled(folder, "cpu"), compiled(folder, "cuda")
        report.check("the tokens of the CPU, the same bits twice", lambda: tokens(cpu, cuda, folder))
        report.check("the same sampled tokens", lambda: sampled(cpu, cuda))
        report.check("no driver", lambda: fails(cuda, "there is no NVIDIA driver", "--target=cpu", LD_LIBRARY_PATH=None))
        report.check("too few GPUs", lambda: fails(cuda, "a rank needs a GPU of its own, and this host has 2", EMU_DEVICES="2"))
        report.check("GPUs that CUDA_VISIBLE_DEVICES hides", lambda: fails(cuda, "and CUDA_VISIBLE_DEVICES=2,5,9,1 leaves 2", CUDA_VISIBLE_DEVICES="2,5,9,1"))
        report.check("no GPU that is visible", lambda: fails(cuda, "and CUDA_VISIBLE_DEVICES= leaves 0", CUDA_VISIBLE_DEVICES=""))
        report.check("a GPU older than Ampere", lambda: fails(cuda, "has compute capability 7.5: launchers need 8.0", EMU_CAPABILITY="7.5"))
        matrices = folder / "matrices.deploy"
        matrices.write_text(spec("llama", 1, dtype="bf16", workload="batch = 2; seq = 1..64; output = 64; chunk = 64; page = 16"))
        report.check("one text for all GPUs", lambda: assembled(matrices))
        bf16 = [compiled(folder, target, matrices) for target in ("cpu", "cuda")]
        for capability in "8.0", "8.6", "8.9", "10.0", "10.3", "12.0":
            report.check(f"a GPU of compute capability {capability}", lambda: same(*bf16, long=True, weights="llama", EMU_CAPABILITY=capability))
        report.check("the same tokens with DEPLOY_SYNC=1", lambda: same(cpu, cuda, DEPLOY_SYNC="1"))
        report.check("a kernel that fails, and one that never ends", lambda: faults(cuda))
        report.check("decode steps as graphs", lambda: graphs(folder))
        report.check("steps that overlap", lambda: overlap(folder))
        report.check("odd numbers while steps overlap", lambda: odd_numbers(folder))
        report.check("more microbatches than buffers", lambda: microbatches(folder))
        report.check("a plan larger than the host's memory", lambda: larger_than_the_host(folder))
        alone, running = without_nccl(folder), long(folder)
        report.check("no NCCL", lambda: fails(cuda, "NCCL cannot be opened (", "libnccl.so.2: file too short", "install libnccl2", LD_LIBRARY_PATH=alone))
        report.check("an NCCL that is too old", lambda: fails(cuda, "NCCL 2.17 is too old: install version 2.18 or later", EMU_NCCL_VERSION="21701"))
        report.check("one rank needs no NCCL", lambda: ids(run(one_rank(folder), LD_LIBRARY_PATH=alone)) and None)
        report.check("calls of NCCL that go on", lambda: same(cpu, cuda, NCCL_COMM_BLOCKING="0"))
        report.check("a collective that fails, and one that never ends", lambda: nccl_fails(cuda))
        report.check("groups that NCCL gets wrong", lambda: nccl_splits(cuda))
        report.check("a GPU that is slow", lambda: slow(one_rank(folder)))
        report.check("a rank is killed", lambda: killed(running, signal.SIGKILL, "error: rank 5 ", "was ended by signal 9"))
        report.check("a rank is stopped", lambda: killed(running, signal.SIGSTOP, "error: rank 5 ", "it was stuck for 2 s"))
        report.check("the environment that NCCL reads", lambda: environment(cuda, cpu))
        report.check("too little memory", lambda: room(cuda))
        report.check("ranges for profilers", lambda: ranges(cuda, folder))
        report.check("the machine as a cluster", lambda: probe(cuda, folder))
        report.check("a device of another target", lambda: fails(cuda, "a launcher of --target=cuda has no device `cpu`, but cuda", DEPLOY_DEVICE="cpu"))
        report.check("plan --kernels", kernels)
        report.check("a GPU for a launcher of the CPU", lambda: fails(cpu, "a launcher of --target=cpu has no device `cuda`", DEPLOY_DEVICE="cuda"))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
