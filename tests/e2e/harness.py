"""Shared by the end-to-end tests: specs for a fixture, compiling them, running launchers, reading their output."""
import concurrent.futures
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc"))
TARGET = [f"--target={os.environ['TEST_TARGET']}"] if "TEST_TARGET" in os.environ else []      # cuda: see docs/gpu.md

# The fixtures' sizes, as refinements of the library's models.
MODELS = {
    "llama": ("std.llama", "Llama", "vocab = 256; layers = 4; d_model = 32; kv_heads = 4; q_group = 2; head_dim = 16; "
              "ffn = 96; tied = true; max_ctx = 512; rope_theta = 10_000.0; rope_factor = 4.0; rope_original = 16.0"),
    "mixtral": ("std.mixtral", "Mixtral", "vocab = 256; layers = 4; d_model = 32; kv_heads = 4; q_group = 2; head_dim = 8; "
                "expert = 8; expert_ffn = 16; max_ctx = 512; rope_theta = 10_000.0"),
    "qwen3": ("std.qwen3", "Qwen3", "vocab = 66; layers = 3; d_model = 20; kv_heads = 3; q_group = 2; head_dim = 6; "
              "ffn = 30; max_ctx = 512; rope_theta = 10_000.0"),
    "qwen3_moe": ("std.qwen3", "Qwen3MoE", "vocab = 96; layers = 3; d_model = 32; kv_heads = 2; q_group = 4; head_dim = 12; "
                  "expert = 4; expert_ffn = 16; top_k = 2; max_ctx = 512; rope_theta = 10_000.0"),
    "olmoe": ("std.olmoe", "OLMoE", "vocab = 96; layers = 4; d_model = 32; kv_heads = 4; q_group = 2; expert = 8; "
              "expert_ffn = 16; top_k = 2; max_ctx = 512"),
    "qwen2": ("std.qwen2", "Qwen2", "vocab = 66; layers = 3; d_model = 36; kv_heads = 2; q_group = 3; ffn = 48; tied = true; "
              "max_ctx = 512; rope_theta = 10_000.0"),
    "mistral": ("std.mistral", "Mistral", "vocab = 88; layers = 3; d_model = 36; kv_heads = 3; q_group = 2; head_dim = 8; ffn = 36; "
                "window = 9; max_ctx = 512; rope_theta = 10_000.0"),
    "phi3": ("std.phi3", "Phi3", "vocab = 70; layers = 3; d_model = 36; kv_heads = 3; q_group = 2; ffn = 48; window = 11; "
             "max_ctx = 512"),
    "phi3_long": ("std.phi3", "Phi3", "vocab = 48; layers = 1; d_model = 32; kv_heads = 2; q_group = 2; ffn = 40; max_ctx = 128; "
                  "scaled = true; original = 3; rope_ctx = 128; short_factor = [1, 1, 1.5, 2]; long_factor = [1.1, 2.3, 4.7, 9.1]"),
    "phi3_short": ("std.phi3", "Phi3", "vocab = 66; layers = 2; d_model = 32; kv_heads = 2; q_group = 2; ffn = 40; max_ctx = 128; "
                   "rotary = 0.75; tied = true; scaled = true; original = 128; rope_ctx = 512; short_factor = [1.2, 1.9, 2.6]; "
                   "long_factor = [2, 4, 8]"),
    "gpt2": ("std.gpt2", "GPT2", "vocab = 60; layers = 2; d_model = 24; kv_heads = 6; max_ctx = 256"),
    "granite": ("std.granite", "Granite", "vocab = 78; layers = 3; d_model = 32; kv_heads = 2; q_group = 2; ffn = 48; tied = false; "
                "max_ctx = 512; rope_theta = 10_000.0; embed_scale = 1.5; branch_scale = 0.7; score_scale = 0.2; logit_scale = 0.6"),
    "olmo2": ("std.olmo2", "OLMo2", "vocab = 94; layers = 3; d_model = 32; kv_heads = 4; q_group = 2; ffn = 48; max_ctx = 512; "
              "eps = 1e-5; rope_theta = 10_000.0"),
    "glm4": ("std.glm4", "GLM4", "vocab = 82; layers = 3; d_model = 32; kv_heads = 3; q_group = 2; rotated = 8; kept = 4; ffn = 48; "
             "max_ctx = 512"),
    "glm4_moe": ("std.glm4", "GLM4MoE", "vocab = 96; layers = 3; d_model = 32; kv_heads = 2; q_group = 4; rotated = 8; kept = 4; "
                 "ffn = 48; expert = 8; expert_ffn = 12; shared = 2; top_k = 2; first_dense = 1; route_factor = 1.5; qk_norm = true; "
                 "max_ctx = 512; rope_theta = 10_000.0"),
    "granitemoe": ("std.granite", "GraniteMoE", "vocab = 86; layers = 3; d_model = 32; kv_heads = 2; q_group = 2; expert = 8; "
                   "expert_ffn = 12; top_k = 2; tied = false; max_ctx = 512; eps = 1e-5; rope_theta = 10_000.0; embed_scale = 1.5; "
                   "branch_scale = 0.7; score_scale = 0.2; logit_scale = 0.6"),
    "qwen2_moe": ("std.qwen2", "Qwen2MoE", "vocab = 92; layers = 3; d_model = 32; kv_heads = 4; q_group = 2; expert = 8; "
                  "expert_ffn = 12; shared_ffn = 24; top_k = 2; max_ctx = 512; rope_theta = 10_000.0"),
    "minimax_m2": ("std.minimax_m2", "MiniMaxM2", "vocab = 98; layers = 3; d_model = 32; kv_heads = 4; q_group = 2; rotated = 8; "
                   "kept = 4; expert = 8; expert_ffn = 12; top_k = 2; max_ctx = 512; rope_theta = 10_000.0"),
    "ernie4_5": ("std.ernie4_5", "Ernie4_5", "vocab = 74; layers = 3; d_model = 28; kv_heads = 2; q_group = 2; head_dim = 10; "
                 "ffn = 48; tied = false; max_ctx = 512; rope_theta = 10_000.0"),
    "ernie4_5_moe": ("std.ernie4_5", "Ernie4_5MoE", "vocab = 76; layers = 3; d_model = 32; kv_heads = 4; q_group = 2; ffn = 48; "
                     "expert = 8; expert_ffn = 12; shared = 2; top_k = 2; first_dense = 1; tied = false; max_ctx = 512; "
                     "rope_theta = 10_000.0"),
    "deepseek_v2": ("std.deepseek_v2", "DeepSeekV2", "vocab = 104; layers = 3; d_model = 32; heads = 8; kv_rank = 18; nope_dim = 10; "
                    "rope_dim = 8; v_dim = 12; ffn = 48; expert = 8; expert_ffn = 12; shared = 2; top_k = 2; first_dense = 1; "
                    "route_factor = 1.7; max_ctx = 512; yarn_factor = 4.0; yarn_fast = 8.0; yarn_original = 64.0; yarn_mscale = 0.8"),
    "deepseek_v2_groups": ("std.deepseek_v2", "DeepSeekV2", "vocab = 92; layers = 3; d_model = 32; heads = 4; low_rank = 22; "
                           "kv_rank = 14; nope_dim = 8; rope_dim = 6; v_dim = 10; ffn = 40; expert = 16; expert_ffn = 8; shared = 1; "
                           "top_k = 3; groups = 4; top_groups = 2; first_dense = 1; route_factor = 2.3; max_ctx = 512; "
                           "yarn_factor = 1.0"),
    "ernie4_5_moe_alone": ("std.ernie4_5", "Ernie4_5MoE", "vocab = 64; layers = 2; d_model = 24; kv_heads = 2; q_group = 2; ffn = 28; "
                           "expert = 8; expert_ffn = 10; shared = 0; top_k = 2; first_dense = 1; tied = false; max_ctx = 512; "
                           "rope_theta = 10_000.0"),
    "qwen2_yarn": ("std.qwen2", "Qwen2", "vocab = 62; layers = 2; d_model = 24; kv_heads = 2; q_group = 2; ffn = 32; max_ctx = 512; "
                   "rope_theta = 10_000.0; yarn_factor = 4.0; yarn_fast = 8.0; yarn_original = 64.0"),
    "qwen3_vl": ("std.qwen3", "Qwen3", "vocab = 68; layers = 2; d_model = 24; kv_heads = 3; q_group = 2; head_dim = 12; ffn = 36; "
                 "tied = true; max_ctx = 512; rope_theta = 10_000.0; vision = true"),
    "qwen3_vl_moe": ("std.qwen3", "Qwen3MoE", "vocab = 68; layers = 2; d_model = 28; kv_heads = 2; q_group = 2; head_dim = 12; "
                     "expert = 8; expert_ffn = 12; top_k = 2; max_ctx = 512; rope_theta = 10_000.0; vision = true"),
    "qwen3_yarn": ("std.qwen3", "Qwen3", "vocab = 64; layers = 2; d_model = 24; kv_heads = 3; q_group = 2; head_dim = 8; ffn = 36; "
                   "max_ctx = 512; rope_theta = 10_000.0; yarn_factor = 4.0; yarn_fast = 8.0; yarn_original = 64.0"),
    "qwen3_moe_yarn": ("std.qwen3", "Qwen3MoE", "vocab = 64; layers = 2; d_model = 24; kv_heads = 3; q_group = 2; head_dim = 12; "
                       "expert = 8; expert_ffn = 12; top_k = 2; max_ctx = 512; rope_theta = 10_000.0; yarn_factor = 4.0; "
                       "yarn_original = 512.0"),
    "gemma3": ("std.gemma3", "Gemma3", "vocab = 90; layers = 4; d_model = 24; kv_heads = 3; q_group = 2; head_dim = 10; "
               "ffn = 36; query_scale = 14.0; window = 9; pattern = 3; max_ctx = 512; rope_theta = 10_000.0; rope_factor = 4.0; "
               "rope_local = 1000.0"),
    "gemma2": ("std.gemma2", "Gemma2", "vocab = 84; layers = 4; d_model = 24; kv_heads = 3; q_group = 2; head_dim = 10; ffn = 36; "
               "query_scale = 3.0; window = 8; score_cap = 2.0; logit_cap = 0.8; max_ctx = 512"),
    "llama4": ("std.llama4", "Llama4", "vocab = 96; layers = 4; d_model = 32; kv_heads = 3; q_group = 2; head_dim = 10; ffn = 48; "
               "expert = 8; expert_ffn = 24; moe_step = 2; plain_step = 3; chunk = 7; growth_each = 5.0; growth_by = 0.5; max_ctx = 512; "
               "rope_theta = 10_000.0; rope_factor = 4.0; rope_original = 64.0"),
    "gpt_oss": ("std.gpt_oss", "GPT_OSS", "vocab = 72; layers = 3; d_model = 28; kv_heads = 4; q_group = 2; head_dim = 10; "
                "expert = 8; expert_ffn = 24; top_k = 2; window = 7; slope = 1.5; limit = 1.25; max_ctx = 512; "
                "rope_theta = 10_000.0; yarn_factor = 4.0; yarn_fast = 8.0; yarn_original = 64.0"),
    "deepseek": ("std.deepseek_v3", "DeepSeek", "vocab = 160; layers = 4; d_model = 32; heads = 8; q_rank = 20; kv_rank = 18; "
                 "nope_dim = 10; rope_dim = 8; v_dim = 12; ffn = 48; expert = 16; expert_ffn = 8; shared = 2; top_k = 4; "
                 "groups = 4; top_groups = 2; first_dense = 1; route_factor = 0.6; max_ctx = 512; yarn_factor = 4.0; "
                 "yarn_fast = 8.0; yarn_original = 64.0; yarn_mscale = 0.8"),
}
WORKLOAD = "batch = 8; seq = 1..64; output = 64; chunk = 64; page = 16"


