#!/usr/bin/env python3
"""--prompts: answers in the order of the file, those that --ids gives; a run that is killed goes on where it was; what is refused.

    run_batch.py [WORD ...]    only the tests whose line contains a word
"""
import fcntl
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time

from harness import FIXTURES, WORKLOAD, Expected, Failed, Folder, Report, compile_spec, first_line, need_deployc, on_terminal, spec
from processors import check_logprobs, command_line

MODEL = "llama"
STEPS = 16
PLANS = {1: "Megatron {}", 4: "Megatron { pp = 2; dp = 2; pipeline { microbatches = 2 } }"}
FIELDS = ("prompt, messages, ids, max_tokens, temperature, top_k, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty, "
          "logit_bias, logprobs, top_logprobs, seed, stop, stop_ids, id")


def command(launcher, file, to, *options):
    return [launcher, "run", "--weights", FIXTURES / MODEL, "--prompts", file, "--output-dir", to, "--max-tokens", str(STEPS), *options]


def run(launcher, file, to, *options, status=0, said="", **how):
    done = subprocess.run(command(launcher, file, to, *options), capture_output=True, text=True, timeout=120, **how)
    if done.returncode != status or said not in done.stderr + done.stdout:
        raise Failed(f"exits with {done.returncode} instead of {status}, and says: {first_line(done.stderr or done.stdout)}")
    return done


def write(path, prompts, array=False):
    path.write_text(json.dumps(prompts, indent=1) if array else "".join(json.dumps(p) + "\n" for p in prompts))
    return path


def answers(folder):
    return [json.loads(line) for line in (folder / "outputs.jsonl").read_text().splitlines()]


def fresh(folder, name):
    shutil.rmtree(folder / name, ignore_errors=True)
    return folder / name


def greedy(expected, copies):
    """Prompts of the fixture in turn, each with as many tokens as its number allows; their answers are transformers' tokens."""
    prompts = [{"ids": [int(t) for t in expected.prompts[i % len(expected.prompts)]], "max_tokens": 1 + i % STEPS, "id": f"nr {i}"} for i in range(copies)]
    want = [{"index": i, "id": p["id"], "prompt_tokens": len(p["ids"]), "finish": "length",
             "ids": expected.tokens[i % len(expected.prompts)][:p["max_tokens"]].tolist()} for i, p in enumerate(prompts)]
    return prompts, want


def in_order(folder, launcher, array):
    prompts, want = greedy(Expected(MODEL), 40)
    out = fresh(folder, "out")
    run(launcher, write(folder / "in.json", prompts, array), out)
    if answers(out) != want:
        raise Failed(f"other answers: {next((a, b) for a, b in zip(answers(out), want) if a != b)}")
    if sorted(p.name for p in out.iterdir()) != ["outputs.jsonl", "run.json"]:
        raise Failed(f"the folder has {sorted(p.name for p in out.iterdir())}")
    run(launcher, folder / "in.json", out, said="has all 40 answers already")


def own_options(folder, launcher):
    """Options of a prompt win over those of the command line; seeds are counted on as for --ids."""
    ids = [int(t) for t in Expected(MODEL).prompts[0]]
    options = ["--temperature", "0.8", "--seed", "5"]
    prompts = [{"ids": ids}, {"ids": ids}, {"ids": ids, "temperature": 0}, {"ids": ids, "seed": 5, "id": 7}, {"ids": ids, "top_k": 1, "max_tokens": 3}]
    out = fresh(folder, "out")
    run(launcher, write(folder / "in.jsonl", prompts), out, *options)
    got = answers(out)
    done = subprocess.run([launcher, "run", "--weights", FIXTURES / MODEL, "--max-tokens", str(STEPS), *options,
                           *["--ids", ",".join(map(str, ids))] * 2], capture_output=True, text=True, timeout=60, check=True)
    drawn = [[int(t) for t in line.split(" -> ")[1].split(",")] for line in done.stdout.splitlines() if line.startswith("ids: ")]
    best = Expected(MODEL).tokens[0][:STEPS].tolist()
    want = [drawn[0], drawn[1], best, drawn[0], best[:3]]
    if [a["ids"] for a in got] != want or drawn[0] == drawn[1] or got[3]["id"] != 7 or "id" in got[0]:
        raise Failed(f"answers {[a['ids'] for a in got]} instead of {want}")
    way = {"repetition_penalty": 1.3, "presence_penalty": 0.5, "frequency_penalty": 0.25, "logit_bias": {"7": -100, "9": 2}}
    run(launcher, write(folder / "in.jsonl", [{"ids": ids}, {"ids": ids, **way}]), fresh(folder, "out"))
    mine = [a["ids"] for a in answers(out)]
    run(launcher, write(folder / "in.jsonl", [{"ids": ids, "repetition_penalty": 1, "presence_penalty": 0, "frequency_penalty": 0, "logit_bias": {}}, {"ids": ids}]),
        fresh(folder, "out"), *command_line(way))
    if mine[0] != best or mine[1] == best or [a["ids"] for a in answers(out)] != mine:
        raise Failed(f"penalties of a prompt give {mine}, those of the command line {[a['ids'] for a in answers(out)]}")
    stop = best[2]
    run(launcher, write(folder / "in.jsonl", [{"ids": ids, "stop_ids": [stop]}, {"ids": ids}]), fresh(folder, "out"), "--stop-ids", str(best[1]))
    got = [(a["ids"], a["finish"]) for a in answers(out)]
    if got != [(best[:best.index(stop) + 1], "stop"), (best[:best.index(best[1]) + 1], "stop")]:
        raise Failed(f"with stop ids: {got}")


