#!/usr/bin/env python3
"""Compares deployc with the executable specification of the language, on the specs in specs/ and on 500 mutants of them.

    compare.py [FOLDER]      runs both; FOLDER holds the prototype (default: ../shared/design/prototype beside the checkout).
                             Without that folder, deployc is compared with the record in expected.json
    compare.py --record      also writes expected.json
    compare.py --seed=N --mutants=N    other mutants than those of expected.json
    compare.py --keep DIR    writes the mutants to DIR

With the prototype, its own wrong specs and our library are compared too: each module, followed by a deployment On... of each of its
models, and the value of each field of its records, which deployc must know to refute a claim of another value (library.py). Both read
this library, so all specs use our std.core and std.ops. A copy of std.ops is not a spec, since only that module may declare
builtins; but the specs and the library call every operator of it except `cross_entropy`, which this version does not build.

Compared: refused or accepted; the first code that the specification reports is among those of deployc; for what both accept, the
totals of each deployment, the codes of warnings in WARNINGS, and with the prototype the type of every named value of the models
of the deployments whose names begin with On.

Intended differences, which the rules below encode:

* The prototype stops at the first mistake of a walk and at the first line that does not parse, and has one code for the latter
  (E0002); deployc goes on, distinguishes cases (E0001 to E0007), and does not report consequences of a mistake. So the first
  code of the prototype must be among deployc's, and codes for one mistake count as equal: SAME.
* deployc rejects what the prototype does not check: ONLY_DEPLOYC, each with its reason. If all of its mistakes are of this kind, or the
  prototype's too, the prototype may report another one.
* deployc rejects a deployment that does not fit (E0701, E0703), and what this version does not build (E0918).
* deployc's `memory.kv` counts whole pages, for each sequence and for an owner's part of one. Its `memory.weights` counts buffers as
  kernels read them: rows are padded to the width of a vector, each buffer to a cache line.
* deployc prints totals of params with four digits, which are compared.
* The global program has no values that no output needs; a `let` that only names another value is not a second value; a name that
  is rebound in a loop is a value of the loop, of the type it has outside.
* Weights that nothing reads have no buffers, so `memory.weights` is less than the prototype's. With rows narrower than a
  vector it is more. BUFFERS names such mutants; judge those of another seed by hand.
* Specs on which the prototype itself fails (a Python exception, or more than 20 seconds) are counted and not compared.
"""
import argparse
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import library
import mutate

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).absolute()
EXPECTED = HERE / "expected.json"
SEED, MUTANTS = 20, 500
TOTALS = {"params": "param", "params.active": "param", "total.weights": "B", "total.kv": "B", "memory.weights": "B", "memory.kv": "B"}
SCALE = {"": 1, "M": 1e6, "G": 1e9, "T": 1e12}

