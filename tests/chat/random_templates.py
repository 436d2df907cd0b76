"""Random templates over the variables of expressions.py: most are nonsense, on which both must agree."""

ATOMS = ["s", "u", "e", "l", "f", "i", "n", "t", "m", "d", "zz", "1", "0", "-3", "2.5", "true", "none", "''", "'a'", "'lo W'", "' x\\n'", "[]", "[3, 1]",
         "['b', 'A', 'b']", "(1, 'x')", "{}", "{'k': 1, 'b': [2]}", "range(3)", "m[0]", "d.b", "d.c.k", "loop", "ns"]
BINARY = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", ">", "<=", ">=", "in", "not in", "and", "or"]
FILTERS = ["trim", "upper", "lower", "title", "capitalize", "length", "first", "last", "list", "join", "join('-')", "string", "int", "float", "abs", "round",
           "round(1)", "sum", "max", "min", "sort", "reverse", "unique", "items", "dictsort", "tojson", "tojson(indent=2)", "default('q')", "default(1, true)",
           "replace('l', 'LL')", "indent(2)", "indent(1, true)", "map('upper')", "map(attribute='role')", "map('string')", "select", "reject",
           "select('string')", "selectattr('role')", "selectattr('role', 'equalto', 'user')", "rejectattr('n', 'defined')", "map('length')", "safe", "e", "select('gt', 1)"]
TESTS = ["defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "integer", "float", "boolean", "true", "false", "odd", "even",
         "callable", "in [1, 'a', none]", "eq 1", "ne('a')", "gt 1", "divisibleby 2"]
METHODS = [".strip()", ".strip('Hd')", ".split()", ".split('l')", ".split('o', 1)", ".rsplit(none, 1)", ".upper()", ".title()", ".capitalize()",
           ".startswith('H')", ".endswith(('d', 'x'))", ".replace('l', '')", ".find('o')", ".items()", ".keys()", ".values()", ".get('a')", ".get('zz', 5)",
           ".append(1)", ".count('l')", ".index(1)", ".join(['x', 'y'])", ".splitlines()", ".lstrip()", ".partition('o')", ".foo", ".role", ".a", ".b", ".content",
           "[0]", "[-1]", "['a']", "['role']", "[1:]", "[::-1]", "[:2]", "[-2::-2]", "[9]", ".x.y"]


def expression(r, depth=0):
    kind = r.randrange(10 if depth < 4 else 2)
    if kind < 3:
        return r.choice(ATOMS)
    inner = expression(r, depth + 1)
    if kind == 3:
        return f"{inner}{r.choice(METHODS)}" if r.random() < 0.5 else f"({inner}){r.choice(METHODS)}"
    if kind == 4:
        return f"{inner} {r.choice(BINARY)} {expression(r, depth + 1)}"
    if kind == 5:
        return f"({inner}) | {r.choice(FILTERS)}" if r.random() < 0.7 else f"{inner} | {r.choice(FILTERS)}"
    if kind == 6:
        return f"{inner} is {r.choice(['', 'not '])}{r.choice(TESTS)}"
    if kind == 7:
        return f"{r.choice(['not ', '-', '+', 'not not '])}{inner}"
    if kind == 8:
        return f"{inner} if {expression(r, depth + 1)}" + (f" else {expression(r, depth + 1)}" if r.random() < 0.8 else "")
    return r.choice(["[{}]", "({},)", "{{'x': {}}}", "({})", "[{}, 2]"]).format(inner)


def tag(r, text):
    left, right = r.choice(["", "", "-", "+"]), r.choice(["", "", "-", "+"])
    return "{%" + left + " " + text + " " + right + "%}"


TEXTS = ["", " ", "\n", "x", "\n\n  ", "  \n", "\ty", "a\n  ", "\r\n", "{# c #}", "{#- c #}\n", " {# c -#} "]


def statement(r, depth):
    kind = r.randrange(9 if depth < 3 else 3)
    if kind == 0:
        return r.choice(TEXTS)
    if kind < 3:
        left, right = r.choice(["", "-"]), r.choice(["", "-"])
        return "{{" + left + " " + expression(r) + " " + right + "}}"
    if kind == 3:
        return tag(r, f"set {r.choice(['x', 's', 'i', 'ns.a', 'l', 'a, b'])} = {expression(r)}")
    if kind == 4:
        return tag(r, f"if {expression(r)}") + body(r, depth) + (tag(r, "else") + body(r, depth) if r.random() < 0.5 else "") + tag(r, "endif")
    if kind == 5:
        condition = f" if {expression(r, 3)}" if r.random() < 0.3 else ""
        loop = r.choice(["", "{{ loop.index }}", "{{ loop.last }}{{ x }}", "{{ loop.length }}", tag(r, "break"), "{{ loop.nextitem }}"])
        return tag(r, f"for x in {expression(r, 3)}{condition}") + loop + body(r, depth) + tag(r, "endfor")
    if kind == 6:
        return tag(r, "set x") + body(r, depth) + tag(r, "endset") + "{{ x }}"
    if kind == 7:
        return tag(r, "macro f(x, y=i)") + body(r, depth) + tag(r, "endmacro") + r.choice(["{{ f(1) }}", "{{ f(s, y=2) | trim }}", "{{ f() }}", ""])
    return tag(r, "filter upper") + body(r, depth) + tag(r, "endfilter")


def body(r, depth=0):
    return "".join(r.choice(TEXTS) + statement(r, depth + 1) for _ in range(r.randrange(3)))


def random_template(r):
    return "{% set ns = namespace(a=1) %}" + body(r, 0) + statement(r, 0) + r.choice(TEXTS)


# ---- names in blocks in blocks ----------------------------------------------------------------------------------------
NAMES = ["s", "i", "u", "x"]


def scope(r, depth):
    kind = r.randrange(8 if depth < 4 else 3)
    if kind == 0:
        return "{{ %s }};" % r.choice(NAMES)
    if kind < 3:
        return "{%% set %s = %s ~ %d %%}" % (r.choice(NAMES), r.choice(["''", "s", "x"]), r.randrange(9))
    inner, other = scopes(r, depth), scopes(r, depth)
    if kind == 3:
        return "{%% for %s in l %%}%s{%% else %%}%s{%% endfor %%}" % (r.choice("yxi"), inner, other)
    if kind == 4:
        rest = r.choice(["", "{% elif n %}" + other, "{% else %}" + other, "{% elif n %}" + other + "{% else %}{% set s = 0 %}"])
        return "{%% if %s %%}%s%s{%% endif %%}" % (r.choice("tnx"), inner, rest)
    if kind == 5:
        return "{%% macro f(%s) %%}%s{%% endmacro %%}{{ f(1) }}" % (r.choice("sxq"), inner)
    if kind == 6:
        return "{%% set %s %%}%s{%% endset %%}" % (r.choice(NAMES), inner)
    return r.choice(["{%% generation %%}%s{%% endgeneration %%}", "{%% filter upper %%}%s{%% endfilter %%}"]) % inner


def scopes(r, depth=0):
    return "".join(scope(r, depth + 1) for _ in range(r.randrange(1, 4)))


# What Jinja2 renders and this refuses: see docs/chat-templates.md.
STRICTER = ["not supported", "too large", "has no text", "a string from `safe`", "takes too many steps", "of memory", "is not a real number",
            "has no elements", "has no items", "has no slices", "`.`"]


def compare(count, template, found, expected):
    if "text" in expected and any(words in found.get("error", "") for words in STRICTER):
        count.passed += 1
    else:
        count.agree(repr(template), found, expected)
