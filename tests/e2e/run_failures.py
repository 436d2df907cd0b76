#!/usr/bin/env python3
"""Failures at run time: each ends soon, with one clear message, a non-zero exit status, and no process left."""
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

import numpy as np

from harness import FIXTURES, WORKLOAD, Expected, Failed, Folder, Report, compile_spec, first_line, need_deployc, run_launcher, spec, write_safetensors

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
    """The command fails soon, with the words in one message."""
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
    """A changed copy of a checkpoint."""
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
    """[a, b] becomes [b, a]: the same size, another matrix."""
    name = next(n for n in header if n.endswith("k_proj.weight"))
    header[name]["shape"].reverse()


def rename_tensor(header):
    name = next(n for n in header if n.endswith("q_proj.weight"))
    header[name + "_"] = header.pop(name)


def other_format(header):
    header[next(n for n in header if n.endswith("k_proj.weight"))]["dtype"] = "I32"


def add_unread(header):
    """Tensors of no elements that nothing reads; the second one is named like a scale of the first."""
    for name in "extra.weight", "extra.weight.absmax":
        header[name] = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}


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
    """The head's bytes overlap another tensor's."""
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
    """Name, copy of a checkpoint in three shards, words of the message."""
    def copy(name, change):
        return altered(folder, "mixtral", name, change)

    yield "a shard is a pipe", copy("u1", lambda c: replaced_by_pipe(shards(c)[0])), ["model-00001-of-00003.safetensors is not a file"]
    yield "config.json is a pipe", copy("u2", lambda c: replaced_by_pipe(c / "config.json")), ["config.json is not a file"]
    yield "model.safetensors is a pipe", copy("u3", lambda c: os.mkfifo(c / "model.safetensors")), ["model.safetensors is not a file"]
    yield "tensors overlap", copy("u4", lambda c: edit_header(c, overlap)), ["the data from byte 0 on belongs to no tensor"]
    yield "the index lies", copy("u5", lambda c: add_to_index(c, ghost=shards(c)[0].name)), ["ghost is not in model-00001-of"]
    yield "the index names many files", copy("u6", lambda c: add_to_index(c, **{f"t{i}": f"s{i}" for i in range(20000)})), \
        ["/s0:", "and 19980 more"]
    yield "control characters in a header", copy("u7", lambda c: edit_header(c, name_hostile)), \
        ["\\x1b[2J\\nerror: forged\\xe2\\x80\\xae\\xc2\\x9b has no"]
    yield "control characters in the index", copy("u8", lambda c: add_to_index(c, **{HOSTILE: "../x"})), ["\\x1b[2J\\nerror"]
    nan, inf, first = float("nan"), float("inf"), "in layer 0, `layer.attn: contract wq, wk, wv`"
    for i, (word, value, place) in enumerate([
            ("", nan, first), ("", inf, first), ("input_layernorm", nan, first), ("gate.weight", nan, "in layer 0, `layer.moe: contract router`"),
            ("layers.3.self_attn.k_proj", inf, "in layer 3, `layer.attn: contract wq, wk, wv`"),
            ("", 3e38, first), ("embed_tokens", 1e20, first),
            ("lm_head", nan, "are in `contract w_head`"), ("lm_head", -inf, "are in `contract w_head`")]):
        yield f"{word or 'all'} {value}", copy(f"n{i}", lambda c: filled(c, value, word)), ["the logits of prompt 1 for token 1", place]
    yield "another model ends it early", FIXTURES / "llama", ["config.json: "]


def one_line_each(done):
    """A message has no control characters except its own newlines."""
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
    """Ends one process of a running job by a signal; all others must end soon."""
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
    """Name, checkpoint, words of the message."""
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
    yield "format of no weight", copy("j", lambda c: edit_header(c, other_format)), ["k_proj.weight is I32; F32, BF16, F16"]
    yield "unread tensors", copy("k", lambda c: edit_header(c, add_unread)), \
        ["2 tensors that nothing in", "reads: extra.weight, extra.weight.absmax; --unverified"]
    yield "missing tensor", copy("i", lambda c: edit_header(c, rename_tensor)), ["q_proj.weight"]


