"""Evaluates a program of `terms.py` in numpy and f64: one sequence at a time, all of its positions at once, nothing distributed.

It shares nothing with the compiler. Arrays have named axes, as in the language, without `batch`; `ctx` holds the
positions of `seq`. Experts are dense: every expert computes every token, and `combine` selects the routed results.
`noise` moves each result by about the rounding of its format; the resulting change of the logits is the tolerance for rounding.
"""
import math

import numpy as np

from terms import Axis, Let, Output, Param, Pieces, Rebind, Repeat, State, When

EPSILON = {"f32": 2.0 ** -23, "bf16": 2.0 ** -8, "f16": 2.0 ** -11}
# bits of mantissa, smallest normal exponent, largest number
FORMATS = {"f32": (23, -126, 3.4e38), "bf16": (7, -126, 3.38e38), "f16": (10, -14, 65504.0), "fp8_e4m3": (3, -6, 448.0), "fp8_e5m2": (2, -14, 57344.0)}


def rounded(x, dtype):
    """To the nearest number of a format, ties to even; fp8 saturates."""
    if dtype == "f32":
        return x.astype(np.float32).astype(np.float64)
    bits, lowest, largest = FORMATS[dtype]
    _, exponent = np.frexp(x)
    step = np.exp2(np.maximum(exponent - 1, lowest) - bits)
    return np.clip(np.round(x / step) * step, -largest, largest)


class Named:
    """An array whose axes have names."""

    def __init__(self, axes, data):
        self.axes, self.data = tuple(axes), np.asarray(data, np.float64)
        assert self.data.ndim == len(self.axes), (axes, self.data.shape)

    def to(self, axes):
        """The data with these axes, in this order; those that it lacks have extent 1."""
        order = [self.axes.index(a) for a in axes if a in self.axes]
        assert len(order) == len(self.axes), (self.axes, axes)
        data = self.data.transpose(order)
        return data.reshape([self.data.shape[self.axes.index(a)] if a in self.axes else 1 for a in axes])

    def renamed(self, old, new):
        return Named([new if a == old else a for a in self.axes], self.data)


def erf(x):
    return np.vectorize(math.erf, otypes=[float])(x)


POINTWISE = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "min": np.minimum, "max": np.maximum, "exp": np.exp,
             "log": np.log, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "tanh": np.tanh, "erf": erf, "sin": np.sin, "cos": np.cos,
             "abs": np.abs, "floor": np.floor, "ceil": np.ceil, "neg": np.negative, "clamp": lambda x, lo, hi: np.minimum(np.maximum(x, lo), hi)}
REDUCE = {"sum": np.sum, "mean": np.mean, "top": np.max}


def pointwise(f, *xs):
    wide = max(xs, key=lambda x: len(x.axes)).axes
    return Named(wide, f(*(x.to(wide) for x in xs)))


def unary(f, x):
    return Named(x.axes, f(x.data))


def over(f, x, axis):
    at = x.axes.index(axis)
    return Named([a for a in x.axes if a != axis], f(x.data, axis=at))


def einsum(xs, out):
    """The product of arrays, summed over the axes that are not in `out`."""
    letters = {a: chr(97 + i) for i, a in enumerate(dict.fromkeys(a for x in xs for a in x.axes))}
    word = lambda axes: "".join(letters[a] for a in axes)
    return Named(out, np.einsum(",".join(word(x.axes) for x in xs) + "->" + word(out), *(x.data for x in xs), optimize=len(xs) > 2))


class Weights:
    """The tensors of a checkpoint by name, drawn on first use."""

    def __init__(self, seed):
        self.rng, self.tensors, self.formats = np.random.default_rng(seed), {}, {}

    def stored(self, key, shape, spread, dtype):
        if key not in self.tensors:
            self.tensors[key] = rounded(spread[0] + spread[1] * self.rng.standard_normal(shape), dtype)
            self.formats[key] = dtype
        assert self.tensors[key].shape == tuple(shape), key
        return self.tensors[key]


