#!/usr/bin/env python3
"""Mistakes found by random programs, each as a small program: two texts with the same meaning must give the same logits.

A text is the body of a model, axes first. The second text has a form that was always compiled correctly.
"""
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness import Failed, Folder, Report, compile_spec, need_deployc, run_launcher, write_safetensors

HEAD = """use std.decoder {{ Decoder }}
use std.ops {{ {ops} }}
{blocks}
model Small : Decoder {{
  vocab = 24; layers = {layers}; max_ctx = 64
  weight = {weight}; act = {act}; kv = {act}
  axis d_model = 8
{body}
}}
use std.clusters {{ CPUHost }}
use std.workload {{ Inference }}
plan Own {{ {plan} }}
deploy Test {{
  model    = Small
  cluster  = CPUHost {{ ranks = {ranks}; device {{ peak {{ f16 = 1 TFLOPS }} }} }}
  plan     = Own {{}}
  workload = Inference {{ batch = 4; seq = 1..9; output = 3; chunk = {chunk}; page = 4 }}
}}
"""
END = """  output logits : f32[batch, row, vocab]   = pick(x, want) @[d_model] w_head
  output token  : index(vocab)[batch, row] = sample(logits, v = vocab)
"""
PROMPTS = [[2], [1, 5, 7, 0, 3, 21, 9], [11, 4], [1, 8, 8, 13, 6, 3, 2, 9]]


class Found:
    """shapes: of the checkpoint's tensors. Each of `texts`: a body, or a body and more of HEAD's fields. sampling: options of
    launchers with which both must choose the same tokens too. joined: tensors that are several of `shapes`, one after the other."""

    def __init__(self, name, shapes, first, second, ops="", sampling=(), joined=None):
        self.sampling, self.joined = sampling, joined or {}
        self.name, self.shapes, self.ops = name, shapes, "embed, pick, sample" + (f", {ops}" if ops else "")
        self.texts = [t if isinstance(t, dict) else {"body": t} for t in (first, second)]

    def spec(self, fields):
        plain = dict(ops=self.ops, blocks="", layers=2, weight="f32", act="f32", plan="mesh a = 1", ranks=1, chunk=16)
        return HEAD.format(**{**plain, **fields})

    def run(self, folder):
        rng, weights = np.random.default_rng(len(self.name)), folder / f"{abs(hash(self.name))}"
        weights.mkdir()
        tensors = {n: rng.standard_normal(s).astype(np.float32) for n, s in self.shapes.items()}
        tensors |= {n: np.concatenate([tensors[p] for p in parts]) for n, parts in self.joined.items()}
        write_safetensors(weights / "model.safetensors", tensors)
        (weights / "config.json").write_text("{}")
        launchers = [compile_spec(self.spec(fields), folder, f"{weights.name}_{i}") for i, fields in enumerate(self.texts)]
        results = [run_launcher(l, weights, PROMPTS, 3, folder, options=["--unverified=*"])[1] for l in launchers]
        for options in self.sampling:
            tokens = [run_launcher(l, weights, PROMPTS, 3, folder, options=["--unverified=*", *options])[0].continuations for l in launchers]
            if tokens[0] != tokens[1]:
                raise Failed(f"other tokens with {' '.join(options)}")
        error = np.abs(results[0] - results[1]).max() / np.abs(results[1]).max()
        if not error < 2e-5:
            raise Failed(f"logits differ by {error:.1e} of the largest")
        return f"error {error:.0e}"


# The kind: an operator that reads a param as its kernel needs it, where the param declares another order of axes.
TABLE = """  param w_embed : {}
  param w_head  : [vocab, d_model] from "head"
  let x = embed(w_embed, ids)
""" + END

