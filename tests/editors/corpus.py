"""Texts that editors colour and indent, and what the scanner of the compiler makes of them."""
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = (ROOT / os.environ.get("BUILD", "build")).resolve()
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", BUILD / "deployc")).resolve()
AWKWARD = HERE / "awkward.deploy"
FILES = [AWKWARD, *sorted((ROOT / "stdlib").glob("*.deploy")), *sorted((ROOT / "samples").rglob("*.deploy"))]
# What a user changes with the language server.
SPEC = (ROOT / "samples/quickstart.deploy").read_text().replace("Megatron {", "Megatro {") + """
plan Mine {
  mesh tp = 1
  kv_heads * q_group -> tp
  ffn                -> tp
  expert_ffn         -> tp
  vocab              -> tp
}

deploy Other {
  model    = Mixtral_8x7B
  cluster  = DGX_H100 { nodes = 1 }
  plan     = Mine { tp = 8 }
  workload = Inference { batch = 8; seq = 128; output = 16 }
}
"""


def fetched(folder, *packages):
    """A folder below the build folder with packages of PyPI, fetched once."""
    at = BUILD / folder
    done = at / "fetched"
    if not done.exists() or done.read_text().split() != list(packages):
        pip = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--upgrade", "--target", str(at), *packages], capture_output=True, text=True)
        if pip.returncode:
            sys.exit(f"FAIL {' '.join(packages)} cannot be fetched from PyPI; install python3-pip (make setup)\n{pip.stderr}")
        done.write_text(" ".join(packages))
    return at


def scanned(file):
    """A letter for each character of a file: tokens.c says which."""
    raw = file.read_bytes()
    letters = subprocess.run([BUILD / "tests/editors/tokens"], input=raw, capture_output=True).stdout.decode()
    at, out = 0, []
    for character in raw.decode():
        out.append(letters[at])
        at += len(character.encode())
    return "".join(out)


def wrong_colours(file, colours):
    """Places where an editor colours a file otherwise than the scanner reads it. `colours`: a letter for each character, as those of tokens.c; `.` is
    names, and tokens without a letter of their own."""
    text, letters = file.read_text(), scanned(file)
    if len(colours) != len(text):
        return [f"{file.name}: {len(colours)} colours of {len(text)} characters"]
    wrong = [i for i, (character, colour, letter) in enumerate(zip(text, colours, letters))
             if not character.isspace() and colour != ("." if letter in "io" else letter)]
    return [f"{file.name}:{text.count(chr(10), 0, i) + 1}: {text[i:i + 20]!r} is {letters[i]}, coloured as {colours[i]}" for i in wrong[:3]]


def at_word(text, values, line, word):
    """Of a list with a value for each character of a text, that of a word at or after the start of a line, given as Vim searches it."""
    start = text.index(line[1:]) if line[0] == "^" else text.index(line)
    return values[text.index(word, text.rfind("\n", 0, start) + 1 if line[0] == "^" else start)]
