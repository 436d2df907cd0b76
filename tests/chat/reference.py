"""Jinja2 as transformers sets it up for chat templates, with a clock that stands still: that of answer.c. Needs the package `jinja2`."""
import datetime
import json

import jinja2
import jinja2.ext
import jinja2.sandbox

NOW = datetime.datetime(2025, 3, 5, 16, 7, 9)


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def environment():
    e = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    e.filters["tojson"] = tojson
    e.globals["raise_exception"] = raise_exception
    e.globals["strftime_now"] = NOW.strftime
    return e


ENVIRONMENT = environment()


def render(template, variables):
    """{"text": ...} as answer.c says it, or {"error": ...} in other words."""
    try:
        return {"text": ENVIRONMENT.from_string(template).render(**variables)}
    except Exception as e:  # whatever a template can make Python raise
        return {"error": f"{type(e).__name__}: {e}"}
