#!/usr/bin/env python3
"""Every field of transformers' configuration classes is a name in the family's `config`, or is harmless. A constant in `absent` is the
default of the class.

    fields.py                   the committed lists, transformers.json, against the families of the library
    fields.py --transformers    and the lists against the transformers that this Python has
    fields.py --record          writes the lists
"""
import dataclasses
import json
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from harness import DEPLOYC, Failed, Folder, Report, need_deployc, spec                       # noqa: E402

LISTS = HERE / "transformers.json"
FAMILIES = {"llama": "llama", "mixtral": "mixtral", "qwen3": "qwen3", "qwen3_moe": "qwen3_moe", "deepseek": "deepseek_v3",
            "olmoe": "olmoe", "gemma3": "gemma3_text", "gpt_oss": "gpt_oss",              # our fixture: its model_type
            "qwen2": "qwen2", "mistral": "mistral", "phi3": "phi3", "granite": "granite", "granitemoe": "granitemoe",
            "olmo2": "olmo2", "glm4": "glm4", "glm4_moe": "glm4_moe", "qwen2_moe": "qwen2_moe",
            "ernie4_5": "ernie4_5", "ernie4_5_moe": "ernie4_5_moe", "minimax_m2": "minimax_m2",
            "deepseek_v2": "deepseek_v2", "gemma2": "gemma2", "llama4": "llama4_text", "qwen3_vl": "qwen3_vl_text", "qwen3_vl_moe": "qwen3_vl_moe_text", "gpt2": "gpt2"}
NOT_A_DEFAULT = object()


def ask_transformers():
    import transformers
    lists = {"transformers": transformers.__version__}
    for kind in FAMILIES.values():
        fields = {}
        for f in dataclasses.fields(transformers.CONFIG_MAPPING[kind]):
            if f.default is not dataclasses.MISSING:
                fields[f.name] = f.default
            else:
                fields[f.name] = f.default_factory() if f.default_factory is not dataclasses.MISSING else None
        lists[kind] = fields
    return lists


def of_family(model, folder):
    """Names of its `config` with what `absent` says of them, and harmless names."""
    file = folder / f"{model}.deploy"
    file.write_text(spec(model, 1))
    done = subprocess.run([DEPLOYC, file, "--emit=dag"], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise Failed(done.stderr.strip()[:200])
    config = {m[1]: m[2] for m in re.finditer(r"^config (\S+) = .*?(?: absent (.*?))?(?: null differs)?$", done.stdout, re.M)}
    harmless = re.findall(r'"([^"]*)"', re.search("^harmless(.*)$", done.stdout, re.M)[1])
    return config, harmless


def meant(text):
    """A value as `absent` of the dump shows it."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return NOT_A_DEFAULT


def check(model, fields, folder):
    config, harmless = of_family(model, folder)
    known = {name.split(".")[0] for name in [*config, *harmless]}
    unknown = sorted(set(fields) - known)
    if unknown:
        raise Failed(f"in none of `config` and `harmless`: {', '.join(unknown)}")
    for name, default in fields.items():
        absent = config.get(name)
        if absent is not None and default is not None and meant(absent) != default:
            raise Failed(f"absent says {name} = {absent}, transformers {json.dumps(default)}")
    return f"{len(fields)} fields"


def compare(lists):
    recorded = json.loads(LISTS.read_text())
    if lists == recorded:
        return lists["transformers"]
    for kind in FAMILIES.values():
        for name in sorted({*lists[kind], *recorded[kind]}):
            here, there = (c[kind].get(name, "nothing") for c in (recorded, lists))
            if here != there:
                raise Failed(f"{kind}.{name} is {there!r} in transformers {lists['transformers']}, {here!r} in {recorded['transformers']}")
    return f"{lists['transformers']}, as {recorded['transformers']}"


def main():
    words = sys.argv[1:]
    if "--record" in words:
        LISTS.write_text(json.dumps(ask_transformers(), indent=1) + "\n")
        return 0
    report = Report()
    if "--transformers" in words:
        report.check("the installed transformers", lambda: compare(ask_transformers()))
        return report.end()
    need_deployc()
    recorded = json.loads(LISTS.read_text())
    with Folder() as folder:
        for model, kind in FAMILIES.items():
            report.check(f"fields of {kind}", lambda: check(model, recorded[kind], folder))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