def shell(folder, line, status, words="", **names):
    """A shell command in a folder of its own. Afterwards the folder may contain only `y.npy` and files of the test."""
    place = folder / "shell"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    environment = {**os.environ, "DEPLOY_TIMEOUT": "1", **{k: str(v) for k, v in names.items()}}
    (place / "kept").write_text("kept")
    os.mkfifo(place / "pipe")
    (place / "link.npy").symlink_to("linked.npy")
    try:
        done = subprocess.run(["bash", "-c", line], cwd=place, capture_output=True, text=True, timeout=30, env=environment,
                              stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise Failed("it hangs") from None
    if done.returncode != status or words not in done.stderr:
        raise Failed(f"status {done.returncode}, {first_line(done.stderr)}, expected {status}, {words!r}")
    left = {p.name for p in place.iterdir()} - {"kept", "pipe", "link.npy", "linked.npy", "y.npy"}
    if left or (place / "kept").read_text() != "kept" or not (place / "pipe").is_fifo() or not (place / "link.npy").is_symlink():
        raise Failed(f"left: {left}, or something was replaced")
    return done, place


def shell_cases():
    """Name, line, status, words."""
    run = '"$L" run --weights "$W" --ids 1,15,7 --max-tokens 4'
    for place in "pipe", "/dev/null", "/dev/full", ".":
        yield f"logits to {place}", f"{run} --logits {place}", 1, f"cannot write {place}: not a regular file"
    yield "logits to a link to a device", f"ln -s /dev/null y.npy; {run} --logits y.npy; s=$?; rm y.npy; exit $s", 1, "not a regular file"
    yield "logits to a link to itself", f"ln -s loop loop; {run} --logits loop; s=$?; rm loop; exit $s", 1, "cannot write loop: Too many levels of symbolic links"
    yield "logits where a folder has come", '"$L" run --weights "$W" $PROMPTS --max-tokens 9 --logits y.npy >/dev/null & ' \
        'until ls y.npy.* >/dev/null 2>&1; do kill -0 $! || exit; sleep 0.002; done; mkdir y.npy; wait $!; s=$?; rmdir y.npy; exit $s', 1, "cannot write y.npy: Is a directory"
    yield "logits beyond ulimit -f", f"ulimit -f 1; {run} --logits y.npy", 1, "cannot write y.npy: File too large"
    yield "logits and a reader that goes", f'"$L" run --weights "$W" $PROMPTS --max-tokens 1 --logits y.npy 2>err | true; s=${{PIPESTATUS[0]}}; cat err >&2; rm err; exit $s', \
        1, "cannot write standard output: Broken pipe"
    for words in "plan", "--help", "--version", run[5:]:
        yield f"{words.split()[0]} to a full device", f'"$L" {words} >/dev/full', 1, "cannot write standard output: No space left"
        yield f"{words.split()[0]} to nothing", f'"$L" {words} >&-', 1, "cannot write standard output: Bad file"
    yield "a reader that takes its time", '"$L" run --weights "$W" $PROMPTS --max-tokens 3 | (sleep 2; wc -l); exit ${PIPESTATUS[0]}', 0, ""
    yield "children that are not ranks", 'for t in 0 0.01 0.03 0.1; do (sleep $t; exit 3) & done; exec "$L" run --weights "$W" $PROMPTS --max-tokens 20 >/dev/null', 0, ""
    yield "stopped and continued", 'set -m; "$L" run --weights "$W" $PROMPTS --max-tokens 20 >/dev/null & sleep 0.3; kill -STOP -- -$!; ' \
        'sleep 1.5; kill -CONT -- -$!; wait $!', 0, ""
    yield "a rank that loads is stopped", '"$BIG" bench --batch 1 --prompt 1 --output 1 >/dev/null & until pid=$(pgrep -P $!); do sleep 0.02; done; ' \
        'sleep 0.1; kill -STOP $pid; wait $!', 1, "it was stuck for 1 s (DEPLOY_TIMEOUT)"
    for name in "INT", "TERM", "HUP":
        yield f"logits and SIG{name}", f'env --default-signal "$L" run --weights "$W" $PROMPTS --max-tokens 60 --logits y.npy >/dev/null & ' \
            f'until ls y.npy.* >/dev/null 2>&1; do sleep 0.02; done; kill -{name} $!; wait $!; s=$?; [ ! -e y.npy ] || exit 99; exit $s', 128 + getattr(signal, f"SIG{name}"), "ended by signal"


def same_logits(folder, launcher, weights):
    """Through a link, and with standard files closed, the array is the same."""
    run = '"$L" run --weights "$W" --ids 1,15,7 --max-tokens 4 --logits'
    _, place = shell(folder, f"{run} y.npy", 0, L=launcher, W=weights)
    expected = (place / "y.npy").read_bytes()
    for line, name, status in [("link.npy", "linked.npy", 0), ("y.npy 2>&-", "y.npy", 0), ("y.npy <&-", "y.npy", 0)]:
        _, place = shell(folder, f"{run} {line}", status, L=launcher, W=weights)
        if (place / name).read_bytes() != expected:
            raise Failed(f"{line}: another array")


def large_page(folder):
    """A page is read in pieces, so its size does not matter to the stack."""
    expected = Expected("mixtral")
    workload = WORKLOAD.replace("batch = 8", "batch = 1").replace("page = 16", "page = 65536")
    launcher = compile_spec(spec("mixtral", 2, "Megatron { tp = 2 }", workload=workload), folder, "page")
    steps = expected.tokens.shape[1]
    run, _ = run_launcher(launcher, "mixtral", expected.prompts[:2], steps, folder)
    for prompt, tokens in zip(expected.prompts[:2], expected.tokens):
        if run.of(prompt) != [tokens.tolist()]:
            raise Failed(f"{run.of(prompt)}, expected {tokens.tolist()}")


UNDEFINED = """use std.decoder { Decoder }
use std.ops { embed, pick, sample }
use std.clusters { CPUHost }
use std.workload { Inference }
model Roots : Decoder {
  vocab = 8; layers = 2; max_ctx = 64; weight = f32; act = f32; kv = f32
  axis d_model = 4
  param w : [vocab, d_model] from "w"
  let x = embed(w, ids)
  output logits : f32[batch, row, vocab]   = sqrt(pick(x, want) @[d_model] w - 1000)
  output token  : index(vocab)[batch, row] = sample(logits, v = vocab)
}
plan P { mesh a = 2; vocab -> a }
deploy D { model = Roots; cluster = CPUHost { ranks = 2 }; plan = P {}; workload = Inference { batch = 1; seq = 1..8; output = 2; page = 4 } }
"""


def undefined(folder):
    """Numbers of finite weights that are not finite after all products."""
    (folder / "roots").mkdir()
    write_safetensors(folder / "roots" / "model.safetensors", {"w": np.ones((8, 4), np.float32)})
    (folder / "roots" / "config.json").write_text("{}")
    launcher = compile_spec(UNDEFINED, folder, "undefined")
    return expect_error([launcher, "run", "--weights", folder / "roots", "--ids", "1", "--max-tokens", "1", "--unverified=*"],
                        "the logits of prompt 1 for token 1 are not all finite numbers; all contractions before it return finite numbers")


BIG_MODEL = """use std.llama { Llama }
use std.clusters { CPUHost }
use std.plans { Megatron }
use std.workload { Inference }
model Big = Llama { vocab = 64000; layers = 4; d_model = 1024; kv_heads = 8; q_group = 2; head_dim = 64; ffn = 4096; tied = true; max_ctx = 512
  weight = f32; act = f32; kv = f32 }
deploy Test {
  model = Big; cluster = CPUHost { ranks = 1 }; plan = Megatron {}
  workload = Inference { batch = 1; seq = 1..64; output = 8; chunk = 64; page = 16 }
}
"""


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
                ("ids that are not numbers", ["--ids", "3,x"], ["x"]),
                ("no ids", ["--ids", ""], ["ids"]),
                ("prompt longer than planned", ["--ids", ",".join(["1"] * 600)], ["600"]),
                ("too many tokens", ["--max-tokens", "100000"], ["100000"]),
                ("zero threads", ["--threads", "0"], ["threads"]),
                ("unknown option", ["--wat"], ["--wat"]),
                ("logits into no folder", ["--logits", str(folder / "none" / "x.npy")], ["x.npy"])]:
            report.check(f"arguments: {name}", lambda: expect_error(command(short, weights, *options), *words))
        report.check("arguments: none", lambda: expect_error([short]))

        def big():
            return compile_spec(BIG_MODEL, folder, "big", "-O0")
        names = {"L": short, "W": weights, "BIG": big(), "PROMPTS": " ".join(f"--ids 1,2,{i % 200}" for i in range(3000))}
        for name, line, status, words in shell_cases():
            report.check(f"files: {name}", lambda: shell(folder, line, status, words, **names) and None)
        report.check("a root of numbers below zero", lambda: undefined(folder))
        report.check("a page of 65536 positions", lambda: large_page(folder))
        report.check("files: links and closed standard files", lambda: same_logits(folder, short, weights))

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
