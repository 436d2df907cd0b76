#!/usr/bin/env python3
"""Out of memory: one request for memory fails in each try, of deployc, of jansson, or of the C library for them (failing_malloc.c,
preloaded). Each time deployc reports it in one line, ends with status 71 and leaves no incomplete file; or reports that it
"cannot" read or write a file for this reason; or works without the memory, with the same results.
Each command is tried as users run it, and with each request of an arena `apart`, as one of malloc. The front end is
tried without LLVM (no_codegen.c), in one process that forks at each request; once a command writes a file, each request has a process
of its own. First, unclean.c shows that the test finds unclean exits.
    alloc.py            each request as users run it; each SPARSE-th `apart`; fewer and fewer of the last ones of LLVM's commands
    alloc.py --all      each request, and the LAST ones of each wrong spec
Further words are names of commands: only these run. `make test-alloc` makes what this needs; `make test-alloc ALLOC=--all`."""
import collections
import concurrent.futures
import dataclasses
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).absolute()
MADE = DEPLOYC.parent / "tests" / "robust"
FRONT, UNCLEAN, PRELOADED = MADE / "front", MADE / "unclean", MADE / "failing_malloc.so"
SPARSE, LAST = 17, 150
DENSE, GROWTH = 8, 2.2         # each request up to DENSE, then GROWTH times the last one
NEVER = 1 << 40
OUT_OF_MEMORY, WRITES = 71, 98  # status; that of a child that does without and comes to write a file

GOLDEN = ROOT / "tests" / "golden"
SPEC = (ROOT / "samples" / "tiny_llama.deploy").read_bytes()
SMALL = b'schema S { x : Int = 1; y : List(Int) = [x, 2] }\nworkload W : S { x = 3 }\n'
INPUTS = {                      # the first one is also standard input
    "ugly.deploy": SPEC.replace(b" = ", b"="),
    "small.deploy": SMALL,
    "bad.deploy": SMALL.replace(b"2]", b'"z"]'),
    "good.deploy": SPEC,
    "wrong.deploy": (GOLDEN / "e0701_kv_cache.deploy").read_bytes(),
    "typo.deploy": (GOLDEN / "e0101_typo_in_total.deploy").read_bytes(),
    "types.deploy": (GOLDEN / "e0404_broadcast.deploy").read_bytes(),
    "syntax.deploy": (GOLDEN / "many_syntax.deploy").read_bytes(),
    "config.json": (ROOT / "tests" / "fixtures" / "llama" / "config.json").read_bytes(),
}

Command = collections.namedtuple("Command", "program words status")      # the statuses when nothing fails
COMMANDS = {
    "wrong":   Command(FRONT, "check wrong.deploy", (1,)),          # the longest ones first
    "json":    Command(FRONT, "check --error-format=json typo.deploy", (1,)),
    "sarif":   Command(FRONT, "check --error-format=sarif typo.deploy", (1,)),
    "gcc":     Command(FRONT, "check --error-format=gcc typo.deploy", (1,)),
    "import":  Command(FRONT, "import config.json -o out", (0,)),
    "build":   Command(DEPLOYC, "good.deploy -o out", (0,)),
    "emit":    Command(DEPLOYC, "good.deploy --emit=llvm -o out", (0,)),
    "check":   Command(FRONT, "check good.deploy", (0,)),
    "types":   Command(FRONT, "check types.deploy", (1,)),
    "syntax":  Command(FRONT, "check syntax.deploy", (1,)),
    "stdin":   Command(FRONT, "fmt -", (0,)),
    "plan":    Command(FRONT, "plan good.deploy", (0,)),
    "figures": Command(FRONT, "plan --format=json good.deploy", (0,)),
    "diff":    Command(FRONT, "diff good.deploy -D workload.batch=2", (0,)),
    "what_if": Command(FRONT, "what-if good.deploy -D workload.batch=2,4", (0,)),
    "search":  Command(FRONT, "search good.deploy -D plan.tp=auto", (0,)),
    "report":  Command(FRONT, "report good.deploy -D cluster.ranks=1 -D plan.pp=1 -D plan.tp=1 -o out", (0,)),
    "trace":   Command(FRONT, "trace good.deploy -o out", (1,)),
    "graph":   Command(FRONT, "graph good.deploy", (0,)),
    "dag":     Command(FRONT, "good.deploy --emit=dag-sched -o out", (0,)),
    "doc":     Command(FRONT, "doc good.deploy -o pages", (0,)),
    "fmt":     Command(FRONT, "fmt ugly.deploy", (0,)),
    "explain": Command(FRONT, "explain E0701", (0,)),
    "small":   Command(FRONT, "check small.deploy", (0,)),
    "bad":     Command(FRONT, "check bad.deploy", (1,)),
    "cpu":     Command(DEPLOYC, "check small.deploy", (0,)),
}
SELF_CHECK, FOUND = Command(UNCLEAN, "", (0,)), [2, 3, 5, 6, 7, 8, 10]

