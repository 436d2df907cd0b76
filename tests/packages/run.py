#!/usr/bin/env python3
"""What is in the packages that `make packages` makes: that nothing is missing, that they ask for what they need and no more, and that the
wheel's deployc builds a launcher where there is no compiler. tests/packages/chroot.py installs them in a bare system."""
import base64
import csv
import gzip
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build")).resolve()
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", BUILD / "deployc")).resolve()
PACKAGES = BUILD / "packages"
SPEC = "samples/tiny_mixtral.deploy"
RUN = ["run", "--weights", "tests/fixtures/mixtral", "--ids", "1,15,7,42", "--max-tokens", "16", "--threads", "1"]
# Libraries that a manylinux system has (PEP 600 and its policies).
SYSTEM = {"libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2", "libdl.so.2", "libpthread.so.0"}


def out(*words, **more):
    return subprocess.run([*map(str, words)], capture_output=True, text=True, errors="replace", cwd=ROOT, check=True, **more).stdout


def version():
    return out(DEPLOYC, "--version").split()[1]


def needed(path):
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", out("readelf", "-d", path)))


def newest(path):
    """The newest version of the C library among those that a file needs, by the section that the dynamic linker checks."""
    part = out("readelf", "-V", path).partition(".gnu.version_r'")[2]
    return max([(0,)] + [tuple(map(int, v.split("."))) for v in re.findall(r"Name: GLIBC_([0-9.]+)", part)])


def ids(launcher):
    return re.search(r"^ids: .*", out(launcher, *RUN), re.M)[0]


def installed_editors():
    return {p.relative_to(ROOT).as_posix() for p in (ROOT / "editors").rglob("*")
            if p.is_file() and p.suffix not in (".md", ".py", ".vsix") and not {"node_modules", "__pycache__"} & set(p.parts)}


# ---- the .deb -----------------------------------------------------------------------------------------------------
def deb_is_whole(work):
    deb, = PACKAGES.glob("*.deb")
    out("dpkg-deb", "-x", deb, work)
    fields = dict(re.findall(r"^ ?([A-Z][\w-]*): (.*)$", out("dpkg-deb", "-f", deb), re.M))
    assert fields["Version"] == version() and fields["Package"] == "deployc", fields
    binary = work / "usr/bin/deployc"
    asked = set(re.findall(r"[\w.+-]+(?= \(|,|$)", fields["Depends"]))
    loaded = set(re.findall(r"^libLLVM\.so[.\d]*$", out("strings", "-a", binary), re.M))
    assert loaded
    for library in needed(binary) | loaded:
        owners = set(re.findall(r"^([\w.+-]+)\S*: /(?:usr/)?lib/x86_64-linux-gnu/", out("dpkg-query", "-S", f"*/x86_64-linux-gnu/{library}"), re.M))
        assert owners & asked, (library, owners, asked)
    assert {"gcc", "libc6-dev"} <= asked, asked
    page = gzip.decompress((work / "usr/share/man/man1/deployc.1.gz").read_bytes()).decode()
    assert version() in page
    share = work / "usr/share"
    assert {p.relative_to(share / "deployc").as_posix() for p in (share / "deployc").rglob("*") if p.is_file()} == installed_editors()
    for file in ("bash-completion/completions/deployc", "zsh/site-functions/_deployc", "fish/vendor_completions.d/deployc.fish", "doc/deployc/copyright"):
        assert (share / file).stat().st_size > 1000, file
    assert "ranks" in out(binary, "check", SPEC)


# ---- the wheel ----------------------------------------------------------------------------------------------------
def unpacked(work):
    """The wheel as pip lays it out below a prefix."""
    wheel, = PACKAGES.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            m = re.match(r"deployc-[^/]*\.data/(?:data/|scripts/)(.*)", info.filename)
            if m:
                path = work / (m[1] if "/data/" in info.filename else f"bin/{m[1]}")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(info))
                path.chmod(info.external_attr >> 16)
    return wheel, work


