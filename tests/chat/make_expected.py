#!/usr/bin/env python3
"""Makes expected/*.json: what Jinja2 makes of templates/*.jinja with each conversation, and of expressions.txt. Needs `jinja2`."""
import json
import pathlib

import jinja2

import conversations
import expressions
import reference

HERE = pathlib.Path(__file__).resolve().parent


def write(path, value):
    path.parent.mkdir(exist_ok=True)
    lines = [f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in value.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main():
    made = {"made by": f"Jinja2 {jinja2.__version__}"}
    for file in sorted((HERE / "templates").glob("*.jinja")):
        template = file.read_text()
        write(HERE / "expected" / f"{file.stem}.json",
              made | {name: reference.render(template, conversations.variables(c)) for name, c in conversations.CONVERSATIONS.items()})
    write(HERE / "expected" / "expressions.json", made | {t: reference.render(t, expressions.VARIABLES) for t in expressions.TEMPLATES})


if __name__ == "__main__":
    main()
