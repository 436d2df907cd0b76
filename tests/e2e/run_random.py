#!/usr/bin/env python3
"""Random small models, plans and workloads: a plan never changes the results. The launcher of a random valid plan gives
the logits and tokens of the model's launcher on one rank, and allocates the bytes of the plan. Weights are random. Some models have
two axes of key/value heads and two of query heads, in any order; their launcher on one rank has one of each.
A third of the plans are for the models of tests/fixtures, whose results are compared with those of transformers.

    run_random.py [CASES [SEED]]    cases: valid plans to run, 25 if not given
"""
import json
import math
import pathlib
import random
import re
import subprocess
import sys

import numpy as np

import run_meshes
from harness import DEPLOYC, MODELS, Failed, Folder, Report, compile_spec, first_line, need_deployc, run_launcher, write_safetensors
from harness import spec as fixture_spec
from heads import model_text, sizes as head_sizes, split_heads

TOLERANCE = 2e-4                # of logits, relative to the largest
STEPS = 4                       # tokens that each prompt is continued by
REFUSED = re.compile(r"error\[(E05\d\d|E060\d|E0901|E0904|E0918)\]")    # a plan that is not legal, or not built in this version


# ---- checkpoints ----------------------------------------------------------------------------------------------------
def attention_shapes(m):
    heads, kv, d = m["kv_heads"] * m["q_group"] * m["head_dim"], m["kv_heads"] * m["head_dim"], m["d_model"]
    return {"self_attn.q_proj": (heads, d), "self_attn.k_proj": (kv, d), "self_attn.v_proj": (kv, d), "self_attn.o_proj": (d, heads)}


def mlp_shapes(m):
    d = m["d_model"]
    if m["family"] == "Llama":
        return {"mlp.gate_proj": (m["ffn"], d), "mlp.up_proj": (m["ffn"], d), "mlp.down_proj": (d, m["ffn"])}
    f = m["expert_ffn"]
    shapes = {"block_sparse_moe.gate": (m["expert"], d)}
    for e in range(m["expert"]):
        shapes.update({f"block_sparse_moe.experts.{e}.{w}": (d, f) if w == "w2" else (f, d) for w in ("w1", "w2", "w3")})
    return shapes


def write_checkpoint(m, folder, rng):
    """Weights that keep activations near one, so that every operator matters for the logits."""
    matrix = lambda shape: (rng.standard_normal(shape) * 1.5 / math.sqrt(shape[-1])).astype(np.float32)
    scale = lambda: (1 + 0.3 * rng.standard_normal(m["d_model"])).astype(np.float32)
    tensors = {"model.embed_tokens.weight": rng.standard_normal((m["vocab"], m["d_model"])).astype(np.float32), "model.norm.weight": scale()}
    if not m["tied"]:
        tensors["lm_head.weight"] = matrix((m["vocab"], m["d_model"]))
    for layer in range(m["layers"]):
        at = f"model.layers.{layer}."
        tensors[at + "input_layernorm.weight"], tensors[at + "post_attention_layernorm.weight"] = scale(), scale()
        for name, shape in {**attention_shapes(m), **mlp_shapes(m)}.items():
            tensors[f"{at}{name}.weight"] = matrix(shape)
    folder.mkdir()
    write_safetensors(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps(config(m)))


def config(m):
    out = dict(model_type=m["family"].lower(), hidden_size=m["d_model"], num_hidden_layers=m["layers"],
               num_attention_heads=m["kv_heads"] * m["q_group"], num_key_value_heads=m["kv_heads"], head_dim=m["head_dim"], vocab_size=m["vocab"], rms_norm_eps=1e-5,
               rope_theta=10000.0, hidden_act="silu", tie_word_embeddings=m["tied"], rope_parameters={"rope_theta": 10000.0, "rope_type": "default"})
    if m["family"] == "Llama":
        return {**out, "intermediate_size": m["ffn"], "attention_bias": False, "mlp_bias": False}
    return {**out, "intermediate_size": m["expert_ffn"], "num_local_experts": m["expert"], "num_experts_per_tok": m["top_k"], "sliding_window": None}


