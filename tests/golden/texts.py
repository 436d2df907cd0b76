#!/usr/bin/env python3
"""The exact output for each wrong spec and for COMMANDS, including notes, helps and edits. run.py checks which mistakes are reported; this
test shows when a text changes, so that someone reads the change.

    texts.py [WORD ...]           only the tests whose name contains a word
    texts.py --update [WORD ...]  writes tests/golden/texts; review the change
"""
import difflib
import re
import subprocess
import sys

import run

ROOT = run.HERE.parents[1]
TEXTS = run.HERE / "texts"
SPEC, FORM = "samples/tiny_mixtral.deploy", "--emit=dag"
# By name: arguments, in the project's folder.
COMMANDS = {
    "help": ["--help"], "version": ["--version"], "explain_index": ["explain"], "explain_two": ["explain", "E0503", "w0905"],
    "explain_unknown": ["explain", "E9999"], "nothing": [], "unknown_option": ["--emti=dag", SPEC], "unknown_letter": ["-z", SPEC],
    "far_option": ["--qqqqqqqqqqqq", SPEC], "value_to_flag": ["--help=1"], "no_value": ["check", SPEC, "-o"], "empty_value": ["--emit=", SPEC],
    "unknown_form": ["--emit=dag-locale", SPEC], "far_form": ["--emit=qqqqqqqq", SPEC], "level_word": ["-Ofast", SPEC], "level_4": ["-O4", SPEC],
    "error_format": ["check", "--error-format=xml", SPEC], "color": ["check", "--color=sometimes", SPEC], "target": ["--target=tpu", SPEC],
    "set_nothing": ["check", SPEC, "-D", "plan.tp="], "set_no_path": ["check", SPEC, "-D", "=2"], "set_digit": ["check", SPEC, "-D", "plan.2tp=2"],
    "set_dots": ["check", SPEC, "-D", "plan..tp=2"], "set_end": ["check", SPEC, "-D", "plan.=2"], "set_minus": ["check", SPEC, "-D", "plan.t-p=2"],
    "set_ok": ["check", SPEC, "-D", "plan.tp=2", "-D", "plan.ep=2"], "set_unknown": ["check", SPEC, "-D", "plan.tq=2"],
    "set_no_value": ["check", SPEC, "-D", "plan.tp= =2"], "set_two_items": ["check", SPEC, "-D", "plan.tp=2\nuse std.llama"],
    "unknown_command": ["chekc", SPEC], "no_command": ["qqqqqqqq"], "plan_serve": ["plan", "tests/golden/good/serve.deploy"],
    "no_spec": ["check"], "no_output": [SPEC], "two_specs": [SPEC, "samples/own_op.deploy", "-o", "/dev/null"], "plan_output": ["plan", SPEC, "-o", "/dev/null"],
    "plan_form": ["plan", SPEC, FORM], "check_output": ["check", SPEC, "-o", "/dev/null"], "check_form": ["check", SPEC, FORM],
    "check_flag": [SPEC, "--check", FORM], "markdown_flag": ["check", SPEC, "--markdown"], "fmt_output": ["fmt", SPEC, "-o", "/dev/null"],
    "fmt_form": ["fmt", SPEC, FORM], "import_nothing": ["import"], "import_two": ["import", "a", "b"], "import_form": ["import", "a", FORM],
    "doc_nothing": ["doc", "-o", "/dev/null"], "doc_no_folder": ["doc", "std"], "doc_form": ["doc", "std", "-o", "/dev/null", FORM],
    "doc_unknown_form": ["doc", "std", "-o", "/dev/null", "--format=pdf"], "no_file": ["check", "none.deploy"], "folder": ["check", "samples"],
    "output_nowhere": [SPEC, "-o", "/none/launcher"], "form_nowhere": [SPEC, FORM, "-o", "/none/form"], "doc_nowhere": ["doc", "std", "-o", "/dev/null"],
    "unknown_deploy": ["check", SPEC, "--deploy=None"], "unknown_cpu": [SPEC, "--cpu=none", "-o", "/dev/null"], "after_dashes": ["check", "--", "-z"],
    "check_library": ["check", "stdlib/llama.deploy", "stdlib/ops.deploy"], "check_two": ["check", SPEC, "samples/own_op.deploy"], "plan_json": ["plan", SPEC, "--format=json"], "plan_json_two": ["plan", "samples/own_plan.deploy", "--format=json"], "plan_unknown_form": ["plan", SPEC, "--format=yaml"],
    "check_format": ["check", SPEC, "--format=json"], "kernels_json": ["plan", SPEC, "--target=cuda", "--kernels", "--format=json"], "help_plan": ["help", "plan"], "graph": ["graph", SPEC], "graph_json": ["graph", "samples/tiny_llama.deploy", "--format=json"], "help_graph": ["graph", "--help"],
    "diff": ["diff", SPEC, "-D", "plan.tp=4", "-D", "plan.ep=1"], "diff_specs": ["diff", "samples/tiny_llama.deploy", SPEC], "diff_named": ["diff", "samples/own_plan.deploy:Sparse", "samples/own_plan.deploy:Dense"],
    "diff_json": ["diff", SPEC, "--format=json", "-D", "plan.tp=4", "-D", "plan.ep=1"], "diff_same": ["diff", SPEC, SPEC], "diff_training": ["diff", "tests/golden/good/serve.deploy:Train", "tests/golden/good/serve.deploy:Serve"],
    "diff_one": ["diff", SPEC], "diff_three": ["diff", SPEC, SPEC, SPEC], "diff_nothing": ["diff"], "diff_stdin": ["diff", "-", "-"], "diff_no_deploy": ["diff", SPEC + ":None", SPEC], "diff_several": ["diff", "samples/own_plan.deploy", SPEC],
    "diff_no_file": ["diff", SPEC, "none.deploy"], "diff_output": ["diff", SPEC, SPEC, "-o", "/dev/null"], "diff_mistake": ["diff", SPEC, "-D", "plan.tp=3"], "help_diff": ["diff", "--help"],
    "what_if": ["what-if", SPEC, "-D", "plan.tp=1,2,4", "-D", "plan.ep=1,2"], "what_if_json": ["what-if", SPEC, "-D", "plan.tp=2,4", "--format=json"], "what_if_auto": ["what-if", "tests/golden/good/serve.deploy", "--deploy=Serve", "-D", "plan.tp=4,auto", "-D", "gpus=8,auto"],
    "what_if_nothing": ["what-if", SPEC], "what_if_empty": ["what-if", SPEC, "-D", "plan.tp=1,,2"], "what_if_twice": ["what-if", SPEC, "-D", "plan.tp=1", "-D", "plan.tp=2"], "help_what_if": ["what-if", "--help"],
    "what_if_many": ["what-if", SPEC, *[word for name in ("tp", "ep", "pp", "dp") for word in ("-D", f"plan.{name}=1,2,3,4,5,6,7,8")]], "what_if_several": ["what-if", "samples/own_plan.deploy", "-D", "plan.tp=1,2"],
    "what_if_no_field": ["what-if", SPEC, "-D", "plan.tq=1,2"], "what_if_syntax": ["what-if", "tests/golden/e0004_block_in_op.deploy", "-D", "plan.tp=1,2"],
    "trace_no_output": ["trace", SPEC], "trace_form": ["trace", SPEC, FORM, "-o", "/dev/null"], "trace_no_times": ["trace", "samples/tiny_mixtral.deploy", "-o", "/dev/null"],
    "trace_training": ["trace", "tests/golden/good/serve.deploy", "--deploy=Train", "-o", "/dev/null"], "trace_format": ["trace", SPEC, "--format=json", "-o", "/dev/null"], "help_trace": ["help", "trace"], "trace_nowhere": ["trace", "samples/quickstart.deploy", "-o", "/none/trace.json"],
    "plan_loaded": ["plan", "tests/golden/good/loaded.deploy", "--deploy=InOrder"],
    "what_if_loaded": ["what-if", "tests/golden/good/loaded.deploy", "--deploy=AtRandom", "-D", "workload.batch=16,64"],
    "diff_times": ["diff", "samples/quickstart.deploy", "-D", "plan.tp=8", "-D", "plan.ep=1"], "what_if_times": ["what-if", "samples/quickstart.deploy", "-D", "plan.tp=4,8", "-D", "plan.ep=1,2"],
    "report_no_output": ["report", SPEC], "report_form": ["report", SPEC, FORM], "report_unknown_form": ["report", SPEC, "-o", "/dev/null", "--format=pdf"], "report_nowhere": ["report", SPEC, "-o", "/none/report.html"],
    "report_auto": ["report", "tests/golden/good/serve.deploy", "--deploy=Serve", "-o", "/dev/null"], "report_several": ["report", "samples/own_plan.deploy", "-o", "/dev/null"], "help_report": ["help", "report"],
    "search": ["search", SPEC], "search_auto": ["search", "tests/golden/good/serve.deploy", "--deploy=Serve"],
    "shared": ["plan", "samples/shared.deploy", "--deploy=Both"], "shared_what_if": ["what-if", "samples/shared.deploy", "--deploy=Both", "-D", "Chat.workload.batch=64,256"],
    "pools": ["plan", "samples/pools.deploy", "--deploy=Chat"], "pools_check": ["check", "samples/pools.deploy", "--deploy=Chat"], "pools_graph": ["graph", "samples/pools.deploy", "--deploy=Chat"],
    "pools_what_if": ["what-if", "samples/pools.deploy", "--deploy=Chat", "-D", "rate=2 sequences/s,8 sequences/s,20 sequences/s", "-D", "Writer.workload.batch=32,64"],
    "fmt_yaml": ["fmt", "--check", "tests/golden/e0010_yaml.deploy"], "init_unknown": ["init", "--model", "GPT2_9B", "--device", "H100"], "help_init": ["help", "init"],
    "init": ["init", "--model", "Qwen/Qwen3-30B-A3B", "--device", "H200", "--gpus", "8"],
    "search_output": ["search", SPEC, "-o", "/dev/null"], "search_several": ["search", "samples/own_plan.deploy"], "help_search": ["search", "--help"],
    "search_mistake": ["search", SPEC, "-D", "model.layers=none"], "search_many": ["search", SPEC, *[word for name in ("tp", "ep", "pp", "dp") for word in ("-D", f"plan.{name}=auto in 1..18")]],
    **{f"{name}_guess": [*words, "tests/golden/e0101_unknown_import.deploy", *more] for name, words, more in (("plan", ["plan"], []), ("plan_json", ["plan", "--format=json"], []), ("graph", ["graph"], []), ("search", ["search"], []), ("what_if", ["what-if"], ["-D", "plan.tp=4,8"]), ("diff", ["diff"], ["-D", "plan.tp=4"]))},
    "plan_repaired": ["plan", "tests/golden/e0003_open_bracket.deploy"], "set_repaired": ["plan", SPEC, "-D", "plan.tp=(2"], "trace_auto": ["trace", "tests/golden/good/serve.deploy", "--deploy=Serve", "-o", "/dev/null"],
    "graph_form": ["graph", SPEC, FORM], "graph_unknown_form": ["graph", SPEC, "--format=svg"], "graph_several": ["graph", "samples/own_plan.deploy"], "graph_training": ["graph", "tests/golden/good/serve.deploy", "--deploy=Train"],
    "graph_auto": ["graph", "tests/golden/good/serve.deploy", "--deploy=Serve"], "graph_nowhere": ["graph", SPEC, "-o", "/none/graph.dot"],  "several_deploys": ["plan", "samples/own_plan.deploy"],
    **{f"plan_{name}": ["plan", f"samples/{name}.deploy"] for name in ("tiny_llama", "tiny_mixtral", "mixtral_8x22b", "quickstart")},
    **{f"form_{form.replace('-', '_')}": ["samples/tiny_mixtral.deploy", f"--emit={form}"] for form in ("ast", "dag", "dag-local", "dag-sched")},
    "form_dag_latent": ["tests/golden/w0516_latent.deploy", "--emit=dag"],
    **{f"import_{path.parent.name}": ["import", str(path.parent.relative_to(ROOT))] for path in sorted((ROOT / "tests" / "fixtures").glob("*/config.json"))},
}


