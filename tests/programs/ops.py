"""Random operators with bodies: arithmetic, bounded functions and reductions along one axis."""
from terms import Let, Op, Term

# Reductions and functions that keep what is near one near one; discontinuous ones are of constants only.
ONE = ["tanh", "erf", "sin", "cos", "abs", "softened", "logged", "rooted", "damped", "clamped", "neg"]
TWO = ["add", "sub", "mul", "div", "min", "max"]


def num(value):
    return Term("number", at={"value": value, "shape": ""})


def term(op, *args, shape, **at):
    return Term(op, args, (), "f32", {**at, "shape": shape})


class OpMaker:
    def __init__(self, r, ops, fresh):
        self.r, self.ops, self.fresh = r, ops, fresh

    # ---- bodies: a term's shape is "tf", "t", "f" or "" -----------------------------------------------------------------
    def one(self, kind, x):
        f = lambda op, *args: term(op, *args, shape=max((a.at["shape"] for a in args), key=len))
        table = {"softened": lambda: f("exp", f("neg", f("abs", x))), "logged": lambda: f("log", f("add", f("abs", x), num(1))),
                 "rooted": lambda: f("sqrt", f("add", f("abs", x), num(0.25))), "damped": lambda: f("rsqrt", f("add", f("mul", x, x), num(0.5))),
                 "clamped": lambda: f("clamp", x, num(-self.r.choice([0.5, 2.0])), num(self.r.choice([0.75, 3.0])))}
        return table.get(kind, lambda: f(kind, x))()

    def two(self, kind, x, y):
        shape = max(x.at["shape"], y.at["shape"], key=len)
        if kind == "mul":
            x = self.one("tanh", x)
        if kind == "div":
            y = term("add", self.one("abs", y), num(1), shape=y.at["shape"])
        return term(kind, x, y, shape=shape)

    def reduced(self, kind, x):
        if kind == "mean square":
            return term("rsqrt", term("add", term("mean", term("mul", x, x, shape="tf"), shape="t", over="f"), num(1e-5), shape="t"), shape="t")
        if kind == "sum":
            return term("div", term("sum", x, shape="t", over="f"), term("size", shape="", axis="f"), shape="t")
        return term(kind, x, shape="t", over="f")

    def expression(self, leaves, depth, along):
        if depth == 0 or self.r.random() < 0.15:
            return self.leaf(leaves, along)
        x = self.expression(leaves, depth - 1, along)
        kind = self.r.random()
        if kind < 0.4:
            return self.one(self.r.choice(ONE), x)
        if kind < 0.55 and along and x.at["shape"] == "tf":
            return self.reduced(self.r.choice(["mean", "sum", "top", "mean square"]), x)
        y = self.expression(leaves, depth - 1, along)
        if {x.at["shape"], y.at["shape"]} == {"t", "f"}:
            return x
        return self.two(self.r.choice(TWO), x, y)

    def leaf(self, leaves, along):
        if along and self.r.random() < 0.1:
            ramp = term("iota", shape="f", axis="f")
            ramp = term(self.r.choice(["floor", "ceil"]), term("mul", ramp, num(0.4), shape="f"), shape="f") if self.r.random() < 0.5 else ramp
            return term("div", ramp, term("size", shape="", axis="f"), shape="f")
        return num(self.r.choice([0.5, 1, 2.0, 0.1])) if self.r.random() < 0.1 else self.r.choice(leaves)

    def body(self, leaves, along):
        x, out = leaves[0], []
        for _ in range(self.r.choice([0, 1, 1, 2])):
            value = self.expression(leaves, 2, along)
            if value.at["shape"]:
                name = self.fresh("u")
                out.append(Let(name, value))
                leaves = [*leaves, term("ref", shape=value.at["shape"], name=name)]
        value = self.expression(leaves, 3, along)
        while value.at["shape"] != x.at["shape"]:
            value = self.two(self.r.choice(["add", "mul", "sub"]), x, value)
        return out, value

    # ---- operators ------------------------------------------------------------------------------------------------------
    def new(self, over, scaled, paired, wide):
        pattern = "[...t, f!]" if over else "[...t]"
        shape = "tf" if over else "t"
        params, leaves = [("x", pattern)], [term("ref", shape=shape, name="x")]
        if paired:
            params.append(("y", pattern))
            leaves.append(term("ref", shape=shape, name="y"))
        if scaled:
            params.append(("scale", "[f!]"))
            leaves.append(term("ref", shape="f", name="scale"))
        if self.r.random() < 0.3:
            params.append(("c", None))
            leaves.append(term("ref", shape="", name="c"))
        body, value = self.body(leaves, over)
        op = Op(self.fresh("op"), params, wide + ("[...t, f]" if over else "[...t]"), body, value, "f" if over else None)
        self.ops.append(op)
        return op

    def call(self, x, over=None, scale=None, other=None):
        """x through an operator, of those that there are or a new one; over: the axis that it may reduce."""
        scaled, paired = bool(over and scale and self.r.random() < 0.5), bool(other and self.r.random() < 0.5)
        wide = "f32" if self.r.random() < 0.15 else ""
        fits = [o for o in self.ops if (o.over is not None) == bool(over) and o.result.startswith("f32") == bool(wide)
                and [p[0] for p in o.params if p[1]] == ["x"] + ["y"] * paired + ["scale"] * scaled]
        op = self.r.choice(fits) if fits and self.r.random() < 0.4 else self.new(bool(over), scaled, paired, wide)
        args = [x] + ([other()] if paired else []) + ([scale()] if scaled else [])
        named = {"c": self.r.choice([0.25, 1.5])} if ("c", None) in op.params else {}
        if over and (not scaled or self.r.random() < 0.3):
            named["f"] = over
        return Term("call", tuple(args), x.axes, "f32" if wide else x.dtype, {"callee": op, "named": named})