# ---- what is drawn --------------------------------------------------------------------------------------------------
def random_model(r):
    m = dict(family=r.choice(["Llama", "Mixtral"]), vocab=r.choice([24, 48, 64, 96]), layers=r.randint(1, 4), d_model=r.choice([8, 12, 20, 32, 48]),
             kv_heads=r.choice([1, 2, 3, 4, 6]), q_group=r.choice([1, 2, 3, 4]), head_dim=r.choice([2, 4, 6, 8, 16]), tied=False)
    if m["family"] == "Llama":
        m.update(ffn=r.choice([8, 12, 24, 40, 48]), tied=r.random() < 0.5)
    else:
        m["expert"] = r.choice([2, 3, 4, 6, 8])
        m.update(expert_ffn=r.choice([4, 8, 12, 24]), top_k=r.randint(1, min(4, m["expert"])))
    m["split"], m["seed"] = {}, r.randrange(1000)
    if r.random() < 0.5:
        m["split"] = {"kv_heads": random_factors(r, m["kv_heads"], "kv_a", "kv_b"), "q_group": random_factors(r, m["q_group"], "q_a", "q_b")}
    return m


def random_factors(r, extent, a, b):
    parts = [d for d in range(1, extent + 1) if extent % d == 0]
    part = r.choice(parts + 3 * parts[1:-1])
    return {a: part, b: extent // part}


def head_axes(m):
    return [name for names in m["split"].values() for name in names] or ["kv_heads", "q_group"]


def random_template(r, m):
    """A template of std.plans with mesh sizes and, sometimes, some rules replaced."""
    name = r.choice(["Megatron", "Megatron", "FoldedEP", "DPAttention"])
    sizes = {axis: r.choice([1, 1, 2, 3, 4]) for axis in ["pp", "dp", "tp"] + ["ep"] * (name != "DPAttention")}
    more = [" * ".join(head_axes(m)) + " -> tp"] if m["split"] and name != "DPAttention" else []
    if name == "Megatron" and r.random() < 0.4:
        more.append("at residual { seq -> none }")
    if name == "Megatron" and m["family"] == "Mixtral" and r.random() < 0.3:
        more.append("at moe { expert -> tp; expert_ffn -> none }")
    return f"{name} {{ " + "; ".join([f"{a} = {n}" for a, n in sizes.items() if n > 1] + more + random_options(r, m, sizes["pp"])) + " }", sizes


def random_options(r, m, pp):
    pipeline, out = [], []
    if r.random() < 0.4:
        pipeline.append(f"microbatches = {r.choice([2, 3, 4])}")
    if 1 < pp <= m["layers"] and (m["layers"] % pp or r.random() < 0.3):
        cuts = sorted(r.sample(range(1, m["layers"]), pp - 1))
        pipeline.append(f"stages = {[b - a for a, b in zip([0] + cuts, cuts + [m['layers']])]}")
    if pipeline:
        out.append("pipeline { " + "; ".join(pipeline) + " }")
    if m["family"] == "Mixtral" and r.random() < 0.5:
        out.append(f"moe {{ capacity = {r.choice([0.1, 0.5, 1.0, 2.0])} }}")
    return out


MLA = ["heads", "heads", "latent", "q_rank", "kv_rank", "v_dim", "nope_dim", "rope_dim"]
INNER = {"mlp": ["batch", "seq", "ffn", "ffn", "d_model"], "moe": ["batch", "seq", "expert", "expert_ffn", "expert_ffn", "d_model", None], "shared": ["batch", "seq", "shared_ffn", "d_model"]}
REGIONS = {"Llama": ["mlp"], "Qwen3": ["mlp"], "Gemma3": ["mlp"], "DeepSeek": ["mlp", "moe", "shared"]}        # others: moe


def axes_of(family, heads):
    """The axes that a plan may split in each region of a model; `heads`: products of axes of heads."""
    attn = MLA if family == "DeepSeek" else [*heads, "head_dim"]
    return {"": ["vocab", "vocab", "row", "batch", None], "residual": ["batch", "seq", "seq", "d_model", None],
            "attn": [*attn, "d_model", "batch", "seq", "ctx", None], **{inner: INNER[inner] for inner in REGIONS.get(family, ["moe"])}}


def random_rules(r, family, heads=("kv_heads", "q_group"), split=False):
    """A plan without a template: in every region, mesh axes are assigned to axes of the model at random."""
    sizes = {axis: r.choice([2, 2, 3]) for axis in "abc"[:r.randint(1, 3)]}
    some = lambda: " * ".join(r.sample(heads, r.randint(1, len(heads))) if split else heads)
    head_parts = lambda rule: set(rule.split(" * ")) & set(heads)
    axes = axes_of(family, [heads[0], some(), some()])
    owners = [a for a in sizes if r.random() < 0.3]
    body = [f"mesh {a} = {n}" for a, n in sizes.items()]
    for region, choices in axes.items():
        placed = {"batch": list(owners)} if owners and (region == "attn" or r.random() < 0.7) else {}
        for a in [a for a in r.sample(sorted(sizes), len(sizes)) if a not in placed.get("batch", [])]:
            axis = r.choice(choices)
            if axis and not any(p != axis and head_parts(p) & head_parts(axis) for p in placed):
                placed.setdefault(axis, []).append(a)
        if region == "moe" and r.random() < 0.5 and "expert" not in placed:
            placed["expert"] = placed.get("batch", []) + placed.get("seq", []) or list(sizes)[:1]
        rules = "; ".join(f"{axis} -> {' * '.join(atoms)}" for axis, atoms in placed.items())
        body.append(f"at {region} {{ {rules} }}" if region else rules)
        if region not in ("", "attn") and "expert" not in placed and r.random() < 0.2:       # different in one phase, for axes of no param
            others = "; ".join(f"{axis} -> {r.choice([*sizes, 'none'])}" for axis in ("batch", "seq") if r.random() < 0.5)
            body.append(f"phase {r.choice(['prefill', 'decode'])} {{ at {region} {{ {others} }} }}" if others else "")
    return "Own {}", sizes, "plan Own {\n  " + "\n  ".join(filter(None, body)) + "\n}\n"


def random_workload(r):
    longest = r.choice([5, 16, 40])
    batch = r.randint(1, 9)
    return dict(batch=batch, longest=longest, chunk=r.choice([1, 3, 8, 16, 64, 400]), page=r.choice([1, 4, 16])), \
        [[r.randrange(24) for _ in range(r.randint(1, longest))] for _ in range(r.randint(1, batch))]


# ---- a case ---------------------------------------------------------------------------------------------------------
def spec(m, plan, declared, ranks, work):
    left_out = {"family", "split", "seed", *m["split"]} | ({"tied"} if m["family"] != "Llama" else set())
    sizes = "; ".join([f"{k} = {str(v).lower()}" for k, v in m.items() if k not in left_out] + [head_sizes(m["split"])] * bool(m["split"]))
    if m["family"] == "Llama":
        sizes += "; rope_factor = 1.0"
    use = "" if declared else f"use std.plans {{ {plan.split()[0]} }}\n"
    module, order = f"std.{m['family'].lower()}", random.Random(m["seed"])
    model = split_heads(model_text(module, m["family"]), m["split"], order) if m["split"] else f"use {module} {{ {m['family']} }}\n"
    return f"""{model}use std.clusters {{ CPUHost }}
use std.workload {{ Inference }}
{use}
{declared}
model Tiny = {m['family']} {{ {sizes}; max_ctx = 512; rope_theta = 10_000.0; weight = f32; act = f32; kv = f32 }}
deploy Test {{
  model    = Tiny
  cluster  = CPUHost {{ ranks = {ranks} }}
  plan     = {plan}
  workload = Inference {{ batch = {work['batch']}; seq = 1..{work['longest']}; output = {STEPS}; chunk = {work['chunk']}; page = {work['page']} }}
}}
"""


def legal(text, folder):
    """Does deployc accept the plan? A refusal must have a reason."""
    source = folder / "try.deploy"
    source.write_text(text)
    done = subprocess.run([DEPLOYC, "check", source], capture_output=True, text=True, timeout=60)
    if done.returncode == 0:
        return True, None
    codes = re.findall(r"error\[(E\d+)\]", done.stderr)
    if done.returncode != 1 or not codes or not all(REFUSED.match(f"error[{c}]") for c in codes):
        raise Failed(f"deployc exits with {done.returncode}: {first_line(done.stderr or done.stdout)}")
    return False, codes[0]


def draw(r, m):
    if r.random() < 0.6:
        plan, sizes = random_template(r, m)
        return plan, math.prod(sizes.values()), ""
    plan, sizes, declared = random_rules(r, m["family"], head_axes(m), bool(m["split"]))
    return plan, math.prod(sizes.values()), declared


def compare(logits, truth, run, one, prompts):
    error = np.abs(logits - truth).max() / np.abs(truth).max()
    if not error <= TOLERANCE:
        worst = np.argwhere(~(np.abs(logits - truth).max(-1) <= TOLERANCE * np.abs(truth).max()))[0]
        raise Failed(f"logits are off by {error:.1e} of the largest, first at step {worst[1]} of prompt {worst[0]}")
    for prompt in prompts:
        if run.of(prompt) != one.of(prompt):
            raise Failed(f"{prompt} continues {run.of(prompt)}, on one rank {one.of(prompt)}")
    for rank, (planned, allocated) in run.memory.items():
        if planned != allocated:
            raise Failed(f"rank {rank} planned {planned} B and allocated {allocated} B")
    return f"error {error:.1e}"


class Case:
    def __init__(self, r, number, folder, refusals):
        self.folder, self.number = folder, number
        while True:
            self.model, (self.work, self.prompts) = random_model(r), random_workload(r)
            self.plan, self.ranks, self.declared = draw(r, self.model)
            self.text = spec(self.model, self.plan, self.declared, self.ranks, self.work)
            if not 1 < self.ranks <= 12:
                continue
            taken, code = legal(self.text, folder)
            if taken:
                break
            refusals[code] = refusals.get(code, 0) + 1
        rules = " ".join(self.declared.split())[len("plan Own "):] if self.declared else self.plan
        heads = f" with heads of {' and '.join(str(tuple(p.values())) for p in self.model['split'].values())}" if self.model["split"] else ""
        self.name = f"{number}: {self.model['family']}{heads} on {self.ranks}: {rules}"

    def run(self):
        weights = self.folder / f"weights{self.number}"
        write_checkpoint(self.model, weights, np.random.default_rng(self.number))
        many = compile_spec(self.text, self.folder, f"many{self.number}")
        run, logits = run_launcher(many, weights, self.prompts, STEPS, self.folder)
        roomy = dict(self.work, chunk=400, page=16)
        single = compile_spec(spec(dict(self.model, split={}), "Megatron {}", "", 1, roomy), self.folder, f"one{self.number}")
        one, truth = run_launcher(single, weights, self.prompts, STEPS, self.folder)
        note = compare(logits, truth, run, one, self.prompts)
        many.unlink()
        single.unlink()
        return note


class FixtureCase:
    """A random plan for a model with results of transformers."""

    def __init__(self, r, number, folder, refusals):
        self.folder, self.number = folder, number
        while True:
            fixture = r.choice(sorted(MODELS))
            plan, sizes, declared = random_rules(r, MODELS[fixture][1])
            ranks = math.prod(sizes.values())
            if ranks > 12:
                continue
            workload = r.choice([run_meshes.WORKLOAD, run_meshes.CHUNK8, run_meshes.CHUNK4, run_meshes.QUEUE])
            text = fixture_spec(fixture, ranks, plan, workload=workload, declared=declared)
            taken, code = legal(text, folder)
            if taken:
                break
            refusals[code] = refusals.get(code, 0) + 1
        self.text, self.fixture, self.ranks = text, fixture, ranks
        self.name = f"{number}: {fixture} on {ranks}: {' '.join(declared.split())[len('plan Own '):]}"

    def run(self):
        return run_meshes.run_spec(self.folder, f"fixture{self.number}", self.text, self.fixture, "f32", self.ranks)


def main():
    need_deployc()
    cases, seed = int(sys.argv[1]) if len(sys.argv) > 1 else 25, int(sys.argv[2]) if len(sys.argv) > 2 else 1
    report, r, refusals = Report(), random.Random(seed), {}
    with Folder() as folder:
        for number in range(cases):
            try:
                case = (FixtureCase if number % 3 == 2 else Case)(r, number, folder, refusals)
            except Failed as failure:
                text = str(failure)
                report.check(f"{number}: a plan is taken or refused", lambda: (_ for _ in ()).throw(Failed(text)))
                continue
            report.check(case.name, case.run)
    print("plans refused:", ", ".join(f"{code} {n}" for code, n in sorted(refusals.items())))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
