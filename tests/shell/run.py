#!/usr/bin/env python3
"""What is generated from the tables of the command line, and what `make install` installs: completion in a real bash and a real fish, and that
zsh can read its own, the page for `man`, a folder that is installed to and emptied again."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build/deployc")).resolve()


def deployc(*words):
    return subprocess.run([DEPLOYC, *words], capture_output=True, text=True, errors="replace", cwd=ROOT)


def commands():
    """Names of the commands, by the help."""
    return set(re.findall(r"^  deployc ([a-z][a-z-]*)(?: |$)", deployc("--help").stdout, re.M))


def completed(line):
    """What bash offers at the end of a line."""
    script = deployc("completion", "bash").stdout
    words = [w for w in re.split(r"(\s+|=)", line) if w and not w.isspace()] + ([""] if line[-1] in " " else [])
    quoted = " ".join(f"'{w}'" for w in words)
    ask = f"{script}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; compopt() {{ :; }}; _deployc; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    out = subprocess.run(["bash", "--norc", "-c", ask], capture_output=True, text=True, cwd=ROOT / "samples")
    assert not out.stderr, out.stderr
    return set(out.stdout.split())


def bash_completes():
    assert commands() <= completed("deployc "), commands() - completed("deployc ")
    assert completed("deployc pl") >= {"plan"} and "check" not in completed("deployc pl")
    assert "quickstart.deploy" in completed("deployc check quick")
    assert {"--deploy=", "--locked", "-D"} <= completed("deployc check -") and "--kernels" not in completed("deployc check --k")
    assert "--kernels" in completed("deployc plan --k")
    assert completed("deployc check --error-format=") >= {"text", "json", "sarif", "gcc"}
    assert completed("deployc completion ") >= {"bash", "zsh", "fish"}


def offered_by_fish(line):
    script = f'source ({DEPLOYC} completion fish | psub); complete -C "$argv"'
    done = subprocess.run(["fish", "--no-config", "-c", script, line], capture_output=True, text=True, cwd=ROOT / "samples")
    assert done.returncode == 0 and not done.stderr, done.stderr
    return {answer.partition("\t")[0] for answer in done.stdout.splitlines()}


def fish_completes():
    assert commands() <= offered_by_fish("deployc "), commands() - offered_by_fish("deployc ")
    assert "plan" in offered_by_fish("deployc pl") and "check" not in offered_by_fish("deployc pl")
    assert {"--deploy", "--locked", "-D"} <= offered_by_fish("deployc check -") and "--kernels" not in offered_by_fish("deployc check --k")
    assert "--kernels" in offered_by_fish("deployc plan --k")
    assert offered_by_fish("deployc check --error-format=") == {f"--error-format={form}" for form in ("text", "json", "sarif", "gcc")}
    assert offered_by_fish("deployc completion ") >= {"bash", "zsh", "fish"}


def every_offered_value_is_taken():
    for option, words in (("--emit=", ["samples/tiny_llama.deploy"]), ("--error-format=", ["check", "samples/tiny_llama.deploy"]), ("--color=", ["check", "samples/tiny_llama.deploy"]),
                          ("--target=", ["check", "samples/tiny_llama.deploy"])):
        values = completed(f"deployc {words[0] if words[0] == 'check' else 'x.deploy'} {option}") - {p.name for p in (ROOT / "samples").iterdir()}
        assert values, option
        for value in values:
            extra = ["--target=cuda"] if value == "ptx" else []
            done = deployc(*words, option + value, *extra)
            assert done.returncode == 0, (option, value, done.stderr[:300])


def other_shells_parse():
    for shell in ("bash", "zsh", "fish"):
        text = deployc("completion", shell).stdout
        missing = {c for c in commands() if c not in text}
        assert not missing, (shell, missing)
        done = subprocess.run([shell, "-n", "/dev/stdin"], input=text, capture_output=True, text=True)
        assert done.returncode == 0 and not done.stderr, (shell, done.stderr)
    refused = deployc("completion", "tcsh")
    assert refused.returncode == 2 and "bash, zsh and fish" in refused.stderr


def the_page_is_whole():
    page = deployc("man").stdout
    for command in commands():
        assert f".B deployc {command}" in page, command
    done = subprocess.run(["man", "--warnings", "-l", "-"], input=page, capture_output=True, text=True, env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0 and not done.stderr and "LAUNCHER" in done.stdout, done.stderr
    assert not re.search(r"^[.'](?!TH|SH|TP|B |I |RI |br)", page, re.M)


def installed_and_removed():
    with tempfile.TemporaryDirectory() as folder:
        make = ["make", "-s", f"DESTDIR={folder}", "PREFIX=/usr", f"BUILD={os.environ.get('BUILD', 'build')}"]
        subprocess.run([*make, "install"], cwd=ROOT, check=True, capture_output=True)
        prefix = pathlib.Path(folder, "usr")
        done = subprocess.run([prefix / "bin/deployc", "check", ROOT / "samples/quickstart.deploy"], capture_output=True, text=True, env={"PATH": "/nowhere"})
        assert done.returncode == 0 and "ranks" in done.stdout, done
        for name in ("man/man1/deployc.1", "bash-completion/completions/deployc", "zsh/site-functions/_deployc", "fish/vendor_completions.d/deployc.fish",
                     "deployc/editors/vim/plugin/deploy.lua", "deployc/editors/emacs/deploy-mode.el"):
            assert (prefix / "share" / name).stat().st_size > 100, name
        subprocess.run([*make, "uninstall"], cwd=ROOT, check=True, capture_output=True)
        assert not [p for p in prefix.rglob("*") if p.is_file()]


TESTS = [bash_completes, fish_completes, every_offered_value_is_taken, other_shells_parse, the_page_is_whole, installed_and_removed]


def main():
    wrong = 0
    for test in TESTS:
        try:
            test()
        except Exception as e:
            wrong += 1
            print(f"FAIL {test.__name__}: {type(e).__name__} {str(e)[:500]}")
    print(f"{len(TESTS) - wrong} passed, {wrong} failed")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
