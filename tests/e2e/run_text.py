#!/usr/bin/env python3
"""Text in, text out: --prompt and `prompt` of a file. The tokenizer has a token for each byte, so a text's ids are its bytes, and answers
are compared with those of --ids.

    run_text.py [WORD ...]    only the tests whose line contains a word
"""
import json
import os
import re
import socket
import subprocess
import sys

from harness import FIXTURES, ROOT, WORKLOAD, Failed, Folder, Report, compile_spec, first_line, need_deployc, on_terminal, spec
from processors import command_line, printed_logprobs

MODEL, VOCAB, STEPS = "mixtral", 256, 30
PROMPTS = ["Why is the sky blue?", "x", "naïve ☃ 🙂", "a\nb\tc", "Why is the sky blue?"]
PLANS = {1: "Megatron {}", 4: "Megatron { ep = 2; tp = 2 }"}


def tokenizer(size=VOCAB):
    """That of the demo: a token for each byte. Others, up to `size`, have no part in any text."""
    made = json.loads((ROOT / "samples" / "tiny_chat" / "tokenizer.json").read_text())
    made["added_tokens"] = []
    made["model"]["vocab"].update({f"<{i}>": i for i in range(VOCAB, size)})
    return made


def checkpoint(folder, generation=None, **files):
    """The fixture with a tokenizer; files: other texts of files, with _ for the dot; None: none."""
    to = folder / "checkpoint"
    to.mkdir(exist_ok=True)
    for path in (FIXTURES / MODEL / "config.json", *(FIXTURES / MODEL).glob("model*.safetensors*")):
        if not (to / path.name).exists():
            (to / path.name).symlink_to(path)
    files = {"tokenizer_json": json.dumps(tokenizer()), "generation_config_json": json.dumps(generation) if generation else None, **files}
    for name, text in files.items():
        path = to / name.replace("_json", ".json")
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
    return to


def run(launcher, weights, *options, status=0, said="", steps=STEPS):
    done = subprocess.run([launcher, "run", "--weights", weights, "--max-tokens", str(steps), *options], capture_output=True, timeout=60)
    err = done.stderr.decode()
    if done.returncode != status or said not in err:
        raise Failed(f"exits with {done.returncode} instead of {status}, and says: {first_line(err or done.stdout.decode(errors='replace'))}")
    return done.stdout.decode()


def ids_of(launcher, weights, prompts, *options):
    """Continuations of texts that are given as ids."""
    words = [w for p in prompts for w in ("--ids", ",".join(map(str, p.encode())))]
    text = run(launcher, weights, *words, *options)
    return [[int(t) for t in m[1].split(",")] for m in re.finditer(r"^ids: .* -> (.*)$", text, re.M)]


def decoded(ids):
    return bytes(ids).decode(errors="replace")


def from_file(launcher, weights, folder, items, *options):
    (folder / "in.jsonl").write_text("".join(json.dumps(i) + "\n" for i in items))
    out = folder / "answers"
    if out.exists():
        for path in out.iterdir():
            path.unlink()
    run(launcher, weights, "--prompts", folder / "in.jsonl", "--output-dir", out, *options)
    return [json.loads(line) for line in (out / "outputs.jsonl").read_text().splitlines()]


def equal(got, want, what):
    if got != want:
        raise Failed(f"{what}: {got!r} instead of {want!r}")


def same_as_ids(folder, one, four):
    """One prompt alone, several, from a file; on one rank and on four."""
    weights = checkpoint(folder)
    want = [decoded(ids) for ids in ids_of(one, weights, PROMPTS)]
    for launcher in one, four:
        for prompt, text in zip(PROMPTS, want):
            equal(run(launcher, weights, "--prompt", prompt), text + "\n", f"{prompt!r} alone")
        together = run(launcher, weights, *[w for p in PROMPTS for w in ("--prompt", p)])
        equal(together, "\n".join(f"== prompt {i + 1} ==\n{text}\n" for i, text in enumerate(want)), "all together")
        answers = from_file(launcher, weights, folder, [{"prompt": p} for p in PROMPTS])
        equal([a["text"] for a in answers], want, "from a file")
        equal([a["prompt_tokens"] for a in answers], [len(p.encode()) for p in PROMPTS], "tokens of prompts")


