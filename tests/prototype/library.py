"""The library as specs: each of its models in a deployment, and each field of its records in a claim."""
import re

# Nothing is split: what a plan does to these models is for specs/.
MACHINE = """
use std.hw { Accelerator, Cluster }
use std.plans { Megatron }
use std.workload { Inference }

device Huge : Accelerator { memory = 8 TiB; bandwidth = 1 TB/s; peak { bf16 = 1 TFLOPS; f32 = 1 TFLOPS } }
cluster Lone : Cluster { device = Huge; level box { count = 1 } }
"""
REST = "cluster = Lone; plan = Megatron {}; workload = Inference { batch = 4; seq = 32..512; output = 64 }"

# Families whose shape is open: members that take each of their branches.
SHAPE = "layers = 2; d_model = 64; kv_heads = 2; head_dim = 32; expert = 8; expert_ffn = 96"
OPEN = {"MoEDecoder": {"Gated": f"{{ {SHAPE} }}", "Plain": f"{{ {SHAPE}; gated = false }}"}}

UNITS = {"data": "B", "time": "s", "flop": "FLOP", "energy": "J", "token": "token", "param": "param", "money": "USD"}


def deployed(text):
    """The text of a module, then a deployment On... of each model that it declares. Aliases of models elsewhere have none."""
    declared = re.findall(r"^model (\w+)(?! += \w+\.)\b", text, re.M)
    members = {name: f"{family} {body}" for family in declared for name, body in OPEN.get(family, {}).items()}
    lines = [f"model {name} = {base}" for name, base in members.items()]
    lines += [f"deploy On{name} {{ model = {name}; {REST} }}" for name in declared + list(members) if name not in OPEN]
    return text + MACHINE + "\n".join(lines) + "\n" if lines else text


def flattened(text):
    """The text of a module with `__` for each dot in a name of a map: a claim cannot say such names otherwise."""
    return re.sub(r"^( +)(\w+(?:\.\w+)+)(?= += )", lambda m: m[1] + m[2].replace(".", "__"), text, flags=re.M)


def false_claims(module, fields):
    """-> (a spec, {line: the field whose value it denies}): what is equal is refuted. Words of enums are said by fields of `Word`.
    `module` is what `use` says."""
    denied = {name: text for name, value in fields.items() if (text := written(value)) is not None}
    words = sorted({value for value in fields.values() if type(value).__name__ == "Symbol"})
    head = [f"use {module} as it", "use std.llama as llama", *MACHINE.strip().splitlines(),
            "schema Word { " + "; ".join(f"{w} : enum({w}) = {w}" for w in words) + " }",
            f"deploy Values {{ model = llama.Llama_3_2_1B; {REST}"]
    lines = head + [f"  assert it.{name} != {text}" for name, text in denied.items()] + ["}"]
    return "\n".join(lines) + "\n", {len(head) + i: name for i, name in enumerate(denied, 1)}


def written(value):
    """A value of the prototype in the language; None: it cannot be written (a list of records, which are compared one by one)."""
    kind = type(value).__name__
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if kind in ("int", "float"):
        return repr(value) if value >= 0 else f"({value!r})"
    if kind == "str":
        return f'"{value}"'
    if kind == "DType":
        return value.name
    if kind == "Symbol":
        return f"Word.{value}"
    if kind == "Quantity":
        return f"{value.value!r} {unit(value.dim)}"
    if kind == "Range":
        return f"{written(value.lo)}..{written(value.hi)}"
    texts = [written(x) for x in value] if kind == "list" else [None]
    return None if None in texts else f"[{', '.join(texts)}]"


def unit(dimension):
    above, below = ([UNITS[d] for d, power in dimension.items() for _ in range(power * sign)] for sign in (1, -1))
    return "/".join(["*".join(above), *below])
