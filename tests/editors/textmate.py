"""The TextMate grammar of VS Code's extension, by babi's implementation of such grammars over Oniguruma: scopes of words, and of all samples and
library files beside what the scanner reads."""
import pathlib
import shutil
import sys
import tempfile

from corpus import AWKWARD, FILES, ROOT, at_word, fetched, wrong_colours
from vim import GROUPS

PACKAGES = ["babi==1.8.0", "onigurumacffi==1.5.0", "cffi==2.1.1", "pycparser==3.12", "identify==2.6.20"]
GRAMMAR = ROOT / "editors/vscode/syntaxes/deploy.tmLanguage.json"
# Letters of tokens.c for starts of scopes; a word or an operator otherwise.
LETTERS = {"comment.": "c", "string.": "s", "constant.character.escape": "s", "constant.numeric": "n", "keyword.other.unit": "n", "keyword.other.allow": "c",
           "keyword.control": "w", "constant.language": "v"}
# Scopes for the groups of Vim.
SCOPES = {"deployKind": "storage.type", "deployNumber": "constant.numeric", "deployUnit": "keyword.other.unit", "deployFormat": "support.type.format",
          "deployFunction": "support.function", "deployWord": "keyword.control", "deployValue": "constant.language", "deployOperator": "keyword.operator",
          "deployDoc": "comment.line.documentation", "deployComment": "comment.", "deployString": "string.", "deployAllow": "keyword.other.allow", "": "source.deploy"}


def highlighter():
    """A function that gives the innermost scope of each character of a text."""
    sys.path.insert(0, str(fetched("textmate", *PACKAGES)))
    from babi.highlight import Grammars, highlight_line
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(GRAMMAR, pathlib.Path(folder, "source.deploy.json"))
        compiler = Grammars(folder).compiler_for_scope("source.deploy")

    def scopes(text):
        state, out = compiler.root_state, []
        for line in text.splitlines(keepends=True):
            state, regions = highlight_line(compiler, state, line, not out)
            for start, end, scope in regions:
                out += [scope[-1]] * (end - start)
        return out

    return scopes


def tests():
    scopes = highlighter()
    text = AWKWARD.read_text()
    found = scopes(text)
    for line, word, group in GROUPS:
        scope = at_word(text, found, line, word)
        yield f"scope of {word} in {line}", scope if not scope.startswith(SCOPES[group]) else group, group
    for file in FILES:
        letters = [next((letter for start, letter in LETTERS.items() if scope.startswith(start)), ".") for scope in scopes(file.read_text())]
        yield f"scopes of {file.name}", wrong_colours(file, letters), []
