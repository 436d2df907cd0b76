"""Random well-typed models: `model(seed)` returns a Program. `deployc` reads its text, and `evaluate.py` evaluates it.

Every value is kept near one in size, by norms and bounded functions, so that each operator matters for the logits and rounding
does not grow. Programs are drawn from the whole language, not from model families.
"""
import math
import random
from dataclasses import dataclass, field

from ops import OpMaker
from terms import Axis, Block, Let, Output, Param, Pieces, Rebind, Repeat, State, Term, When, block_text, body, name_of, op_text, terms_of

MAX_CTX = 256
LIBRARY = ("embed", "pick", "rotate", "append", "attend", "route", "dispatch", "combine", "join", "sample", "rms_norm", "layer_norm",
           "softmax", "silu", "sigmoid", "gelu", "gelu_tanh", "rope_freq", "llama3_scale", "yarn_scale")


@dataclass
class Program:
    seed: int
    vocab: int
    layers: int
    act: str
    weight: str
    kv: str
    axes: list
    ops: list = field(default_factory=list)
    blocks: list = field(default_factory=list)
    body: list = field(default_factory=list)
    regions: dict = field(default_factory=dict)     # label of a region -> axes in it, for plans
    products: list = field(default_factory=list)    # axes of heads that one rule may name together
    kinds: int = 1                                  # of layers

    def loops(self):
        return [s for s in self.body if isinstance(s, Repeat)]

    def turns(self):
        """Of all loops: the layers that a pipeline cuts."""
        return sum(self.layers if s.axis.name == "layers" else s.axis.extent for s in self.loops())

    def everything(self):
        for part in [*self.ops, *self.blocks]:
            yield from terms_of(part.body + [Let("", part.value)])
        yield from terms_of(self.body)

    def text(self):
        used = sorted({name_of(t.at["callee"]) for t in self.everything() if t.op == "call"} & set(LIBRARY))
        lines = ["use std.decoder { Decoder }", f"use std.ops {{ {', '.join(used)} }}", ""]
        lines += [op_text(o) for o in self.ops] + [block_text(b) for b in self.blocks]
        lines += ["model Random : Decoder {", f"  vocab = {self.vocab}; layers = {self.layers}; max_ctx = {MAX_CTX}",
                  f"  weight = {self.weight}; act = {self.act}; kv = {self.kv}"]
        return "\n".join(lines + [f"  {a.declaration()}" for a in self.axes] + body(self.body) + ["}"]) + "\n"


def ref(name, axes, dtype):
    return Term("ref", (), tuple(axes), dtype, {"name": name})


class Part:
    """Statements that a piece of the model takes, in a block or not."""

    def __init__(self):
        self.body, self.inner = [], []