PADDING = 64 << 10                                 # bytes that padding adds to a small model
WARNINGS = {"W0521", "W0810"}
ONLY_DEPLOYC = [
    (r"E0106 .* (defined|declared) twice", "the prototype lets the later of two declarations replace the first"),
    (r"E0106 .* is set( twice|, and has)", "the prototype drops the first of two values, and the elements of a list that is set"),
    (r"E0106 .* names a parameter and", "the prototype lets the parameter replace the axis"),
    (r"E09(16|17|18) ", "not built in this version"),
    (r"E070[13] ", "bytes and lengths are not checked by the prototype"),
    (r"E0101 no metric or total", "metrics that the prototype does not know are undecided there"),
    (r"E0302 cannot compare (Time|TokenRate|Ratio|Data|a number)", "metrics have no dimension in the prototype"),
    (r"E0605 ", "the prototype does not look at what a device multiplies"),
    (r"E080[18] ", "the prototype predicts no times"),
    (r"E0(812|902) ", "percentiles and the rounds of a schedule are not looked at by the prototype"),
    (r"E080[26] .*memory\.(peak|headroom|activations|comm)", "totals that the prototype does not have"),
    (r"E0203 `\w+` expects (Ints from|an Int of at least)", "lengths and batches of nothing are accepted by the prototype"),
    (r"E0203 (`(assert|require)` expects|a precondition is a) Bool", "the prototype only looks for a claim that is False"),
    (r"E0203 .*(has (0|-\d+) elements|range .* is empty)", "axes and ranges of nothing, and of less, are accepted by the prototype"),
    (r"E0203 `level` is not a record", "the prototype forgets a list that is refined as a record"),
    (r"E0204 .* has no extent of its own", "the prototype drops a value given to a view"),
    (r"E0203 `\w+` is not a number format", "the prototype takes any field for a format, and reads it as `act`"),
    (r"E0001 stray character `%`", "the prototype drops it"),
    (r"E0408 (a bare number in a piece must be 1|an extent is a whole number)", "the prototype reads any number as an extent that is skipped"),
]
BUFFERS = {"398_tiny_number_format"}                # mutants whose `memory.weights` differs: 48 layers of rows narrower than a vector
SYNTAX = {"E0001", "E0002", "E0003", "E0004", "E0005", "E0006", "E0007", "E0008"}
SAME = [
    ({"E0002", "E0004"}, SYNTAX),                                   # which mistake of syntax it is
    ({"E0203"}, {"E0301", "E0302", "E0305"}),                       # a quantity where another kind of value belongs
    ({"E0302"}, {"E0203"}),                                         # a record compared with a quantity
    ({"E0203"}, {"E0004"}),                                         # `let a : [b]`: a type where a value belongs
    ({"E0203"}, {"E0101"}),                                         # `cluster C : M` where M is a model: no schema of that name
    ({"E0503"}, {"E0901"}),                                         # layers over stages
]


# ---- deployc ----

def diagnostics(path):
    """-> the codes of what `deployc check` says, in order, each once."""
    run = subprocess.run([DEPLOYC, "check", "--error-format=json", path.name], cwd=path.parent, capture_output=True, text=True,
                         timeout=60)
    if run.returncode not in (0, 1):
        raise RuntimeError(f"{path.name}: deployc ends with {run.returncode}: {run.stderr.strip()[:200]}")
    return [json.loads(line) for line in run.stderr.splitlines() if line.startswith("{")]


def probed_totals(path, deploys):
    """Totals by false claims: each is refuted with its value."""
    claims = " ".join(f"assert {name} == 0 {unit};" for name, unit in TOTALS.items())
    text = re.sub(r"^(deploy \w+ \{)", rf"\1 {claims}", path.read_text(), flags=re.M)
    probe = path.with_name("probe_" + path.name)
    probe.write_text(text)
    lines = {text.count("\n", 0, m.start()) + 1: m[1] for m in re.finditer(r"^deploy (\w+) \{", text, re.M)}
    found = {name: {} for name in deploys}
    for d in diagnostics(probe):
        value = re.match(r"(params(?:\.active)?) = ([0-9.e+-]+) ([MGT]?)param, asserted == 0 param", d["message"])
        bytes_ = re.match(r"([a-z.]+) = ([0-9.]+) bytes", (d["notes"] or [""])[0])
        deploy = found.get(lines.get(d["line"]))
        if deploy is not None and value:
            deploy[value[1]] = float(value[2]) * SCALE[value[3]]
        elif deploy is not None and bytes_ and "asserted == 0 B" in d["message"]:
            deploy[bytes_[1]] = float(bytes_[2])
    return found


def dag_types(path, deploy):
    """-> {(region, name): {type}} of the values that the program of a deployment names."""
    run = subprocess.run([DEPLOYC, path.name, "--emit=dag", f"--deploy={deploy}"], cwd=path.parent, capture_output=True, text=True,
                         timeout=60)
    found = {}
    for line in run.stdout.splitlines():
        if match := re.match(r" *%\d+ = .* : ((?:\w+|\w+\([^)]*\))\[[^]]*\])(?:  @(\S+))?(?:  in (\S+))?  // (\w+)$", line):
            found.setdefault((match[2] or "", match[4]), set()).add(match[1])
    return found


