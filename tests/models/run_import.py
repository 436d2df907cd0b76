#!/usr/bin/env python3
"""`deployc import`: the models of the fixtures run with their checkpoints and say what transformers says, the models of
published config.json files have the right number of parameters, and what cannot be imported is refused by name.

    run_import.py [WORD ...]        only the cases whose name contains a word
    run_import.py --transformers    ABSENT below against the configurations that Hugging Face transformers makes
"""
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from count import count                                                                         # noqa: E402
from harness import DEPLOYC, FIXTURES, Expected, Failed, Folder, Report, compile_spec, need_deployc, run_launcher  # noqa: E402

# What transformers takes for a name that a config.json lacks (--transformers asks it); None: hidden_size / heads.
COMMON = {"tie_word_embeddings": False, "hidden_act": "silu", "rope_theta": 10000.0}
ABSENT = {
    "llama": {**COMMON, "head_dim": None, "rms_norm_eps": 1e-6, "attention_bias": False, "mlp_bias": False},
    "mixtral": {**COMMON, "head_dim": None, "rms_norm_eps": 1e-5, "rope_theta": 1e6},
    "qwen3": {**COMMON, "head_dim": 128, "rms_norm_eps": 1e-6, "attention_bias": False, "use_sliding_window": False},
    "qwen3_moe": {**COMMON, "head_dim": None, "norm_topk_prob": False, "decoder_sparse_step": 1, "mlp_only_layers": [], "rms_norm_eps": 1e-6,
                  "attention_bias": False, "use_sliding_window": False},
    "olmoe": {**COMMON, "norm_topk_prob": False, "rms_norm_eps": 1e-5, "attention_bias": False},
    "gemma3": {"head_dim": 256, "rms_norm_eps": 1e-6, "query_pre_attn_scalar": 256, "sliding_window": 4096, "attention_bias": False,
               "hidden_activation": "gelu_pytorch_tanh", "tie_word_embeddings": True, "use_bidirectional_attention": False},
    "gpt_oss": {**COMMON, "head_dim": 64, "swiglu_alpha": 1.702, "swiglu_limit": 7.0, "sliding_window": 128, "rms_norm_eps": 1e-5,
                "rope_theta": 150000.0, "attention_bias": True},
    "deepseek": {**COMMON, "norm_topk_prob": True, "rms_norm_eps": 1e-6, "attention_bias": False},
}
PUBLISHED = json.loads((HERE / "published.json").read_text())
SPEC = """use "{file}" as found
use std.clusters {{ CPUHost }}
use std.plans {{ Megatron }}
use std.workload {{ Inference }}

deploy Test {{
  model    = found.{name}
  cluster  = CPUHost {{ ranks = 2; device.memory = 2 TiB }}
  plan     = Megatron {{ tp = 2 }}
  workload = Inference {{ batch = 8; seq = 1..64; output = 64; chunk = 64; page = 16 }}
  assert params == {params} param
}}
"""


