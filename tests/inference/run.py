#!/usr/bin/env python3
"""Layout inference compared with the executable specification: random plans for one program, and a table of known plans.

    run.py [PLANS [SEED]]       1000 plans if not given; the check takes fewer

A plan assigns four mesh axes to the axes of each region at random, also to axes that they do not divide (E0503), and some
to two axes of one operator (E0501). deployc must reject what model.py rejects, with the same code, and otherwise print the same
collectives with the same causes in the same order. model.py lists its differences from the design's specification. If that
is available (../shared beside the checkout), simulated.py runs it on as many plans without such differences.
"""
import collections
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

import simulated
from model import Run, Wrong

HERE = pathlib.Path(__file__).resolve().parent
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", HERE.parents[1] / "build" / "deployc"))
ATOMS = "abce"
AXES = {"embed": ["batch", "seq", "vocab", "d"], "residual": ["batch", "seq", "d"], "attn": ["batch", "seq", "ctx", "d", "kv", "g", "hd"],
        "moe": ["batch", "seq", "d", "ffn", "expert"], "head": ["batch", "row", "d", "vocab"]}
NAMES = {"d": "d_model", "kv": "kv_heads", "g": "q_group", "hd": "head_dim"}

SPEC = """use "decoder.deploy" as decoder
use std.clusters {{ CPUHost }}
use std.workload {{ Inference }}

plan Random {{
{mesh}
{rules}
}}
deploy Test {{
  model    = decoder.Layer
  cluster  = CPUHost {{ ranks = {ranks} }}
  plan     = Random
  workload = Inference {{ batch = 8; seq = 1..8 }}
}}
"""


def spec(mesh, rules, products=()):
    ranks = 1
    for size in mesh.values():
        ranks *= size
    lines = [f"  at {region} {{ " + "; ".join(f"{NAMES.get(axis, axis)} -> {' * '.join(atoms)}" for axis, atoms in rule.items()) + " }"
             for region, rule in rules.items() if rule]
    return SPEC.format(mesh="\n".join(f"  mesh {a} = {n}" for a, n in mesh.items()), rules="\n".join(list(products) + lines), ranks=ranks)


def infer(folder, text):
    """(the dump, []) or (None, the codes of the errors). Layouts of what this version does not build (E0918) are printed too."""
    source = folder / "plan.deploy"
    source.write_text(text)
    done = subprocess.run([DEPLOYC, source, "--emit=dag-local"], capture_output=True, text=True, timeout=60)
    codes = sorted(set(re.findall(r"^error\[(E\d+)\]", done.stderr, re.M)))
    if done.returncode not in (0, 1):
        return None, [f"exit {done.returncode}: {done.stderr.strip()[:200]}"]
    return (done.stdout, []) if codes in ([], ["E0918"]) else (None, codes)


def collectives(dump, phase="prefill"):
    """[(kind, atoms, cause)] of a phase, slices left out, in order of the text."""
    out = []
    for line in dump.split(f"phase {phase}\n")[1].split("\nphase ")[0].splitlines():
        atoms = lambda word: tuple(m[1].split(" * ")) if (m := re.search(word + r" over ([\w.]+(?: \* [\w.]+)*)", line)) else ()
        kind = re.match(r"\s+%\d+ = (\w+)\(", line)
        if kind and kind[1] in ("dispatch", "combine") and atoms("exchange"):
            out.append(("exchange", atoms("exchange"), kind[1]))
        elif kind and kind[1] in ("all_reduce", "all_gather", "reduce_scatter", "all_to_all"):
            out.append((kind[1], atoms(r"\)"), line.split("// ")[1].strip()))
    return out


def random_rules(r):
    rules = {}
    for region, axes in AXES.items():
        rule = rules[region] = {}
        for atom in r.sample(ATOMS, len(ATOMS)):
            axis = r.choice(axes + [None, None])
            if axis:
                rule[axis] = rule.get(axis, ()) + (atom,)
        if region == "moe" and r.random() < 0.6 and ("batch" in rule or "seq" in rule):      # experts on the tokens' atoms
            rule["expert"] = rule.get("batch", ()) + rule.get("seq", ())
        if r.random() < 0.03:                                                                # one atom on two axes
            a, b = r.sample(axes, 2)
            atom = r.choice(ATOMS)
            for axis in (a, b):
                if atom not in rule.get(axis, ()):
                    rule[axis] = rule.get(axis, ()) + (atom,)
    if r.random() < 0.6:                                                                     # the usual: one owner everywhere
        for region, rule in rules.items():
            rule.pop("batch", None)
            rule.update({axis: tuple(q for q in atoms if q != "a") for axis, atoms in list(rule.items()) if axis != "expert" or region != "moe"})
            rule["batch"] = ("a",)
            for axis in [axis for axis, atoms in rule.items() if not atoms]:
                del rule[axis]
    return rules


def compare(folder, rules):
    """What is wrong, or None; and what became of the plan."""
    mesh = {a: 2 for a in ATOMS}
    dump, codes = infer(folder, spec(mesh, rules))
    try:
        expected = Run(mesh, rules).log
    except Wrong as code:
        return (None if str(code) in codes else f"deployc gives {codes or 'a dump'}, {code} is expected"), str(code)
    if dump is None:
        return f"deployc refuses it: {codes}", "accepted"
    got = collectives(dump)
    if got == expected:
        return None, "accepted"
    at = next((i for i, (g, e) in enumerate(zip(got, expected)) if g != e), min(len(got), len(expected)))
    return f"collective {at}: deployc {got[at:at + 2]}, the specification {expected[at:at + 2]}", "accepted"


