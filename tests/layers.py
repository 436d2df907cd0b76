#!/usr/bin/env python3
"""A folder includes only headers of folders above it, and of itself, and calls nothing else: what each object file defines and needs
says so too. Data flows in one direction, and so do includes and calls. Files of WITHOUT_CYCLES do not call each other in circles. The
README of a folder names each of its files. Fields of machines are looked up in one file."""
import collections
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ORDER = ["support", "lexer", "parser", "sema", "import", "target", "dag", "planner", "engines", "doc", "codegen", "lsp", "driver"]
FOLDERS = [*ORDER, "codegen/cpu", "codegen/gpu", "text", "text/jinja", "runtime"]
SOURCES = (".c", ".h", ".y", ".l", ".def", ".sh", ".py")
# Code for one kind of device; the files of codegen/ that know of it.
DEVICES, KNOW_DEVICES = re.compile(r"codegen/\w+/"), re.compile(r"codegen/(\w+/|module\b)|driver/")
ALSO = {"runtime": {"support/config_type.h", "support/escape.h", "support/hash.h", "support/lfs.h", "support/round.h", "support/stage_order.h", "support/staging.h", "support/timeline.h",
                    "text/chat_template.h", "text/tokenizer.h"},
        "text": {"runtime/no_memory.h", "support/escape.h", "support/lfs.h"},
        "import": {"runtime/config_value.h", "runtime/json_text.h", "runtime/no_memory.h"},
        "engines": {"runtime/json_text.h"}, "target": {"runtime/abi.h"}, "dag": {"runtime/abi.h"}, "planner": {"runtime/abi.h"}, "codegen": {"runtime/abi.h"}}
