#!/usr/bin/env python3
"""Fits the constants of std.calibration to tables of single operators, and writes them as records of the language.

    calibrate.py TABLES [--clone REPOSITORY] [--device NAME ...] [-o FILE]

TABLES holds op_aic_gemm_subsample.csv and comm_aic_nccl.csv (operator_tables.py says their columns). With a git directory of
ai-dynamo/aiconfigurator, its tables are fitted too: attention, experts, all-reduces of one shot, and products of devices that the CSV
file lacks; that needs pyarrow (`make calibrate` installs it in BUILD).

Times are those of the planner's own functions, which calibrate.c gathers in a shared library. A fit minimises the mean of
|log(model / measured)|, weighted by time^0.4, by the method of Nelder and Mead in the logarithms of the constants; shares are kept
below 1. 7 of 10 rows are fitted, 3 compared: their median error is the record's `spread`. Beside it stands the error of the constants of
stdlib/calibration.deploy on the same rows. What no operator table has (passes over memory, the backward pass, messages between stages) is
taken from stdlib/calibration.deploy as it is.
"""
import argparse
import collections
import ctypes
import os
import pathlib
import re
import sys

import numpy as np

import operator_tables

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build"))
SYSTEMS = {"A100_SXM": "a100_sxm", "H100_SXM": "h100_sxm", "H200_SXM": "h200_sxm", "B200_SXM": "b200_sxm", "B300_SXM": "b300_sxm",
           "GB200_GPU": "gb200", "GB300_GPU": "gb300", "L40S": "l40s"}
# Bandwidth of memory in GB/s, multiprocessors, GB/s of the links in one direction, TFLOPS of dense products. Sources: stdlib/clusters.deploy,
# and for B300, GB300 and L40S the makers' data sheets and systems/*.yaml of ai-dynamo/aiconfigurator.
Silicon = collections.namedtuple("Silicon", "bandwidth sms link bf16 fp8 i8 fp4")
SILICON = {
    "A100_SXM": Silicon(2039, 108, 300, 312, None, 624, None), "H100_SXM": Silicon(3350, 132, 450, 989.4, 1978.9, None, None),
    "H200_SXM": Silicon(4800, 132, 450, 989.4, 1978.9, None, None), "B200_SXM": Silicon(7700, 148, 900, 2250, 4500, None, 9000),
    "B300_SXM": Silicon(7750, 148, 900, 2250, 4500, None, 14000), "GB200_GPU": Silicon(8000, 152, 900, 2500, 5000, None, 10000),
    "GB300_GPU": Silicon(8000, 152, 900, 2500, 5000, None, 15000), "L40S": Silicon(864, 142, 32, 362, 733, 733, None),
}
# A table's word: formats of weights and activations, the name in the record, bytes of both, the peak, a pass that converts activations.
Format = collections.namedtuple("Format", "weights activations name weight_bytes activation_bytes peak casts")
FORMATS = {
    "bfloat16": Format("bf16", "bf16", "bf16", 2, 2, "bf16", False), "fp8": Format("fp8_e4m3", "fp8_e4m3", "fp8", 1, 1, "fp8", True),
    "nvfp4": Format("nvfp4", "nvfp4", "nvfp4", 0.5625, 0.5625, "fp4", True), "int8_wo": Format("i8", "bf16", "i8_bf16", 1, 2, "bf16", False),
    "sq": Format("i8", "i8", "i8", 1, 1, "i8", True), "w4a16_mxfp4": Format("mxfp4", "bf16", "mxfp4_bf16", 0.53, 2, "bf16", False),
    "w4a8_mxfp4_mxfp8": Format("mxfp4", "fp8_e4m3", "mxfp4_fp8", 0.53, 1, "fp8", False),
}
WORST = 40                                         # median error in % of a fit that still means something
OF = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "point_to_point", "one_shot")   # enum fit_collective_of
# A kind of fit: the function, where the search begins, the constants and their kinds.
Kind = collections.namedtuple("Kind", "function start fields")
KINDS = {
    "matmul": Kind("products", (0.8, 0.85, 5, 1.5e-6, 2.5e-6, 0.7, 1e-6), "compute% memory% l2 tile_s launch_s waves% split_s"),
    "grouped": Kind("experts", (0.6, 0.75, 4, 1e-6, 1.5e-5), "compute% memory% l2 tile_s launch_s"),
    "prefill": Kind("prefill", (0.6, 800, 5e-6, 1e-6), "compute% rise launch_s block_s"),
    "decode": Kind("decode", (0.85, 6e-6, 5e-6, 6e-6, 2e7, 0.3), "memory% launch_s block_s latency_s saturation_B compute%"),
    "latent": Kind("decode", (0.6, 8e-6, 8e-6, 6e-6, 2e7, 0.4), "memory% launch_s block_s latency_s saturation_B compute%"),
    "link": Kind("collectives", (3e-7, 8e-6, 0.1, 3e-6, 0.4, 2e-5, 0.75),
                 "hop_s small.latency_s small.share% medium.latency_s medium.share% large.latency_s large.share%"),
}


