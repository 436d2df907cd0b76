"""Mutations of specs, on tokens and on structure. The same seed and text give the same mutants, on every Python 3."""
import random
import re

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"[^"\n]*"|\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?|[A-Za-z_]\w*|->|\.\.|[<>=!]=|\s+|.', re.S)
UNITS = ["B", "MB", "GB", "TB", "GiB", "TiB", "s", "ms", "us", "GB/s", "TB/s", "TFLOPS", "tokens/ms", "Gparam", "%"]
FORMATS = ["f32", "bf16", "f16", "fp8_e4m3"]
WORDS = {"use", "return", "require", "assert", "prefer", "maximize", "minimize", "when", "else", "if", "then", "where", "in", "and", "or",
         "not", "mod", "divides", "per", "as", "from", "like", "within", "across", "true", "false", "none", "auto"}
OPERATORS = ["+", "-", "*", "/", "<=", ">=", "==", "<", ">"]


class Spec:
    """The tokens of a text; comments and white space are kept but never chosen."""

    def __init__(self, text):
        self.tokens = TOKEN.findall(text)

    def text(self):
        return "".join(self.tokens)

    def where(self, wanted):
        return [i for i, t in enumerate(self.tokens) if wanted(t)]

    def names(self):
        return self.where(lambda t: re.match(r"[A-Za-z_]", t) and t not in WORDS)


