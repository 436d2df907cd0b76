#!/usr/bin/env python3
"""Puts the output of the demo (standard input) into README.md, between its two marks."""
import pathlib
import re
import sys

readme = pathlib.Path(__file__).resolve().parents[1] / "README.md"
output = sys.stdin.read().strip()
if "The same tokens" not in output:
    sys.exit("readme: the demo did not succeed; README.md stays as it is")
block = f"<!-- demo output: written by `make readme` -->\n```text\n{output}\n```\n<!-- end of demo output -->"
text = re.sub(r"<!-- demo output:.*?<!-- end of demo output -->", lambda _: block, readme.read_text(), flags=re.S)
readme.write_text(text)