# ---- times ------------------------------------------------------------------------------------------------------------
class Times:
    """Times of a table's rows, by the planner's functions."""

    def __init__(self, library, device, table):
        silicon = SILICON[device]
        self.function = getattr(library, KINDS[table.kind].function)
        self.silicon = np.array([silicon.bandwidth * 1e9, silicon.sms, silicon.bf16 * 1e12], float)
        self.format = np.array(format_of(silicon, table), float)
        self.rows = np.ascontiguousarray(table.sizes)

    def __call__(self, constants, rows=None):
        rows = self.rows if rows is None else rows
        out, p = np.empty(len(rows)), np.ascontiguousarray(constants, float)
        self.function(*map(pointer, (self.silicon, self.format, p, rows)), ctypes.c_int(len(rows)), pointer(out))
        return out


def pointer(array):
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_double))


def format_of(silicon, table):
    if table.kind in ("matmul", "grouped"):
        f = FORMATS[table.name]
        return f.weight_bytes, f.activation_bytes, getattr(silicon, f.peak) * 1e12, f.casts
    if table.kind == "link":
        return OF.index(table.name), silicon.link * 1e9
    return (table.kind == "latent",)


# ---- fitting ----------------------------------------------------------------------------------------------------------
def simplex(loss, start, step, most):
    """The least value that the method of Nelder and Mead (1965) finds in `most` evaluations, from a simplex of edges `step`."""
    points = [np.array(start, float)] + [np.array(start, float) + step * e for e in np.eye(len(start))]
    values = [loss(p) for p in points]
    used = len(points)
    while used < most:
        order = np.argsort(values, kind="stable")
        points, values = [points[i] for i in order], [values[i] for i in order]
        if values[-1] - values[0] < 1e-6:
            break
        centre = np.mean(points[:-1], axis=0)
        tried = centre + (centre - points[-1])
        value = loss(tried)
        used += 1
        if value < values[0]:
            further = centre + 2 * (centre - points[-1])
            beyond = loss(further)
            used += 1
            tried, value = (further, beyond) if beyond < value else (tried, value)
        elif value >= values[-2]:
            inner = centre + (0.5 if value < values[-1] else -0.5) * (centre - points[-1])
            within = loss(inner)
            used += 1
            if within < min(value, values[-1]):
                tried, value = inner, within
            else:
                points = [points[0]] + [points[0] + 0.5 * (p - points[0]) for p in points[1:]]
                values = [values[0]] + [loss(p) for p in points[1:]]
                used += len(points) - 1
                continue
        points[-1], values[-1] = tried, value
    best = int(np.argmin(values))
    return points[best], values[best]


def fields_of(kind):
    """[(name, unit)] of a kind's constants; units: % s B, or nothing."""
    return [(f.rstrip("%"), "%") if f.endswith("%") else (f[:-2], f[-1]) if f[-2] == "_" else (f, "") for f in KINDS[kind].fields.split()]


def fit(kind, times, seconds, chosen):
    """The constants that fit the chosen rows best."""
    start = np.array(KINDS[kind].start, float)
    shares = np.array([unit == "%" for _, unit in fields_of(kind)])
    rows, y = np.ascontiguousarray(times.rows[chosen]), seconds[chosen]
    weight = np.maximum(y, 5e-6) ** 0.4
    weight /= weight.sum()

    def constants(z):
        p = start * np.exp(np.clip(z, -30, 30))
        return np.where(shares, np.minimum(p, 1), p)

    def loss(z):
        beyond = np.maximum(start * np.exp(np.clip(z, -30, 30)) - 1, 0)[shares].sum()
        thin = max(0, 1.5 - constants(z)[2]) if kind == "matmul" else 0      # a shared cache is faster than the memory
        return float(weight @ np.abs(np.log(times(constants(z), rows) / y))) + 10 * (beyond + thin)

    n = len(start)
    found = [search(loss, s) for s in (np.zeros(n), np.where(np.arange(n) % 2, 0.2, -0.2), np.where(np.arange(n) % 2, -0.7, 0.7))]
    return constants(min(found, key=lambda f: f[1])[0])