def spec(model, ranks, plan="Megatron {}", dtype="f32", workload=WORKLOAD, refine="", declared=""):
    """A deployment of a fixture's model on ranks of this host. The plan is of std.plans, or `declared`."""
    module, name, sizes = MODELS[model]
    template = declared or f"use std.plans {{ {plan.split()[0]} }}"
    peak = "; device { peak { f16 = 1 TFLOPS } }" if dtype == "f16" else ""     # std.clusters gives none for processors
    return f"""use {module} {{ {name} }}
use std.clusters {{ CPUHost }}
use std.workload {{ Inference }}
{template}

model Tiny = {name} {{
  {sizes}
  weight = {dtype}; act = {dtype}; kv = {dtype}
}}

deploy Test {{
  model    = Tiny {{ {refine} }}
  cluster  = CPUHost {{ ranks = {ranks}{peak} }}
  plan     = {plan}
  workload = Inference {{ {workload} }}
}}
"""


HANGS = 1200                    # seconds after which a program hangs, on a busy machine too


class Failed(Exception):
    """A failed test; its text is one line of the report."""


def first_line(text):
    """The first line that is neither a warning nor a note."""
    lines = [line for line in text.strip().splitlines() if line.strip() and not line.startswith(("warning", "note:"))]
    return lines[0] if lines else "(no output)"