def drawn(folder, one, four):
    """The same prompt and seed give the same text alone, among others, and under another mesh."""
    weights, options = checkpoint(folder), ["--temperature", "0.9", "--top-k", "20"]
    alone = run(one, weights, "--prompt", PROMPTS[0], "--seed", "5", *options)
    if alone == run(one, weights, "--prompt", PROMPTS[0], "--seed", "6", *options):
        raise Failed("another seed gives the same text")
    equal(run(four, weights, "--prompt", PROMPTS[0], "--seed", "5", *options), alone, "on four ranks")
    items = [{"prompt": PROMPTS[i % 4], "seed": i} for i in range(40)]
    equal(from_file(four, weights, folder, items, *options)[4]["text"], run(one, weights, "--prompt", PROMPTS[0], "--seed", "4", *options)[:-1], "among others")


def drawn_with_penalties(folder, one, four):
    """Likewise among 100 others, each with penalties, biases and min-p of its own."""
    weights = checkpoint(folder)
    ways = [{"temperature": 0.6 + i % 5 / 5, "min_p": i % 4 / 20, "repetition_penalty": 1 + i % 3 / 4, "presence_penalty": i % 7 / 4 - 0.75,
             "frequency_penalty": i % 2 / 3, "logit_bias": {str(32 + (i + k) % 90): k - i % 3 for k in range(i % 4 * 10)}} for i in range(101)]
    items = [{"prompt": PROMPTS[i % 4], "seed": i, **way} for i, way in enumerate(ways)]
    among = [a["text"] for a in from_file(four, weights, folder, items)]
    equal([a["text"] for a in from_file(one, weights, folder, items)], among, "on one rank")
    for i in 3, 50, 99:
        for launcher in one, four:
            equal(run(launcher, weights, "--prompt", PROMPTS[i % 4], *command_line({**ways[i], "seed": i})), among[i] + "\n", f"prompt {i} alone")
    plain = from_file(one, weights, folder, [{k: item[k] for k in ("prompt", "seed", "temperature", "min_p")} for item in items])
    if sum(a["text"] != text for a, text in zip(plain, among)) < 90:
        raise Failed("penalties and biases change few texts")


def logprobs(folder, one, four):
    """With the texts of tokens: after the text, and in outputs.jsonl; the same from the file as on standard output."""
    weights, way = checkpoint(folder), {"temperature": 0.9, "logprobs": 3, "seed": 2}
    for launcher in one, four:
        plain = run(launcher, weights, "--prompt", PROMPTS[2], *command_line({k: way[k] for k in ("temperature", "seed")}))
        text = run(launcher, weights, "--prompt", PROMPTS[2], *command_line(way))
        if not text.startswith(plain + "logprob: "):
            raise Failed(f"{text!r} does not begin with the text")
        printed, = printed_logprobs(text[len(plain):])
        answer, = from_file(launcher, weights, folder, [{"prompt": PROMPTS[2], **way}])
        equal([e["id"] for e in printed], answer["ids"], "ids")
        for mine, other in zip(printed, answer["logprobs"], strict=True):
            for a, b in zip([mine, *mine["top_logprobs"]], [other, *other["top_logprobs"]], strict=True):
                if abs(a["logprob"] - b["logprob"]) > 1e-6 or a["token"] != b["token"] or a["token"] != bytes([a["id"]]).decode(errors="replace"):
                    raise Failed(f"{a} is printed, the file has {b}")


def spaces(folder, launcher):
    """Where a space belongs to the word after it, an answer keeps the one that it begins with: it follows the prompt."""
    letters = [chr(97 + i) if i < 20 else "\u2581" + chr(0x4E00 + i) for i in range(VOCAB)]
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False}
    words = tokenizer()
    words.update(pre_tokenizer={"type": "Split", "pattern": {"String": "-"}, "behavior": "Isolated", "invert": False}, decoder=metaspace)
    words["model"]["vocab"] = {name: i for i, name in enumerate(letters)}
    weights = checkpoint(folder, tokenizer_json=json.dumps(words, ensure_ascii=False))
    begins = 0
    for prompt in "abc", "kd", "t":
        text = run(launcher, weights, "--ids", ",".join(str(ord(c) - 97) for c in prompt))
        ids = [int(t) for t in re.search(r"^ids: .* -> (.*)$", text, re.M)[1].split(",")]
        begins += ids[0] >= 20
        equal(run(launcher, weights, "--prompt", prompt), "".join(letters[i] for i in ids).replace("\u2581", " ") + "\n", f"{prompt!r} and more")
    if not begins:
        raise Failed("no answer begins with a space")


