"""Programs of the language as data: expressions with their axes and formats, statements, blocks, ops; and their text.

The generator builds these, `evaluate.py` evaluates them, `text` writes them as `.deploy`. None of them reads
the compiler or its output.
"""
from dataclasses import dataclass, field

RUN_TIME = ("batch", "seq", "ctx", "row")


@dataclass(eq=False)
class Axis:
    """extent None: known when a step runs. `like`, `ragged`: the axis that it is a view of, or belongs to; `parts`: of a concat."""
    name: str
    extent: int = None
    like: "Axis" = None
    ragged: "Axis" = None
    parts: tuple = ()

    def __post_init__(self):
        if self.parts:
            self.extent = sum(p.extent for p in self.parts)
        elif self.like:
            self.extent = self.like.extent

    def declaration(self):
        if self.like:
            return f"axis {self.name} like {self.like.name}"
        if self.ragged:
            return f"axis {self.name} = ragged({self.ragged.name})"
        if self.parts:
            return f"axis {self.name} = concat({', '.join(p.name for p in self.parts)})"
        return f"axis {self.name} = {self.extent}"


@dataclass(eq=False)
class Term:
    """An expression. `op` says which, `at` what else belongs to it; axes are names, in order."""
    op: str
    args: tuple = ()
    axes: tuple = ()
    dtype: str = "f32"
    at: dict = field(default_factory=dict)


# ---- statements: each has names that it binds -----------------------------------------------------------------------
@dataclass(eq=False)
class Let:
    name: str
    value: Term


@dataclass(eq=False)
class Rebind:
    name: str
    value: Term


@dataclass(eq=False)
class Param:
    """`stored`: None, or dimensions that `Stored` describes. `spread`: (mean, deviation) of its elements. dtype "": `weight`."""
    name: str
    axes: tuple
    key: str
    stored: list = None
    spread: tuple = (0.0, 1.0)
    dtype: str = ""
    keyed: tuple = ()           # axes of which the key has a name each


@dataclass(eq=False)
class State:
    name: str
    axes: tuple
    dtype: str
    value: Term


@dataclass(eq=False)
class When:
    """branches: (condition as text, as a function of the layer, statements); the last may have no condition."""
    branches: list


@dataclass(eq=False)
class Repeat:
    """`number`: what the prefix calls a turn."""
    axis: Axis
    index: str
    prefix: str
    number: object
    body: list


@dataclass(eq=False)
class Output:
    name: str
    type: str
    value: Term


@dataclass(eq=False)
class Block:
    """params: (name, type as text). inner: axes declared inside."""
    name: str
    params: list
    axes: list
    inner: list
    result: tuple
    dtype: str
    body: list
    value: Term


@dataclass(eq=False)
class Op:
    """params: (name, pattern as text or None for a Float)."""
    name: str
    params: list
    result: str
    body: list
    value: Term
    over: str = None            # its axis variable, if it has one


# A stored dimension is a list of factors, outermost first; a factor is an axis, 1, or a sum of pieces.
@dataclass(eq=False)
class Pieces:
    """pieces: lists of factors; mine: the one that the param is; marked: with `!`."""
    pieces: list
    mine: int
    marked: bool = True


# ---- text -----------------------------------------------------------------------------------------------------------
BINARY = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
REDUCE = {"sum": "sum", "mean": "mean", "top": "max"}


def number(x):
    return str(x) if isinstance(x, int) else repr(float(x))


def argument(value):
    if isinstance(value, Term):
        return text(value)
    if isinstance(value, Axis):
        return value.name
    if isinstance(value, bool):
        return "true" if value else "false"
    return number(value) if isinstance(value, (int, float)) else str(value)


def name_of(callee):
    """Of a builtin or an operator of the library: a name; of a block or an op of the program: that."""
    return callee if isinstance(callee, str) else callee.name