def compile_spec(text, folder, name, *options):
    """Writes NAME.deploy and compiles it to the launcher NAME."""
    source, launcher = folder / f"{name}.deploy", folder / name
    source.write_text(text)
    done = subprocess.run([DEPLOYC, source, "-o", launcher, *TARGET, *options], capture_output=True, text=True, timeout=HANGS)
    if done.returncode:
        raise Failed(f"deployc exits with {done.returncode}: {first_line(done.stderr or done.stdout)}")
    return launcher


class Run:
    """The output of `launcher run`."""

    def __init__(self, text):
        self.continuations = {}
        self.memory = {}
        for line in text.splitlines():
            if m := re.match(r"ids: ([\d,]+) -> ([\d,]*)$", line):
                self.continuations.setdefault(m[1], []).append([int(t) for t in m[2].split(",") if t])
            elif m := re.match(r"memory: rank (\d+) planned (\d+) B allocated (\d+) B$", line):
                self.memory[int(m[1])] = (int(m[2]), int(m[3]))
        self.text = text

    def of(self, prompt):
        return self.continuations.get(",".join(map(str, prompt)), [])


def run_launcher(launcher, model, prompts, steps, folder, threads=1, options=()):
    """Runs prompts together. Returns the output and the logits [prompt, step, vocab]. `model`: a fixture or a folder."""
    logits = folder / f"{pathlib.Path(launcher).name}.npy"
    logits.unlink(missing_ok=True)
    command = [launcher, "run", "--weights", FIXTURES / model, "--max-tokens", str(steps), "--logits", logits,
               "--threads", str(threads), *options]
    for prompt in prompts:
        command += ["--ids", ",".join(map(str, prompt))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS)
    except subprocess.TimeoutExpired:
        raise Failed(f"the launcher did not end within {HANGS} s") from None
    if done.returncode:
        raise Failed(f"the launcher exits with {done.returncode}: {first_line(done.stderr or done.stdout)}")
    if not logits.exists():
        raise Failed("the launcher wrote no logits")
    return Run(done.stdout), np.load(logits)


