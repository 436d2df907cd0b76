#!/usr/bin/env python3
"""Makes the committed tokenizers and what Hugging Face's `tokenizers` makes of the corpus with them.

    make_tokenizers.py [NAME ...]    writes tokenizers/NAME.json and expected/NAME.json beside this file
    make_tokenizers.py --expected    only the latter, with the tokenizers as they are

Needs the package `tokenizers`. Training is not reproducible to the bit (it depends on the order of hash maps), so the tokenizers are
committed; what is expected of them is."""
import json
import pathlib
import sys

import tokenizers
from tokenizers import Tokenizer

import corpus
import families

HERE = pathlib.Path(__file__).resolve().parent


def answers(t):
    """Encodings of each text, with and without what the post-processor adds, and with special tokens as plain text; decodings."""
    out = {"made by": f"tokenizers {tokenizers.__version__}", "size": t.get_vocab_size(with_added_tokens=True), "texts": [], "ids": []}
    for text in corpus.TEXTS:
        ids = t.encode(text).ids
        t.encode_special_tokens = True
        plain = t.encode(text).ids
        t.encode_special_tokens = False
        out["texts"].append({"ids": ids, **({"plain": plain} if plain != ids else {})})
    for ids in [t.encode(text).ids for text in corpus.TEXTS] + corpus.id_sequences(out["size"]):
        skipped, shown = t.decode(ids), t.decode(ids, skip_special_tokens=False)
        out["ids"].append({"text": skipped, **({"special": shown} if shown != skipped else {})})
    return out


def write(path, value):
    """One element of a list on a line, so that changes can be read."""
    lines = [f"{json.dumps(k)}: " + ("[\n" + ",\n".join(json.dumps(x, separators=(",", ":")) for x in v) + "\n]" if isinstance(v, list) else json.dumps(v))
             for k, v in value.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main():
    words = sys.argv[1:]
    names = [w for w in words if not w.startswith("-")] or list(families.FAMILIES)
    for folder in ("tokenizers", "expected"):
        (HERE / folder).mkdir(exist_ok=True)
    lines = (HERE / "training.txt").read_text().splitlines()
    for name in names:
        path = HERE / "tokenizers" / f"{name}.json"
        if "--expected" not in words:
            path.write_text(json.dumps(families.make(name, lines), ensure_ascii=False, separators=(",", ":")) + "\n")
        write(HERE / "expected" / f"{name}.json", answers(Tokenizer.from_file(str(path))))
        print(f"{name}: {path.stat().st_size} bytes, {(HERE / 'expected' / path.name).stat().st_size} bytes expected")


if __name__ == "__main__":
    main()