def text(t):
    a = t.args
    if t.op == "ref":
        return t.at["name"]
    if t.op == "number":
        return number(t.at["value"])
    if t.op in BINARY:
        return f"({text(a[0])} {BINARY[t.op]} {text(a[1])})"
    if t.op in REDUCE:
        return f"{REDUCE[t.op]}({text(a[0])}, over = {t.at['over']})"
    if t.op == "contract":
        return f"({text(a[0])} @[{', '.join(t.at['over'])}] {text(a[1])})"
    if t.op == "rename":
        return f"{text(a[0])}[{t.at['from']} -> {t.at['to']}]"
    if t.op == "cast":
        return f"cast({text(a[0])}, {t.at['to']})"
    if t.op in ("iota", "size"):
        return f"{t.op}({t.at['axis']})"
    if t.op == "constant":
        return f"constant([{', '.join(map(number, t.at['values']))}], over = {t.at['axis']})"
    if t.op == "index":
        return f"index({text(a[0])}, over = {t.at['over']})"
    if t.op == "call":
        given = [text(x) for x in a] + [f"{k} = {argument(v)}" for k, v in t.at["named"].items()]
        label = f" as {t.at['label']} from \"{t.at['prefix']}\"" if t.at.get("label") else ""
        return f"{name_of(t.at['callee'])}({', '.join(given)}){label}"
    if t.op == "by layer":
        return t.at["text"]
    if t.op == "neg":
        return f"(-{text(a[0])})"
    return f"{t.op}({', '.join(text(x) for x in a)})"         # exp, max, clamp ...


def factor_text(factor):
    if isinstance(factor, Pieces):
        pieces = [" * ".join(map(factor_text, p)) + (" !" if factor.marked and i == factor.mine else "") for i, p in enumerate(factor.pieces)]
        return f"({' + '.join(pieces)})"
    return "1" if factor == 1 else factor.name


def stored_text(stored):
    return " as [" + ", ".join(" * ".join(map(factor_text, dim)) for dim in stored) + "]" if stored else ""


def statement(s, pad):
    if isinstance(s, Let):
        return [f"{pad}let {s.name} = {text(s.value)}"]
    if isinstance(s, Rebind):
        return [f"{pad}{s.name} = {text(s.value)}"]
    if isinstance(s, Param):
        return [f"{pad}param {s.name} : {s.dtype}[{', '.join(s.axes)}] from \"{s.key}\"{stored_text(s.stored)}"]
    if isinstance(s, State):
        return [f"{pad}state {s.name} : {s.dtype}[{', '.join(s.axes)}] = {text(s.value)}"]
    if isinstance(s, Output):
        return [f"{pad}output {s.name} : {s.type} = {text(s.value)}"]
    if isinstance(s, Repeat):
        return [f"{pad}repeat {s.axis.name} as {s.index} from \"{s.prefix}\" {{", *body(s.body, pad + "  "), f"{pad}}}"]
    return when(s.branches, pad)


def when(branches, pad):
    (condition, _, then), *rest = branches
    lines = [f"{pad}when ({condition}) {{", *body(then, pad + "  ")]
    if not rest:
        return lines + [f"{pad}}}"]
    other = body(rest[0][2], pad + "  ") if rest[0][0] is None else when(rest, pad + "  ")
    return lines + [f"{pad}}} else {{", *other, f"{pad}}}"]


def body(statements, pad="  "):
    return [line for s in statements for line in statement(s, pad)]


def block_text(b):
    lines = [f"block {b.name}({', '.join(f'{n}: {t}' for n, t in b.params)}) -> {b.dtype}[{', '.join(b.result)}] {{"]
    if b.axes:
        lines.append(f"  axis {', '.join(b.axes)}")
    lines += [f"  {a.declaration()}" for a in b.inner]
    return "\n".join(lines + body(b.body) + [f"  return {text(b.value)}", "}"]) + "\n"


def op_text(o):
    given = ", ".join(f"{n}: {'Float' if pattern is None else pattern}" for n, pattern in o.params)
    return "\n".join([f"op {o.name}({given}) -> {o.result} {{", *body(o.body), f"  return {text(o.value)}", "}"]) + "\n"


# ---- walks ----------------------------------------------------------------------------------------------------------
def terms_of(statements):
    """Every term of statements, branches included."""
    for s in statements:
        if isinstance(s, When):
            for _, _, branch in s.branches:
                yield from terms_of(branch)
        elif isinstance(s, Repeat):
            yield from terms_of(s.body)
        elif not isinstance(s, Param):
            yield from within(s.value)


def within(t):
    yield t
    for a in [*t.args, *(v for v in t.at.get("named", {}).values() if isinstance(v, Term))]:
        yield from within(a)


def params_of(p):
    """Every param of a program."""
    def inside(statements):
        for s in statements:
            if isinstance(s, Param):
                yield s
            elif isinstance(s, Repeat):
                yield from inside(s.body)
            elif isinstance(s, When):
                for _, _, branch in s.branches:
                    yield from inside(branch)
    for b in p.blocks:
        yield from inside(b.body)
    yield from inside(p.body)