def logprobs(folder, launcher):
    """Those of transformers' logits, for the prompts that ask for them."""
    expected = Expected(MODEL)
    asked = [{"logprobs": True}, {"logprobs": 4}, {"logprobs": False}, {"logprobs": True, "top_logprobs": 20}, {}]
    prompts = [{"ids": [int(t) for t in expected.prompts[i % 3]], **asked[i % 5]} for i in range(20)]
    out, told = fresh(folder, "out"), 0
    run(launcher, write(folder / "in.jsonl", prompts), out)
    for i, answer in enumerate(answers(out)):
        top = {0: 0, 1: 4, 3: 20}.get(i % 5, -1)
        if ("logprobs" in answer) != (top >= 0):
            raise Failed(f"answer {i} has the fields {list(answer)}")
        if top >= 0:
            check_logprobs(answer["logprobs"], answer["ids"], expected.logits[i % 3], top)
            told += len(answer["logprobs"])
    run(launcher, write(folder / "in.jsonl", [{"ids": prompts[0]["ids"]}, {"ids": prompts[1]["ids"], "logprobs": False}]), fresh(folder, "out"), "--logprobs", "2")
    first, second = answers(out)
    check_logprobs(first["logprobs"], first["ids"], expected.logits[0], 2)
    if "logprobs" in second:
        raise Failed("false does not win over --logprobs")
    return f"{told} tokens"


def measured(folder, launcher, ranks):
    prompts, _ = greedy(Expected(MODEL), 24)
    out = fresh(folder, "out")
    run(launcher, write(folder / "in.jsonl", prompts), out, "--measure")
    p = json.loads((out / "performance.json").read_text())
    tokens = sum(q["max_tokens"] for q in prompts)
    longer = sum(q["max_tokens"] > 1 for q in prompts)
    exact = {"version": 1, "ranks": ranks, "prompts": 24, "prompts_before": 0, "prompt_tokens": sum(len(q["ids"]) for q in prompts), "output_tokens": tokens}
    if wrong := {k: p[k] for k, v in exact.items() if p[k] != v}:
        raise Failed(f"performance.json says {wrong} instead of {exact}")
    if p["ttft_ms"]["count"] != 24 or p["tpot_ms"]["count"] != longer or not p["decode"]["tokens"] \
            or p["prefill"]["tokens"] + p["decode"]["tokens"] != p["prompt_tokens"] + tokens - 24:
        raise Failed(f"counts: {p['ttft_ms']}, {p['tpot_ms']}, {p['prefill']}, {p['decode']}")
    for t in p["ttft_ms"], p["tpot_ms"]:
        if not 0 < t["p50"] <= t["p90"] <= t["p99"] <= t["max"] <= 1000 * p["seconds"]:
            raise Failed(f"times {t} in {p['seconds']} s")
    if abs(p["tokens_per_second"] * p["seconds"] / tokens - 1) > 1e-3 or abs(p["tokens_per_second_per_rank"] * ranks / p["tokens_per_second"] - 1) > 1e-3:
        raise Failed(f"{p['tokens_per_second']} tokens/s in {p['seconds']} s")
    cache = p["cache"]
    if len(cache["seconds"]) != len(cache["held"]) or max(cache["held"]) < 1 or max(cache["held"]) > cache["pages"] or cache["held"][-1] != 0 \
            or cache["seconds"] != sorted(cache["seconds"]):
        raise Failed(f"cache: {cache}")


