"""What a launcher does with a row of logits, in numpy: biases, penalties, sampling. Written from the definitions; tests/fixtures/processors.json
has what transformers' processors make of some rows."""
import json
import re

import numpy as np

from harness import FIXTURES, Failed

CANDIDATES = 64                 # what top-k, top-p and min-p choose from
OPTIONS = {"temperature": 0, "top_k": 0, "top_p": 1, "min_p": 0, "repetition_penalty": 1, "presence_penalty": 0, "frequency_penalty": 0,
           "logit_bias": {}, "seed": 0}


def command_line(way):
    """The options of `run` for those of a line of a file of prompts."""
    words = []
    for name, value in way.items():
        if name == "logit_bias":
            value = ",".join(f"{token}:{bias}" for token, bias in value.items())
        words += ["--" + name.replace("_", "-"), str(value)]
    return words


def adjusted(logits, prompt, output, way):
    """Logits after biases, then the repetition penalty, then frequency and presence penalties; f32."""
    way = OPTIONS | way
    x = logits.astype(np.float32).copy()
    for token, bias in way["logit_bias"].items():
        x[int(token)] += np.float32(bias)
    seen = np.unique(np.array([*prompt, *output], int))
    factor = np.float32(way["repetition_penalty"])
    x[seen] = np.where(x[seen] > 0, x[seen] / factor, x[seen] * factor)
    counts = np.bincount(np.array(output, int), minlength=len(x))
    x -= np.float32(way["frequency_penalty"]) * counts.astype(np.float32) + np.float32(way["presence_penalty"]) * (counts > 0)
    return x


def probabilities(logits, way):
    """Of each token after temperature, top-k, top-p and min-p, as in transformers; at most CANDIDATES tokens."""
    way = OPTIONS | way
    x = logits.astype(np.float64) / way["temperature"]
    order = np.argsort(-x, kind="stable")
    if way["top_k"]:
        x[order[way["top_k"]:]] = -np.inf
    p = np.exp(x - x.max())
    p /= p.sum()
    before = np.cumsum(p[order]) - p[order]
    if way["top_p"] < 1:
        p[order[(before >= way["top_p"]) & (np.arange(len(p)) > 0)]] = 0
    p[p < way["min_p"] * p.max()] = 0
    if way["top_k"] or way["top_p"] < 1 or way["min_p"]:
        p[order[CANDIDATES:]] = 0
    return p / p.sum()


def mix(x, shifts, factors, bits):
    mask = (1 << bits) - 1
    for shift, factor in zip(shifts, factors):
        x = (x ^ x >> shift) * factor & mask
    return x ^ x >> shifts[-1]


def noise(seed, count, vocab):
    """Gumbel noise of each token: the hash of seed, count and token that docs/runtime.md names, in f64."""
    step, wide = 0x9e3779b97f4a7c15, ((30, 27, 31), (0xbf58476d1ce4e5b9, 0x94d049bb133111eb))
    x = mix(seed + step & 2**64 - 1, *wide, 64)
    x = mix(x + count * step & 2**64 - 1, *wide, 64)
    u = []
    for h in range(vocab):
        for key in x & 2**32 - 1, x >> 32:
            h = mix(h ^ key, (16, 15, 16), (0x7feb352d, 0x846ca68b), 32)
        u.append(min(float(np.float32(h >> 1 | 1)) * 2.0**-31, 1 - 2.0**-24))
    return -np.log(-np.log1p(-np.array(u)))


def next_token(logits, prompt, output, way):
    """The token that a launcher samples after `output`, from the model's logits."""
    way = OPTIONS | way
    x = adjusted(logits, prompt, output, way)
    if way["temperature"] == 0:
        return int(x.argmax())
    drawn = x.astype(np.float64) / way["temperature"] + noise(way["seed"], len(output), len(x))
    return int(np.where(probabilities(x, way) > 0, drawn, -np.inf).argmax())


def check_tokens(prompts, tokens, logits, way):
    """Each token is what the definitions make of the logits that a launcher has written. Prompt i has the seed of `way` + i."""
    for i, prompt in enumerate(prompts):
        for n, token in enumerate(tokens[i]):
            want = next_token(logits[i, n], prompt, tokens[i][:n], {**way, "seed": way.get("seed", 0) + i})
            if token != want:
                raise Failed(f"prompt {i} has token {token} at {n}, and not {want}")


def log_softmax(logits):
    x = logits.astype(np.float64) - logits.max()
    return x - np.log(np.exp(x).sum())


def check_logprobs(got, tokens, logits, top):
    """got: a prompt's list in outputs.jsonl; logits: [step, vocab], of the model. Ids that are almost as likely may change places."""
    if [entry["id"] for entry in got] != list(tokens):
        raise Failed(f"log-probabilities are of tokens {[entry['id'] for entry in got]}, not {tokens}")
    for n, entry in enumerate(got):
        want = log_softmax(logits[n])
        best = np.sort(want)[::-1][:top]
        entries = [entry, *entry["top_logprobs"]]
        if len(entry["top_logprobs"]) != len(best) or any(abs(e["logprob"] - want[e["id"]]) > 2e-5 for e in entries):
            raise Failed(f"token {n} has {entry}, not {want[entry['id']]} and {best}")
        likely = [e["logprob"] for e in entry["top_logprobs"]]
        if np.abs(likely - best).max(initial=0) > 2e-5 or likely != sorted(likely, reverse=True) or len({e["id"] for e in entries[1:]}) < len(best):
            raise Failed(f"token {n}: the most likely are {likely}, not {best}")


def printed_logprobs(text):
    """The lists that `run` prints after the answer of each prompt, likewise."""
    def entry(text):
        m = re.fullmatch(r'(\d+)(?: ("(?:[^"\\]|\\.)*"))? (-?[\d.]+)', text)
        return {"id": int(m[1]), "logprob": float(m[3]), **({"token": json.loads(m[2])} if m[2] else {})}

    lists = [[]]
    for line in text.splitlines():
        if line.startswith("logprob: "):
            first, *others = re.findall(r'\d+ (?:"(?:[^"\\]|\\.)*" )?-?[\d.]+', line[9:])
            lists[-1].append({**entry(first), "top_logprobs": [entry(other) for other in others]})
        elif lists[-1]:
            lists.append([])
    return lists if lists[-1] else lists[:-1]


def as_transformers():
    """The functions above do what transformers' processors do."""
    cases = json.loads((FIXTURES / "processors.json").read_text())["cases"]
    for number, case in enumerate(cases):
        way = {"temperature": 1} | case["way"]
        x = adjusted(np.array(case["logits"]), case["ids"][:6], case["ids"][6:], way)
        if not np.allclose(x, case["changed"], 1e-6, 1e-6):
            raise Failed(f"case {number}: transformers changes logits to others")
        if np.flatnonzero(probabilities(x, way)).tolist() != case["kept"]:
            raise Failed(f"case {number}: transformers keeps other tokens")
    return f"{len(cases)} rows"
