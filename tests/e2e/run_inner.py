#!/usr/bin/env python3
"""The language model in the checkpoint of a larger one: under each form of names, the launcher gives the tokens of transformers and
leaves the rest alone; what it must not pass over is refused by name.

    run_inner.py [WORD ...]    only the tests whose name contains a word
"""
import json
import subprocess
import sys

import numpy as np

from harness import (FIXTURES, Expected, Failed, Folder, Report, compile_spec, first_line, need_deployc, read_safetensors, run_launcher,
                     spec, write_safetensors)

MODEL = "gemma3"                # its head is tied: a file may have a copy of it
INNER = {k: v for k, v in json.loads((FIXTURES / MODEL / "config.json").read_text()).items() if k not in ("dtype", "architectures")}
OUTER = {"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"], "dtype": "float32", "image_token_index": 7,
         "text_config": INNER, "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 8}}
IMAGES = {"vision_tower.layers.0.q_proj.weight": np.ones((4, 4), np.float32), "multi_modal_projector.linear.weight": np.ones((4, 4), np.float32)}
# Names of the language model's tensors, and of tensors beside it.
FORMS = {
    "in front": (lambda name: "language_model." + name, IMAGES),
    "after the first part": (lambda name: name.replace("model.", "model.language_model.", 1), {"model." + n: t for n, t in IMAGES.items()}),
    "as they are": (lambda name: name, IMAGES),
    "of a longer prefix": (lambda name: "thinker.text." + name, {"thinker." + n: t for n, t in IMAGES.items()}),
}


def write(folder, name, config, tensors):
    place = folder / name
    place.mkdir(exist_ok=True)
    (place / "config.json").write_text(json.dumps(config))
    write_safetensors(place / "model.safetensors", tensors)
    return place


def tensors_as(form, **more):
    rename, beside = FORMS[form]
    own = read_safetensors(FIXTURES / MODEL / "model.safetensors")
    return {**{rename(name): tensor for name, tensor in own.items()}, **beside, **more}


def run_form(folder, launcher, form):
    expected = Expected(MODEL)
    place = write(folder, "form", OUTER, tensors_as(form))
    run, _ = run_launcher(launcher, place, expected.prompts, expected.logits.shape[1], folder)
    for prompt, tokens in zip(expected.prompts, expected.tokens):
        if run.of(prompt) != [tokens.tolist()]:
            raise Failed(f"{prompt} continues {run.of(prompt)}, transformers says {tokens.tolist()}")


def run_base(folder):
    """GPT-2 as it was published: the base model's names, and masks. transformers writes a prefix, and no masks."""
    expected, launcher = Expected("gpt2"), compile_spec(spec("gpt2", 2, "Megatron { tp = 2 }"), folder, "base")
    tensors = {n.removeprefix("transformer."): t for n, t in read_safetensors(FIXTURES / "gpt2" / "model.safetensors").items()}
    masks = {f"h.{layer}.attn.bias": np.tril(np.ones((1, 1, 8, 8), np.float32)) for layer in range(2)}
    place = write(folder, "published", json.loads((FIXTURES / "gpt2" / "config.json").read_text()), {**tensors, **masks})
    run, _ = run_launcher(launcher, place, expected.prompts, expected.logits.shape[1], folder)
    if any(run.of(p) != [t.tolist()] for p, t in zip(expected.prompts, expected.tokens)):
        raise Failed("other tokens than those of transformers")


def start(folder, launcher, config, tensors):
    place = write(folder, "other", config, tensors)
    done = subprocess.run([launcher, "run", "--weights", place, "--ids", "1,2", "--max-tokens", "1"], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def refuse(folder, launcher, config, tensors, word):
    code, said = start(folder, launcher, config, tensors)
    if code == 0 or word not in said:
        raise Failed(f"exit code {code}: {said.strip()[:300]}")


def run_equal_copy(folder, launcher):
    """A copy of the tied head beside the language model is compared, and may be there."""
    table = read_safetensors(FIXTURES / MODEL / "model.safetensors")["model.embed_tokens.weight"]
    code, said = start(folder, launcher, OUTER, tensors_as("after the first part", **{"lm_head.weight": table}))
    if code:
        raise Failed(first_line(said))


def refusals():
    table = read_safetensors(FIXTURES / MODEL / "model.safetensors")["model.embed_tokens.weight"]
    odd = np.ones((4, 4), np.float32)
    front = tensors_as("in front")
    second = {"draft." + n: t for n, t in front.items()}
    lacks = {n: t for n, t in front.items() if "layers.1.mlp.up_proj" not in n}
    two = {**OUTER, "talker_config": INNER}
    return {
        "a head that differs, in front": (OUTER, {**front, "language_model.lm_head.weight": table + 1}, "lm_head.weight differs"),
        "a head that differs, beside": (OUTER, tensors_as("after the first part", **{"lm_head.weight": table + 1}), "lm_head.weight differs"),
        "a tensor of the language model": (OUTER, {**front, "language_model.model.layers.0.mlp.extra.weight": odd}, "layers.0.mlp.extra.weight"),
        "a scale": (OUTER, {**front, "language_model.model.layers.0.mlp.up_proj.weight_scale": odd}, "is a scale"),
        "a tensor that is missing": (OUTER, lacks, "no tensor model.layers.1.mlp.up_proj.weight"),
        "names of neither form": (OUTER, {n.replace("model.norm", "norm").replace("embed_tokens", "wte"): t for n, t in front.items()}, "no tensor"),
        "two of them": (OUTER, {**front, **second}, "2 tensors could be model.embed_tokens.weight"),
        "a tensor without the prefix": (OUTER, {(n[len("language_model."):] if ".layers.2.mlp" in n else n): t for n, t in front.items()},
                                        "lacks the prefix of language_model.model.embed_tokens.weight"),
        "a prefix of one tensor": ({**INNER, "dtype": "float32", "architectures": ["Gemma3ForCausalLM"]},
                                   {("ema." + n if "embed" in n else n): t for n, t in tensors_as("as they are").items() if n not in IMAGES},
                                   "lacks the prefix of ema.model.embed_tokens.weight"),
        "two descriptions": (two, front, 'model_type is "gemma3"'),
        "another size": ({**OUTER, "text_config": {**INNER, "hidden_size": 48}}, front, "hidden_size is 48"),
        "a field of the language model": ({**OUTER, "text_config": {**INNER, "surprise": 1}}, front, "surprise is 1"),
        "a head of its own": ({**OUTER, "tie_word_embeddings": False}, front, "tie_word_embeddings is false"),
        "weights that are quantised": ({**OUTER, "quantization_config": {"quant_method": "fp8"}}, front, "quantization_config is {"),
        "another model": ({**OUTER, "text_config": {**INNER, "model_type": "qwen3"}}, front, 'model_type is "gemma3"'),
    }


def main():
    need_deployc()
    report = Report()
    with Folder() as folder:
        launcher = compile_spec(spec(MODEL, 2, "Megatron { tp = 2 }"), folder, "inner")
        tests = {f"names {form}": lambda form=form: run_form(folder, launcher, form) for form in FORMS}
        tests["names of a base model"] = lambda: run_base(folder)
        tests["a copy of the head"] = lambda: run_equal_copy(folder, launcher)
        for name, (config, tensors, word) in refusals().items():
            tests[f"refused: {name}"] = lambda c=config, t=tensors, w=word: refuse(folder, launcher, c, t, w)
        report.check_all(tests, sys.argv[1:])
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
