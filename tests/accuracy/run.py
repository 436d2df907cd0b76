#!/usr/bin/env python3
"""Predictions beside published measurements. Figures are in the .csv files beside this one, each with its source; operators are
predicted by operators.c, all else by `deployc plan`. The tables of docs/accuracy.md between markers are what this program prints.

    run.py                      median errors are within one point of the page's; intervals hold the share of figures that they state
    run.py --write              writes the page's tables
    run.py --rows [WORD ...]    prints each figure of groups whose name contains a word
    run.py --folder DIR         prints the tables of DIR/training.csv and DIR/serving.csv, which have the columns of those here
    run.py --folder DIR --rows [WORD ...]   prints each of their figures, as above
    run.py --fit DIR            fits `step` and `sequence` of engines (std.engines) to the dense models of DIR/serving.csv
"""
import collections
import csv
import functools
import json
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build")).absolute()
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", BUILD / "deployc")).absolute()
PAGE = ROOT / "docs" / "accuracy.md"
GIB = 2**30

# intervals: low and high of the 80% and of the 90% interval; None: operators and bytes have none
Figure = collections.namedtuple("Figure", "what measured predicted intervals", defaults=[None])

# Systems of operators.csv: a cluster of std.clusters, refined.
SYSTEMS = {
    "A100": "DGX_A100 {}",
    "H100": "DGX_H100 {}",
    "H200": "DGX_H200 {}",
    "B200": "DGX_B200 {}",
    "B200_EFA": "DGX_B200 { nodes = 4 }",  # AWS p6-b200: 8 cards of 400 Gbit/s for 8 GPUs
    "GB200": "GB200_NVL72 {}",
    "H800": "HGX_H800 { nodes = 32 }",
}
ON_SYSTEM = """use std.clusters as clusters
use std.models { Llama_3_2_1B }
use std.workload { Inference }
plan One { mesh tp = 1 }
deploy D { model = Llama_3_2_1B; cluster = clusters.%s; plan = One; gpus = 1; workload = Inference { batch = 1; seq = 64 } }
"""
SERVED = """use std.clusters as clusters
use std.engines as engines
use std.models as models
use std.plans { Megatron }
use std.workload { Inference }
model Served = models.%(model)s
deploy D {
  model = Served; cluster = clusters.%(cluster)s; gpus = %(tp)s; engine = engines.%(engine)s
  plan = Megatron { tp = %(tp)s; at residual { seq -> none } }
  workload = Inference { batch = %(batch)s; seq = %(seq)s; output = %(output)s }
}
"""
TRAINED = """use std.clusters as clusters
use std.engines as engines
use std.models as models
use std.plans { Megatron }
use std.workload { Training }
deploy D {
  model = models.%(model)s; cluster = clusters.%(cluster)s; plan = Megatron { %(plan)s }; gpus = %(gpus)s
  engine = engines.%(engine)s
  workload = Training { batch = %(batch)s; seq = %(seq)s; %(more)s }
}
"""
# SGLang mixes prompts and tokens only with --enable-mixed-chunk; its first tokens say the same (docs/accuracy.md).
PROMPTS_FIRST = {"SGLang_2025"}
CHUNK = 8192  # tokens of prompts in a step: what std.plans.Megatron has
CLUSTERS = {"DGX_A100_40GB": "DGX_A100 { device = clusters.A100_SXM_40GB }"}
# Published models that std.models lacks: what they change of one in it.
MODELS = {
    "CodeLlama_7B": "Llama_3_1_8B { kv_heads = 32; q_group = 1; ffn = 11008; vocab = 32016 }",
    "Llama_2_7B": "Llama_3_1_8B { kv_heads = 32; q_group = 1; ffn = 11008; vocab = 32000 }",
    "Llama_2_13B": "Llama_3_1_8B { layers = 40; d_model = 5120; kv_heads = 40; q_group = 1; ffn = 13824; vocab = 32000 }",
    "Llama_2_70B": "Llama_3_1_70B { vocab = 32000 }",
}
PEERS = {
    "training: Korthikanti et al.": "Calculon 3.65 mean, 8 of these",
    "training: Megatron-Bridge, dense": "SimAI 1.9",
    "training: vTrain, one node": "vTrain 8.4 mean, which profiles the machine",
    "products": "LLMCompass 10.9 mean, its operators",
    "serving: bytes of weights": "llm-d-planner 0.89 mean, 53 runs",
    "one sequence: gpt-fast, A100": "GenZ 1.9, LIMINAL 7.6",
    "time per token under load: TensorRT-LLM 2025, H100": "aiconfigurator 7.8, all engines; 13 by others",
}


