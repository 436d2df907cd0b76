#!/usr/bin/env python3
"""Chat templates compared with Jinja2, which made expected/*.json (make_expected.py).

    run.py ANSWER                   templates/*.jinja with each conversation, expressions, refusals, limits
    run.py ANSWER --random COUNT    templates with COUNT random conversations, and 2 COUNT random templates, if Jinja2 is at hand
"""
import json
import pathlib
import random
import subprocess
import sys
import time

import conversations
import expressions

HERE = pathlib.Path(__file__).resolve().parent
RAISED = "TemplateError: "


def ask(answer, questions):
    """The answer to each (template, variables), or what was said instead."""
    text = "".join(json.dumps({"template": t, "variables": v}) + "\n" for t, v in questions)
    ran = subprocess.run([answer], input=text.encode(), capture_output=True)
    found = [json.loads(line) for line in ran.stdout.split(b"\n") if line]
    return found + [{"crashed": ran.stderr.decode()[-300:]}] * (len(questions) - len(found))


class Count:
    def __init__(self):
        self.passed = self.failed = 0

    def expect(self, what, found, expected, good):
        if good:
            self.passed += 1
            return
        self.failed += 1
        if self.failed < 20:
            print(f"FAIL {what}\n    found    {str(found)[:900]}\n    expected {str(expected)[:900]}")

    def agree(self, what, found, expected):
        """The same text, or both refuse; what a template itself refuses, in its words."""
        if "error" not in expected:
            self.expect(what, found, expected, found == expected)
            return
        raised = expected["error"].removeprefix(RAISED) if expected["error"].startswith(RAISED) else None
        good = "error" in found and (raised is None or f"the template refuses: {raised[:60]}" in found["error"])
        self.expect(what, found, expected, good)

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0


def compare_templates(count, answer):
    for file in sorted((HERE / "templates").glob("*.jinja")):
        expected, template = json.loads((HERE / "expected" / f"{file.stem}.json").read_text()), file.read_text()
        found = ask(answer, [(template, conversations.variables(c)) for c in conversations.CONVERSATIONS.values()])
        for name, f in zip(conversations.CONVERSATIONS, found, strict=True):
            count.agree(f"{file.name}: {name}", f, expected[name])


def compare_expressions(count, answer):
    expected = json.loads((HERE / "expected" / "expressions.json").read_text())
    for t, f in zip(expressions.TEMPLATES, ask(answer, [(t, expressions.VARIABLES) for t in expressions.TEMPLATES]), strict=True):
        count.agree(repr(t), f, expected[t])


def check_refusals(count, answer):
    for (t, text), f in zip(expressions.REFUSED.items(), ask(answer, [(t, expressions.VARIABLES) for t in expressions.REFUSED]), strict=True):
        expected = {"error": f"template: {text}"}
        count.expect(repr(t), f, expected, f == expected)


# What takes forever, or very much, unless it is stopped: the end of what is said.
LOOP = "{% for i in range(100000) %}"
LIMITS = {
    LOOP + LOOP + "{% endfor %}{% endfor %}": "takes too many steps",
    "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}": "is nested too deeply",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}": "takes more than 512 MiB of memory",
    "{% set ns = namespace(s='0123456789' * 100) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}": "takes more than 512 MiB of memory",
    "{{ 'x' * 1000000000 }}": "takes too many steps",
    "{{ [1] * 1000000000 }}": "takes more than 512 MiB of memory",
    "{% set x = 'x' * 1000000 %}" + LOOP + "{{ x }}{% endfor %}": "makes a text of more than 64 MiB",
    LOOP + "{% set x = 'a' * 100000 %}{% endfor %}": "takes too many steps",
    LOOP + "{% set x = s + s %}{% endfor %}": "`s` is undefined",
    "{{ 'x' | indent(1000000000) }}": "takes too many steps",
    "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}": "is nested too deeply",
    "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l == ns.l }}": "is nested too deeply",
    "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | tojson }}": "takes too many steps",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}": "is nested too deeply",
    "{{ " + "[" * 60 + "1" + "]" * 60 + " }}": None,
    "{{ " + "not " * 5000 + "1 }}": "is nested too deeply",
    "{{ " + "-" * 5000 + "1 }}": "is nested too deeply",
    "{{ x" + "[0]" * 5000 + " }}": "is nested too deeply",
    "{{ 1" + " + 1" * 5000 + " }}": "is nested too deeply",
    "{{ x" + "|trim" * 5000 + " }}": "is nested too deeply",
    "{% if x %}" * 5000: "is nested too deeply",
    "{% if x %}" + "{% elif x %}" * 5000 + "{% endif %}": "is nested too deeply",
    "{{ 1" + " ~ 1" * 5000 + " }}": None,
    "{% set x = 1 %}" * 5000: None,
    "x" * (1 << 20): None,
    "x" * (1 + (1 << 20)): "a template has at most 1048576 bytes",
}


def check_limits(count, answer):
    for t, text in LIMITS.items():
        start = time.monotonic()
        f = ask(answer, [(t, {})])[0]
        seconds = time.monotonic() - start
        good = "text" in f if text is None else f.get("error", "").endswith(text)
        count.expect(repr(t[:100]), {k: v[:200] for k, v in f.items()}, text, good)
        count.expect(f"{t[:100]!r}: seconds", seconds, "at most 60", seconds < 60)
    for depth, good in ((1000, True), (3000, False)):
        nested = "leaf"
        for _ in range(depth):
            nested = [nested]
        line = '{"template": "{{ x }}", "variables": {"x": ' + "[" * depth + "1" + "]" * depth + "}}"
        ran = subprocess.run([answer], input=line.encode(), capture_output=True)
        count.expect(f"a value {depth} deep", ran, good, ran.returncode == 0 and (b'"text"' in ran.stdout) == good)


def compare_random(count, answer, n):
    import random_templates
    import reference
    templates = {file.name: file.read_text() for file in sorted((HERE / "templates").glob("*.jinja"))}
    for first in range(0, n, 100):
        r = random.Random(first)
        talks = [conversations.random_conversation(r) for _ in range(min(100, n - first))]
        questions = [(t, v) for t in templates.values() for v in talks]
        for (t, v), f in zip(questions, ask(answer, questions), strict=True):
            count.agree(f"{t[:60]!r} {json.dumps(v)}", f, reference.render(t, v))
        small = [make(r) for _ in talks for make in (random_templates.random_template, random_templates.scopes)]
        for t, f in zip(small, ask(answer, [(t, expressions.VARIABLES) for t in small]), strict=True):
            random_templates.compare(count, t, f, reference.render(t, expressions.VARIABLES))


def main():
    answer, words = sys.argv[1], sys.argv[2:]
    count = Count()
    if words[:1] == ["--random"]:
        compare_random(count, answer, int(words[1]))
    else:
        compare_templates(count, answer)
        compare_expressions(count, answer)
        check_refusals(count, answer)
        check_limits(count, answer)
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
