"""Vim, headless, driven by vim.vim: groups of words, colours of whole files beside the scanner, indentation beside the canonical form, `:make`,
`:Deploy plan`."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from corpus import AWKWARD, DEPLOYC, FILES, HERE, ROOT, wrong_colours

# A word of a line of awkward.deploy, and its group.
GROUPS = [
    ("^model Odd", "model", "deployKind"), ("^model Odd", "Decoder", ""), ("a = 5 GB", "5", "deployNumber"), ("a = 5 GB", "GB", "deployUnit"),
    ("q = f32", "f32", "deployFormat"), ("q = f32", "max", "deployFunction"), ("u = max", "max", ""), ("p = 4", "GBs", ""), ("h = 5 in", "in x", "deployWord"),
    ("within = true", "true", "deployValue"), ("model = auto", "model", ""), ("model = auto", "state", ""), ("at residual", "at", "deployKind"),
    ("seq -> tp", "->", "deployOperator"), ("^/// Doc", "quote", "deployDoc"), ("block // and", "// and", "deployComment"), ("^  s = ", "5 GB", "deployString"),
    ("^// Text", "block", "deployComment"), ("state in axis", "axis", ""), ("phase decode", "phase", "deployKind"), ("// deploy: allow", "deploy: allow", "deployAllow"),
]
BROKEN = (ROOT / "samples/quickstart.deploy").read_text().replace("tp = 4; ep = 2", "tp = 7; ep = 2") + "\nplan Odd {\n  tq = 1 GBs\n}\n"


# Files whose colours and indentation are looked at; the grammar of textmate.py is compared on all.
LOOKED_AT = [f for f in FILES if f.name in ("awkward.deploy", "ops.deploy", "plans.deploy", "decoder.deploy", "own_op.deploy", "machines.deploy")]
# Names of kinds of diagnostics in the quickfix list.
KINDS = {"e": "error", "w": "warning", "n": "note"}


def reported(file):
    """Kind, name of the file, line and column of what `deployc check` reports, notes and help too, from its JSON."""
    out = subprocess.run([DEPLOYC, "check", "--error-format=json", file], capture_output=True, text=True)
    for line in out.stderr.splitlines():
        found = json.loads(line)
        notes = [{**found, "severity": "note"} for note in [*found["notes"], found["help"]] if note]
        for place in [found, *found["related"], *notes]:
            yield place.get("severity", "note"), pathlib.Path(place["file"]).name, place["line"], place["column"]


def drive(folder, broken):
    seen = folder / "seen"
    environment = {**os.environ, "AWKWARD": str(AWKWARD), "GROUPS": json.dumps([g[:2] for g in GROUPS]), "FILES": json.dumps([str(f) for f in LOOKED_AT]),
                   "INDENTED": json.dumps([str(f) for f in LOOKED_AT[1:]]), "BROKEN": str(broken), "SOUND": str(ROOT / "samples/quickstart.deploy"),
                   "SEEN": str(seen), "HOME": str(folder)}
    words = ["vim", "-Nu", "NONE", "-i", "NONE", "-n", "-es", "--cmd", f"set rtp^={ROOT / 'editors/vim'}", "--cmd", f"let g:deploy_command = '{DEPLOYC}'",
             "-c", "runtime plugin/deploy.vim", "-S", HERE / "vim.vim"]
    done = subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and seen.exists(), f"{done.returncode} {done.stdout[-1500:]} {done.stderr[-1500:]}"
    return dict(json.loads(line) for line in seen.read_text().splitlines())


def tests():
    """What was seen, beside what must be seen: (name, seen, wanted)."""
    assert shutil.which("vim"), "there is no vim: apt install vim (make setup)"
    with tempfile.TemporaryDirectory() as name:
        broken = pathlib.Path(name, "with space.deploy")
        broken.write_text(BROKEN)
        seen, places = drive(pathlib.Path(name), broken), list(reported(broken))
    yield "filetype", seen["filetype"], "deploy"
    yield "comment string", seen["comment string"], "// %s"
    for (line, word, group), found in zip(GROUPS, seen["groups"]):
        yield f"group of {word} in {line}", found, group
    for file in LOOKED_AT:
        yield f"colours of {file.name}", wrong_colours(file, seen[f"colours {file}"]), []
    for file in LOOKED_AT[1:]:
        yield f"indentation of {file.name}", seen[f"indentation {file}"], file.read_text().splitlines()
    yield ":make fills the quickfix list", [(KINDS[kind], *where) for *where, kind, text in seen["make"]], places
    yield "texts of :make", [text for *_, text in seen["make"] if "E0601" in text], ["mesh needs 14 ranks, the deployment has 8 [E0601]"]
    yield "lines that :make does not understand", seen["not understood"], []
    yield "a sound file", seen["nothing to report"], []
    yield ":Deploy plan", seen["plan"][0][:11], "deploy Chat"
    yield "q closes its window", seen["closed"], 1