# The kind: a kernel that asks which tokens are padding, where its rows are those whose logits are wanted.
MOE = """block Experts(y: [batch, {0}, d_model]) -> [batch, {0}, d_model] {{
  axis expert
  axis choice like expert
  axis slot = ragged(expert)
  param router : [choice, d_model] from "router"
  param w      : [expert, d_model] from "w"
  let r = route(softmax(y @[d_model] router, over = choice), over = choice, to = expert, slot = slot, top = 1)
  return combine(dispatch(y, r) * w, r)
}}
"""
EXPERTS = """  axis expert = 4
  param w_embed : [vocab, d_model] from "embed"
  param w_head  : [vocab, d_model] from "head"
  let x = embed(w_embed, ids)
  let y = {}
  output logits : f32[batch, row, vocab]   = {} @[d_model] w_head
  output token  : index(vocab)[batch, row] = sample(logits, v = vocab)
"""
TWO_OWNERS = dict(plan="mesh a = 2; batch -> a; at moe { batch -> none; expert -> a }", ranks=2, chunk=2)

# The kind: a param that two operators read in different orders has a copy for each.
TWO_ORDERS = """  axis inner = 6
  param w_embed : [vocab, d_model] from "embed"
  param w_head  : [vocab, d_model] from "head"
  param w       : [d_model, inner] from "w"
  param w_again : [d_model, inner] from "w"
  let e = embed(w_embed, ids)
  let x = {}
""" + END
ORDERS_SHAPES = {"embed": (24, 8), "head": (24, 8), "w": (8, 6)}

# The kind: several `dispatch` and `combine` of one routing share the rounds of one exchange.
ROUTED = """block Experts(y: [batch, seq, d_model]) -> [batch, seq, d_model] {{
  axis expert
  axis choice like expert
  axis slot = ragged(expert)
  param router : [choice, d_model] from "router"
  param w      : [expert, d_model] from "w"
  param u      : [expert, d_model] from "u"
  let score = softmax(cast(y @[d_model] router, f32), over = choice)
  let r     = route(score, over = choice, to = expert, slot = slot, top = 2)
  let again = route(score, over = choice, to = expert, slot = slot, top = 2)
  {}
}}
"""
ROUTED_SHAPES = {"embed": (24, 8), "head": (24, 8), "moe.router": (4, 8), "moe.w": (4, 8), "moe.u": (4, 8)}
EXCHANGED = dict(plan="mesh a = 2; batch -> a; at moe { expert -> a }; moe { capacity = 0.6 }", ranks=2)


def routed(name, first, second, **fields):
    model = EXPERTS.format('Experts(x) as moe from "moe"', "pick(y, want)")
    return Found(name, ROUTED_SHAPES, dict(blocks=ROUTED.format(first), body=model, **{**EXCHANGED, **fields}),
                 dict(blocks=ROUTED.format(second), body=model, **{k: v for k, v in fields.items() if k in ("weight", "act")}),
                 "softmax, route, dispatch, combine")


FOUND = [
    Found("experts of the rows whose logits are wanted", {"embed": (24, 8), "head": (24, 8), "moe.router": (4, 8), "moe.w": (4, 8)},
          dict(blocks=MOE.format("row"), body=EXPERTS.format('Experts(pick(x, want)) as moe from "moe"', "y"), **TWO_OWNERS),
          dict(blocks=MOE.format("seq"), body=EXPERTS.format('Experts(x) as moe from "moe"', "pick(y, want)")), "softmax, route, dispatch, combine"),
    Found("a table of an embedding whose first axis is not the vocabulary", {"embed": (8, 24), "head": (24, 8)},
          TABLE.format('[d_model, vocab] from "embed"'), TABLE.format('[vocab, d_model] from "embed" as [d_model, vocab]')),
]


FACTOR = """  axis inner = 6
  axis out   = 4
  param w_embed : [vocab, d_model] from "embed"
  param w_head  : [vocab, d_model] from "head"
  param k       : [d_model, out, inner] from "k" as [d_model, out * inner]
  param w       : [out, inner] from "w"
  param w_again : [out, inner] from "w"
  param v       : [out, d_model] from "v"
  let e = embed(w_embed, ids)
  let x = {}
""" + END
FACTOR_SHAPES = {"embed": (24, 8), "head": (24, 8), "k": (8, 24), "w": (4, 6), "v": (4, 8)}