def interrupted(folder):
    """Pages for one of six sequences at its longest: some are interrupted, computed again, and give the same answers."""
    workload = "batch = 6; cache = 120; seq = 1..64; output = 16; chunk = 16; page = 4"
    launcher = compile_spec(spec(MODEL, 1, workload=workload), folder, "few_pages")
    prompts, want = greedy(Expected(MODEL), 40)
    drawn = [dict(p, temperature=0.7, seed=i, max_tokens=STEPS) for i, p in enumerate(prompts)]
    results = []
    for name, these in ("greedy", prompts), ("drawn", drawn):
        out = fresh(folder, name)
        run(launcher, write(folder / "in.jsonl", these), out, "--measure")
        cache = json.loads((out / "performance.json").read_text())["cache"]
        if not cache["interrupted"]:
            raise Failed("nothing was interrupted")
        results.append(answers(out))
    if results[0] != want:
        raise Failed(f"other answers: {next((a, b) for a, b in zip(results[0], want) if a != b)}")
    roomy = compile_spec(spec(MODEL, 1), folder, "roomy")
    run(roomy, folder / "in.jsonl", fresh(folder, "out"), "--measure")
    if results[1] != answers(folder / "out") or json.loads((folder / "out" / "performance.json").read_text())["cache"]["interrupted"]:
        raise Failed("drawn tokens depend on interruptions")


def killed(folder, launcher):
    """Killed once some answers are there; then a line is cut short, as by a full disk."""
    prompts, want = greedy(Expected(MODEL), 3000)
    file, out = write(folder / "in.jsonl", prompts), fresh(folder, "out")
    partial, before = out / "outputs.partial.jsonl", b""
    for cut in False, True:
        process = subprocess.Popen(command(launcher, file, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while (partial.stat().st_size if partial.exists() else 0) < len(before) + 3000:
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed("the launcher ended, or wrote nothing, before it was killed")
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_for_lock(partial)
        text = partial.read_bytes()
        if not text.startswith(before):
            raise Failed("answers that were there have changed")
        before = text[:-7] if cut else text
        partial.write_bytes(before)
    whole = before[:before.rfind(b"\n") + 1].count(b"\n")
    run(launcher, file, out, "--measure", said=f"{whole} were answered before")
    p = json.loads((out / "performance.json").read_text())
    if answers(out) != want or partial.exists() or p["prompts_before"] != whole or p["prompts"] != len(want) - whole:
        raise Failed("other answers than without a kill")
    return f"{whole} of {len(want)} answers survived"


def wait_for_lock(path):
    """Ranks end soon after their launcher; until then they have the file."""
    with open(path, "rb+") as file:
        for _ in range(1000):
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.01)
    raise Failed("a rank of a killed launcher goes on")


def full_disk(folder, launcher):
    prompts, want = greedy(Expected(MODEL), 200)
    file, out = write(folder / "in.jsonl", prompts), fresh(folder, "out")
    run(launcher, file, out, status=1, said="cannot write an answer to",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)))
    if (out / "outputs.jsonl").exists():
        raise Failed("there are outputs of a run that failed")
    run(launcher, file, out)
    if answers(out) != want:
        raise Failed("other answers after a full disk")


