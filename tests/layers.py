#!/usr/bin/env python3
"""A folder includes only headers of folders above it, and of itself. Data flows in one direction, and so do includes. The README of a
folder names each of its files."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ORDER = ["support", "lexer", "parser", "sema", "import", "target", "dag", "planner", "doc", "codegen", "driver"]
ALSO = {"runtime": {"support/config_type.h", "support/escape.h"},
        "import": {"runtime/config_value.h", "runtime/json_text.h", "runtime/no_memory.h"},
        "dag": {"runtime/abi.h"}, "planner": {"runtime/abi.h"}, "codegen": {"runtime/abi.h"}}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
# The scanner and the parser of one grammar know each other: tokens are declared by bison.
PAIR = {"lexer": {"parser"}}


def allowed(folder, target):
    if folder == "runtime":
        return target.parts[0] == "runtime" or str(target) in ALSO[folder]
    above = set(ORDER[:ORDER.index(folder) + 1]) | PAIR.get(folder, set())
    return target.parts[0] in above or str(target) in ALSO.get(folder, set())


def unnamed(folder):
    """Files of the folder that its README does not name."""
    readme = (ROOT / folder / "README.md").read_text()
    files = [p.name for p in sorted((ROOT / folder).iterdir()) if p.suffix in (".c", ".h", ".y", ".l", ".def", ".sh")]
    return [name for name in files if f"`{name}`" not in readme]


def main():
    passed, wrong = 0, []
    for folder in [*ORDER, "runtime"]:
        if (ROOT / folder).is_dir():
            wrong += [f"FAIL {folder}/{name} is not in {folder}/README.md" for name in unnamed(folder)]
        for file in sorted((ROOT / folder).glob("*.[chly]")):
            passed += 1
            for name in INCLUDE.findall(file.read_text()):
                found = [p for p in (file.parent / name, ROOT / name) if p.exists()]
                # What is not there is generated (grammar.tab.h).
                if found and not allowed(folder, found[0].resolve().relative_to(ROOT)):
                    wrong.append(f"FAIL {file.relative_to(ROOT)} includes {name}")
    print("\n".join(wrong) + "\n" if wrong else "", end="")
    print(f"{passed - len({w.split()[1] for w in wrong})} passed, {len(wrong)} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