def figures(name):
    with open(HERE / name, newline="") as file:
        return list(csv.DictReader(file))


def run(*command, text=""):
    done = subprocess.run(list(map(str, command)), input=text, capture_output=True, text=True, timeout=120)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}:\n{done.stderr}")
    return done.stdout


def with_spec(text, command):
    """command(path of a file with the text)"""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "spec.deploy"
        path.write_text(text)
        return command(path)


@functools.cache
def plan(text):
    return json.loads(with_spec(text, lambda path: run(DEPLOYC, "plan", "--format=json", path)))["plans"][0]


# ---- groups: lists of figures by name ---------------------------------------------------------------------------------
def operators():
    groups, rows = {}, figures("operators.csv")
    for system in SYSTEMS:
        asked = [row for row in rows if row["system"] == system]
        queries = "".join(row["query"] + "\n" for row in asked)
        answers = with_spec(ON_SYSTEM % SYSTEMS[system],
                            lambda path: run(BUILD / "tests/accuracy/operators", path, text=queries)).split()
        for row, answer in zip(asked, answers, strict=True):
            figure = Figure(f"{row['system']}: {row['query']}", float(row["seconds"]), float(answer))
            groups.setdefault(row["group"], []).append(figure)
    return groups


def memory():
    weights, cache = [], []
    for row in figures("memory.csv"):
        model = MODELS.get(row["model"], row["model"])
        if row["format"] == "f32":
            model += " { weight = f32; act = f32; kv = f32 }"
        totals = plan(SERVED % {"model": model, "cluster": "DGX_H100", "tp": row["tp"], "engine": "vLLM_2025",
                                "batch": 8, "seq": "64..1024", "output": 1})
        what = f"{row['published']}, {row['format']}, tp {row['tp']}"
        weights.append(Figure(what, float(row["weights_gib"]), totals["totals"]["memory.weights"] / GIB))
        if row["kv_bytes_per_token"]:
            positions = totals["step"]["pools"][0]["pages"] * totals["step"]["page"]
            predicted = totals["totals"]["memory.kv"] / positions
            cache.append(Figure(what, float(row["kv_bytes_per_token"]), predicted))
    return {"serving: bytes of weights": weights, "serving: bytes of a token in the cache": cache}


def training_memory():
    rows = []
    for row in figures("training_memory.csv"):
        totals = plan(TRAINED % {**row, "engine": "TorchTitan_2024", "more": "", "model": row["model"]})["totals"]
        what = f"{row['model']}, {row['gpus']} GPUs, {row['plan']}, {row['batch']} x {row['seq']}"
        rows.append(Figure(what, float(row["peak_gib"]), totals["memory.peak"] / GIB))
    return {"training: bytes of a rank, torchtitan": rows}


KORTHIKANTI = {"Korthikanti table 5": "training: Korthikanti et al.", "Korthikanti table 4": "training: the same, one layer"}


def korthikanti():
    groups, rows = {}, [row for row in figures("training/measured.csv") if row["group"] in KORTHIKANTI]
    for spec in sorted({row["spec"] for row in rows}):
        found = json.loads(run(DEPLOYC, "plan", "--format=json", HERE / "training" / f"{spec}.deploy"))["plans"]
        plans = {one["deploy"]: one for one in found}
        for row in (row for row in rows if row["spec"] == spec):
            step, metric = plans[row["deploy"]]["training"]["time"], plans[row["deploy"]]["times"]["metrics"]["step_time"]
            whole = row["metric"] == "step"
            figure = Figure(f"{row['deploy']} {row['metric']}", float(row["seconds"]),
                            step["seconds"] if whole else step["bodies"][0][row["metric"]],
                            (metric["interval80"], metric["interval90"]) if whole else None)
            groups.setdefault(KORTHIKANTI[row["group"]], []).append(figure)
    return groups


