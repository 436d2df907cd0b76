"""The executable specification (its folders check/ and grammar/), run inside this process over our library of .deploy files.

`extend` adds what our library uses and the prototype lacks: some features, written from docs/language.md and not from deployc. For
these, deployc is compared with another reading of that text instead of the prototype.
"""
import ast
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

LIMIT = 20                                         # seconds for one spec: an extent of a million makes the prototype walk a million layers
TOTALS = ("params", "params.active", "total.weights", "total.kv", "memory.weights", "memory.kv")


class Prototype:
    """A copy of the prototype, built in a temporary folder: its own is not written to."""

    def __init__(self, folder, library):
        self.home = tempfile.TemporaryDirectory()
        root = pathlib.Path(self.home.name)
        for part in ("check", "grammar"):
            shutil.copytree(pathlib.Path(folder, part), root / part)
        subprocess.run(["sh", root / "grammar" / "build.sh"], check=True, capture_output=True)
        sys.path.insert(0, str(root / "check"))
        import check
        import plan
        import records
        import tensors
        extend(records, tensors)
        records.STD = check.STD = str(pathlib.Path(library).resolve())
        check.show = lambda v: repr(v.value if hasattr(v, "value") else v)
        self.check, self.plan, self.records = check, plan, records

    def run(self, path, types=False):
        """-> {codes, totals: {deploy: {name: number}}, types: {model: {(region, name): {type}}}}; a crash or a time-out is {skip: why}."""
        self.plan.Deployment.walks.clear()
        signal.signal(signal.SIGALRM, stop)
        signal.alarm(LIMIT)
        try:
            found, done = self.check.check(str(path), types)
        except Exception as e:                     # the prototype is not a product: a wrong spec may crash it
            self.forget()
            return {"skip": f"the prototype ends with {type(e).__name__}"}
        finally:
            signal.alarm(0)
        self.forget()
        return {"codes": list(dict.fromkeys(e.code for e in found)), "totals": totals(done), "types": model_types(done),
                "said": [str(e) for e in found]}

    def fields(self, name):
        """-> {field: its value} of the records and schemas that a module of the library declares, and of the records in them. Dots in
        the names of a map are written `__`."""
        found = {}
        for d in self.records.std(["std", name], None, None).own.values():
            if d.kind not in ("op", "builtin", "block"):
                self.walk(d.record(), d.name, found)
        return found

    def walk(self, record, path, found):
        for name, value in self.given(record).items():
            inner = f"{path}.{name.replace('.', '__')}"
            if isinstance(value, self.records.Rec):
                self.walk(value, inner, found)
            else:
                found[inner] = value

    def given(self, record):
        names = [n for n, f in record.fields.items() if f.sort != "view"] + [n for kids in record.kids.values() for n in kids]
        found = {}
        for name in names:
            try:
                found[name] = record.get(name)
            except self.records.Bad:               # a family leaves fields to its members, a schema to its records
                continue
        return found

    def forget(self):
        """Modules are kept by file name; after a crash one may be half made."""
        cache = self.records.Module.cache
        for file in [f for f, m in cache.items() if m is None or not f.startswith(self.records.STD)]:
            del cache[file]
        for module in cache.values():
            for d in module.own.values():
                d.busy = False


def extend(records, tensors):
    """Kinds `calibration` and `engine`; a block sees `weight`, `act` and `kv`; `l + m` of lists; `cycle(l, n)`; `steps(from, to, by)`; `constant(l, over = a)`, `index(pos, over = a)`."""
    records.KINDS.update(("calibration", "engine"))

    class BlockRecord(tensors.BlockRecord):
        def __init__(self, record):
            super().__init__(record)
            self.fields = {name: self.full.fields[name] for name in ("weight", "act", "kv")}

    arith, call = records.arith, records.Scope.call

    def add_lists(operator, a, b):
        return a + b if operator == "+" and isinstance(a, list) and isinstance(b, list) else arith(operator, a, b)

    def call_for_lists(scope, node, expect, module):
        if node[3][0] != "id" or node[3][3] not in ("cycle", "steps"):
            return call(scope, node, expect, module)
        given = [scope.ev(argument, None, module) for argument in node[4][3:]]
        return [given[0][i % len(given[0])] for i in range(given[1])] if node[3][3] == "cycle" else list(range(*given))

    primitive = tensors.Walk.primitive

    def primitive_over(walk, env, name, node, module):
        if name not in ("constant", "index"):
            return primitive(walk, env, name, node, module)
        value = env.ev(node[4][3], None, module)
        axis = env.need_axis(next(a[4][3] for a in node[4][3:] if a[0] == "named_arg"), node, module)
        if name == "index":
            return tensors.Tensor("index", value.axes, axis, value.data)
        return tensors.Tensor("f32", [axis], data=walk.np.array(value, dtype=float) if walk.np else None)

    tensors.Walk.primitive = primitive_over
    tensors.BlockRecord, records.arith, records.Scope.call = BlockRecord, add_lists, call_for_lists


def stop(*_):
    raise TimeoutError


def totals(done):
    found = {}
    for line in done:
        if match := re.match(r"deploy (\w+): (.+)", line):
            values = dict(re.findall(r"([a-z.]+) ([0-9.e+-]+)", match[2]))
            found[match[1]] = {k: ast.literal_eval(v) for k, v in values.items() if k in TOTALS}
    return found


def model_types(done):
    found, model = {}, None
    for line in done:
        if match := re.match(r"model (\w+):", line):
            model = found.setdefault(match[1], {})
        elif (match := re.match(r"    (\S+) +(\S+) : (.+)", line)) and model is not None:
            region = "" if match[1] == "model" else match[1]
            model.setdefault((region, match[2]), set()).add(match[3].replace("i32[", "Int["))
    return found
