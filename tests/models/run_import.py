#!/usr/bin/env python3
"""`deployc import`: imported models of the fixtures run with their checkpoints and give the tokens of transformers; models of
published config.json files have the right number of parameters; files that cannot be imported are rejected by name.

    run_import.py [WORD ...]        only the cases whose name contains a word
    run_import.py --transformers    ABSENT below against the configurations that Hugging Face transformers makes
"""
import json
import pathlib
import re
import subprocess
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from count import count, language_model                                                                         # noqa: E402
from harness import (DEPLOYC, FIXTURES, Expected, Failed, Folder, Report, compile_spec, need_deployc, read_safetensors, run_launcher,    # noqa: E402
                     write_safetensors)

# What transformers takes for a name that a config.json lacks (--transformers asks it); None: hidden_size / heads; "heads": as many.
COMMON = {"tie_word_embeddings": False, "hidden_act": "silu", "rope_theta": 10000.0}
ABSENT = {
    "llama": {**COMMON, "head_dim": None, "num_key_value_heads": "heads", "rms_norm_eps": 1e-6, "attention_bias": False, "mlp_bias": False},
    "mixtral": {**COMMON, "head_dim": None, "rms_norm_eps": 1e-5, "rope_theta": 1e6},
    "qwen3": {**COMMON, "head_dim": 128, "rms_norm_eps": 1e-6, "attention_bias": False, "use_sliding_window": False},
    "qwen3_moe": {**COMMON, "head_dim": None, "norm_topk_prob": False, "decoder_sparse_step": 1, "mlp_only_layers": [], "rms_norm_eps": 1e-6,
                  "attention_bias": False, "use_sliding_window": False},
    "olmoe": {**COMMON, "num_key_value_heads": "heads", "norm_topk_prob": False, "rms_norm_eps": 1e-5, "attention_bias": False},
    "qwen2": {**COMMON, "head_dim": None, "rms_norm_eps": 1e-6, "use_sliding_window": False},
    "mistral": {**COMMON, "head_dim": None, "rms_norm_eps": 1e-6, "sliding_window": 4096},
    "phi3": {**COMMON, "num_key_value_heads": "heads", "rms_norm_eps": 1e-5},
    "granite": {**COMMON, "num_key_value_heads": "heads", "rms_norm_eps": 1e-6, "embedding_multiplier": 1.0, "residual_multiplier": 1.0,
                "attention_multiplier": 1.0, "logits_scaling": 1.0, "attention_bias": False, "mlp_bias": False},
    "granitemoe": {**COMMON, "num_key_value_heads": "heads", "num_experts_per_tok": 2, "num_local_experts": 8, "rms_norm_eps": 1e-6,
                   "embedding_multiplier": 1.0, "residual_multiplier": 1.0, "attention_multiplier": 1.0, "logits_scaling": 1.0,
                   "attention_bias": False},
    "olmo2": {**COMMON, "num_key_value_heads": "heads", "rms_norm_eps": 1e-5, "attention_bias": False},
    "glm4": {**COMMON, "num_key_value_heads": 2, "rms_norm_eps": 1.5625e-7, "attention_bias": True},
    "glm4_moe": {**COMMON, "num_key_value_heads": 8, "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "routed_scaling_factor": 1.0,
                 "norm_topk_prob": True, "first_k_dense_replace": 1, "use_qk_norm": False, "rms_norm_eps": 1e-5},
    "qwen2_moe": {**COMMON, "num_experts": 60, "num_experts_per_tok": 4, "moe_intermediate_size": 1408,
                  "shared_expert_intermediate_size": 5632, "norm_topk_prob": False, "decoder_sparse_step": 1, "mlp_only_layers": [],
                  "rms_norm_eps": 1e-6, "qkv_bias": True, "use_sliding_window": False},
    "minimax_m2": {**COMMON, "rope_theta": 5e6, "head_dim": 128, "num_key_value_heads": 8, "rms_norm_eps": 1e-6},
    "ernie4_5": {**COMMON, "tie_word_embeddings": True, "rope_theta": 5e5, "head_dim": 128, "num_key_value_heads": 2,
                 "rms_norm_eps": 1e-5, "use_bias": False},
    "ernie4_5_moe": {**COMMON, "tie_word_embeddings": True, "rope_theta": 5e5, "num_key_value_heads": 4, "moe_num_experts": 64,
                     "moe_k": 6, "moe_num_shared_experts": 2, "moe_intermediate_size": 1536, "moe_layer_start_index": 1,
                     "moe_layer_interval": 1, "rms_norm_eps": 1e-5, "use_bias": False},
    "deepseek_v2": {**COMMON, "num_key_value_heads": 8, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
                    "v_head_dim": 128, "moe_intermediate_size": 1407, "n_routed_experts": 64, "n_shared_experts": 2,
                    "routed_scaling_factor": 1.0, "topk_method": "greedy", "norm_topk_prob": False, "first_k_dense_replace": 0,
                    "rms_norm_eps": 1e-6, "attention_bias": False, "mlp_bias": False},
    "gemma3": {"head_dim": 256, "rms_norm_eps": 1e-6, "query_pre_attn_scalar": 256, "sliding_window": 4096, "attention_bias": False,
               "hidden_activation": "gelu_pytorch_tanh", "tie_word_embeddings": True, "use_bidirectional_attention": False},
    "gemma2": {"head_dim": 256, "rms_norm_eps": 1e-6, "query_pre_attn_scalar": 256, "sliding_window": 4096,
               "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "rope_theta": 10000.0, "attention_bias": False,
               "hidden_activation": "gelu_pytorch_tanh", "tie_word_embeddings": True},
    "llama4": {**COMMON, "head_dim": 128, "intermediate_size": 8192, "intermediate_size_mlp": 16384,
               "num_local_experts": 16, "num_experts_per_tok": 1, "attention_chunk_size": 8192,
               "use_qk_norm": True, "attn_temperature_tuning": True, "floor_scale": 8192, "attn_scale": 0.1, "rms_norm_eps": 1e-5,
               "rope_theta": 500000.0, "attention_bias": False},
    "gpt2": {"layer_norm_epsilon": 1e-5, "activation_function": "gelu_new", "scale_attn_weights": True,
             "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False, "tie_word_embeddings": True},
    "gpt_oss": {**COMMON, "head_dim": 64, "swiglu_alpha": 1.702, "swiglu_limit": 7.0, "sliding_window": 128, "rms_norm_eps": 1e-5,
                "rope_theta": 150000.0, "attention_bias": True},
    "deepseek": {**COMMON, "norm_topk_prob": True, "rms_norm_eps": 1e-6, "attention_bias": False},
}
PUBLISHED = json.loads((HERE / "published.json").read_text())
# Published config.json files, which lie beside the repository where they are there, and what is expected of each: the parameters that the
# index of its weights counts (a tied head once, without layers that predict further tokens), or a word of the refusal.
CONFIGS = HERE.parents[2] / "shared" / "configs"
CHECKPOINTS = json.loads((HERE / "checkpoints.json").read_text())
SPEC = """use "{file}" as found
use std.clusters {{ CPUHost }}
use std.plans {{ Megatron }}
use std.workload {{ Inference }}

deploy Test {{
  model    = found.{name}
  cluster  = CPUHost {{ ranks = 2; device {{ memory = 2 TiB; peak {{ f16 = 1 TFLOPS }} }} }}
  plan     = Megatron {{ tp = 2 }}
  workload = Inference {{ batch = 8; seq = 1..64; output = 64; chunk = 64; page = 16 }}
  assert params == {params} param
}}
"""


def run_import(config, folder, name, *options):
    """(exit code, text of the model or None, stderr)"""
    place, out = folder / name, folder / f"{name}.deploy"
    place.mkdir(exist_ok=True)
    out.unlink(missing_ok=True)
    (place / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    done = subprocess.run([DEPLOYC, "import", *options, place, "-o", out], capture_output=True, text=True, timeout=60)
    return done.returncode, out.read_text() if out.exists() else None, done.stderr


def imported(config, folder, name, *options):
    code, text, said = run_import(config, folder, name, *options)
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
    if "rope_parameters" not in config and "text_config" not in config:
        return {**config, "n_ctx": config["n_positions"]}
    if "text_config" in config:
        return {**config, "text_config": as_older_file(config["text_config"])}
    rope = dict(config["rope_parameters"])
    kept = {k: v for k, v in config.items() if k != "rope_parameters"}
    if "sliding_attention" in rope:
        newer = ("_sliding_window_pattern", "layer_types", "tie_word_embeddings", "use_bidirectional_attention")
        kept = {k: v for k, v in kept.items() if k not in newer}
        kept["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = dict(rope["full_attention"])
    theta, scaled = rope.pop("rope_theta"), rope["rope_type"] != "default"
    if "partial_rotary_factor" in rope:
        kept["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    if rope["rope_type"] == "yarn" and config["model_type"] in ("deepseek_v2", "deepseek_v3", "qwen2"):
        rope["type"] = rope.pop("rope_type")
    return {**kept, "rope_theta": theta, "rope_scaling": rope if scaled else None}


# What a deployment chooses: a context that takes the short factors.
RUN_WITH = {"phi3_short": "max_ctx = 128"}


def run_fixture(model, config, folder):
    """The imported model with the checkpoint that it was imported from: the same tokens as transformers."""
    expected, name = Expected(model), model + "_found"
    imported(config, folder, name)
    for file in FIXTURES.glob(f"{model}/*.safetensors*"):
        link = folder / name / file.name
        link.exists() or link.symlink_to(file)
    spec = spec_of(config, name).replace(f"found.{name}\n", f"found.{name} {{ {RUN_WITH.get(model, '')} }}\n")
    launcher = compile_spec(spec, folder, f"{model}_run")
    run, _ = run_launcher(launcher, folder / name, expected.prompts, expected.logits.shape[1], folder)
    for prompt, tokens in zip(expected.prompts, expected.tokens):
        if run.of(prompt) != [tokens.tolist()]:
            raise Failed(f"{prompt} continues {run.of(prompt)}, transformers says {tokens.tolist()}")


def run_published(name, folder):
    """In 16 bits: a quantised published file is rejected, and is read without its quantization fields."""
    config = dict(PUBLISHED[name])
    quantised = config.pop("quantization_config", None)
    if quantised:
        code, text, said = run_import(PUBLISHED[name], folder, name)
        if code != 1 or text is not None or "quantization_config is {" not in said or "has none" not in said:
            raise Failed(f"exit code {code}: {said.strip()[:200]}")
    text, said = imported(config, folder, name)
    if said:
        raise Failed(said)
    for field in ("initializer_range", "use_cache"):
        if f"//   {field} = " not in text:
            raise Failed(f"{field} is not listed as left")
    check_count(config, folder, name)


def check_count(config, folder, name):
    """The model that was written has the parameters that the formula of its family gives."""
    plan = "dp = 2" if config.get("n_head", 2) % 2 else "tp = 2"
    (folder / f"{name}_check.deploy").write_text(spec_of(config, name).replace("tp = 2", plan))
    done = subprocess.run([DEPLOYC, "check", folder / f"{name}_check.deploy"], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise Failed(done.stderr.strip()[:300])


def run_checkpoint(checkpoint, expected, folder):
    """A published file: the number of its parameters, or a word of its refusal. A quantised one is refused for that alone."""
    config, name = json.loads((CONFIGS / checkpoint / "config.json").read_text()), re.sub(r"\W", "_", checkpoint)
    if isinstance(expected, str):
        code, text, said = run_import(config, folder, name)
        if code != 1 or text is not None or expected not in said:
            raise Failed(f"exit code {code}, {'wrote a model' if text else 'wrote nothing'}: {said.strip()[:300]}")
        quantised = any("quantization_config" in c for c in (config, *config.values()) if isinstance(c, dict))
        if quantised != ("quantization_config" in said):
            raise Failed(f"quantised: {quantised}, but it says {said.strip()[:300]}")
        if not expected.startswith("quantization_config"):
            return
        for described in (config, *config.values()):
            if isinstance(described, dict):
                described.pop("quantization_config", None)
    imported(config, folder, name)
    if not isinstance(expected, str) and expected != count(config):
        raise Failed(f"{expected} published, {count(config)} by the formula")
    check_count(config, folder, name)


def run_checkpoints_are_known():
    found = {f.parent.name for f in CONFIGS.glob("*/config.json")}
    if found != set(CHECKPOINTS):
        raise Failed(f"without an expectation: {sorted(found - set(CHECKPOINTS))}; gone: {sorted(set(CHECKPOINTS) - found)}")


def meant(config, model, name):
    value = ABSENT[model][name]
    if value == "heads":
        return config["num_attention_heads"]
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
    value = config.pop(name, meant(config, model, name))
    if name == "rope_theta":
        value = config["rope_parameters"].pop(name)
    (folder / found / "config.json").write_text(json.dumps(config))
    done = subprocess.run([launcher, "run", "--weights", folder / found, "--ids", "1,2", "--max-tokens", "1"], capture_output=True, text=True,
                          timeout=60)
    same = value == meant(config, model, name)
    if same and done.returncode:
        raise Failed(f"refused, though its absence means {value}: {done.stderr.strip()[:200]}")
    if not same and (done.returncode == 0 or f"{name} is missing, which means" not in done.stderr):
        raise Failed(f"runs, though its absence does not mean {value}" if done.returncode == 0 else done.stderr.strip()[:200])
    text, _ = imported(config, folder, f"{model}_lacks")
    if ABSENT[model][name] == "heads" and not re.search(rf"kv_heads *= {config['num_attention_heads']}$", text, re.M):
        raise Failed(f"not a head of keys for each: {text}")


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
    "heads of no group": (changed("Llama_3_1_8B", num_attention_heads=30, head_dim=128),
                          "num_attention_heads is 30, and `q_group` of Llama cannot be 3.75"),
    "dense layers between": (changed("Qwen3_30B_A3B", mlp_only_layers=[1]), "mlp_only_layers is [1], and Qwen3MoE has []"),
    "a window": (changed("Mixtral_8x7B", sliding_window=4096), "sliding_window is 4096"),
    "other kinds of layers": (changed("Gemma3_270M", layer_types=["full_attention"] * 18), "layer_types is [\"full_attention\""),
    "experts in mxfp4": (changed("GPT_OSS_20B", quantization_config={"quant_method": "mxfp4"}),
                         'quantization_config is {"quant_method":"mxfp4"}, and GPT_OSS has none'),
    "all layers in a window": (changed("GPT_OSS_20B", layer_types=["sliding_attention"] * 24), "layer_types is [\"sliding_attention\""),
    "a head of its own": (changed("Gemma3_1B", tie_word_embeddings=False), "tie_word_embeddings is false, and Gemma3 has true"),
    "more chosen than there are": (changed("Mixtral_8x7B", num_experts_per_tok=9), "top_k picks among the experts"),
    "another architecture": (changed("Llama_3_1_8B", architectures=["LlamaForSequenceClassification"]),
                             'architectures is ["LlamaForSequenceClassification"], and Llama has ["LlamaForCausalLM"]'),
    "two architectures": (changed("Llama_3_1_8B", architectures=["LlamaForCausalLM", "LlamaModel"]), "architectures is"),
    "a new name of a known architecture": (changed("Kimi_K2", model_type="kimi_k9"), 'its architectures ["DeepseekV3ForCausalLM"] are those that '
                                           "`DeepSeek` of std.deepseek_v3 reads, but with model_type `deepseek_v3` or `kimi_k2`"),
    "two language models in a wrapper": ({"model_type": "new", "text_config": PUBLISHED["Gemma3_4B"], "talker_config": PUBLISHED["Qwen3_8B"]},
                                         "`text_config` is a `gemma3_text`, which `Gemma3` of std.gemma3 reads: save the language model by itself"),
    "a wrapper whose weights are quantised": ({"model_type": "new", "quantization_config": {"quant_method": "fp8"}, "text_config": PUBLISHED["Gemma3_4B"]},
                                              'quantization_config is {"quant_method":"fp8"}, and Gemma3 has none'),
    "a wrapped model of other values": ({"model_type": "new", "text_config": changed("Qwen3_8B", hidden_act="gelu")},
                                        'hidden_act is "gelu", and Qwen3 has "silu"'),
    "a wrapper that names an architecture alone": ({"model_type": "new", "llm_config": {"architectures": ["Qwen3ForCausalLM"]}},
                                                   "`llm_config` is a `qwen3`, which `Qwen3` of std.qwen3 reads"),
    "another family": (changed("Llama_3_1_8B", model_type="bloom"), "no family of the library has model_type `bloom`; there are"),
    "another family, quantised": (changed("Llama_3_1_8B", model_type="bloom", quantization_config={"quant_method": "fp8"}),
                                  "the weights are quantised as well, which this version does not read: quantization_config is of `fp8`"),
    "a wrapper, quantised": ({"model_type": "new", "text_config": {**PUBLISHED["Kimi_K2"], "quantization_config": {"quant_method": "fp8"}}},
                             'quantization_config is {"quant_method":"fp8"}, and DeepSeek has none'),
    "no family": (changed("Llama_3_1_8B", model_type=...), "has no model_type"),
    "numbers that JSON lacks": (changed("Llama_3_1_8B", rope_theta=float("inf"), hidden_act=float("nan"), rms_norm_eps=float("-inf")),
                                "rms_norm_eps is -Infinity, and `eps` of Llama cannot be that"),
    "Infinity in a file of no family": ('{"model_type": "nemotron_h", "time_step_limit": [0.0, Infinity]}', "model_type `nemotron_h`"),
    "a window in some layers": (changed("Qwen2_5_7B", use_sliding_window=True), "use_sliding_window is true, and Qwen2 has false"),
    "positions of images": (changed("Qwen2_5_7B", use_mrope=True), "use_mrope is true, and Qwen2 has false"),
    "one list of factors": (changed("Phi3_5_Mini", rope_scaling={"type": "longrope", "short_factor": [1.0] * 48}), "rope_scaling.long_factor is missing"),
    "a list of another length": (changed("Phi3_5_Mini", rope_scaling={"type": "longrope", "short_factor": [1.0] * 48, "long_factor": [2.0] * 47}),
                                 "`constant` of 47 numbers over `pair`, which has 48"),
    "a factor of its own beside longrope": (changed("Phi4_Mini", rope_scaling={**PUBLISHED["Phi4_Mini"]["rope_scaling"], "attention_factor": 1.0}),
                                            "rope_scaling.attention_factor is 1.0, and Phi3 has none"),
    "another scaling, Phi": (changed("Phi4_Mini", rope_scaling={**PUBLISHED["Phi4_Mini"]["rope_scaling"], "type": "yarn"}),
                             "longrope is the only scaling of frequencies"),
    "more than a head": (changed("Phi4", partial_rotary_factor=1.5), "a part of a head is rotated, or all of it"),
    "biases": (changed("Granite_3_1_8B", attention_bias=True), "attention_bias is true, and Granite has false"),
    "biases of keys missing": (changed("GLM4_5_Air", attention_bias=False), "attention_bias is false, and GLM4MoE has true"),
    "half of the experts": (changed("Qwen1_5_MoE_A2_7B", decoder_sparse_step=2), "decoder_sparse_step is 2, and Qwen2MoE has 1"),
    "norms before attention": (changed("OLMo2_7B", model_type="olmo"), "no family of the library has model_type `olmo`"),
    "experts in every second layer": (changed("Ernie4_5_21B_A3B", moe_layer_interval=2), "moe_layer_interval is 2, and Ernie4_5MoE has 1"),
    "experts not in the last layers": (changed("Ernie4_5_21B_A3B", moe_layer_end_index=20), "moe_layer_end_index is 20, and Ernie4_5MoE has 27"),
    "a shared expert of its own width": (changed("MiniMax_M2", shared_intermediate_size=1024), "shared_intermediate_size is 1024, and MiniMaxM2 has 0"),
    "groups without a choice of groups": (changed("DeepSeek_V2", topk_method="greedy_in_groups"), 'topk_method is "greedy_in_groups", and DeepSeekV2 has'),
    "a factor of its own beside yarn": (changed("Qwen3_8B", rope_scaling={"rope_type": "yarn", "factor": 4.0, "attention_factor": 1.0,
                                                                          "original_max_position_embeddings": 32768}),
                                        "rope_scaling.attention_factor is 1.0, and Qwen3 has none"),
    "a scaling without a name": (changed("Qwen2_5_7B", rope_scaling={"factor": 4.0, "original_max_position_embeddings": 32768}),
                                 "rope_scaling.rope_type is missing"),
    "another scaling, Qwen2": (changed("Qwen2_5_7B", rope_scaling={"type": "linear", "factor": 4.0, "original_max_position_embeddings": 8192}), "yarn is the only scaling of frequencies"),
    "another scaling, Qwen3": (changed("Qwen3_8B", rope_scaling={"rope_type": "linear", "factor": 4.0}), "rope_scaling"),
    "other layers with experts": (changed("Llama4_Maverick", moe_layers=list(range(48))), "moe_layers is [0,1,2"),
    "for a compressor": (changed("Llama4_Scout", for_llm_compressor=True), "for_llm_compressor is true, and Llama4 has false"),
    "more than one expert of a token": (changed("Llama4_Scout", num_experts_per_tok=2), "num_experts_per_tok is 2, and Llama4 has 1"),
    "no JSON": ("{\n  3\n}", "config.json:2:"),
    "a list": ("[]", "is not a JSON object"),
    "more heads than numbers": (changed("Llama_3_1_8B", num_attention_heads=1e300, head_dim=128), "num_attention_heads is 1"),
    "no length": (changed("Llama_3_1_8B", max_position_embeddings=0, torch_dtype="float8_e4m3fn"),
                  "max_position_embeddings is 0, not a number of positions"),
    "another format": (changed("Llama_3_1_8B", torch_dtype="float8_e4m3fn"), 'torch_dtype is "float8_e4m3fn", not float32, bfloat16 or float16'),
    "no heads": (changed("Llama_3_1_8B", num_key_value_heads=0, head_dim=128), "kv_heads"),
    "a word for a number": (changed("Llama_3_1_8B", hidden_size="wide"), 'hidden_size is "wide", and `d_model` of Llama cannot be that'),
    "a missing size": (changed("Llama_3_1_8B", vocab_size=...), "vocab_size is missing, and Llama does not say in `absent` what that means"),
    "rotary in halves": (changed("DeepSeek_V3", quantization_config=..., rope_interleave=False),
                         "rope_interleave is false, and DeepSeek has true"),
    "another choice of experts": (changed("DeepSeek_V3", quantization_config=..., topk_method="greedy"),
                                  'topk_method is "greedy", and DeepSeek has "noaux_tc"'),
    "fp8": (changed("Qwen3_8B", quantization_config={"quant_method": "fp8"}), 'quantization_config is {"quant_method":"fp8"}, and Qwen3 has none'),
    "awq": (changed("Llama_3_1_8B", quantization_config={"quant_method": "awq", "bits": 4}), 'quantization_config is {"bits":4,"quant_method":"awq"}, and Llama has none'),
    "older quantisation": (changed("Llama_3_1_8B", compression_config={"bits": 4}), 'compression_config is {"bits":4}, and Llama does not say'),
    "mlx": (changed("Llama_3_1_8B", quantization={"bits": 4}), 'quantization is {"bits":4}, and Llama does not say'),
    "a part of a head": (changed("Llama_3_1_8B", partial_rotary_factor=0.5), "partial_rotary_factor is 0.5, and Llama does not say"),
    "more in an object": (changed("Llama_3_1_8B", rope_scaling={**PUBLISHED["Llama_3_1_8B"]["rope_scaling"], "mrope_section": [16, 24, 24]}),
                          "rope_scaling.mrope_section is [16,24,24], and Llama does not say"),
    "in the other branch": (changed("Qwen3_8B", rope_parameters={"rope_type": "default", "rope_theta": 1e6, "factor": 8.0}),
                            "rope_parameters.factor is 8.0, and Qwen3 does not say"),
    "an object in one key": (changed("Llama_3_1_8B", **{"rope_scaling.factor": 8.0}), "rope_scaling.factor is 8.0"),
    "no object": (changed("Qwen3_8B", rope_parameters="default"), 'rope_parameters is "default", and Qwen3 does not say'),
    "no window, where one is the default": (changed("Gemma3_1B", sliding_window=None), "sliding_window is null, and Gemma3 has"),
    "a kind of layers in the list": (changed("Qwen3_8B", layer_types=["full_attention"] * 35 + ["sliding_attention"]), "layer_types is"),
    "1 for false": (changed("Llama_3_1_8B", mlp_bias=0), "mlp_bias is 0, and Llama has false"),
    "true for 1": (changed("Llama_3_1_8B", pretraining_tp=True), "pretraining_tp is true, and Llama has 1"),
    "a string for a number": (changed("Llama_3_1_8B", rms_norm_eps="1e-05"), 'rms_norm_eps is "1e-05", and `eps` of Llama cannot be that'),
    "pieces": (changed("Llama_3_1_8B", pretraining_tp=2), "pretraining_tp is 2, and Llama has 1"),
    "a name twice": ('{"model_type": "qwen3", "rope_parameters": {"rope_theta": 1e6, "rope_theta": 1e4}}', "duplicate object key"),
}


def run_refused(case, folder):
    config, word = REFUSED[case]
    code, text, said = run_import(config, folder, "Refused")
    if code != 1 or text is not None or word not in said:
        raise Failed(f"exit code {code}, {'wrote a model' if text else 'wrote nothing'}: {said.strip()[:200]}")


def run_wrapped(folder):
    """The language model of a larger one is imported, with what the larger file decides: the number format where it has none, a tied
    head. tests/e2e/run_inner.py runs such checkpoints."""
    inner = {k: v for k, v in config_of("qwen3").items() if k != "dtype"}
    config = {"model_type": "new", "architectures": ["NewForConditionalGeneration"], "dtype": "float16", "tie_word_embeddings": True,
              "text_config": inner, "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 8}}
    text, said = imported(config, folder, "wrapped")
    if "the model is that of `text_config`; launchers leave the rest" not in said:
        raise Failed(said)
    for line in ("weight *= f16", "tied *= true"):
        if not re.search(rf"^  {line}$", text, re.M):
            raise Failed(f"no {line}: {text}")


def run_unknown(folder):
    """A field that is neither compared nor harmless is rejected by name; null says nothing."""
    config = changed("Qwen3_8B", new_thing={"a": [1, 2], "b": None}, mystery="x", nothing=None)
    code, text, said = run_import(config, folder, "Unknown")
    if code != 1 or text is not None or "nothing" in said.replace("changes nothing", ""):
        raise Failed(f"exit code {code}: {said}")
    for word in 'new_thing is {"a":[1,2],"b":null}, and Qwen3 does not say', 'mystery is "x", and Qwen3 does not say', "`harmless`":
        if word not in said:
            raise Failed(f"{word} is not in {said}")
    code, text, said = run_import({**PUBLISHED["Qwen3_8B"], **{f"field{i}": i for i in range(20)}}, folder, "Unknown")
    if said.count("does not say") != 8 or "12 more fields" not in said:
        raise Failed(said)


def run_quantised_beside(folder):
    """Some checkpoints say that they are quantised in a file beside config.json."""
    (folder / "Beside").mkdir()
    (folder / "Beside" / "hf_quant_config.json").write_text("{}")
    for config, words in ((PUBLISHED["Llama_3_1_8B"], []), (changed("Llama_3_1_8B", model_type="bloom"), ["model_type `bloom`"])):
        code, text, said = run_import(config, folder, "Beside")
        if code != 1 or text is not None or any(w not in said for w in ["hf_quant_config.json says that the weights are quantised", *words]):
            raise Failed(f"exit code {code}: {said.strip()[:200]}")


def start(launcher, folder, name, config):
    (folder / name / "config.json").write_text(json.dumps(config))
    return subprocess.run([launcher, "run", "--weights", folder / name, "--ids", "1,2", "--max-tokens", "1"], capture_output=True, text=True, timeout=60)


def run_names(folder):
    """A family that reads several model_types: a launcher takes each, and no other; a model of another head is refused."""
    config = {**config_of("deepseek"), "model_type": "kimi_k2"}
    run_fixture("deepseek", config, folder)
    launcher, place = folder / "deepseek_run", "deepseek_found"
    for changes, refusal in (({"model_type": "deepseek_v3"}, None), ({"architectures": None}, None),
                             ({"model_type": "deepseek_v2"}, 'model_type is "deepseek_v2", the launcher was compiled for one of ["deepseek_v3","kimi_k2"]'),
                             ({"model_type": ["kimi_k2", "deepseek_v3"]}, "model_type is ["),
                             ({"architectures": ["DeepseekV3Model"]}, 'architectures is ["DeepseekV3Model"], the launcher was compiled for ["Deep')):
        done = start(launcher, folder, place, {**config, **changes})
        if (done.returncode != 0) != bool(refusal) or (refusal and refusal not in done.stderr):
            raise Failed(f"{changes}: exit code {done.returncode}, {done.stderr.strip()[:200]}")


# ---- families in a folder of one's own -------------------------------------------------------------------------------

def own_family(folder, file="mine.deploy", model_type="mine"):
    """The library's Llama under another model_type, beside a spec whose own mistakes do not matter."""
    text = (HERE.parents[1] / "stdlib" / "llama.deploy").read_text()
    text = text[:text.index("\nmodel Llama_3_1_8B")].replace('"llama"', f'"{model_type}"').replace("LlamaFor", "MineFor")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(text)
    (folder / "spec.deploy").write_text('use "../nowhere.deploy" as x\nuse std.models { Nothing }\ndeploy D { model = Nothing }\n')
    return folder


def own_config(model_type="mine"):
    return {**config_of("llama"), "model_type": model_type, "architectures": ["MineForCausalLM"]}


def run_own(folder):
    """The model imports the family's file, and its launcher gives the tokens of transformers."""
    families, expected = own_family(folder / "families"), Expected("llama")
    text, _ = imported(own_config(), folder, "own", "-I", families)
    if 'use "families/mine.deploy" as family\n' not in text or "model own = family.Llama {" not in text:
        raise Failed(text)
    for file in FIXTURES.glob("llama/*.safetensors*"):
        (folder / "own" / file.name).symlink_to(file)
    launcher = compile_spec(SPEC.format(file="own.deploy", name="own", params=count(config_of("llama"))), folder, "own_run")
    run, _ = run_launcher(launcher, folder / "own", expected.prompts, expected.logits.shape[1], folder)
    if any(run.of(prompt) != [tokens.tolist()] for prompt, tokens in zip(expected.prompts, expected.tokens)):
        raise Failed("other tokens than transformers")


def run_own_elsewhere(folder):
    """Where the model is written to another place, a spec of it is compiled with the same -I."""
    families, place = own_family(folder / "far" / "families"), folder / "near"
    place.mkdir()
    text, _ = imported(own_config(), place, "own", "-I", families)
    if 'use "../far/families/mine.deploy" as family\n' not in text:
        raise Failed(text)
    (place / "spec.deploy").write_text(SPEC.format(file="own.deploy", name="own", params=count(config_of("llama"))))
    with_folder = subprocess.run([DEPLOYC, "check", "-I", families, place / "spec.deploy"], capture_output=True, text=True, timeout=60)
    without = subprocess.run([DEPLOYC, "check", place / "spec.deploy"], capture_output=True, text=True, timeout=60)
    if with_folder.returncode or "E0104" not in without.stderr:
        raise Failed(with_folder.stderr + without.stderr)


def run_own_first(folder):
    """A user's family takes precedence over the library's with the same model_type, with a message."""
    families = own_family(folder / "first", "again.deploy", "llama")
    text, said = imported(own_config("llama"), folder, "first_own", "-I", families, "-I", families)
    if "first/again.deploy" not in text or "is taken in place of `Llama` of std.llama" not in said:
        raise Failed(said)


# The library's Llama with fields that a file gives as sums, a list and its elements, and a quotient.
SUMS = (("model Llama : Decoder {", "schema Wide : Decoder {\n  rest : Int = 31\n  double = 2 * rest\n}\nmodel Llama : Wide {"),
        ("  layers = 32\n", "  layers = first + rest\n  first  : Int = 1\n  kinds  : List(String) = [\"x\", \"y\"]\n  widths : List(Int) = [1]\n"
         "  spare  : Int = 0\n  near   : Int? = 4\n  gap    : Int = 9\n  parts  : Int = 9\n  lift   : Float = 0.0\n"
         "  wild   : Bool = false\n  both   : Bool = false\n"),
        ("    num_hidden_layers   = layers\n", "    num_hidden_layers = first + rest\n    head_layers = first\n    twice_rest = double\n    layer_types = kinds\n"
         "    last_type = kinds[1]\n    widths = widths\n    inner = widths[0] * 2 + spare\n    sliding_window = near\n"
         "    below_ten = 10 - gap\n    size_of_part = 24 / parts\n    lowered = -lift / 4\n    style = \"plain\"\n    shape.closed = true\n"
         "    when (wild) { scale = 2.5 } else { scale = 1 }\n    when (both) { modes = [\"a\", \"b\"] } else { modes = [\"c\"] }\n"),
        ("    intermediate_size   = ffn\n", "    intermediate_size = ffn - 16\n    ratio = ffn / (2 * kv_heads)\n"))


def run_sums(folder):
    families, place = own_family(folder / "sums"), "sums_found"
    text = (families / "mine.deploy").read_text()
    for old, new in SUMS:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (families / "mine.deploy").write_text(text)
    base = config_of("llama")
    layers, ffn = base["num_hidden_layers"], base["intermediate_size"]
    config = {**own_config(), "head_layers": 1, "twice_rest": 2 * layers - 2, "layer_types": ["a", "b"], "last_type": "b", "widths": [3, 4.0], "inner": 8,
              "sliding_window": None, "below_ten": 3, "size_of_part": 6, "lowered": 0.125, "style": "plain", "shape": {"closed": True},
              "scale": 2.5, "modes": ["a", "b"],
              "intermediate_size": ffn - 16, "ratio": ffn / base["num_key_value_heads"] / 2}
    model, _ = imported(config, folder, place, "-I", families)
    for line in ("first 1", f"rest {layers - 1}", 'kinds ["a", "b"]', "widths [3, 4]", "spare 2", "near none", "gap 7", "parts 4", "lift -0.5", f"ffn {ffn}", "wild true", "both true"):
        if not re.search(r"^  " + re.escape(line.split()[0]) + r" *= " + re.escape(line.split(" ", 1)[1]) + "$", model, re.M):
            raise Failed(f"no {line} in {model}")
    for file in FIXTURES.glob("llama/*.safetensors*"):
        (folder / place / file.name).symlink_to(file)
    launcher = compile_spec(SPEC.format(file=f"{place}.deploy", name=place, params=count(base)), folder, "sums_run")
    for changes in ({}, {"head_layers": 2}, {"last_type": "a"}, {"layer_types": ["a"]}, {"layer_types": ["b", "b"]}, {"widths": [4, 4]}, {"inner": 9},
                    {"intermediate_size": ffn}, {"ratio": 1}, {"sliding_window": 4}, {"twice_rest": 3}):
        done = start(launcher, folder, place, {**config, **changes})
        if (done.returncode != 0) != bool(changes) or any(f"config.json: {name} is" not in done.stderr for name in changes):
            raise Failed(f"{changes}: exit code {done.returncode}, {done.stderr.strip()[:200]}")
    for scale, modes in ((1, ["c"]), (1.0, ["a", "b"]), (2.5, ["c"])):
        text = imported({**config, "scale": scale, "modes": modes}, folder, f"wild_{scale}", "-I", families)[0]
        if (("wild", scale == 2.5), ("both", modes != ["c"])) != tuple((n, bool(re.search(rf"^  {n} *= true$", text, re.M))) for n in ("wild", "both")):
            raise Failed(f"scale {scale}, modes {modes}: {text}")
    if not re.search(r"^  parts *= 24$", imported({**config, "size_of_part": 1}, folder, "sums_one", "-I", families)[0], re.M):
        raise Failed("24 / parts is 1: parts is 24")
    for changes, word in (({"size_of_part": 0}, "`parts` cannot be found from `24 / parts`"), ({"head_layers": 1.5}, "head_layers is 1.5, and Llama has 1"),
                          ({"head_layers": 1.5, "twice_rest": None}, "head_layers is 1.5, and `first` of Llama cannot be 1.5"), ({"ratio": 3.0}, "ratio is 3.0, and Llama has"),
                          ({"last_type": "a"}, 'last_type is "a", and Llama has "b"'), ({"intermediate_size": -16, "ratio": None}, "`ffn` of Llama cannot be 0"),
                          ({"layer_types": "a"}, "`kinds` of Llama cannot be that"), ({"layer_types": [["a"]]}, "`kinds` of Llama cannot be that"),
                          ({"widths": [1.5]}, "widths"), ({"twice_rest": None, "head_layers": None}, "`first` and `rest` cannot be found from `first + rest`"),
                          ({"style": None}, "style is missing, and Llama does not say in `absent` what that means"),
                          ({"shape": None}, "shape.closed is missing, and Llama does not say in `absent` what that means"),
                          ({"layer_types": None}, "`kinds` cannot be found from `kinds[1]`")):
        code, _, said = run_import({**config, **changes}, folder, "sums_wrong", "-I", families)
        if code != 1 or word not in said:
            raise Failed(f"{changes}: exit code {code}, {said.strip()[:300]}")


# A family whose entries are expressions of all forms, and a file that decides all of its fields.
FORMS = """use std.decoder { Decoder }

schema Sized : Decoder { a : Int = 1; twice = a * 2 }
model Forms : Sized {
  vocab = 64; layers = 2; max_ctx = 64
  tied  : Bool        = true
  b     : Int         = 2
  n1    : Int         = 1
  n2    : Int         = 1
  n3    : Int         = 1
  n4    : Int         = 1
  n5    : Int         = 1
  s     : String      = "x"
  fs    : List(Float) = [1.5]
  ints  : List(Int)   = [1]
  f     : Float       = 1.5
  axis d_model = 8
  config {
    model_type        = "forms"
    a                 = a
    double            = n4 * twice
    half              = n5 * 2.5
    b                 = b
    sum               = n1 * (a + b)
    difference        = n2 * (a - b)
    negative          = n3 * -a
    s                 = s
    fs                = fs
    f                 = f
    ints              = ints
    element           = ints[a - 2]
    flags             = [true, false]
    vocab_size        = vocab
    num_hidden_layers = layers
    when (not tied) { head = true; parts = [a, 2] } else { head = false }
  }
  param table : [vocab, d_model] from "embed"
}
"""
FORMS_FILE = {"model_type": "forms", "vocab_size": 64, "num_hidden_layers": 2, "max_position_embeddings": 64, "torch_dtype": "float32", "head": True,
              "a": 3, "b": 2, "sum": 10, "difference": 4, "negative": -9, "double": 12, "half": 5, "s": "y", "f": 1e5, "fs": [1.0, 1e5, 0.25],
              "ints": [4, 5], "element": 5, "flags": [True, False], "parts": [3, 2]}


def run_forms(folder):
    families = folder / "forms"
    families.mkdir()
    (families / "forms.deploy").write_text(FORMS)
    text, _ = imported(FORMS_FILE, folder, "forms_found", "-I", families)
    for name, value in {"a": "3", "b": "2", "n1": "2", "n2": "4", "n3": "3", "n4": "2", "n5": "2", "s": '"y"', "f": "100_000", "ints": "[4, 5]",
                        "fs": "[1.0, 100_000.0, 0.25]", "tied": "false"}.items():
        if not re.search(rf"^  {name} *= {re.escape(value)}$", text, re.M):
            raise Failed(f"no {name} = {value} in {text}")
    for changes, word in (({"flags": [True, True]}, "flags is [true,true], and Forms has [true,false]"), ({"element": 4}, "element is 4, and Forms has 5"),
                          ({"parts": [3, 4]}, "parts is [3,4], and Forms has [3,2]"), ({"s": "y\u0007"}, "`s` of Forms cannot be that"),
                          ({"ints": [4, None]}, "`ints` of Forms cannot be that"), ({"ints": [{"a": 1}]}, "`ints` of Forms cannot be that"),
                          ({"vocab_size": 99999999}, "extent of `vocab` is 99999999"), ({"head": False, "flags": None}, "flags is missing")):
        code, written, said = run_import({**FORMS_FILE, **changes}, folder, "forms_wrong", "-I", families)
        if code != 1 or written is not None or word not in said:
            raise Failed(f"{changes}: exit code {code}, {said.strip()[:300]}")


def partial_logits(tensors, config, ids):
    """What tests/models/families/partial.deploy means, in float64: the logits of all positions."""
    t = {name: value.astype(np.float64) for name, value in tensors.items()}
    heads, groups, d = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    rotated = round(d * config["partial_rotary_factor"])
    angles = np.arange(len(ids))[:, None] * config["rope_theta"] ** (-np.arange(rotated // 2) / (rotated // 2))
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]

    def norm(x, scale):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + config["rms_norm_eps"]) * scale

    def rotate(x):
        a, b, rest = x[..., :rotated // 2], x[..., rotated // 2:rotated], x[..., rotated:]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin, rest], -1)

    x = t["model.embed_tokens.weight"][list(ids)]
    for layer in range(config["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        n = norm(x, t[p + "input_layernorm.weight"])
        q, k, v = ((n @ t[f"{p}self_attn.{c}_proj.weight"].T).reshape(len(ids), -1, d) for c in "qkv")
        if config["layer_kinds"][layer] == "rotated":
            q, k = rotate(q), rotate(k)
        k, v = (np.repeat(a, heads // groups, 1) for a in (k, v))
        scores = np.einsum("shd,thd->hst", q, k) / np.sqrt(d)
        scores[:, np.triu(np.ones((len(ids), len(ids)), bool), 1)] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        o = np.einsum("hst,thd->shd", weights / weights.sum(-1, keepdims=True), v).reshape(len(ids), -1)
        h = x + o @ t[p + "self_attn.o_proj.weight"].T
        n = norm(h, t[p + "post_attention_layernorm.weight"])
        gate, up, down = (t[f"{p}mlp.{c}_proj.weight"] for c in ("gate", "up", "down"))
        a = n @ gate.T
        m = a / (1 + np.exp(-a)) * (n @ up.T) @ down.T
        x = h + m * (t[p + "strength"] if layer >= config["num_plain_mlps"] else 1)
    return norm(x, t["model.norm.weight"]) @ t["model.embed_tokens.weight"].T


def run_partial(folder):
    """The family of docs/how-to-add-a-model.md, with the weights of a fixture, beside the same model in numpy."""
    base, name = config_of("llama"), "partial_found"
    config = {k: base[k] for k in ("hidden_size", "num_attention_heads", "num_key_value_heads", "intermediate_size", "vocab_size", "rms_norm_eps",
                                   "head_dim", "num_hidden_layers", "dtype", "max_position_embeddings")}
    config |= {"model_type": "partial_text", "num_plain_mlps": 1, "partial_rotary_factor": 0.375, "rope_theta": 1000.0,
               "layer_kinds": ["rotated", "plain", "rotated", "rotated"], "first_kind": "rotated"}
    text, _ = imported(config, folder, name, "-I", HERE / "families")
    for line in ("rotated    = 6", "kept       = 10", "early      = 1", "late       = 3"):
        if line not in text:
            raise Failed(f"no {line}: {text}")
    rounded, _ = imported({**config, "head_dim": 100, "partial_rotary_factor": 0.56}, folder, "rounded", "-I", HERE / "families")
    if "rotated    = 56\n" not in rounded:             # 0.56 * 100 is 56.00000000000001
        raise Failed(f"not rounded: {rounded}")
    tensors = read_safetensors(FIXTURES / "llama" / "model.safetensors")
    tensors |= {f"model.layers.{i}.strength": np.float32(0.4 * i - 1.3) for i in range(1, 4)}
    write_safetensors(folder / name / "model.safetensors", {k: np.asarray(v) for k, v in tensors.items()})
    spec = SPEC.replace("  assert params == {params} param\n", "")
    (folder / "partial_run.deploy").write_text(spec.format(file=f"{name}.deploy", name=name))
    done = subprocess.run([DEPLOYC, "-I", HERE / "families", folder / "partial_run.deploy", "-o", folder / "partial_run"], capture_output=True,
                          text=True, timeout=60)
    if done.returncode:
        raise Failed(done.stderr.strip()[:300])
    prompts, steps = Expected("llama").prompts, 4
    run, logits = run_launcher(folder / "partial_run", folder / name, prompts, steps, folder)
    worst = 0
    for prompt, got in zip(prompts, logits):
        for step in range(steps):
            ids = [*prompt, *run.of(prompt)[0][:step]]
            want = partial_logits(tensors, config, ids)[-1]
            worst = max(worst, np.abs(got[step] - want).max() / np.ptp(want))
    if not worst < 1e-5:
        raise Failed(f"logits are off by {worst:.1e} of their range")
    return f"error {worst:.1e}"


def refuse_own(folder, name, change, word):
    families = own_family(folder / name)
    change(families)
    code, text, said = run_import(own_config(), folder, name + "_own", "-I", families)
    if code != 1 or text is not None or word not in said:
        raise Failed(f"exit code {code}, {'wrote a model' if text else 'wrote nothing'}: {said.strip()[:300]}")


OWN_REFUSED = {
    "two": (lambda f: own_family(f, "second.deploy"), "second.deploy both read it: leave one out"),
    "broken": (lambda f: (f / "broken.deploy").write_text('model M : Decoder {\n  config { model_type = "other"\n'), "broken.deploy:2:10"),
    "wrong": (lambda f: (f / "mine.deploy").write_text((f / "mine.deploy").read_text().replace("= d_model\n", "= d_modle\n", 1)), "mine.deploy:"),
    "unread": (lambda f: (f / "loop.deploy").symlink_to("loop.deploy"), "cannot read"),
    "none": (lambda f: (f / "mine.deploy").unlink(), "no family of the library, or below -I, has model_type `mine`"),
    "nowhere": (lambda f: [p.unlink() for p in f.iterdir()] and f.rmdir(), "cannot read"),
}


def run_reserved(folder):
    """A folder whose name is a word of the language."""
    for name in ("when", "family", "Qwen3"):
        text, _ = imported(PUBLISHED["Qwen3_8B"], folder, name)
        if f"model {name}_checkpoint = Qwen3" not in text:
            raise Failed(text)


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
        if CONFIGS.is_dir():
            cases += [(f"checkpoint {c}", lambda c=c: run_checkpoint(c, CHECKPOINTS[c], folder)) for c in CHECKPOINTS]
            cases += [("checkpoints are known", run_checkpoints_are_known)]
        else:
            print(f"skip {len(CHECKPOINTS)} checkpoints: there is no {CONFIGS}")
        cases += [(f"refused: {c}", lambda c=c: run_refused(c, folder)) for c in REFUSED]
        cases += [("a language model in a wrapper", lambda: run_wrapped(folder)), ("unknown fields", lambda: run_unknown(folder)), ("several names of a family", lambda: run_names(folder)),
                  ("quantised by a file beside", lambda: run_quantised_beside(folder)),
                  ("names that are taken", lambda: run_reserved(folder))]
        cases += [("own family", lambda: run_own(folder)), ("own family elsewhere", lambda: run_own_elsewhere(folder)),
                  ("own family of the documentation", lambda: run_partial(folder)),
                  ("own family before the library's", lambda: run_own_first(folder))]
        cases += [("sums, lists and elements", lambda: run_sums(folder)), ("forms of entries", lambda: run_forms(folder))]
        cases += [(f"own families refused: {c}", lambda c=c: refuse_own(folder, c, *OWN_REFUSED[c])) for c in OWN_REFUSED]
        for name, case in cases:
            if not sys.argv[1:] or any(word in name for word in sys.argv[1:]):
                report.check(name, case)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