def ours(path):
    said = diagnostics(path)
    codes = list(dict.fromkeys(d["code"] for d in said))
    deploys = re.findall(r"^deploy (\w+) \{", path.read_text(), re.M)
    return {"codes": codes, "totals": {} if refused({"codes": codes}) else probed_totals(path, deploys),
            "said": [f'{d["code"]} {d["message"]}  (line {d["line"]})' for d in said]}


# ---- comparison ----

def compare(name, theirs, mine):
    """-> what differs, in words; nothing: equal."""
    wrong = [c for c in theirs["codes"] if c[0] == "E"]
    mistakes = [c for c in mine["codes"] if c[0] == "E"]
    if not wrong and not mistakes:
        return different_totals(name, theirs, mine) + different_warnings(theirs, mine)
    if not mistakes:
        return [f"accepted by deployc, the specification says {' '.join(wrong)}"]
    said = [line for line in mine["said"] if line[0] == "E"]
    others = {line.split()[0] for line in said if not only_deployc(line)}
    if any(map(only_deployc, said)) and others <= set(wrong):
        return []
    if not wrong:
        return [f"accepted by the specification, deployc says {' '.join(mistakes)}"]
    if not any(alike(wrong[0], c) for c in mistakes):
        return [f"the specification says {' '.join(wrong)}, deployc {' '.join(mistakes)}"]
    return []


def only_deployc(line):
    return any(re.match(pattern, line) for pattern, _ in ONLY_DEPLOYC)


def refused(verdict):
    return any(c[0] == "E" for c in verdict["codes"])


def alike(theirs, mine):
    return theirs == mine or any(theirs in a and mine in b for a, b in SAME)


def different_warnings(theirs, mine):
    a, b = (set(x["codes"]) & WARNINGS for x in (theirs, mine))
    a -= {"W0521"} - b  # fields that the prototype leaves to later versions, and deployc does not
    return [f"warnings {sorted(a)} against {sorted(b)}"] if a != b else []


def different_totals(name, theirs, mine):
    found = []
    for deploy, values in theirs["totals"].items():
        got = mine["totals"].get(deploy, {})
        for total, value in values.items():
            if total == "memory.weights" and name in BUFFERS:
                continue
            if value != got.get(total, 0) and not close(total, value, got.get(total, 0)):
                found.append(f"{deploy}: {total} is {value:.12g}, deployc says {got.get(total, 0):.12g}")
    return found


def close(total, value, got):
    if total.startswith("params"):
        return math.isclose(value, got, rel_tol=1e-3)
    if total == "memory.kv":
        return value <= got <= 2 * value
    if total == "memory.weights":
        return value <= got <= 1.001 * value + PADDING
    return math.isclose(value, got, rel_tol=1e-9)


def different_types(path, theirs):
    found = []
    for deploy, model in re.findall(r"^deploy (On(\w+)) \{", path.read_text(), re.M):
        want, got = theirs["types"].get(model, {}), dag_types(path, deploy)
        found += [f"{model}: `{'.'.join(k)}` is {sorted(want.get(k, []))}, deployc says {sorted(got[k])}"
                  for k in got if got[k] != want.get(k, carried(want, *k))]
        found += [f"{model}: `{'.'.join(k)}` is {sorted(want[k])}, deployc has no such value"
              for k in want if k not in got and not another_name(want, got, k)]
    return found


def different_fields(folder, spec):
    """Claims that a field of a record of the library has another value than with the prototype: those that deployc does not refute.
    -> (how many are refuted, [what is wrong])"""
    count, found = 0, []
    for module in modules():
        use, fields = f"std.{module.stem}", spec.fields(module.stem)
        if (flat := library.flattened(module.read_text())) != module.read_text():
            folder.joinpath(f"flat_{module.name}").write_text(flat)
            use = f'"flat_{module.name}"'
        elif module.stem == "models":              # aliases: names with dots are compared where the models are declared
            fields = {name: value for name, value in fields.items() if "__" not in name}
        path = folder / f"fields_{module.name}"
        text, denied = library.false_claims(use, fields)
        path.write_text(text)
        said = diagnostics(path)
        refuted = {d["line"] for d in said if d["code"] == "E0806" and d["file"] == path.name}
        count += len(refuted)
        found += [f"fields of {use}: `{name}` is {library.written(fields[name])}, deployc lets another pass"
                  for line, name in denied.items() if line not in refuted]
        found += [f"fields of {use}: deployc says {d['code']} {d['message']}" for d in said if d["code"] != "E0806"]
    return count, found