def run_import(config, folder, name):
    """(exit code, text of the model or None, stderr)"""
    place, out = folder / name, folder / f"{name}.deploy"
    place.mkdir(exist_ok=True)
    out.unlink(missing_ok=True)
    (place / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    done = subprocess.run([DEPLOYC, "import", place, "-o", out], capture_output=True, text=True, timeout=20)
    return done.returncode, out.read_text() if out.exists() else None, done.stderr


def imported(config, folder, name):
    code, text, said = run_import(config, folder, name)
    if code or text is None:
        raise Failed(f"exit code {code}: {said.strip()[:200]}")
    return text, said


def spec_of(config, name):
    return SPEC.format(file=f"{name}.deploy", name=name, params=count(config))


def config_of(model):
    return json.loads((FIXTURES / model / "config.json").read_text())


def as_older_file(config):
    """The same config.json as transformers 4 wrote it: rope_theta outside, rope_scaling or null. Where layers are of two kinds,
    the second theta and the pattern of kinds were names of their own, and what goes without saying was not said."""
    rope = dict(config["rope_parameters"])
    kept = {k: v for k, v in config.items() if k != "rope_parameters"}
    if "sliding_attention" in rope:
        newer = ("_sliding_window_pattern", "layer_types", "tie_word_embeddings", "use_bidirectional_attention")
        kept = {k: v for k, v in kept.items() if k not in newer}
        kept["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = dict(rope["full_attention"])
    theta, scaled = rope.pop("rope_theta"), rope["rope_type"] != "default"
    if rope["rope_type"] == "yarn" and config["model_type"] == "deepseek_v3":
        rope["type"] = rope.pop("rope_type")
    return {**kept, "rope_theta": theta, "rope_scaling": rope if scaled else None}


def run_fixture(model, config, folder):
    """The imported model with the checkpoint that it was imported from: the same tokens as transformers."""
    expected, name = Expected(model), model + "_found"
    imported(config, folder, name)
    for file in FIXTURES.glob(f"{model}/*.safetensors*"):
        link = folder / name / file.name
        link.exists() or link.symlink_to(file)
    launcher = compile_spec(spec_of(config, name), folder, f"{model}_run")
    run, _ = run_launcher(launcher, folder / name, expected.prompts, expected.logits.shape[1], folder)
    for prompt, tokens in zip(expected.prompts, expected.tokens):
        if run.of(prompt) != [tokens.tolist()]:
            raise Failed(f"{prompt} continues {run.of(prompt)}, transformers says {tokens.tolist()}")


def run_published(name, folder):
    config = PUBLISHED[name]
    text, said = imported(config, folder, name)
    for field in ("initializer_range", "use_cache"):
        if f"//   {field} = " not in text or f"not expressed: {field} = " not in said:
            raise Failed(f"{field} is not listed as left")
    if "Not in config.json" in text:
        raise Failed("a published file is said to lack something that it means")
    (folder / "check.deploy").write_text(spec_of(config, name))
    done = subprocess.run([DEPLOYC, "check", folder / "check.deploy"], capture_output=True, text=True, timeout=20)
    if done.returncode:
        raise Failed(done.stderr.strip()[:300])


def meant(config, model, name):
    value = ABSENT[model][name]
    return config["hidden_size"] // config["num_attention_heads"] if value is None else value


def run_absent(model, name, folder):
    """A file without a name runs if what it then means is what the launcher was compiled for, and is refused if not."""
    config, found = config_of(model), model + "_absent"
    launcher = folder / f"{model}_absent_run"
    if not launcher.exists():
        imported(config, folder, found)
        compile_spec(spec_of(config, found), folder, launcher.name)
        for file in FIXTURES.glob(f"{model}/*.safetensors*"):
            (folder / found / file.name).symlink_to(file)
    value = config.pop(name, ABSENT[model][name])
    if name == "rope_theta":
        value = config["rope_parameters"].pop(name)
    (folder / found / "config.json").write_text(json.dumps(config))
    done = subprocess.run([launcher, "run", "--weights", folder / found, "--ids", "1,2", "--max-tokens", "1"], capture_output=True, text=True,
                          timeout=60)
    same = value == meant(config, model, name)
    if same and done.returncode:
        raise Failed(f"refused, though its absence means {value}: {done.stderr.strip()[:200]}")
    if not same and (done.returncode == 0 or f"{name} is not there, which means" not in done.stderr):
        raise Failed(f"runs, though its absence does not mean {value}" if done.returncode == 0 else done.stderr.strip()[:200])
    text, _ = imported(config, folder, f"{model}_lacks")
    if "Not in config.json" in text:
        raise Failed("the imported model says that the file lacks something that it means")


def ask_transformers(model, name):
    from transformers import AutoConfig
    config = {k: v for k, v in config_of(model).items() if k != name}
    rope = {k: v for k, v in config["rope_parameters"].items() if k != name}
    made = AutoConfig.for_model(**{**config, "rope_parameters": rope} if rope.get("rope_type") != "default" else
                                {k: v for k, v in config.items() if name != "rope_theta" or k != "rope_parameters"})
    value = made.rope_parameters["rope_theta"] if name == "rope_theta" else getattr(made, name, None)
    if name == "head_dim" and value is None:                # what its attention then computes
        value = made.hidden_size // made.num_attention_heads
    if value != meant(config, model, name):
        raise Failed(f"{meant(config, model, name)} here, {value} in transformers")


def changed(name, **values):
    return {**{k: v for k, v in PUBLISHED[name].items() if values.get(k) is not ...}, **{k: v for k, v in values.items() if v is not ...}}


REFUSED = {
    "another activation": (changed("Qwen3_8B", hidden_act="gelu"), 'hidden_act is "gelu", and Qwen3 has "silu"'),
    "another scaling": (changed("Llama_3_1_8B", rope_scaling={"rope_type": "yarn", "factor": 4.0}), "rope_scaling"),
    "heads of no group": (changed("Llama_3_1_8B", num_attention_heads=30, head_dim=128), "num_attention_heads is 30"),
    "dense layers between": (changed("Qwen3_30B_A3B", mlp_only_layers=[1]), "mlp_only_layers is [1], and Qwen3MoE has []"),
    "a window": (changed("Mixtral_8x7B", sliding_window=4096), "sliding_window is 4096"),
    "other kinds of layers": (changed("Gemma3_270M", layer_types=["full_attention"] * 18), "layer_types is [\"full_attention\""),
    "experts in mxfp4": (changed("GPT_OSS_20B", quantization_config={"quant_method": "mxfp4"}),
                         'quantization_config is {"quant_method":"mxfp4"}, and GPT_OSS has none'),
    "all layers in a window": (changed("GPT_OSS_20B", layer_types=["sliding_attention"] * 24), "layer_types is [\"sliding_attention\""),
    "a head of its own": (changed("Gemma3_1B", tie_word_embeddings=False), "tie_word_embeddings is false, and Gemma3 has true"),
    "more chosen than there are": (changed("Mixtral_8x7B", num_experts_per_tok=9), "top_k picks among the experts"),
    "another family": (changed("Llama_3_1_8B", model_type="gpt2"), "no family of the library has model_type `gpt2`; there are"),
    "no family": (changed("Llama_3_1_8B", model_type=...), "has no model_type"),
    "numbers that JSON lacks": (changed("Llama_3_1_8B", rope_theta=float("inf"), hidden_act=float("nan"), rms_norm_eps=float("-inf")),
                                "rms_norm_eps is -Infinity, and Llama has"),
    "Infinity in a file of no family": ('{"model_type": "nemotron_h", "time_step_limit": [0.0, Infinity]}', "model_type `nemotron_h`"),
    "no JSON": ("{\n  3\n}", "config.json:2:"),
    "a list": ("[]", "is no JSON object"),
    "more heads than numbers": (changed("Llama_3_1_8B", num_attention_heads=1e300, head_dim=128), "num_attention_heads is 1"),
    "no heads": (changed("Llama_3_1_8B", num_key_value_heads=0, head_dim=128), "kv_heads"),
    "a word for a number": (changed("Llama_3_1_8B", hidden_size="wide"), "d_model"),
}


def run_refused(case, folder):
    config, word = REFUSED[case]
    code, text, said = run_import(config, folder, "Refused")
    if code != 1 or text is not None or word not in said:
        raise Failed(f"exit code {code}, {'wrote a model' if text else 'wrote nothing'}: {said.strip()[:200]}")


def run_kept(folder):
    """A name that no entry has is listed with its value, below the object it is in; null is not."""
    text, _ = imported(changed("Qwen3_8B", new_thing={"a": [1, 2], "b": None}, mystery="x"), folder, "Kept")
    if "//   new_thing.a = [1,2]\n" not in text or '//   mystery = "x"\n' not in text or "new_thing.b" in text:
        raise Failed("new names are not listed")


def main():
    report = Report()
    if "--transformers" in sys.argv[1:]:
        for model, name in ((m, n) for m in ABSENT for n in ABSENT[m]):
            report.check(f"{model} without {name}", lambda: ask_transformers(model, name))
        return report.end()
    need_deployc()
    with Folder() as folder:
        fixtures = sorted(f.parent.name for f in FIXTURES.glob("*/config.json"))
        cases = [(f"fixture {m}", lambda m=m: run_fixture(m, config_of(m), folder)) for m in fixtures]
        cases += [(f"older {m}", lambda m=m: run_fixture(m, as_older_file(config_of(m)), folder)) for m in fixtures]
        cases += [(f"absent {m} {n}", lambda m=m, n=n: run_absent(m, n, folder)) for m in ABSENT for n in ABSENT[m]]
        cases += [(f"published {m}", lambda m=m: run_published(m, folder)) for m in PUBLISHED]
        cases += [(f"refused: {c}", lambda c=c: run_refused(c, folder)) for c in REFUSED]
        cases += [("what is left is listed", lambda: run_kept(folder))]
        for name, case in cases:
            if not sys.argv[1:] or any(word in name for word in sys.argv[1:]):
                report.check(name, case)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
