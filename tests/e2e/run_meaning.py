#!/usr/bin/env python3
"""A launcher rejects checkpoints with another meaning than the program: values and fields of config.json, tensors that nothing reads, and
scales. Checkpoints that it accepts give the tokens of transformers.

    run_meaning.py [WORD ...]       only the cases whose name contains a word
"""
import json
import shutil
import subprocess
import sys

import numpy as np

from harness import FIXTURES, Expected, Failed, Folder, Report, compile_spec, need_deployc, read_safetensors, spec, write_safetensors

REMOVED = object()
STEPS = 6


class Checkpoint:
    """A copy of a fixture with other values in its config.json and other tensors."""

    def __init__(self, folder, model):
        self.model, self.place = model, folder / "checkpoint"
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        self.config = json.loads((FIXTURES / model / "config.json").read_text())
        self.tensors, self.dtypes, self.options = {}, {}, []
        for file in sorted((FIXTURES / model).glob("*.safetensors")):
            self.tensors.update(read_safetensors(file))

    def set(self, path, value):
        *objects, name = path.split(".")
        place = self.config
        for step in objects:
            place = place[step]
        if value is REMOVED:
            del place[name]
        else:
            place[name] = value

    def add(self, name, shape=(4,), dtype="F32"):
        self.tensors[name], self.dtypes[name] = np.ones(shape, np.uint8 if dtype.startswith("F8") else np.float32), dtype

    def run(self, launcher):
        text = self.config if isinstance(self.config, str) else json.dumps(self.config)
        (self.place / "config.json").write_text(text)
        write_safetensors(self.place / "model.safetensors", self.tensors, dtypes=self.dtypes)
        prompt = Expected(self.model).prompts[0]
        return subprocess.run([launcher, "run", "--weights", self.place, "--ids", ",".join(map(str, prompt)), "--max-tokens", str(STEPS),
                               "--threads", "1", *self.options], capture_output=True, text=True, timeout=60)


def fields(**values):
    """Values of config.json; a name with `__` is one in an object."""
    return lambda c: [c.set(name.replace("__", "."), value) for name, value in values.items()]


def tensors(*names, **how):
    return lambda c: [c.add(name, **how) for name in names]


def options(*more):
    return lambda c: c.options.extend(more)


def text(change):
    """The text of config.json, changed."""
    def edit(c):
        c.config = change(json.dumps(c.config))
    return edit


def fp8(c):
    """Matrices as bytes, in blocks of 128 x 128 that share a scale, like public fp8 checkpoints."""
    for name in [n for n in c.tensors if n.endswith("_proj.weight")]:
        value = c.tensors[name]
        codes = np.arange(256)
        exponent, mantissa = codes >> 3 & 15, codes & 7
        table = np.where(exponent == 0, mantissa / 8 * 2.0 ** -6, (1 + mantissa / 8) * 2.0 ** (exponent - 7.0)) * np.where(codes < 128, 1, -1)
        table[[127, 255]] = np.inf
        scale = np.abs(value).max() / 448
        c.tensors[name] = np.abs(value[..., None] / scale - table).argmin(-1).astype(np.uint8)
        c.dtypes[name] = "F8_E4M3"
        c.tensors[f"{name}_scale_inv"] = np.full((1, 1), scale, np.float32)


QUANTISED = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128], "activation_scheme": "dynamic"}
Q, K = "model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.k_proj"
BIASES = [f"model.layers.{i}.self_attn.{p}_proj.bias" for i in range(3) for p in "qkv"]


def head(scale=1.0, row=0):
    def edit(c):
        c.tensors["lm_head.weight"] = c.tensors["model.embed_tokens.weight"].copy()
        c.tensors["lm_head.weight"][row] *= scale
    return edit


def broken_neighbours(c):
    """Files without fields of the mathematics."""
    for name in ("generation_config.json", "tokenizer_config.json", "tokenizer.json", "preprocessor_config.json"):
        (c.place / name).write_text("{ this is not JSON")