def wheel_is_recorded(work):
    wheel, = PACKAGES.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert len(names) == len(set(names))
        record, = (n for n in names if n.endswith("/RECORD"))
        rows = {row[0]: row for row in csv.reader(archive.read(record).decode().splitlines())}
        assert set(rows) == set(names), set(rows) ^ set(names)
        for name, digest, size in rows.values():
            data = archive.read(name)
            sum_ = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert name == record or (digest, size) == (f"sha256={sum_}", str(len(data))), name
        info = record.rpartition("/")[0]
        assert f"Version: {version()}\n" in archive.read(f"{info}/METADATA").decode()
        tag = re.search(r"^Tag: (.*)$", archive.read(f"{info}/WHEEL").decode(), re.M)[1]
        assert wheel.name == f"deployc-{version()}-{tag}.whl", wheel.name
        texts = b"".join(archive.read(n) for n in names if "/licenses/" in n)
        for words in (b"Apache License", b"LLVM Exceptions", b"GCC RUNTIME LIBRARY EXCEPTION", b"University of Cambridge", b"Upstream-Name: Zstd", b"Jean-loup Gailly", b"utf8proc", b"Petri Lehtinen"):
            assert words.lower() in texts.lower(), words


def wheel_asks_for_what_its_tag_says(work):
    wheel, work = unpacked(work)
    out(work / "bin/deployc", SPEC, "-o", work / "launcher", env={"PATH": "/nowhere"})
    files = [p for p in work.rglob("*") if p.is_file() and p.read_bytes()[:4] == b"\x7fELF" and p.parent.name != "link"]
    inside = {p.name for p in files}
    assert len(files) == 4, files
    for path in files:
        assert needed(path) <= inside | SYSTEM, (path, needed(path))
        assert all(p.startswith("$ORIGIN") for p in re.findall(r"\(R(?:UN)?PATH\).*\[(.*)\]", out("readelf", "-d", path)))
    tag = tuple(map(int, re.search(r"manylinux_(\d+)_(\d+)_x86_64", wheel.name).groups()))
    assert tag == max(map(newest, files)), (tag, {p.name: newest(p) for p in files})


def wheel_links_without_a_compiler(work):
    _, work = unpacked(work)
    nothing = {"PATH": "/nowhere", "TMPDIR": str(work)}
    out(work / "bin/deployc", SPEC, "-o", work / "launcher", env=nothing)
    assert "LLD" in out("readelf", "-p", ".comment", work / "launcher")
    out(DEPLOYC, SPEC, "-o", work / "other")
    assert ids(work / "launcher") == ids(work / "other")
    out(work / "bin/deployc", "samples/tiny_llama.deploy", "--target=cuda", "-o", work / "cuda", env=nothing)
    # CC still chooses a compiler, and what the linker says of a failure is shown.
    refused = subprocess.run([work / "bin/deployc", SPEC, "-o", work / "never"], capture_output=True, text=True, cwd=ROOT, env={**nothing, "CC": "no-such-compiler"})
    assert refused.returncode == 1 and "no-such-compiler" in refused.stderr, refused
    (work / "lib/deployc/link/libm.so.6").unlink()
    refused = subprocess.run([work / "bin/deployc", SPEC, "-o", work / "never"], capture_output=True, text=True, cwd=ROOT, env=nothing)
    assert refused.returncode == 1 and "libm.so.6" in refused.stderr and not (work / "never").exists(), refused


def stubs_are_names_only(work):
    """Each name that a program can link with is in the stub, with its version, type and size; and there is no code."""
    _, work = unpacked(work)
    row = re.compile(r" (\d+) (FUNC|IFUNC|OBJECT) +\w+ +\w+ +(?!UND|ABS)\w+ (\S+)@@(GLIBC_[\d.]+)$", re.M)
    for name in ("libc.so.6", "libm.so.6"):
        tables = []
        for path in (work / "lib/deployc/link" / name, out("gcc", f"-print-file-name={name}").strip()):
            found = row.findall(out("readelf", "-W", "--dyn-syms", path))
            tables.append({(symbol, v, kind == "OBJECT", size if kind == "OBJECT" else "") for size, kind, symbol, v in found})
        assert tables[0] == tables[1] and len(tables[0]) > 500, tables[0] ^ tables[1]
        text = re.search(r" \.text +PROGBITS +\w+ +\w+ +(\w+)", out("readelf", "-W", "-S", work / "lib/deployc/link" / name))[1]
        assert int(text, 16) < 16, text


TESTS = [deb_is_whole, wheel_is_recorded, wheel_asks_for_what_its_tag_says, wheel_links_without_a_compiler, stubs_are_names_only]


def main():
    wrong = 0
    for test in TESTS:
        work = pathlib.Path(tempfile.mkdtemp())
        try:
            test(work)
        except Exception as e:
            wrong += 1
            print(f"FAIL {test.__name__}: {type(e).__name__} {str(e)[:500]} {str(getattr(e, 'stderr', ''))[:500]}")
        shutil.rmtree(work)
    print(f"{len(TESTS) - wrong} passed, {wrong} failed")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