def another_name(want, got, key):
    """Whether a value of the same region has the type: `let w_head = w_embed` makes no value."""
    return any(region == key[0] and types == want[key] for (region, _), types in got.items())


def carried(want, region, name):
    """The type of a name that is rebound in a loop is that of the name outside."""
    return want.get((region.rpartition(".")[0], name))


# ---- the run ----

def specs(folder, count, seed):
    """Writes the specs and their mutants to `folder`. -> [path]"""
    bases = {p.stem: p.read_text() for p in sorted((HERE / "specs").glob("*.deploy"))}
    every = list(bases.items()) + mutate.mutants(bases, count, seed)
    paths = [folder / f"{name}.deploy" for name, _ in every]
    for path, (_, text) in zip(paths, every):
        path.write_text(text)
    return paths


def more_specs(folder, prototype):
    """The prototype's wrong specs, and our library, as files of `folder`."""
    bad = sorted((prototype / "grammar" / "examples" / "bad").glob("*.deploy"))
    found = [(f"bad_{p.stem}", p.read_text()) for p in bad]
    found += [(f"library_{p.stem}", library.deployed(p.read_text())) for p in modules() if p.stem != "ops"]
    for name, text in found:
        folder.joinpath(f"{name}.deploy").write_text(text)
    return [folder / f"{name}.deploy" for name, _ in found]


def modules():
    return sorted((ROOT / "stdlib").glob("*.deploy"))


def recorded(paths):
    print(f"SKIPPED the prototype: it is not here; deployc is compared with {EXPECTED.relative_to(ROOT)}")
    known = json.loads(EXPECTED.read_text())
    return {p.stem: known[p.stem] for p in paths}


def specification(folder):
    """The prototype, or none where it is not."""
    if not (folder / "check").is_dir():
        return None
    import prototype
    return prototype.Prototype(folder, ROOT / "stdlib")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("prototype", nargs="?", type=pathlib.Path, default=ROOT.parent / "shared" / "design" / "prototype")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--mutants", type=int, default=MUTANTS)
    parser.add_argument("--keep", type=pathlib.Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or pathlib.Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        paths = specs(folder, options.mutants, options.seed)
        spec = specification(options.prototype)
        paths += more_specs(folder, options.prototype) if spec else []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            mine = list(pool.map(ours, paths))
        theirs = {p.stem: spec.run(p, types=True) for p in paths} if spec else recorded(paths)
        if options.record:
            record(theirs)
        failed = skipped = 0
        for path, got in zip(paths, mine):
            want = theirs[path.stem]
            if "skip" in want:
                skipped += 1
                continue
            wrong = compare(path.stem, want, got)
            if spec and not refused(want) and not refused(got):
                wrong += different_types(path, want)
            failed += bool(wrong)
            for line in wrong:
                print(f"FAIL {path.stem}: {line}")
            if wrong and options.keep:
                for line in want.get("said", [])[:3]:
                    print("     spec   ", line)
                for line in got["said"][:4]:
                    print("     deployc", line)
        equal, unequal = different_fields(folder, spec) if spec else (0, [])
        for line in unequal:
            print(f"FAIL {line}")
    print(f"{skipped} not compared: the prototype itself fails on them")
    if spec:
        print(f"{equal} fields of the library are equal, {len(unequal)} are not")
    print(f"{len(paths) - failed - skipped} passed, {failed} failed")
    return 1 if failed or unequal else 0


def record(theirs):
    lines = [f'{json.dumps(n)}: {json.dumps({k: v for k, v in t.items() if k in ("codes", "totals", "skip")})}'
             for n, t in theirs.items() if not n.startswith(("bad_", "library_"))]
    EXPECTED.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    sys.exit(main())