class Maker:
    def __init__(self, seed):
        self.r = r = random.Random(seed)
        self.count = 0
        act = r.choice(["f32"] * 7 + ["bf16", "bf16", "f16"])
        weight = r.choice(["f32", "f32", "f32", "bf16", "f16", "fp8_e4m3", "fp8_e5m2"])
        kv = r.choice(["f32"] * 4 + ["bf16", "f16", "fp8_e4m3", "fp8_e5m2"])
        self.p = Program(seed, r.choice([16, 24, 30, 48]), r.choice([1, 2, 2, 3, 4, 5, 6]), act, weight, kv, [])
        self.d = self.axis("d_model", r.choice([8, 12, 16, 20, 24]))
        self.ops = OpMaker(r, self.p.ops, self.fresh)
        self.rotaries, self.shapes, self.experts = {}, {}, {}
        self.labels, self.known = [], []

    # ---- names, axes, params ----------------------------------------------------------------------------------------
    def fresh(self, stem):
        self.count += 1
        return f"{stem}{self.count}"

    def axis(self, stem, extent=None, part=None, **kind):
        """`part`: where it may be declared inside the block."""
        a = Axis(stem if stem == "d_model" else self.fresh(stem), extent, **kind)
        if part is not None and self.r.random() < 0.5:
            part.inner.append(a)
        else:
            self.p.axes.append(a)
        return a

    def stored(self, axes):
        """None, or the axes in any order, some of them in one stored dimension."""
        if self.r.random() < 0.3 or not axes:
            return None
        axes, dims = self.r.sample(axes, len(axes)), []
        for a in axes:
            if dims and self.r.random() < 0.4:
                dims[-1].append(a)
            else:
                dims.append([a])
        if self.r.random() < 0.1:
            dims.insert(self.r.randint(0, len(dims)), [1])
        return dims

    def format(self):
        """Of a param: the model's `weight`, or one of its own."""
        return self.r.choice([""] * 8 + ["f32", "bf16", "f16", "fp8_e4m3"]) if self.p.act == "f32" else self.r.choice([""] * 6 + ["f32"])

    def computed(self, dtype):
        return dtype if dtype in ("f32", "bf16", "f16") else self.p.act

    def param(self, part, axes, spread=(0.0, 1.0), keyed=(), dtype=None):
        axes = self.r.sample(axes, len(axes)) if self.r.random() < 0.3 else list(axes)
        name, dtype = self.fresh("w"), self.format() if dtype is None else dtype
        key = ".".join([name] + [f"{{{a.name}}}" for a in keyed])
        part.body.append(Param(name, tuple(a.name for a in axes), key, self.stored([a for a in axes if a not in keyed]), spread, dtype,
                               tuple(a.name for a in keyed)))
        return ref(name, [a.name for a in axes], self.computed(dtype))

    def fused(self, part, left, rights):
        """Params [left, right] for each of `rights`, all in one stored tensor."""
        key, dtype, spread = self.fresh("fused"), self.format(), self.spread([left])
        alike = all(r == rights[0] for r in rights)
        if alike and self.r.random() < 0.5:             # by turns, element by element
            stored = lambda i: [[*rights[0], Pieces([[1] for _ in rights], i)]]
        else:
            marked = alike or len({frozenset(r) for r in rights}) < len(rights) or self.r.random() < 0.5
            stored = lambda i: [[Pieces([list(r) for r in rights], i, marked)]]
        transposed, out = self.r.random() < 0.5, []
        for i, right in enumerate(rights):
            name, dims = self.fresh("w"), stored(i)
            dims = dims + [[left]] if transposed else [[left]] + dims
            part.body.append(Param(name, tuple(a.name for a in [left, *right]), key, dims, spread, dtype))
            out.append(ref(name, [a.name for a in [left, *right]], self.computed(dtype)))
        return out

    def spread(self, over):
        return 0.0, 1.2 / math.sqrt(math.prod(a.extent for a in over))

    # ---- small terms ------------------------------------------------------------------------------------------------
    def let(self, part, term, chance=0.7):
        """The term, or a name for it."""
        if term.op == "ref" or self.r.random() > chance:
            return term
        part.body.append(Let(self.fresh("v"), term))
        return ref(part.body[-1].name, term.axes, term.dtype)

    def common(self, a, b):
        return "f32" if "f32" in (a, b) else a

    def binary(self, op, a, b):
        wide = a if len(a.axes) >= len(b.axes) else b
        return Term(op, (a, b), wide.axes, self.common(a.dtype, b.dtype))

    def contract(self, x, w, over):
        left = [a for a in x.axes if a not in over]
        axes = left + [a for a in w.axes if a not in over and a not in left]
        return Term("contract", (x, w), tuple(axes), self.common(x.dtype, w.dtype), {"over": self.r.sample(over, len(over))})

    def call(self, callee, args, axes, dtype, **named):
        return Term("call", tuple(args), tuple(axes), dtype, {"callee": callee, "named": named})

    def cast(self, x, to):
        return x if x.dtype == to else Term("cast", (x,), x.axes, to, {"to": to})

    def act(self, x):
        return self.cast(x, self.p.act)

    def project(self, part, x, over, out, bias=0.3):
        """x @[over] w, perhaps by way of a narrow axis, perhaps with a bias."""
        over = list(over)
        if self.r.random() < 0.15:
            rank = self.axis("rank", self.r.choice([4, 6, 8]))
            x = self.let(part, self.act(self.contract(x, self.param(part, [*over, rank], self.spread(over)), [a.name for a in over])))
            over = [rank]
        w = self.param(part, [*over, *out], self.spread(over))
        y = self.act(self.contract(x, w, [a.name for a in over]))
        return self.bias(part, y, out, bias)

    def square(self, part, x):
        """Features to as many features, by a view of their axis."""
        twin = self.shape("twin", lambda: self.axis("twin", like=self.d))
        y = self.let(part, self.project(part, x, [self.d], [twin]))
        return Term("rename", (y,), tuple(self.d.name if n == twin.name else n for n in y.axes), y.dtype, {"from": twin.name, "to": self.d.name})

    def bias(self, part, y, out, chance):
        if self.r.random() < chance:
            y = self.act(self.binary("add", y, self.param(part, out, (0.0, 0.3))))
        return y

    def norm(self, part, x, over):
        """Features brought to size one."""
        kind = self.r.random()
        scale = lambda: self.param(part, [over], (1.0, 0.2))
        if kind < 0.5:
            return self.call("rms_norm", [x, scale(), Term("number", at={"value": 1e-5})], x.axes, x.dtype)
        if kind < 0.7:
            return self.call("layer_norm", [x, scale(), self.param(part, [over], (0.0, 0.2)), Term("number", at={"value": 1e-5})], x.axes, x.dtype)
        return self.ops.call(x, over.name, lambda: scale())

    def activation(self, x):
        kind = self.r.random()
        if kind < 0.6:
            return self.call(self.r.choice(["silu", "sigmoid", "gelu", "gelu_tanh"]), [x], x.axes, x.dtype)
        if kind < 0.8:
            return self.ops.call(x)
        return Term(self.r.choice(["tanh", "erf", "sin", "cos", "abs"]), (x,), x.axes, x.dtype)

    # ---- feed-forward -----------------------------------------------------------------------------------------------
    def mlp(self, part, x):
        r, d = self.r, self.d
        inner = self.shape("ffn", lambda: [self.axis("ffn", r.choice([8, 12, 16, 24])) for _ in range(r.choice([1, 1, 1, 2]))])
        if r.random() < 0.3:
            h = self.let(part, self.activation(self.project(part, x, [d], inner)))
        elif r.random() < 0.5:
            a, b = self.fused(part, d, [inner, inner])
            h = self.binary("mul", self.activation(self.act(self.contract(x, a, [d.name]))), self.act(self.contract(x, b, [d.name])))
        else:
            h = self.binary("mul", self.activation(self.project(part, x, [d], inner)), self.project(part, x, [d], inner))
        return self.project(part, self.act(h), inner, [d])

    def shape(self, kind, make):
        """Axes of one part of the model: most parts of a kind share them."""
        have = self.shapes.setdefault(kind, [])
        if not have or (len(have) < 2 and self.r.random() < 0.3):
            have.append(make())
        return self.r.choice(have)

    # ---- experts ----------------------------------------------------------------------------------------------------
    def moe(self, part, x):
        r, d = self.r, self.d
        expert, width = self.shape("expert", lambda: [self.axis("expert", r.choice([2, 4, 6, 8])), self.axis("wide", r.choice([4, 8, 12]))])
        choice = self.axis("choice", part=part, like=expert)
        slot = self.axis("slot", part=part, ragged=expert)
        to = self.route(part, x, expert, choice, slot)
        xe = self.let(part, self.call("dispatch", [x, to], [expert.name, slot.name, d.name], x.dtype), 1)
        keyed = [expert] if r.random() < 0.6 else []
        weights = lambda over, out: self.param(part, [expert, over, out], self.spread([over]), keyed)
        up = lambda: self.expert_bias(part, self.act(self.contract(xe, weights(d, width), [d.name])), expert, width)
        h = self.activation(up())
        h = self.let(part, self.act(self.binary("mul", h, up()) if r.random() < 0.6 else h))
        if r.random() < 0.2:
            h = self.let(part, self.act(self.norm(part, h, width)))
        y = self.expert_bias(part, self.act(self.contract(h, weights(width, d), [width.name])), expert, d)
        if r.random() < 0.15:
            more = self.call("dispatch", [self.let(part, self.act(self.activation(x)), 1), to], [expert.name, slot.name, d.name], x.dtype)
            y = self.act(self.binary("mul", self.let(part, y), self.let(part, more)))
        y = self.let(part, y)
        out = self.call("combine", [y, to], x.axes, y.dtype)
        if r.random() < 0.15:
            again = self.call("combine", [self.let(part, self.act(self.binary("mul", y, h)) if h.axes == y.axes else y), to], x.axes, y.dtype)
            out = self.act(self.binary("add", self.let(part, out), self.let(part, again)))
        return out

    def expert_bias(self, part, y, expert, out):
        if self.r.random() < 0.3:
            y = self.act(self.binary("add", y, self.param(part, [expert, out], (0.0, 0.3))))
        return y

    def route(self, part, x, expert, choice, slot):
        r, d, n = self.r, self.d, expert.extent
        score = self.bias(part, self.contract(x, self.param(part, [d, choice], (0.0, 2.0 / math.sqrt(d.extent))), [d.name]), [choice], 0.2)
        score = self.cast(score, "f32")
        score = self.call("softmax", [score], score.axes, "f32", over=choice) if r.random() < 0.5 else self.call("sigmoid", [score], score.axes, "f32")
        named = dict(over=choice, to=expert, slot=slot)
        groups = r.choice([g for g in range(1, n + 1) if n % g == 0 and n // g > 1])
        top_groups = r.randint(1, groups)
        if groups > 1 and r.random() < 0.7:
            named.update(groups=groups, top_groups=top_groups)
            if r.random() < 0.5:
                named["group_score"] = r.choice(["best", "two_best"])
        else:
            groups = top_groups = 1
        named["top"] = r.randint(1, min(4, n // groups * top_groups))
        if r.random() < 0.3:
            named["bias"] = self.param(part, [choice], (0.0, 0.3), dtype="f32")
        if r.random() < 0.4:
            named["renormalize"] = r.random() < 0.5
        if r.random() < 0.4:
            named["factor"] = r.choice([0.5, 1.5, 2.5])
        return self.let(part, self.call("route", [self.let(part, score)], x.axes[:-1], "routing", **named), 1)

    # ---- attention --------------------------------------------------------------------------------------------------
    def heads(self):
        r = self.r
        axes = lambda stem, n: [self.axis(stem, r.choice([1, 2, 2, 3, 4])) for _ in range(n)]
        kv, q = axes("kv", r.choice([0, 1, 1, 1, 1, 2])), axes("qg", r.choice([0, 1, 1, 1, 2]))
        head = self.axis("hd", r.choice([4, 6, 8]))
        value = head if r.random() < 0.7 else self.axis("vd", r.choice([4, 5, 8]))
        rope = self.axis("rope", r.choice([2, 4])) if r.random() < 0.25 else None
        whole = self.axis("whole", parts=(head, rope) if r.random() < 0.5 else (rope, head)) if rope else head
        if len(kv + q) > 1:
            self.p.products.append([a.name for a in kv + q])
        return dict(kv=kv, q=q, head=head, value=value, rope=rope, whole=whole)

    def frequencies(self, axis):
        """Rotary frequencies for the pairs of an axis, from before the loop."""
        if axis.name not in self.rotaries:
            pair, theta = self.axis("pair", axis.extent // 2), self.r.choice([100.0, 10000.0])
            freq = self.call("rope_freq", [], [pair.name], "f32", p=pair, theta=theta)
            scaled = self.r.random()
            if scaled < 0.15:
                freq = self.call("llama3_scale", [freq], [pair.name], "f32", factor=4.0, low=1.0, high=4.0, original=16.0)
            elif scaled < 0.3:
                freq = self.call("yarn_scale", [freq], [pair.name], "f32", theta=theta, factor=4.0, fast=8.0, slow=1.0, original=64.0)
            if self.r.random() < 0.2:
                freq = self.binary("div", freq, Term("constant", (), (pair.name,), "f32", {"axis": pair.name, "values": [
                    self.r.choice([1.0, 1.5, 4.0]) for _ in range(pair.extent)]}))
            if self.r.random() < 0.15:
                freq = self.param(self.head, [pair], (0.0, 0.5), dtype="f32")
            name = self.fresh("freq")
            self.head.body.append(Let(name, freq))
            self.rotaries[axis.name] = ref(name, [pair.name], "f32")
        return self.rotaries[axis.name]

    def rotate(self, x, axis, order):
        named = {"f": axis} | ({"order": "interleaved"} if order else {})
        return self.call("rotate", [x, self.frequencies(axis), ref("pos", ["batch", "seq"], "int")], x.axes, x.dtype, **named)

    def attention(self, part, x):
        r = self.r
        shape = self.shape("heads", self.heads)
        latent = not shape["kv"] and r.random() < 0.6
        order, rotates = r.random() < 0.4, r.random() < 0.8 and (shape["rope"] or shape["head"].extent % 2 == 0)
        q = self.sided(part, x, shape["kv"] + shape["q"], shape, order, rotates, norm := r.random() < 0.3)
        k, v, width = self.keys(part, x, shape, latent, order, rotates, norm)
        o = self.attend(part, q, k, v, shape, width)
        if r.random() < 0.15:                           # the same caches, read once more
            more = self.sided(part, x, shape["kv"] + shape["q"], shape, order, rotates, norm)
            o = self.act(self.binary(r.choice(["add", "mul"]), self.let(part, o), self.let(part, self.attend(part, more, k, v, shape, width))))
        return self.project(part, self.let(part, o), shape["kv"] + shape["q"] + [width], [self.d])

    def keys(self, part, x, shape, latent, order, rotates, norm):
        """Keys and values in caches, and the axis of the values' features."""
        k = self.cache(part, self.sided(part, x, shape["kv"], shape, order, rotates, norm))
        if latent and (shape["rope"] or shape["value"] is shape["head"]):
            width = shape["head"]
            v = Term("rename", (k,), tuple(width.name if a == shape["whole"].name else a for a in k.axes), k.dtype,
                     {"from": shape["whole"].name, "to": width.name}) if shape["rope"] else k
        else:
            width = shape["value"]
            v = self.cache(part, self.project(part, x, [self.d], shape["kv"] + [width]))
        return k, v, width

    def share(self):
        """Statements outside the loops that write caches and read them; the layers after them may read these too."""
        r, part, x = self.r, Part(), self.x
        shape = self.shape("heads", self.heads)
        order, rotates, norm = r.random() < 0.4, r.random() < 0.8 and (shape["rope"] or shape["head"].extent % 2 == 0), r.random() < 0.3
        self.shared.append((shape, order, rotates, norm, *self.keys(part, self.norm(part, x, self.d), shape, not shape["kv"], order, rotates, norm)))
        statements, value = self.layer_part(x, [(self.shared_attention, "attn")])
        self.x = ref(self.fresh("x"), x.axes, self.p.act)
        return part.body + statements + [Let(self.x.at["name"], value)]

    def shared_attention(self, part, x):
        """Attention over caches that are outside the loops."""
        shape, order, rotates, norm, k, v, width = self.r.choice(self.shared)
        q = self.sided(part, x, shape["kv"] + shape["q"], shape, order, rotates, norm)
        o = self.attend(part, q, k, v, shape, width)
        return self.project(part, self.let(part, o), shape["kv"] + shape["q"] + [width], [self.d])

    def raw_attention(self, part, x):
        """Features themselves as keys and values, asked by some heads."""
        heads = self.shape("heads", self.heads)["q"]
        q = self.let(part, self.square(part, x) if not heads else self.project_twin(part, x, heads))
        k = self.cache(part, x)
        o = self.attend(part, q, k, k, dict(kv=[], q=heads, whole=self.d), self.d)
        if not heads:
            return o
        total = self.let(part, o, 1)
        for a in heads:
            total = Term(self.r.choice(["mean", "top"]), (total,), tuple(n for n in total.axes if n != a.name), total.dtype, {"over": a.name})
        return self.act(total)

    def project_twin(self, part, x, heads):
        twin = self.shape("twin", lambda: self.axis("twin", like=self.d))
        y = self.let(part, self.project(part, x, [self.d], [*heads, twin]))
        return Term("rename", (y,), tuple(self.d.name if n == twin.name else n for n in y.axes), y.dtype, {"from": twin.name, "to": self.d.name})

    def sided(self, part, x, heads, shape, order, rotates, norm):
        """Queries or keys [batch, seq, heads, whole]."""
        head, rope = shape["head"], shape["rope"]
        a = self.let(part, self.project(part, x, [self.d], heads + [head]))
        if norm:
            a = self.let(part, self.call("rms_norm", [a, self.param(part, [head], (1.0, 0.2)), Term("number", at={"value": 1e-5})], a.axes, a.dtype))
        if not rope:
            return self.rotate(a, head, order) if rotates else a
        b = self.project(part, x, [self.d], heads + [rope])
        b = self.rotate(b, rope, order) if rotates else b
        first, second = (a, b) if shape["whole"].parts[0] is head else (b, a)
        axes = [n for n in first.axes if n not in (head.name, rope.name)] + [shape["whole"].name]
        return self.call("join", [first, second], axes, first.dtype, into=shape["whole"])

    def cache(self, part, new):
        name, rest = self.fresh("cache"), [a for a in new.axes if a not in ("batch", "seq")]
        if self.r.random() < 0.3:
            rest = self.r.sample(rest, len(rest))
        dtype = self.kv_format if self.r.random() < 0.995 else "f32"
        axes = ("batch", "ctx", *rest)
        value = self.call("append", [new, ref("pos", ["batch", "seq"], "int")], axes, new.dtype, to="ctx")
        part.body.append(State(name, axes, dtype, value))
        return ref(name, axes, self.computed(dtype))

    def attend(self, part, q, k, v, shape, width):
        r = self.r
        named = dict(over="ctx", dot=shape["whole"], scale=r.choice([0.3, 0.5, 1.0]))
        if r.random() < 0.3:
            named["window"] = r.choice([1, 2, 3, 5, 8])
        elif self.kinds > 1 and r.random() < 0.3 and self.in_loop:
            named["window"] = self.by_layer(r.choice([2, 4]))
        if r.random() < 0.25:
            named["chunk"] = r.choice([1, 2, 3, 4, 6]) if self.kinds == 1 or not self.in_loop or r.random() < 0.5 else self.by_layer(r.choice([2, 4]))
        if r.random() < 0.2:
            named["cap"] = r.choice([0.5, 1.0, 3.0])
        heads = shape["kv"] + shape["q"]
        for name in ("sink", "slope"):
            if heads and r.random() < 0.25:
                named[name] = self.param(part, heads)
                if r.random() < 0.3:
                    named[name] = self.let(part, self.act(self.binary("mul", named[name], Term("number", at={"value": 0.5}))))
        axes = [a for a in q.axes if a != shape["whole"].name] + [width.name]
        return self.act(self.call("attend", [q, k, v, ref("pos", ["batch", "seq"], "int")], axes, q.dtype, **named))

    def by_layer(self, width):
        """A window or chunk in every other layer: a number that is bound where the layer is known, and passed to a block."""
        name = self.fresh("reach")
        self.outer.body.append(Let(name, Term("by layer", (), (), "Int?", {"text": f"if {self.index} mod 2 == 0 then {width} else none", "of": lambda i: None if i % 2 else width})))
        return Term("ref", (), (), "Int?", {"name": name})

    # ---- anything else on features ----------------------------------------------------------------------------------
    def mix(self, part, x):
        kinds = [self.mix_op, self.mix_scores, self.mix_split, self.mix_iota, self.mix_list, self.mix_gate, self.mix_wide, self.mix_outer, self.mix_norm, self.mix_params, self.mix_three, self.mix_layers] + [self.mix_position, self.mix_place] * ("seq" in x.axes)
        return self.r.choice(kinds)(part, x)

    def mix_op(self, part, x):
        y = self.ops.call(x, self.d.name, lambda: self.param(part, [self.d], (1.0, 0.3)), other=lambda: self.activation(x))
        return self.square(part, self.let(part, self.act(y))) if self.r.random() < 0.5 else self.act(y)

    def mix_scores(self, part, x):
        """A number for each token, of two activations."""
        a, b = self.let(part, self.square(part, x)), self.let(part, self.activation(x))
        s = Term("tanh", (self.act(self.contract(self.act(a), b, [self.d.name])),), x.axes[:-1], self.p.act)
        return self.act(self.binary("mul", b, s))

    def mix_split(self, part, x):
        """Two parts of the features, taken apart and put together in the other order."""
        a, b = self.shape("halves", lambda: [self.axis("left", self.r.choice([2, 4])), self.axis("right", self.r.choice([3, 4, 6]))])
        names = {t: next((n for n in self.p.axes if n.parts == t), None) or self.axis("both", parts=t) for t in ((a, b), (b, a))}
        ab, ba = names[(a, b)], names[(b, a)]
        y = self.project(part, x, [self.d], [ab]) if self.r.random() < 0.5 else self.join(self.project(part, x, [self.d], [a]), self.project(part, x, [self.d], [b]), a, b, ab)
        y = self.let(part, y, 1)
        take = lambda axis: Term("rename", (y,), tuple(axis.name if n == ab.name else n for n in y.axes), y.dtype, {"from": ab.name, "to": axis.name})
        z = self.join(self.activation(take(b)), take(a), b, a, ba)
        return self.project(part, self.let(part, self.act(z)), [ba], [self.d])

    def join(self, x, y, a, b, into):
        return self.call("join", [x, y], [n for n in x.axes if n not in (a.name, b.name)] + [into.name], x.dtype, into=into)

    def numbers(self, axis):
        """A constant tensor: what a list says."""
        values = [self.r.choice([-1.5, -0.25, 0.5, 1.0, 2.0]) for _ in range(axis.extent)]
        return Term("constant", (), (axis.name,), "f32", {"axis": axis.name, "values": values})

    def mix_list(self, part, x):
        return self.act(self.binary(self.r.choice(["mul", "add"]), self.activation(x), self.act(self.numbers(self.d))))

    def placed(self, part):
        """An embedding of each token's position."""
        place = self.shape("place", lambda: self.axis("place", MAX_CTX))
        index = Term("index", (ref("pos", ["batch", "seq"], "int"),), ("batch", "seq"), "index", {"over": place.name})
        table = self.param(part, [place, self.d], (0.0, 0.5))
        return self.call("embed", [table, index], ["batch", "seq", self.d.name], table.dtype)

    def mix_place(self, part, x):
        return self.act(self.binary("add", self.activation(x), self.act(self.let(part, self.act(self.placed(part))))))

    def mix_iota(self, part, x):
        ramp = self.binary("div", Term("iota", (), (self.d.name,), "f32", {"axis": self.d.name}), Term("number", at={"value": float(self.d.extent)}))
        return self.act(self.binary("mul", self.activation(x), self.act(ramp)))

    def mix_gate(self, part, x):
        """Features scaled by a gate for each group of them that a sum or a maximum of others decides."""
        inner = self.axis("gate", self.r.choice([3, 4, 6]))
        g = self.let(part, self.activation(self.project(part, x, [self.d], [inner])), 1)
        top = Term(self.r.choice(["sum", "mean", "top"]), (g,), tuple(a for a in g.axes if a != inner.name), g.dtype, {"over": inner.name})
        return self.act(self.binary("mul", self.activation(x), Term("tanh", (top,), top.axes, top.dtype)))

    def mix_wide(self, part, x):
        """A value of several axes, contracted one by one, with an axis that both sides keep."""
        a, b = self.shape("grid", lambda: [self.axis("ga", self.r.choice([2, 3, 4])), self.axis("gb", self.r.choice([2, 4]))])
        y = self.let(part, self.activation(self.project(part, x, [self.d], [a, b])))
        c = self.axis("gc", self.r.choice([2, 3]))
        z = self.act(self.contract(y, self.param(part, [a, b, c], self.spread([b])), [b.name]))     # keeps a
        return self.project(part, self.let(part, z), [a, c], [self.d])

    def mix_outer(self, part, x):
        """Two activations of several axes, contracted with each other: what is in both stays, one by one."""
        r = self.r
        a, b = self.shape("grid", lambda: [self.axis("ga", r.choice([2, 3, 4])), self.axis("gb", r.choice([2, 4]))])
        c = self.axis("gc", r.choice([2, 3]))
        y = self.let(part, self.project(part, x, [self.d], [a, b]))
        z = self.let(part, self.activation(self.project(part, x, [self.d], r.choice([[c, b], [a, b], [a, c, b], [b]]))))
        scores = self.let(part, self.act(self.contract(y, z, [b.name])))
        extra = [self.named_axis(n) for n in scores.axes if n not in x.axes]
        return self.project(part, self.let(part, Term("tanh", (scores,), scores.axes, scores.dtype)), extra, [self.d])

    def named_axis(self, name):
        return next(a for a in self.p.axes if a.name == name)

    def mix_norm(self, part, x):
        """A norm in words, with numbers for each token on the way."""
        f = lambda op, *args, **at: Term(op, args, max((a.axes for a in args), key=len), args[0].dtype, at)
        n = lambda v: Term("number", (), (), x.dtype, {"value": v})
        square = Term("mean", (f("mul", x, x),), x.axes[:-1] if x.axes[-1] == self.d.name else tuple(a for a in x.axes if a != self.d.name), x.dtype, {"over": self.d.name})
        root = self.let(part, f("rsqrt", f("add", square, n(1e-3))))
        y = f("mul", x, root)
        if self.r.random() < 0.5:
            y = f("sub", y, f("min", f("abs", root), n(0.5)))
        return self.act(f("clamp", y, n(-2.0), n(2)))

    def mix_params(self, part, x):
        """Arithmetic on params alone, before they meet a token."""
        w, v = self.act(self.param(part, [self.d], (1.0, 0.3))), self.act(self.param(part, [self.d], (0.0, 0.5)))
        y = self.binary(self.r.choice(["add", "mul", "max"]), w, self.activation(v))
        if self.r.random() < 0.3:
            y = self.call("softmax", [y], y.axes, y.dtype, over=self.d)
        return self.act(self.binary(self.r.choice(["mul", "add", "min"]), self.activation(x), self.let(part, self.act(y))))

    def mix_three(self, part, x):
        """One projection in three parts."""
        a, b, c = self.shape("thirds", lambda: [self.axis(f"third", self.r.choice([2, 3, 4])) for _ in range(3)])
        whole = next((n for n in self.p.axes if n.parts == (a, b, c)), None) or self.axis("thirds", parts=(a, b, c))
        y = self.let(part, self.project(part, x, [self.d], [whole]), 1)
        out = None
        for axis in self.r.sample([a, b, c], self.r.choice([2, 3])):
            take = Term("rename", (y,), tuple(axis.name if n == whole.name else n for n in y.axes), y.dtype, {"from": whole.name, "to": axis.name})
            z = self.project(part, self.activation(self.let(part, take)), [axis], [self.d], 0)
            out = z if out is None else self.act(self.binary(self.r.choice(["add", "mul"]), self.let(part, out), self.let(part, z)))
        return out

    def mix_position(self, part, x):
        """A token's position, or its number in the vocabulary, as a number."""
        name, by = self.r.choice([("pos", 8.0), ("ids", float(self.p.vocab))])
        at = Term("cast", (ref(name, ["batch", "seq"], "int" if name == "pos" else "index"),), ("batch", "seq"), "f32", {"to": "f32"})
        at = self.binary("div", at, Term("number", at={"value": by}))
        return self.act(self.binary(self.r.choice(["mul", "add"]), self.activation(x), self.act(self.let(part, Term(self.r.choice(["cos", "tanh"]), (at,), at.axes, "f32")))))

    def mix_layers(self, part, x):
        """A scale that all layers' numbers decide."""
        layers = Axis("layers", self.p.layers)
        w = self.param(self.head, [layers, self.d], (1.0, 0.3))
        total = Term(self.r.choice(["mean", "top"]), (w,), (self.d.name,), w.dtype, {"over": "layers"})
        self.head.body.append(Let(self.fresh("scale"), self.act(total)))
        return self.act(self.binary("mul", self.activation(x), ref(self.head.body[-1].name, total.axes, self.p.act)))

    # ---- blocks -----------------------------------------------------------------------------------------------------
    def outline(self, part, value, stem):
        """The part as a block of its own, and the call that takes its place."""
        bound = {s.name for s in part.body}
        everything = list(terms_of(part.body + [Let("", value)]))
        free = {t.at["name"]: t for t in everything if t.op == "ref" and t.at["name"] not in bound}
        params = [(name, self.type_of(t)) for name, t in free.items()]
        seen = {a for t in free.values() for a in t.axes}
        inner = {a.name for a in part.inner}
        used = dict.fromkeys(n for s in part.body for n in (s.axes if isinstance(s, (Param, State)) else ()))
        used |= dict.fromkeys(n for s in part.body if isinstance(s, Param) for a in factors(s.stored) for n in [a.name])
        used |= dict.fromkeys(n for t in everything for n in axes_of(t)) | dict.fromkeys(a.name for i in part.inner for a in (i.like, i.ragged, *i.parts) if a)
        label = self.r.choice([l for l in self.labels if l.startswith(stem)] or [self.fresh(stem)]) if self.r.random() < 0.3 else self.fresh(stem)
        self.labels.append(label)
        result = self.r.sample(value.axes, len(value.axes)) if self.r.random() < 0.1 else value.axes
        block = Block(self.fresh("B"), params, [a for a in used if a not in seen and a not in inner and a != "none"], part.inner, tuple(result), self.own(value.dtype),
                      part.body, value)
        self.p.blocks.append(block)
        self.known.append((block, {name: ref(name, t.axes, t.dtype) for name, t in free.items()}, list(used) + list(seen)))
        named = {name: ref(name, t.axes, t.dtype) for name, t in free.items()}
        self.region(label, list(used) + list(seen))
        call = Term("call", (), tuple(result), value.dtype, {"callee": block, "named": named, "label": label, "prefix": self.fresh(label)})
        return call

    def again(self, x, stem):
        """A block that there is, called on x with weights of its own; None where none fits."""
        fits = []
        for block, free, axes in self.known:
            tokens = [n for n, t in free.items() if set(t.axes) == set(x.axes) and t.dtype == x.dtype]
            others = {n for n in free if n not in tokens}
            if len(tokens) == 1 and others <= {"pos", *(f.at["name"] for f in self.rotaries.values())} and set(block.result) == set(x.axes):
                fits.append((block, free, axes, tokens[0]))
        if not fits:
            return None
        block, free, axes, token = self.r.choice(fits)
        label = self.fresh(stem)
        self.region(label, axes)
        return Term("call", (), block.result, block.dtype or self.p.act, {"callee": block, "named": {**free, token: x}, "label": label, "prefix": self.fresh(label)})

    def region(self, label, axes):
        self.p.regions.setdefault(label, set()).update(axes)

    def own(self, dtype):
        return "" if dtype == self.p.act else dtype

    def type_of(self, t):
        if t.dtype == "Int?":
            return "Int?"
        word = {"int": "Int", "index": "index(vocab)"}.get(t.dtype) or self.own(t.dtype)
        return f"{word}[{', '.join(t.axes)}]"

    def sublayer(self, x, make, stem):
        """(statements, term): what a part of a layer adds to x."""
        part, out = Part(), []
        self.outer = outer = Part()
        n = self.let(outer, self.norm(outer, x, self.d), 1) if stem == "moe" or self.r.random() < 0.9 else x
        value = self.again(n, stem) if self.known and self.r.random() < 0.12 else None
        out += outer.body if value else []
        if value:
            return out, self.act(value)
        value = make(part, n)
        out += outer.body
        if value.axes != x.axes and set(value.axes) != set(x.axes):
            raise AssertionError((value.axes, x.axes))
        if self.r.random() < 0.75 or part.inner:
            value = self.outline(part, self.act(value), stem)
        else:
            out += part.body
            self.region("residual", [a for t in terms_of(part.body + [Let("", value)]) for a in axes_of(t)])
        return out, self.act(value)

    # ---- the model --------------------------------------------------------------------------------------------------
    def layer_part(self, x, makers=None):
        makers = makers or self.makers(x)
        make, stem = self.r.choice(makers)
        statements, value = self.sublayer(x, make, stem)
        part = Part()
        if self.r.random() < 0.15:
            value = self.act(self.ops.call(value, self.d.name, lambda: self.param(part, [self.d], (1.0, 0.2))))
        return statements + part.body, self.binary("add", x, value)

    def makers(self, x):
        makers = [] if "row" in x.axes else [(self.attention, "attn")] * 4 + [(self.shared_attention, "attn")] * (4 * bool(self.shared)) + [(self.raw_attention, "attn")] * (self.r.random() < 0.2)
        return makers + [(self.mlp, "mlp")] * 3 + [(self.moe, "moe")] * 3 + [(self.mix, "mix")] * 2

    def conditions(self):
        """Text and meaning of conditions on the layer, the last one without."""
        r, n, i = self.r, self.turns, self.index
        cut, period = r.randint(0, n), r.choice([2, 3])
        of = r.randrange(period)
        some = [(f"{i} < {cut}", lambda i: i < cut), (f"{i} mod {period} == {of}", lambda i: i % period == of), (f"{i} == {cut}", lambda i: i == cut),
                (f"not ({i} mod {period} == {of}) and {i} >= {cut}", lambda i: i % period != of and i >= cut)]
        return r.sample(some, self.kinds - 1) + [(None, lambda i: True)]

    def loop_body(self):
        self.in_loop, out, x = True, [], self.x.at["name"]
        for _ in range(self.r.randint(1, 3)):
            if self.kinds > 1 and self.r.random() < 0.6:
                branches = []
                for text, meaning in self.conditions():
                    statements, value = self.layer_part(self.x)
                    branches.append((text, meaning, statements + [Rebind(x, value)]))
                out.append(When(branches))
            else:
                statements, value = self.layer_part(self.x)
                out += statements + [Rebind(x, value)]
        if self.kept and self.r.random() < 0.7:
            out.append(Rebind(x, self.act(self.binary("add", self.x, self.kept))))
        if self.side:
            part = Part()
            e = self.side_axis
            step = self.act(self.binary("add", self.side, self.project(part, self.x, [self.d], [e])))
            out += part.body + [Rebind("side", Term("tanh", (step,), step.axes, step.dtype))]
            part = Part()
            back = self.project(part, self.side, [e], [self.d])
            out += part.body + [Rebind(x, self.act(self.binary("add", self.x, back)))]
        if self.constant:
            part = Part()
            (e,) = (self.named_axis(n) for n in self.constant.axes)
            step = self.binary("add", self.constant, self.param(part, [e], (0.0, 0.5)))
            out += part.body + [Rebind("held", self.act(Term("tanh", (step,), step.axes, step.dtype)))]
            part = Part()
            back = self.contract(self.project(part, self.x, [self.d], [e]), self.constant, [e.name])
            out += part.body + [Rebind(x, self.act(self.binary("add", self.x, back)))]
        self.in_loop = False
        return out

    def make(self):
        r, p, d = self.r, self.p, self.d
        self.head, self.in_loop, self.kept, self.shared = Part(), False, None, []
        self.kinds = r.choice([1, 1, 2, 2, 3])
        self.kv_format = r.choice(["kv"] * 4 + ["f32", "bf16"])
        self.x = ref("x", ["batch", "seq", d.name], p.act)
        vocab = Axis("vocab", p.vocab)
        table = self.param(self.head, [vocab, d], (0.0, 1.0), dtype="")
        first = self.call("embed", [table, ref("ids", ["batch", "seq"], "index")], ["batch", "seq", d.name], table.dtype)
        if r.random() < 0.15:
            first = self.act(self.binary("add", self.act(first), self.act(self.placed(self.head))))
        tail = [Let("x", self.scaled(first))]
        if r.random() < 0.15:
            tail[0].name = "x0"
            makers = [(self.mlp, "mlp"), (self.mix, "mix"), (self.moe, "moe"), (self.attention, "attn")]
            statements, value = self.layer_part(ref("x0", self.x.axes, p.act), makers)
            tail += statements + [Let("x", value)]
        self.side = self.constant = None
        if r.random() < 0.15:
            e = self.axis("side", r.choice([2, 4]))
            part = Part()
            w = self.param(part, [e])
            tail += part.body + [Let("held", self.act(Term("tanh", (w,), w.axes, w.dtype)))]
            self.constant = ref("held", [e.name], p.act)
        if r.random() < 0.2:
            part = Part()
            self.side_axis = self.axis("side", r.choice([2, 4, 6]))
            value = self.project(part, self.x, [d], [self.side_axis])
            tail += part.body + [Let("side", Term("tanh", (value,), value.axes, value.dtype))]
            self.side = ref("side", value.axes, value.dtype)
        if r.random() < 0.1:
            tail += self.share()
        tail.append(self.loop(Axis("layers", p.layers), "layer", "layers.{layer}", "layers.{}".format))
        if r.random() < 0.35:
            tail += self.second_loop()
        ending = self.ending(table)
        p.body = self.head.body + tail + ending
        p.kinds = self.kinds
        return p

    def loop(self, axis, index, prefix, number):
        self.turns, self.index = axis.extent, index
        return Repeat(axis, index, prefix, number, self.loop_body())

    def second_loop(self):
        """More layers, perhaps behind some text of their own, over an axis and with numbers of their own."""
        r, p, out = self.r, self.p, []
        if r.random() < 0.5:
            statements, value = self.layer_part(self.x)
            self.x = ref("x1", self.x.axes, p.act)
            out += statements + [Let("x1", value)]
        if r.random() < 0.3:
            self.kept = ref("kept", self.x.axes, p.act)
            out += [Let("kept", self.act(Term("tanh", (self.x,), self.x.axes, p.act)))]
        if r.random() < 0.3:
            out += self.share()
        if r.random() < 0.5:
            self.side = None
        if r.random() < 0.5:
            self.constant = None
        axis = Axis("layers", p.layers) if r.random() < 0.1 else self.axis("more", r.choice([1, 2, 3]))
        index, skip = r.choice(["layer", "turn"]), r.choice([1, 2, 3])
        prefix, number = r.choice([(f"more.{{{index}}}", "more.{}".format),
                                   (f"layers.{{{index} + layers}}", lambda i: f"layers.{i + p.layers}"),
                                   (f"odd.{{{skip + 1} * {index} + {skip}}}.x", lambda i: f"odd.{(skip + 1) * i + skip}.x")])
        return out + [self.loop(axis, index, prefix, number)]

    def scaled(self, x):
        return self.act(self.binary("mul", x, Term("number", at={"value": self.r.choice([0.5, 2.0])}))) if self.r.random() < 0.3 else self.act(x)

    def ending(self, table):
        r, p, d = self.r, self.p, self.d
        part = Part()
        x = self.x
        picked = lambda t: self.call("pick", [t, ref("want", ["batch", "row"], "index")], ["batch", "row", d.name], t.dtype)
        x = self.norm(part, picked(x), d) if r.random() < 0.7 else picked(self.norm(part, x, d))
        x = self.let(part, x)
        if r.random() < 0.2:
            x = self.let(part, x, 1)
            statements, x = self.layer_part(x)
            part.body += statements
            x = self.let(part, x)
        tied = r.random() < 0.4
        w = table if tied else self.param(part, [Axis("vocab", p.vocab), d], self.spread([d]))
        logits = self.contract(x, w, [d.name])
        if r.random() < 0.2:
            logits = Term("mul", (Term("tanh", (logits,), logits.axes, logits.dtype), Term("number", at={"value": 3.0})), logits.axes, logits.dtype)
        logits = self.cast(logits, "f32")
        sample = self.call("sample", [ref("logits", ["batch", "row", "vocab"], "f32")], ["batch", "row"], "index", v="vocab")
        return part.body + [Output("logits", "f32[batch, row, vocab]", logits), Output("token", "index(vocab)[batch, row]", sample)]


def factors(stored):
    """The axes of a stored layout."""
    for dim in stored or []:
        for f in dim:
            if isinstance(f, Pieces):
                yield from factors(f.pieces)
            elif f != 1:
                yield f


def axes_of(t):
    """Names of the axes in a term."""
    yield from t.axes
    for key in ("over", "from", "to", "axis"):
        value = t.at.get(key)
        if t.op != "cast" and value:
            yield from [value] if isinstance(value, str) else value
    for value in t.at.get("named", {}).values():
        if isinstance(value, Axis):
            yield value.name


def model(seed):
    return Maker(seed).make()
