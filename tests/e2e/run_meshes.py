#!/usr/bin/env python3
"""Every fixture on many meshes: the tokens of transformers, its logits up to rounding, and the bytes
of the plan. Prompts of different lengths run together, some of them twice.

    run_meshes.py [WORD ...]    only the meshes whose line contains a word
"""
import functools
import sys

import numpy as np

from harness import WORKLOAD, Expected, Failed, Folder, Report, compile_spec, need_deployc, run_launcher, spec

TOLERANCE = 2e-5                # of logits in f32, relative to the largest: that transformers itself has is 1e-6
BATCH = [0, 1, 2, 1, 0, 2]      # prompts of the fixture that run together
FOLDED = "at moe { expert -> tp; expert_ffn -> none }"
TP_MOE = "at moe { batch -> none; expert -> none; expert_ffn -> dp * tp }"
HEAD_DIM = "at attn { kv_heads * q_group -> none; head_dim -> tp }"
CONTEXT = "at attn { kv_heads * q_group -> none; ctx -> tp; seq -> tp }"
NO_SP = "at residual { seq -> none }"
CHUNK8 = WORKLOAD.replace("chunk = 64", "chunk = 8")
CHUNK4 = WORKLOAD.replace("chunk = 64", "chunk = 4")
QUEUE = "batch = 2; seq = 1..64; output = 16; chunk = 24; page = 4"     # sequences wait for a place
SLIDE = "batch = 3; seq = 1..64; output = 16; chunk = 8; page = 4"        # layers with a window give pages back as they go
TIGHT = SLIDE.replace("batch = 3", "batch = 4; cache = 80")               # pages run out: sequences wait, and are computed again
TIGHT2 = TIGHT.replace("80", "160")                                     # on two owners
WORKLOADS = {WORKLOAD: "", CHUNK8: ", chunk 8", CHUNK4: ", chunk 4", QUEUE: ", queue", SLIDE: ", slide", TIGHT: ", tight", TIGHT2: ", tight"}
EXPANDED = "training = true"                                            # the form of a model for training, which computes the same
THREADS = 3                     # of each rank, where the plan has few ranks

