#!/usr/bin/env python3
"""Tokenizers compared with Hugging Face's `tokenizers`, which made expected/*.json of the same files (make_tokenizers.py).

    run.py ANSWER                     the corpus, and refusals
    run.py ANSWER --random COUNT [NAME ...]
                                      COUNT random texts and sequences of ids for each tokenizer, if the package is at hand
"""
import json
import pathlib
import random
import subprocess
import sys

import corpus

HERE = pathlib.Path(__file__).resolve().parent


def ask(answer, file, questions):
    """The answer to each question, or what was said instead."""
    text = "\n".join(map(json.dumps, questions))
    ran = subprocess.run([answer, str(file)], input=text.encode(), capture_output=True)
    if ran.returncode:
        return [{"error": ran.stderr.decode() or "crashed"}] * len(questions)
    return [json.loads(line) for line in ran.stdout.split(b"\n") if line]


class Count:
    def __init__(self):
        self.passed = self.failed = 0

    def same(self, what, found, expected):
        if found == expected:
            self.passed += 1
            return
        self.failed += 1
        if self.failed < 20:
            print(f"FAIL {what}\n    found    {str(found)[:600]}\n    expected {str(expected)[:600]}")

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0


def compare_corpus(count, answer, file):
    expected = json.loads((HERE / "expected" / file.name).read_text())
    texts, questions, wanted = expected["texts"], [], []
    for text, e in zip(corpus.TEXTS, texts, strict=True):
        questions += [{"text": text}, {"text": text, "plain": True}]
        wanted += [{"ids": e["ids"]}, {"ids": e.get("plain", e["ids"])}]
    sequences = [e["ids"] for e in texts] + corpus.id_sequences(expected["size"])
    for ids, e in zip(sequences, expected["ids"], strict=True):
        questions += [{"ids": ids, "whole": True}, {"ids": ids, "whole": True, "special": True}]
        wanted += [{"text": e["text"]}, {"text": e.get("special", e["text"])}]
    for q, found, want in zip(questions, ask(answer, file, questions), wanted, strict=True):
        count.same(f"{file.name}: {q}", found, want)


def compare_streams(count, answer, file):
    """The parts of a stream make up the whole, which it may only know earlier: no part ends within a character."""
    expected = json.loads((HERE / "expected" / file.name).read_text())
    sequences = [e["ids"] for e in expected["texts"]]
    questions = [{"ids": ids, "parts": True} for ids in sequences] + [{"ids": ids, "whole": True} for ids in sequences]
    answers = ask(answer, file, questions)
    for ids, parts, whole in zip(sequences, answers, answers[len(sequences):]):
        count.same(f"{file.name}: stream of {ids}", {"text": "".join(parts.get("parts", []))}, whole)


def refuse_invalid(count, answer, file):
    found = ask(answer, file, [{"hex": data.hex()} for data, _ in corpus.INVALID])
    for (data, at), said in zip(corpus.INVALID, found):
        expected = f"the text is not UTF-8: byte {at}, 0x{data[at]:02x}, is not part of a character"
        count.same(f"{file.name}: {data}", said, {"error": expected})


def compare_random(count, answer, file, n):
    import tokenizers
    reference = tokenizers.Tokenizer.from_file(str(file))
    size = reference.get_vocab_size(with_added_tokens=True)
    added = [t.content for t in reference.get_added_tokens_decoder().values()]
    for first in range(0, n, 2000):
        r = random.Random(f"{file.name} {first}")
        texts = [corpus.random_text(r, added) for _ in range(min(2000, n - first))]
        sequences = [corpus.random_ids(r, size) for _ in texts]
        encoded = [e.ids for e in reference.encode_batch(texts)]
        decoded = reference.decode_batch(sequences, skip_special_tokens=True)
        found = ask(answer, file, [{"text": t} for t in texts] + [{"ids": i, "whole": True} for i in sequences])
        for text, ids, a in zip(texts, encoded, found):
            count.same(f"{file.name}: {text!r}", a, {"ids": ids})
        for ids, text, a in zip(sequences, decoded, found[len(texts):]):
            count.same(f"{file.name}: {ids}", a, {"text": text})


def main():
    answer, words = sys.argv[1], sys.argv[2:]
    count, files = Count(), sorted((HERE / "tokenizers").glob("*.json"))
    if words[:1] == ["--random"]:
        for file in files:
            if file.stem in words[2:] or not words[2:]:
                before = count.passed
                compare_random(count, answer, file, int(words[1]))
                print(f"{file.stem}: {count.passed - before} agree", flush=True)
        return count.finish()
    for file in files:
        compare_corpus(count, answer, file)
        compare_streams(count, answer, file)
        refuse_invalid(count, answer, file)
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
