#!/usr/bin/env python3
"""Loading a checkpoint beside reading its file once, from the disk and from the page cache.

    load.py --deployc FILE [--repetitions N] [--layers N]

Writes a checkpoint of the shape `dense 1B bf16` of run.py, 2.5 GB unless --layers says less. docs/bench.md says how to read the table."""
import argparse
import json
import mmap
import os
import pathlib
import re
import resource
import statistics
import struct
import subprocess
import tempfile
import time

import numpy as np

from run import SHAPES, spec

BLOCK = 1 << 23
NAME, RANKS = "dense 1B bf16", (1, 2)


def tensors(s):
    """Names and shapes of a Llama with tied embeddings."""
    heads, narrow = s.kv_heads * s.q_group * s.head_dim, s.kv_heads * s.head_dim
    yield "model.embed_tokens.weight", (s.vocab, s.d_model)
    yield "model.norm.weight", (s.d_model,)
    for layer in range(s.layers):
        at = f"model.layers.{layer}."
        yield at + "input_layernorm.weight", (s.d_model,)
        yield at + "post_attention_layernorm.weight", (s.d_model,)
        for name, shape in (("q", (heads, s.d_model)), ("k", (narrow, s.d_model)), ("v", (narrow, s.d_model)), ("o", (s.d_model, heads))):
            yield f"{at}self_attn.{name}_proj.weight", shape
        for name, shape in (("gate", (s.ffn, s.d_model)), ("up", (s.ffn, s.d_model)), ("down", (s.d_model, s.ffn))):
            yield f"{at}mlp.{name}_proj.weight", shape


def write_checkpoint(folder, s):
    """Random weights of small size in bf16. Returns the bytes of the file."""
    header, offset = {}, 0
    for name, shape in tensors(s):
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    some = (np.random.default_rng(1).standard_normal(BLOCK // 2, np.float32) * 0.02).view(np.uint32) >> 16
    block = some.astype(np.uint16).tobytes()
    path = folder / "model.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for begin in range(0, offset, BLOCK):
            file.write(block[:offset - begin])
        os.fsync(file.fileno())
    return path.stat().st_size


def write_config(folder, s):
    """What config.json must say of the model: spec() leaves the rest to the library."""
    (folder / "config.json").write_text(json.dumps({
        "model_type": "llama", "vocab_size": s.vocab, "num_hidden_layers": s.layers, "hidden_size": s.d_model, "intermediate_size": s.ffn,
        "num_attention_heads": s.kv_heads * s.q_group, "num_key_value_heads": s.kv_heads, "head_dim": s.head_dim, "hidden_act": "silu",
        "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "rope_scaling": {
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}, "tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False}))


def forget(path):
    """Drops the file from the page cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def seconds(work):
    """By the clock, and on the cores, by this process and those that it waited for."""
    def cores():
        return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
    start, cores_start = time.monotonic(), cores()
    without = work() or 0
    return time.monotonic() - start - without, cores() - cores_start


def read_once(path):
    """One thread, as `dd bs=8M of=/dev/null` does it."""
    buffer = bytearray(BLOCK)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def read_into_memory(path):
    """The same into new memory that has room for the whole file, in huge pages."""
    size, at = path.stat().st_size, 0
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    with path.open("rb", buffering=0) as file, memoryview(memory) as view:
        while at < size:
            at += file.readinto(view[at:at + BLOCK])
    memory.close()


def load(launcher, folder):
    """A run of one prompt of one id, and one token. Returns the seconds of its only step, which are not loading."""
    out = subprocess.run([launcher, "run", "--weights", folder, "--ids", "1", "--max-tokens", "1"], check=True, capture_output=True, text=True).stdout
    return float(re.search(r"^ttft: ([\d.]+) ms", out, re.M)[1]) / 1e3


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--deployc", type=pathlib.Path, required=True)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--layers", type=int, default=SHAPES[NAME].layers)
    options = parser.parse_args()
    shape = SHAPES[NAME]._replace(layers=options.layers)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
        folder = pathlib.Path(name)
        write_config(folder, shape)
        size, path = write_checkpoint(folder, shape), folder / "model.safetensors"
        print(f"{size / 1e9:.2f} GB{'':<11}{'read':>8}{'core-s':>8}{'into memory':>13}{'core-s':>8}{'load':>8}{'core-s':>8}"
              f"{'/ read':>9}{'/ memory':>9}", flush=True)
        for ranks in RANKS:
            source, launcher = folder / "load.deploy", folder / "load"
            source.write_text(spec(shape, ranks))
            subprocess.run([options.deployc, source, "-o", launcher, "--cpu=native"], check=True)
            for cold in True, False:
                rows = []
                for _ in range(options.repetitions):
                    row = []
                    for work in (lambda: read_once(path)), (lambda: read_into_memory(path)), (lambda: load(launcher, folder)):
                        if cold:
                            forget(path)
                        row += seconds(work)
                    rows.append((*row, row[4] / row[0], row[4] / row[2]))
                read, read_cores, memory, memory_cores, run, run_cores, by_read, by_memory = map(statistics.median, zip(*rows))
                print(f"{ranks} rank{'s' if ranks > 1 else ' '}, {'disk' if cold else 'cache':<11}{read:>8.2f}{read_cores:>8.2f}{memory:>13.2f}"
                      f"{memory_cores:>8.2f}{run:>8.2f}{run_cores:>8.2f}{by_read:>9.2f}{by_memory:>9.2f}", flush=True)


if __name__ == "__main__":
    main()
