#!/usr/bin/env python3
"""Makes a failing program small: replaces terms by their parts while it fails in the same way, and prints the result.

    shrink.py SEED [one|mesh|check]      fails on one rank (or while building), on its mesh, or in `check`
"""
import copy
import re
import sys

import plans
import run
from evaluate import Weights
from terms import Let, Output, Param, Rebind, Repeat, State, Term, When, terms_of, within


def bodies(p):
    """Each list of statements with the terms that may use its names besides."""
    for part in [*p.ops, *p.blocks]:
        yield part.body, [part.value]
    yield from inner_bodies(p.body)


def inner_bodies(body):
    yield body, []
    for s in body:
        if isinstance(s, Repeat):
            yield from inner_bodies(s.body)
        elif isinstance(s, When):
            for _, _, branch in s.branches:
                yield from inner_bodies(branch)


def names_in(statements):
    return {t.at["name"] for t in terms_of(statements) if t.op == "ref"}


def prune(p):
    """Takes out what nothing reads."""
    while True:
        count = size(p)
        for b in p.blocks:
            used = names_in(b.body + [Let("", b.value)])
            b.params = [q for q in b.params if q[0] in used]
            for t in p.everything():
                if t.op == "call" and t.at["callee"] is b:
                    t.at["named"] = {k: v for k, v in t.at["named"].items() if k in used}
        for body, more in bodies(p):
            used = {s.name for b, _ in bodies(p) for s in b if isinstance(s, Rebind)} | names_in([*(p.body if body is not p.body and not more else body), *(Let("", t) for t in more)]) | names_in(body) | {"logits", "token"}
            body[:] = [s for s in body if not isinstance(s, (Let, Param, State)) or s.name in used]
        called = [t.at["callee"] for t in p.everything() if t.op == "call"]
        p.ops, p.blocks = [o for o in p.ops if o in called], [b for b in p.blocks if b in called]
        if size(p) == count:
            return


def size(p):
    return sum(1 for _ in p.everything()) + sum(len(b) for b, _ in bodies(p)) + len(p.ops) + len(p.blocks)


def changes(p):
    """Functions that each make the program smaller in one place."""
    for t in list(p.everything()):
        for a in [a for v in [*t.args, *t.at.get("named", {}).values()] if isinstance(v, Term) for a in within(v)]:
            if set(a.axes) == set(t.axes) and a.dtype == t.dtype and a.at.get("shape") == t.at.get("shape") and a.dtype not in ("int", "index", "routing"):
                yield lambda t=t, a=a: t.__dict__.update(a.__dict__)
        if t.op == "call":
            for name in ("sink", "slope", "window", "chunk", "cap", "bias", "factor", "renormalize", "order"):
                if name in t.at["named"]:
                    yield lambda t=t, name=name: t.at["named"].pop(name)
    for body, _ in bodies(p):
        for s in body:
            if isinstance(s, Param) and s.stored and not s.key.startswith("fused"):
                yield lambda s=s: setattr(s, "stored", None)
            if isinstance(s, Param) and s.dtype and not s.key.startswith("fused"):
                yield lambda s=s: setattr(s, "dtype", "")
            if isinstance(s, When):
                for _, _, branch in s.branches:
                    yield lambda body=body, s=s, branch=branch: body.__setitem__(slice(body.index(s), body.index(s) + 1), branch)
    if p.layers > 1:
        yield lambda: setattr(p, "layers", p.layers - 1)
    for a in {l.axis for l in p.loops()}:
        if a.name != "layers" and a.extent > 1:
            yield lambda a=a: setattr(a, "extent", a.extent - 1)
    for name in ("weight", "kv", "act"):
        if getattr(p, name) != "f32" and name != "act":
            yield lambda name=name: setattr(p, name, "f32")


def failure(case, how, checker):
    """Why a case fails, or None."""
    try:
        case.model = case.program.text()
        if how == "check":
            run.refusal(*checker.check(case.mesh.text(case.model)))
            return None
        deployment = case.mesh if how == "mesh" else plans.alone(case.prompts, 3, 4)
        if run.refusal(*checker.check(deployment.text(case.model))):
            return None
        weights = Weights(case.seed)
        run.Evaluator(case.program, weights).logits([0, 1], [1])
        with run.Folder() as folder:
            run.write_checkpoint(folder / f"weights{case.seed}", weights, case.r)
            run.build_and_run(case, deployment, how, weights, folder)
        return None
    except run.Failed as failed:
        return str(failed)


def kind(text):
    """What stays the same: the words, not the numbers; logits that are wild in the evaluator too are another failure."""
    if not text:
        return None
    largest = re.search(r"largest is (\S+)$", text)
    return " ".join(text.split()[:4]) + (" nan" if "off by nan" in text else "") + (" wild" if largest and not float(largest[1]) < 100 else "")


def shrink(case, how):
    checker = run.Checker()
    why = failure(case, how, checker)
    if not why:
        sys.exit("it does not fail")
    print(why)
    progress = True
    while progress:
        progress = False
        n = len(list(changes(case.program)))
        i = 0
        while i < len(todo := list(changes(case.program))):
            before = copy.deepcopy(case.program)
            todo[i]()
            try:
                prune(case.program)
                smaller = failure(case, how, checker)
            except (AssertionError, KeyError, ValueError, StopIteration, RecursionError):
                smaller = None
            if kind(smaller) == kind(why) and size(case.program) <= size(before):
                progress, why = True, smaller
            else:
                case.program = before
                i += 1
            if progress and size(case.program) == size(before):
                i += 1
    return why


def main():
    case, how = run.Case(int(sys.argv[1])), sys.argv[2] if len(sys.argv) > 2 else "one"
    why = shrink(case, how)
    deployment = case.mesh if how != "one" else plans.alone(case.prompts, 3, 4)
    print(why, deployment.text(case.program.text()), case.prompts, sep="\n")


if __name__ == "__main__":
    main()
