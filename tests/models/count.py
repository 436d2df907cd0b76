#!/usr/bin/env python3
"""Parameters of the published models, counted from their config.json files and independently of this project.

    count.py                 published.json against the claims `assert params == N param` of samples/library.deploy
    count.py --print         the counts
    count.py --transformers  the formulas below against models that Hugging Face transformers makes without memory

published.json has a config.json for each model of the library, by its name there; GPT-OSS's and Kimi-K2's without
quantization_config, as transformers writes it once the weights are dequantised. A tied head counts once.
They agree with copies that can be looked up: ai-dynamo/aiconfigurator, model_configs (Llama 3.1, Mixtral 8x7B and 8x22B,
Qwen3 0.6B, 1.7B, 8B, 32B, 30B-A3B and 235B-A22B, DeepSeek-V3, Kimi-K2, GPT-OSS 20B and 120B); citsjtu2020/LLM-Prof,
sglang/Model_Config.md (Llama 3.2 3B, Qwen2.5 3B, 7B, 14B and 32B, Qwen3 4B and 14B); MatthewGoldsberry/LLM-Projects, Llama-3.2-1B;
huggingface.co, jsfs11/MixtralxWizardLM2-8x22B-SLERP-v0.2 (a copy of Mixtral 8x22B Instruct's) and
interview-eval/olmoe-math-train-gsm8k-2 (of OLMoE 0924 Instruct's). The five of Gemma-3 are not copies of published files: their
numbers are those of transformers' convert_gemma3_weights.py, in the form of files of the text model alone. Of DeepSeek-V2 and the families from Qwen2
to ERNIE 4.5, Qwen2.5 0.5B, Mistral Nemo, Gemma 2 9B, Llama 4, OLMo 2 7B, GLM-4.5 Air, MiniMax-M2.5 and ERNIE 4.5 0.3B were compared with copies, and
those that support/published.def names with what it says there. The others, such as Mistral Small, Phi-3 medium and GLM-4 32B, were written from
what is known of them: look at the published file before relying on one.
"""
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
SAMPLE = HERE.parents[1] / "samples" / "library.deploy"


def attention(c, norms, bias=False):
    """Four projections and, by family, norms: none, of a head's features, or of all features of all heads; biases of queries, keys
    and values."""
    d, heads, kv = c["hidden_size"], c["num_attention_heads"], c["num_key_value_heads"]
    head = c.get("head_dim") or d // heads
    extra = {"none": 0, "of a head": 2 * head, "of all heads": (heads + kv) * head}[norms]
    return 2 * d * heads * head + 2 * d * kv * head + extra + bias * (heads + 2 * kv) * head


def gated(c, width):
    return 3 * c["hidden_size"] * width


def routed(c, experts, width):
    return experts * gated(c, width) + experts * c["hidden_size"]


def experts_of(c):
    """transformers 4 and 5 name it differently."""
    return c.get("num_experts") or c["num_local_experts"]


def decoder(c, layer, tied=False):
    """Layers with two norms each, an embedding, a norm, a head; `tied`: the default."""
    d = c["hidden_size"]
    tables = c["vocab_size"] * d * (1 if c.get("tie_word_embeddings", tied) else 2)
    return c["num_hidden_layers"] * (layer + 2 * d) + tables + d


def latent_attention(c):
    d, heads, q, kv = c["hidden_size"], c["num_attention_heads"], c["q_lora_rank"], c["kv_lora_rank"]
    nope, rope, v = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"]
    queries = d * q + q + q * heads * (nope + rope) if q else d * heads * (nope + rope)
    return queries + d * (kv + rope) + kv + kv * heads * (nope + v) + heads * v * d


def deepseek(c):
    """The first layers are dense, the others have a shared expert and, in V3, a bias for each routed one."""
    experts, width, dense = c["n_routed_experts"], c["moe_intermediate_size"], c["first_k_dense_replace"]
    sparse = routed(c, experts, width) + gated(c, c["n_shared_experts"] * width) + (experts if c["model_type"] != "deepseek_v2" else 0)
    layers = c["num_hidden_layers"]
    return decoder(c, latent_attention(c)) + dense * gated(c, c["intermediate_size"]) + (layers - dense) * sparse