def number(spec, rng):
    """Another number in the place of one."""
    at = rng.choice(spec.where(lambda t: t[0].isdigit()))
    old = spec.tokens[at]
    value = float(old.replace("_", ""))
    whole = re.fullmatch(r"[\d_]+", old)
    new = rng.choice([value + 1, value - 1, value * 2, value // 2, value * 3, 0, 1, 7])
    spec.tokens[at] = str(int(new)) if whole else repr(float(new)) if rng.random() < 0.8 else str(int(new))


def unit(spec, rng):
    """Another unit after a number, a new one, or none."""
    at = rng.choice(spec.where(lambda t: t[0].isdigit()))
    end = at + 1
    if re.fullmatch(r" ?", "".join(spec.tokens[end:end + 1])) and "".join(spec.tokens[end + 1:end + 2]) in UNITS:
        end += 2
    spec.tokens[at + 1:end] = [] if rng.random() < 0.2 else [" " + rng.choice(UNITS)]


def typo(spec, rng):
    """A letter of a name is lost, doubled or another."""
    at = rng.choice(spec.names())
    word = spec.tokens[at]
    i = rng.randrange(len(word))
    spec.tokens[at] = rng.choice([word[:i] + word[i + 1:], word[:i] + word[i] + word[i:], word[:i] + "x" + word[i + 1:]]) or "x"


def name(spec, rng):
    """A name stands where another did."""
    names = spec.names()
    spec.tokens[rng.choice(names)] = spec.tokens[rng.choice(names)]


def operator(spec, rng):
    at = rng.choice(spec.where(lambda t: t in OPERATORS) or spec.names())
    spec.tokens[at] = rng.choice(OPERATORS)


def drop_token(spec, rng):
    spec.tokens[rng.choice(spec.where(lambda t: not t.isspace() and t[:2] not in ("//", "/*")))] = ""


def number_format(spec, rng):
    """Another number format; a spec without one has a name changed."""
    found = spec.where(lambda t: t in FORMATS)
    if not found:
        return name(spec, rng)
    spec.tokens[rng.choice(found)] = rng.choice(FORMATS)


def mesh(spec, rng):
    """Another size of a mesh axis, or another axis."""
    found = [i for i in spec.where(lambda t: t in ("tp", "dp", "ep", "pp"))
             if "".join(spec.tokens[i + 1:i + 4]).replace(" ", "").startswith("=")]
    if not found:
        return number(spec, rng)
    at = rng.choice(found)
    if rng.random() < 0.2:
        spec.tokens[at] = rng.choice(["tp", "dp", "ep", "pp", "cp"])
        return
    value = next((i for i in range(at, len(spec.tokens)) if spec.tokens[i][0:1].isdigit()), None)
    if value:
        spec.tokens[value] = str(rng.choice([1, 2, 3, 4, 5, 6, 8, 12, 16, 32]))


def lists(spec):
    """(first, last) of the brackets [a, b, ...] of names."""
    found, start = [], None
    for i, token in enumerate(spec.tokens):
        if token == "[":
            start = i
        elif token == "]" and start is not None:
            found.append((start, i))
            start = None
    return found


def axes(spec, rng):
    """Two axes of a list change places, one is lost, or one comes twice."""
    found = [(a, b) for a, b in lists(spec) if "," in spec.tokens[a:b]]
    if not found:
        return name(spec, rng)
    first, last = rng.choice(found)
    items = "".join(spec.tokens[first + 1:last]).split(", ")
    i, j = rng.sample(range(len(items)), 2) if len(items) > 1 else (0, 0)
    how = rng.random()
    if how < 0.4:
        items[i], items[j] = items[j], items[i]
    elif how < 0.8:
        del items[i]
    else:
        items[i] = items[j]
    spec.tokens[first + 1:last] = [", ".join(items)]


def items(text):
    """(first, last + 1) of runs of lines with balanced braces that are one item."""
    lines, found = text.splitlines(), []
    for i, line in enumerate(lines):
        depth, j = line.count("{") - line.count("}"), i
        if not line.strip() or line.strip().startswith("//") or depth < 0:
            continue
        while depth > 0 and j + 1 < len(lines):
            j += 1
            depth += lines[j].count("{") - lines[j].count("}")
        found.append((i, j + 1))
    return lines, found


def drop_item(text, rng):
    lines, found = items(text)
    first, last = rng.choice(found)
    return lines[:first] + lines[last:]


def double_item(text, rng):
    lines, found = items(text)
    first, last = rng.choice(found)
    return lines[:last] + lines[first:last] + lines[last:]


def move_item(text, rng):
    """An item in the place of another."""
    lines, found = items(text)
    first, last = rng.choice(found)
    to = rng.choice([i for i, _ in found if not first <= i < last] or [last])
    moved, rest = lines[first:last], lines[:first] + lines[last:]
    to -= (last - first) if to > first else 0
    return rest[:to] + moved + rest[to:]


def drop_use(text, rng):
    """A `use`, or a name of its list, is lost."""
    lines = text.splitlines()
    at = rng.choice([i for i, line in enumerate(lines) if line.startswith("use ")])
    names = re.search(r"\{ (.*) \}", lines[at])
    if names and "," in names[1] and rng.random() < 0.7:
        left = names[1].split(", ")
        del left[rng.randrange(len(left))]
        lines[at] = lines[at].replace(names[1], ", ".join(left))
    else:
        del lines[at]
    return lines


ON_TOKENS = [number, number, unit, typo, name, name, operator, drop_token, number_format, mesh, mesh, mesh, axes, axes]
ON_ITEMS = [drop_item, drop_item, double_item, move_item, drop_use]


def mutate(text, rng):
    """-> (the mutation's name, the mutant)"""
    how = rng.choice(ON_TOKENS + ON_ITEMS)
    if how in ON_ITEMS:
        return how.__name__, "\n".join(how(text, rng)) + "\n"
    spec = Spec(text)
    how(spec, rng)
    return how.__name__, spec.text()


def mutants(bases, count, seed):
    """-> [(name, text)]: `count` different mutants, the bases in turn."""
    rng, found, seen = random.Random(seed), [], set(bases.values())
    names = sorted(bases)
    while len(found) < count:
        base = names[len(found) % len(names)]
        how, text = mutate(bases[base], rng)
        if text not in seen:
            seen.add(text)
            found.append((f"{len(found):03d}_{base}_{how}", text))
    return found