# model, dtype, ranks, plan, workload, what refines the model: what the case is there for
MESHES = [
    ("llama", "f32", 1, "Megatron {}", WORKLOAD),                                                # one rank
    ("llama", "f32", 2, "Megatron { tp = 2 }", WORKLOAD),
    ("llama", "f32", 4, f"Megatron {{ tp = 4; {NO_SP} }}", WORKLOAD),                            # all-reduce
    ("llama", "f32", 8, "Megatron { tp = 8 }", WORKLOAD),                                        # tp beyond the 4 kv heads
    ("llama", "f32", 4, "Megatron { pp = 2; tp = 2; pipeline { stages = [1, 3] } }", WORKLOAD),  # uneven stages
    ("llama", "f32", 4, "Megatron { pp = 4; pipeline { microbatches = 4 } }", WORKLOAD),         # one layer a stage
    ("llama", "f32", 4, "Megatron { dp = 2; tp = 2 }", WORKLOAD),
    ("llama", "f32", 4, "Megatron { tp = 2; dp = 2 }", CHUNK8),                                  # prompts in chunks
    ("llama", "f32", 8, f"Megatron {{ pp = 2; dp = 2; tp = 2; {NO_SP}; pipeline {{ microbatches = 2 }} }}", WORKLOAD),
    ("llama", "f32", 16, "Megatron { pp = 2; dp = 2; tp = 4; pipeline { microbatches = 2; stages = [3, 1] } }", CHUNK8),
    ("llama", "f32", 2, "Megatron { pp = 2 }", QUEUE),
    ("llama", "f32", 2, "Megatron { tp = 2; at mlp { d_model -> tp; ffn -> none } }", WORKLOAD),  # all-to-all: seq to d_model and back
    ("llama", "f32", 8, "Megatron { dp = 2; tp = 4; at mlp { d_model -> tp; ffn -> none } }", CHUNK8),
    ("llama", "f32", 4, "DPAttention { dp = 2; tp = 2; batch -> none; row -> tp; vocab -> dp }", WORKLOAD),       # the head has rows of all owners
    ("llama", "f32", 4, "DPAttention { dp = 2; tp = 2; at mlp { batch -> tp; seq -> dp; ffn -> none } }", CHUNK8),  # owners in another order
    ("llama", "f32", 4, f"Megatron {{ dp = 2; tp = 2; {HEAD_DIM} }}", QUEUE),                                     # caches in pieces, gathered to attend
    ("llama", "f32", 8, f"Megatron {{ pp = 2; tp = 4; {CONTEXT}; pipeline {{ microbatches = 2 }} }}", CHUNK8),
    ("llama", "bf16", 1, "Megatron {}", WORKLOAD),
    ("llama", "bf16", 8, "Megatron { pp = 2; dp = 2; tp = 2 }", WORKLOAD),
    ("llama", "f16", 2, "Megatron { tp = 2 }", CHUNK8),

    ("mixtral", "f32", 1, "Megatron {}", WORKLOAD),
    ("mixtral", "f32", 2, "Megatron { tp = 2 }", WORKLOAD),                                      # experts cut on expert_ffn
    ("mixtral", "f32", 8, "Megatron { tp = 8 }", WORKLOAD),
    ("mixtral", "f32", 8, "Megatron { ep = 8 }", WORKLOAD),                                      # one expert a rank
    ("mixtral", "f32", 8, "Megatron { pp = 2; ep = 2; tp = 2 }", WORKLOAD),                      # ep orthogonal
    ("mixtral", "f32", 4, f"Megatron {{ ep = 2; tp = 2; {NO_SP} }}", CHUNK8),
    ("mixtral", "f32", 4, "Megatron { ep = 4; moe { capacity = 0.5 } }", WORKLOAD),              # several exchange rounds
    ("mixtral", "f32", 4, f"Megatron {{ pp = 2; tp = 2; {FOLDED} }}", WORKLOAD),                 # experts folded over tp
    ("mixtral", "f32", 8, f"Megatron {{ pp = 2; dp = 2; tp = 2; {FOLDED}; pipeline {{ microbatches = 2; stages = [1, 3] }} }}",
     WORKLOAD),
    ("mixtral", "f32", 4, "FoldedEP { ep = 2; tp = 2 }", WORKLOAD),
    ("mixtral", "f32", 8, "FoldedEP { dp = 2; ep = 2; tp = 2 }", WORKLOAD),                      # two groups of 4
    ("mixtral", "f32", 16, "FoldedEP { pp = 2; ep = 2; tp = 4 }", WORKLOAD),                     # one expert a rank, tokens by seq
    ("mixtral", "f32", 16, "Megatron { pp = 2; dp = 2; ep = 2; tp = 2; pipeline { microbatches = 2 } }", CHUNK8),
    ("mixtral", "f32", 2, "Megatron { ep = 2 }", QUEUE),
    ("mixtral", "f32", 4, f"SGLang {{ dp = 2; tp = 2; {TP_MOE} }}", CHUNK8),                      # tokens of both owners on each rank
    ("mixtral", "f32", 8, "Megatron { pp = 2; dp = 2; tp = 2; at moe { batch -> none; expert -> dp }; pipeline { microbatches = 2 } }",
     WORKLOAD),
    ("mixtral", "f16", 4, "Megatron { ep = 2; tp = 2 }", WORKLOAD),
    ("mixtral", "bf16", 1, "Megatron {}", WORKLOAD),
    ("mixtral", "bf16", 8, "Megatron { pp = 2; ep = 2; tp = 2 }", WORKLOAD),
    ("mixtral", "bf16", 8, "Megatron { pp = 2; ep = 2; tp = 2; comm { reduce = f32 } }", WORKLOAD),

    ("qwen3", "f32", 1, "Megatron {}", WORKLOAD),                                                # odd extents, norms of heads
    ("qwen3", "f32", 2, "Megatron { tp = 2 }", CHUNK8),                                          # 3 kv heads on 2: q_group is cut
    ("qwen3", "f32", 6, "Megatron { tp = 6 }", WORKLOAD),
    ("qwen3", "f32", 9, "Megatron { pp = 3; tp = 3; pipeline { microbatches = 2 } }", QUEUE),
    ("qwen3", "f32", 6, "Megatron { dp = 3; tp = 2; pipeline { microbatches = 3 } }", WORKLOAD),
    ("qwen3", "f32", 3, "Megatron { pp = 3 }", CHUNK8),
    ("qwen3", "f32", 3, f"Megatron {{ tp = 3; {NO_SP} }}", WORKLOAD),
    ("qwen3", "f32", 4, "Megatron { pp = 2; dp = 2; pipeline { stages = [2, 1] } }", WORKLOAD),
    ("qwen3", "f32", 2, "DPAttention { tp = 2 }", QUEUE),                                        # sequences on all ranks
    ("qwen3", "f32", 12, "Megatron { pp = 3; dp = 2; tp = 2; pipeline { microbatches = 2 } }", CHUNK8),
    ("qwen3", "bf16", 1, "Megatron {}", CHUNK8),
    ("qwen3", "bf16", 6, "Megatron { pp = 3; tp = 2 }", WORKLOAD),
    ("qwen3", "f32", 12, "VLLM { dp = 2; pp = 3; tp = 2 }", WORKLOAD),                           # vLLM's grid
    ("qwen3", "f32", 6, "SGLang { dp = 2; tp = 3 }", WORKLOAD),                                  # SGLang's: dense layers 6 ways

    ("qwen3_moe", "f32", 1, "Megatron {}", WORKLOAD),                                            # heads wider than d_model / heads
    ("qwen3_moe", "f32", 2, "Megatron { tp = 2 }", CHUNK8),
    ("qwen3_moe", "f32", 8, "Megatron { tp = 8 }", WORKLOAD),                                    # tp beyond the 2 kv heads
    ("qwen3_moe", "f32", 4, "Megatron { ep = 4 }", WORKLOAD),                                    # one expert a rank
    ("qwen3_moe", "f32", 4, "Megatron { ep = 2; tp = 2; moe { capacity = 0.5 } }", WORKLOAD),
    ("qwen3_moe", "f32", 3, "Megatron { pp = 3 }", QUEUE),
    ("qwen3_moe", "f32", 4, f"Megatron {{ pp = 2; tp = 2; {FOLDED}; pipeline {{ stages = [1, 2] }} }}", WORKLOAD),
    ("qwen3_moe", "f32", 4, "FoldedEP { ep = 2; tp = 2 }", CHUNK8),
    ("qwen3_moe", "f32", 12, "FoldedEP { pp = 3; dp = 2; tp = 2; pipeline { microbatches = 2 } }", WORKLOAD),
    ("qwen3_moe", "f32", 4, "DPAttention { dp = 2; tp = 2 }", WORKLOAD),
    ("qwen3_moe", "f32", 4, "VLLM { dp = 2; tp = 2 }", WORKLOAD),                                # experts' width on 4 ranks
    ("qwen3_moe", "f32", 4, "VLLM_EP { dp = 2; tp = 2 }", CHUNK8),
    ("qwen3_moe", "f32", 4, "SGLang { dp = 2; tp = 2 }", WORKLOAD),
    ("qwen3_moe", "bf16", 1, "Megatron {}", WORKLOAD),
    ("qwen3_moe", "bf16", 6, "Megatron { pp = 3; ep = 2 }", WORKLOAD),

    ("olmoe", "f32", 1, "Megatron {}", WORKLOAD),                                                # norms over all heads
    ("olmoe", "f32", 2, "Megatron { tp = 2 }", CHUNK8),                                          # means of heads travel
    ("olmoe", "f32", 8, "Megatron { tp = 8 }", WORKLOAD),                                        # heads of a group are cut too
    ("olmoe", "f32", 4, f"Megatron {{ tp = 4; {NO_SP} }}", WORKLOAD),
    ("olmoe", "f32", 8, "Megatron { ep = 8 }", WORKLOAD),
    ("olmoe", "f32", 4, "Megatron { ep = 2; tp = 2; moe { capacity = 0.5 } }", QUEUE),
    ("olmoe", "f32", 4, "Megatron { pp = 4; pipeline { microbatches = 4 } }", WORKLOAD),
    ("olmoe", "f32", 4, f"Megatron {{ pp = 2; tp = 2; {FOLDED}; pipeline {{ stages = [1, 3] }} }}", WORKLOAD),
    ("olmoe", "f32", 8, "FoldedEP { dp = 2; ep = 2; tp = 2 }", WORKLOAD),
    ("olmoe", "f32", 4, "DPAttention { dp = 2; tp = 2 }", CHUNK8),
    ("olmoe", "bf16", 1, "Megatron {}", WORKLOAD),
    ("olmoe", "bf16", 8, "Megatron { pp = 2; ep = 2; tp = 2 }", WORKLOAD),

    ("qwen2", "f32", 1, "Megatron {}", WORKLOAD),                                                # biases of queries, keys, values
    ("qwen2", "f32", 2, "Megatron { tp = 2 }", CHUNK8),
    ("qwen2", "f32", 6, "Megatron { tp = 6 }", WORKLOAD),                                        # tp beyond the 2 kv heads
    ("qwen2", "f32", 3, f"Megatron {{ tp = 3; {NO_SP} }}", WORKLOAD),
    ("qwen2", "f32", 4, "Megatron { pp = 2; tp = 2; pipeline { stages = [1, 2] } }", WORKLOAD),
    ("qwen2", "f32", 3, "Megatron { pp = 3; pipeline { microbatches = 3 } }", QUEUE),
    ("qwen2", "f32", 4, "Megatron { dp = 2; tp = 2 }", CHUNK4),
    ("qwen2", "f32", 2, "DPAttention { tp = 2 }", QUEUE),
    ("qwen2", "f32", 6, "DPAttention { dp = 2; tp = 3 }", WORKLOAD),
    ("qwen2", "f32", 2, f"Megatron {{ tp = 2; {HEAD_DIM} }}", CHUNK8),                           # biases cut with the features of a head
    ("qwen2", "bf16", 1, "Megatron {}", WORKLOAD),
    ("qwen2", "bf16", 6, "Megatron { pp = 3; tp = 2 }", CHUNK8),

    ("mistral", "f32", 1, "Megatron {}", WORKLOAD),                                              # a window in all layers
    ("mistral", "f32", 1, "Megatron {}", CHUNK8),                                                # chunks shorter than it
    ("mistral", "f32", 3, "Megatron { tp = 3 }", CHUNK4),
    ("mistral", "f32", 6, "Megatron { tp = 6 }", WORKLOAD),                                      # tp beyond the 3 kv heads
    ("mistral", "f32", 3, f"Megatron {{ tp = 3; {NO_SP} }}", WORKLOAD),
    ("mistral", "f32", 2, "Megatron { pp = 2; pipeline { stages = [2, 1] } }", QUEUE),
    ("mistral", "f32", 3, "Megatron { pp = 3; pipeline { microbatches = 4 } }", WORKLOAD),
    ("mistral", "f32", 12, "Megatron { pp = 2; dp = 2; tp = 3; pipeline { stages = [1, 2]; microbatches = 2 } }", CHUNK8),
    ("mistral", "f32", 3, "DPAttention { tp = 3 }", QUEUE),
    ("mistral", "f32", 2, f"Megatron {{ tp = 2; {CONTEXT} }}", CHUNK8),                          # a window over caches in pieces
    ("mistral", "bf16", 1, "Megatron {}", CHUNK8),
    ("mistral", "bf16", 9, "Megatron { pp = 3; tp = 3 }", WORKLOAD),

    ("phi3", "f32", 1, "Megatron {}", WORKLOAD),                                                 # three matrices in one tensor
    ("phi3", "f32", 1, "Megatron {}", CHUNK8),                                                   # and a window
    ("phi3", "f32", 3, "Megatron { tp = 3 }", CHUNK4),
    ("phi3", "f32", 6, "Megatron { tp = 6 }", WORKLOAD),                                         # tp beyond the 3 kv heads
    ("phi3", "f32", 3, f"Megatron {{ tp = 3; {NO_SP} }}", WORKLOAD),
    ("phi3", "f32", 2, "Megatron { pp = 2; pipeline { stages = [2, 1] } }", QUEUE),
    ("phi3", "f32", 6, "Megatron { dp = 2; tp = 3 }", WORKLOAD),
    ("phi3", "f32", 9, "Megatron { pp = 3; tp = 3; pipeline { microbatches = 2 } }", CHUNK8),
    ("phi3", "f32", 3, "DPAttention { tp = 3 }", QUEUE),
    ("phi3", "f32", 2, f"Megatron {{ tp = 2; {HEAD_DIM} }}", WORKLOAD),                          # pieces of rows of one tensor
    ("phi3", "bf16", 1, "Megatron {}", WORKLOAD),
    ("phi3", "bf16", 6, "Megatron { pp = 3; tp = 2 }", CHUNK8),

    ("phi3_long", "f32", 1, "Megatron {}", WORKLOAD),                                            # the long list of factors
    ("phi3_long", "f32", 4, "Megatron { tp = 4 }", CHUNK8),
    ("phi3_long", "f32", 4, "Megatron { dp = 2; tp = 2 }", QUEUE),
    ("phi3_long", "bf16", 2, "Megatron { dp = 2 }", WORKLOAD),
    ("phi3_short", "f32", 1, "Megatron {}", WORKLOAD),                                           # the short one, for a part of each head
    ("phi3_short", "f32", 2, "Megatron { tp = 2 }", CHUNK8),
    ("phi3_short", "f32", 4, "Megatron { tp = 4 }", WORKLOAD),
    ("phi3_short", "f32", 4, "Megatron { pp = 2; tp = 2 }", CHUNK4),
    ("phi3_short", "f32", 2, "Megatron { dp = 2 }", QUEUE),
    ("phi3_short", "f32", 4, "DPAttention { dp = 2; tp = 2 }", CHUNK8),
    ("phi3_short", "bf16", 1, "Megatron {}", WORKLOAD),
    ("phi3_short", "bf16", 4, "Megatron { pp = 2; tp = 2 }", WORKLOAD),
    ("gpt2", "f32", 1, "Megatron {}", WORKLOAD),                                                 # positions have embeddings
    ("gpt2", "f32", 2, "Megatron { tp = 2 }", CHUNK8),
    ("gpt2", "f32", 6, "Megatron { tp = 6 }", WORKLOAD),
    ("gpt2", "f32", 3, f"Megatron {{ tp = 3; {NO_SP} }}", CHUNK4),
    ("gpt2", "f32", 2, "Megatron { tp = 2; place -> tp }", WORKLOAD),                            # the table of positions is cut
    ("gpt2", "f32", 2, "Megatron { pp = 2 }", QUEUE),
    ("gpt2", "f32", 6, "Megatron { dp = 2; tp = 3 }", WORKLOAD),
    ("gpt2", "f32", 6, "Megatron { pp = 2; tp = 3; pipeline { microbatches = 2 } }", CHUNK8),
    ("gpt2", "f32", 4, "DPAttention { dp = 2; tp = 2 }", CHUNK8),
    ("gpt2", "f32", 3, "Megatron { dp = 3 }", QUEUE),
    ("gpt2", "bf16", 1, "Megatron {}", WORKLOAD),
    ("gpt2", "bf16", 4, "Megatron { pp = 2; tp = 2 }", CHUNK8),
    ("granite", "f32", 1, "Megatron {}", WORKLOAD),                                              # four factors
    ("granite", "f32", 2, "Megatron { tp = 2 }", CHUNK8),
    ("granite", "f32", 4, "Megatron { tp = 4 }", WORKLOAD),                                      # tp beyond the 2 kv heads
    ("granite", "f32", 2, f"Megatron {{ tp = 2; {NO_SP} }}", WORKLOAD),                          # sums that are pending are scaled
    ("granite", "f32", 4, "Megatron { pp = 2; tp = 2; pipeline { stages = [1, 2] } }", CHUNK4),
    ("granite", "f32", 3, "Megatron { pp = 3; pipeline { microbatches = 3 } }", QUEUE),
    ("granite", "f32", 4, "Megatron { dp = 2; tp = 2 }", WORKLOAD),
    ("granite", "f32", 12, f"Megatron {{ pp = 3; dp = 2; tp = 2; {NO_SP}; pipeline {{ microbatches = 2 }} }}", CHUNK8),
    ("granite", "f32", 2, "DPAttention { tp = 2 }", QUEUE),
    ("granite", "f32", 2, "Megatron { tp = 2; at mlp { d_model -> tp; ffn -> none } }", WORKLOAD),
    ("granite", "bf16", 1, "Megatron {}", WORKLOAD),
    ("granite", "bf16", 6, "Megatron { pp = 3; tp = 2 }", WORKLOAD),

    ("olmo2", "f32", 1, "Megatron {}", WORKLOAD),                                                # norms after attention and MLP
    ("olmo2", "f32", 2, "Megatron { tp = 2 }", CHUNK8),
    ("olmo2", "f32", 8, "Megatron { tp = 8 }", WORKLOAD),                                        # tp beyond the 4 kv heads
    ("olmo2", "f32", 4, f"Megatron {{ tp = 4; {NO_SP} }}", WORKLOAD),                            # sums come before their norms
    ("olmo2", "f32", 4, "Megatron { pp = 2; tp = 2; pipeline { stages = [1, 2] } }", CHUNK4),
    ("olmo2", "f32", 3, "Megatron { pp = 3; pipeline { microbatches = 3 } }", QUEUE),
    ("olmo2", "f32", 4, "Megatron { dp = 2; tp = 2 }", WORKLOAD),
    ("olmo2", "f32", 12, "Megatron { pp = 3; dp = 2; tp = 2; pipeline { microbatches = 2 } }", CHUNK8),
    ("olmo2", "f32", 4, "DPAttention { dp = 2; tp = 2 }", QUEUE),
    ("olmo2", "f32", 2, f"Megatron {{ tp = 2; {HEAD_DIM} }}", WORKLOAD),
    ("olmo2", "bf16", 1, "Megatron {}", WORKLOAD),
    ("olmo2", "bf16", 6, "Megatron { pp = 3; tp = 2 }", WORKLOAD),

    ("glm4", "f32", 1, "Megatron {}", WORKLOAD),                                                 # a part of each head, neighbours
    ("glm4", "f32", 3, "Megatron { tp = 3 }", CHUNK8),
    ("glm4", "f32", 6, "Megatron { tp = 6 }", WORKLOAD),                                         # tp beyond the 3 kv heads
    ("glm4", "f32", 2, f"Megatron {{ tp = 2; {NO_SP} }}", WORKLOAD),
    ("glm4", "f32", 4, "Megatron { pp = 2; tp = 2; pipeline { stages = [2, 1] } }", CHUNK4),
    ("glm4", "f32", 3, "Megatron { pp = 3; pipeline { microbatches = 3 } }", QUEUE),
    ("glm4", "f32", 4, "Megatron { dp = 2; tp = 2 }", WORKLOAD),
    ("glm4", "f32", 12, "Megatron { pp = 2; dp = 2; tp = 3; pipeline { stages = [1, 2]; microbatches = 2 } }", CHUNK8),
    ("glm4", "f32", 6, "DPAttention { dp = 2; tp = 3 }", QUEUE),
    ("glm4", "f32", 2, f"Megatron {{ tp = 2; {CONTEXT} }}", CHUNK8),
    ("glm4", "bf16", 1, "Megatron {}", WORKLOAD),
    ("glm4", "bf16", 6, "Megatron { pp = 3; tp = 2 }", WORKLOAD),

    ("glm4_moe", "f32", 1, "Megatron {}", WORKLOAD),                                             # a part of each head, halves
    ("glm4_moe", "f32", 2, "Megatron { tp = 2 }", CHUNK8),
    ("glm4_moe", "f32", 4, "Megatron { tp = 4 }", WORKLOAD),                                     # tp beyond the 2 kv heads
    ("glm4_moe", "f32", 2, f"Megatron {{ tp = 2; {NO_SP} }}", WORKLOAD),
    ("glm4_moe", "f32", 8, "Megatron { ep = 4; tp = 2 }", WORKLOAD),
    ("glm4_moe", "f32", 4, "Megatron { ep = 2; tp = 2; moe { capacity = 0.5 } }", QUEUE),
    ("glm4_moe", "f32", 4, "Megatron { pp = 2; tp = 2; pipeline { stages = [1, 2] } }", CHUNK4), # cut where layers change
    ("glm4_moe", "f32", 3, "Megatron { pp = 3; pipeline { microbatches = 3 } }", WORKLOAD),
    ("glm4_moe", "f32", 8, "FoldedEP { dp = 2; ep = 2; tp = 2 }", WORKLOAD),
    ("glm4_moe", "f32", 4, "DPAttention { dp = 2; tp = 2 }", CHUNK8),
    ("glm4_moe", "bf16", 1, "Megatron {}", WORKLOAD),
    ("glm4_moe", "bf16", 6, "Megatron { pp = 3; ep = 2 }", WORKLOAD),

    ("granitemoe", "f32", 1, "Megatron {}", WORKLOAD),                                           # gates and ups in one tensor
    ("granitemoe", "f32", 2, "Megatron { tp = 2 }", CHUNK8),                                     # cut in both of its parts
    ("granitemoe", "f32", 4, "Megatron { tp = 4 }", WORKLOAD),
    ("granitemoe", "f32", 2, f"Megatron {{ tp = 2; {NO_SP} }}", WORKLOAD),                       # sums that are pending are scaled
    ("granitemoe", "f32", 8, "Megatron { ep = 8 }", WORKLOAD),
    ("granitemoe", "f32", 4, "Megatron { ep = 2; tp = 2; moe { capacity = 0.5 } }", QUEUE),
    ("granitemoe", "f32", 3, "Megatron { pp = 3; pipeline { microbatches = 3 } }", CHUNK4),
    ("granitemoe", "f32", 4, f"Megatron {{ pp = 2; tp = 2; {FOLDED}; pipeline {{ stages = [1, 2] }} }}", WORKLOAD),
    ("granitemoe", "f32", 8, "FoldedEP { dp = 2; ep = 2; tp = 2 }", WORKLOAD),
    ("granitemoe", "f32", 4, "DPAttention { dp = 2; tp = 2 }", CHUNK8),
    ("granitemoe", "bf16", 1, "Megatron {}", WORKLOAD),
    ("granitemoe", "bf16", 6, "Megatron { pp = 3; ep = 2 }", WORKLOAD),

    ("qwen2_moe", "f32", 1, "Megatron {}", WORKLOAD),                                            # a shared expert with a gate
    ("qwen2_moe", "f32", 2, "Megatron { tp = 2 }", CHUNK8),
    ("qwen2_moe", "f32", 8, "Megatron { tp = 8; at moe { expert_ffn -> none; expert -> tp } }", WORKLOAD),  # tp beyond the 4 kv heads
    ("qwen2_moe", "f32", 2, f"Megatron {{ tp = 2; {NO_SP} }}", WORKLOAD),                        # the gate scales a pending sum
    ("qwen2_moe", "f32", 8, "Megatron { ep = 4; tp = 2 }", WORKLOAD),
    ("qwen2_moe", "f32", 4, "Megatron { ep = 2; tp = 2; moe { capacity = 0.5 } }", QUEUE),
    ("qwen2_moe", "f32", 3, "Megatron { pp = 3; pipeline { microbatches = 3 } }", CHUNK4),
    ("qwen2_moe", "f32", 4, f"Megatron {{ pp = 2; tp = 2; {FOLDED}; pipeline {{ stages = [1, 2] }} }}", WORKLOAD),
    ("qwen2_moe", "f32", 8, "FoldedEP { dp = 2; ep = 2; tp = 2 }", WORKLOAD),
    ("qwen2_moe", "f32", 4, "DPAttention { dp = 2; tp = 2 }", CHUNK8),
    ("qwen2_moe", "bf16", 1, "Megatron {}", WORKLOAD),
    ("qwen2_moe", "bf16", 6, "Megatron { pp = 3; ep = 2 }", WORKLOAD),

    ("minimax_m2", "f32", 1, "Megatron {}", WORKLOAD),                                           # norms over all heads, parts rotated
    ("minimax_m2", "f32", 2, "Megatron { tp = 2 }", CHUNK8),
    ("minimax_m2", "f32", 4, f"Megatron {{ tp = 4; {NO_SP} }}", WORKLOAD),
    ("minimax_m2", "f32", 8, "Megatron { tp = 8; at moe { expert_ffn -> none; expert -> tp } }", WORKLOAD),  # tp beyond the 4 kv heads
    ("minimax_m2", "f32", 8, "Megatron { ep = 4; tp = 2 }", WORKLOAD),
    ("minimax_m2", "f32", 4, "Megatron { ep = 2; tp = 2; moe { capacity = 0.5 } }", QUEUE),
    ("minimax_m2", "f32", 3, "Megatron { pp = 3; pipeline { microbatches = 3 } }", CHUNK4),
    ("minimax_m2", "f32", 4, f"Megatron {{ pp = 2; tp = 2; {FOLDED}; pipeline {{ stages = [1, 2] }} }}", WORKLOAD),
    ("minimax_m2", "f32", 8, "FoldedEP { dp = 2; ep = 2; tp = 2 }", WORKLOAD),
    ("minimax_m2", "f32", 4, "DPAttention { dp = 2; tp = 2 }", CHUNK8),
    ("minimax_m2", "bf16", 1, "Megatron {}", WORKLOAD),
    ("minimax_m2", "bf16", 6, "Megatron { pp = 3; ep = 2 }", WORKLOAD),

    ("ernie4_5", "f32", 1, "Megatron {}", WORKLOAD),                                             # neighbours rotated as pairs
    ("ernie4_5", "f32", 2, "Megatron { tp = 2 }", CHUNK8),
    ("ernie4_5", "f32", 4, "Megatron { tp = 4 }", WORKLOAD),                                     # tp beyond the 2 kv heads
    ("ernie4_5", "f32", 2, f"Megatron {{ tp = 2; {NO_SP} }}", WORKLOAD),
    ("ernie4_5", "f32", 4, "Megatron { pp = 2; tp = 2; pipeline { stages = [2, 1] } }", CHUNK4),
    ("ernie4_5", "f32", 3, "Megatron { pp = 3; pipeline { microbatches = 3 } }", QUEUE),
    ("ernie4_5", "f32", 4, "Megatron { dp = 2; tp = 2 }", WORKLOAD),
    ("ernie4_5", "f32", 12, "Megatron { pp = 3; dp = 2; tp = 2; pipeline { microbatches = 2 } }", CHUNK8),
    ("ernie4_5", "f32", 4, "DPAttention { dp = 2; tp = 2 }", QUEUE),
    ("ernie4_5", "f32", 2, f"Megatron {{ tp = 2; {CONTEXT} }}", CHUNK8),
    ("ernie4_5", "bf16", 1, "Megatron {}", WORKLOAD),
    ("ernie4_5", "bf16", 6, "Megatron { pp = 3; tp = 2 }", WORKLOAD),

    ("ernie4_5_moe", "f32", 1, "Megatron {}", WORKLOAD),                                         # softmax and a bias, shared experts
    ("ernie4_5_moe", "f32", 2, "Megatron { tp = 2 }", CHUNK8),
    ("ernie4_5_moe", "f32", 4, f"Megatron {{ tp = 4; {NO_SP} }}", WORKLOAD),
    ("ernie4_5_moe", "f32", 8, "Megatron { tp = 8; at moe { expert_ffn -> none; expert -> tp } }", WORKLOAD),  # tp beyond the 4 kv heads
    ("ernie4_5_moe", "f32", 8, "Megatron { ep = 4; tp = 2 }", WORKLOAD),
    ("ernie4_5_moe", "f32", 4, "Megatron { ep = 2; tp = 2; moe { capacity = 0.5 } }", QUEUE),
    ("ernie4_5_moe", "f32", 3, "Megatron { pp = 3; pipeline { microbatches = 3 } }", CHUNK4),
    ("ernie4_5_moe", "f32", 4, "Megatron { pp = 2; tp = 2; pipeline { stages = [1, 2] } }", WORKLOAD),  # cut where layers change
    ("ernie4_5_moe", "f32", 8, "FoldedEP { dp = 2; ep = 2; tp = 2 }", WORKLOAD),
    ("ernie4_5_moe", "f32", 4, "DPAttention { dp = 2; tp = 2 }", CHUNK8),
    ("ernie4_5_moe", "bf16", 1, "Megatron {}", WORKLOAD),
    ("ernie4_5_moe", "bf16", 6, "Megatron { pp = 3; ep = 2 }", WORKLOAD),

    ("deepseek_v2", "f32", 1, "Megatron {}", WORKLOAD),                                          # queries of full rank, softmax
    ("deepseek_v2", "f32", 2, "Megatron { tp = 2 }", CHUNK8),
    ("deepseek_v2", "f32", 8, "Megatron { tp = 8; at moe { expert_ffn -> none; expert -> tp } }", WORKLOAD),  # one head a rank
    ("deepseek_v2", "f32", 4, f"Megatron {{ tp = 4; {NO_SP} }}", WORKLOAD),
    ("deepseek_v2", "f32", 4, "Megatron { pp = 2; tp = 2; pipeline { stages = [1, 2] } }", WORKLOAD),  # cut where layers change
    ("deepseek_v2", "f32", 3, "Megatron { pp = 3; pipeline { microbatches = 3 } }", CHUNK4),
    ("deepseek_v2", "f32", 8, "Megatron { ep = 4; tp = 2 }", WORKLOAD),
    ("deepseek_v2", "f32", 4, "Megatron { ep = 2; tp = 2; moe { capacity = 0.5 } }", QUEUE),
    ("deepseek_v2", "f32", 8, "FoldedEP { dp = 2; ep = 2; tp = 2 }", WORKLOAD),
    ("deepseek_v2", "f32", 4, "DPAttention { dp = 2; tp = 2 }", CHUNK8),
    ("deepseek_v2", "f32", 2, "DPAttention { tp = 2 }", WORKLOAD, EXPANDED),
    ("deepseek_v2", "bf16", 1, "Megatron {}", WORKLOAD),
    ("deepseek_v2", "bf16", 6, "Megatron { pp = 3; ep = 2 }", WORKLOAD),
    ("deepseek_v2_groups", "f32", 1, "Megatron {}", WORKLOAD),                  # queries of low rank, groups ranked by their best expert
    ("deepseek_v2_groups", "f32", 2, "Megatron { tp = 2 }", CHUNK8),
    ("deepseek_v2_groups", "f32", 4, "Megatron { tp = 4; at moe { expert_ffn -> none; expert -> tp } }", WORKLOAD),
    ("deepseek_v2_groups", "f32", 4, f"Megatron {{ tp = 4; {NO_SP} }}", WORKLOAD),
    ("deepseek_v2_groups", "f32", 4, "Megatron { pp = 2; tp = 2; pipeline { stages = [2, 1] } }", WORKLOAD),
    ("deepseek_v2_groups", "f32", 3, "Megatron { pp = 3; pipeline { microbatches = 3 } }", CHUNK4),
    ("deepseek_v2_groups", "f32", 8, "Megatron { ep = 8 }", WORKLOAD),
    ("deepseek_v2_groups", "f32", 4, "Megatron { ep = 2; tp = 2; moe { capacity = 0.5 } }", QUEUE),
    ("deepseek_v2_groups", "f32", 8, "FoldedEP { dp = 2; ep = 2; tp = 2 }", WORKLOAD),
    ("deepseek_v2_groups", "f32", 4, "DPAttention { dp = 2; tp = 2 }", CHUNK8),
    ("deepseek_v2_groups", "bf16", 1, "Megatron {}", WORKLOAD),
    ("deepseek_v2_groups", "bf16", 6, "Megatron { pp = 3; ep = 2 }", WORKLOAD),

    ("ernie4_5_moe_alone", "f32", 1, "Megatron {}", WORKLOAD),                  # no shared expert
    ("ernie4_5_moe_alone", "f32", 4, "Megatron { ep = 2; tp = 2 }", CHUNK8),
    ("ernie4_5_moe_alone", "f32", 2, "Megatron { pp = 2 }", WORKLOAD),
    ("ernie4_5_moe_alone", "bf16", 4, "FoldedEP { ep = 2; tp = 2 }", WORKLOAD),
    ("qwen2_yarn", "f32", 1, "Megatron {}", WORKLOAD),
    ("qwen2_yarn", "f32", 4, "Megatron { tp = 4 }", CHUNK8),
    ("qwen2_yarn", "f32", 2, "Megatron { pp = 2 }", CHUNK4),
    ("qwen2_yarn", "bf16", 2, "Megatron { dp = 2 }", WORKLOAD),
    ("qwen3_vl", "f32", 1, "Megatron {}", WORKLOAD),                            # the checkpoint of a larger model
    ("qwen3_vl", "f32", 2, "Megatron { tp = 2 }", CHUNK8),
    ("qwen3_vl", "f32", 3, f"Megatron {{ tp = 3; {NO_SP} }}", WORKLOAD),
    ("qwen3_vl", "f32", 6, "Megatron { tp = 6 }", WORKLOAD),
    ("qwen3_vl", "f32", 2, "Megatron { pp = 2 }", CHUNK4),
    ("qwen3_vl", "f32", 4, "Megatron { pp = 2; tp = 2; pipeline { microbatches = 2 } }", WORKLOAD),
    ("qwen3_vl", "f32", 2, "Megatron { dp = 2 }", QUEUE),
    ("qwen3_vl", "f32", 4, "Megatron { dp = 2; tp = 2 }", CHUNK8),
    ("qwen3_vl", "f32", 4, "DPAttention { dp = 2; tp = 2 }", CHUNK8),
    ("qwen3_vl", "f32", 4, "Megatron { dp = 2; pp = 2 }", WORKLOAD),
    ("qwen3_vl", "bf16", 1, "Megatron {}", WORKLOAD),
    ("qwen3_vl", "bf16", 6, "Megatron { pp = 2; tp = 3 }", WORKLOAD),
    ("qwen3_vl_moe", "f32", 1, "Megatron {}", WORKLOAD),                        # experts of a layer in two tensors
    ("qwen3_vl_moe", "f32", 2, "Megatron { tp = 2 }", CHUNK8),
    ("qwen3_vl_moe", "f32", 4, "Megatron { tp = 4; at moe { expert_ffn -> none; expert -> tp } }", WORKLOAD),
    ("qwen3_vl_moe", "f32", 4, f"Megatron {{ tp = 4; {NO_SP} }}", WORKLOAD),
    ("qwen3_vl_moe", "f32", 4, "Megatron { pp = 2; tp = 2 }", WORKLOAD),
    ("qwen3_vl_moe", "f32", 2, "Megatron { pp = 2; pipeline { microbatches = 3 } }", CHUNK4),
    ("qwen3_vl_moe", "f32", 8, "Megatron { ep = 8 }", WORKLOAD),
    ("qwen3_vl_moe", "f32", 4, "Megatron { ep = 2; tp = 2; moe { capacity = 0.5 } }", QUEUE),
    ("qwen3_vl_moe", "f32", 8, "FoldedEP { dp = 2; ep = 2; tp = 2 }", WORKLOAD),
    ("qwen3_vl_moe", "f32", 4, "DPAttention { dp = 2; tp = 2 }", CHUNK8),
    ("qwen3_vl_moe", "bf16", 1, "Megatron {}", WORKLOAD),
    ("qwen3_vl_moe", "bf16", 4, "Megatron { pp = 2; ep = 2 }", WORKLOAD),
    ("qwen3_yarn", "f32", 1, "Megatron {}", WORKLOAD),                                           # frequencies for longer contexts
    ("qwen3_yarn", "f32", 6, "Megatron { tp = 6 }", CHUNK8),
    ("qwen3_yarn", "f32", 6, "Megatron { pp = 2; tp = 3 }", QUEUE),
    ("qwen3_yarn", "bf16", 1, "Megatron {}", WORKLOAD),
    ("qwen3_moe_yarn", "f32", 1, "Megatron {}", WORKLOAD),
    ("qwen3_moe_yarn", "f32", 3, "Megatron { tp = 3 }", CHUNK8),
    ("qwen3_moe_yarn", "f32", 4, "Megatron { pp = 2; ep = 2 }", QUEUE),
    ("qwen3_moe_yarn", "bf16", 1, "Megatron {}", WORKLOAD),

    ("gemma3", "f32", 1, "Megatron {}", WORKLOAD),                                               # windows, two sets of frequencies
    ("gemma3", "f32", 2, "Megatron { tp = 2 }", SLIDE),                                          # chunks shorter than the window
    ("gemma3", "f32", 3, f"Megatron {{ tp = 3; {NO_SP} }}", WORKLOAD),
    ("gemma3", "f32", 6, "Megatron { tp = 6 }", WORKLOAD),                                       # tp beyond the 3 kv heads
    ("gemma3", "f32", 4, "Megatron { pp = 2; tp = 2; pipeline { stages = [3, 1] } }", WORKLOAD), # cut where layers change
    ("gemma3", "f32", 2, "Megatron { pp = 2; pipeline { stages = [1, 3] } }", QUEUE),
    ("gemma3", "f32", 4, "Megatron { pp = 4; pipeline { microbatches = 4 } }", WORKLOAD),
    ("gemma3", "f32", 6, "Megatron { dp = 3; tp = 2; pipeline { microbatches = 2 } }", WORKLOAD),
    ("gemma3", "f32", 12, "Megatron { pp = 2; dp = 2; tp = 3; pipeline { microbatches = 2 } }", TIGHT2),
    ("gemma3", "f32", 6, "Megatron { dp = 2; tp = 3; at mlp { d_model -> tp; ffn -> none } }", SLIDE),
    ("gemma3", "f32", 2, f"Megatron {{ tp = 2; {CONTEXT} }}", TIGHT),
    ("gemma3", "f32", 3, "DPAttention { tp = 3 }", QUEUE),
    ("gemma3", "f32", 6, "DPAttention { dp = 2; tp = 3 }", WORKLOAD),
    ("gemma3", "f32", 12, "VLLM { dp = 2; pp = 2; tp = 3 }", WORKLOAD),
    ("gemma3", "bf16", 1, "Megatron {}", WORKLOAD),
    ("gemma3", "bf16", 6, "Megatron { pp = 2; tp = 3 }", CHUNK8),

    ("gemma2", "f32", 1, "Megatron {}", WORKLOAD),                                               # soft caps of scores and of logits
    ("gemma2", "f32", 2, "Megatron { tp = 2 }", CHUNK8),
    ("gemma2", "f32", 3, f"Megatron {{ tp = 3; {NO_SP} }}", WORKLOAD),
    ("gemma2", "f32", 6, "Megatron { tp = 6 }", WORKLOAD),                                       # tp beyond the 3 kv heads
    ("gemma2", "f32", 3, f"Megatron {{ tp = 3; {CONTEXT} }}", CHUNK8),                           # over caches in pieces
    ("gemma2", "f32", 2, "Megatron { pp = 2; pipeline { stages = [1, 3] } }", QUEUE),            # cut after a window
    ("gemma2", "f32", 8, "Megatron { pp = 4; tp = 2; pipeline { microbatches = 4 } }", WORKLOAD),
    ("gemma2", "f32", 6, "Megatron { dp = 3; tp = 2; pipeline { microbatches = 2 } }", WORKLOAD),
    ("gemma2", "f32", 3, "DPAttention { tp = 3 }", QUEUE),
    ("gemma2", "f32", 12, "VLLM { dp = 2; pp = 2; tp = 3 }", WORKLOAD),
    ("gemma2", "bf16", 1, "Megatron {}", WORKLOAD),
    ("gemma2", "bf16", 6, "Megatron { pp = 2; tp = 3 }", CHUNK8),

    ("llama4", "f32", 1, "Megatron {}", WORKLOAD),                                               # chunks of positions, one expert
    ("llama4", "f32", 3, "Megatron { tp = 3 }", CHUNK8),                                         # steps that begin within a chunk
    ("llama4", "f32", 2, f"Megatron {{ tp = 2; {NO_SP} }}", WORKLOAD),
    ("llama4", "f32", 6, "Megatron { tp = 6 }", WORKLOAD),                                       # tp beyond the 3 kv heads
    ("llama4", "f32", 3, f"Megatron {{ tp = 3; {CONTEXT} }}", CHUNK8),                           # chunks over caches in pieces
    ("llama4", "f32", 6, "Megatron { pp = 2; tp = 3; pipeline { stages = [3, 1] } }", WORKLOAD),
    ("llama4", "f32", 4, "Megatron { pp = 4; pipeline { microbatches = 4 } }", QUEUE),
    ("llama4", "f32", 8, "Megatron { ep = 8 }", WORKLOAD),
    ("llama4", "f32", 6, "Megatron { ep = 2; tp = 3; moe { capacity = 0.5 } }", QUEUE),          # an exchange in rounds
    ("llama4", "f32", 8, "FoldedEP { dp = 2; ep = 2; tp = 2 }", CHUNK4),
    ("llama4", "f32", 4, "DPAttention { dp = 2; tp = 2 }", WORKLOAD),
    ("llama4", "bf16", 1, "Megatron {}", WORKLOAD),
    ("llama4", "bf16", 6, "Megatron { pp = 2; tp = 3 }", CHUNK8),

    ("gpt_oss", "f32", 1, "Megatron {}", WORKLOAD),                                              # sinks, windows, biases
    ("gpt_oss", "f32", 1, "Megatron {}", CHUNK8),                                                # chunks longer than the window
    ("gpt_oss", "f32", 2, "Megatron { tp = 2 }", SLIDE) ,                                        # and shorter
    ("gpt_oss", "f32", 8, "Megatron { tp = 8 }", WORKLOAD),                                      # tp beyond the 4 kv heads
    ("gpt_oss", "f32", 4, f"Megatron {{ tp = 4; {NO_SP} }}", WORKLOAD),
    ("gpt_oss", "f32", 8, "Megatron { ep = 8 }", WORKLOAD),                                      # one expert a rank
    ("gpt_oss", "f32", 4, "Megatron { ep = 2; tp = 2; moe { capacity = 0.5 } }", WORKLOAD),
    ("gpt_oss", "f32", 2, "Megatron { pp = 2; pipeline { stages = [1, 2] } }", QUEUE),           # cut after a window, and before one
    ("gpt_oss", "f32", 4, "Megatron { pp = 2; tp = 2; pipeline { stages = [2, 1] } }", TIGHT),
    ("gpt_oss", "f32", 3, "Megatron { pp = 3; pipeline { microbatches = 4 } }", WORKLOAD),
    ("gpt_oss", "f32", 6, f"Megatron {{ pp = 3; tp = 2; {FOLDED} }}", WORKLOAD),
    ("gpt_oss", "f32", 8, f"Megatron {{ dp = 2; ep = 2; tp = 2; {NO_SP} }}", CHUNK4),
    ("gpt_oss", "f32", 8, "FoldedEP { dp = 2; ep = 2; tp = 2 }", WORKLOAD),
    ("gpt_oss", "f32", 24, "FoldedEP { pp = 3; dp = 2; tp = 4; pipeline { microbatches = 2 } }", CHUNK8),
    ("gpt_oss", "f32", 2, "Megatron { tp = 2; at moe { d_model -> tp; expert_ffn -> none } }", WORKLOAD),  # sums of experts' rows
    ("gpt_oss", "f32", 2, "DPAttention { tp = 2 }", TIGHT2),
    ("gpt_oss", "f32", 8, "DPAttention { dp = 2; tp = 4 }", WORKLOAD),
    ("gpt_oss", "f32", 12, "VLLM { dp = 2; pp = 3; tp = 2 }", WORKLOAD),
    ("gpt_oss", "f32", 4, "VLLM_EP { dp = 2; tp = 2 }", CHUNK8),
    ("gpt_oss", "f32", 4, "SGLang { dp = 2; tp = 2 }", WORKLOAD),
    ("gpt_oss", "bf16", 1, "Megatron {}", CHUNK8),
    ("gpt_oss", "bf16", 12, "Megatron { pp = 3; ep = 2; tp = 2 }", WORKLOAD),
    ("gpt_oss", "bf16", 8, "FoldedEP { ep = 2; tp = 4 }", WORKLOAD),

    ("deepseek", "f32", 1, "Megatron {}", WORKLOAD),                                             # latent cache, dense first layer
    ("deepseek", "f32", 2, "Megatron { tp = 2 }", CHUNK8),
    ("deepseek", "f32", 8, "Megatron { tp = 8 }", WORKLOAD),                                     # one head a rank
    ("deepseek", "f32", 4, f"Megatron {{ tp = 4; {NO_SP} }}", WORKLOAD),
    ("deepseek", "f32", 4, "Megatron { pp = 2; tp = 2; pipeline { stages = [1, 3] } }", WORKLOAD),     # cut where layers change
    ("deepseek", "f32", 4, "Megatron { pp = 2; ep = 2; pipeline { stages = [3, 1]; microbatches = 2 } }", CHUNK8),
    ("deepseek", "f32", 8, "Megatron { pp = 2; ep = 2; tp = 2; moe { capacity = 0.5 } }", WORKLOAD),
    ("deepseek", "f32", 8, "FoldedEP { ep = 2; tp = 4 }", WORKLOAD),
    ("deepseek", "f32", 16, "FoldedEP { pp = 2; dp = 2; ep = 2; tp = 2; pipeline { microbatches = 2 } }", WORKLOAD),
    ("deepseek", "f32", 4, "DPAttention { dp = 2; tp = 2 }", WORKLOAD),
    ("deepseek", "f32", 16, "DPAttention { dp = 4; tp = 4 }", WORKLOAD),                         # one expert a rank
    ("deepseek", "f32", 16, "DPAttention { pp = 2; dp = 2; tp = 4; pipeline { stages = [1, 3] } }", CHUNK8),
    ("deepseek", "f32", 8, "DPAttention { dp = 2; tp = 4; at moe { batch -> none; expert -> dp * tp } }", WORKLOAD),
    ("deepseek", "f32", 2, "DPAttention { tp = 2 }", QUEUE),
    ("deepseek", "f32", 4, "Megatron { tp = 4; at attn { ctx -> tp } }", QUEUE),                 # latent cache in pieces: pages
    ("deepseek", "f32", 2, "Megatron { tp = 2; at attn { heads -> none; latent -> tp } }", CHUNK8),    # and features
    ("deepseek", "f32", 1, "Megatron {}", WORKLOAD, EXPANDED),                                   # keys and values of each head
    ("deepseek", "f32", 4, "Megatron { tp = 4 }", CHUNK8, EXPANDED),
    ("deepseek", "bf16", 1, "Megatron {}", WORKLOAD),
    ("deepseek", "bf16", 8, "DPAttention { dp = 2; tp = 4 }", WORKLOAD),
]