# ---- one process ----------------------------------------------------------------------------------------------------

Outcome = collections.namedtuple("Outcome", "status out err")
Record = collections.namedtuple("Record", "request kind status out_before err_before out err")      # of failing_malloc.c
LAYOUT = struct.Struct("=qiiIIII")


def fill(folder, inputs):
    """Only what a command reads, and a folder to write to."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / "pages").mkdir()
    for name, data in inputs.items():
        (folder / name).write_bytes(data)


def contents(folder):
    """The files, and folders as None."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def records(pipe):
    """Records, each with what a child wrote."""
    while head := pipe.read(LAYOUT.size):
        record = Record(*LAYOUT.unpack(head))
        yield record, pipe.read(record.out), pipe.read(record.err)


def run(command, folder, inputs, environment, each_record):
    """The outcome of a command in a folder that holds only its inputs, and the files that are there afterwards."""
    fill(folder, inputs)
    ours, its = os.pipe()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, open(folder / list(inputs)[0], "rb") as stdin, \
            open(ours, "rb") as pipe:
        environment = {**os.environ, "TMPDIR": str(folder), "FAIL_MALLOC_REPORT": str(its), **environment}
        process = subprocess.Popen([command.program, *command.words.split()], cwd=folder, env=environment, stdin=stdin,
                                   stdout=out, stderr=err, pass_fds=[its])
        os.close(its)
        for record in records(pipe):
            each_record(*record)
        status = process.wait()
        out.seek(0)
        err.seek(0)
        return Outcome(status, out.read(), err.read()), contents(folder)


# ---- what is clean --------------------------------------------------------------------------------------------------

class Unclean(Exception):
    """What deployc did when a request failed."""


def kind_of(outcome, whole):
    """The kind of clean end."""
    if outcome == whole:
        return "do without"
    lines = outcome.err.decode().splitlines()
    last = lines[-1] if lines else "nothing said"
    says = [line.startswith("deployc: out of memory: ") for line in lines]
    if outcome.status == OUT_OF_MEMORY and sum(says) == 1 and says[-1]:
        return "out of memory"
    if outcome.status in (1, 2) and last.startswith("deployc: cannot ") and "Cannot allocate memory" in last:
        return "cannot open"
    raise Unclean(f"status {outcome.status}, {last}")


def check_files(files, inputs, whole):
    """Each as before, or as when all is well."""
    for name, data in files.items():
        if name not in inputs and name not in whole or data not in (inputs.get(name), whole.get(name)):
            raise Unclean(f"{name} stays behind")


