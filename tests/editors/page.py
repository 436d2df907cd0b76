"""docs/editors.md: its column of deployc is what the server announces, the tests that it names exist, and so do its files."""
import json
import re
import subprocess
import sys
import tempfile

from corpus import DEPLOYC, ROOT

PAGE = ROOT / "docs/editors.md"
# Rows, and where the answer to `initialize` announces them.
ANNOUNCED = {"hover": "hover", "completion": "completion", "items resolved later": "completion.resolve", "signature help": "signatureHelp", "definition": "definition",
             "declaration": "declaration", "type definition": "typeDefinition", "implementation": "implementation", "references": "references",
             "highlights": "documentHighlight", "symbols of a document": "documentSymbol", "symbols of the workspace": "workspaceSymbol",
             "rename, asked before": "rename.prepare", "code actions": "codeAction", "code lenses": "codeLens", "formatting": "documentFormatting",
             "of a range": "documentRangeFormatting", "while typing": "documentOnTypeFormatting", "inlay hints": "inlayHint", "semantic tokens": "semanticTokens",
             "folds": "foldingRange", "selections": "selectionRange", "links": "documentLink", "call hierarchy": "callHierarchy", "type hierarchy": "typeHierarchy"}


def announced():
    sys.path.append(str(ROOT / "tests/lsp"))
    from client import Client
    with tempfile.TemporaryDirectory() as folder:
        client = Client(folder, options={"diagnostics": "pull"}, capabilities={"general": {"positionEncodings": ["utf-8"]}, "textDocument": {"diagnostic": {}}})
        told = client.capabilities["capabilities"]
        client.close()
    return told


def is_told(told, path):
    name, _, part = path.partition(".")
    value = told.get(f"{name}Provider")
    return bool(value and (not part or value.get(f"{part}Provider")))


def tests():
    told, page = announced(), PAGE.read_text()
    table = page[page.index("| | deployc |"):]
    rows = {cells[0]: cells for cells in ([c.strip() for c in line.strip("|").split("|")] for line in table[:table.index("\n\n")].splitlines()[2:])}
    yield "rows", set(ANNOUNCED) - set(rows), set()
    for row, path in ANNOUNCED.items():
        yield f"row of {row}", rows[row][1] != "–", is_told(told, path)
    yield "pulled diagnostics", rows["diagnostics, pulled"][1] != "–", is_told(told, "diagnostic")
    yield "positions in UTF-8", rows["positions in UTF-8"][1] == "yes", told["positionEncoding"] == "utf-8"
    yield "edits", (rows["edits"][1], told["textDocumentSync"]["change"]), ("ranges", 2)
    yield "rows without a test", [row for row, cells in rows.items() if cells[1] != "–" and not cells[-1]], []
    functions = set(re.findall(r"^def (\w+)", (ROOT / "tests/lsp/run.py").read_text(), re.M))
    first = page[page.index("| request | answer | test |"):]
    cells = [line.rsplit("|", 2)[1] for line in first[:first.index("\n\n")].splitlines()[2:]] + [cells[-1] for cells in rows.values()]
    names = {name for cell in cells for name in re.findall(r"`([\w*]+)`", cell)}
    yield "tests that are named", [n for n in names if not any(re.fullmatch(n.replace("*", r"\w+"), f) for f in functions)], []
    files = set(re.findall(r"`((?:editors|tests)/[\w./-]+)`", page)) | {f"docs/{name}" for name in re.findall(r"\]\((captures/[\w.-]+)\)", page)}
    yield "files that are named", [name for name in sorted(files) if not (ROOT / name).exists()], []
