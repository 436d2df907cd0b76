"""Emacs with Eglot, in batch, driven by emacs.el: faces, colours beside the scanner, indentation beside the canonical form, the language server,
`M-x compile`."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from corpus import AWKWARD, DEPLOYC, HERE, ROOT, SPEC, at_word, wrong_colours
from vim import BROKEN, GROUPS, LOOKED_AT, reported

# Words of SPEC, and their faces.
FACES = {"deploy Chat": "font-lock-builtin-face", "use std": "font-lock-keyword-face", "Mixtral_8x7B }": "", "model    =": "", "128..10240": "deploy-number",
         "10 s\n": "deploy-number", "mesh tp": "font-lock-builtin-face"}

# Faces for the groups of Vim.
GROUP_FACES = {"deployKind": "font-lock-builtin-face", "deployNumber": "deploy-number", "deployUnit": "deploy-number", "deployFormat": "font-lock-type-face",
               "deployFunction": "font-lock-function-name-face", "deployWord": "font-lock-keyword-face", "deployValue": "font-lock-constant-face",
               "deployOperator": "nil", "deployDoc": "font-lock-comment-face", "deployComment": "font-lock-comment-face", "deployString": "font-lock-string-face",
               "deployAllow": "font-lock-preprocessor-face", "": "nil"}
LEVELS = {"error": 2, "warning": 1, "note": 0}


def drive(folder, broken):
    spec = folder / "chat.deploy"
    spec.write_text(SPEC)
    environment = {**os.environ, "FILES": "\n".join(map(str, LOOKED_AT)), "INDENTED": "\n".join(map(str, LOOKED_AT[1:])), "SPEC": str(spec), "BROKEN": str(broken),
                   "WORDS": "\n".join(word.strip() for word in FACES), "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    words = ["emacs", "-q", "--batch", "-L", ROOT / "editors/emacs", "--eval", "(package-initialize)", "--eval", f'(setq deploy-command "{DEPLOYC}")',
             "-l", HERE / "emacs.el"]
    done = subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    seen = dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith('["'))
    assert seen.get("done"), f"{list(seen)[-1:]} {done.stdout[-500:]} {done.stderr[-1500:]}"
    return seen


def compiled():
    """What the byte compiler says of the mode."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "editors/emacs/deploy-mode.el", folder)
        done = subprocess.run(["emacs", "-Q", "--batch", "-f", "batch-byte-compile", pathlib.Path(folder, "deploy-mode.el")], capture_output=True, text=True)
    return [done.returncode, done.stderr]


def tests():
    """What was seen, beside what must be seen: (name, seen, wanted)."""
    assert shutil.which("emacs"), "there is no emacs: apt install emacs-nox elpa-eglot (make setup)"
    with tempfile.TemporaryDirectory() as name:
        broken = pathlib.Path(name, "with space.deploy")
        broken.write_text(BROKEN)
        seen, places = drive(pathlib.Path(name), broken), list(reported(broken))
    yield "the byte compiler", compiled(), [0, ""]
    yield "mode", seen["mode"], "deploy-mode"
    yield "faces", dict(zip(FACES, seen["faces"])), FACES
    for line, word, group in GROUPS:
        yield f"face of {word} in {line}", at_word(AWKWARD.read_text(), seen["faces of characters"], line, word), GROUP_FACES[group]
    for file in LOOKED_AT:
        yield f"colours of {file.name}", wrong_colours(file, seen[f"colours {file}"]), []
    for file in LOOKED_AT[1:]:
        yield f"indentation of {file.name}", seen[f"indentation {file}"], file.read_text()
    yield "comment", seen["comment"], "  // model    = Mixtral_8x7B"
    yield "index without a server", seen["index without a server"][1:], ["Chat", "Mine", "Other"]
    yield "Eglot manages the buffer", seen["managed"], True
    yield "diagnostics", [[line, "E0101" in text] for line, text in seen["diagnostics"]], [[9, True]]
    yield "code action", seen["after the action"], "  plan     = Megatron { tp = 4; ep = 2 }"
    yield "no diagnostics after it", seen["no diagnostics"], True
    yield "hover", "0 1 2 3 | 4 5 6 7" in seen["hover"], True
    yield "completion", {"minimize", "gpus = "} - set(seen["completion"]), set()
    yield "what is given is not completed", [label for label in seen["completion"] if label.startswith("model")], []
    repaired = SPEC.replace("Megatro {", "Megatron {").replace("Mine", "Ours")
    yield "rename", seen["rename"], repaired
    yield "formatting", seen["formatting"], repaired
    yield "indent", seen["indent"], "  x"
    yield "M-x deploy-run", seen["plan"][:11], "deploy Chat"
    yield "M-x compile", seen["compile"], [[LEVELS[kind], *where] for kind, *where in places]