FOUND += [
    Found("a weight contracted along each of its axes", ORDERS_SHAPES,
          TWO_ORDERS.format("(e @[d_model] w) @[inner] w"), TWO_ORDERS.format("(e @[d_model] w) @[inner] w_again")),
    Found("a weight that is a factor too", FACTOR_SHAPES,
          dict(body=FACTOR.format("(((e @[d_model] k) * w) @[inner] w) @[out] v"), plan="mesh a = 2; out -> a", ranks=2),
          FACTOR.format("(((e @[d_model] k) * w) @[inner] w_again) @[out] v")),
    Found("a weight widened for a contraction and for a product", FACTOR_SHAPES,
          dict(body=FACTOR.format("((cast(e @[d_model] k, f32) * cast(w, f32)) @[inner] cast(w, f32)) @[out] cast(v, f32)"), weight="bf16"),
          dict(body=FACTOR.format("((cast(e @[d_model] k, f32) * cast(w, f32)) @[inner] cast(w_again, f32)) @[out] cast(v, f32)"), weight="bf16")),
]
TWO_DISPATCHES = ("return combine(dispatch(y, r) * w + dispatch(y * y, r) * u, r)",
                  "return combine(dispatch(y, r) * w, r) + combine(dispatch(y * y, again) * u, again)")
TWO_COMBINES = ("let h = dispatch(y, r) * w; return combine(h, r) * combine(h * u, r)",
                "return combine(dispatch(y, r) * w, r) * combine(dispatch(y, again) * w * u, again)")
DISPATCHED_AGAIN = ("return combine(dispatch(combine(dispatch(y, r) * w, r), r) * u, r)",
                    "return combine(dispatch(combine(dispatch(y, r) * w, r), again) * u, again)")
TWO_ROUTINGS = ("let h = dispatch(y, r) * w; let g = dispatch(y * 3, again) * u; return combine(h, r) - combine(g, again)",
                "let h = combine(dispatch(y, r) * w, r); return h - combine(dispatch(y * 3, again) * u, again)")
FOUND += [
    routed("two dispatches of one routing", *TWO_DISPATCHES),
    routed("two dispatches of one routing, on one rank", *TWO_DISPATCHES, plan="mesh a = 1; moe { capacity = 0.6 }", ranks=1),
    routed("two combines of one dispatch", *TWO_COMBINES),
    routed("two combines of one dispatch, of experts that are split and tokens that are not", *TWO_COMBINES,
           plan="mesh a = 2; at moe { expert -> a }", chunk=3),
    routed("two combines of one dispatch, each rounded", *TWO_COMBINES, weight="bf16", act="bf16"),
    routed("a result that the same routing dispatches again", *DISPATCHED_AGAIN),
    routed("exchanges of two routings, one inside the other", *TWO_ROUTINGS),
]

# The kind: a cache that no layer owns, read before the loop, by all layers, or after them.
CACHED = """  param w_embed : [vocab, d_model] from "embed"
  param w_head  : [vocab, d_model] from "head"
  let e = embed(w_embed, ids)
{}
""" + END
BEFORE, AFTER = ("  state {0} : kv[batch, ctx, d_model] = append({1}, pos, to = ctx)\n"
                 "  let {2} = attend({1}, {0}, {0}, pos, over = ctx, dot = d_model, scale = 0.5)\n".format(*names)
                 for names in (("kb", "e", "b"), ("ka", "l", "x")))
