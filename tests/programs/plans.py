"""Random plans and workloads for a program: any mesh axis for any axis, by region and phase; a pipeline; templates' options."""
import math
from dataclasses import dataclass

OUTPUT = 3                      # tokens that each prompt is continued by


@dataclass
class Deployment:
    plan: str                   # "plan Own { ... }"
    ranks: int
    workload: dict
    prompts: list

    def text(self, program_text):
        work = "; ".join(f"{k} = {v}" for k, v in self.workload.items())
        return (f"{program_text}\nuse std.clusters {{ CPUHost }}\nuse std.workload {{ Inference }}\n\n{self.plan}\n"
                f"deploy Test {{\n  model    = Random\n  cluster  = CPUHost {{ ranks = {self.ranks}; device {{ peak {{ f16 = 1 TFLOPS }} }} }}\n  plan     = Own {{}}\n"
                f"  workload = Inference {{ {work} }}\n}}\n")


def alone(prompts, chunk, page):
    """One rank, all prompts at once."""
    longest = max(map(len, prompts))
    return Deployment("plan Own { mesh a = 1 }\n", 1, dict(batch=len(prompts), seq=f"1..{longest}", output=OUTPUT, chunk=chunk, page=page), prompts)


def random_prompts(r, vocab):
    longest = r.choice([3, 6, 11, 20])
    return [[r.randrange(vocab) for _ in range(r.choice([1, r.randint(1, longest), longest]))] for _ in range(r.randint(1, 5))]


def workload(r, prompts, owners):
    longest = max(map(len, prompts))
    out = dict(batch=r.choice([1, 2, len(prompts), 6]), seq=f"1..{longest}", output=OUTPUT, chunk=r.choice([1, 2, 3, 7, 16, 64]), page=r.choice([1, 3, 4, 16]))
    if r.random() < 0.2:
        out["cache"] = (longest + OUTPUT + out["page"]) * owners * r.choice([1, 2])     # of each owner, at least one sequence
    return out


def pipeline(r, layers, stages):
    out = []
    if r.random() < 0.5:
        out.append(f"microbatches = {r.choice([1, 2, 3])}")
    if stages and stages > 1 and layers >= stages and (layers % stages or r.random() < 0.4):
        cuts = sorted(r.sample(range(1, layers), stages - 1))
        out.append(f"stages = {[b - a for a, b in zip([0, *cuts], [*cuts, layers])]}")
    return [f"pipeline {{ {'; '.join(out)} }}"] if out else []


def divides(axis, ways, program):
    extents = {a.name: a.extent for a in program.axes} | {"vocab": program.vocab, "layers": program.layers}
    if axis and " * " in axis:
        return math.prod(extents[a] for a in axis.split(" * ")) % ways == 0
    return extents.get(axis) is None or extents[axis] % ways == 0


def overlap(placed, axis):
    """Does another rule name one of the axes?"""
    return any(p != axis and set(p.split(" * ")) & set(axis.split(" * ")) for p in placed)


def deal(r, program, sizes, axes, fixed):
    """Mesh axes dealt to axes of the program: each splits at most one."""
    placed = {k: list(v) for k, v in fixed.items()}
    used = {m for v in placed.values() for m in v}
    for m in r.sample(sorted(sizes), len(sizes)):
        if m in used or not axes:
            continue
        axis = r.choice(axes)
        ways = math.prod(sizes[q] for q in placed.get(axis, [])) * sizes[m]
        if axis and not overlap(placed, axis) and (divides(axis, ways, program) or r.random() < 0.02):
            placed.setdefault(axis, []).append(m)
    return placed


def with_tokens(r, program, sizes, placed, experts):
    """Experts over the mesh axes that cut the tokens: an exchange."""
    tokens = placed.get("batch", []) + placed.get("seq", [])
    if experts and tokens and r.random() < 0.6:
        some = tokens if r.random() < 0.7 else tokens[:1]
        expert = r.choice(experts)
        if divides(expert, math.prod(sizes[m] for m in some), program):
            placed[expert] = some + [m for m in placed.get(expert, []) if divides(expert, math.prod(sizes[q] for q in some) * sizes[m], program)][:1]


def rules(placed):
    return "; ".join(f"{axis} -> {' * '.join(ms) or 'none'}" for axis, ms in placed.items())


def one_phase(r, rest, placed):
    """Rules on tokens that hold in one phase, mostly with mesh axes that the region does not use."""
    used = {m for ms in placed.values() for m in ms}
    free = [m for m in rest if m not in used or r.random() < 0.1]
    return {axis: r.choice([[], *([m] for m in free)]) for axis in ("batch", "seq") if r.random() < 0.6}


def random_plan(r, program):
    sizes = {m: r.choice([2, 2, 2, 3, 4]) for m in "abc"[:r.choice([1, 1, 2, 2, 3])]}
    while math.prod(sizes.values()) > 8:
        sizes.popitem()
    body = [f"mesh {m} = {n}" for m, n in sizes.items()]
    stages, rest = None, dict(sizes)
    cuts = [m for m, n in sizes.items() if n <= program.turns()]
    if cuts and r.random() < 0.35:
        m = r.choice(cuts)
        stages = rest.pop(m)
        body.append(f"layers -> {m}")
    owners = [m for m in rest if r.random() < 0.35]
    everywhere = deal(r, program, rest, ["vocab", "vocab", "row", "batch", None], {"batch": owners} if owners else {})
    owners = everywhere.get("batch", [])
    body.append(rules(everywhere))
    for region, axes in {"residual": {"d_model"}, **program.regions}.items():
        kept = region.startswith("attn") or r.random() < 0.7
        own = sorted(a for a in axes if a not in ("batch", "seq", "ctx", "row", "vocab") and not a.startswith(("slot", "choice", "pair")))
        heads = [" * ".join(q) for q in program.products if set(q) <= set(axes)] * 3
        placed = deal(r, program, rest, own * 3 + heads + ["seq", "batch", None, None] + (["ctx"] if region.startswith("attn") else []),
                      {"batch": owners} if owners and kept else {})
        if owners and not kept and r.random() < 0.98:
            placed.setdefault("batch", [])
        with_tokens(r, program, sizes, placed, [a for a in own if a.startswith("expert")])
        body.append(f"at {region} {{ {rules(placed)} }}" if placed else "")
        if r.random() < 0.15 and (there := one_phase(r, rest, placed)):
            body.append(f"phase {r.choice(['prefill', 'decode'])} {{ at {region} {{ {rules(there)} }} }}")
    body += pipeline(r, program.turns(), stages)
    if r.random() < 0.3:
        body.append(f"moe {{ capacity = {r.choice([0.1, 0.5, 1.0, 3.0])} }}")
    if r.random() < 0.2:
        body.append("comm { reduce = f32 }")
    return "plan Own {\n  " + "\n  ".join(filter(None, body)) + "\n}\n", math.prod(sizes.values())


def random_deployment(r, program, prompts):
    plan, ranks = random_plan(r, program)
    return Deployment(plan, ranks, workload(r, prompts, ranks), prompts)