def check_memory(run, ranks):
    if sorted(run.memory) != list(range(ranks)):
        raise Failed(f"{len(run.memory)} of {ranks} ranks say what they allocated")
    for rank, (planned, allocated) in run.memory.items():
        if planned != allocated:
            raise Failed(f"rank {rank} planned {planned} B and allocated {allocated} B")


def check_tokens(run, expected):
    for i in sorted(set(BATCH)):
        got = run.of(expected.prompts[i])
        if len(got) != BATCH.count(i):
            raise Failed(f"prompt {i} was printed {len(got)} times, {BATCH.count(i)} were asked for")
        for tokens in got:
            if tokens != expected.tokens[i].tolist():
                raise Failed(f"prompt {i} continues {tokens}, transformers says {expected.tokens[i].tolist()}")


def check_f32(run, logits, expected):
    truth = expected.logits[BATCH]
    error = np.abs(logits - truth).max() / np.abs(truth).max()
    if not error <= TOLERANCE:
        worst = np.unravel_index(np.nanargmax(np.abs(logits - truth)), truth.shape)
        raise Failed(f"logits are off by {error:.1e} of the largest, first at step {worst[1]} of prompt {BATCH[worst[0]]}")
    check_tokens(run, expected)
    return f"error {error:.1e}"


def check_16_bits(dtype, logits, expected):
    """Against the f32 truth, at most twice the error of transformers in bf16, of which f16 makes an eighth, as long as the tokens
    agree: once they differ, so do the inputs. Where experts are chosen, rounding may choose another one: a single row may then be further
    off."""
    allowed = {"bf16": 1, "f16": 1 / 8}[dtype]
    ours, theirs = [], []
    for row, i in enumerate(BATCH):
        different = np.flatnonzero(logits[row].argmax(-1) != expected.tokens[i])
        steps = different[0] + 1 if different.size else len(logits[row])
        ours.append(logits[row, :steps] - expected.logits[i, :steps])
        theirs.append(expected.logits_bf16[i, :steps] - expected.logits[i, :steps])
    ours, theirs = np.concatenate(ours), np.concatenate(theirs)
    ratio = np.sqrt((ours ** 2).mean() / (theirs ** 2).mean())
    largest = np.abs(ours).max() / np.abs(theirs).max()
    note = f"error {ratio:.2f} times that of transformers in bf16, the largest {largest:.2f} times, {len(ours)} rows"
    if not (ratio <= 2 * allowed and largest <= (4 if expected.summary["route_margin"] else 2) * allowed):
        raise Failed(note)
    return note


