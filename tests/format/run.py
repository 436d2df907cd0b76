#!/usr/bin/env python3
"""deployc fmt: the modules of in/ become those of out/; the library and the samples are in canonical form. For every .deploy
file of the project, and for random mutations of them:

  * only white space changes: without it, the text is the same before and after, and so is the tree;
  * formatting again changes nothing;
  * other spaces inside lines, tabs and CRLF give the same canonical form;
  * a module that does not parse is rejected with exit status 1 and unchanged.

    run.py [SEED]       the mutations of another seed
"""
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).absolute()
PIECE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|\d[\w.]*(?: ?[A-Za-z%][\w/^%*]*)?|\w+|->|\.\.\.|\.\.|@\[|[<>=!]=|\S', re.S)
MUTATIONS = 12                          # of each file

passed = failed = 0


def report(wrong, what):
    global passed, failed
    passed += not wrong
    failed += bool(wrong)
    if wrong:
        print(f"FAIL {what}: {wrong}")


def fmt(*arguments, text=None):
    return subprocess.run([DEPLOYC, "fmt", *arguments], input=text, capture_output=True, timeout=60)


def tree(path):
    """The tree, or None where a module that it uses cannot be read from here."""
    done = subprocess.run([DEPLOYC, path.name, "--emit=ast"], cwd=path.parent, capture_output=True, timeout=60)
    return done.stdout


def without_blanks(text):
    return re.sub(rb"[ \t\r\n]", b"", text.removeprefix(b"\xef\xbb\xbf"))


# ---- mutations ----------------------------------------------------------------------------------------------------------

def inner_blanks(text, rng):
    """Other spaces between the tokens of lines without a comment; tokens and newlines are the same."""
    lines, within = [], False
    for line in text.split("\n"):
        code = not within and "//" not in line and "/*" not in line and '"' not in line
        within = (within or "/*" in line) and "*/" not in line
        if code and line.strip():
            space = lambda m: rng.choice([" ", "  ", "\t", " \t "]) if m[0] else ""
            # A number keeps the single space before its unit.
            line = re.sub(r"(?<![\d.)]) +(?=[^ A-Za-z%]|[a-z_]+\b)", space, line.lstrip())
            line = rng.choice(["", " ", "\t", "     "]) + line + rng.choice(["", " ", "\t"])
        lines.append(line)
    return "\n".join(lines).replace("\n", rng.choice(["\n", "\r\n"]))


def any_mutation(text, rng):
    """Spaces and comments in odd places; in every other module also a few newlines and lost tokens, which may break it."""
    matches = list(PIECE.finditer(text))
    out, end = [], 0
    rate, hard = rng.choice([0.01, 0.05, 0.3]), rng.choice([0, 2]) / (len(matches) + 1)
    for match in matches:
        out.append(text[end:match.start()])
        end = match.end()
        piece = match[0]
        if rng.random() < hard:
            piece = rng.choice([piece + "\n", "\n" + piece, piece + " // c\n", piece + "/* c\n c */", piece + "\n\n", piece + ";",
                                "", piece + " " + piece, "{", "}", "("])
        elif rng.random() < rate and text[end:end + 1] == "\n":
            piece += rng.choice(["\n", "\n\n\n", "// c", "  // c\r\n" + rng.randrange(30) * " " + "// c", "\n/// d", "\n/* c\n  c */ \t"])
        elif rng.random() < rate:
            piece = rng.choice([piece + "\t", "  " + piece, "/* c */" + piece, piece + " /* c */"])
        out.append(piece)
    return "".join(out) + text[end:]


# ---- tests --------------------------------------------------------------------------------------------------------------

def expected_forms():
    for path in sorted((HERE / "in").iterdir()):
        want, done = (HERE / "out" / path.name).read_bytes(), fmt("-", text=path.read_bytes())
        wrong = done.stderr.decode() or ("" if done.stdout == want else "other text than in out/")
        report(wrong, f"in/{path.name}")
        report("" if fmt("-", text=want).stdout == want else "changes when formatted again", f"out/{path.name}")


def canonical_files():
    files = sorted([*ROOT.glob("stdlib/*.deploy"), *ROOT.glob("samples/*.deploy")])
    done = fmt("--check", *files)
    for path in files:
        report("not in canonical form" if str(path) in done.stdout.decode().splitlines() else "", path.relative_to(ROOT))


def command_line(folder):
    path, wrong = folder / "a.deploy", folder / "b.deploy"
    path.write_text("a=1\n")
    wrong.write_text("a = = 1\n")
    done = fmt("--check", path)
    report("" if (done.returncode, done.stdout.decode()) == (1, f"{path}\n") else "not named", "--check of another form")
    report("" if path.read_text() == "a=1\n" else "written to", "--check writes nothing")
    done = fmt(path, wrong)
    report("" if done.returncode == 1 and b"E0005" in done.stderr + done.stdout else "not refused", "a module that does not parse")
    report("" if wrong.read_text() == "a = = 1\n" and path.read_text() == "a = 1\n" else "other text", "files in place")
    before = path.stat()
    done = fmt(path)
    report("" if done.returncode == 0 and path.stat().st_ino == before.st_ino else "written again", "a file in canonical form")
    report("" if fmt(text=b"a=1").stdout == b"a = 1\n" else "other text", "standard input without a file")
    report("" if fmt(folder / "none.deploy").returncode == 1 else "no failure", "a missing file")
    # tests/unit/test_language.c has files of older versions, by a table of its own.
    path.write_text("language=1\na=1\n")
    wrong.write_text("language = 99\na = $ 1\n")
    done = fmt("--upgrade", path, wrong)
    codes = re.findall(rb"\[([EW]\d{4})\]", done.stderr)
    report("" if done.returncode == 1 and codes == [b"E0014"] else f"{codes}", "--upgrade of a newer file")
    report("" if path.read_text() == "language = 1\na        = 1\n" or path.read_text() == "language = 1\na = 1\n" else path.read_text(), "--upgrade of a file of today")
    report("" if wrong.read_text() == "language = 99\na = $ 1\n" else "written to", "--upgrade leaves a newer file")
    report("" if fmt("--upgrade", "-", text=b"a=1").stdout == b"a = 1\n" else "other text", "--upgrade without a version")
    report("" if sorted(p.name for p in folder.iterdir()) == ["a.deploy", "b.deploy"] else "something is left", "temporary files")


def format_folder(folder):
    """Formats all files of the folder; gives the names of those that formatting again would change, and whether it died."""
    files, again, died = sorted(folder.glob("*.deploy")), set(), False
    for first in range(0, len(files), 100):
        some = files[first:first + 100]
        died |= fmt(*some).returncode not in (0, 1)
        done = fmt("--check", *some)
        died |= done.returncode not in (0, 1)
        again |= {pathlib.Path(name).name for name in done.stdout.decode().splitlines()}
    return again, died


def properties(folder, seed):
    corpus = [p for p in sorted(ROOT.glob("**/*.deploy")) if "build" not in p.relative_to(ROOT).parts[0]]
    texts, same_form = {}, {}
    for index, path in enumerate(corpus):
        text = path.read_bytes().decode("utf-8", "replace")
        rng = random.Random(f"{seed} {index}")
        base = f"{index:03}"
        texts[f"{base}.deploy"] = text
        for k in range(MUTATIONS):
            texts[f"{base}_{k:02}.deploy"] = any_mutation(text, rng)
        if path.parent.name in ("stdlib", "samples", "good"):
            for k in range(3):
                texts[f"{base}_b{k}.deploy"] = inner_blanks(text, rng)
                same_form[f"{base}_b{k}.deploy"] = f"{base}.deploy"
    was = folder / "was"
    now = folder / "now"
    was.mkdir()
    for name, text in texts.items():
        (was / name).write_bytes(text.encode())
    shutil.copytree(was, now)
    unstable, died = format_folder(now)
    report("died" if died else "", "formatting all")
    changed = 0
    for name in sorted(texts):
        before, after = (was / name).read_bytes(), (now / name).read_bytes()
        changed += before != after
        wrong = ""
        if name in unstable:
            wrong = "formatting again changes it"
        elif without_blanks(before) != without_blanks(after):
            wrong = "more than white space changed"
        elif name in same_form and after != (now / same_form[name]).read_bytes():
            wrong = "other spaces give another form"
        elif before != after and ("_" not in name or name.endswith("0.deploy")) and tree(was / name) != tree(now / name):
            wrong = "another tree"
        if wrong:
            shutil.copy(was / name, f"/tmp/fmt_{name}") if os.environ.get("KEEP") else None
        report(wrong, f"{corpus[int(name[:3])].relative_to(ROOT)} as {name}, seed {seed}")
    report("" if changed > len(texts) // 3 else f"only {changed} of {len(texts)} modules were formatted", "mutations")


def main(arguments):
    if not DEPLOYC.exists():
        sys.exit(f"{DEPLOYC} is missing: run `make`, or set DEPLOYC")
    expected_forms()
    canonical_files()
    for test in (command_line, lambda folder: properties(folder, arguments[0] if arguments else "1")):
        with tempfile.TemporaryDirectory() as folder:
            test(pathlib.Path(folder))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