def random_plans(folder, n, seed):
    r, kinds, bad = random.Random(seed), collections.Counter(), 0
    for number in range(n):
        rules = random_rules(r)
        wrong, kind = compare(folder, rules)
        kinds[kind] += 1
        if wrong:
            bad += 1
            if bad <= 10:
                print(f"FAIL plan {number}: {wrong}\n     {rules}")
    print(f"{n} random plans: " + ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()))
    return n - bad, bad


# ---- the specification itself ---------------------------------------------------------------------------------------
PLAIN = {"embed": ["seq", "vocab", "d"], "residual": ["seq", "d"], "attn": ["seq", "kv", "g"], "moe": ["seq", "d", "ffn", "expert"]}


def plain_rules(r):
    """A plan that means the same in simulated.py and deployc."""
    rules = {"head": {"batch": ("a",)}}
    for region, axes in PLAIN.items():
        rule = rules[region] = {"batch": ("a",)}
        for atom in r.sample("bce", 3):
            axis = r.choice(axes + [None, None])
            if axis:
                rule[axis] = rule.get(axis, ()) + (atom,)
        if region == "moe" and r.random() < 0.6:
            rule["expert"] = rule["batch"] + rule.get("seq", ())
        if r.random() < 0.02:                                                                # one atom on two axes
            rule["d"] = rule.get("d", ()) + ("a",)
    return rules


def before_the_head(dump):
    """Counts of the collectives up to the loop's end; of an exchange over atoms in any order."""
    found = collections.Counter()
    for kind, atoms, cause in collectives(dump.split(" after the layers")[0]):
        found[kind, tuple(sorted(atoms)) if kind == "exchange" else atoms, cause] += 1
    return found


def simulated_plans(folder, n, seed):
    if not simulated.is_here():
        print("SKIPPED the design's specification: it is not here; its rules are written again in model.py")
        return 0, 0
    mesh, r, kinds, bad = {a: 2 for a in ATOMS}, random.Random(seed), collections.Counter(), 0
    simulation = simulated.Simulation(mesh)
    for number in range(n):
        rules = plain_rules(r)
        dump, codes = infer(folder, spec(mesh, rules))
        expected = simulation.log(rules)
        got = before_the_head(dump) if dump else codes
        kinds[expected if isinstance(expected, str) else "accepted"] += 1
        if (expected not in got) if isinstance(expected, str) else got != expected:
            bad += 1
            print(f"FAIL plan {number}: deployc {got}, the specification {expected}\n     {rules}")
    print(f"{n} plans in the specification itself: " + ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()))
    return n - bad, bad


# ---- the table of known plans ---------------------------------------------------------------------------------------
TP = ("tp",)
TABLE = {       # plan: moe's rules, seq of the residual; collectives of a layer; outside it
    "TP, experts split on ffn": ({"ffn": TP}, (), ["AR", "AR"], ["AR"]),
    "TP + SP, experts split on ffn": ({"ffn": TP}, TP, ["AG", "RS", "AG", "RS"], ["RS", "AR"]),
    "TP + SP, EP folded over dp * tp": ({"seq": TP, "expert": ("dp", "tp")}, TP, ["AG", "RS", "A2A", "A2A"], ["RS", "AR"]),
    "TP, EP over tp, tokens replicated": ({"expert": TP}, (), ["AR", "AR"], ["AR"]),
    "TP, EP over dp, ffn over tp": ({"expert": ("dp",), "ffn": TP}, (), ["AR", "A2A", "A2A", "AR"], ["AR"]),
}
SHORT = {"all_reduce": "AR", "all_gather": "AG", "reduce_scatter": "RS", "all_to_all": "A2A", "exchange": "A2A"}


def table(folder):
    """dp = 2, tp = 4, kv_heads = 2: keys and values are replicated twice. After `pick` the head's gather is a sum."""
    bad = 0
    for name, (moe, seq, layer, outside) in TABLE.items():
        rules = {region: {"batch": ("dp",)} for region in ("embed", "residual", "attn", "moe", "head")}
        rules["embed"]["vocab"] = rules["head"]["vocab"] = TP
        rules["moe"].update(moe)
        rules["residual"].update({"seq": seq} if seq else {})
        dump, codes = infer(folder, spec({"dp": 2, "tp": 4}, rules, ["  batch -> dp; vocab -> tp", "  at attn { kv_heads * q_group -> tp }"]))
        got = ([], [])
        for kind, _, cause in collectives(dump) if dump else []:
            got[cause in ("carry x", "norm", "pick")].append(SHORT[kind])
        if codes or got != (layer, outside):
            bad += 1
            print(f"FAIL {name}: {codes or got}, expected {(layer, outside)}")
    return len(TABLE) - bad, bad


def main():
    n, seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1000, int(sys.argv[2]) if len(sys.argv) > 2 else 1
    folder = pathlib.Path(tempfile.mkdtemp(prefix="deploy-inference-"))
    try:
        shutil.copy(HERE / "decoder.deploy", folder)
        results = [table(folder), random_plans(folder, n, seed), simulated_plans(folder, n, seed)]
    finally:
        shutil.rmtree(folder)
    failed = sum(bad for _, bad in results)
    print(f"{sum(good for good, _ in results)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