LOOP = """  let l = {0}
  repeat layers as layer from "l" {{
{2}    l = l + {3} * attend(l, {1}, {1}, pos, over = ctx, dot = d_model, scale = 1.0)
  }}
"""
OWN = "    state kc : kv[batch, ctx, d_model] = append({}, pos, to = ctx)\n"
FOUND += [
    Found("a cache that all layers share", {"embed": (24, 8), "head": (24, 8)},
          CACHED.format("  state kb : kv[batch, ctx, d_model] = append(e, pos, to = ctx)\n" + LOOP.format("e", "kb", "", 1) + "  let x = l"),
          CACHED.format(LOOP.format("e", "kc", OWN.format("e"), 1) + "  let x = l"), "append, attend"),
    Found("a cache before the layers and one after, each on its stage", {"embed": (24, 8), "head": (24, 8)},
          dict(body=CACHED.format(BEFORE + LOOP.format("b", "kc", OWN.format("l"), 1) + AFTER), plan="mesh a = 2; layers -> a", ranks=2),
          CACHED.format(BEFORE + LOOP.format("b", "kc", OWN.format("l"), 1) + AFTER), "append, attend"),
    Found("a cache outside layers, as one layer has it", {"embed": (24, 8), "head": (24, 8)},
          CACHED.format(BEFORE + "  let x = e + b"),
          dict(body=CACHED.format(LOOP.format("e", "kc", OWN.format("l"), 1).replace("1.0)", "0.5)") + "  let x = l"), layers=1), "append, attend"),
    Found("caches outside layers, cut by sequence", {"embed": (24, 8), "head": (24, 8)},
          dict(body=CACHED.format(BEFORE + "  let l = b\n" + AFTER), plan="mesh a = 2; batch -> a", ranks=2),
          CACHED.format(BEFORE + "  let l = b\n" + AFTER), "append, attend"),
]

# The kind: a vocabulary that the ranks do not divide. What pads the last of five ranks' parts is not a token. Logits are negative, so
# the padding's would be the largest.
PADDED = """  param w_embed : [vocab, d_model] from "embed"
  param bias    : [vocab] from "bias"{0}
  let x = embed(w_embed, ids)
  output logits : f32[batch, row, vocab]   = tanh(cast(pick(x, want) @[d_model] {1}, f32)) + cast(bias, f32) - 3
  output token  : index(vocab)[batch, row] = sample(logits, v = vocab)
"""
HEADED = PADDED.format("\n  param w_head  : [vocab, d_model] from \"head\"", "w_head")
TIED = PADDED.format("", "w_embed")
FIVE = dict(plan="mesh a = 5; vocab -> a", ranks=5)
BF16 = dict(weight="bf16", act="bf16")
SAMPLING = [["--temperature", "0.9"], ["--temperature", "1.5", "--top-p", "0.8", "--seed", "7"], ["--temperature", "2", "--top-k", "9"]]
FOUND += [
    Found("a vocabulary that five ranks do not divide", {"embed": (24, 8), "head": (24, 8), "bias": (24,)},
          dict(body=HEADED, **FIVE), HEADED, sampling=SAMPLING),
    Found("a vocabulary that five ranks do not divide, of a tied head", {"embed": (24, 8), "bias": (24,)},
          dict(body=TIED, **FIVE), TIED, sampling=SAMPLING),
    Found("a vocabulary that five ranks do not divide, in bf16", {"embed": (24, 8), "bias": (24,)},
          dict(body=TIED, **FIVE, **BF16), dict(body=TIED, **BF16), sampling=SAMPLING),
]

# The kind: rows of some of the experts, as identity experts need them; the others' rows are written by another operator.
PARTS = """block Experts(y: [batch, seq, d_model]) -> [batch, seq, d_model] {{
  axis first  = 3
  axis second = 2
  axis third  = 1
  axis zero   = concat(second, third)
  axis all    = concat(first, zero)
  axis choice like all
  axis slot   = ragged(all)
  axis f      = 5
  param router : [choice, d_model] from "router"
  let r  = route(softmax(cast(y @[d_model] router, f32), over = choice), over = choice, to = all, slot = slot, top = 2)
  let xa = dispatch(y, r)
{}
}}
"""
PART = "  param {0} : [{1}, d_model, {2}] from \"{0}\"\n"
EACH = "".join(PART.format(n, a, f) for n, a, f in (("w1", "first", "f"), ("w2", "second", "f"), ("w3", "third", "f")))
BACK = PART.format("v", "all", "f")
SPLIT = EACH + BACK + """  let xz = xa[all -> zero]
  let h  = join(xa[all -> first] @[d_model] w1, join(xz[zero -> second] @[d_model] w2, xz[zero -> third] @[d_model] w3, into = zero), into = all)
  return combine(h @[f] v, r)"""