def run_spec(folder, name, text, model, dtype, ranks):
    """Compiles a spec of a fixture's model, and compares results and allocations."""
    expected = Expected(model)
    launcher = compile_spec(text, folder, name)
    steps, vocab = expected.logits.shape[1:]
    prompts = [expected.prompts[i] for i in BATCH]
    run, logits = run_launcher(launcher, model, prompts, steps, folder, threads=THREADS if ranks <= 2 else 1)
    _, again = run_launcher(launcher, model, prompts, steps, folder)
    launcher.unlink()
    if (again != logits).any():
        raise Failed("a second run gives other bits")
    if logits.shape != (len(BATCH), steps, vocab) or logits.dtype != np.float32:
        raise Failed(f"logits are {logits.dtype}{list(logits.shape)}")
    note = check_f32(run, logits, expected) if dtype == "f32" else check_16_bits(dtype, logits, expected)
    check_memory(run, ranks)
    return note


def run_mesh(folder, number, case):
    model, dtype, ranks, plan, workload, *refine = case
    return run_spec(folder, f"mesh{number}", spec(model, ranks, plan, dtype, workload, *refine), model, dtype, ranks)


def name_of(case):
    model, dtype, ranks, plan, workload, *refine = case
    return ", ".join((f"{model} {dtype} on {ranks:2}: {plan}" + WORKLOADS[workload], *refine))


def main(chosen):
    """chosen(name, case): whether it runs"""
    need_deployc()
    report = Report()
    with Folder() as folder:
        report.check_at_once((name_of(case), functools.partial(run_mesh, folder, number, case)) for number, case in enumerate(MESHES)
                             if chosen(name_of(case), case))
    return report.end()


if __name__ == "__main__":
    sys.exit(main(lambda name, case: not sys.argv[1:] or any(word in name for word in sys.argv[1:])))