def extent(factor):
    if isinstance(factor, Pieces):
        return sum(math.prod(map(extent, p)) for p in factor.pieces)
    return 1 if factor == 1 else factor.extent


def open_dims(data, dims):
    """A stored tensor as an array with named axes: each dimension is split into its factors; of a sum, one piece is kept."""
    axes = []
    for dim in dims:
        shape = data.shape
        data = data.reshape(shape[:len(axes)] + tuple(map(extent, dim)) + shape[len(axes) + 1:])
        for factor in dim:
            at = len(axes)
            if isinstance(factor, Pieces):
                begin = sum(math.prod(map(extent, p)) for p in factor.pieces[:factor.mine])
                mine = factor.pieces[factor.mine]
                data = np.take(data, range(begin, begin + math.prod(map(extent, mine))), axis=at)
                data = data.reshape(data.shape[:at] + tuple(map(extent, mine)) + data.shape[at + 1:])
                axes += [f if f == 1 else f.name for f in mine]
            else:
                axes.append(factor if factor == 1 else factor.name)
    keep = [i for i, a in enumerate(axes) if a != 1]
    return Named([axes[i] for i in keep], data.reshape([data.shape[i] for i in keep]))


def expected(program, weights, ids, steps, trials=3):
    """Logits of the last `steps` positions and how far rounding may move them; None where it may choose other experts."""
    want = list(range(len(ids) - steps, len(ids)))
    exact = Evaluator(program, weights)
    logits, spread = exact.logits(ids, want), 0.0
    for trial in range(trials):
        moved = Evaluator(program, weights, np.random.default_rng(trial))
        moved.lean = (-1) ** trial * 16.0
        spread = max(spread, np.abs(moved.logits(ids, want) - logits).max())
        if any(close(a, b) for a, b in zip(exact.choices, moved.choices)):
            return None
    return (logits, spread) if np.isfinite(logits).all() and not exact.extreme else None


def close(choice, moved):
    """Could rounding that moves scores so much choose others?"""
    (score, gap), (other, _) = choice, moved
    both = np.isfinite(score) & np.isfinite(other)
    shift = np.where(both, np.abs(score - np.where(both, other, 0)), 0).max(axis=-1)
    return bool((gap < 8 * shift).any())


