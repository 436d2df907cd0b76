#!/usr/bin/env python3
"""A library to link with, in place of the C library's: names, versions and sizes of what the real one exports, and none of its code.

    stub.py LIBRARY STUB        reads LIBRARY (libc.so.6, libm.so.6), writes the shared library STUB; CC assembles and links it
"""
import collections
import os
import pathlib
import re
import subprocess
import sys

SYMBOL = re.compile(r"^ *\d+: (?P<at>[0-9a-f]+) +(?P<size>\d+|0x[0-9a-f]+) (?P<type>\w+) +(?P<bind>\w+) +\w+ +(?P<section>\w+) (?P<name>[^@ ]+)@@(?P<version>\S+)$", re.M)


def exports(library):
    """Symbols that a program links with: one for each name, with its default version."""
    table = subprocess.run(["readelf", "-W", "--dyn-syms", library], capture_output=True, text=True, check=True).stdout
    for m in SYMBOL.finditer(table):
        if m["section"] not in ("UND", "ABS") and m["type"] in ("FUNC", "IFUNC", "OBJECT") and m["version"] != "GLIBC_PRIVATE":
            yield m


def assembly(symbols):
    """Functions share one address. Names of one object share one too, as a program that copies the object needs it."""
    functions = [m["name"] for m in symbols if m["type"] != "OBJECT"]
    objects = collections.defaultdict(list)
    for m in symbols:
        if m["type"] == "OBJECT":
            objects[m["at"]].append(m)
    lines = ["\t.text", *(f"\t.globl {n}\n\t.type {n}, @function\n{n}:" for n in functions), "\thlt", "\t.data"]
    for at in sorted(objects):
        size = max(int(m["size"], 0) for m in objects[at])
        lines += [f"\t.balign {min(32, size & -size) or 1}"]
        lines += [f"\t.globl {m['name']}\n\t.type {m['name']}, @object\n\t.size {m['name']}, {int(m['size'], 0)}\n{m['name']}:" for m in objects[at]]
        lines += [f"\t.zero {size}"]
    return "\n".join([*lines, '\t.section .note.GNU-stack, "", @progbits', ""])


def versions(symbols):
    names = collections.defaultdict(list)
    for m in symbols:
        names[m["version"]].append(m["name"])
    nodes = [f"{v} {{ global: {' '.join(f'{n};' for n in sorted(names[v]))} }};" for v in sorted(names)]
    return "\n".join([*nodes, "DEPLOYC_NOTHING { local: *; };", ""])


def main():
    library, stub = sys.argv[1], pathlib.Path(sys.argv[2])
    symbols = list(exports(library))
    source, script = stub.with_suffix(".s"), stub.with_suffix(".map")
    source.write_text(assembly(symbols))
    script.write_text(versions(symbols))
    compiler = os.environ.get("CC", "gcc").split()
    subprocess.run([*compiler, "-shared", "-nostdlib", f"-Wl,-soname,{pathlib.Path(library).name}", f"-Wl,--version-script={script}", "-s", "-o", stub, source], check=True)
    source.unlink()
    script.unlink()


if __name__ == "__main__":
    sys.exit(main())