def stop_strings(folder, launcher):
    weights = checkpoint(folder)
    ids = ids_of(launcher, weights, PROMPTS[1:2])[0]
    text = decoded(ids)
    for begin, length in (0, 1), (5, 2), (9, 4), (len(text) - 3, 3):
        stop = text[begin:begin + length]
        want = text[:text.find(stop)]
        equal(run(launcher, weights, "--prompt", PROMPTS[1], "--stop", stop), want + "\n", f"stopped by {stop!r}")
        answer = from_file(launcher, weights, folder, [{"prompt": PROMPTS[1], "stop": ["not there", stop]}])[0]
        equal((answer["text"], answer["finish"]), (want, "stop"), f"from a file, stopped by {stop!r}")
        if stop not in decoded(answer["ids"]) or stop in decoded(answer["ids"][:-1]):
            raise Failed(f"ids {answer['ids']} do not end with {stop!r}")
    almost = text[4:7] + "never"
    equal(run(launcher, weights, "--prompt", PROMPTS[1], "--stop", almost), text + "\n", "a stop string that does not come")


def proposals(folder, launcher):
    """generation_config.json: its stop tokens and sampling hold for texts, and give way to options."""
    ids = ids_of(launcher, checkpoint(folder), PROMPTS[:1])[0]
    stop = ids[6]
    cut = decoded(ids[:ids.index(stop) + 1])
    for value in stop, [255, stop]:
        weights = checkpoint(folder, {"eos_token_id": value, "temperature": 0.5})
        equal(run(launcher, weights, "--prompt", PROMPTS[0]), cut + "\n", "an end token, greedily")
    weights = checkpoint(folder, {"do_sample": True, "temperature": 0.9, "top_k": 20, "top_p": 0.8})
    options = ["--temperature", "0.9", "--top-k", "20", "--top-p", "0.8"]
    want = decoded(ids_of(launcher, weights, PROMPTS[:1], *options)[0])
    equal(run(launcher, weights, "--prompt", PROMPTS[0]), want + "\n", "its sampling")
    equal(run(launcher, weights, "--prompt", PROMPTS[0], "--temperature", "0"), decoded(ids) + "\n", "an option instead")
    equal(ids_of(launcher, weights, PROMPTS[:1])[0], ids, "prompts of ids")
    warned = "generation_config.json: `no_repeat_ngram_size` is 3, which is not built: texts are made without it"
    run(launcher, checkpoint(folder, {"no_repeat_ngram_size": 3}), "--prompt", "x", said=warned)
    weights = checkpoint(folder, {"repetition_penalty": 1.5})
    want = decoded(ids_of(launcher, weights, PROMPTS[:1], "--repetition-penalty", "1.5")[0])
    if want == decoded(ids):
        raise Failed("a repetition penalty of 1.5 changes nothing")
    equal(run(launcher, weights, "--prompt", PROMPTS[0]), want + "\n", "its repetition penalty, greedily")
    equal(run(launcher, weights, "--prompt", PROMPTS[0], "--repetition-penalty", "1"), decoded(ids) + "\n", "an option instead of it")
    for wrong, said in {'{"eos_token_id": "x"}': "`eos_token_id` must be a token id, or a list of them", "{": "generation_config.json:1:",
                        '{"repetition_penalty": 0}': "`repetition_penalty` must be a number from 0.01 to 100",
                        '{"do_sample": true, "top_p": 2}': "`top_p` must be a number from 0 to 1", "[]": "is not a JSON object"}.items():
        run(launcher, checkpoint(folder, generation_config_json=wrong), "--prompt", "x", status=1, said=said)
        from_file(launcher, folder / "checkpoint", folder, [{"ids": [1]}])      # they do not read it
    weights = checkpoint(folder, {"do_sample": True, "temperature": 0.9, "top_k": 20, "eos_token_id": stop})
    items = [{"prompt": PROMPTS[0], "temperature": 0, "stop_ids": []}, {"prompt": PROMPTS[0], "temperature": 0}]
    equal([a["text"] for a in from_file(launcher, weights, folder, items, "--max-tokens", str(STEPS))], [decoded(ids), cut], "options of a prompt")


