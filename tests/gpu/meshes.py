#!/usr/bin/env python3
"""Launchers of --target=cuda on a spread of meshes: of each family of tests/fixtures f32 on one rank, and at least one plan on several.
tests/e2e/run_meshes.py compares them: tokens and logits of transformers, in f32 within 2e-5, in 16 bits within its bound.

    meshes.py            the spread: the step `cuda` of `make check`
    meshes.py --all      all fixtures on all their meshes: `make test-gpu`
"""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import run_meshes

# The beginnings of meshes on several ranks.
SPREAD = (
    "llama f32 on  8: Megatron { pp = 2; dp = 2; tp = 2; at residual", "llama f32 on  2: Megatron { tp = 2; at mlp", "llama f16 on  2",
    "mixtral bf16 on  8: Megatron { pp = 2; ep = 2; tp = 2 }", "mixtral f32 on  8: FoldedEP", "mixtral f16 on  4",
    "qwen3 bf16 on  6", "qwen3_moe bf16 on  6", "qwen3_yarn f32 on  6: Megatron { pp = 2", "qwen3_moe_yarn f32 on  4",
    "qwen3_vl f32 on  2: Megatron { tp = 2 }", "qwen3_vl_moe bf16 on  4",
    "qwen2 bf16 on  6", "qwen2_moe f32 on  4: Megatron { ep = 2", "qwen2_yarn bf16 on  2",
    "olmoe f32 on  2", "olmo2 f32 on  4: Megatron { dp = 2",
    "mistral f32 on  2: Megatron { pp = 2", "phi3 bf16 on  6", "phi3_long bf16 on  2", "phi3_short bf16 on  4", "gpt2 bf16 on  4",
    "granite f32 on  2: Megatron { tp = 2; at residual", "granitemoe bf16 on  6",
    "glm4 f32 on  3: Megatron { tp = 3 }", "glm4_moe bf16 on  6", "minimax_m2 bf16 on  6",
    "ernie4_5 f32 on  2: Megatron { tp = 2; at attn", "ernie4_5_moe bf16 on  6", "ernie4_5_moe_alone bf16 on  4",
    "gemma2 bf16 on  6", "gemma3 bf16 on  6", "llama4 bf16 on  6", "gpt_oss bf16 on  8",
    "deepseek bf16 on  8", "deepseek_v2 bf16 on  6", "deepseek_v2_groups f32 on  2",
)


def is_there(what, there):
    if not there:
        sys.exit(f"FAIL the spread of meshes has no {what}")


def check_spread():
    """Each family on one rank and on several, half of them in bf16 on several; each kind of parallelism."""
    cases = [case for case in run_meshes.MESHES if run_meshes.name_of(case).startswith(SPREAD)]
    families = {case[0] for case in run_meshes.MESHES}
    for family in families:
        is_there(f"{family} in f32 on one rank", any(case[:3] == (family, "f32", 1) for case in run_meshes.MESHES))
        is_there(f"{family} on several ranks", any(case[0] == family and case[2] > 1 for case in cases))
    is_there("half of the families in bf16", 2 * len({case[0] for case in cases if case[1] == "bf16"}) >= len(families))
    for dtype in ("f32", "bf16"):
        for axis in ("tp", "ep", "pp", "dp"):
            is_there(f"{dtype} with {axis}", any(case[1] == dtype and f"{axis} = " in case[3] for case in cases))
        # Megatron splits what is between its layers along seq, unless a rule cancels that.
        is_there(f"{dtype} with seq", any(case[1] == dtype and "tp = " in case[3] and "seq -> none" not in case[3] for case in cases))
    is_there("tp without seq", any("tp = " in case[3] and "seq -> none" in case[3] for case in cases))
    for beginning in SPREAD:
        is_there(beginning, any(run_meshes.name_of(case).startswith(beginning) for case in cases))


if __name__ == "__main__":
    check_spread()
    everything = "--all" in sys.argv
    sys.exit(run_meshes.main(lambda name, case: everything or case[1:3] == ("f32", 1) or name.startswith(SPREAD)))
