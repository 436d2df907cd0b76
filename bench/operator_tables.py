"""Measurements of single operators, as rows of sizes and times: of the two CSV tables, and of the tables of ai-dynamo/aiconfigurator.

The CSV tables: op_aic_gemm_subsample.csv (system, source_table, device, dtype, m, n, k, latency_ms) and comm_aic_nccl.csv (system,
nccl_dir_version, ..., op, ..., num_gpus, ..., size_bytes, latency_ms). The others are parquet files in a git repository, of which only
objects are read; they need pyarrow.
"""
import collections
import csv
import io
import re
import subprocess

import numpy as np

# Where several versions of NCCL were measured: the one whose table has all sizes.
NCCL = {"h100_sxm": "2.27.3", "h200_sxm": "2.26.2", "b200_sxm": "2.27.3", "b300_sxm": "2.29.2", "gb200": "2.29.2", "gb300": "2.29.2"}
COLLECTIVES = {"all_reduce": "all_reduce", "all_gather": "all_gather", "reduce_scatter": "reduce_scatter", "alltoall": "all_to_all"}
DATA = "aic-core/src/aiconfigurator_core/systems/data/"
MIN, MAX = 40, 1500                                # rows of a fit: fewer say little, more change nothing

# What is fitted: the kind of a record's part, its name there, the sizes, and the times in s.
Table = collections.namedtuple("Table", "system kind name sizes seconds")


def sample(system, kind, name, sizes, seconds):
    rows = np.array(sizes, float).reshape(len(seconds), -1)
    chosen = np.random.default_rng(1).permutation(len(rows))[:MAX]
    return Table(system, kind, name, rows[np.sort(chosen)], np.array(seconds, float)[np.sort(chosen)])


def shared(folder):
    """The tables of the two CSV files."""
    groups = collections.defaultdict(lambda: ([], []))
    for row in rows_of(folder / "op_aic_gemm_subsample.csv"):
        add(groups[row["system"], "matmul", row["dtype"]], (row["m"], row["n"], row["k"]), float(row["latency_ms"]) * 1e-3)
    for row in rows_of(folder / "comm_aic_nccl.csv"):
        if row["op"] in COLLECTIVES and row["nccl_dir_version"] == NCCL.get(row["system"], row["nccl_dir_version"]):
            add(groups[row["system"], "link", COLLECTIVES[row["op"]]], (row["num_gpus"], row["size_bytes"]), float(row["latency_ms"]) * 1e-3)
    return [sample(*key, *group) for key, group in groups.items()]


def rows_of(file):
    with open(file, newline="") as text:
        yield from csv.DictReader(text)


def add(group, sizes, seconds):
    group[0].append(sizes)
    group[1].append(seconds)


class Repository:
    """Parquet files of a git directory."""

    def __init__(self, folder):
        import pyarrow.parquet
        self.parquet, self.folder = pyarrow.parquet, folder
        self.names = self.git("ls-tree", "-r", "--name-only", "HEAD", DATA).decode().split()
        self.commit = self.git("rev-parse", "HEAD").decode().strip()

    def git(self, *arguments):
        return subprocess.run(["git", "-C", str(self.folder), *arguments], check=True, stdout=subprocess.PIPE).stdout

    def newest(self, system, kind, engine, name):
        """The rows of a table, of its newest version; [] if there is none."""
        files = [f for f in self.names if re.fullmatch(rf"{DATA}{system}/{kind}/{engine}/[^/]+/{name}_perf\.parquet", f)]
        return self.rows(max(files, key=lambda f: version(f.split("/")[-2]))) if files else []

    def rows(self, file):
        blob = self.git("show", "HEAD:" + file)
        if blob.startswith(b"version https://git-lfs"):
            raise SystemExit(f"calibrate: {file} is a pointer to a file that this clone lacks (git lfs)")
        return self.parquet.read_table(io.BytesIO(blob)).to_pylist()


def version(text):
    """1.3.0rc20 is after 1.3.0rc10, and before 1.3.0."""
    return [int(x) for x in re.findall(r"\d+", text.replace("rc", ".-1."))] + ([] if "rc" in text else [0])