def glm4_moe(c):
    """Biases of queries, keys and values; norms of heads in some sizes; routed experts as DeepSeek's."""
    experts, width, dense = c["n_routed_experts"], c["moe_intermediate_size"], c["first_k_dense_replace"]
    sparse = routed(c, experts, width) + gated(c, c["n_shared_experts"] * width) + experts
    block = attention(c, "of a head" if c["use_qk_norm"] else "none", bias=True)
    return decoder(c, block) + dense * gated(c, c["intermediate_size"]) + (c["num_hidden_layers"] - dense) * sparse


def qwen2_moe(c):
    """A shared expert, and a gate for it."""
    shared = gated(c, c["shared_expert_intermediate_size"]) + c["hidden_size"]
    return decoder(c, attention(c, "none", bias=True) + routed(c, c["num_experts"], c["moe_intermediate_size"]) + shared)


def ernie4_5_moe(c):
    """The first layers are dense, the others have a bias for each routed expert, and shared ones."""
    experts, width, dense = c["moe_num_experts"], c["moe_intermediate_size"], c["moe_layer_start_index"]
    sparse = routed(c, experts, width) + gated(c, c["moe_num_shared_experts"] * width) + experts
    layers = c["num_hidden_layers"]
    return decoder(c, attention(c, "none")) + dense * gated(c, c["intermediate_size"]) + (layers - dense) * sparse


def minimax_m2(c):
    experts = c["num_local_experts"]
    return decoder(c, attention(c, "of all heads") + routed(c, experts, c["intermediate_size"]) + experts)


def gpt_oss(c):
    """Biases of every projection, of the router and of the experts; a sink for each head."""
    d, heads, experts, width = c["hidden_size"], c["num_attention_heads"], c["num_local_experts"], c["intermediate_size"]
    biases = (heads + 2 * c["num_key_value_heads"]) * c["head_dim"] + d + experts * (1 + 2 * width + d)
    return decoder(c, attention(c, "none") + heads + biases + routed(c, experts, width))


def llama4(c):
    """Experts and a shared one in the last of every few layers, a wider MLP in the others."""
    sparse = routed(c, c["num_local_experts"], c["intermediate_size"]) + gated(c, c["intermediate_size"])
    layers, step = c["num_hidden_layers"], c["interleave_moe_layer_step"]
    return decoder(c, attention(c, "none")) + layers // step * sparse + (layers - layers // step) * gated(c, c["intermediate_size_mlp"])


def gpt2(c):
    """Biases everywhere; norms with biases; an embedding for each position; a tied head."""
    d, ffn = c["n_embd"], c.get("n_inner") or 4 * c["n_embd"]
    layer = 4 * d * d + 4 * d + 2 * d * ffn + ffn + d + 4 * d
    return c["n_layer"] * layer + (c["vocab_size"] + c["n_positions"]) * d + 2 * d


