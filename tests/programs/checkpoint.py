"""A checkpoint of a program's weights: safetensors in formats that hold them exactly, and a config.json that says nothing."""
import json
import struct

import numpy as np

from evaluate import rounded

NAMES = {"f32": "F32", "bf16": "BF16", "f16": "F16"}


def stored_bytes(data, dtype):
    single = data.astype(np.float32)
    if dtype == "bf16":
        return (single.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    return single.astype(np.float16 if dtype == "f16" else np.float32).tobytes()


def write_checkpoint(folder, weights, r):
    """Each tensor in a format that holds it: fp8 as wider numbers, for a file in fp8 would have scales."""
    header, parts, offset = {}, [], 0
    for name, data in weights.tensors.items():
        fits = [f for f in NAMES if (rounded(data, f) == data).all()]
        dtype = r.choice(fits)
        parts.append(stored_bytes(data, dtype))
        header[name] = {"dtype": NAMES[dtype], "shape": list(data.shape), "data_offsets": [offset, offset + len(parts[-1])]}
        offset += len(parts[-1])
    text = json.dumps(header).encode()
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))
    (folder / "config.json").write_text("{}")