# name: (fixture, changes, words of the message; none: it runs)
CASES = {
    "fp8 with its configuration": ("qwen3", [fp8, fields(quantization_config=QUANTISED)],
                                   ['quantization_config is {"activation_scheme":"dynamic"', "the launcher was compiled for none"]),
    "fp8 without": ("qwen3", [fp8], [f"{Q}.weight_scale_inv is a scale", "13 more scales"]),
    "fp8, unverified": ("qwen3", [fp8, options("--unverified=*")], [f"{Q}.weight_scale_inv is a scale"]),
    "scales beside a tensor": ("qwen3", [tensors(f"{Q}.weight_scale", f"{Q}.input_scale", f"{K}.qzeros", f"{K}.weight.absmax", f"{K}.SCB"),
                                         options("--unverified=*")],
                               [f"{Q}.weight_scale is a scale", f"{Q}.input_scale is", f"{K}.qzeros is", f"{K}.weight.absmax is", f"{K}.SCB is"]),
    "anything beside fp8": ("qwen3", [fp8, lambda c: [c.tensors.pop(n) for n in list(c.tensors) if n.endswith("scale_inv")],
                                      tensors(f"{Q}.bias"), options("--unverified=*")], [f"{Q}.bias is a scale"]),
    "rotary in halves": ("deepseek", [fields(rope_interleave=False)], ["rope_interleave is false, the launcher was compiled for true"]),
    "rotary that says nothing": ("deepseek", [fields(rope_interleave=REMOVED)], []),
    "another choice of experts": ("deepseek", [fields(topk_method="greedy")], ['topk_method is "greedy", the launcher was compiled for "noaux_tc"']),
    "half a factor": ("deepseek", [fields(rope_parameters__mscale=REMOVED)], ["mscale is missing", "unverified"]),
    "heads by another name": ("deepseek", [fields(num_attention_heads=REMOVED)], ["num_attention_heads is missing"]),
    "an unknown field": ("qwen3", [fields(attention_sinks=4)], ["attention_sinks is 4, and Tiny does not say what that means"]),
    "an unknown field, unverified": ("qwen3", [fields(attention_sinks=4), options("--unverified=attention_sinks")], []),
    "an unknown field, misspelt": ("qwen3", [options("--unverified=attention_sink")], ["--unverified=attention_sink: no missing or unknown field"]),
    "an unknown field that is null": ("qwen3", [fields(attention_sinks=None)], []),
    "many unknown fields": ("qwen3", [fields(**{f"field{i}": i for i in range(20)})], ["field7 is 7", "12 more fields"]),
    "a part of a head": ("qwen3", [fields(rope_parameters__partial_rotary_factor=0.5)], ["rope_parameters.partial_rotary_factor is 0.5"]),
    "sections of a head": ("qwen3", [fields(rope_parameters__mrope_section=[1, 1, 1])], ["rope_parameters.mrope_section is [1,1,1]"]),
    "in the other branch": ("qwen3", [fields(rope_parameters__factor=8.0)], ["rope_parameters.factor is 8.0"]),
    "in the branch that is not": ("llama", [fields(rope_scaling={"rope_type": "llama3", "factor": 4.0, "beta_fast": 1})],
                                  ["rope_scaling.beta_fast is 1"]),
    "a dot in a key": ("qwen3", [fields(), lambda c: c.config.update({"rope_parameters.rope_theta": 1e4})], ["rope_parameters.rope_theta is"]),
    "a word for an object": ("qwen3", [fields(rope_parameters="default", rope_theta=1e4)], ['rope_parameters is "default"']),
    "another kind of layer": ("qwen3", [fields(layer_types=["full_attention", "sliding_attention", "full_attention"])], ["layer_types is ["]),
    "null for a constant": ("gemma3", [fields(sliding_window=None)], ["sliding_window is null, the launcher was compiled for 9"]),
    "null for what follows": ("gemma3", [fields(layer_types=None, sliding_window_pattern=3)], []),
    "yarn by default": ("gpt_oss", [fields(rope_parameters=REMOVED, rope_theta=1e4)], ["rope_scaling.factor is missing"]),
    "0 for false": ("qwen3", [fields(attention_bias=0)], ["attention_bias is 0, the launcher was compiled for false"]),
    "true for 1": ("llama", [fields(pretraining_tp=True)], ["pretraining_tp is true, the launcher was compiled for 1"]),
    "a string for a number": ("qwen3", [fields(num_hidden_layers="3")], ['num_hidden_layers is "3", the launcher was compiled for 3']),
    "a list for a number": ("qwen3", [fields(num_hidden_layers=[3])], ["num_hidden_layers is [3]"]),
    "3.0 for 3": ("qwen3", [fields(num_hidden_layers=3.0)], []),
    "a name twice": ("qwen3", [text(lambda t: t[:-1] + ', "rms_norm_eps": 1e-06}')], ["duplicate object key"]),
    "a name twice in an object": ("qwen3", [text(lambda t: t.replace('"rope_type"', '"rope_type": "yarn", "rope_type"'))], ["duplicate object key"]),
    "a quantiser's older name": ("qwen3", [fields(compression_config={"bits": 8})], ['compression_config is {"bits":8}']),
    "biases that nothing reads": ("qwen3", [tensors(*BIASES)], ["9 tensors that nothing in Tiny reads", BIASES[0], "and 1 more"]),
    "biases, unverified": ("qwen3", [tensors(*BIASES), options("--unverified=*.bias")], []),
    "biases, some unverified": ("qwen3", [tensors(*BIASES), options("--unverified=*.q_proj.bias")], ["6 tensors that nothing"]),
    "one tensor too many": ("llama", [tensors("model.layers.4.mlp.up_proj.weight")], ["1 tensor that nothing in Tiny reads: model.layers.4.mlp"]),
    "constants of rotary embeddings": ("llama", [tensors(*[f"model.layers.{i}.self_attn.rotary_emb.inv_freq" for i in range(4)])], []),
    "a layer that predicts": ("deepseek", [tensors("model.layers.4.enorm.weight", "model.layers.4.mlp.experts.0.up_proj.weight")], []),
    "the layer after it": ("deepseek", [tensors("model.layers.5.enorm.weight", "model.layers.40.enorm.weight")], ["2 tensors that nothing in Tiny reads"]),
    "a tied head, stored": ("llama", [head()], []),
    "a head of its own": ("llama", [head(1.001, row=200)], ["lm_head.weight differs from model.embed_tokens.weight"]),
    "a head of its own in gemma3": ("gemma3", [head(1.001)], ["lm_head.weight differs from model.embed_tokens.weight"]),
    "a head of its own, unverified": ("llama", [head(1.001), options("--unverified=*")],
                                      ["lm_head.weight differs from model.embed_tokens.weight"]),
    "a head of another size": ("llama", [tensors("lm_head.weight", shape=(250, 32))], ["lm_head.weight differs"]),
    "a head of another format": ("llama", [tensors("lm_head.weight", shape=(256, 32), dtype="F8_E4M3")], ["lm_head.weight differs"]),
    "a head where it is read": ("qwen3", [fields(tie_word_embeddings=True)], ["tie_word_embeddings is true"]),
    "files that nothing reads": ("qwen3", [broken_neighbours], []),
}


def check(launchers, folder, name):
    model, changes, words = CASES[name]
    if model not in launchers:
        launchers[model] = compile_spec(spec(model, 1), folder, f"{model}_run")
    checkpoint = Checkpoint(folder, model)
    for change in changes:
        change(checkpoint)
    done = checkpoint.run(launchers[model])
    if words and done.returncode != 1:
        raise Failed(f"exit status {done.returncode}: {done.stdout[:100]}")
    for word in words:
        if word not in done.stderr:
            raise Failed(f"`{word}` is not in: {done.stderr[:300]}")
    expected = Expected(model)
    tokens = ",".join(map(str, expected.tokens[0][:STEPS]))
    if not words and f"-> {tokens}\n" not in done.stdout:
        raise Failed(f"exit status {done.returncode}, not {tokens}: {(done.stderr + done.stdout)[:300]}")


def main():
    need_deployc()
    report, launchers = Report(), {}
    with Folder() as folder:
        for name in CASES:
            if not sys.argv[1:] or any(word in name for word in sys.argv[1:]):
                report.check(name, lambda: check(launchers, folder, name))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
