#!/usr/bin/env python3
"""Files that are none: pipes without another end, folders, full devices, closed standard files, where deployc reads and writes.
Each time it ends soon, says what is wrong, and leaves no other file behind; links and permissions stay as they were."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unicodedata
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).absolute()
SPEC = (ROOT / "samples" / "tiny_llama.deploy").read_text()
SECONDS = 30
CASES = []


class Failed(Exception):
    """A test that did not hold."""


def case(name):
    def add(check):
        CASES.append((name, check))
        return check
    return add


def fill(folder):
    (folder / "good.deploy").write_text(SPEC)
    (folder / "ugly.deploy").write_text(SPEC.replace(" = ", "="))
    (folder / "folder").mkdir()
    (folder / "file").write_text("")
    os.mkfifo(folder / "pipe")
    shutil.copy(ROOT / "tests" / "fixtures" / "llama" / "config.json", folder)


def run(folder, command, status, words=""):
    """`command`: a line of the shell, in which `deployc` is the compiler."""
    line = command.replace("deployc", str(DEPLOYC))
    try:
        done = subprocess.run(["sh", "-c", line], cwd=folder, capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise Failed(f"{command}: not done after {SECONDS} s") from None
    said = done.stderr.decode(errors="replace")
    if done.returncode != status or words not in said:
        raise Failed(f"{command}: status {done.returncode}, {said.splitlines()[:1]}, expected {status}, {words!r}")
    return done.stdout


def text(command, status, words):
    """A case of one command; no file is there afterwards that was not before."""
    def check(folder):
        before = sorted(folder.rglob("*"))
        run(folder, command, status, words)
        if sorted(folder.rglob("*")) != before:
            raise Failed(f"{command}: another file is there")
    case(command)(check)


# ---- reading ----------------------------------------------------------------------------------------------------------------
for words in "check", "plan", "fmt", "fmt --check", "import":
    text(f"deployc {words} pipe", 1, "cannot read pipe: No data available")
    text(f"deployc {words} /dev/zero", 1, "cannot read /dev/zero: File too large")
for words in "check", "fmt":
    text(f"deployc {words} folder", 1, "cannot read folder: Is a directory")
text("deployc import folder", 1, "cannot read folder/config.json: No such file")
text("deployc import good.deploy", 1, "good.deploy:1:1:")
text("deployc import /dev/null", 1, "/dev/null:1:0:")
text("deployc doc pipe -o pages", 1, "cannot read pipe: No data available")
text("deployc check -I pipe -I none good.deploy", 0, "")
text("deployc fmt - <&-", 1, "cannot read standard input: ")
text("deployc fmt - <folder", 1, "cannot read standard input: Is a directory")
text("deployc check good.deploy <&- >&- 2>&-", 0, "")



@case("a pipe in place of a file that another names")
def named_pipe(folder):
    (folder / "uses.deploy").write_text('use "pipe" as p\n')
    (folder / "model").mkdir()
    os.mkfifo(folder / "model" / "config.json")
    held = [os.open(folder / name, os.O_RDWR) for name in ("pipe", "model/config.json")]     # somebody has them open, and writes nothing
    run(folder, "deployc check uses.deploy", 1, 'cannot read "pipe": not a regular file')
    run(folder, "deployc import model", 1, "cannot read model/config.json: not a regular file")
    for fd in held:
        os.close(fd)


@case("a config.json of megabytes")
def large_config(folder):
    with open(folder / "model.json", "wb") as file:
        file.truncate(9 << 20)
    run(folder, "deployc import model.json", 1, "cannot read model.json: File too large")


# ---- what is quoted ---------------------------------------------------------------------------------------------------------
HOSTILE = "\x1b]0;x\x07\x1b[2J\nerror: forged \x7f\x9b\u202e"


@case("control characters in names of files and in texts")
def quoted(folder):
    name = folder / f"{HOSTILE}.deploy"
    name.write_text(f'use "{HOSTILE.replace(chr(10), "")}" as x\nmodel {HOSTILE}\n' + SPEC)
    for form in "text", "json", "sarif", "gcc":
        done = subprocess.run([DEPLOYC, "check", f"--error-format={form}", name], cwd=folder, capture_output=True, timeout=SECONDS)
        said = done.stderr.decode()
        if done.returncode != 1 or any(unicodedata.category(c) in ("Cc", "Cf") and c != "\n" for c in said):
            raise Failed(f"{form}: status {done.returncode}, {said[:200]!r}")
        if form in ("text", "gcc") and re.search("^error: forged", said, re.M):
            raise Failed(f"{form}: a forged line")
        if form == "sarif":
            json.loads(said)
        if form == "json" and not any(str(name) == json.loads(line)["file"] for line in said.splitlines()):
            raise Failed("json: another name of the file")
    for words in "import", "plan", "explain", "check", "--emit=x", "fmt", "--deploy=x", "doc -o":
        done = subprocess.run([DEPLOYC, *words.split(), HOSTILE], cwd=folder, capture_output=True, timeout=SECONDS)
        if not done.returncode or any(unicodedata.category(c) in ("Cc", "Cf") and c != "\n" for c in done.stderr.decode()):
            raise Failed(f"{words}: status {done.returncode}, {done.stderr[:200]!r}")


# ---- writing ----------------------------------------------------------------------------------------------------------------
for words in "good.deploy --emit=dag", "good.deploy --emit=llvm", "good.deploy --emit=obj", "import config.json":
    text(f"deployc {words} -o /dev/full", 1, "cannot write /dev/full: No space left")
    text(f"deployc {words} -o folder", 1, "cannot write folder: Is a directory")
    text(f"deployc {words} -o pipe", 1, "cannot write pipe: No such device")
    text(f"deployc {words} -o none/out", 1, "cannot write none/out: No such file")
    text(f"deployc {words} -o file/out", 1, "cannot write file/out: Not a directory")
for place in "folder", "/dev/full", "/dev/null", "pipe":
    text(f"deployc good.deploy -o {place}", 1, f"cannot write a launcher to {place}: not a regular file")
for words in "plan good.deploy", "good.deploy --emit=dag -o -", "import config.json", "explain E0701", "--help", "fmt - <ugly.deploy":
    text(f"deployc {words} >/dev/full", 1, "cannot write standard output: No space left")
text("deployc plan good.deploy >&-", 1, "cannot write standard output: Bad file")
text("deployc check ugly.deploy 2>/dev/full", 0, "")
text("deployc doc good.deploy -o file", 1, "cannot write file/")
text("deployc doc good.deploy -o none/pages", 1, "cannot make the folder none/pages")


@case("a pipe that is read")
def read_pipe(folder):
    expected = run(folder, "deployc good.deploy --emit=dag -o -", 0)
    if run(folder, "cat pipe & deployc good.deploy --emit=dag -o pipe; wait", 0) != expected:
        raise Failed("the pipe gives something else than standard output")


@case("a pipe that is written late")
def late_pipe(folder):
    run(folder, "(sleep 1; cat good.deploy >pipe) & deployc check pipe", 0)


@case("output while standard files are closed")
def closed(folder):
    expected = run(folder, "deployc good.deploy --emit=dag -o -", 0)
    run(folder, "deployc good.deploy --emit=dag -o out <&- >&- 2>&-", 0)
    if (folder / "out").read_bytes() != expected:
        raise Failed("the file is another one")


@case("fmt keeps links and permissions")
def links(folder):
    (folder / "ugly.deploy").chmod(0o600)
    (folder / "link.deploy").symlink_to("ugly.deploy")
    run(folder, "deployc fmt link.deploy", 0)
    mode = (folder / "ugly.deploy").stat().st_mode & 0o777
    if not (folder / "link.deploy").is_symlink() or mode != 0o600 or (folder / "ugly.deploy").read_text() != SPEC:
        raise Failed(f"link {(folder / 'link.deploy').is_symlink()}, mode {mode:o}")


if os.geteuid():
    @case("a folder that cannot be written")
    def read_only(folder):
        (folder / "folder").chmod(0o500)
        run(folder, "deployc good.deploy --emit=dag -o folder/out", 1, "cannot write folder/out: Permission denied")


def outcome(check):
    """What is wrong with a case, which has a folder of its own; None: nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        fill(folder)
        try:
            check(folder)
        except Failed as e:
            return str(e)
    return None


def main():
    chosen = [check for name, check in CASES if not sys.argv[1:] or any(word in name for word in sys.argv[1:])]
    with ThreadPoolExecutor(8) as pool:         # most of them wait, for a pipe that is given up
        wrong = list(filter(None, pool.map(outcome, chosen)))
    for text in wrong:
        print(f"FAIL {text}")
    print(f"{len(chosen) - len(wrong)} passed, {len(wrong)} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
