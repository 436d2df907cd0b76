"""The lists of words in files for editors are those of the compiler's tables, and the compiler takes each word of them for what it is."""
import pathlib
import subprocess
import tempfile

import words
from corpus import DEPLOYC


def checked(text):
    with tempfile.TemporaryDirectory() as folder:
        spec = pathlib.Path(folder, "a.deploy")
        spec.write_text(text)
        return subprocess.run([DEPLOYC, "check", "-q", spec], capture_output=True, text=True).stderr


def tests():
    for file, old, new in words.texts():
        yield f"lists of {file.name}", old == new, True
    tables = words.tables()
    # A name that is reserved cannot be a field; a unit after a number, a format as a value are accepted.
    for word in tables["Word"] + tables["Value"]:
        yield f"{word} is reserved", "E0005" in checked(f"schema S {{\n  {word} : Int\n}}\n"), True
    yield "every name is a field", [word for word in {*tables["Kind"], *tables["Function"]} if checked(f"schema S {{\n  {word} : Int\n}}\n")], []
    fields = "".join(f"  f{i} : DType\n" for i in range(len(tables["Format"]) + 1))
    values = "".join(f"  f{i} = {name}\n" for i, name in enumerate([*tables["Format"], "f33"]))
    found = checked(f"schema S {{\n{fields}}}\nworkload W : S {{\n{values}}}\n")
    yield "formats", ("cannot find `f33`" in found, found.count("E0101")), (True, 1)
    units = "".join(f"  u{i} = 1 {unit}\n" for i, unit in enumerate(tables["Unit"]))
    yield "units", checked(f"schema S {{\n{units}}}\n"), ""
    yield "a unit that is none", "E0005" in checked("schema S {\n  a = 1 GBs\n}\n"), True