WHOLE = PART.format("w", "all", "f") + BACK + "  return combine((xa @[d_model] w) @[f] v, r)"
PARTS_SHAPES = {"embed": (24, 8), "head": (24, 8), "moe.router": (6, 8), "moe.v": (6, 8, 5), "moe.w1": (3, 8, 5), "moe.w2": (2, 8, 5),
                "moe.w3": (1, 8, 5)}
SCALED = "  param s : [first, d_model] from \"s\"\n  param z : [zero, d_model] from \"z\"\n"
PARTS_OPS = "softmax, route, dispatch, combine, join"


def parts(name, shapes, first, second, joined=None, **fields):
    model = EXPERTS.format('Experts(x) as moe from "moe"', "pick(y, want)")
    return Found(name, shapes, dict(blocks=PARTS.format(first), body=model, **fields), dict(blocks=PARTS.format(second), body=model),
                 PARTS_OPS, joined=joined)


IDENTITY_SHAPES = {"embed": (24, 8), "head": (24, 8), "moe.router": (6, 8), "moe.s": (3, 8), "moe.z": (3, 8)}
FOUND += [
    parts("experts in parts, contracted", PARTS_SHAPES, SPLIT, WHOLE, joined={"moe.w": ("moe.w1", "moe.w2", "moe.w3")}),
    parts("experts in parts, tokens cut and in rounds", PARTS_SHAPES, SPLIT, WHOLE, joined={"moe.w": ("moe.w1", "moe.w2", "moe.w3")},
          plan="mesh a = 2; batch -> a; moe { capacity = 0.4 }", ranks=2),
    parts("experts in parts, one of them scaled", IDENTITY_SHAPES,
          SCALED + "  return combine(join(xa[all -> first] * s, xa[all -> zero] * z, into = all), r)",
          SCALED + "  return combine(xa * join(s, z, into = all), r)"),
    parts("experts that change nothing", IDENTITY_SHAPES,
          SCALED + "  return combine(join(xa[all -> first] * s, xa[all -> zero], into = all), r)",
          SCALED + "  return combine(xa * join(s, z / z, into = all), r)"),
]

# The kind: an operand with gaps between its rows. The gaps are as long as a sum of the same size would be: 2 of 4 heads of 4 features.
HEADS = """  axis left  = 2
  axis right = 2
  axis heads = concat(left, right)
  axis dim   = 4
  axis out   = 3
  param w_embed : [vocab, d_model] from "embed"
  param w_head  : [vocab, d_model] from "head"
  param w1      : [heads, dim, d_model] from "w1"
  param w2      : [dim, out] from "w2"
  param w3      : [left, out, d_model] from "w3"
  let h = embed(w_embed, ids) @[d_model] w1
  let p = {}
  let x = (p @[dim] w2) @[left, out] w3
""" + END
FOUND += [
    Found("a part of the heads, contracted along their features", {"embed": (24, 8), "head": (24, 8), "w1": (4, 4, 8), "w2": (4, 3), "w3": (2, 3, 8)},
          HEADS.format("h[heads -> left]"), HEADS.format("1 * (h[heads -> left] + 0)")),
]

