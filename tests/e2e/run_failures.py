#!/usr/bin/env python3
"""What can go wrong at run time ends with one clear message, a non-zero exit, soon, and with no process left."""
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

from harness import FIXTURES, WORKLOAD, Failed, Folder, Report, compile_spec, first_line, need_deployc, spec

SECONDS = 5
LONG = WORKLOAD.replace("output = 64", "output = 16384")       # a run of minutes, to be interrupted
PROMPT = "1,15,7,42"


def children(pid):
    """Every process below pid."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        below = parents.get(queue.pop(), [])
        found += below
        queue += below
    return found


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_gone(pids):
    deadline = time.monotonic() + 2
    while any(alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            for pid in filter(alive, pids):
                os.kill(pid, signal.SIGKILL)
            raise Failed("a process is left behind")
        time.sleep(0.02)


def command(launcher, weights, *options):
    return [launcher, "run", "--weights", weights, "--ids", PROMPT, *options]


def expect_error(arguments, *words):
    """The command fails soon and says the words, in one message."""
    start = time.monotonic()
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=30)
    except subprocess.TimeoutExpired:
        raise Failed("it hangs") from None
    seconds = time.monotonic() - start
    if done.returncode == 0:
        raise Failed(f"it succeeds: {first_line(done.stdout)}")
    if done.returncode < 0:
        raise Failed(f"it dies of signal {-done.returncode}")
    if seconds > SECONDS:
        raise Failed(f"it took {seconds:.1f} s")
    missing = [w for w in words if w.lower() not in done.stderr.lower()]
    if missing:
        raise Failed(f"stderr does not say `{missing[0]}`: {first_line(done.stderr)}")
    errors = re.findall(r"^(?:\S+: )?error\b", done.stderr, re.M)
    if len(errors) > 1:
        raise Failed(f"{len(errors)} errors instead of one: {first_line(done.stderr)}")
    return first_line(done.stderr)


def altered(folder, model, name, change):
    """A copy of a checkpoint with something changed."""
    copy = folder / name
    shutil.copytree(FIXTURES / model, copy)
    change(copy)
    return copy


def truncate(checkpoint):
    file = sorted(checkpoint.glob("*.safetensors"))[0]
    with open(file, "r+b") as f:
        f.truncate(file.stat().st_size - 1000)


def edit_header(checkpoint, edit):
    """Rewrites the JSON header of the first safetensors file."""
    file = sorted(checkpoint.glob("*.safetensors"))[0]
    data = file.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    edit(header)
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size:])


def swap_shape(header):
    """[a, b] becomes [b, a]: as many bytes, another matrix."""
    name = next(n for n in header if n.endswith("k_proj.weight"))
    header[name]["shape"].reverse()


def rename_tensor(header):
    name = next(n for n in header if n.endswith("q_proj.weight"))
    header[name + "_"] = header.pop(name)


def garbage(checkpoint):
    sorted(checkpoint.glob("*.safetensors"))[0].write_bytes(b"\xff" * 64)


def edit_config(checkpoint, **values):
    file = checkpoint / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def shards(checkpoint):
    return sorted(checkpoint.glob("*.safetensors"))


def replaced_by_pipe(file):
    file.unlink()
    os.mkfifo(file)


def filled(checkpoint, pattern, word):
    """Each f32 of the tensors with the word in their name becomes `pattern`."""
    for file in shards(checkpoint):
        data = bytearray(file.read_bytes())
        size = struct.unpack("<Q", data[:8])[0]
        for name, entry in json.loads(data[8:8 + size]).items():
            if name != "__metadata__" and word in name:
                begin, end = (8 + size + o for o in entry["data_offsets"])
                data[begin:end] = struct.pack("<f", pattern) * ((end - begin) // 4)
        file.write_bytes(data)


def overlap(header):
    """The head's bytes begin where another tensor's are."""
    entry = header["lm_head.weight"]
    begin, end = entry["data_offsets"]
    entry["data_offsets"] = [begin + 256, end + 256]


def add_to_index(checkpoint, **tensors):
    file = checkpoint / "model.safetensors.index.json"
    index = json.loads(file.read_text())
    index["weight_map"].update(tensors)
    file.write_text(json.dumps(index))


HOSTILE = "\x1b[2J\nerror: forged\u202e\x9b"


def name_hostile(header):
    header[HOSTILE] = {"dtype": "F32"}


def untrusted_cases(folder):
    """Name, copy of a checkpoint in three shards, words that the message must have."""
    def copy(name, change):
        return altered(folder, "mixtral", name, change)

    yield "a shard is a pipe", copy("u1", lambda c: replaced_by_pipe(shards(c)[0])), ["model-00001-of-00003.safetensors is not a file"]
    yield "config.json is a pipe", copy("u2", lambda c: replaced_by_pipe(c / "config.json")), ["config.json is not a file"]
    yield "model.safetensors is a pipe", copy("u3", lambda c: os.mkfifo(c / "model.safetensors")), ["model.safetensors is not a file"]
    yield "tensors overlap", copy("u4", lambda c: edit_header(c, overlap)), ["the data from byte 0 on is of no tensor"]
    yield "the index lies", copy("u5", lambda c: add_to_index(c, ghost=shards(c)[0].name)), ["ghost is not in model-00001-of"]
    yield "the index names many files", copy("u6", lambda c: add_to_index(c, **{f"t{i}": f"s{i}" for i in range(20000)})), \
        ["/s0:", "and 19980 more"]
    yield "control characters in a header", copy("u7", lambda c: edit_header(c, name_hostile)), \
        ["\\x1b[2J\\nerror: forged\\xe2\\x80\\xae\\xc2\\x9b has no"]
    yield "control characters in the index", copy("u8", lambda c: add_to_index(c, **{HOSTILE: "../x"})), ["\\x1b[2J\\nerror"]
    for i, (word, value) in enumerate([("", float("nan")), ("", float("inf")), ("lm_head", float("nan")), ("lm_head", -float("inf")),
                                       ("gate.weight", float("nan")), ("input_layernorm", float("nan"))]):
        yield f"{word or 'all'} {value}", copy(f"n{i}", lambda c: filled(c, value, word)), ["the logits of prompt 1 for token 1"]
    yield "another model ends it early", FIXTURES / "llama", ["config.json: "]


def one_line_each(done):
    """A message has no control character but the ends of its own lines."""
    odd = set(re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", done))
    if odd:
        raise Failed(f"{odd} in the message")


def untrusted(launcher, weights, words):
    first = expect_error(command(launcher, weights), *words)
    done = subprocess.run(command(launcher, weights), capture_output=True, text=True, timeout=30)
    one_line_each(done.stderr)
    if len(done.stderr.splitlines()) > 30:
        raise Failed(f"{len(done.stderr.splitlines())} lines")
    return first


def start_long(launcher, model):
    """A run that would take minutes, with all its ranks at work."""
    arguments = command(launcher, FIXTURES / model, "--max-tokens", "16384", "--threads", "1")
    job = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    time.sleep(1.5)
    ranks = children(job.pid)
    if job.poll() is not None:
        raise Failed(f"the long run ended at once with {job.returncode}: {first_line(job.stderr.read())}")
    if not ranks:
        job.kill()
        raise Failed("the launcher has no child processes")
    return job, ranks


def interrupted(launcher, model, victim, number, *words):
    """Ends one process of a running job by a signal; all of it must be gone soon."""
    job, ranks = start_long(launcher, model)
    start = time.monotonic()
    os.kill(victim(job.pid, ranks), number)
    try:
        _, err = job.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        for pid in [job.pid, *ranks]:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        job.communicate()
        raise Failed(f"still running {SECONDS} s after the signal") from None
    seconds = time.monotonic() - start
    wait_gone(ranks)
    if job.returncode == 0:
        raise Failed("it exits with 0")
    err = "\n".join(line for line in err.splitlines() if not line.startswith("warning"))
    missing = [w for w in words if w.lower() not in err.lower()]
    if missing:
        raise Failed(f"stderr does not say `{missing[0]}`: {first_line(err)}")
    return f"{seconds:.1f} s; exit {job.returncode}; {first_line(err)}"


def checkpoint_cases(folder):
    """Name, checkpoint, words that the message must have."""
    def copy(name, change):
        return altered(folder, "llama", name, change)

    yield "no such folder", folder / "nowhere", ["nowhere"]
    yield "no config.json", copy("a", lambda c: (c / "config.json").unlink()), ["config.json"]
    yield "config.json is not JSON", copy("b", lambda c: (c / "config.json").write_text("{")), ["config.json"]
    yield "config.json says other layers", copy("c", lambda c: edit_config(c, num_hidden_layers=5)), ["num_hidden_layers", "5"]
    yield "config.json says another eps", copy("d", lambda c: edit_config(c, rms_norm_eps=1e-6)), ["rms_norm_eps"]
    yield "no safetensors", copy("e", lambda c: (c / "model.safetensors").unlink()), ["safetensors"]
    yield "truncated", copy("f", truncate), ["safetensors"]
    yield "garbage", copy("g", garbage), ["safetensors"]
    yield "wrong shape", copy("h", lambda c: edit_header(c, swap_shape)), ["k_proj", "[32, 64]", "[64, 32]"]
    yield "missing tensor", copy("i", lambda c: edit_header(c, rename_tensor)), ["q_proj.weight"]


def main():
    need_deployc()
    report = Report()
    with Folder() as folder:
        def compiled(name, *arguments):
            try:
                return compile_spec(spec(*arguments), folder, name)
            except Failed as failure:
                report.check(f"compile {name}", lambda: (_ for _ in ()).throw(failure))
                return None

        short = compiled("short", "llama", 4, "Megatron { pp = 2; tp = 2 }")
        sharded = compiled("shards", "mixtral", 4, "Megatron { ep = 2; tp = 2 }")
        long = compiled("long", "mixtral", 8, "Megatron { pp = 2; ep = 2; tp = 2 }", "f32", LONG, "max_ctx = 32768")
        if not (short and sharded and long):
            return report.end()

        for name, weights, words in checkpoint_cases(folder):
            report.check(f"checkpoint: {name}", lambda: expect_error(command(short, weights), *words))
        lost = altered(folder, "mixtral", "lost", lambda c: sorted(c.glob("*.safetensors"))[1].unlink())
        report.check("checkpoint: missing shard", lambda: expect_error(command(sharded, lost), "model-00002"))
        report.check("checkpoint: of another model", lambda: expect_error(command(short, FIXTURES / "mixtral")))

        for name, weights, words in untrusted_cases(folder):
            report.check(f"checkpoint: {name}", lambda: untrusted(sharded, weights, words))

        weights = FIXTURES / "llama"
        for name, options, words in [
                ("id beyond the vocabulary", ["--ids", "3,256"], ["256"]),
                ("negative id", ["--ids", "3,-1"], ["-1"]),
                ("ids that are no numbers", ["--ids", "3,x"], ["x"]),
                ("no ids", ["--ids", ""], ["ids"]),
                ("prompt longer than planned", ["--ids", ",".join(["1"] * 600)], ["600"]),
                ("too many tokens", ["--max-tokens", "100000"], ["100000"]),
                ("zero threads", ["--threads", "0"], ["threads"]),
                ("unknown option", ["--wat"], ["--wat"]),
                ("logits into no folder", ["--logits", str(folder / "none" / "x.npy")], ["x.npy"])]:
            report.check(f"arguments: {name}", lambda: expect_error(command(short, weights, *options), *words))
        report.check("arguments: none", lambda: expect_error([short]))

        shm = set(os.listdir("/dev/shm"))
        first, last = (lambda _, ranks: ranks[0]), (lambda _, ranks: ranks[-1])
        report.check("a rank is killed", lambda: interrupted(long, "mixtral", first, signal.SIGKILL, "rank"))
        report.check("another rank is killed", lambda: interrupted(long, "mixtral", last, signal.SIGKILL, "rank"))
        report.check("the launcher is killed", lambda: interrupted(long, "mixtral", lambda job, _: job, signal.SIGKILL))
        report.check("the launcher is interrupted", lambda: interrupted(long, "mixtral", lambda job, _: job, signal.SIGINT))
        report.check("the launcher is terminated", lambda: interrupted(long, "mixtral", lambda job, _: job, signal.SIGTERM))

        def nothing_left():
            left = set(os.listdir("/dev/shm")) - shm
            if left:
                raise Failed(f"in /dev/shm: {', '.join(sorted(left))}")
        report.check("no shared memory is left", nothing_left)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
