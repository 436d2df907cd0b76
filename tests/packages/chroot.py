#!/usr/bin/env python3
"""Installs the packages of `make packages` in a bare Debian and uses them there: `make packages-check`, as root, with a mirror of Debian.

    chroot.py PACKAGES [BARE]       the .deb and the .whl of this folder; BARE: a system that `debootstrap --variant=minbase bookworm`
                                    made a moment ago; else one is made in PACKAGES

First the wheel, by pip, where there is no compiler, no linker and no LLVM; then the .deb, by dpkg, with the packages that it asks for.
In both, `deployc check` says what it says outside, and a launcher that is built inside gives the tokens of one built outside."""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPECS = ["samples/tiny_mixtral.deploy", "samples/tiny_chat.deploy"]
RUNS = {"samples/tiny_mixtral.deploy": ["--weights", "tests/fixtures/mixtral", "--ids", "1,15,7,42", "--max-tokens", "16"],
        "samples/tiny_chat.deploy": ["--weights", "samples/tiny_chat", "--prompt", "Why is the sky blue?"]}
COPIED = [*SPECS, "samples/tiny_chat", "tests/fixtures/mixtral"]


def say(text):
    print(text, flush=True)


def run(*words, cwd=ROOT):
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, errors="replace", cwd=cwd)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: status {done.returncode}\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
    return done.stdout


def bare_system(folder):
    """A Debian with the required packages only; that of an earlier run is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    run("debootstrap", "--variant=minbase", "bookworm", folder)
    return folder


def copy_inputs(folder):
    for path in COPIED:
        target = folder / "use" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / path).is_dir() else shutil.copy)(ROOT / path, target)


@contextlib.contextmanager
def mounted(folder):
    """deployc finds its own folder, and ranks find each other's processes, by /proc."""
    run("mount", "-t", "proc", "proc", folder / "proc")
    try:
        yield
    finally:
        run("umount", "--lazy", folder / "proc")           # who looks for something in all folders has it open


def inside(folder, line):
    return run("chroot", folder, "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8",
               "sh", "-ec", f"cd /use; {line}")


def quoted(words):
    return " ".join(f"'{w}'" for w in words)


def output(text):
    """What a launcher generated, without its times."""
    return [line for line in text.splitlines() if line.strip() and not re.match(r"(ttft|decode|memory):", line)]


def works(folder, deployc, outside):
    checked = inside(folder, f"{deployc} check {' '.join(SPECS)}")
    assert checked == run(outside, "check", *SPECS), checked
    say(f"  deployc check: {checked.splitlines()[0]}")
    for spec in SPECS:
        launcher = outside.parent / "packages/outside"
        inside(folder, f"{deployc} {spec} -o launcher")
        run(outside, spec, "-o", launcher)
        got, expected = output(inside(folder, f"./launcher run {quoted(RUNS[spec])} --threads 1")), output(run(launcher, "run", *RUNS[spec], "--threads", "1"))
        assert got and got == expected, (got, expected)
        say(f"  {spec}: {got[0][:100]}")


def lacks(folder, *programs):
    for program in programs:
        assert not inside(folder, f"command -v {program} || true").strip(), program
    say(f"  the system has none of: {' '.join(programs)}; LLVM: {inside(folder, 'find / -xdev -name libLLVM* | grep -v /use/venv || true').strip() or 'none'}")


def wheel(folder, packages, outside):
    path, = packages.glob("*.whl")
    say(f"wheel: {path.name}, {path.stat().st_size} B")
    shutil.copy(path, folder / "use")
    inside(folder, "apt-get -q update && apt-get -q install -y --no-install-recommends python3-venv")
    inside(folder, f"python3 -m venv venv && venv/bin/pip install --no-index {path.name}")
    lacks(folder, "cc", "gcc", "ld", "as", "make")
    works(folder, "venv/bin/deployc", outside)
    inside(folder, "venv/bin/pip uninstall -y deployc")
    left = inside(folder, "find venv -path '*deployc*' -not -type d").strip()
    assert not left, left
    say("  pip uninstall leaves no file of it")
    inside(folder, "rm -rf venv launcher")


def deb(folder, packages, outside):
    path, = packages.glob("*.deb")
    say(f"deb: {path.name}, {path.stat().st_size} B, asks for {run('dpkg-deb', '-f', path, 'Depends').strip()}")
    shutil.copy(path, folder / "use")
    before = inside(folder, "dpkg-query -W -f '${Package}\\n'").split()
    inside(folder, f"dpkg --unpack {path.name} && apt-get -q install -y -f --no-install-recommends")
    assert inside(folder, "dpkg-query -W -f '${db:Status-Status}' deployc") == "installed"
    after = inside(folder, "dpkg-query -W -f '${Package}\\n'").split()
    say(f"  dpkg and apt install it with {len(after) - len(before) - 1} other packages")
    works(folder, "deployc", outside)
    inside(folder, "apt-get -q purge -y deployc")
    left = inside(folder, "find /usr /etc /var/lib/dpkg/info -name '*deployc*'").strip()
    assert not left, left
    say("  apt purge leaves no file of it")


def main():
    packages = pathlib.Path(sys.argv[1]).resolve()
    outside = packages.parent / "deployc"
    if os.getuid() != 0 or not shutil.which("debootstrap"):
        sys.exit("chroot.py needs root and debootstrap: apt install debootstrap")
    folder = pathlib.Path(sys.argv[2]).resolve() if sys.argv[2:] else bare_system(packages / "bare")
    copy_inputs(folder)
    say(f"a bare Debian {(folder / 'etc/debian_version').read_text().strip()}, {len(list((folder / 'var/lib/dpkg/info').glob('*.list')))} packages")
    with mounted(folder):
        wheel(folder, packages, outside)
        deb(folder, packages, outside)
    shutil.rmtree(folder)
    say("2 passed, 0 failed")


if __name__ == "__main__":
    sys.exit(main())
