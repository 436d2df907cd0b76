#!/usr/bin/env python3
"""Loading a checkpoint beside reading its file once, both from the disk and from the page cache.

    load.py --deployc FILE [--repetitions N] [--layers N]

Writes a checkpoint of the shape `dense 1B bf16` of run.py, 2.5 GB unless --layers says less. docs/bench.md says how to read the table."""
import argparse
import json
import os
import pathlib
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


def read_once(path):
    buffer = bytearray(BLOCK)
    start = time.monotonic()
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    return time.monotonic() - start


def load(launcher, folder):
    """The whole run: load, one prompt of one id, one token."""
    start = time.monotonic()
    subprocess.run([launcher, "run", "--weights", folder, "--ids", "1", "--max-tokens", "1"], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--deployc", type=pathlib.Path, required=True)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--layers", type=int, default=SHAPES[NAME].layers)
    options = parser.parse_args()
    shape = SHAPES[NAME]._replace(layers=options.layers)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
        folder = pathlib.Path(name)
        write_config(folder, shape)
        size, path = write_checkpoint(folder, shape), folder / "model.safetensors"
        print(f"{size / 1e9:.2f} GB{'':<14}{'read once':>12}{'run':>10}{'ratio':>8}", flush=True)
        for ranks in RANKS:
            source, launcher = folder / "load.deploy", folder / "load"
            source.write_text(spec(shape, ranks))
            subprocess.run([options.deployc, source, "-o", launcher, "--cpu=native"], check=True)
            for cold in True, False:
                pairs = []
                for _ in range(options.repetitions):
                    times = []
                    for measure in read_once, lambda _: load(launcher, folder):
                        if cold:
                            forget(path)
                        times.append(measure(path))
                    pairs.append(times)
                read, run = (statistics.median(column) for column in zip(*pairs))
                ratio = statistics.median(b / a for a, b in pairs)
                print(f"{ranks} rank{'s' if ranks > 1 else ' '}, {'disk' if cold else 'cache':<12}{read:>10.2f} s{run:>8.2f} s{ratio:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
