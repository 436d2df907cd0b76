#!/usr/bin/env python3
"""The command line as people meet it: `deployc init` by options and by questions, the help of each command, options that a command does not take,
standard input in place of a file.

    commands.py [WORD ...]    only the tests whose name contains a word
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build/deployc")).resolve()
SPEC = "samples/quickstart.deploy"


def deployc(*words, text="", cwd=ROOT):
    return subprocess.run([DEPLOYC, *words], capture_output=True, text=True, input=text, errors="replace", cwd=cwd, timeout=60)


def names(kind, module):
    """Declared names of a kind in a file of the library."""
    return re.findall(rf"^{kind} (\w+)", (ROOT / f"stdlib/{module}.deploy").read_text(), re.M)


def ranks(text):
    """The product of the mesh that a spec sets."""
    product = 1
    for n in re.findall(r"\b(?:pp|dp|ep|tp) = (\d+)", text):
        product *= int(n)
    return product


# ---- init -------------------------------------------------------------------------------------------------------------
def init_writes_what_check_accepts():
    models = [m for m in names("model", "models") if m != "MoEDecoder"]
    for model in models[::6] + ["Llama_3_1_405B", "DeepSeek_V3"]:
        made = deployc("init", "--model", model, "--device", "H200")
        assert made.returncode == 0, f"{model}: {made.stderr}"
        checked = deployc("check", "-", text=made.stdout)
        assert checked.returncode == 0 and "usable" in checked.stdout, f"{model}: {checked.stderr}"
        formatted = deployc("fmt", "-", text=made.stdout)
        assert formatted.stdout == made.stdout, f"{model} is not in canonical form"


def init_uses_the_devices_it_is_given():
    for cluster in names("cluster", "clusters"):
        made = deployc("init", "--model", "Llama_3_2_1B", "--device", cluster, "--gpus", "4")
        assert made.returncode == 0 and ranks(made.stdout) == 4, f"{cluster}: {made.stdout}{made.stderr}"
    two = deployc("init", "--model", "Qwen3_30B_A3B", "--device", "H100", "--gpus", "16").stdout
    assert ranks(two) == 16 and "DGX_H100 { nodes = 2 }" in two, two
    small = deployc("init", "--model", "Llama_3_1_8B", "--device", "H100_SXM").stdout
    assert ranks(small) == 1 and "gpus     = 1" in small, small
    large = deployc("init", "--model", "Llama_3_1_70B", "--device", "H100").stdout
    half = large.replace(f"tp = {ranks(large)}", f"tp = {ranks(large) // 2}").replace(f"gpus     = {ranks(large)}", f"gpus     = {ranks(large) // 2}")
    assert ranks(large) > 1 and half != large and "E0701" in deployc("check", "-", text=half).stderr, "half as many devices hold the model too"


def init_knows_published_names():
    assert "model    = Qwen3_30B_A3B\n" in deployc("init", "--model", "Qwen/Qwen3-30B-A3B", "--device", "H100").stdout
    assert "which is not built" in deployc("init", "--model", "deepseek-ai/DeepSeek-V3", "--device", "H200", "--gpus", "16").stderr
    for words, said in ((["--model", "Llama_3_8B", "--device", "H100"], "`Llama_3_1_8B`"), (["--model", "Llama_3_1_8B", "--device", "H10"], "H100"),
                        (["--model", "Llama_3_1_8B", "--device", "H100", "--gpus", "none"], "1 or more"),
                        (["--model", "Llama_3_1_405B", "--device", "H100", "--gpus", "1"], "E0701")):
        done = deployc("init", *words)
        assert done.returncode == 1 and said in done.stderr and not done.stdout, f"{words}: {done.stderr}"


def init_asks():
    with tempfile.TemporaryDirectory() as folder:
        done = deployc("init", "-o", "a.deploy", text="Lama\nLlama_3_1_8B\n\n4\n", cwd=folder)
        text = (pathlib.Path(folder) / "a.deploy").read_text()
        assert done.returncode == 0 and "no model `Lama`" in done.stderr and ranks(text) == 4 and "DGX_H100" in text, done.stderr
        assert done.stderr.endswith("a.deploy is written; `deployc plan a.deploy` shows what it takes\n"), done.stderr
        done = deployc("init", "-o", "b.deploy", text="Llama_3_1_8B\n", cwd=folder)
        assert done.returncode == 1 and "no answer" in done.stderr and not (pathlib.Path(folder) / "b.deploy").exists(), done.stderr


def init_never_overwrites():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "mine.deploy"
        path.write_text("// mine\n")
        done = deployc("init", "--model", "Llama_3_1_8B", "--device", "H100", "-o", str(path))
        assert done.returncode == 1 and "not overwritten" in done.stderr and path.read_text() == "// mine\n", done.stderr


def init_takes_the_machine_that_is_here():
    with tempfile.TemporaryDirectory() as folder:
        here = pathlib.Path(folder) / "cluster.deploy"
        here.write_text("use std.hw { Cluster }\nuse std.clusters { H100_SXM, NVLink4 }\n\ncluster ThisMachine : Cluster {\n  device = H100_SXM\n"
                        "  level nvlink { count = 2; link = NVLink4; topology = switch }\n}\n")
        done = deployc("init", "--model", "Llama_3_1_8B", "--here", "cluster.deploy", "-o", "a.deploy", cwd=folder)
        assert done.returncode == 0, done.stderr
        checked = deployc("check", "a.deploy", cwd=folder)
        assert checked.returncode == 0 and "on 1 rank of ThisMachine" in checked.stdout, checked.stderr
        done = deployc("init", "--model", "Llama_3_1_70B", "--here", "cluster.deploy", "--gpus", "4", cwd=folder)
        assert done.returncode == 1 and "has 2 devices, 4 are asked for" in done.stderr, done.stderr
        here.write_text("use std.hw { Cluster }\n")
        done = deployc("init", "--model", "Llama_3_1_8B", "--here", "cluster.deploy", cwd=folder)
        assert done.returncode == 1 and "declares no cluster" in done.stderr, done.stderr


# ---- help -------------------------------------------------------------------------------------------------------------
def listed(text):
    """Options in a help: the long name, or the letter."""
    return set(re.findall(r"^  (?:-\w, )?(--[a-z-]+|-[A-Za-z])\b", text, re.M))


def commands():
    return sorted(set(re.findall(r"^  deployc ([a-z][a-z-]*)(?: |$)", deployc("--help").stdout, re.M)))


def help_is_about_one_command():
    everything = listed(deployc("--help").stdout)
    for command in set(commands()) - {"help"}:
        text = deployc("help", command).stdout
        assert text == deployc(command, "--help").stdout, command
        assert "Example: deployc " in text and "Exit status: 0;" in text and f"deployc {command}" in text.splitlines()[0], f"{command}: {text}"
        assert listed(text) < everything, command


def options_are_refused_by_name():
    values = {"--emit": "dag", "--format": "json", "--error-format": "json", "--color": "never", "--target": "cpu", "--cpu": "x86-64-v3", "-O": "1",
              "-D": "plan.tp=2"}
    everything = listed(deployc("--help").stdout) - {"--help", "--version", "-h"}
    for command in set(commands()) - {"help", "lsp"}:
        own = listed(deployc("help", command).stdout)
        for option in everything:
            takes_value = re.search(rf"^  (?:-\w, )?{option}[ =][A-Z]", deployc("--help").stdout, re.M) if option not in values else True
            word = [option, values.get(option, "1")] if takes_value else [option]
            done = deployc(command, *word, "none.deploy")
            assert "does not take" not in done.stderr or option not in own, f"{command} {option}: {done.stderr}"
            assert option in own or done.returncode == 2, f"{command} takes {option}, its help does not say so: {done.stdout}{done.stderr}"
    for option in ("--from=x", "--cluster=X", "--model=X", "--device=X", "--gpus=8", "--here=x", "--locked", "--quiet", "--upgrade", "--check", "--changes", "--markdown"):
        done = deployc(SPEC, "--emit=ast", option)                                 # a build has no name
        assert done.returncode == 2 and not done.stdout and option.partition("=")[0] in done.stderr, f"{option}: {done.stderr}"
    said = deployc("fmt", "-D", "plan.tp=2", SPEC).stderr
    assert "`fmt` does not take `-D`" in said and "`plan`" in said, said


def unknown_commands_get_a_suggestion():
    assert "did you mean `check`?" in deployc("chekc", SPEC).stderr and "did you mean `plan`?" in deployc("help", "plna").stderr


# ---- standard input ---------------------------------------------------------------------------------------------------
def specs_are_read_from_standard_input():
    text, other = (ROOT / SPEC).read_text(), "plan.tp=8"
    for words in (["check"], ["plan"], ["graph"], ["diff", "-D", other, "-D", "plan.ep=1"], ["what-if", "-D", "plan.tp=4,8"], ["search"], ["fmt"], ["--emit=dag"]):
        piped = deployc(*words, "-", text=text)
        named = subprocess.run([DEPLOYC, *words, "-"], capture_output=True, text=True, stdin=open(ROOT / SPEC), cwd=ROOT, timeout=60) if words == ["fmt"] \
            else deployc(*words, SPEC)
        same = piped.stdout.replace("standard input", SPEC).replace("<standard input>", SPEC)
        assert piped.returncode == named.returncode == 0 and same == named.stdout, f"{words}: {piped.stdout}{piped.stderr}"
    with tempfile.TemporaryDirectory() as folder:
        for words, name in ((["report"], "a.html"), (["trace"], "a.json")):
            done = deployc(*words, "-", "-o", f"{folder}/{name}", text=text)
            assert done.returncode == 0 and (pathlib.Path(folder) / name).stat().st_size, f"{words}: {done.stderr}"
        done = deployc("doc", "-", "-o", folder, text=text)
        assert done.returncode == 0 and (pathlib.Path(folder) / "standard_input.md").read_text().startswith("# standard_input\n"), done.stderr


def main():
    tests = [f for name, f in sorted(globals().items()) if callable(f) and f.__module__ == "__main__"
             and re.match(r"(init|help|options|unknown|specs)_", name) and (not sys.argv[1:] or any(w in name for w in sys.argv[1:]))]
    failed = 0
    for test in tests:
        try:
            test()
        except AssertionError as e:
            failed += 1
            print(f"FAIL {test.__name__}: {e}")
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
