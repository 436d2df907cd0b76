#!/usr/bin/env python3
"""The vocabularies of Mistral, which the package mistral-common brings, as tokenizer.json; compared with `tokenizers` like the others.

    real.py ANSWER DATA FOLDER [COUNT]    DATA: mistral_common/data; FOLDER: where to write the files; COUNT random texts (10,000)

Needs the package `tokenizers`."""
import base64
import json
import pathlib
import struct
import sys

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

import families
import run


def byte_characters():
    """byte -> its character in GPT-2's alphabet."""
    shown = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    others = [b for b in range(256) if b not in shown]
    return {**{b: chr(b) for b in shown}, **{b: chr(256 + i) for i, b in enumerate(others)}}


def merges_of(ranks):
    """Pairs of tokens that make a token: by the rank of what they make, then by their own."""
    found = [(ranks[t], ranks[t[:i]], ranks[t[i:]], t[:i], t[i:]) for t in ranks for i in range(1, len(t)) if t[:i] in ranks and t[i:] in ranks]
    return [(left, right) for *_, left, right in sorted(found)]


def tekken(path):
    data = json.loads(path.read_text())
    config, shown = data["config"], byte_characters()
    special = config["default_num_special_tokens"]
    ranks = {base64.b64decode(v["token_bytes"]): v["rank"] for v in data["vocab"][:config["default_vocab_size"] - special]}

    def spell(token):
        return "".join(shown[b] for b in token)
    merges = [(spell(left), spell(right)) for left, right in merges_of(ranks)]
    names = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", *(f"<SPECIAL_{i}>" for i in range(5, special))]
    vocab = {**{name: i for i, name in enumerate(names)}, **{spell(token): rank + special for token, rank in ranks.items()}}
    t = Tokenizer(models.BPE(vocab, merges, ignore_merges=True))
    t.pre_tokenizer = pre_tokenizers.Sequence([families.regex(config["pattern"]), pre_tokenizers.ByteLevel(False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens(families.special(*names))
    return t


def fields(data):
    """The fields of a protobuf message: number, value."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte, at = data[at], at + 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value
    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            n = varint() if key & 7 == 2 else 4
            yield key >> 3, data[at:at + n]
            at += n


def sentence_piece(path):
    """BPE models of SentencePiece: the score of a piece is its rank, negated."""
    pieces = [dict(fields(value)) for number, value in fields(path.read_bytes()) if number == 1]
    vocab = {p[1].decode(): i for i, p in enumerate(pieces)}
    scores = {p[1].decode(): struct.unpack("<f", p[2])[0] for p in pieces if p.get(3, 1) == 1}
    merges = merges_of({piece: -score for piece, score in scores.items()})
    t = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.add_special_tokens(families.special(*(p[1].decode() for p in pieces if p.get(3, 1) in (2, 3))))
    return t


def main():
    answer, data, folder = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    n = int(sys.argv[4]) if len(sys.argv) > 4 else 10000
    folder.mkdir(parents=True, exist_ok=True)
    count = run.Count()
    for source in sorted([*data.glob("tekken_*.json"), *data.glob("*.model.v*")]):
        file = folder / f"{source.name}.json"
        (tekken if source.suffix == ".json" else sentence_piece)(source).save(str(file))
        before = count.passed
        run.compare_random(count, answer, file, n)
        print(f"{source.name}: {count.passed - before} agree", flush=True)
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
