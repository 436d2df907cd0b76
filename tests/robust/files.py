#!/usr/bin/env python3
"""Special files where deployc reads and writes: pipes without another end, folders, full devices, closed standard files.
Each time it ends soon, reports what is wrong, and leaves no file over; links and permissions do not change."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
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
for what, why in ("pipe", "No data available"), ("/dev/zero", "File too large"), ("folder", "Is a directory"), ("none.sh", "No such file"):
    text(f"deployc import --from {what}", 1, f"cannot read {what}: {why}")
text("deployc import --from 'vllm serve a --config pipe.yaml'", 1, "cannot read `pipe.yaml`")
text("deployc doc pipe -o pages", 1, "cannot read pipe: No data available")
text("deployc check -I pipe -I none good.deploy", 0, "")
text("deployc fmt - <&-", 1, "cannot read standard input: ")
text("deployc fmt - <folder", 1, "cannot read standard input: Is a directory")
text("deployc check --quiet good.deploy <&- >&- 2>&-", 0, "")
text("deployc check good.deploy <&- >&- 2>&-", 1, "")



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


# ---- commands ---------------------------------------------------------------------------------------------------------------
text("deployc chekc good.deploy", 2, "unknown command `chekc`, did you mean `check`?")
text("deployc nothing", 2, "`nothing` is neither a command nor a file")
text("deployc help chek", 2, "unknown command `chek`, did you mean `check`?")
text("deployc nothing.deploy -o out", 1, "cannot read nothing.deploy: No such file")
text("deployc explain e0999", 2, "no diagnostic has the code `e0999`")
text("deployc check - <&-", 1, "cannot read standard input: Bad file")
text("deployc check - <folder", 1, "cannot read standard input: Is a directory")
text("deployc check - <good.deploy", 0, "")
text("echo modle X | deployc check -", 1, "--> <standard input>:1:1")
text("(echo 'use \"good.deploy\" as g'; cat good.deploy) | deployc check -", 0, "")
for words in "help", "help plan", "plan --help", "--help plan", "check --help nothing":
    text(f"deployc {words} >/dev/full", 1, "cannot write standard output: No space left")


text(f"deployc good.deploy --emit=dag --cpu={'x' * 5000}", 2, "no such cpu: xxx")
LONG = "x" * 252
text(f"sed 's/^model/  model/' good.deploy > {LONG}; deployc fmt {LONG}; s=$?; rm {LONG}; exit $s", 1, "File name too long")
text("deployc good.deploy --emit=asm --cpu=i386", 1, "the cpu that was named has no 64-bit mode")
text("deployc good.deploy --emit=ptx", 2, "it needs --target=cuda")
text("deployc --cpu=help >/dev/full", 1, "cannot write standard output: No space left")
text("deployc good.deploy --emit=ast -o none/out", 1, "cannot write none/out: No such file")
text("echo 'use std.models { Llama_3_1_8B }' | deployc plan -", 1, "standard input has no deployment")
text("(cat good.deploy; sed -n '/^deploy /,$s/^deploy .*/deploy Other {/p' good.deploy) | deployc - -o out", 2,
     "standard input has 2 deployments, choose one with --deploy: TinyLlama, Other")


@case("processors")
def processors(folder):
    if b"\n  x86-64-v3 " not in run(folder, "deployc --cpu=help", 0):
        raise Failed("the list has no x86-64-v3")


@case("no LLVM, and another library of its name")
def no_llvm(folder):
    library = re.search(rb"libLLVM[-.0-9a-z]+", DEPLOYC.read_bytes())[0].decode()
    (folder / "lib").mkdir()
    (folder / "lib" / library).write_text("")
    before = sorted(folder.rglob("*"))
    for command in "good.deploy -o out", "good.deploy --emit=asm", "good.deploy --cpu=native -o out", "--cpu=help":
        run(folder, f"LD_LIBRARY_PATH=lib deployc {command}", 2 if "native" in command else 1, "cannot load LLVM, which generates the code: ")
    run(folder, "LD_LIBRARY_PATH=lib deployc check good.deploy", 0)
    run(folder, f"echo 'int x;' | gcc -shared -x c - -o lib/{library}", 0)
    run(folder, "LD_LIBRARY_PATH=lib deployc good.deploy -o out", 1, "undefined symbol: LLVM")
    if sorted(folder.rglob("*")) != before:
        raise Failed("another file is there")


@case("help of one command")
def help_of(folder):
    every, plan, of_plan = (run(folder, f"deployc {words}", 0).decode() for words in ("help", "help plan", "plan --help"))
    if plan != of_plan or not plan.startswith("  deployc plan SPEC ") or "-D PATH" not in plan or "--markdown" in plan or "deployc fmt" not in every:
        raise Failed(plan)
    if run(folder, "deployc explain e0503", 0) != run(folder, "deployc explain E0503", 0):
        raise Failed("small letters make another page")
    if run(folder, "deployc plan - <good.deploy", 0) != run(folder, "deployc plan good.deploy", 0):
        raise Failed("standard input makes another plan")


@case("links, also to missing files")
def output_links(folder):
    (folder / "link").symlink_to("folder/out")
    for words, first in ("good.deploy --emit=dag -o link", b"program"), ("good.deploy -o link", b"\x7fELF"):
        run(folder, f"deployc {words}", 0)
        if not (folder / "link").is_symlink() or not (folder / "folder" / "out").read_bytes().startswith(first):
            raise Failed(f"{words}: the link was replaced")
    (folder / "loop").symlink_to("loop")
    run(folder, "deployc good.deploy -o loop", 1, "cannot write loop: Too many levels")


@case("a signal leaves no file")
def signals(folder):
    env = {**os.environ, "TMPDIR": str(folder / "tmp")}
    (folder / "tmp").mkdir()
    before = sorted(folder.rglob("*"))
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        for seconds in 0.02, 0.05, 0.1, 0.2:
            job = subprocess.Popen(["env", "--default-signal", DEPLOYC, "good.deploy", "-o", "out"], cwd=folder, env=env)
            time.sleep(seconds)
            job.send_signal(number)
            if job.wait(SECONDS) not in (0, -number):
                raise Failed(f"status {job.returncode}")
            (folder / "out").unlink(missing_ok=True)
            if sorted(folder.rglob("*")) != before:
                raise Failed(f"signal {number} after {seconds} s leaves {set(folder.rglob('*')) - set(before)}")


text("ulimit -f 1; deployc good.deploy --emit=obj -o out", 1, "cannot write out: File too large")
text("ulimit -f 100; deployc good.deploy -o out 2>&1 | cat >&2; exit 1", 1, "")


# ---- nothing to install beside a launcher -------------------------------------------------------------------------------------
ALWAYS_THERE = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "ld-linux-x86-64.so.2"}


def needed(program):
    said = subprocess.run(["readelf", "-d", program], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", said))


@case("libraries of a launcher")
def libraries(folder):
    """The linker gets what deployc carries and the C library, and the launcher runs where there is nothing else."""
    (folder / "cc").write_text('#!/bin/sh\necho "$@" >>"$LOG"\nexec gcc "$@"\n')
    (folder / "cc").chmod(0o755)
    run(folder, "LOG=log CC=./cc deployc good.deploy -o out", 0)
    if "jansson" in (folder / "log").read_text() or needed(folder / "out") - ALWAYS_THERE or "libjansson.so.4" in needed(DEPLOYC):
        raise Failed(f"{needed(folder / 'out')}, deployc: {needed(DEPLOYC)}")
    root = folder / "root"
    for file in re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", folder / "out"], capture_output=True, text=True, check=True).stdout):
        (root / file[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, root / file[1:])
    shutil.copy(folder / "out", root)
    if os.geteuid() == 0 and subprocess.run(["chroot", "/", "true"], capture_output=True).returncode == 0:
        run(folder, "chroot root /out plan | grep -q 'deploy TinyLlama'", 0)


@case("what links launchers")
def linkers(folder):
    for name, line in ("gone", "exit 127"), ("killed", "kill -9 $$"), ("wrong", "exit 3"):
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    before = sorted(folder.rglob("*"))
    for setting, words in [
            ("CC=./gone", "`./gone` could not be run; install a C compiler"),
            ("CC=./killed", "`./killed` was stopped by signal 9"),
            ("CC=./wrong", "`./wrong` could not link the launcher (status 3)"),
            ("CC=./none", "cannot run `./none`: No such file"),
            (f"CC='gcc{' -O1' * 40}'", "CC has more than 32 words"),
            ("TMPDIR=none", "cannot make a temporary folder none/deployc-"),
            (f"TMPDIR=/tmp/{'x' * 5000}", "File name too long; set TMPDIR")]:
        run(folder, f"{setting} deployc good.deploy -o out", 1, words)
        if sorted(folder.rglob("*")) != before:
            raise Failed(f"{setting}: another file is there")
    for setting in "CC=", "CC=' '", f"CC='gcc{' -O1' * 31}'":
        run(folder, f"{setting} deployc good.deploy -o out && ./out plan >/dev/null && rm out", 0)


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
