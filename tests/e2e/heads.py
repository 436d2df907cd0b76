"""The library's models with each axis of heads written as several, which changes no weights and no results:
{"kv_heads": {"kv_a": 2, "kv_b": 2}} makes one axis of four two axes of two."""
import pathlib
import re

STDLIB = pathlib.Path(__file__).resolve().parents[2] / "stdlib"


def model_text(module, name):
    """The text of a model and of its blocks that use heads, as for a file of its own."""
    text = (STDLIB / f"{module.removeprefix('std.')}.deploy").read_text()
    blocks = re.findall(r"^(?:///[^\n]*\n)*(?:block|op) .*?^}\n", text, re.M | re.S)
    model = re.search(rf"^model {name} : Decoder .*?^}}\n", text, re.M | re.S)[0]
    uses = re.findall(r"^use .*\n", text, re.M)
    if " GQA(" in model:
        blocks.append(re.search(r"^block GQA\(.*?^}\n", (STDLIB / "decoder.deploy").read_text(), re.M | re.S)[0])
        uses = [use.replace(" GQA,", "").replace("std.ops { ", "std.ops { rotate, append, attend, ") for use in uses]
    return "".join(uses + blocks) + model


def _nest(line, axis, names):
    """A mean over one axis becomes means over each."""
    over = f", over = {axis})"
    return line.replace("= ", "= " + "mean(" * (len(names) - 1), 1).replace(over, "".join(f", over = {n})" for n in names)) if over in line else line


def _replace(text, axis, names):
    """Replaces the name by a list if it is an element of one, else by a product."""
    def one(match):
        before, after = text[:match.start()].rstrip(" ")[-1:], text[match.end():].lstrip(" ")[:1]
        listed = (before in "[," and after in "],") or text[:match.start()].endswith("axis ")
        return (", " if listed else " * ").join(names)
    return re.sub(rf"\b{axis}\b(?! *[:=])", one, text)


def _mix(axes, heads, r):
    """The list with the axes of heads permuted among their places."""
    axes = re.split(r", *", axes)
    some = [a for a in axes if a in heads]
    r.shuffle(some)
    return ", ".join(some.pop() if a in heads else a for a in axes)


def sizes(parts):
    """The heads in a refinement of the model."""
    return "; ".join(f"{name} = {extent}" for names in parts.values() for name, extent in names.items())


def split_heads(text, parts, r=None):
    """`parts`: names and extents for each axis of heads. With `r`, the axes of each param, state and product are in random order."""
    heads = {name for names in parts.values() for name in names}
    for axis, names in parts.items():
        text = "".join(_nest(line, axis, list(names)) for line in text.splitlines(keepends=True))
        text = re.sub(rf"axis {axis} *(= \d+|: Int)", "; ".join(f"axis {n} : Int" for n in names), text)
        text = _replace(text, axis, list(names))
    if r:
        mixed = lambda match: match[1] + _mix(match[2], heads, r) + match[3]
        text = re.sub(r"(param \w+ *: \w*\[)([^]]*)(\] *from \"[^\"]*\" *as)", mixed, text)
        text = re.sub(r"(state \w+ *: \w*\[)([^]]*)(\])", mixed, text)
        text = re.sub(r"(@\[)([^]]*)(\])", mixed, text)
    return text
