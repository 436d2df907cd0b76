#!/usr/bin/env python3
"""A wheel, as pip installs it, from a folder of what it holds.

    wheel.py PREFIX FOLDER       PREFIX has bin/, lib/ and share/; the wheel is written to FOLDER, and its name is printed

Programs of bin/ are installed as scripts, all else as data: below the folder of the environment, where PREFIX says. The tag names the
oldest C library that has all versions of symbols that the wheel's files, and launchers, ask for."""
import base64
import hashlib
import os
import pathlib
import platform
import re
import subprocess
import sys
import zipfile

STATIC = ["libjansson4", "libpcre2-8-0", "libutf8proc2", "libllvm19", "libstdc++6", "zlib1g", "libzstd1"]
SUMMARY = "Compiler for .deploy, which deploys language models: checks, plans, and builds launchers without a compiler or a package"


def needs(path):
    """The newest version of the C library that a file asks for."""
    table = subprocess.run(["objdump", "-T", path], capture_output=True, text=True, check=True).stdout
    return max([(2, 0), *(tuple(map(int, v.split("."))) for v in re.findall(r"\*UND\*.*\(?GLIBC_([0-9.]+)", table))])


def launcher_needs(prefix):
    """The same of a launcher."""
    out = prefix.parent / "launcher"
    subprocess.run([prefix / "bin/deployc", "samples/tiny_mixtral.deploy", "-o", out], check=True, env={k: v for k, v in os.environ.items() if k != "CC"})
    return needs(out)


def entry(archive, name, data, executable=False):
    info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
    info.external_attr = (0o100755 if executable else 0o100644) << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, data, compresslevel=6)
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"


def licences():
    for package in STATIC:
        yield package, pathlib.Path("/usr/share/doc", package, "copyright").read_bytes()
    yield "Apache-2.0", pathlib.Path("/usr/share/common-licenses/Apache-2.0").read_bytes()


def main():
    prefix, folder = pathlib.Path(sys.argv[1]).absolute(), pathlib.Path(sys.argv[2])
    version = subprocess.run([prefix / "bin/deployc", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    files = sorted(p for p in prefix.rglob("*") if p.is_file())
    programs = [p for p in files if p.read_bytes()[:4] == b"\x7fELF" and p.parent.name != "link"]
    glibc = max(*(needs(p) for p in programs), launcher_needs(prefix))
    tag = f"py3-none-manylinux_{glibc[0]}_{glibc[1]}_{platform.machine()}"
    info, name = f"deployc-{version}.dist-info", f"deployc-{version}-{tag}.whl"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("deployc-*.whl"):
        old.unlink()
    with zipfile.ZipFile(folder / name, "w") as archive:
        record = ""
        for path in files:
            inner = path.relative_to(prefix)
            where = f"scripts/{inner.relative_to('bin')}" if inner.parts[0] == "bin" else f"data/{inner}"
            record += entry(archive, f"deployc-{version}.data/{where}", path.read_bytes(), os.access(path, os.X_OK))
        for package, text in licences():
            record += entry(archive, f"{info}/licenses/{package}", text)
        metadata = f"Metadata-Version: 2.1\nName: deployc\nVersion: {version}\nSummary: {SUMMARY}\nRequires-Python: >=3.7\n"
        record += entry(archive, f"{info}/METADATA", metadata.encode())
        record += entry(archive, f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: packages/wheel.py\nRoot-Is-Purelib: false\nTag: {tag}\n".encode())
        entry(archive, f"{info}/RECORD", (record + f"{info}/RECORD,,\n").encode())
    print(folder / name)


if __name__ == "__main__":
    sys.exit(main())