ALSO["planner"] |= {"runtime/host_alloc.h", "runtime/pages.h", "runtime/scheduler.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
# The scanner and the parser of one grammar know each other: tokens are declared by bison.
PAIR = {"lexer": {"parser"}}
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build"))
WITHOUT_CYCLES = re.compile(r"dag/(lower|params|pad|queues|schedule|buffers|kernel|fuse)|codegen/|runtime/|text/")
# The file that looks up the fields of std.hw; fields that it reads through others; names that also mean something else, and where.
MACHINE = "sema/deploy_machine.c"
READ_THROUGH_OTHERS = {"unidirectional", "bidirectional", "stated"}
OTHER_MEANINGS = {("device", "sema/deploy.c"), ("link", "sema/deploy.c"), ("device", "sema/module.c"), ("link", "sema/module.c"),
                  ("device", "sema/foreign_name.c"), ("device", "sema/types.c"), ("device", "driver/init.c"), ("devices", "driver/init.c"),
                  ("calibration", "sema/deploy.c"), ("calibration", "sema/module.c"),
                  *((field, "sema/deploy_calibration.c") for field in ("generation", "latency", "matmul", "memory")),
                  ("generation", "text/jinja/parse.c"),
                  ("memory", "sema/deploy_fields.c"), ("count", "sema/eval_call.c"), ("count", "planner/goals.c"), ("count", "sema/deploy_load.c"), ("latency", "planner/goals.c"), ("latency", "planner/load.c"), ("host", "dag/queues.c"), ("peak", "driver/what_if.c"),
                  *((word, "planner/page_html.c") for word in ("count", "devices", "peak")),
                  ("link", "planner/page_terms.c"), ("memory", "planner/page_terms.c"), *(("count", f"text/jinja/{file}") for file in ("filter_list.c", "filter_text.c", "methods.c"))}
MEMBER = re.compile(r'\bjson_set\(\w+, "[a-z_]+"')       # of a JSON object
# The definition of a symbol that whoever links the file must have.
DEMANDED = {"no_memory", "host_alloc", "host_free", "host_bug"}


def allowed(user, target):
    folder = user.split("/")[0]
    if DEVICES.match(str(target)) and not KNOW_DEVICES.match(user):
        return False
    if folder in ("runtime", "text"):
        return target.parts[0] == folder or str(target) in ALSO[folder]
    above = set(ORDER[:ORDER.index(folder) + 1]) | PAIR.get(folder, set())
    return target.parts[0] in above or str(target) in ALSO.get(folder, set())


def unnamed(readme):
    """Files beside the README, and in folders below without one, that it does not name: `name` or `folder/name`."""
    text, below = readme.read_text(), [p.parent for p in readme.parent.rglob("README.md") if p != readme]
    files = [p for p in sorted(readme.parent.rglob("*")) if p.suffix in SOURCES and not any(b in p.parents for b in below)]
    return [p for p in files if not re.search(rf"`([\w/]+/)?{re.escape(p.name)}`", text)]


# ---- machines ---------------------------------------------------------------------------------------------------------
def wrong_lookups():
    """Fields of machines that no file looks up, or another one than MACHINE does."""
    fields = set(re.findall(r"^  ([a-z_]+) *[:=]", (ROOT / "stdlib/hw.deploy").read_text(), re.M)) - READ_THROUGH_OTHERS
    for folder in FOLDERS[FOLDERS.index("sema"):-1]:
        for file in sorted((ROOT / folder).glob("*.[ch]")):
            name = f"{folder}/{file.name}"
            words = set(re.findall(r'"([a-z_]+)"', MEMBER.sub("", file.read_text()))) & fields
            if name == MACHINE:
                yield from (f"FAIL {name} does not look up `{field}` of std.hw" for field in sorted(fields - words))
            else:
                yield from (f"FAIL {name} looks up `{field}` of std.hw" for field in sorted(words) if (field, name) not in OTHER_MEANINGS)


# ---- symbols ----------------------------------------------------------------------------------------------------------
def calls():
    """What each object file needs of others: {"dag/lower": {"dag/buffers": {"place_buffers"}}}."""
    where, needs = collections.defaultdict(set), {}
    for folder in FOLDERS:
        for file in sorted((BUILD / folder).glob("*.o")):
            name = f"{folder}/{file.stem}"
            for line in subprocess.run(["nm", "-g", file], capture_output=True, text=True, check=True).stdout.splitlines():
                kind, symbol = line.split()[-2:]
                if kind == "U":
                    needs.setdefault(name, set()).add(symbol)
                else:
                    where[symbol].add(name)
    graph = collections.defaultdict(lambda: collections.defaultdict(set))
    for user, symbols in needs.items():
        for symbol in symbols - DEMANDED:
            for owner in where.get(symbol, set()) - {user}:
                graph[user][owner].add(symbol)
    return graph


def cycle(graph, files):
    """Files that call each other in a cycle, or None."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return [*path[path.index(name):], name]
        if name in done:
            return None
        path.append(name)
        for owner in sorted(graph[name]):
            found = visit(owner) if owner in files else None
            if found:
                return found
        done.add(path.pop())
        return None
    return next((found for name in sorted(files) if (found := visit(name))), None)


def wrong_calls():
    graph = calls()
    if not graph:
        yield f"FAIL {BUILD} has no object files: `make` first"
    for user, owners in sorted(graph.items()):
        for owner, symbols in sorted(owners.items()):
            source = next((p for end in (".c", ".y", ".l") if (p := pathlib.Path(owner + end)) and (ROOT / p).exists()), pathlib.Path(owner + ".c"))
            header = source.with_suffix(".h")
            if not (allowed(user, source) or allowed(user, header)):
                yield f"FAIL {user} calls {', '.join(sorted(symbols))} of {owner}"
    found = cycle(graph, {name for name in graph if WITHOUT_CYCLES.match(name)})
    if found:
        yield f"FAIL {found[0]} calls itself: {' -> '.join(found)}"


def main():
    passed, wrong = 0, []
    for readme in [ROOT / folder / "README.md" for folder in (*FOLDERS, "tests/gpu")]:
        wrong += [f"FAIL {path.relative_to(ROOT)} is not in {readme.relative_to(ROOT)}" for path in unnamed(readme)]
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).glob("*.[chly]")):
            passed += 1
            for name in INCLUDE.findall(file.read_text()):
                found = [p for p in (file.parent / name, ROOT / name) if p.exists()]
                # Missing files are generated (grammar.tab.h).
                if found and not allowed(str(file.relative_to(ROOT)), found[0].resolve().relative_to(ROOT)):
                    wrong.append(f"FAIL {file.relative_to(ROOT)} includes {name}")
    wrong += [*wrong_lookups(), *wrong_calls()]
    print("\n".join(wrong) + "\n" if wrong else "", end="")
    print(f"{passed - len({w.split()[1] for w in wrong})} passed, {len(wrong)} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