def repository(clone, systems):
    """The tables of a clone for the systems: attention, experts, all-reduces of one shot; products where `shared` has none."""
    tables = []
    for system in systems:
        tables += products(clone, system) + experts(clone, system) + one_shot(clone, system)
        for engine in ("vllm", "trtllm"):
            tables += attention(clone, system, engine)
    return [t for t in tables if len(t.seconds) >= MIN]


def products(clone, system):
    groups = collections.defaultdict(lambda: ([], []))
    for r in clone.newest(system, "gemm", "trtllm", "gemm"):
        add(groups[r["gemm_dtype"]], (r["m"], r["n"], r["k"]), r["latency"] * 1e-3)
    return [sample(system, "matmul", name, *group) for name, group in groups.items()]


def is_plain(row):
    """Attention in bf16 without a window."""
    return not row.get("window_size") and row["attn_dtype"] == row["kv_cache_dtype"] == "bfloat16" and row["head_dim"] == 128


def attention(clone, system, engine):
    prefill, decode, latent = ([], []), ([], []), ([], [])
    for r in clone.newest(system, "attention", engine, "context_attention"):
        if is_plain(r) and r["isl"] >= 64:
            add(prefill, (r["batch_size"], r["isl"], r["num_heads"], r["num_key_value_heads"] or r["num_heads"], 128), r["latency"] * 1e-3)
    for r in clone.newest(system, "attention", engine, "generation_attention"):
        if is_plain(r) and r["step"] >= 63:
            sizes = (r["batch_size"], r["num_heads"], r["num_key_value_heads"] or r["num_heads"], 128, 128, r["step"] + 1)
            add(decode, sizes, r["latency"] * 1e-3)
    for r in clone.newest(system, "mla", "trtllm", "generation_mla") if engine == "trtllm" else []:
        if r["kv_cache_dtype"] == "bfloat16" and r["step"] >= 63:
            add(latent, (r["batch_size"], r["num_heads"], 1, 576, 512, r["step"] + 1), r["latency"] * 1e-3)
    found = [("prefill", prefill), ("decode", decode), ("latent", latent)]
    return [sample(system, kind, engine, *rows) for kind, rows in found if rows[1]]


def experts(clone, system):
    """Several kernels were timed on one shape: the engine takes the fastest. Balanced loads; where there are none, all loads of ranks that
    hold every expert, each with the number of experts that random choices reach. With fewer, a table of uneven loads has the time of
    the rank that gets the longest share, and does not say how long."""
    best = {}
    for r in clone.newest(system, "moe", "trtllm", "moe"):
        if "nongated" in (r.get("kernel_source") or ""):
            continue
        tokens, top, held = r["num_tokens"], r["topk"], r["num_experts"] / r["moe_ep_size"]
        balanced = r["distribution"] == "balanced"
        if not balanced and r["moe_ep_size"] > 1:
            continue
        hit = min(held, tokens * top / r["moe_ep_size"]) if balanced else held * (1 - (1 - top / r["num_experts"]) ** tokens)
        key = r["moe_dtype"], balanced, (tokens, top, r["num_experts"], held, hit, r["hidden_size"], r["inter_size"] / r["moe_tp_size"])
        best[key] = min(best.get(key, np.inf), r["latency"] * 1e-3)
    groups = collections.defaultdict(lambda: ([], []))
    for (name, balanced, sizes), seconds in best.items():
        add(groups[name, balanced], sizes, seconds)
    names = {name for name, _ in groups}
    chosen = {name: groups[name, len(groups[name, True][1]) >= 200] for name in sorted(names)}
    return [sample(system, "grouped", name, *group) for name, group in chosen.items() if group[1]]


def one_shot(clone, system):
    rows = ([], [])
    for r in clone.newest(system, "comm", "trtllm", "custom_allreduce"):
        add(rows, (r["num_gpus"], r["message_size"] * 2), r["latency"] * 1e-3)   # the size counts elements
    return [sample(system, "link", "one_shot", *rows)] if len(rows[1]) else []