FAMILIES = {
    "gpt2": gpt2,
    "llama": lambda c: decoder(c, attention(c, "none") + gated(c, c["intermediate_size"])),
    "mistral": lambda c: decoder(c, attention(c, "none") + gated(c, c["intermediate_size"])),
    "qwen2": lambda c: decoder(c, attention(c, "none", bias=True) + gated(c, c["intermediate_size"])),
    "phi3": lambda c: decoder(c, attention(c, "none") + gated(c, c["intermediate_size"])),
    "granite": lambda c: decoder(c, attention(c, "none") + gated(c, c["intermediate_size"])),
    "granitemoe": lambda c: decoder(c, attention(c, "none") + routed(c, c["num_local_experts"], c["intermediate_size"])),
    "olmo2": lambda c: decoder(c, attention(c, "of all heads") + gated(c, c["intermediate_size"])),
    "glm4": lambda c: decoder(c, attention(c, "none", c["attention_bias"]) + gated(c, c["intermediate_size"]) + 2 * c["hidden_size"]),
    "glm4_moe": glm4_moe,
    "qwen2_moe": qwen2_moe,
    "ernie4_5": lambda c: decoder(c, attention(c, "none") + gated(c, c["intermediate_size"])),
    "ernie4_5_moe": ernie4_5_moe,
    "minimax_m2": minimax_m2,
    "qwen3": lambda c: decoder(c, attention(c, "of a head") + gated(c, c["intermediate_size"])),
    "qwen3_vl_text": lambda c: decoder(c, attention(c, "of a head") + gated(c, c["intermediate_size"])),
    "qwen3_vl_moe_text": lambda c: decoder(c, attention(c, "of a head") + routed(c, experts_of(c), c["moe_intermediate_size"])),
    "mixtral": lambda c: decoder(c, attention(c, "none") + routed(c, c["num_local_experts"], c["intermediate_size"])),
    "qwen3_moe": lambda c: decoder(c, attention(c, "of a head") + routed(c, experts_of(c), c["moe_intermediate_size"])),
    "olmoe": lambda c: decoder(c, attention(c, "of all heads") + routed(c, c["num_experts"], c["intermediate_size"])),
    "gemma3_text": lambda c: decoder(c, attention(c, "of a head") + gated(c, c["intermediate_size"]) + 2 * c["hidden_size"], tied=True),
    "llama4_text": llama4,
    "gemma2": lambda c: decoder(c, attention(c, "none") + gated(c, c["intermediate_size"]) + 2 * c["hidden_size"], tied=True),
    "gpt_oss": gpt_oss,
    "deepseek_v2": deepseek,
    "deepseek_v3": deepseek,
    "kimi_k2": deepseek,                # the same classes, under a name of its own
}


# model_type of the transformers classes, where a file has another.
CLASSES = {"kimi_k2": "deepseek_v3"}


def language_model(config):
    """The language model in the file of a larger one; whether the head is tied, the larger one says, if it does."""
    if "text_config" not in config:
        return config
    decided = {k: config[k] for k in ("tie_word_embeddings",) if k in config}
    return {**config["text_config"], **decided}


def count(config):
    config = language_model(config)
    return FAMILIES[config["model_type"]](config)


def claims():
    """Model name -> the number that the sample asserts."""
    text = SAMPLE.read_text()
    found = {}
    for body in re.findall(r"^deploy \w+ \{\n(.*?)^\}", text, re.M | re.S):
        model, number = re.search(r"model\s*=\s*(\w+)", body), re.search(r"assert params == ([\d_]+) param", body)
        if model and number:
            found[model[1]] = int(number[1])
    return found


def compare(name, ours, theirs, who):
    if ours == theirs:
        return True
    print(f"FAIL {name}: config.json makes {ours} parameters, {who} {theirs if theirs is not None else 'nothing'}")
    return False


def made_by_transformers(config):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    made = AutoConfig.for_model(**{**config, "model_type": CLASSES.get(config["model_type"], config["model_type"])})
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(made)
    model.tie_weights()
    # A bias of a router that steers only the choice is a buffer there, and a tensor of the checkpoint.
    bias = sum(b.numel() for n, b in model.named_buffers() if n.endswith("e_score_correction_bias"))
    return sum(p.numel() for p in model.parameters()) + bias


def main(arguments):
    published = json.loads((HERE / "published.json").read_text())
    if "--print" in arguments:
        for name, config in published.items():
            print(f"{name:24} {count(config):>15_}")
        return 0
    claimed, passed = claims(), 0
    for name, config in published.items():
        if "--transformers" in arguments:
            passed += compare(name, count(config), made_by_transformers(config), "transformers makes")
        else:
            passed += compare(name, count(config), claimed.get(name), "samples/library.deploy asserts")
    print(f"{passed} passed, {len(published) - passed} failed")
    return 0 if passed == len(published) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