class Evaluator:
    def __init__(self, program, weights, noise=None):
        self.p, self.weights, self.noise = program, weights, noise
        self.lean = 0.0                         # added before a number is stored, in units of f32's rounding of the largest
        self.axes = {a.name: a for a in [*program.axes, *(a for b in program.blocks for a in b.inner)]}
        self.extreme = False                    # a number that f32 does not hold
        self.choices = []                       # for each choice of experts: scores, and how far the chosen are from the others

    def extent(self, axis):
        return self.p.vocab if axis == "vocab" else self.p.layers if axis == "layers" else self.length if axis in ("seq", "ctx") else len(self.want) if axis == "row" else self.axes[axis].extent

    def leaning(self, data):
        """Numbers halfway between two of a format fall to one side, and in another trial to the other."""
        return data + self.lean * EPSILON["f32"] * np.abs(data).max(initial=0)

    # ---- statements -------------------------------------------------------------------------------------------------
    def logits(self, ids, want):
        """Of the wanted positions: [position, vocab]."""
        self.length, self.want, self.layer = len(ids), want, 0
        env = {"ids": Named(["seq"], ids), "pos": Named(["seq"], np.arange(len(ids))), "want": Named(["row"], want)}
        self.outputs = {}
        self.run(self.p.body, env, "")
        return self.outputs["logits"].to(["row", "vocab"])

    def run(self, statements, env, prefix):
        for s in statements:
            if isinstance(s, (Let, Rebind)):
                env[s.name] = self.term(s.value, env, prefix)
            elif isinstance(s, Param):
                env[s.name] = self.param(s, prefix)
            elif isinstance(s, State):
                new = self.term(s.value, env, prefix)
                env[s.name] = Named(new.axes, rounded(self.leaning(new.data), self.p.kv if s.dtype == "kv" else s.dtype))
            elif isinstance(s, When):
                self.run(next(b for _, holds, b in s.branches if holds(self.layer)), env, prefix)
            elif isinstance(s, Repeat):
                for self.layer in range(self.extent(s.axis.name)):
                    inner = dict(env)
                    self.run(s.body, inner, prefix + s.number(self.layer) + ".")
                    env.update((k, inner[k]) for k in env)
            elif isinstance(s, Output) and s.name == "logits":
                self.outputs["logits"] = env["logits"] = self.term(s.value, env, prefix)

    def param(self, s, prefix):
        dtype = s.dtype or self.p.weight
        own = [a for a in s.axes if a not in s.keyed]
        dims = s.stored or [[self.axes.get(a) or Axis(a, self.extent(a))] for a in own]
        shape = [math.prod(map(extent, dim)) for dim in dims]
        one = lambda key: open_dims(self.weights.stored(prefix + key, shape, s.spread, dtype), dims)
        if not s.keyed:
            return one(s.key)
        (axis,) = s.keyed
        parts = [one(s.key.format(**{axis: i})) for i in range(self.extent(axis))]
        return Named([axis, *parts[0].axes], np.stack([p.data for p in parts]))

    # ---- terms ------------------------------------------------------------------------------------------------------
    def term(self, t, env, prefix, axes=None):
        """axes: of an operator's body, what its axis variable stands for."""
        if t.op == "ref":
            return env[t.at["name"]]
        if t.op == "number":
            return Named([], t.at["value"])
        if t.op == "by layer":
            return t.at["of"](self.layer)
        if t.op == "call":
            out = self.call(t, env, prefix)
        else:
            out = self.plain(t, [self.term(a, env, prefix, axes) for a in t.args], axes or {})
        return self.shaken(out, t.dtype) if axes is None else out

    def shaken(self, x, dtype):
        self.extreme |= isinstance(x, Named) and bool((np.abs(x.data) > (1e15 if dtype != "f16" else 3e4)).any())
        if isinstance(x, Named) and dtype in EPSILON and self.noise:
            return Named(x.axes, x.data * (1 + EPSILON[dtype] * self.noise.standard_normal(x.data.shape)))
        return x

    def plain(self, t, xs, axes):
        at = lambda key: axes.get(t.at[key], t.at[key])
        if t.op in POINTWISE:
            return pointwise(POINTWISE[t.op], *xs)
        if t.op in REDUCE:
            return over(REDUCE[t.op], xs[0], at("over"))
        if t.op == "contract":
            kept = [a for a in dict.fromkeys([*xs[0].axes, *xs[1].axes]) if a not in t.at["over"]]
            return einsum(xs, kept)
        if t.op == "cast":
            return Named(xs[0].axes, rounded(self.leaning(xs[0].data), t.at["to"])) if t.at["to"] != "f32" else xs[0]
        if t.op == "iota":
            return Named([at("axis")], np.arange(self.extent(at("axis"))))
        if t.op == "constant":
            return Named([at("axis")], np.array(t.at["values"]))
        if t.op == "index":
            return xs[0]
        if t.op == "size":
            return Named([], self.extent(at("axis")))
        return self.renamed(xs[0], t.at["from"], t.at["to"])

    def renamed(self, x, old, new):
        parts = [p.name for p in self.axes[old].parts] if old in self.axes else []
        if new not in parts:
            return x.renamed(old, new)
        begin = sum(self.extent(p) for p in parts[:parts.index(new)])
        return Named(x.axes, np.take(x.data, range(begin, begin + self.extent(new)), axis=x.axes.index(old))).renamed(old, new)

    # ---- calls ------------------------------------------------------------------------------------------------------
    def call(self, t, env, prefix):
        callee, named = t.at["callee"], t.at["named"]
        args = [self.term(a, env, prefix) for a in t.args]
        given = {k: self.term(v, env, prefix) if hasattr(v, "op") else v.name if hasattr(v, "declaration") else v for k, v in named.items()}
        if isinstance(callee, str):
            return getattr(self, "do_" + callee)(*args, **given)
        if hasattr(callee, "inner"):
            inner = dict(given)
            below = prefix + (t.at["prefix"] + "." if t.at.get("label") else "")
            self.run(callee.body, inner, below)
            return self.term(callee.value, inner, below)
        return self.own_op(callee, args, given)

    def own_op(self, o, args, given):
        tensors = [n for n, pattern in o.params if pattern]
        env = dict(zip(tensors, args)) | {n: Named([], given[n]) for n, pattern in o.params if not pattern}
        scale = env.get("scale")
        axes = {"f": given.get("f") or (scale.axes[0] if scale else None)}
        for s in o.body:
            env[s.name] = self.term(s.value, env, "", axes)
        return self.term(o.value, env, "", axes)

    def do_silu(self, x):
        return unary(lambda v: v / (1 + np.exp(-np.maximum(v, -80))), x)

    def do_sigmoid(self, x):
        return unary(lambda v: 1 / (1 + np.exp(-np.maximum(v, -80))), x)

    def do_gelu(self, x):
        return unary(lambda v: 0.5 * v * (1 + erf(v / math.sqrt(2))), x)

    def do_gelu_tanh(self, x):
        return unary(lambda v: 0.5 * v * (1 + np.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v ** 3))), x)

    def do_softmax(self, x, over):
        at = x.axes.index(over)
        e = np.exp(x.data - x.data.max(axis=at, keepdims=True))
        return Named(x.axes, e / e.sum(axis=at, keepdims=True))

    def do_rms_norm(self, x, scale, eps):
        f = scale.axes[0]
        root = pointwise(lambda v: 1 / np.sqrt(v + float(eps.data)), over(np.mean, unary(np.square, x), f))
        return pointwise(np.multiply, pointwise(np.multiply, x, root), scale)

    def do_layer_norm(self, x, scale, bias, eps):
        centred = pointwise(np.subtract, x, over(np.mean, x, scale.axes[0]))
        return pointwise(np.add, self.do_rms_norm(centred, scale, eps), bias)

    def do_rope_freq(self, p, theta):
        n = self.extent(p)
        return Named([p], theta ** (-np.arange(n) / n))

    def do_llama3_scale(self, freq, factor, low, high, original):
        turns = original * freq.data / (2 * np.pi)
        keep = np.clip((turns - low) / (high - low), 0, 1)
        return Named(freq.axes, freq.data * keep + freq.data / factor * (1 - keep))

    def do_yarn_scale(self, freq, theta, factor, fast, slow, original):
        n = freq.data.size
        edge = lambda turns: n * math.log(original / (turns * 2 * math.pi)) / math.log(theta)
        first, last = max(math.floor(edge(fast)), 0), min(math.ceil(edge(slow)), 2 * n - 1)
        ramp = np.clip((np.arange(n) - first) / max(last - first, 0.001), 0, 1)
        return Named(freq.axes, freq.data * (1 - ramp) + freq.data / factor * ramp)

    # ---- builtins ---------------------------------------------------------------------------------------------------
    def do_embed(self, table, ids):
        rows = next(a for a in table.axes if a == "vocab" or a.startswith("place"))
        return Named(["seq", *[a for a in table.axes if a != rows]], np.moveaxis(table.data, table.axes.index(rows), 0)[ids.data.astype(int)])

    def do_pick(self, x, want):
        return Named(["row" if a == "seq" else a for a in x.axes], np.take(x.data, want.data.astype(int), axis=x.axes.index("seq")))

    def do_rotate(self, x, freq, pos, f, order="halves"):
        last = [a for a in x.axes if a not in ("seq", f)]
        data, n = x.to(["seq", *last, f]), self.extent(f)
        angle = (pos.data[:, None] * freq.data[None, :]).reshape([len(pos.data)] + [1] * len(last) + [n // 2])
        a, b = (data[..., 0::2], data[..., 1::2]) if order == "interleaved" else (data[..., :n // 2], data[..., n // 2:])
        out = np.empty_like(data)
        turned = a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)
        if order == "interleaved":
            out[..., 0::2], out[..., 1::2] = turned
        else:
            out[..., :n // 2], out[..., n // 2:] = turned
        return Named(["seq", *last, f], out)

    def do_append(self, new, pos, to):
        return new.renamed("seq", to)

    def do_attend(self, q, k, v, pos, over, dot, scale, window=None, chunk=None, cap=None, sink=None, slope=None):
        scores = einsum([q, k], [a for a in q.axes if a != dot] + ["ctx"])
        data = scores.data * scale
        data = cap * np.tanh(data / cap) if cap else data
        at, to = np.arange(self.length), np.arange(self.length)
        seen = (to[None, :] <= at[:, None]) & (to[None, :] > at[:, None] - (window or math.inf))
        if chunk:
            seen &= to[None, :] // chunk == at[:, None] // chunk
        if slope:
            distance = Named(["seq", "ctx"], at[:, None] - to[None, :])
            data = data - slope.to(scores.axes) * distance.to(scores.axes)
        seen = Named(["seq", "ctx"], seen).to(scores.axes) > 0
        data = np.where(seen, data, -np.inf)
        top = data.max(axis=-1, keepdims=True)
        more = sink.to(scores.axes) if sink else None
        top = np.maximum(top, more) if sink else top
        e = np.exp(data - top)
        total = e.sum(axis=-1, keepdims=True) + (np.exp(more - top) if sink else 0)
        width = [a for a in v.axes if a != "ctx" and a not in q.axes or a == dot]
        return einsum([Named(scores.axes, e / total), v], [a for a in scores.axes if a != "ctx"] + width)

    def do_route(self, score, over, to, slot, top, bias=None, groups=1, top_groups=1, group_score="two_best", renormalize=True, factor=1.0):
        data = score.to([a for a in score.axes if a != over] + [over])
        choice = data + (bias.data if bias else 0)
        n = choice.shape[-1]
        if groups > 1:
            parts = choice.reshape(*choice.shape[:-1], groups, n // groups)
            worth = np.sort(parts, axis=-1)[..., -1 if group_score == "best" else -2:].sum(axis=-1)
            good = self.best(worth, top_groups)
            choice = np.where(np.repeat(good, n // groups, axis=-1), choice, -np.inf)
        chosen = self.best(choice, top)
        weight = np.where(chosen, data, 0)
        if renormalize:
            total = weight.sum(axis=-1, keepdims=True)
            self.extreme |= bool((np.abs(total) < 1e-15).any())
            weight = weight / np.maximum(total, 1e-30)
        return Named([a for a in score.axes if a != over] + [to], weight * factor), Named([a for a in score.axes if a != over] + [to], chosen), slot

    def best(self, score, top):
        """Marks the largest; on ties the lower index."""
        order = np.argsort(-score, axis=-1, kind="stable")
        if top < score.shape[-1]:
            ranked = np.take_along_axis(score, order, -1)
            self.choices.append((score, ranked[..., top - 1] - ranked[..., top]))
        chosen = np.zeros(score.shape, bool)
        np.put_along_axis(chosen, order[..., :top], True, -1)
        return chosen

    def do_dispatch(self, x, routing):
        weight, _, slot = routing
        expert = weight.axes[-1]
        tokens = weight.axes[0]
        rest = [a for a in x.axes if a != tokens]
        data = x.to([tokens, *rest])
        return Named([expert, slot, *rest], np.broadcast_to(data, (self.extent(expert), *data.shape)))

    def do_combine(self, y, routing):
        weight, _, slot = routing
        tokens = weight.axes[0]
        return einsum([y.renamed(slot, tokens), weight], [tokens, *[a for a in y.axes if a not in (slot, weight.axes[-1])]])

    def do_join(self, x, y, into):
        a, b = (p.name for p in self.axes[into].parts)
        rest = [n for n in x.axes if n != a]
        return Named([*rest, into], np.concatenate([x.to([*rest, a]), y.to([*rest, b])], axis=-1))
