#!/usr/bin/env python3
"""Writes the tables of docs/engines.md from support/flags_*.def; without --write, fails if they differ."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "engines.md"
BEGIN, END = "<!-- flags: written by `make docs` -->\n", "<!-- end of flags -->\n"
PROGRAMS = {"vllm": "vLLM", "sglang": "SGLang", "megatron": "Megatron-LM", "torchtitan": "torchtitan", "deepspeed": "DeepSpeed", "launcher": "What starts the ranks"}
NOT_CARRIED = ("CHANGES", "OTHER_MESH", "BESIDE", "SHAPE")


def rows(program):
    text = (ROOT / "support" / f"flags_{program}.def").read_text()
    return re.findall(r'^F\("([^"]+)", (\w+), (\w+), "([^"]*)"\)$', text, re.M)


def doubled():
    """Words of sema/foreign.def that the tables of flags, with sema/foreign_meanings.def, say already."""
    read = lambda name: (ROOT / "sema" / name).read_text()
    meanings = set(re.findall(r"^X\((\w+), ", read("foreign_meanings.def"), re.M))
    spelled = {(PROGRAMS[p], n.lstrip("-").replace("-", "_").replace(".", "_")) for p in PROGRAMS for names, _, m, _ in rows(p) if m in meanings for n in names.split() if n.startswith("--")}
    programs = {p for p, _ in spelled}
    for word, engines in re.findall(r'^X\("(\w+)", "([^"]*)"', read("foreign.def"), re.M):
        known = [p for p in programs if p.partition("-")[0] in engines]
        if known and all((p, word) in spelled for p in known):
            yield word


def page_of(program, becomes):
    table = rows(program)
    yield f"### {PROGRAMS[program]}\n\n| flag | in the spec |\n|---|---|\n"
    for names, _, meaning, _ in table:
        if meaning not in NOT_CARRIED:
            yield "| " + ", ".join(f"`{n}`" for n in names.split()) + f" | {becomes[meaning]} |\n"
    counts = {m: sum(r[2] == m for r in table) for m in NOT_CARRIED}
    changes = [n.split()[0] for n, _, m, _ in table if m in ("CHANGES", "OTHER_MESH")]
    if changes:
        yield "\nNot carried over: " + ", ".join(f"`{n}`" for n in changes) + ".\n"
    others = counts["BESIDE"] + counts["SHAPE"]
    yield f"\n{others} more rows are of flags that change no plan, or are part of the model.\n\n"


def main(arguments):
    becomes = dict(re.findall(r'^X\((\w+), "([^"]+)"\)$', (ROOT / "support" / "flag_meanings.def").read_text(), re.M))
    text = PAGE.read_text()
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    new = text[:begin] + "\n" + "".join("".join(page_of(p, becomes)) for p in PROGRAMS) + text[end:]
    if "--write" in arguments:
        PAGE.write_text(new)
    elif new != text:
        print("FAIL docs/engines.md: its tables are not those of support/flags_*.def: `make docs`\n0 passed, 1 failed")
        return 1
    words = list(doubled())
    for word in words:
        print(f"FAIL sema/foreign.def: `{word}` is a flag in support/flags_*.def, whose meaning sema/foreign_meanings.def has")
    print(f"2 passed, {len(words)} failed")
    return len(words) > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