def training(folder=HERE):
    groups = {}
    for row in figures(folder / "training.csv"):
        metric = plan(TRAINED % {**row, "model": MODELS.get(row["model"], row["model"])})["times"]["metrics"]["step_time"]
        what = f"{row['gpus']} GPUs, {row['batch']} x {row['seq']}: {row['model']}, {row['plan']}"
        figure = Figure(what, float(row["seconds"]), metric["value"], (metric["interval80"], metric["interval90"]))
        groups.setdefault(row["group"], []).append(figure)
    return groups


def loop(row, metrics):
    """Seconds between tokens of users who each send the next prompt when the last one is answered: while one generates, the
    prompts of all others are read once. An engine that reads all prompts before it goes on generating keeps users of equal
    lengths together: a user waits for the prompts after its own, half of them on average."""
    users, output, token = int(row["batch"]), int(row["output"]), metrics["tpot"]["value"]
    prompts = users / metrics["throughput.sequences"]["value"] - token * (output - 1)
    if row["engine"] in PROMPTS_FIRST:
        steps = max(1, users * int(row["input"]) / CHUNK)
        return token + prompts * (1 - 1 / steps) / 2 / (output - 1)
    return token + prompts * (users - 1) / users / output


def seconds(row, metrics):
    """The published time as metrics predict it, and its intervals."""
    names = ("interval80", "interval90")
    if row["metric"] == "batch":
        rate, batch = metrics["throughput.sequences"], int(row["batch"])
        return batch / rate["value"], [[batch / bound for bound in reversed(rate[name])] for name in names]
    metric = metrics["tpot" if row["metric"] == "loop" else row["metric"]]
    value = loop(row, metrics) if row["metric"] == "loop" else metric["value"]
    return value, [[bound * value / metric["value"] for bound in metric[name]] for name in names]


def served(row):
    return plan(SERVED % {**row, "model": MODELS.get(row["model"], row["model"]), "seq": row["input"],
                          "cluster": CLUSTERS.get(row["cluster"], row["cluster"])})


def serving(folder=HERE):
    groups = {}
    for row in figures(folder / "serving.csv"):
        metrics = served(row)["times"]["metrics"]
        what = f"{row['cluster']}: {row['model']}, tp {row['tp']}, {row['batch']} x {row['input']} + {row['output']}"
        groups.setdefault(row["group"], []).append(Figure(what, float(row["seconds"]), *seconds(row, metrics)))
    return groups


# ---- constants of engines ---------------------------------------------------------------------------------------------
STEPS, SEQUENCES = [0.1 * i for i in range(61)], [5 * i for i in range(31)]  # ms of a step, us of a sequence in it


def with_constants(row, step, sequence):
    return seconds(row, served({**row, "engine": f"{row['engine']} {{ step = {step} ms; sequence = {sequence} us }}"})["times"]["metrics"])[0]


def fit(folder):
    """A prediction is linear in both constants; the least mean of |log(predicted / measured)| counts."""
    of_engine = collections.defaultdict(list)
    for row in figures(folder / "serving.csv"):
        totals = served(row)["totals"]
        if row["metric"] in ("batch", "loop") and totals["params.active"] > 0.8 * totals["params"]:
            base = with_constants(row, 0, 0)
            of_engine[row["engine"]].append((float(row["seconds"]), base, with_constants(row, 1, 0) - base, with_constants(row, 0, 1) - base))
    for engine, rows in of_engine.items():
        mean, step, sequence = min((statistics.mean(abs(math.log((base + step * of_step + sequence * of_sequence) / measured))
                                                    for measured, base, of_step, of_sequence in rows), step, sequence)
                                   for step in STEPS for sequence in SEQUENCES)
        print(f"{engine}: step = {step:.1f} ms, sequence = {sequence} us: mean {100 * mean:.1f}% over {len(rows)} figures")