def printed(done):
    """Removes line numbers: run.py checks those of the file, and those of the library change with every edit of it."""
    text = re.sub(r"^ *(?:\d+ |(?= [|=]|-->))", " ", done.stdout + done.stderr, flags=re.M)
    return re.sub(r"(std\.\w+):\d+", r"\1", text) + f"exit {done.returncode}\n"


def command(arguments):
    return subprocess.run([run.DEPLOYC, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def main(arguments):
    words = [a for a in arguments if a != "--update"]
    passed = failed = 0
    tests = [(path.stem, lambda path=path: run.deployc(path)) for path in run.specs()]
    tests += [(f"command_{name}", lambda arguments=arguments: command(arguments)) for name, arguments in COMMANDS.items()]
    for name, done in tests:
        if words and not any(w in name for w in words):
            continue
        kept, now = TEXTS / f"{name}.txt", printed(done())
        if "--update" in arguments:
            kept.parent.mkdir(exist_ok=True)
            kept.write_text(now)
        before = kept.read_text() if kept.exists() else ""
        passed += before == now
        if before != now:
            failed += 1
            changes = difflib.unified_diff(before.splitlines(), now.splitlines(), "before", "now", lineterm="", n=0)
            print(f"FAIL {name}: " + "\n    ".join(["another text; `tests/golden/texts.py --update` if it is right", *changes]))
    stems = {name for name, _ in tests}
    for kept in [] if words else sorted(TEXTS.glob("*.txt")):
        if kept.stem not in stems:
            failed += 1
            print(f"FAIL {kept.name}: nothing has that name")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
