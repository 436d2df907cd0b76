"""The extension for VS Code, as it is packed: in node, driven by vscode.js over vscode_api.js, with the real language server. Its manifests."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
import zipfile

from corpus import DEPLOYC, HERE, ROOT, SPEC

FOLDER = ROOT / "editors/vscode"
VSX = "{http://schemas.microsoft.com/developer/vsx-schema/2011}"


def drive(folder, extension):
    spec = folder / "chat.deploy"
    spec.write_text(SPEC)
    environment = {**os.environ, "EXTENSION": str(extension), "DEPLOYC": str(DEPLOYC), "SPEC": str(spec), "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(["node", HERE / "vscode.js"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    seen = dict(json.loads(line) for line in done.stdout.splitlines())
    assert seen.get("done"), f"{list(seen)[-1:]} {done.stdout[-500:]} {done.stderr[-1500:]}"
    return seen


def packed(folder):
    """What the archive holds, unpacked below the folder; its manifest; packed twice, its bytes are the same."""
    once, again = folder / "deploy.vsix", folder / "again.vsix"
    for out in (once, again):
        subprocess.run([sys.executable, FOLDER / "pack.py", out], check=True)
    with zipfile.ZipFile(once) as archive:
        archive.extractall(folder / "unpacked")
        names = set(archive.namelist())
    return names, xml.parse(folder / "unpacked/extension.vsixmanifest").getroot(), once.read_bytes() == again.read_bytes()


def named_files(package):
    """Files that the manifest and the sources name."""
    contributed = package["contributes"]
    yield package["main"]
    yield from (language["configuration"] for language in contributed["languages"])
    yield from (grammar["path"] for grammar in contributed["grammars"])
    for source in FOLDER.glob("*.js"):
        yield from (f"{name}.js" for name in re.findall(r"require\('(\./\w+)'\)", source.read_text()))


def manifests(folder):
    names, root, same = packed(folder)
    package = json.loads((FOLDER / "package.json").read_text())
    identity = root.find(f"{VSX}Metadata/{VSX}Identity").attrib
    yield "packed twice", same, True
    yield "identity", (identity["Id"], identity["Version"], identity["Publisher"]), (package["name"], package["version"], package["publisher"])
    yield "assets", [a.attrib["Path"] for a in root.iter(f"{VSX}Asset") if a.attrib["Path"] not in names], []
    yield "files that are named", [f for f in named_files(package) if f"extension/{f.removeprefix('./')}" not in names], []
    types = xml.parse(folder / "unpacked/[Content_Types].xml").getroot()
    suffixes = {child.attrib["Extension"] for child in types}
    yield "types of files", [n for n in names if pathlib.PurePath(n).suffix not in suffixes and n[0] != "["], []
    source = (FOLDER / "extension.js").read_text()
    yield "settings that are read", set(re.findall(r"setting\('(\w+)'\)", source)), {name.split(".")[1] for name in package["contributes"]["configuration"]["properties"]}
    yield "commands", set(re.findall(r"registerCommand\('([\w.]+)'", source)), {c["command"] for c in package["contributes"]["commands"]}


def configuration():
    """The patterns of language-configuration.json: lines of the library open and close bodies as they are indented."""
    rules = json.loads((FOLDER / "language-configuration.json").read_text())["indentationRules"]
    opens, closes = re.compile(rules["increaseIndentPattern"]), re.compile(rules["decreaseIndentPattern"])
    lines = [line for line in (ROOT / "samples/own_op.deploy").read_text().splitlines() if line.strip()]
    for before, line in zip(lines, lines[1:]):
        deeper = len(line) - len(line.lstrip()) - (len(before) - len(before.lstrip()))
        wanted = 2 * bool(opens.match(before)) - 2 * bool(closes.match(line))
        if before.lstrip()[0] not in "/(" and not before.rstrip().endswith(",") and deeper != wanted and deeper < 4:
            yield f"{line!r} after {before!r}", deeper, wanted


def tests():
    assert shutil.which("node"), "there is no node: apt install nodejs (make setup)"
    with tempfile.TemporaryDirectory() as name:
        yield from manifests(pathlib.Path(name))
        seen = drive(pathlib.Path(name), pathlib.Path(name, "unpacked/extension"))
    yield "indentation", list(configuration()), []
    yield "providers", len(seen["providers"]), 10
    yield "diagnostics", seen["diagnostics"], [[8, 13, 0, "E0101", "cannot find `Megatro` in this scope\nhelp: did you mean `Megatron`?"]]
    yield "actions", seen["actions"][0], ["did you mean `Megatron`?", "quickfix", True]
    yield "after the action", seen["after the action"], "  plan     = Megatron { tp = 4; ep = 2 }"
    yield "no diagnostics after it", seen["no diagnostics"], True
    yield "hover", "0 1 2 3 | 4 5 6 7" in seen["hover"], True
    completed = dict(map(tuple, ((label, str(insert)) for label, insert in seen["completion"])))
    yield "completion", ("minimize" in completed, "gpus = " in completed.get("gpus", ""), "model" in completed), (True, True, False)
    yield "definition", seen["definition"], [["clusters.deploy", "cluster DGX_H100 : Cluster {"]]
    lines = SPEC.splitlines()
    yield "references", seen["references"], [i for i, line in enumerate(lines) if "Mine" in line]
    yield "symbols", [s[0] for s in seen["symbols"]], ["Chat", "Mine", "Other"]
    yield "lenses", [line for line, title in seen["lenses"] if "ranks" in title], [i for i, line in enumerate(lines) if line.startswith("deploy ")]
    repaired = SPEC.replace("Megatro {", "Megatron {").replace("Mine", "Ours")
    yield "rename", seen["rename"], repaired
    yield "a refusal", "another meaning" in seen["a refusal"], True
    yield "formatting", seen["formatting"], repaired
    yield "hints", seen["hints"], [[9, "= 128"]]
    yield "the plan", seen["plan"][:11], "deploy Chat"
    yield "a setting", seen["a setting"], True
    yield "restarted", seen["restarted"], True
    yield "messages", seen["messages"], []
    yield "no compiler", ["ENOENT" in text for text in seen["no compiler"]], [True]
