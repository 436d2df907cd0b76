"""What accepted programs consist of, what the compiler made of them, and what no program reached."""
import collections
import pathlib
import re

from terms import Block, Op, Pieces, State, name_of, params_of

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNBUILT = {"cross_entropy"}     # of training
LOADING = {"tile"}              # a GPU launches it when weights are loaded, and no step does
SHOWN = 60                      # names of a group that are printed


def names(path, pattern):
    """The names that a table of the sources has."""
    found = re.findall(pattern, (ROOT / path).read_text(), re.M)
    assert found, f"{path} has no table like {pattern}"
    return set(found)


def required():
    return {"builtins": names("stdlib/ops.deploy", r"^builtin (\w+)") - UNBUILT,
            "kernels": names("dag/kernel.def", r"^KERNEL\(\w+, (\w+)") - LOADING,
            "moves": set(re.findall(r'"(\w+)"', re.search(r"local_op_text\[LOCAL_OPS\] = \{(.*?)\}", (ROOT / "dag/local_print.c").read_text(), re.S)[1])) - {"op", "const"},
            "words": {"cast", "iota", "constant", "index", "size", "sum", "mean", "max", "min", "clamp", "exp", "log", "sqrt", "rsqrt", "tanh", "erf", "sin", "cos", "abs", "floor", "ceil"}}


def of_program(p):
    """(group, name) of everything in the text."""
    yield from (("formats", f"act {p.act}"), ("formats", f"weight {p.weight}"), ("formats", f"kv {p.kv}"), ("loops", f"{p.kinds} kinds of layers"), ("loops", f"{len(p.loops())} loops"))
    outside = {s.name for s in p.body if isinstance(s, State)}
    for t in p.everything():
        if t.op == "ref" and t.at["name"] in outside:
            yield "caches", "outside the loops"
        callee = t.at.get("callee")
        if t.op == "call" and isinstance(callee, str):
            yield "builtins" if callee in BUILTINS else "operators", callee
            yield from (("options", f"{callee}.{k}") for k in t.at["named"] if callee in BUILTINS)
        elif t.op == "call":
            yield "operators", "a block" if isinstance(callee, Block) else "an op of its own"
        elif t.op not in ("ref", "number"):
            yield "words", "max" if t.op == "top" else t.op
    for s in params_of(p):
        yield "params", f"format {s.dtype or 'of the model'}"
        yield "params", "keyed" if s.keyed else "one tensor"
        factors = [f for dim in s.stored or [] for f in dim]
        yield "params", "a piece" if any(isinstance(f, Pieces) for f in factors) else "packed" if any(len(d) > 1 for d in s.stored or []) else "as it is"


BUILTINS = required()["builtins"]


class Coverage:
    def __init__(self):
        self.seen = collections.defaultdict(collections.Counter)

    def add(self, program):
        for group, name in set(of_program(program)):
            self.seen[group][name] += 1

    def add_compiled(self, local, schedule):
        """The text of both levels: what each rank does, once for each program."""
        for name in set(re.findall(r"^  %\d+ = (\w+)\(", local, re.M)):
            self.seen["moves" if name in required()["moves"] else "operations"][name] += 1
        for name in set(re.findall(r"^  (\w+)_\d+\(", schedule, re.M)):
            self.seen["kernels"][name] += 1
        for name, pattern in {"a pipeline": r"^stage 1:", "an exchange in rounds": r"^  rounds of", "several owners": r"^owners \w+"}.items():
            if re.search(pattern, local + schedule, re.M):
                self.seen["plans"][name] += 1

    def missing(self):
        return sorted(f"{group} {name}" for group, wanted in required().items() for name in wanted - set(self.seen[group]))

    def show(self):
        for group, counts in sorted(self.seen.items()):
            print(f"{group}: " + ", ".join(f"{name} {n}" for name, n in sorted(counts.items())[:SHOWN]))