def search(loss, start):
    """A simplex that has shrunk too early is spread again."""
    best = simplex(loss, start, 0.25, 1500)
    for _ in range(5):
        again = simplex(loss, best[0], 0.25, 1500)
        if again[1] > best[1] - 1e-5:
            return best
        best = again
    return best


def errors(model, measured):
    """Median and 90% of |model / measured - 1|, and the mean of model / measured - 1, in %."""
    e = model / measured - 1
    return np.median(np.abs(e)) * 100, np.quantile(np.abs(e), 0.9) * 100, np.mean(e) * 100


# ---- records ----------------------------------------------------------------------------------------------------------
UNITS = {"s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "%": 0.01, "": 1}


def number(text):
    value, unit = re.fullmatch(r"(-?[\d.]+(?:e[-+]?\d+)?)\s*([a-zA-Z%]*)", text).groups()
    return float(value) * UNITS[unit]


def committed(file=ROOT / "stdlib/calibration.deploy"):
    """{(device, kind, name): {constant: its text}} of a file."""
    text = file.read_text()
    found = {}
    for match in re.finditer(r"^calibration (\w+) .*?\{\n(.*?)^\}", text, re.M | re.S):
        for kind, name, path, field, value in assignments(match[2]):
            found.setdefault((match[1], kind, name), {})[".".join(path + [field])] = value
    return found


def assignments(text):
    """[(kind, name, names of braces within, field, value)] of a record's text."""
    stack, found = [], []
    for word in re.findall(r'"[^"]*"|//[^\n]*|\w+(?: \w+)? +\{|\}|\w+ += [^;{}\n"]*(?:"[^"]*")?', text):
        if word.endswith("{") and not word.startswith(('"', "//")):
            stack.append(word[:-1].split())
        elif word == "}":
            stack.pop()
        elif "=" in word and stack and not word.startswith(('"', "//")):
            field, value = (part.strip() for part in word.split("=", 1))
            kind, name = stack[0] if len(stack[0]) == 2 else ("link" if stack[0][0] in OF else stack[0][0], stack[0][0])
            found.append((kind, name, [s[0] for s in stack[1:]], field, re.sub(r" *//.*", "", value)))
    return found


def known(library, device, table):
    """The committed constants for a table, in the order of the fit; None: there are none."""
    if table.kind in ("matmul", "grouped"):
        entry = library.get((device, table.kind, {"matmul": "dense_", "grouped": "experts_"}[table.kind] + FORMATS[table.name].name))
        names = [name for name, _ in fields_of(table.kind)]
    elif table.kind == "link":
        entry, names = library.get((device, "link", table.name)), [name for name, _ in fields_of("link")]
    else:
        entry, names = library.get((device, "attention", table.name)), [f"{table.kind}.{name}" for name, _ in fields_of(table.kind)]
    if not entry or not all(name in entry for name in names):
        return None
    p = [number(entry[name]) for name in names]
    return p[:3] + [p[3] - p[1], p[4], p[5] - p[3], p[6]] if table.kind == "link" else p


def quantity(value, unit):
    """Four digits, in the unit that shows them best."""
    if unit == "%":
        return f"{value * 100:.4g}%"
    if unit == "s":
        scale, name = next(((s, n) for s, n in ((1e-3, "ms"), (1e-7, "us")) if value >= s), (0, "ns"))
        return f"{value / UNITS[name]:.4g} {name}"
    if unit == "B":
        name = next((n for n in ("GB", "MB", "kB") if value >= UNITS[n]), "B")
        return f"{value / UNITS[name]:.4g} {name}"
    return f"{value:.4g}"


def settings(kind, constants, spread):
    return "; ".join([f"{name} = {quantity(value, unit)}" for (name, unit), value in zip(fields_of(kind), constants)]
                     + [f"spread = {spread:.3g}%"])


def part(table, constants, spread):
    """The text of one fit in a record."""
    if table.kind in ("matmul", "grouped"):
        f = FORMATS[table.name]
        word = "dense_" if table.kind == "matmul" else "experts_"
        casts = "; casts = true" if table.kind == "matmul" and f.casts else ""
        return (f"  {table.kind} {word}{f.name} {{\n    weights = {f.weights}; activations = {f.activations}{casts}\n"
                f"    {settings(table.kind, constants, spread)}\n  }}\n")
    if table.kind == "link":
        hop, *rest = constants
        latencies, lines = np.cumsum(rest[0::2]), ""
        for name, latency, share in zip(("small", "medium", "large"), latencies, rest[1::2]):
            lines += f"    {name} {{ latency = {quantity(latency, 's')}; share = {quantity(share, '%')} }}\n"
        return f"  {table.name} {{\n    hop = {quantity(hop, 's')}; spread = {spread:.3g}%\n{lines}  }}\n"
    return f"    {table.kind} {{ {settings(table.kind, constants, spread)} }}\n"


def record(device, source, fits, library):
    """The text of a device's calibration."""
    lines = f'\n/// Fitted by calibrate.py.\ncalibration {device} : Calibration {{\n  of     = "{device}"\n  source = "{source}"\n'
    for kind in ("matmul", "grouped"):
        lines += "".join(part(*f) for f in fits if f[0].kind == kind)
    latent = [f for f in fits if f[0].kind == "latent"]
    for name in dict.fromkeys(f[0].name for f in fits if f[0].kind in ("prefill", "decode")):
        own = [f for f in fits if f[0].kind in ("prefill", "decode") and f[0].name == name]
        backward = library.get((device, "attention", name), {}).get("backward")
        lines += f"  attention {name} {{\n" + "".join(part(*f) for f in own + latent) + (f"    backward = {backward}\n" if backward else "") + "  }\n"
    rows = next((library[key] for key in ((device, "rows", "rows"), ("A100_SXM", "rows", "rows")) if key in library))
    lines += "  rows { " + "; ".join(f"{name} = {value}" for name, value in rows.items()) + " }\n"
    return lines + "".join(part(*f) for f in fits if f[0].kind == "link") + "}\n"


# ---- all --------------------------------------------------------------------------------------------------------------
def tables_of(options, systems):
    tables = [t for t in operator_tables.shared(options.tables) if t.system in systems]
    source = "ai-dynamo/aiconfigurator"
    if options.clone:
        clone = operator_tables.Repository(options.clone)
        have = {(t.system, t.kind, t.name) for t in tables}
        tables += [t for t in operator_tables.repository(clone, systems) if (t.system, t.kind, t.name) not in have]
        source += ", " + clone.commit[:8]
    return [t for t in tables if t.kind not in ("matmul", "grouped") or t.name in FORMATS], source


def calibrate(options):
    library = committed()
    shared = ctypes.CDLL(str(BUILD / "bench/calibrate.so"))
    devices = options.device or list(SYSTEMS)
    tables, source = tables_of(options, [SYSTEMS[d] for d in devices])
    print(f"{'device':10} {'fit':24} {'rows':>5}   {'fitted here':>20}   {'std.calibration':>20}     median, 90%, mean of the errors in %")
    text = "// Written by calibrate.py.\nuse std.calibration { Calibration }\n"
    for device in devices:
        fits = []
        for table in (t for t in tables if t.system == SYSTEMS[device]):
            times = Times(shared, device, table)
            chosen = np.random.default_rng(0).random(len(table.seconds)) >= 0.3
            constants = fit(table.kind, times, table.seconds, chosen)
            others = lambda p: errors(times(p)[~chosen], table.seconds[~chosen])
            here, before = others(constants), known(library, device, table)
            if here[0] <= WORST:
                fits.append((table, constants, here[0]))
            show = lambda e: "{:6.1f} {:6.1f} {:+6.1f}".format(*e)
            print(f"{device:10} {table.kind + ' ' + table.name:24} {len(table.seconds):5}   {show(here)}   {show(others(before)) if before else '':>20}"
                  + ("" if here[0] <= WORST else "   left out"), flush=True)
        if fits:
            text += record(device, source, fits, library)
    options.output.write_text(text)
    print(f"written to {options.output}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=pathlib.Path)
    parser.add_argument("--clone", type=pathlib.Path)
    parser.add_argument("--device", action="append", choices=list(SYSTEMS))
    parser.add_argument("-o", dest="output", type=pathlib.Path, default=BUILD / "calibration.deploy")
    calibrate(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