def two_at_once(folder, launcher):
    prompts, want = greedy(Expected(MODEL), 3000)
    file, out = write(folder / "in.jsonl", prompts), fresh(folder, "out")
    first = subprocess.Popen(command(launcher, file, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (out / "outputs.partial.jsonl").exists() or not (out / "outputs.partial.jsonl").stat().st_size:
        if first.poll() is not None:
            raise Failed("the first launcher ended early")
        time.sleep(0.005)
    first.send_signal(signal.SIGSTOP)       # its ranks go on, but the folder is its own until it ends
    run(launcher, file, out, status=1, said=f"another launcher writes its answers to {out}")
    first.send_signal(signal.SIGCONT)
    if first.wait(timeout=60) or answers(out) != want:
        raise Failed("the second launcher disturbed the first")


def progress(folder, launcher):
    """On a terminal, and only there."""
    prompts, _ = greedy(Expected(MODEL), 200)
    file, out = write(folder / "in.jsonl", prompts), fresh(folder, "out")
    status, text = on_terminal(command(launcher, file, out), "stderr", stdout=subprocess.DEVNULL)
    if status or "\r200 of 200 prompts, " not in text or not text.endswith("\n"):
        raise Failed(f"exits with {status}, and writes {text[-200:]!r}")
    if " of 200 prompts, " in run(launcher, file, fresh(folder, "out")).stderr:
        raise Failed("there is a progress line where no terminal is")


def other_run(folder, launcher):
    ids = [1, 2, 3]
    file, out = write(folder / "in.jsonl", [{"ids": ids}]), fresh(folder, "out")
    run(launcher, file, out)
    run(launcher, file, out, "--seed", "9", status=1, said=f"the answers in {out} are those of another run: `options` differs in run.json")
    run(launcher, file, out, "--logit-bias", "3:1", status=1, said="`options` differs in run.json")
    write(file, [{"ids": ids}, {"ids": ids}])
    run(launcher, file, out, status=1, said="`prompts` differs in run.json")
    (out / "run.json").write_text("{")
    run(launcher, file, out, status=1, said="run.json is not what a launcher wrote")
    (out / "run.json").unlink()
    run(launcher, file, out, status=1, said="outputs.jsonl is there already; remove it, or choose another folder")
    run(launcher, file, file, status=1, said=f"cannot open {file}: Not a directory")
    run(launcher, file, folder / "no" / "folder", status=1, said="cannot make")


WRONG = {
    '{"ids": [1], "top_k": 65}': ":1: `top_k` is 65; it must be a whole number from 0 to 64",
    '{"ids": [1], "temperature": "hot"}': ':1: `temperature` is "hot"; it must be a number from 0 to 100',
    '\n\n{"ids": [1], "max_tokens": 0}': ":3: `max_tokens` is 0; it must be a whole number from 1 to 16777216",
    '{"ids": [1], "top_p": 1.5}': ":1: `top_p` is 1.5; it must be a number from 0 to 1",
    '{"ids": [1], "repetition_penalty": 0}': ":1: `repetition_penalty` is 0; it must be a number from 0.01 to 100",
    '{"ids": [1], "presence_penalty": -2.5}': ":1: `presence_penalty` is -2.5; it must be a number from -2 to 2",
    '{"ids": [1], "frequency_penalty": "x"}': ':1: `frequency_penalty` is "x"; it must be a number from -2 to 2',
    '{"ids": [1], "frequency_penalty": NaN}': ":1:",
    '{"ids": [1], "logit_bias": [1]}': ':1: `logit_bias` is [1]; it must be an object like {"7": -100, "9": 2.5}, of token ids and biases',
    '{"ids": [1], "logit_bias": {"x": 1}}': ":1: `logit_bias`: `x` is not a token id with a number",
    '{"ids": [1], "logit_bias": {"07": 1}}': ":1: `logit_bias`: `07` is not a token id with a number",
    '{"ids": [1], "logit_bias": {"7": "1"}}': ":1: `logit_bias`: `7` is not a token id with a number",
    '{"ids": [1], "logit_bias": {"7": 101}}': ":1: `logit_bias`: the bias of token 7 is not a number from -100 to 100",
    '{"ids": [1], "logit_bias": {"256": 1}}': ":1: biased id 256 is not in the vocabulary of 256",
    json.dumps({"ids": [1], "logit_bias": {i: 1 for i in range(1025)}}): ":1: `logit_bias`: more than 1024 tokens have a bias",
    '{"ids": [1], "logprobs": 21}': ":1: `logprobs` is 21; it must be a whole number from 0 to 20",
    '{"ids": [1], "logprobs": "yes"}': ':1: `logprobs` is "yes"; it must be a whole number from 0 to 20',
    '{"ids": [1], "logprobs": true, "top_logprobs": -1}': ":1: `top_logprobs` is -1; it must be a whole number from 0 to 20",
    '{"ids": [1], "top_logprobs": 2}': ":1: `top_logprobs` goes with `logprobs`: true",
    '{"ids": [1], "logprobs": 1, "top_logprobs": 2}': ":1: `top_logprobs` goes with `logprobs`: true",
    '{"ids": [1], "seed": -1}': ":1: `seed` is -1; it must be a whole number from 0 to",
    '{"ids": [1], "id": [1]}': ":1: `id` is [1]; it must be text or a whole number",
    '{"ids": [1], "tokens": 4}': f":1: there is no field `tokens`; the fields are {FIELDS}",
    '{"ids": []}': ":1: `ids` is []; it must be a list of at least one token id",
    '{"ids": [1, "2"]}': ':1: `ids` is [1,"2"]; it must be a list of token ids',
    '{"ids": 1}': ":1: `ids` is 1; it must be a list of token ids",
    '{"max_tokens": 1}': ":1: a prompt must have `prompt`, `messages` or `ids`, one of them",
    '{"ids": [1]}\n[1]\n': ':2: a prompt must be an object like {"prompt": "Why is the sky blue?"}',
    '{"ids": [1]}\n{"ids": [1]': ":2:",
    '{"ids": [1], "ids": [2]}': "duplicate",
    '{"ids": [100000]}': ":1: id 100000 is not in the vocabulary",
    '{"ids": [1], "stop_ids": [100000]}': ":1: stop id 100000 is not in the vocabulary",
    '[{"ids": [1]}, {"ids": [2], "x": 1}]': ": prompt 2: there is no field `x`",
    '[{"ids": [1]}': ":1:",
    "": " is empty",
    "\n \n": " has no prompts",
    "[]": " has no prompts",
}


def refused(folder, launcher):
    file, out = folder / "in.jsonl", fresh(folder, "out")
    for text, said in WRONG.items():
        file.write_text(text)
        run(launcher, file, out, status=1, said=f"{file}{said}" if said != "duplicate" else said)
    file.write_text("\n".join(t for t in WRONG if t.startswith('{"ids": [1], "t')))
    if run(launcher, file, out, status=1).stderr.count(f"\n  {file}:") != 5:
        raise Failed("not all mistakes are reported at once")
    if out.exists():
        raise Failed("a folder was made for prompts that are refused")
    run(launcher, folder / "none", out, status=1, said="cannot open")
    run(launcher, folder, out, status=1, said=f"{folder} is not a file")
    os.mkfifo(folder / "pipe")
    run(launcher, folder / "pipe", out, status=1, said="pipe is not a file")
    write(file, [{"ids": [1]}])
    run(launcher, file, out, "--ids", "1", status=2, said="--prompts goes without --prompt, --message and --ids")
    run(launcher, file, out, "--logits", "x.npy", status=2, said="logits are written for --ids only")
    run(launcher, file, out, "--measure=1", status=2, said="--measure takes no value")
    for words, said in {("--prompts", file): "--prompts needs --output-dir", ("--ids", "1", "--output-dir", out): "--output-dir goes with --prompts",
                        ("--ids", "1", "--tp-size", "2"): "`--tp-size` is compiled in: change the spec, and compile it again",
                        ("--ids", "1", "--tensor_parallel_size=2"): "`--tensor_parallel_size=2` is compiled in",
                        ("--input_batch", file): "`--input_batch` is called --prompts here",
                        ("--ids", "1", "--tp-sizes", "2"): "this command has no option `--tp-sizes`"}.items():
        done = subprocess.run([launcher, "run", "--weights", FIXTURES / MODEL, *words], capture_output=True, text=True, timeout=30)
        if done.returncode != 2 or said not in done.stderr:
            raise Failed(f"{words}: exits with {done.returncode}, and says: {first_line(done.stderr)}")


def main():
    need_deployc()
    report = Report()
    with Folder() as folder:
        launchers = {ranks: compile_spec(spec(MODEL, ranks, plan, "f32", WORKLOAD), folder, f"batch{ranks}") for ranks, plan in PLANS.items()}
        one, four = launchers[1], launchers[4]
        tests = {"lines, in order, on 4": lambda: in_order(folder, four, False), "an array, in order, on 1": lambda: in_order(folder, one, True),
                 "options of a prompt": lambda: own_options(folder, one), "log-probabilities on 4": lambda: logprobs(folder, four),
                 "--measure on 4": lambda: measured(folder, four, 4),
                 "--measure on 1": lambda: measured(folder, one, 1), "killed, and run again": lambda: killed(folder, four),
                 "interrupted": lambda: interrupted(folder), "a full disk": lambda: full_disk(folder, one), "two at once": lambda: two_at_once(folder, one),
                 "progress on a terminal": lambda: progress(folder, one), "another run's folder": lambda: other_run(folder, one),
                 "what is refused": lambda: refused(folder, one)}
        report.check_all(tests, sys.argv[1:])
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