TEMPLATE = ("{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m['content'] | trim }}</{{ m.role }}>{% endfor %}"
            "{% if messages[-1].role == 'system' %}{{ raise_exception('nobody asks') }}{% endif %}"
            "{% if add_generation_prompt %}<assistant>{% endif %}")


def conversations(folder, launcher):
    """A chat template, in its own file or in tokenizer_config.json, makes the prompt; special tokens come from there."""
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " Hé? "}]
    whole = "^<system>Be brief.</system><user>Hé?</user><assistant>"
    for files in ({"chat_template_jinja": TEMPLATE, "tokenizer_config_json": json.dumps({"bos_token": {"content": "^"}})},
                  {"tokenizer_config_json": json.dumps({"bos_token": "^", "chat_template": TEMPLATE})},
                  {"tokenizer_config_json": json.dumps({"bos_token": "^", "chat_template": [{"name": "tools", "template": "no"},
                                                                                          {"name": "default", "template": TEMPLATE}]})}):
        weights = checkpoint(folder, **files)
        (weights / "chat_template.jinja").unlink(missing_ok=True)
        if "chat_template_jinja" in files:
            (weights / "chat_template_jinja").rename(weights / "chat_template.jinja")
        want = decoded(ids_of(launcher, weights, [whole])[0])
        answer = from_file(launcher, weights, folder, [{"messages": talk}], "--max-tokens", str(STEPS))[0]
        equal((answer["text"], answer["prompt_tokens"]), (want, len(whole.encode())), "a conversation")
        want = decoded(ids_of(launcher, weights, ["^<user>x</user><assistant>"])[0])
        equal(run(launcher, weights, "--message", "x"), want + "\n", "a message")
    file = folder / "wrong.jsonl"
    for item, said in {'{"messages": []}': "it must be a list of objects like", '{"messages": [{"content": "x"}]}': "it must be a list of objects like",
                       '{"messages": [{"role": "system", "content": "x"}]}': "nobody asks"}.items():
        file.write_text(item)
        run(launcher, weights, "--prompts", file, "--output-dir", folder / "none", status=1, said=said)
    run(launcher, checkpoint(folder, tokenizer_config_json=json.dumps({"chat_template": "{% for %}"})), "--message", "x", status=1, said="tokenizer_config.json")
    run(launcher, checkpoint(folder, tokenizer_config_json="{}"), "--message", "x", status=1, said="has no chat template")
    (folder / "checkpoint" / "tokenizer_config.json").unlink()


def streamed(folder, launcher):
    """An answer is written piece by piece, and no character in parts. The socket keeps each write apart, however late it is read."""
    weights = checkpoint(folder)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen([launcher, "run", "--weights", weights, "--prompt", PROMPTS[0], "--max-tokens", "80"], stdout=theirs)
    theirs.close()
    parts = []
    while part := ours.recv(4096):
        parts.append(part)
    ours.close()
    if process.wait() or len(parts) < 20:
        raise Failed(f"{len(parts)} pieces, exit status {process.returncode}")
    for part in parts:
        part.decode()


def terminal(folder, launcher):
    """Control characters are printed as codes on a terminal."""
    weights = checkpoint(folder)
    text = decoded(ids_of(launcher, weights, PROMPTS[:1])[0])
    status, got = on_terminal([launcher, "run", "--weights", weights, "--prompt", PROMPTS[0], "--max-tokens", str(STEPS)], "stdout",
                              stderr=subprocess.DEVNULL)
    want = "".join(c if c in "\n\t" or not (ord(c) < 32 or 127 <= ord(c) < 160) else f"\\u{{{ord(c):x}}}" for c in text)
    if want == text:
        raise Failed("the text has no control characters")
    equal((status, got), (0, want + "\n"), "on a terminal")


