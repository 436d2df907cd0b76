#!/usr/bin/env python3
"""The words that files for editors colour, from the tables of the compiler.

    words.py           names the files whose lists differ from the tables
    words.py --write   brings the lists up to date

A list is a line of the Vim and the Emacs files that starts as `list_lines` says, and a pattern of the TextMate grammar of the same name.
"""
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
VIM, EMACS, TEXTMATE = HERE / "vim/syntax/deploy.vim", HERE / "emacs/deploy-mode.el", HERE / "vscode/syntaxes/deploy.tmLanguage.json"


# ---- tables -----------------------------------------------------------------------------------------------------------
def strings_of(file, name):
    """The words of an array of strings in a C source."""
    body = re.search(rf"\b{name}\[\]\s*=\s*\{{(.*?)\}};", (ROOT / file).read_text(), re.S)
    return re.findall(r'"([^"]+)"', body[1])


def tables():
    reserved = re.findall(r'^WORD\(\w+, +"(\w+)", +([01])\)', (ROOT / "lexer/words.def").read_text(), re.M)
    library = (ROOT / "stdlib/ops.deploy").read_text()
    functions = re.findall(r'^FUNCTION\([\w| ]+, "(\w+)"', (ROOT / "sema/functions.def").read_text(), re.M)
    # `level` is the field of clusters whose records have names.
    kinds = [*strings_of("sema/module.c", "kinds"), *strings_of("sema/walk_item.c", "kinds"), *strings_of("sema/record_build.c", "others"), "level"]
    return {
        "Word": [word for word, value in reserved if value == "0"],
        "Value": [word for word, value in reserved if value == "1"],
        "Kind": list(dict.fromkeys(kinds)),
        "Format": re.findall(r'^\tX\(\w+, "(\w+)"', (ROOT / "support/dtype.h").read_text(), re.M),
        "Type": strings_of("sema/types.c", "scalar_types"),
        "Function": list(dict.fromkeys([*functions, *re.findall(r"^(?:op|builtin) (\w+)\(", library, re.M)])),
        "Unit": [unit for unit in re.findall(r'\bU\("([^"]+)"', (ROOT / "lexer/units.def").read_text()) if unit != "%"],
    }


# ---- lists ------------------------------------------------------------------------------------------------------------
def vim_lines(words):
    """Vim's `\\%(a\\|b\\)` for what depends on the text around it, keywords for the rest."""
    reserved, either = words["Word"] + words["Value"], lambda names: r"\<\%(" + r"\|".join(names) + r"\)\>"
    unit = r"\%(%\|\%(" + r"\|".join(words["Unit"]) + r"\)\>\)\%(\^\d\+\)\?"
    yield "syntax keyword deployWord ", " ".join(words["Word"])
    yield "syntax keyword deployValue ", " ".join(words["Value"])
    yield "syntax keyword deployFormat ", " ".join(words["Format"])
    yield "syntax keyword deployType ", " ".join(words["Type"])
    yield "syntax match deployKind ", rf"/{either(words['Kind'])}\ze\s\+\%({either(reserved)}\)\@!\h/"
    yield "syntax match deployFunction ", rf"/{either(words['Function'])}\ze(/"
    yield "syntax match deployUnit ", rf"/ \?{unit}\%([\/*]{unit}\)*/ contained"


def emacs_lines(words):
    for name, names in words.items():
        yield f"(defconst deploy--{name.lower()}s '(", " ".join(f'"{word}"' for word in names) + "))"


def textmate_patterns(words):
    either = lambda names: r"\b(?:" + "|".join(names) + r")\b"
    number = r"(?<![\w])[0-9][0-9_]*(?:\.[0-9][0-9_]*)?(?:[eE][+-]?[0-9]+)?"
    unit = rf"(?:%|(?:{'|'.join(words['Unit'])})\b)(?:\^[0-9]+)?"
    yield "word", either(words["Word"])
    yield "value", either(words["Value"])
    yield "format", either(words["Format"])
    yield "type", either(words["Type"])
    yield "kind", rf"{either(words['Kind'])}(?=\s+(?!{either(words['Word'] + words['Value'])})[A-Za-z_])"
    yield "function", either(words["Function"]) + r"(?=\()"
    yield "quantity", rf"({number})( ?{unit}(?:[/*]{unit})*)"
    yield "number", number


# ---- files ------------------------------------------------------------------------------------------------------------
def with_lines(text, lines):
    for head, rest in lines:
        text, found = re.subn(rf"^{re.escape(head)}.*$", lambda _: head + rest, text, flags=re.M)
        assert found == 1, head
    return text


def with_patterns(text, patterns):
    grammar = json.loads(text)
    for name, pattern in patterns:
        grammar["repository"][name]["match"] = pattern
    return json.dumps(grammar, indent=2) + "\n"


def texts():
    """Each file, as it is and as the tables make it."""
    words = tables()
    assert all(words.values()), words
    for file, new, lists in ((VIM, with_lines, vim_lines), (EMACS, with_lines, emacs_lines), (TEXTMATE, with_patterns, textmate_patterns)):
        yield file, file.read_text(), new(file.read_text(), lists(words))


def main():
    write, wrong = "--write" in sys.argv[1:], 0
    for file, old, new in texts():
        if write:
            file.write_text(new)
        elif old != new:
            wrong += 1
            print(f"FAIL {file.relative_to(ROOT)}: its lists differ from the tables: editors/words.py --write")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