# ---- tables ----------------------------------------------------------------------------------------------------------
def quantile(values, share):
    values = sorted(values)
    at = share * (len(values) - 1)
    low = int(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (at - low)


def line(name, rows):
    errors = [row.predicted / row.measured - 1 for row in rows]
    sizes = [abs(error) * 100 for error in errors]
    return (f"| {name} | {len(rows)} | {statistics.median(sizes):.1f} | {quantile(sizes, 0.9):.1f} | {statistics.mean(sizes):.1f} "
            f"| {statistics.mean(errors) * 100:+.1f} | {PEERS.get(name, '')} |")


def table(groups):
    head = "| predictions | n | median | 90% | mean | signed mean | peers, as they claim |\n|---|---|---|---|---|---|---|\n"
    return head + "".join(line(name, rows) + "\n" for name, rows in groups.items())


def covered(rows, which):
    """Percent of the figures that lie in their intervals."""
    return 100 * statistics.mean(row.intervals[which][0] <= row.measured <= row.intervals[which][1] for row in rows)


def coverage(groups):
    head = "| predictions | n | in 80% intervals | in 90% intervals |\n|---|---|---|---|\n"
    timed = {name: rows for name, rows in groups.items() if rows[0].intervals}
    timed["all of these"] = [row for rows in timed.values() for row in rows]
    return head + "".join(f"| {name} | {len(rows)} | {covered(rows, 0):.0f} | {covered(rows, 1):.0f} |\n"
                          for name, rows in timed.items())


def by_kind(groups):
    """Figures with intervals, by what comes before the colon or comma in a group's name."""
    kinds = collections.defaultdict(list)
    for name, rows in groups.items():
        if rows[0].intervals:
            kinds[re.split("[:,]", name)[0]] += rows
    return {**kinds, "all kinds": [row for rows in kinds.values() for row in rows]}


def check_coverage(groups):
    """Returns the number of kinds whose intervals hold too few figures: fewer than stated by more than chance explains in 19 of 20."""
    bad = 0
    for name, rows in by_kind(groups).items():
        for which, stated in enumerate((80, 90)):
            least = stated - 1.645 * math.sqrt(stated * (100 - stated) / len(rows))
            good = covered(rows, which) >= least
            print(f"{'ok  ' if good else 'FAIL'} {name}: {covered(rows, which):.0f}% of {len(rows)} in {stated}% intervals, at least {least:.0f}")
            bad += not good
    return bad


MARKED = re.compile(r"(<!-- make accuracy -->\n).*?(<!-- end -->\n)", re.S)


def medians(text):
    return {cells[0]: (int(cells[1]), float(cells[2]))
            for cells in ([cell.strip() for cell in row.split("|")[1:-1]] for row in text.splitlines() if row.startswith("| "))
            if len(cells) == 7 and cells[1].isdigit()}


def check(groups):
    """Returns the number of groups whose line in the page is wrong."""
    page, now, bad = medians(MARKED.search(PAGE.read_text())[0]), medians(table(groups)), 0
    for name, rows in groups.items():
        for row in rows:
            if row.intervals and not row.intervals[1][0] <= row.intervals[0][0] <= row.intervals[0][1] <= row.intervals[1][1]:
                bad += 1
                print(f"FAIL {name}: {row.what}: intervals {row.intervals}")
    for name in sorted(page.keys() | now.keys()):
        then, today = page.get(name), now.get(name)
        good = then and today and then[0] == today[0] and abs(then[1] - today[1]) <= 1
        print(f"{'ok  ' if good else 'FAIL'} {name}: {today} (docs/accuracy.md: {then})")
        bad += not good
    few = check_coverage(groups)
    print(f"{max(0, len(page.keys() | now.keys()) - bad) + 2 * len(by_kind(groups)) - few} passed, {bad + few} failed")
    return bad + few


def print_rows(groups, words):
    for name, rows in groups.items():
        if not words or any(word in name for word in words):
            print(table({name: rows}), end="")
            for row in rows:
                error = (row.predicted / row.measured - 1) * 100
                print(f"  {row.what:75} {row.measured:12.6g} {row.predicted:12.6g} {error:+6.1f}%")


def main(arguments):
    if arguments[:1] == ["--folder"]:
        folder = pathlib.Path(arguments[1]).absolute()
        groups = {**training(folder), **serving(folder)}
        if arguments[2:3] == ["--rows"]:
            print_rows(groups, arguments[3:])
            return 0
        print(table(groups), coverage(groups), sep="\n", end="")
        return 0
    if arguments[:1] == ["--fit"]:
        fit(pathlib.Path(arguments[1]).absolute())
        return 0
    groups = {**operators(), **memory(), **training_memory(), **korthikanti(), **training(), **serving()}
    if arguments[:1] == ["--rows"]:
        print_rows(groups, arguments[1:])
        return 0
    if arguments == ["--write"]:
        tables = iter([table(groups), coverage(groups)])
        PAGE.write_text(MARKED.sub(lambda marks: f"{marks[1]}\n{next(tables)}\n{marks[2]}", PAGE.read_text()))
        return 0
    return 1 if check(groups) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