# The kind: a cache that is whole where it is appended to, of which a reader elsewhere takes each rank's part of the features.
READER = """block Reader(q: [batch, seq, k], pos: Int[batch, seq], kc: [batch, ctx, k], vc: [batch, ctx, v]) -> [batch, seq, v] {
  return attend(q, kc, vc, pos, over = ctx, dot = k, scale = 0.5)
}
"""
PARTLY = """  axis k = 4
  axis v = 6
  param w_embed : [vocab, d_model] from "embed"
  param w_head  : [vocab, d_model] from "head"
  param wk      : [d_model, k] from "wk"
  param wv      : [d_model, v] from "wv"
  param wo      : [v, d_model] from "wo"
  let e = embed(w_embed, ids)
  state kc : kv[batch, ctx, k] = append(e @[d_model] wk, pos, to = ctx)
  state vc : kv[batch, ctx, v] = append(e @[d_model] wv, pos, to = ctx)
  let y = Reader(e @[d_model] wk, pos, kc, vc) as reader
  let x = y @[v] wo
""" + END
PARTLY_SHAPES = {"embed": (24, 8), "head": (24, 8), "wk": (8, 4), "wv": (8, 6), "wo": (6, 8)}
FOUND += [
    Found("a cache whose reader takes a part of its features", PARTLY_SHAPES,
          dict(blocks=READER, body=PARTLY, plan="mesh a = 2; at reader { v -> a }", ranks=2), dict(blocks=READER, body=PARTLY), "append, attend"),
]

# The kind: an expression of more operands or operations than one kernel has.
LONG = """  axis n = 20
  param w_embed : [vocab, d_model] from "embed"
  param w_head  : [vocab, d_model] from "head"
{}
  let e = embed(w_embed, ids)
  let x = {}
""" + END
ROOTS = sum(i ** 0.5 for i in range(2, 60))
TERMS = "".join(f" + sqrt(abs(x * {i}))" for i in range(2, 60))
LONG_OP = "op Long(x: [...t, d]) -> [...t, d] { let y = x%s; return y * rsqrt(mean(y * y, over = d)) }\n"
FOUND += [
    Found("a sum of twenty params", {"embed": (24, 8), "head": (24, 8)} | {f"p{i}": (8,) for i in range(20)},
          LONG.format("\n".join(f'  param p{i} : [d_model] from "p{i}"' for i in range(20)), "e" + "".join(f" + p{i}" for i in range(20))),
          LONG.format('  param p : [n, d_model] from "p" as [n * d_model]', "e + sum(p, over = n)"), joined={"p": tuple(f"p{i}" for i in range(20))}),
    Found("a sum of sixty roots", {"embed": (24, 8), "head": (24, 8)},
          LONG.format("", "e" + TERMS.replace("x", "e")), LONG.format("", f"e + {ROOTS} * sqrt(abs(e))")),
    Found("a sum of sixty roots in an operator, before a mean", {"embed": (24, 8), "head": (24, 8)},
          dict(blocks=LONG_OP % TERMS, body=LONG.format("", "Long(e, d = d_model)")), dict(blocks=LONG_OP % f" + {ROOTS} * sqrt(abs(x))", body=LONG.format("", "Long(e, d = d_model)"))),
    routed("a sum of sixty roots of an expert's rows", "let x = dispatch(y, r); return combine(x * w" + TERMS + ", r)",
           f"let x = dispatch(y, r); return combine(x * w + {ROOTS} * sqrt(abs(x)), r)"),
]

# The kind: a piece of what a rank takes as its part of a value. Its address already depends on the rank.
PIECE = """block Half(y: [batch, seq, h, whole]) -> [batch, seq, d_model] {
  axis left; axis right; axis d_model
  param u : [h, left, d_model]  from "u"
  param v : [h, right, d_model] from "v"
  return y[whole -> right] @[h, right] v - y[whole -> left] @[h, left] u
}
"""
WITH_PIECES = """  axis left = 2; axis right = 4; axis whole = concat(left, right); axis h = 4
  param w_embed : [vocab, d_model] from "embed"
  param w_head  : [vocab, d_model] from "head"
  param w       : [d_model, h, whole] from "w" as [d_model, h * whole]
  let x = Half(embed(w_embed, ids) @[d_model] w) as half from "half"
""" + END
PIECE_SHAPES = {"embed": (24, 8), "head": (24, 8), "w": (8, 24), "half.u": (4, 2, 8), "half.v": (4, 4, 8)}
FOUND += [
    Found(f"pieces of a part of the {what}", PIECE_SHAPES,
          dict(blocks=PIECE, body=WITH_PIECES, plan=f"mesh a = 2; at half {{ {what} -> a }}", ranks=2), dict(blocks=PIECE, body=WITH_PIECES))
    for what in ("h", "batch", "seq")
]

