#!/usr/bin/env python3
"""Trains the model of the demo: a Mixtral of half a million parameters, one token for each byte, that knows corpus.txt by heart.

    make.py            writes config.json, generation_config.json, tokenizer.json and model.safetensors beside this file
    make.py --check    asks the model that is there, with transformers

Needs torch and transformers; some minutes on two cores. Weights are rounded to bf16 before the answers are checked. They must come out
exactly, each byte with a margin, so that other orders of sums and other formats of activations give the same text.
"""
import json
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM, MixtralConfig, MixtralForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
END, PAD, VOCAB = 256, 257, 260     # the vocabulary's size is a multiple of 4, so that ranks can share it
MARGIN = 1.0                        # of the best logit to the second best
STEPS, RATE = 1200, 3e-3


def config():
    return MixtralConfig(vocab_size=VOCAB, hidden_size=64, intermediate_size=64, num_hidden_layers=4, num_attention_heads=8, num_key_value_heads=4,
                         head_dim=16, max_position_embeddings=512, num_local_experts=8, num_experts_per_tok=2, rms_norm_eps=1e-5,
                         tie_word_embeddings=False, rope_parameters=dict(rope_type="default", rope_theta=10000.0), router_aux_loss_coef=0.01,
                         bos_token_id=None, eos_token_id=END, pad_token_id=PAD)


def corpus():
    """-> [(question, answer)]"""
    return [tuple(line.split("\t")) for line in (HERE / "corpus.txt").read_text().splitlines()]


def rows(pairs):
    """Each pair as bytes, question, space, answer and the end; shorter ones are padded."""
    texts = [f"{q} {a}".encode() for q, a in pairs]
    width = max(map(len, texts)) + 1
    ids = torch.full((len(texts), width), PAD)
    for i, text in enumerate(texts):
        ids[i, :len(text) + 1] = torch.tensor([*text, END])
    return ids


def known(model, pairs):
    """-> (answers that come out right, the least margin): greedily, byte by byte, with the right bytes before."""
    ids = rows(pairs)
    with torch.no_grad():
        logits = model(ids[:, :-1]).logits
    best = logits.topk(2).values
    right, least = 0, float("inf")
    for i, (question, answer) in enumerate(pairs):
        begin, end = len(question.encode()) - 1, len(f"{question} {answer}".encode())
        right += bool((logits[i, begin:end].argmax(-1) == ids[i, begin + 1:end + 1]).all())
        least = min(least, (best[i, begin:end, 0] - best[i, begin:end, 1]).min().item())
    return right, least


def rounded(model):
    """A copy whose weights are those of bf16."""
    copy = MixtralForCausalLM(model.config).eval()
    copy.load_state_dict({name: x.to(torch.bfloat16).float() for name, x in model.state_dict().items()})
    return copy


def train(pairs):
    torch.manual_seed(1)
    model, ids = MixtralForCausalLM(config()), rows(pairs)
    model.set_experts_implementation("eager")           # the fastest for experts as small as these
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / 100) * (1 - 0.95 * min(1, step / STEPS)))
    labels = ids.masked_fill(ids == PAD, -100)
    for i, (question, _) in enumerate(pairs):
        labels[i, :len(question.encode())] = -100       # what is asked need not be guessed
    for step in range(STEPS):
        loss = model(ids, labels=labels, output_router_logits=True).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        rate.step()
        if step % 100 == 99:
            right, least = known(rounded(model), pairs)
            print(f"step {step + 1}: loss {loss.item():.4f}, {right} of {len(pairs)} answers, margin {least:.2f}", flush=True)
            if right == len(pairs) and least >= MARGIN:
                return rounded(model)
    sys.exit("the model does not know the corpus: raise STEPS")


def byte_names():
    """The characters that stand for the bytes in vocabularies of bytes: themselves where they are printable, else from U+0100 on."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(b if b in kept else next(others)) for b in range(256)]


def tokenizer():
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    special = [{"id": i, "content": name, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
               for i, name in ((END, "<end>"), (PAD, "<pad>"))]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "normalizer": None, "pre_tokenizer": level,
            "post_processor": None, "decoder": level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": {n: i for i, n in enumerate(byte_names())},
                      "merges": []}}


def main():
    torch.set_num_threads(1)   # steps are small
    pairs = corpus()
    if "--check" not in sys.argv:
        model = train(pairs).to(torch.bfloat16)
        model.save_pretrained(HERE)
        (HERE / "generation_config.json").write_text(json.dumps({"eos_token_id": END, "pad_token_id": PAD}, indent=2) + "\n")
        (HERE / "tokenizer.json").write_text(json.dumps(tokenizer(), ensure_ascii=False) + "\n")
    right, least = known(AutoModelForCausalLM.from_pretrained(HERE, dtype=torch.float32).eval(), pairs)
    print(f"{right} of {len(pairs)} answers, margin {least:.2f}")
    return right < len(pairs)


if __name__ == "__main__":
    sys.exit(main())