def write_safetensors(path, tensors, dtype="F32", dtypes=None):
    """Arrays by name; arrays of F8 formats hold bytes. dtypes: formats that differ from the default."""
    header, offset = {}, 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": (dtypes or {}).get(name, dtype), "shape": list(tensor.shape), "data_offsets": [offset, offset + tensor.nbytes]}
        offset += tensor.nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.tobytes())


def read_safetensors(path):
    """Arrays by name, from a file of F32 tensors."""
    data = path.read_bytes()
    size, = struct.unpack_from("<Q", data)
    tensors = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            tensors[name] = np.frombuffer(data[8 + size + begin:8 + size + end], np.float32).reshape(entry["shape"])
    return tensors


class Expected:
    """The results of transformers for a fixture."""

    def __init__(self, model):
        self.summary = json.loads((FIXTURES / model / "expected.json").read_text())
        arrays = np.load(FIXTURES / model / "expected.npz")
        self.prompts = self.summary["prompts"]
        self.tokens = arrays["tokens"]
        self.logits = arrays["logits"]
        self.logits_bf16 = (arrays["logits_bf16"].astype(np.uint32) << 16).view(np.float32)


class Report:
    """One line for each test, and the totals at the end."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, test):
        """Runs test(); prints its text, if any, after the name."""
        self.say(*self.outcome(name, test))

    def check_at_once(self, tests):
        """Likewise for pairs of a name and a test, as many at a time as there are processors: they must not share files."""
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for done in pool.map(lambda pair: self.outcome(*pair), tests):
                self.say(*done)

    def outcome(self, name, test):
        start = time.monotonic()
        try:
            note, good = test() or "", True
        except (Failed, subprocess.TimeoutExpired, OSError) as failure:
            note, good = str(failure), False
        return name, good, time.monotonic() - start, note

    def say(self, name, good, seconds, note):
        self.passed += good
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {name:<58} {seconds:5.1f} s  {note}", flush=True)

    def check_all(self, tests, words):
        """Runs tests by name: those whose name has one of the words; all, without any."""
        for name, test in tests.items():
            if not words or any(word in name for word in words):
                self.check(name, test)

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0


def on_terminal(command, *streams, **how):
    """Runs a command whose `stdout` or `stderr`, or both, are a terminal. Returns (exit status, what it printed there)."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, **{**how, **dict.fromkeys(streams, theirs)})
    os.close(theirs)
    text = b""
    try:
        while piece := os.read(ours, 65536):
            text += piece
    except OSError:         # the other end is closed
        pass
    os.close(ours)
    return process.wait(), text.decode().replace("\r\n", "\n")


def need_deployc():
    if not DEPLOYC.exists():
        sys.exit(f"{DEPLOYC} is missing: run `make`, or set DEPLOYC")


class Folder:
    """A temporary folder; kept if KEEP is set, to examine failures."""

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="deploy-test-"))
        return self.path

    def __exit__(self, *_):
        if os.environ.get("KEEP"):
            print(f"kept {self.path}")
        else:
            shutil.rmtree(self.path, ignore_errors=True)


def measured(command, limit=60):
    """Runs a command. Returns (exit code, seconds, MiB of its largest process, stdout, stderr)."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        child = subprocess.Popen(command, stdout=out, stderr=err)
        signal.signal(signal.SIGALRM, lambda *_: child.kill())
        signal.alarm(limit)
        _, status, usage = os.wait4(child.pid, 0)
        signal.alarm(0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - start
        out.seek(0)
        err.seek(0)
        return child.returncode, seconds, usage.ru_maxrss / 1024, out.read().decode(), err.read().decode()