# The kind: an axis that is a view of the positions.
RENAMED = """  axis other like seq
  param w_embed : [vocab, d_model] from "embed"
  param w_head  : [vocab, d_model] from "head"
  let e = embed(w_embed, ids)
  state kc : kv[batch, ctx, d_model] = append(e[{0}], pos[{0}], to = ctx)
  let x = e + attend(e[{0}], kc, kc, pos[{0}], over = ctx, dot = d_model, scale = 0.5)[{1}]
""" + END
FOUND += [
    Found("positions by another name", {"embed": (24, 8), "head": (24, 8)}, RENAMED.format("seq -> other", "other -> seq"),
          RENAMED.replace("[{0}]", "").replace("[{1}]", ""), "append, attend"),
]

# The kind: a constant by another name, and one that has too many elements to be a table of the launcher.
CONSTANT = """  axis other like d_model
  axis big = 2_000_000
  param w_embed : [vocab, d_model] from "embed"
  param w_head  : [vocab, d_model] from "head"
  let x = embed(w_embed, ids) * ({})
""" + END
BIG = CONSTANT.format("1 + max(sqrt(iota(big)), over = big)"), CONSTANT.format("1 + sqrt(1_999_999.0)")
ROOT_OP = "op roots() -> f32[k] { return sqrt(iota(k)) * 1 }\n"
SPLIT_BIG = dict(plan="mesh a = 2; big -> a", ranks=2)
FOUND += [
    Found("a constant by another name", {"embed": (24, 8), "head": (24, 8)}, CONSTANT.format("1 + iota(other)[other -> d_model]"),
          CONSTANT.format("1 + iota(d_model)")),
    Found("a constant of two million elements", {"embed": (24, 8), "head": (24, 8)}, *BIG),
    Found("a constant of two million elements, split", {"embed": (24, 8), "head": (24, 8)}, dict(body=BIG[0], **SPLIT_BIG), BIG[1]),
    Found("a constant of two million elements, split, of an operator", {"embed": (24, 8), "head": (24, 8)},
          dict(blocks=ROOT_OP, body=CONSTANT.format("1 + max(roots(k = big), over = big)"), **SPLIT_BIG), BIG[1]),
]

# The kind: a value that two readers take in different layouts, by moves of one kind over the same ranks.
READERS = """block Left(y: [batch, seq, h, g]) -> [batch, seq, d_model] {
  axis d_model
  param u : [h, g, d_model] from "u" as [h * g, d_model]
  return y @[h, g] u
}
block Right(y: [batch, seq, h, g]) -> [batch, seq, d_model] {
  axis d_model
  param u : [h, g, d_model] from "u" as [h * g, d_model]
  return (y * y) @[h, g] u
}
"""
TWO_READERS = """  axis h = 2; axis g = 4
  param w_embed : [vocab, d_model] from "embed"
  param w_head  : [vocab, d_model] from "head"
  param w       : [d_model, h, g] from "w" as [d_model, h * g]
  let y = embed(w_embed, ids) @[d_model] w
  let x = Left(y) as left from "left" - Right(y) as right from "right"
""" + END
FOUND += [
    Found(f"two readers of one value, {rest}", {"embed": (24, 8), "head": (24, 8), "w": (8, 8), "left.u": (8, 8), "right.u": (8, 8)},
          dict(blocks=READERS, body=TWO_READERS, plan=f"mesh a = 2; {rest}; at left {{ {rest.split()[0]} -> none; h -> a }}; "
               f"at right {{ {rest.split()[0]} -> none; g -> a }}", ranks=2), dict(blocks=READERS, body=TWO_READERS))
    for rest in ("seq -> a", "d_model -> none")
]


def main():
    need_deployc()
    report = Report()
    with Folder() as folder:
        for found in FOUND:
            report.check(found.name, lambda: found.run(folder))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