def by_heart(folder):
    """The demo's model gives every answer that it was trained on, all at once on eight ranks."""
    weights = ROOT / "samples" / "tiny_chat"
    known = [line.split("\t") for line in (weights / "corpus.txt").read_text().splitlines()]
    launcher = compile_spec((ROOT / "samples" / "tiny_chat.deploy").read_text(), folder, "tiny_chat")
    (folder / "in.jsonl").write_text("".join(json.dumps({"prompt": question}) + "\n" for question, _ in known))
    out = folder / "by_heart"
    done = subprocess.run([launcher, "run", "--weights", weights, "--prompts", folder / "in.jsonl", "--output-dir", out], capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise Failed(f"exits with {done.returncode}: {first_line(done.stderr)}")
    got = [json.loads(line) for line in (out / "outputs.jsonl").read_text().splitlines()]
    equal([(a["text"], a["finish"]) for a in got], [(f" {answer}", "stop") for _, answer in known], "answers")
    return f"{len(known)} answers"


def refused(folder, launcher):
    lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    for files, said in (({"tokenizer_json": None}, "tokenizer.json"), ({"tokenizer_json": "{"}, "tokenizer.json"), ({"tokenizer_json": lfs}, "tokenizer.json"),
                        ({"tokenizer_json": json.dumps(tokenizer(VOCAB + 1))}, "its ids go up to 256, but the model has a vocabulary of 256")):
        run(launcher, checkpoint(folder, **files), "--prompt", "x", status=1, said=said)
    for name in "generation_config.json", "tokenizer_config.json", "tokenizer.json":
        weights = checkpoint(folder)
        (weights / name).unlink(missing_ok=True)
        os.mkfifo(weights / name)
        run(launcher, weights, "--message", "x", status=1, said=f"{name}")
        (weights / name).unlink()
    weights = checkpoint(folder)
    run(launcher, weights, "--prompt", "", status=1, said="prompt 1: the text has no tokens")
    run(launcher, weights, "--prompt", b"a\xff", status=1, said="prompt 1: ")
    run(launcher, weights, "--prompt", "x" * 5000, status=1, said="prompt 1: 5000 ids and 30 more")
    run(launcher, weights, "--prompt", "x", "--ids", "1", status=2, said="--ids: give them without --prompt and --message")
    run(launcher, weights, "--ids", "1", "--stop", "x", status=2, said="--stop goes with texts")
    run(launcher, weights, "--prompt", "x", "--stop", b"\xff", status=2, said="--stop: the text is not UTF-8")
    run(launcher, weights, "--prompt", "x", "--stop", "", status=2, said="--stop: the text is empty")
    file = folder / "wrong.jsonl"
    for item, said in {'{"prompt": 1}': "`prompt` is 1; it must be text", '{"prompt": "x", "ids": [1]}': "a prompt must have `prompt`, `messages` or `ids`, one of them",
                       '{"prompt": "x", "stop": ["a", ""]}': "none of them empty",
                       '{"ids": [1], "stop": "x"}': "`stop` goes with texts; ids have `stop_ids`", '{"prompt": ""}': ":1: the text has no tokens"}.items():
        file.write_text(item)
        run(launcher, weights, "--prompts", file, "--output-dir", folder / "none", status=1, said=said)


def main():
    need_deployc()
    report = Report()
    with Folder() as folder:
        one, four = (compile_spec(spec(MODEL, ranks, plan, "f32", WORKLOAD), folder, f"text{ranks}") for ranks, plan in PLANS.items())
        tests = {"texts as ids": lambda: same_as_ids(folder, one, four), "drawn texts": lambda: drawn(folder, one, four),
                 "drawn texts, with penalties": lambda: drawn_with_penalties(folder, one, four),
                 "log-probabilities": lambda: logprobs(folder, one, four),
                 "spaces between words": lambda: spaces(folder, one), "stop strings": lambda: stop_strings(folder, one), "generation_config.json": lambda: proposals(folder, one),
                 "conversations": lambda: conversations(folder, one), "a stream": lambda: streamed(folder, one), "a terminal": lambda: terminal(folder, one), "the demo's model": lambda: by_heart(folder), "what is refused": lambda: refused(folder, one)}
        report.check_all(tests, sys.argv[1:])
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