@dataclasses.dataclass
class Trial:
    """The requests of a command, one after the other. What was unclean is in `unclean`: (request, why)."""
    label: str
    command: Command
    apart: bool
    every: int = 1              # of the requests that fail in a fork
    last: int = 0               # not 0: only so many of them
    steps: bool = False         # not each of the requests that need a process
    inputs: dict = dataclasses.field(default_factory=lambda: INPUTS)
    kinds: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    unclean: list = dataclasses.field(default_factory=list)
    total: int = 0

    def judge(self, request, outcome):
        try:
            self.kinds[kind_of(outcome, self.whole)] += 1
        except Unclean as e:
            self.unclean.append((request, str(e)))

    def launch(self, folder, settings, each_record):
        environment = {"LD_PRELOAD": str(PRELOADED), **({"DEPLOYC_APART": "1"} if self.apart else {}), **settings}
        return run(self.command, folder, self.inputs, environment, each_record)

    def fork(self, folder, first):
        """The requests from `first` to the first output file. Gives that file's, and those that need a process after all."""
        marks, writing = {}, []

        def take(record, out, err):
            marks[chr(record.kind)] = record.request
            if record.kind != ord("c"):
                return
            status = os.waitstatus_to_exitcode(record.status)
            if status == WRITES:
                writing.append(record.request)
            else:
                self.judge(record.request, Outcome(status, self.whole.out[:record.out_before] + out,
                                                   self.whole.err[:record.err_before] + err))

        end, files = self.launch(folder, {"FAIL_MALLOC_EVERY": str(self.every), "FAIL_MALLOC_FROM": str(first)}, take)
        if end != self.whole or files != self.whole_files or "e" not in marks:
            self.unclean.append((0, f"no request fails: status {end.status}, {end.err.decode()[-200:]!r}, files {[*files]}"))
        self.total = marks.get("e", 0)
        return marks.get("t", self.total), writing

    def start(self, folder, request):
        """A request of a process of its own."""
        failed = []
        outcome, files = self.launch(folder, {"FAIL_MALLOC": str(request)}, lambda record, *_: failed.append(record.request))
        try:
            if failed != [request]:
                raise Unclean("there was no such request")
            check_files(files, self.inputs, self.whole_files)
        except Unclean as e:
            self.unclean.append((request, str(e)))
        else:
            self.judge(request, outcome)

    def own_processes(self, first):
        """The requests after `first`."""
        n = 1
        while first + n <= self.total:
            yield first + n
            n = max(n + 1, int(n * GROWTH)) if self.steps and n >= DENSE else n + 1

    def run(self):
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            self.whole, self.whole_files = run(self.command, folder, self.inputs, {}, None)
            if self.whole.status not in self.command.status:
                self.unclean.append((0, f"without failures: status {self.whole.status}: {self.whole.err.decode()}"))
                return self
            if self.last:
                self.fork(folder, NEVER)
            first, writing = self.fork(folder, self.total - self.last + 1 if self.last else 1)
            for request in [*writing, *self.own_processes(first)]:
                self.start(folder, request)
        if self.tries_all and self.tried != self.total:
            self.unclean.append((0, f"{self.tried} were tried"))
        return self

    @property
    def tries_all(self):
        return self.every == 1 and not self.last and not self.steps

    @property
    def tried(self):
        return self.kinds.total() + len(self.unclean)

    def tell(self):
        result, tried = "FAIL" if self.unclean else "ok  ", f"{self.tried} of {self.total} requests"
        print(f"{result} {self.label:13} {tried}: {in_words(self.kinds)}", flush=True)
        for request, why in self.unclean[:5]:
            print(f"FAIL {self.label}: request {request} of deployc {self.command.words}: {why}", flush=True)


# ---- all of them ----------------------------------------------------------------------------------------------------

def in_words(kinds):
    return ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())


def count(trials):
    return f"{sum(t.tried for t in trials)} of {sum(t.total for t in trials)} requests"


def self_check():
    """What a program does that does not end cleanly is found. Whether this is so."""
    found = sorted(request for request, _ in Trial("self-check", SELF_CHECK, False).run().unclean)
    print("ok   self-check" if found == FOUND else f"FAIL self-check: {found} are unclean, not {FOUND}", flush=True)
    return found == FOUND


def trial(name, apart, everything):
    command = COMMANDS[name]
    return Trial(f"{name} apart" if apart else name, command, apart, every=SPARSE if apart and not everything else 1,
                 steps=command.program == DEPLOYC and not everything)


def wrong_specs():
    """Those that stand alone and are checked as they are."""
    for path in sorted(GOLDEN.glob("*.deploy")):
        text = path.read_bytes()
        if b"// run:" not in text and b"// bytes:" not in text:
            command = Command(FRONT, f"check {path.name}", (0, 1))
            for apart in (False, True):
                yield Trial(path.stem, command, apart, last=LAST if apart else 0, inputs={path.name: text})


def main():
    everything = "--all" in sys.argv[1:]
    names = [a for a in sys.argv[1:] if not a.startswith("--")]
    passed = [self_check()]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        named = [trial(name, apart, everything) for name in names or COMMANDS for apart in (True, False)]
        specs = [*wrong_specs()] if everything and not names else []
        for future in concurrent.futures.as_completed([pool.submit(t.run) for t in named + specs]):
            t = future.result()
            passed.append(not t.unclean)
            if t in named or t.unclean:
                t.tell()
    if specs:
        kinds = sum((t.kinds for t in specs), collections.Counter())
        print(f"{len(specs) // 2} wrong specs, {count(specs)}: {in_words(kinds)}")
    print(f"commands, {count(named)}, one at a time")
    print(f"{sum(passed)} passed, {len(passed) - sum(passed)} failed")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
