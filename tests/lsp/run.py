#!/usr/bin/env python3
"""The language server, asked over the protocol: each answer is compared with what the text says, or with what `deployc` prints."""
import inspect
import itertools
import json
import os
import pathlib
import random
import re
import resource
import subprocess
import sys
import tempfile

from client import CAPABILITIES, DEPLOYC, ROOT, Client, apply, place

CHAT = (ROOT / "samples/quickstart.deploy").read_text()
LARGE = CHAT.replace("tp = 4; ep = 2", "tp = 8; ep = 1").replace("batch = 128;", "batch = 100_000;")


BUGS = DEPLOYC.parent / "tests" / "lsp" / "bugs"            # `make test-lsp` makes it

TESTS = []


def test(function):
    TESTS.append(function)
    return function


class session:
    """A server with an open document; its end is checked."""

    def __init__(self, text=CHAT, words=(), options=None, capabilities=CAPABILITIES, files=None):
        self.text, self.given, self.files = text, (words, options, capabilities), files

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        roots = None
        for name, text in (self.files or {}).items():                            # of the folder of a workspace
            path = roots = pathlib.Path(self.folder.name, "specs", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.client = Client(self.folder.name, *self.given, [pathlib.Path(self.folder.name, "specs")] if roots else None)
        if self.text is not None:
            self.client.open("a.deploy", self.text)
        return self.client

    def __exit__(self, kind, *_):
        if kind is None:
            status, errors = self.client.close()
            assert status == 0 and not errors, (status, errors)
        else:
            self.client.process.kill()
        self.folder.cleanup()


def labels(client, position):
    return [item["label"] for item in client.at("completion", "a.deploy", position)]


def hovered(client, position):
    hover = client.at("hover", "a.deploy", position)
    return hover["contents"]["value"] if hover else None


def check_json(text):
    """What `deployc check` reports, as objects."""
    with tempfile.NamedTemporaryFile("w", suffix=".deploy") as f:
        f.write(text)
        f.flush()
        out = subprocess.run([DEPLOYC, "check", "--error-format=json", f.name], capture_output=True, text=True)
    return [json.loads(line) for line in out.stderr.splitlines()]


# ---- diagnostics ------------------------------------------------------------------------------------------------------
@test
def diagnostics_are_those_of_check():
    together = [(ROOT / "tests/golden" / f"{name}.deploy").read_text() for name in ("e0611_pools", "e0611_shared", "e0613_shared", "e0812_pools")]   # `serve`, `share`
    for text in (CHAT.replace("10 s", "10 GB"), CHAT.replace("Megatron {", "Megatro {"), LARGE, *together):
        expected = check_json(text)
        assert expected, text
        with session(text) as c:
            c.diagnostics("a.deploy")
            found = c.ask("textDocument/diagnostic", {"textDocument": {"uri": c.uri("a.deploy")}})["items"]
            assert [d["code"] for d in found] == [d["code"] for d in expected], (found, expected)
            for d, e in zip(found, expected):
                assert d["range"]["start"] == {"line": e["line"] - 1, "character": e["column"] - 1}, (d, e)
                assert d["message"].startswith(e["message"]) and d["severity"] == (1 if e["severity"] == "error" else 2)
                assert len(d["relatedInformation"]) == len(e["related"])
                assert pathlib.Path(d["codeDescription"]["href"].removeprefix("file://")).read_text().startswith(f"{e['severity']}[{d['code']}]")


@test
def what_is_of_no_use_has_a_tag():
    text = CHAT.replace("  require", "  // deploy: allow W0811 a reason\n  require")
    with session(text) as c:
        found = c.ask("textDocument/diagnostic", {"textDocument": {"uri": c.uri("a.deploy")}})["items"]
        assert [(d["code"], d["tags"]) for d in found] == [("W0013", [1])], found
    with session(CHAT.replace("10 s", "200 ms")) as c:
        found = c.ask("textDocument/diagnostic", {"textDocument": {"uri": c.uri("a.deploy")}})["items"]
        assert [d["code"] for d in found] == ["W0811"] and "tags" not in found[0], found


@test
def verdicts_on_times_come_second():
    text = CHAT.replace("10 s", "200 ms")                                        # within the interval: open
    with session(text) as c:
        assert c.diagnostics("a.deploy") == []
        assert [d["code"] for d in c.diagnostics("a.deploy")] == ["W0811"]
        c.change("a.deploy", [{"text": CHAT}])
        assert c.diagnostics("a.deploy") == []


@test
def pulling_instead_of_pushing():
    with session(CHAT.replace("10 s", "200 ms"), options={"diagnostics": "pull"}) as c:
        assert c.capabilities["capabilities"]["diagnosticProvider"]
        assert [d["code"] for d in c.ask("textDocument/diagnostic", {"textDocument": {"uri": c.uri("a.deploy")}})["items"]] == ["W0811"]
        assert hovered(c, place(CHAT, "batch")) and not c.notes and c.read(0.2) is None
    with session() as c:
        assert "diagnosticProvider" not in c.capabilities["capabilities"]


@test
def edits_arrive_as_ranges_of_utf16():
    text = CHAT.replace("deploy Chat", "// \U0001f600 ä\ndeploy Chat")
    with session(text) as c:
        c.diagnostics("a.deploy")
        start = place(text, "ä")
        assert start["character"] == 6
        c.change("a.deploy", [{"range": {"start": start, "end": place(text, "ä", 1)}, "text": "b"},
                              {"range": {"start": place(text, "nodes"), "end": place(text, "nodes", 5)}, "text": "node"}])
        (found,) = c.diagnostics("a.deploy")
        assert found["code"] == "E0201" and found["range"]["start"] == place(text, "nodes"), found


@test
def odd_bytes_of_texts():
    """A NUL is a character. A return alone ends a line of the protocol, but not one of the language."""
    with session(CHAT.replace("tp = 4", "tp = \0 4")) as c:
        (found,) = c.diagnostics("a.deploy")
        at = place(CHAT, "tp = 4", 5)
        assert found["code"] == "E0001" and "0x00" in found["message"] and found["range"]["start"] == at, found
        end = {**at, "character": at["character"] + 1}
        c.change("a.deploy", [{"range": {"start": at, "end": end}, "text": "\0\0"}])
        assert [d["range"]["start"] for d in c.diagnostics("a.deploy")] in ([at], [at, end])
        c.change("a.deploy", [{"range": {"start": at, "end": {**at, "character": at["character"] + 2}}, "text": ""}])
        assert c.diagnostics("a.deploy") == []
    text = CHAT.replace("deploy Chat", "// one\r// two\r\r\n// three\n// four\ndeploy Chat").replace("tp = 4;", "\r tp = 4;\r")
    lines = re.split("\r\n|\r|\n", text)
    def at(mark):
        (line,) = [i for i, x in enumerate(lines) if mark in x]
        return {"line": line, "character": lines[line].index(mark)}
    with session(text) as c:
        assert c.diagnostics("a.deploy") == []
        for mark, new in ((" 128;", " 129;"), ("ep = 2", "ep = 4"), ("nodes", "node")):
            start = at(mark)
            c.change("a.deploy", [{"range": {"start": start, "end": {**start, "character": start["character"] + len(mark)}}, "text": new}])
            lines[start["line"]] = lines[start["line"]].replace(mark, new)
        found = [d for d in c.diagnostics("a.deploy") if d["code"] == "E0201"]
        assert [d["range"]["start"] for d in found] == [at("node ")], found
        folds = c.ask("textDocument/foldingRange", {"textDocument": {"uri": c.uri("a.deploy")}})
        assert {"startLine": at("// one")["line"], "endLine": at("// four")["line"], "kind": "comment"} in folds, folds
        assert at("deploy Chat")["line"] in [f["startLine"] for f in folds], folds


@test
def utf8_if_it_is_offered():
    text = CHAT.replace("  require ttft <= 10 s", '  assert params == 1 param : "ää"; require ttft <= 10 GB')
    sixteen, eight = {}, {}
    for encodings, out in ((["utf-16"], sixteen), (["utf-8", "utf-16"], eight)):
        with session(text, capabilities={**CAPABILITIES, "general": {"positionEncodings": encodings}}) as c:
            assert c.capabilities["capabilities"]["positionEncoding"] == encodings[0]
            c.diagnostics("a.deploy")
            found = c.ask("textDocument/diagnostic", {"textDocument": {"uri": c.uri("a.deploy")}})["items"]
            out.update({d["code"]: d["range"]["start"]["character"] for d in found})
    late = [code for code in eight if eight[code] > 40]
    assert late and all(eight[code] - sixteen[code] == 2 for code in late), (eight, sixteen)


@test
def files_that_are_used():
    with session(None) as c:
        c.open("lib.deploy", "use std.hw { Cluster }\nuse std.clusters { DGX_H100 }\ncluster Mine = DGX_H100 { nodes = 2 }\n")
        main = CHAT.replace("use std.clusters { DGX_H100 }", 'use "lib.deploy" as lib').replace("DGX_H100 { nodes = 1 }", "lib.Mine { nodes = 1 }")
        c.open("a.deploy", main)
        assert c.diagnostics("a.deploy") == []                                   # an unsaved file is used
        c.change("lib.deploy", [{"text": "use std.clusters { DGX_H100 }\ncluster Other = DGX_H100 { nodes = 2 }\n"}])
        assert [d["code"] for d in c.diagnostics("a.deploy")] == ["E0101"]       # and read again when it changes
        (target,) = c.at("definition", "a.deploy", place(main, "lib.Mine", 1))
        assert target["uri"] == c.uri("a.deploy") and target["range"]["start"]["line"] == place(main, 'as lib')["line"], target


@test
def closing_clears():
    with session(CHAT.replace("nodes", "node")) as c:
        assert c.diagnostics("a.deploy")
        c.tell("textDocument/didClose", {"textDocument": {"uri": c.uri("a.deploy")}})
        while (found := c.diagnostics("a.deploy")) != []:
            assert found


@test
def settings():
    with session(options={"define": {"Chat.plan.tp": 3}}) as c:
        assert c.diagnostics("a.deploy")
        c.tell("workspace/didChangeConfiguration", {"settings": {"deploy": {"define": {}}}})
        while c.diagnostics("a.deploy"):
            pass
    with session(words=["-D", "Chat.plan.tp=3"]) as c:
        assert c.diagnostics("a.deploy")
    two = CHAT + LARGE[LARGE.index("deploy Chat"):].replace("Chat", "Large")
    codes = lambda c: [d["code"] for d in c.ask("textDocument/diagnostic", {"textDocument": {"uri": c.uri("a.deploy")}})["items"]]
    with session(two) as c:
        assert "E0701" in codes(c)
        c.tell("workspace/didChangeConfiguration", {"settings": {"deploy": {"deployment": "Chat"}}})
        assert "E0701" not in codes(c)                                           # only this one is planned
    with session(None, files={"lib/mine.deploy": "use std.clusters { DGX_H100 }\ncluster Mine = DGX_H100 { nodes = 1 }\n", "app/a.txt": ""}) as c:
        codes = lambda c: [d["code"] for d in c.ask("textDocument/diagnostic", {"textDocument": {"uri": c.uri("specs/app/a.deploy")}})["items"]]
        c.open("specs/app/a.deploy", 'use "../lib/mine.deploy" as mine\n' + CHAT.replace("= DGX_H100 {", "= mine.Mine {"))
        assert "E0104" in codes(c)                                               # outside the folder of the file
        c.tell("workspace/didChangeConfiguration", {"settings": {"deploy": {"include": [str(c.folder / "specs/lib")]}}})
        assert codes(c) == [], codes(c)


# ---- the workspace ----------------------------------------------------------------------------------------------------
FILES = {"one.deploy": CHAT, "two.deploy": LARGE, "deep/three.deploy": CHAT.replace("10 s", "200 ms"), "deep/four.deploy": CHAT.replace("nodes", "node"),
         ".hidden/five.deploy": LARGE, "notes.txt": LARGE, "six.deploy.bak": LARGE}


def diagnosed(client, reports):
    return {report["uri"].partition("/specs/")[2]: [d["code"] for d in report.get("items", [])] for report in reports}


@test
def all_files_of_a_workspace():
    """Those of `deployc check` for each file that is not open, each once."""
    expected = {name: [d["code"] for d in check_json(text)] for name, text in FILES.items() if name.endswith(".deploy") and not name.startswith(".")}
    assert expected["two.deploy"] and expected["deep/three.deploy"] == ["W0811"] and expected["one.deploy"] == []
    with session(None, files=FILES, options={"diagnostics": "pull"}) as c:
        assert c.capabilities["capabilities"]["diagnosticProvider"]["workspaceDiagnostics"]
        (c.folder / "specs/again.deploy").symlink_to("two.deploy")
        (c.folder / "specs/deep/circle").symlink_to("..")
        first = c.ask("workspace/diagnostic", {"previousResultIds": []})["items"]
        assert diagnosed(c, first) == expected and len(first) == len(expected) and all(r["kind"] == "full" and r["version"] is None for r in first), first
        known = [{"uri": r["uri"], "value": r["resultId"]} for r in first]
        (c.folder / "specs/deep/three.deploy").write_text(CHAT)
        (c.folder / "specs/two.deploy").unlink()
        c.open("specs/deep/four.deploy", CHAT)
        second = c.ask("workspace/diagnostic", {"previousResultIds": known})["items"]
        assert {r["uri"].partition("/specs/")[2]: r["kind"] for r in second} == {"two.deploy": "full", "deep/three.deploy": "full", "one.deploy": "unchanged"}, second
        assert diagnosed(c, second)["two.deploy"] == diagnosed(c, second)["deep/three.deploy"] == []


@test
def parts_of_a_workspace():
    """Partial results have each report once; the answer then has none. Another request, and a cancellation, come between two files."""
    with session(None, files=FILES, options={"diagnostics": "pull"}) as c:
        answer = c.answer(c.send("workspace/diagnostic", {"previousResultIds": [], "partialResultToken": 7, "workDoneToken": "w"}))
        values = {token: [n["params"]["value"] for n in c.notes if n.get("method") == "$/progress" and n["params"]["token"] == token] for token in (7, "w")}
        assert answer["result"] == {"items": []} and set(diagnosed(c, [r for v in values[7] for r in v["items"]])) == {"one.deploy", "two.deploy", "deep/three.deploy", "deep/four.deploy"}
        assert len(values[7]) == 4 and [v["kind"] for v in values["w"]] == ["begin"] + 4 * ["report"] + ["end"] and [v.get("percentage") for v in values["w"]] == [0, 0, 25, 50, 75, None]
        first, second = c.send("workspace/diagnostic", {"previousResultIds": []}), c.send("workspace/diagnostic", {"previousResultIds": [], "workDoneToken": "x"})
        c.tell("$/cancelRequest", {"id": first})
        assert c.answer(first)["error"]["code"] == -32800
        c.open("a.deploy", CHAT)
        hover = c.send("textDocument/hover", {"textDocument": {"uri": c.uri("a.deploy")}, "position": place(CHAT, "batch")})
        assert c.answer(hover)["result"] and not [n for n in c.notes if n.get("id") == second]   # files do not delay it
        assert len(c.answer(second)["result"]["items"]) == 4
        last = c.send("workspace/diagnostic", {"previousResultIds": []})
        c.ask("shutdown", None)
        assert [n["error"]["code"] for n in c.notes if n.get("id") == last] == [-32800]
        c.tell("exit", None)
        c.process.wait(60)


@test
def folders_come_and_go():
    with session(None, files={"a/one.deploy": CHAT, "b/two.deploy": LARGE}, options={"diagnostics": "pull"}) as c:
        def change(added, removed):
            as_folders = lambda names: [{"uri": c.uri(n), "name": n} for n in names]
            c.tell("workspace/didChangeWorkspaceFolders", {"event": {"added": as_folders(added), "removed": as_folders(removed)}})
            return sorted(r["uri"].partition("/specs/")[2] for r in c.ask("workspace/diagnostic", {"previousResultIds": []})["items"])
        assert change(["specs/b"], []) == ["a/one.deploy", "b/two.deploy"]                 # each once
        assert change([], ["specs"]) == ["b/two.deploy"]
        assert change(["specs/a", "none"], ["specs/b", "other"]) == ["a/one.deploy"]
    with session(files=None) as c:
        assert c.ask("workspace/diagnostic", {"previousResultIds": []}) == {"items": []}


@test
def progress_of_long_work():
    """Work is shown with the client's token, or with one that the server asked for; what is shorter than the delay is not."""
    creates = {**CAPABILITIES, "window": {"workDoneProgress": True}}
    shown = lambda c: [(n["params"]["token"], n["params"]["value"]["kind"], n["params"]["value"].get("title")) for n in c.notes if n.get("method") == "$/progress"]
    lens = lambda c, **more: c.ask("textDocument/codeLens", {"textDocument": {"uri": c.uri("a.deploy")}, **more})
    with session(None, options={"progress": 0}) as c:                            # all work
        c.open("a.deploy", CHAT)
        lens(c, workDoneToken="t")
        assert shown(c) == [("t", "begin", "checking a.deploy"), ("t", "end", None)]
        lens(c)
        assert len(shown(c)) == 2                                                # no token, and no window.workDoneProgress
    with session(None, options={"progress": 0}, capabilities=creates) as c:
        create = c.read()
        assert create["method"] == "window/workDoneProgress/create"
        c.write({"jsonrpc": "2.0", "id": create["id"], "result": None})
        token = create["params"]["token"]
        c.open("a.deploy", CHAT)
        c.diagnostics("a.deploy")
        (begin, end, *_), made = shown(c), [n["params"]["token"] for n in c.notes if n.get("method") == "window/workDoneProgress/create"]
        assert begin[:2] == (token, "begin") and end[:2] == (token, "end") and token not in made and made, (shown(c), made)
    with session(None, options={"progress": 1_000_000}, capabilities=creates) as c:
        c.write({"jsonrpc": "2.0", "id": c.read()["id"], "result": None})
        c.open("a.deploy", CHAT)
        lens(c, workDoneToken="t")
        assert shown(c) == []
    said = []
    for n in (40, 200, 800):                                                     # deployments; more until the thread that tells the time had a turn
        with session(None, options={"progress": 1}) as c:
            c.open("a.deploy", CHAT + "".join(CHAT[CHAT.index("deploy Chat"):].replace("Chat", f"Chat{i}") for i in range(n)))
            lens(c, workDoneToken=3)
            said = said or [s[:2] for s in shown(c)]
        if said:
            break
    assert said == [(3, "begin"), (3, "end")], said


# ---- actions ----------------------------------------------------------------------------------------------------------
@test
def actions_apply():
    text = CHAT.replace("Megatron {", "Megatro {")
    with session(text) as c:
        (found,) = c.diagnostics("a.deploy")
        actions = c.at("codeAction", "a.deploy", {}, range=found["range"], context={"diagnostics": [found]})
        assert actions[0]["kind"] == "quickfix" and actions[0]["isPreferred"], actions
        assert apply(text, actions[0]["edit"]["changes"][c.uri("a.deploy")]) == CHAT


@test
def a_warning_may_be_allowed():
    text = CHAT.replace("10 s", "200 ms")
    with session(text) as c:
        (found,) = c.diagnostics("a.deploy", 2)
        (action,) = c.at("codeAction", "a.deploy", {}, range=found["range"], context={"diagnostics": [found], "only": ["quickfix"]})
        new = apply(text, action["edit"]["changes"][c.uri("a.deploy")])
        assert "  // deploy: allow W0811 the reason\n  require ttft" in new
        assert not [d for d in check_json(new) if d["allowed"] is None]


@test
def all_of_a_code():
    text = CHAT.replace("batch =", "batchh =").replace("output =", "outputt =")
    with session(text) as c:
        found = c.diagnostics("a.deploy")
        assert [d["code"] for d in found] == ["E0201", "E0201"], found
        actions = c.at("codeAction", "a.deploy", {}, range=found[0]["range"], context={"diagnostics": found})
        (action,) = [a for a in actions if a["kind"] == "source.fixAll"]
        assert apply(text, action["edit"]["changes"][c.uri("a.deploy")]) == CHAT


def actions_at(client, text, mark, offset=0, only=None, name="a.deploy"):
    at = place(text, mark, offset)
    actions = client.at("codeAction", name, {}, range={"start": at, "end": at}, context={"diagnostics": [], **({"only": only} if only else {})})
    return {a["title"]: apply(text, a["edit"]["changes"][client.uri(name)]) for a in actions}


def planned(text, path="-"):
    """What `deployc plan` prints, without the places of the text."""
    return subprocess.run([DEPLOYC, "plan", path], input=text, capture_output=True, text=True).stdout


@test
def values_are_spelled_out():
    """A text with the values written out has the plan that it had; each value is the one that hover shows."""
    text = CHAT.replace("ep = 2 }", "ep = 2; comm { } }").replace("batch = 128", "batch = 4 * 32").replace("nodes = 1 }", "nodes = 1; reserve { } }")
    before = planned(text)
    assert before
    with session(text) as c:
        def all_of(mark, offset):
            return list(actions_at(c, text, mark, offset).values())[-1]            # after those of single values
        body = actions_at(c, text, "ep = 2", 1)
        assert "ep = 2; comm { }; pipeline { schedule = fill_drain; " in all_of("ep = 2", 1) and "; pp = 1; dp = 1 }" in all_of("ep = 2", 1)
        assert {"write `pp = 1`", "write `dp = 1`", "write `memory { recompute = []; prefetch = 0 }`"} <= set(body)               # records too
        assert "comm { fuse_below = 0 B" in actions_at(c, text, "comm {", 6)["write `fuse_below = 0 B`"]      # with its unit
        assert "\n  require ttft <= 10 s\n  gpus = 8\n}" in actions_at(c, text, "  require", 1)["write `gpus = 8`"]
        assert actions_at(c, text, "4 * 32", 2)["write `128` in place of `4 * 32`"] == text.replace("4 * 32", "128")
        for mark, offset in (("ep = 2", 1), ("seq =", 1), ("comm {", 6), ("reserve {", 9)):
            new = all_of(mark, offset)
            assert new != text and planned(new) == before, (mark, new)
        for title in ("write `gpus = 8`", "write `engine = deployc`"):
            assert planned(actions_at(c, text, "  require", 1)[title]) == before
        assert not [title for title in actions_at(c, text, "seq =", 1) if "128.." in title]                                         # nothing is computed
        assert actions_at(c, text, "seq =", 1, ["quickfix"]) == {} and actions_at(c, text, "seq =", 1, ["refactor"])


@test
def expressions_of_declarations_are_spelled_out():
    """Derived fields and axes of a model: the text with the value is the same model."""
    own = PLAIN + "\nschema Extra {\n  twice : Int = 2 * 21\n  half  : Float = 1.0 / 2\n}\n"
    with session(own) as c:
        for old, new in (("head_dim / 2", "4"), ("2 * 21", None), ("1.0 / 2", None)):
            titles = actions_at(c, own, old, 1)
            assert (titles[f"write `{new}` in place of `{old}`"] == own.replace(old, new)) if new else not any(old in t for t in titles), (old, titles)
        assert planned(own.replace("head_dim / 2", "4")) == planned(own) != ""


# ---- hover ------------------------------------------------------------------------------------------------------------
@test
def hover_says_what_is_known():
    with session() as c:
        value = hovered(c, place(CHAT, "tp ="))
        assert "mesh tp = 4" in value and "0 1 2 3 | 4 5 6 7" in value and "`nvlink`" in value and "on line 9" in value, value
        assert "0 4 | 1 5 | 2 6 | 3 7" in hovered(c, place(CHAT, "ep ="))
        value = hovered(c, place(CHAT, "batch"))
        assert "batch : Int = 128" in value and "sequences in flight" in value, value
        value = hovered(c, place(CHAT, "Mixtral_8x7B", 0, 2))
        assert "46.70 G" in value and "12.75 G" in value, value
        value = hovered(c, place(CHAT, "ttft"))
        assert "80%" in value and "no schedule surpasses" in value, value
        assert re.search(r"\| a batch \| \|\n\|---\|---:\|\n(\| `[^`]+` \| [0-9.]+ [mu]?s \|\n){3,}", value), value   # what takes the time
        assert "the fullest rank takes" in hovered(c, place(CHAT, "Chat"))
    with session("language = 1\n" + CHAT) as c:
        assert "version of the language" in hovered(c, {"line": 0, "character": 3})
    with session() as c:
        assert hovered(c, {"line": 4, "character": 0}) is None
        assert hovered(c, {"line": 999, "character": 999}) is None


@test
def hover_of_values_shows_layouts():
    text = (ROOT / "samples/own_op.deploy").read_text()
    local = subprocess.run([DEPLOYC, "--emit=dag-local", ROOT / "samples/own_op.deploy"], capture_output=True, text=True).stdout
    with session(text) as c:
        c.diagnostics("a.deploy")
        layouts = {}
        for line in text.splitlines():
            words = line.split()
            if words and words[0] in ("let", "param"):
                value = hovered(c, place(text, line, line.index(words[1])))
                if value and "prefill: `" in value:
                    layouts[words[1]] = value.split("prefill: `")[1].split("`")[0]
        assert len(layouts) > 3 and all(layout in local for layout in layouts.values()), layouts


GPUS = (ROOT / "samples/own_op.deploy").read_text().replace("CPUHost { ranks = 2 }", "DGX_H100").replace("{ CPUHost }", "{ DGX_H100 }").replace("tp = 2 }", "tp = 2; dp = 4 }").replace("batch = 4;", "batch = 64;")


def rows_of(markdown):
    """The cells of its tables."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.replace("\\|", "/").splitlines() if line.startswith("| ")]


@test
def hover_of_values_shows_collectives():
    """Bytes and seconds of each, as `deployc graph` has them."""
    with tempfile.NamedTemporaryFile("w", suffix=".deploy") as f:
        f.write(GPUS)
        f.flush()
        edges = json.loads(subprocess.run([DEPLOYC, "graph", "--format=json", f.name], capture_output=True, text=True).stdout)["edges"]
    known = {(e["program"], e["cause"]): e for e in edges}
    scale = {"B": 1, "KiB": 1024, "us": 1e-6}
    found = {}
    with session(GPUS) as c:
        for mark in ("let x", "let h", "output logits"):
            for row in rows_of(hovered(c, place(GPUS, mark, len(mark) - 1)) or ""):
                if len(row) == 5 and row[0] in ("prefill", "decode"):
                    found[row[0], row[1]] = row
    assert len(found) >= 4 and ("prefill", "reduce_scatter over tp at layer (add h)") in found, found
    for key, (_, _, size, seconds, times) in found.items():
        edge = known[key]
        assert abs(float(size.split()[0]) * scale[size.split()[1]] - edge["max_bytes"]) <= 0.005 * edge["max_bytes"], (key, size, edge)
        assert abs(float(seconds.split()[0]) * scale[seconds.split()[1]] - edge["seconds"]) <= 0.01 * edge["seconds"], (key, seconds, edge)
        assert int(times) == edge["times"], (key, times, edge)


@test
def hover_of_a_rule_shows_what_it_cuts():
    with session(OWN) as c:
        value = hovered(c, place(OWN, "kv_heads *"))
        cut = {row[0].strip("`"): row[2] for row in rows_of(value) if row[0].startswith("`")}
        assert {"attn.wq", "attn.wo", "attn.kc", "attn.o"} <= set(cut) and not any(name.startswith("moe") for name in cut), cut
        assert all("kv_heads@tp" in layout for layout in cut.values()), cut
        value = hovered(c, place(OWN, "vocab  "))
        assert {row[0] for row in rows_of(value)} >= {"`w_embed`", "`w_head`", "`logits`"}, value
        assert "the layers into stages: 32" in hovered(c, place(OWN, "layers  "))
    text = OWN.replace("  vocab              -> tp", "  vocab              -> tp\n  at residual { seq -> tp }\n  phase decode { at residual { seq -> none } }")
    with session(text) as c:
        for arrow, layout, phase in (("seq -> tp", "seq@tp", "prefill"), ("seq -> none", "seq,", "decode")):
            rows = [row for row in rows_of(hovered(c, place(text, arrow))) if row[0].startswith("`")]
            assert rows and all(layout in row[2] and row[1] == phase for row in rows), (arrow, rows)
        assert "keeps whole" in hovered(c, place(text, "seq -> none"))


@test
def hover_of_functions():
    with session(GPUS) as c:
        assert "max(x, over = axis)" in hovered(c, place(GPUS, "max(abs")) and "square root" in hovered(c, place(GPUS, "sqrt(2"))


# ---- completion -------------------------------------------------------------------------------------------------------
@test
def completion_knows_the_place():
    with session() as c:
        assert labels(c, place(CHAT, "tp = 4", 5))[:4] == ["1", "2", "4", "8"]     # Mixtral has 8 * 4 heads, there are 8 devices
        fields = labels(c, place(CHAT, "  require", 2))
        assert {"gpus", "engine", "require", "minimize"} <= set(fields) and "model" not in fields
        assert {"DGX_H100", "DGX_A100"} <= set(labels(c, place(CHAT, "DGX_H100 {")))
        assert "plans" in labels(c, place(CHAT, "std.plans", 4))
        assert "VLLM" in labels(c, place(CHAT, "Megatron }"))
        assert {"ttft", "comm.share", "memory.kv"} <= set(labels(c, place(CHAT, "ttft")))
        assert "deploy (whole)" in labels(c, {"line": 4, "character": 0})
        assert "language" not in labels(c, {"line": 4, "character": 0})
    with session("// a comment\n\n" + CHAT) as c:
        assert "language" in labels(c, {"line": 1, "character": 0})
    newer = "language = 99\n" + CHAT.replace("Megatron", "Megatrom $")
    with session(newer) as c:
        assert [d["code"] for d in c.diagnostics("a.deploy")] == ["E0014"]


SNIPPETS = {**CAPABILITIES, "textDocument": {"completion": {"completionItem": {"snippetSupport": True}}}}


@test
def completion_of_places_in_plans():
    text = OWN.replace("  vocab              -> tp\n", "  vocab              -> tp\n  at m { seq -> tp }\n").replace("mesh tp = 8", "mesh tp = 8 within n")
    with session(text) as c:
        c.diagnostics("a.deploy")
        assert labels(c, place(text, "within n", 8)) == ["nvlink", "fabric"]
        assert labels(c, place(text, "at m {", 4)) == ["residual", "layer", "attn", "moe"]
        assert {"seq", "ffn", "kv_heads"} - {"ffn"} <= set(labels(c, place(text, "{ seq ->", 5)))
        assert "tp" in labels(c, place(text, "{ seq -> tp", 11))
    text = OWN.replace("{ tp = 8 }", "{ tp = 8 across  }")
    with session(text) as c:
        assert labels(c, place(text, "across ", 7)) == ["nvlink", "fabric"]
    text = CHAT.replace("ep = 2 }", "ep = 2; comm { reduce = f } }")
    with session(text) as c:
        assert {"f32", "bf16", "none"} <= set(labels(c, place(text, "reduce = f", 10)))


@test
def completion_inside_programs():
    """What is bound before the cursor, parameters, axes, and functions; not what is bound after it or in another loop."""
    text = PLAIN.replace("    x = h + PlainMLP", "    x = h + n\n    x = h + PlainMLP")
    with session(text) as c:
        here = labels(c, place(text, "x = h + n", 9))
        assert {"h", "x", "norm_attn", "freq", "w_embed", "layer", "d_model", "peak_norm", "rms_norm", "max"} <= set(here), here
        assert not {"norm", "w_head", "logits"} & set(here), here
        assert {"x", "eps", "f"} - {"f"} <= set(labels(c, place(text, "return x / (", 7)))
        inside = {i["label"]: i for i in c.at("completion", "a.deploy", place(text, "return x / (", 7))}
        assert inside["eps"]["detail"] == "eps: Float" and inside["sum"]["detail"] == "sum(x, over = axis)" and "norm_attn" not in inside
    with session(CHAT) as c:
        claims = {i["label"]: i for i in c.at("completion", "a.deploy", place(CHAT, "ttft"))}
        assert claims["p99"]["detail"] == "p99(metric)" and "cast" not in claims


@test
def a_whole_deployment_is_a_snippet():
    """With its defaults taken it checks clean, whatever the file imports already."""
    import re
    for text in ("", "use std.plans { VLLM }\nuse std.hw as hw\n\n", CHAT):
        with session(text, capabilities=SNIPPETS) as c:
            at = {"line": text.count("\n"), "character": 0}
            (item,) = [i for i in c.at("completion", "a.deploy", at) if i["label"] == "deploy (whole)"]
            insert = re.sub(r"\$\{\d+:([^}]*)\}", r"\1", item["insertText"]).replace("$0", "").replace("deploy Chat", "deploy Other")
            new = apply(text, item.get("additionalTextEdits", []) + [{"range": {"start": at, "end": at}, "newText": insert}])
            assert "deploy Other" in new and not [d for d in check_json(new) if d["severity"] == "error"], new


@test
def completion_imports():
    with session() as c:
        items = {i["label"]: i for i in c.at("completion", "a.deploy", place(CHAT, "Megatron {"))}
        edits = items["VLLM"]["additionalTextEdits"]
        assert apply(CHAT, edits) == CHAT.replace("use std.plans { Megatron }", "use std.plans { VLLM, Megatron }")
        new = apply(CHAT, edits + [{"range": {"start": place(CHAT, "Megatron {"), "end": place(CHAT, "Megatron {", 8)}, "newText": "VLLM"}])
        assert not [d for d in check_json(new.replace("tp = 4; ep = 2", "tp = 8")) if d["severity"] == "error"]
        more = c.ask("completionItem/resolve", items["VLLM"])
        assert "data-parallel-size" in more["documentation"]["value"]
    text = "language = 1\n\ndeploy D {\n  plan = \n}\n"
    with session(text) as c:
        items = {i["label"]: i for i in c.at("completion", "a.deploy", place(text, "plan = ", 7))}
        assert apply(text, items["VLLM"]["additionalTextEdits"]).startswith("language = 1\nuse std.plans { VLLM }\n"), items["VLLM"]


@test
def completion_is_ranked():
    """What fits best sorts first; comments come when an item is resolved."""
    text = CHAT.replace("batch = 128; ", "").replace("10 s", "10 ")
    with session(text) as c:
        sorts = lambda mark, offset: {i["label"]: i["sortText"] for i in c.at("completion", "a.deploy", place(text, mark, offset))}
        names, units, fields = sorts("Megatron {", 0), sorts("<= 10 ", 6), sorts("Inference { ", 12)
        assert names["Megatron"] < names["VLLM"], names                            # in scope; to be imported
        assert max(units["s"], units["ms"]) < min(units["GB"], units["tokens/s"], units["%"]), units
        assert fields["batch"] < fields["chunk"], fields                           # unset without a default
        items = c.at("completion", "a.deploy", place(text, "Inference { ", 12))
        assert all("documentation" not in i for i in items)
        (batch,) = [i for i in items if i["label"] == "batch"]
        assert "sequences in flight" in c.ask("completionItem/resolve", batch)["documentation"]["value"]


@test
def completion_in_a_broken_text():
    for broken in (CHAT.replace("tp = 4; ep = 2 }", "tp = }"), CHAT.replace("tp = 4; ep = 2 }", "tp = 4; \n"), CHAT.replace("  require ttft <= 10 s\n}\n", "  require ")):
        with session(broken) as c:
            mark = "tp = " if "tp = " in broken else "Megatron { "
            found = labels(c, place(broken, mark, len(mark)))
            assert found, broken
    text = CHAT.replace("10 s", "10 ")
    with session(text) as c:
        assert {"s", "ms"} <= set(labels(c, place(text, "<= 10 ", 6)))


@test
def completed_values_are_legal():
    """Every number that is offered for tp leaves no error, if dp takes the rest."""
    text = CHAT.replace("tp = 4; ep = 2", "tp = 4; dp = 2").replace("Mixtral_8x7B", "Llama_3_1_8B")
    with session(text) as c:
        c.diagnostics("a.deploy")
        numbers = [x for x in labels(c, place(text, "tp = 4", 5)) if x.isdigit()]
    assert numbers == ["1", "2", "4", "8"], numbers
    for n in numbers:
        assert not [d for d in check_json(text.replace("tp = 4; dp = 2", f"tp = {n}; dp = {8 // int(n)}")) if d["severity"] == "error"], n


# ---- names ------------------------------------------------------------------------------------------------------------
@test
def definitions_and_references():
    with session() as c:
        (target,) = c.at("definition", "a.deploy", place(CHAT, "Megatron", 0, 2))
        library = pathlib.Path(target["uri"].removeprefix("file://"))
        line = library.read_text().splitlines()[target["range"]["start"]["line"]]
        assert line.startswith("plan Megatron") and library.stat().st_mode & 0o222 == 0, line
        found = c.at("references", "a.deploy", place(CHAT, "Megatron", 0, 2), context={"includeDeclaration": False})
        assert [f["range"]["start"]["line"] for f in found] == [2, 8]
        assert len(c.at("documentHighlight", "a.deploy", place(CHAT, "Megatron", 0, 2))) == 2


OWN = """use std.models { Mixtral_8x7B }
use std.clusters { DGX_H100 }
use std.workload { Inference }

plan Mine {
  mesh pp = 1
  mesh tp = 8
  layers             -> pp
  kv_heads * q_group -> tp
  ffn                -> tp
  expert_ffn         -> tp
  vocab              -> tp
}

deploy Chat {
  model    = Mixtral_8x7B
  cluster  = DGX_H100 { nodes = 1 }
  plan     = Mine { tp = 8 }
  workload = Inference { batch = 128; seq = 128..10240; output = 256 }
}
"""


@test
def renaming_keeps_meanings():
    with session(OWN) as c:
        assert c.at("prepareRename", "a.deploy", place(OWN, "tp = 8")) == {"start": place(OWN, "tp = 8"), "end": place(OWN, "tp = 8", 2)}
        edit = c.at("rename", "a.deploy", place(OWN, "tp = 8"), newName="ways")
        new = apply(OWN, edit["changes"][c.uri("a.deploy")])
        assert new.count("ways") == 6 and " tp" not in new, new
        assert check_json(new) == check_json(OWN)
        for name, why in (("pp", "another meaning"), ("8x", "not a name"), ("use", "not a name")):
            refused = c.refusal("textDocument/rename", {"textDocument": {"uri": c.uri("a.deploy")}, "position": place(OWN, "tp = 8"), "newName": name})
            assert why in refused["message"], refused
        refused = c.refusal("textDocument/prepareRename", {"textDocument": {"uri": c.uri("a.deploy")}, "position": place(OWN, "Mixtral_8x7B")})
        assert "library" in refused["message"]


@test
def names_of_goals_join_many_others():
    """The names in goals are read after the table of all others, thousands with the library's, was sorted."""
    text = (ROOT / "tests/golden/e0807_layout.deploy").read_text()
    with session(text) as c:
        assert c.at("references", "a.deploy", place(text, "ep = 2"), context={"includeDeclaration": False})
        found = c.at("references", "a.deploy", place(text, "kv_heads@ep", 9), context={"includeDeclaration": False})
        assert len(found) >= 2, found


PLAIN = (ROOT / "samples/own_op.deploy").read_text()
BLOCK, MODEL = PLAIN.index("block PlainMLP"), PLAIN.index("model Plain")
# An axis that the model, the plan and an assertion name.
WIDE = (PLAIN[:BLOCK] + PLAIN[MODEL:]).replace("  axis ffn      = 64", "  axis wide     = 64").replace("""    x = h + PlainMLP(peak_norm(h, eps, f = d_model)) as mlp from "mlp"
""", """    param w_up   : [d_model, wide] from "up.weight"   as [wide, d_model]
    param w_down : [wide, d_model] from "down.weight" as [d_model, wide]
    x = h + gelu_tanh(peak_norm(h, eps, f = d_model) @[d_model] w_up) @[wide] w_down
""").replace("deploy Plain2", """plan Mine {
  mesh tp = 1
  wide               -> tp
  kv_heads * q_group -> tp
  vocab              -> tp
}

deploy Plain2""").replace("Megatron { tp = 2 }", "Mine { tp = 2 }").replace("  workload = Inf", "  assert layer.w_up : bf16[d_model, wide@tp]\n  workload = Inf")
# A field of a model that its program, a refinement and a refinement of that set or read; an op has a parameter of that name.
FIELDS = PLAIN.replace("deploy Plain2", "model Finer = Plain { eps = 1e-6 }\n\ndeploy Plain2").replace("model    = Plain", "model    = Finer { eps = 2e-6 }")


@test
def renaming_across_a_file():
    """An axis in model, plan and assertion; a field in its schema and in refinements. Each text with the new name means what it meant."""
    assert check_json(WIDE) == [] == check_json(FIELDS)
    with session(WIDE) as c:
        for mark, offset in (("axis wide", 5), ("wide               ->", 0), ("wide@tp", 0), ("@[wide]", 2)):
            edits = c.at("rename", "a.deploy", place(WIDE, mark, offset), newName="broad")["changes"][c.uri("a.deploy")]
            new = apply(WIDE, edits)
            assert new == WIDE.replace("wide", "broad") and len(edits) == WIDE.count("wide"), (mark, new)
        new = apply(WIDE, c.at("rename", "a.deploy", place(WIDE, "wide@tp", 5), newName="ways")["changes"][c.uri("a.deploy")])
        assert "wide@ways]" in new and "Mine { ways = 2 }" in new and "mesh ways = 1" in new and check_json(new) == []
        for name in ("vocab", "d_model"):
            assert "another meaning" in c.refusal("textDocument/rename", {"textDocument": {"uri": c.uri("a.deploy")}, "position": place(WIDE, "axis wide", 5), "newName": name})["message"], name
    with session(FIELDS) as c:
        body = FIELDS.index("  eps : Float = 1e-5")
        expected = FIELDS[:body] + FIELDS[body:].replace("eps", "epsilon")
        for mark, offset in (("eps : Float = 1e-5", 0), ("h, eps, f", 3), ("{ eps = 1e-6", 2), ("{ eps = 2e-6", 2)):
            new = apply(FIELDS, c.at("rename", "a.deploy", place(FIELDS, mark, offset), newName="epsilon")["changes"][c.uri("a.deploy")])
            assert new == expected and check_json(new) == [], (mark, new)


# ---- calls ------------------------------------------------------------------------------------------------------------
OFFSETS = {**CAPABILITIES, "textDocument": {"signatureHelp": {"signatureInformation": {"parameterInformation": {"labelOffsetSupport": True}}}}}


def signature(client, text, mark, offset=0):
    """Labels of the forms, and the parameter that is marked in the best one."""
    help = client.at("signatureHelp", "a.deploy", place(text, mark, offset))
    if not help:
        return None
    best = help["signatures"][help["activeSignature"]]
    param = best["parameters"][best["activeParameter"]]["label"]
    return [s["label"] for s in help["signatures"]], best["label"][slice(*param)] if isinstance(param, list) else param


@test
def signatures_follow_the_cursor():
    text = (ROOT / "samples/own_op.deploy").read_text()
    for capabilities in (CAPABILITIES, OFFSETS):
        with session(text, capabilities=capabilities) as c:
            labels = ["peak_norm(x: [...t, f!], eps: Float, f = axis) -> [...t, f]"]
            for offset, param in ((0, "x: [...t, f!]"), (4, "eps: Float"), (9, "f = axis")):
                assert signature(c, text, "h, eps, f = d_model", offset) == (labels, param), param
            forms, param = signature(c, text, "abs(x), over", 8)
            assert forms == ["max(x, over = axis)", "max(a, b)", "max(numbers)"] and param == "over = axis"
            assert signature(c, text, "abs(x), over", 4) == (["abs(x)"], "x")             # the inner call
            assert signature(c, text, "gelu_tanh(x: ", 12) is None                        # a declaration is not a call
            assert signature(c, text, "ranks = 2", 9)[1].startswith("ranks : Int")        # braces: fields of the record
            help = c.at("signatureHelp", "a.deploy", place(text, "h, eps, f = d_model"))
            assert "the largest of them" in help["signatures"][0]["documentation"]["value"]
            broken = text.replace("eps, f = d_model)) as mlp from \"mlp\"", "")
            c.change("a.deploy", [{"text": broken}])
            assert signature(c, broken, "PlainMLP(peak_norm(h, ", 22)[1] == "eps: Float"
    with session() as c:
        assert signature(c, CHAT, "tp = 4", 6)[1] == "tp = 1" and signature(c, CHAT, "ep = 2", 2)[1] == "ep = 1"
        assert signature(c, CHAT, "ttft") is None


def defined_at(c, text, mark, offset=0, nth=1):
    """The lines that the type definitions of a name are on."""
    found = c.at("typeDefinition", "a.deploy", place(text, mark, offset, nth))
    return found and [pathlib.Path(t["uri"].removeprefix("file://")).read_text().splitlines()[t["range"]["start"]["line"]].split("{")[0].strip() for t in found]


@test
def types_have_definitions():
    text = CHAT.replace("deploy Chat", "cluster Mine = DGX_H100 { nodes = 2 }\ndeploy Chat").replace("= DGX_H100 { nodes = 1 }", "= Mine { nodes = 1 }")
    with session(text) as c:
        assert defined_at(c, text, "plan     =") == ["schema Plan"] and defined_at(c, text, "workload =") == ["schema Inference"]
        assert defined_at(c, text, "Mixtral_8x7B\n") == ["model Mixtral : Decoder"]
        assert defined_at(c, text, "= Mine {", 2) == ["cluster DGX_H100 : Cluster"]
        assert defined_at(c, text, "tp =") == [] and c.at("typeDefinition", "a.deploy", place(text, "128..")) is None


@test
def calls_go_both_ways():
    text = (ROOT / "samples/own_op.deploy").read_text()
    lines = text.splitlines()

    def sides(c, direction, item):
        side = "from" if direction == "incoming" else "to"
        return {call[side]["name"]: (call[side], [r["start"]["line"] for r in call["fromRanges"]]) for call in c.ask(f"callHierarchy/{direction}Calls", {"item": item})}

    with session(text) as c:
        (block,) = c.at("prepareCallHierarchy", "a.deploy", place(text, "PlainMLP(peak"))
        assert block["name"] == "PlainMLP" and lines[block["range"]["start"]["line"]].startswith("block PlainMLP"), block
        assert {n: at for n, (_, at) in sides(c, "outgoing", block).items()} == {"gelu_tanh": [next(i for i, x in enumerate(lines) if "return gelu_tanh" in x)]}
        callers = sides(c, "incoming", block)
        assert {n: at for n, (_, at) in callers.items()} == {"Plain": [next(i for i, x in enumerate(lines) if "PlainMLP(peak" in x)]}
        called = sides(c, "outgoing", callers["Plain"][0])
        assert set(called) == {"rope_freq", "embed", "GQA", "rms_norm", "PlainMLP", "peak_norm", "pick", "sample"}, set(called)
        (norm,) = c.at("prepareCallHierarchy", "a.deploy", place(text, "rms_norm(x"))
        assert set(sides(c, "incoming", norm)) == {"Plain", "GQA"}                        # the library's block calls it too
        inner, library = called["GQA"][0], pathlib.Path(called["GQA"][0]["uri"].removeprefix("file://")).read_text().splitlines()
        assert library[inner["range"]["start"]["line"]].startswith("block GQA")
        attend = sides(c, "outgoing", inner)["attend"]
        assert all("attend(" in library[i] for i in attend[1]) and attend[0]["uri"].endswith("std/ops.deploy")
        assert c.at("prepareCallHierarchy", "a.deploy", place(text, "Megatron {")) is None
        source = c.folder / "cache" / inner["uri"].partition("/cache/")[2]
        c.tell("textDocument/didOpen", {"textDocument": {"uri": source.as_uri(), "languageId": "deploy", "version": 1, "text": source.read_text()}})
        (alone,) = c.ask("textDocument/prepareCallHierarchy", {"textDocument": {"uri": source.as_uri()}, "position": place(source.read_text(), "attend(")})
        assert alone["name"] == "attend" and "GQA" in sides(c, "incoming", alone)         # in a body that nothing of this file calls
        assert "not in an open document" in c.refusal("callHierarchy/incomingCalls", {"item": {**block, "data": {}}})["message"]


# ---- outline ----------------------------------------------------------------------------------------------------------
@test
def outline():
    with session() as c:
        uri = {"textDocument": {"uri": c.uri("a.deploy")}}
        (chat,) = c.ask("textDocument/documentSymbol", uri)
        assert chat["name"] == "Chat" and [x["name"] for x in chat["children"]] == ["model", "cluster", "plan", "workload"]
        assert [x["name"] for x in chat["children"][2]["children"]] == ["tp", "ep"]
        assert [x["name"] for x in c.ask("workspace/symbol", {"query": "cha"})] == ["Chat"]
        assert c.ask("workspace/symbol", {"query": "zz"}) == []
        assert {"startLine": 5, "endLine": 10} in c.ask("textDocument/foldingRange", uri)
        (selection,) = c.at("selectionRange", "a.deploy", {}, positions=[place(CHAT, "128..")])
        sizes = []
        while selection:
            text = CHAT.splitlines()
            start, end = selection["range"]["start"], selection["range"]["end"]
            sizes.append((end["line"] - start["line"], end["character"] - start["character"] if start["line"] == end["line"] else len(text)))
            selection = selection.get("parent")
        assert len(sizes) >= 4 and sizes == sorted(sizes), sizes
        (lens,) = c.ask("textDocument/codeLens", uri)
        assert "the fullest rank takes" in lens["command"]["title"]
        (link, *_) = c.ask("textDocument/documentLink", uri)
        assert link["target"].endswith("std/models.deploy")
        hints = c.at("inlayHint", "a.deploy", {}, range={"start": {"line": 0, "character": 0}, "end": {"line": 99, "character": 0}})
        assert hints == []
    text = CHAT.replace("batch = 128", "batch = 4 * 32")
    with session(text) as c:
        (hint,) = c.at("inlayHint", "a.deploy", {}, range={"start": {"line": 0, "character": 0}, "end": {"line": 99, "character": 0}})
        assert hint["label"] == "= 128" and hint["position"] == place(text, "4 * 32", 6)


@test
def lenses_have_verdicts():
    refreshes = {**CAPABILITIES, "workspace": {"codeLens": {"refreshSupport": True}}}
    text = CHAT.replace("  require ttft <= 10 s", "  require ttft <= 10 s\n  require params >= 40 Gparam")
    with session(text, capabilities=refreshes) as c:
        c.diagnostics("a.deploy")
        while not (note := c.read()) or note.get("method") != "workspace/codeLens/refresh":
            assert note
        (lens,) = c.ask("textDocument/codeLens", {"textDocument": {"uri": c.uri("a.deploy")}})
        assert lens["command"]["title"].endswith("ttft <= 10 s: holds; params >= 40 Gparam: confirmed"), lens


@test
def hints_of_expressions():
    """Values of fields, derived ones and axes; a layout where an expression ends."""
    whole = {"start": {"line": 0, "character": 0}, "end": {"line": 99, "character": 0}}
    with session(PLAIN) as c:
        lines, hints = PLAIN.splitlines(), c.at("inlayHint", "a.deploy", {}, range=whole)
        shown = {(lines[h["position"]["line"]][:h["position"]["character"]].strip(), h["label"]) for h in hints}
        assert ("axis pair     = head_dim / 2", "= 4") in shown and ("let x = embed(w_embed, ids)", ": bf16[batch, seq, d_model | +tp]") in shown, shown
        assert all(before == lines[h["position"]["line"]].strip() for h in hints for before in [lines[h["position"]["line"]][:h["position"]["character"]].strip()] if before.startswith("let")), shown


OPEN = CHAT.replace("tp = 4; ep = 2", "tp = auto in [2, 4]; ep = auto")
WHOLE_FILE = {"start": {"line": 0, "character": 0}, "end": {"line": 999, "character": 0}}


def searched(client, name, text):
    """Opens a text with the lock that `deployc search` writes beside it; the values of the lock by deployment."""
    (client.folder / name).write_text(text)
    for deploy in re.findall(r"^deploy (\w+)", text, re.M):
        subprocess.run([DEPLOYC, "search", "--deploy", deploy, client.folder / name], capture_output=True, check=True)
    client.open(name, text)
    return {d["deploy"]: d["values"] for d in json.loads((client.folder / name).with_suffix(".lock").read_text())["deployments"]}


def hinted(client, name, text):
    """The hints of `auto`: the text before each, from the word on, and its label."""
    lines, hints = text.splitlines(), client.at("inlayHint", name, {}, range=WHOLE_FILE)
    before = lambda h: lines[h["position"]["line"]][:h["position"]["character"]]
    assert all(h["tooltip"] == f"chosen by `{pathlib.Path(name).stem}.lock`" for h in hints if "auto" in before(h).rpartition("=")[2])
    return {before(h).rpartition(";")[2].rpartition("{")[2].strip(): h["label"] for h in hints if re.search(r"auto( in \[[^]]*\])?$", before(h))}


@test
def values_of_a_lock_are_shown():
    """What `auto` came out as, as long as the lock is fresh; the text with these values has the plan that it had."""
    codes = lambda c, name: {d["code"] for d in c.ask("textDocument/diagnostic", {"textDocument": {"uri": c.uri(name)}})["items"]}
    with session(None, options={"diagnostics": "pull"}) as c:
        values = searched(c, "b.deploy", OPEN)["Chat"]
        assert codes(c, "b.deploy") == set()
        assert hinted(c, "b.deploy", OPEN) == {"tp = auto in [2, 4]": f"= {values['plan.tp']}", "ep = auto": f"= {values['plan.ep']}"}
        at = lambda mark, offset: c.at("hover", "b.deploy", place(OPEN, mark, offset))["contents"]["value"]
        for mark, offset in (("tp =", 0), ("auto in", 2)):
            assert f"mesh tp = {values['plan.tp']}" in at(mark, offset) and f"`{values['plan.tp']}`, chosen by `b.lock`" in at(mark, offset), at(mark, offset)
        assert "set on line 9" in at("plan ", 0)
        for auto, chosen in (("auto in [2, 4]", values["plan.tp"]), ("auto }", values["plan.ep"] + " }")):
            (new,) = [new for title, new in actions_at(c, OPEN, auto, 1, name="b.deploy").items() if "chosen by `b.lock`" in title]
            assert new == OPEN.replace(auto, chosen), new
        assert planned((c.folder / "b.deploy").read_text(), c.folder / "b.deploy") == planned(OPEN.replace("auto in [2, 4]", values["plan.tp"]).replace("auto", values["plan.ep"]))

        def is_open(why):
            assert "W0810" in codes(c, "b.deploy") and hinted(c, "b.deploy", OPEN) == {}
            assert f"left open: `b.lock` {why}" in at("tp =", 0) and f"left open: `b.lock` {why}" in at("auto in", 2), at("tp =", 0)
        c.change("b.deploy", [{"text": OPEN + "// another text\n"}], 2)
        is_open("is stale")
        c.change("b.deploy", [{"text": OPEN}], 3)
        assert codes(c, "b.deploy") == set() and hinted(c, "b.deploy", OPEN)
        changed = lambda: c.tell("workspace/didChangeWatchedFiles", {"changes": [{"uri": c.uri("b.lock"), "type": 2}]})
        lock, old = c.folder / "b.lock", (c.folder / "b.lock").read_text()
        for why, write in (("is not a lock", lambda: lock.write_text("{")), ("is missing", lock.unlink)):
            write()
            changed()
            is_open(why)
        lock.write_text(old)
        changed()
        assert codes(c, "b.deploy") == set() and hinted(c, "b.deploy", OPEN)
    with session(OPEN) as c:                                                     # never saved
        assert "W0810" in codes(c, "a.deploy")
        assert hinted(c, "a.deploy", OPEN) == {} and "`a.lock` is missing" in hovered(c, place(OPEN, "tp ="))


@test
def files_are_watched():
    """A client that can watch files is asked to: those of the language, and locks."""
    with session(None, capabilities={**CAPABILITIES, "workspace": {"didChangeWatchedFiles": {"dynamicRegistration": True}}}) as c:
        request = c.read()
        (registered,) = request["params"]["registrations"]
        assert request["method"] == "client/registerCapability" and registered["method"] == "workspace/didChangeWatchedFiles", request
        assert [w["globPattern"] for w in registered["registerOptions"]["watchers"]] == ["**/*.deploy", "**/*.lock"], request
        c.write({"jsonrpc": "2.0", "id": request["id"], "result": None})
        c.open("a.deploy", CHAT)
        assert c.diagnostics("a.deploy") == []
    with session() as c:
        assert hovered(c, place(CHAT, "batch")) and not [n for n in c.notes if n["method"] == "client/registerCapability"]


@test
def locks_of_plans_rules_and_templates():
    """`auto` as a whole plan, as the place of a rule, and in a template that deployments come out of differently."""
    whole = CHAT.replace("Megatron { tp = 4; ep = 2 }", "auto in [Megatron { tp = 2; ep = 4 }, Megatron { tp = 4; ep = 2 }]")
    rule = SEVERAL[:SEVERAL.index("deploy First")].replace("ffn                -> tp", "ffn                -> auto in [tp, none]") + SEVERAL[SEVERAL.index("deploy Third"):SEVERAL.index("deploy Fourth")].replace("90_000", "128")
    several = re.sub(r"mesh dp = 2\n  mesh tp = 4", "mesh dp = auto\n  mesh tp = auto in [2, 4, 8]", rule.replace("-> auto in [tp, none]", "-> tp"))
    other = several[several.index("deploy Third"):].replace("Third", "Other").replace("batch = 128", "batch = 4")
    with session(None) as c:
        values = searched(c, "whole.deploy", whole)["Chat"]
        assert list(hinted(c, "whole.deploy", whole).values()) == [f"= {values['plan']}"], values
        values = searched(c, "rule.deploy", rule)["Third"]
        assert hinted(c, "rule.deploy", rule) == {"ffn                -> auto in [tp, none]": f"= {values['plan.rule ffn']}"}, values
        assert f"`{values['plan.rule ffn']}`, chosen by `rule.lock`" in c.at("hover", "rule.deploy", place(rule, "auto in", 2))["contents"]["value"]
        both = searched(c, "several.deploy", several + other)
        hints = hinted(c, "several.deploy", several + other)
        expected = {axis: [both[d][f"plan.{axis}"] for d in ("Third", "Other")] for axis in ("dp", "tp")}
        assert {k.split()[1]: v for k, v in hints.items()} == {axis: f"= {a}" if a == b else f"= {a} in Third, {b} in Other" for axis, (a, b) in expected.items()}, (hints, both)
        assert any(a != b for a, b in expected.values()), both


@test
def symbols_of_files_that_are_not_open():
    with session(files={"one.deploy": CHAT.replace("Chat", "Chatter"), "broken.deploy": "deploy {{{\nplan Chatty {\n  mesh tp = 1\n}\n"}) as c:
        found = {s["name"]: s["location"] for s in c.ask("workspace/symbol", {"query": "chat"})}
        assert set(found) >= {"Chat", "Chatter"} and found["Chatter"]["uri"] == c.uri("specs/one.deploy") and found["Chatter"]["range"]["start"] == place(CHAT, "Chat"), found
        c.tell("workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": [{"uri": c.uri("specs"), "name": ""}]}})
        assert [s["name"] for s in c.ask("workspace/symbol", {"query": "chat"})] == ["Chat"]


@test
def sound_parts_of_a_broken_file():
    text = OWN.replace("  ffn                -> tp\n", "  ffn -> -> (\n") + "\nplan {{ = 3\n"
    with session(text) as c:
        assert c.diagnostics("a.deploy")
        assert "batch : Int = 128" in hovered(c, place(text, "batch"))
        names = [s["name"] for s in c.ask("textDocument/documentSymbol", {"textDocument": {"uri": c.uri("a.deploy")}})]
        assert {"Mine", "Chat"} <= set(names), names
        assert {"DGX_H100", "DGX_A100"} <= set(labels(c, place(text, "DGX_H100 {")))
        assert c.at("definition", "a.deploy", place(text, "Mine {", 0, 2))[0]["range"]["start"] == place(text, "Mine")


@test
def semantic_tokens_name_the_text():
    with session(OWN) as c:
        data = c.ask("textDocument/semanticTokens/full", {"textDocument": {"uri": c.uri("a.deploy")}})["data"]
        legend = c.capabilities["capabilities"]["semanticTokensProvider"]["legend"]["tokenTypes"]
        lines, line, column, seen = OWN.splitlines(), 0, 0, set()
        for i in range(0, len(data), 5):
            line, column = line + data[i], (column if not data[i] else 0) + data[i + 1]
            seen.add((lines[line][column:column + data[i + 2]], legend[data[i + 3]]))
        assert {("Mine", "type"), ("tp", "parameter"), ("batch", "property"), ("Mixtral_8x7B", "type")} <= seen, seen


@test
def loops_have_a_lens():
    text = (ROOT / "samples/own_op.deploy").read_text()
    plan = json.loads(subprocess.run([DEPLOYC, "plan", "--format=json", ROOT / "samples/own_op.deploy"], capture_output=True, text=True).stdout)["plans"][0]
    of = {program: sum(c["of"] == "layer" and c["program"] == program for c in plan["collectives"]) for program in ("prefill", "decode")}
    with session(text) as c:
        lenses = c.ask("textDocument/codeLens", {"textDocument": {"uri": c.uri("a.deploy")}})
        titles = {lens["range"]["start"]["line"]: lens["command"]["title"] for lens in lenses}
        loops = [i for i, line in enumerate(text.splitlines()) if line.strip().startswith("repeat ")]
        assert loops and all(titles[i].endswith(f"collectives of a layer: prefill {of['prefill']}, decode {of['decode']}") for i in loops) and of["decode"], (titles, of)


@test
def suggestions_that_are_tried_come_second():
    """A value that a help text would suggest is tried by another run over the deployment, which the first push does not wait for."""
    text = CHAT.replace("tp = 4; ep = 2", "tp = 3")
    expected = check_json(text)
    with session(text) as c:
        first, second = c.diagnostics("a.deploy"), c.diagnostics("a.deploy")
        assert [d["code"] for d in first] == ["E0601"] and [d["code"] for d in second] == [d["code"] for d in expected] == ["E0601", "W0811"]
        assert expected[0]["fix"] and "fix" not in first[0]["data"]
        for d, e in zip(second, expected):
            assert (e["help"] or "") in d["message"] and ("fix" in d["data"]) == bool(e["fix"]), (d, e)


@test
def formatting():
    ugly = CHAT.replace("  model    =", "  model =").replace("{ tp = 4; ep = 2 }", "{tp=4;ep=2}")
    canonical = subprocess.run([DEPLOYC, "fmt", "-"], input=ugly, capture_output=True, text=True).stdout
    with session(ugly) as c:
        assert apply(ugly, c.at("formatting", "a.deploy", {}, options={"tabSize": 2, "insertSpaces": True})) == canonical
        c.change("a.deploy", [{"text": canonical}])
        assert c.at("formatting", "a.deploy", {}, options={}) == []
        c.change("a.deploy", [{"text": "deploy {{{"}])
        assert "mistakes" in c.refusal("textDocument/formatting", {"textDocument": {"uri": c.uri("a.deploy")}, "options": {}})["message"]


@test
def formatting_of_a_range():
    """Each line of the range is what it is in the formatted document; no other line changes."""
    for ugly in [CHAT.replace("  model    =", "\n\n\n    model =").replace("{ tp = 4; ep = 2 }", "{tp=4;ep=2}").replace("  require", "require")] + [p.read_bytes().decode() for p in sorted((ROOT / "tests/format/in").glob("*.deploy"))]:
        out = subprocess.run([DEPLOYC, "fmt", "-"], input=ugly.encode(), capture_output=True)
        lines, canonical = ugly.split("\n"), out.stdout.decode()
        ask = lambda c, lo, hi: c.at("rangeFormatting", "a.deploy", {}, range={"start": {"line": lo, "character": 0}, "end": {"line": hi, "character": 0}}, options={})
        if out.returncode:
            continue
        with session(ugly) as c:
            assert apply(ugly, ask(c, 0, len(lines))) == canonical
            for lo in range(0, len(lines) - 1, max(1, len(lines) // 8)) if "\r" not in ugly else ():
                new = apply(ugly, ask(c, lo, lo + 1))
                assert new.startswith("\n".join(lines[:lo])) and new.endswith("\n".join(lines[lo + 1:])), (lo, new)
                inner = new[len("\n".join(lines[:lo])):len(new) - len("\n".join(lines[lo + 1:]))].strip("\n")
                assert inner in canonical, (lo, inner)
    with session("deploy {{{") as c:
        assert "mistakes" in c.refusal("textDocument/rangeFormatting", {"textDocument": {"uri": c.uri("a.deploy")}, "range": {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}}, "options": {}})["message"]


# ---- the protocol -----------------------------------------------------------------------------------------------------
@test
def order_is_kept():
    with tempfile.TemporaryDirectory() as folder:
        p = subprocess.Popen([DEPLOYC, "lsp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "XDG_CACHE_HOME": folder})
        def frame(message):
            text = json.dumps(message).encode()
            return b"Content-Length: %d\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n" % len(text) + text
        out, _ = p.communicate(b"".join(frame({"jsonrpc": "2.0", **m}) for m in (
            {"id": 1, "method": "textDocument/hover", "params": {}}, {"id": 2, "method": "initialize", "params": {"capabilities": {}}},
            {"id": 3, "method": "initialize", "params": {}}, {"id": 4, "method": "no/such", "params": {}}, {"method": "no/such"},
            {"id": 5, "method": "textDocument/hover", "params": {"textDocument": {"uri": "file:///nowhere"}}},
            {"id": 6, "method": "textDocument/hover"}, {"method": "$/cancelRequest", "params": {"id": 6}}, {"id": "seven"}, {"method": "$/cancelRequest", "params": {"id": 9}},
            {"id": 8, "method": "shutdown"}, {"id": 10, "method": "textDocument/hover"}, {"method": "exit"})), timeout=60)
        assert p.returncode == 0
        errors = {m["id"]: m.get("error", {}).get("code") for m in map(json.loads, (x.split(b"Content-Length")[0] for x in out.split(b"\r\n\r\n")[1:]))}
        cancelled = errors.pop(6)                                                # whether the next message was read in time is open
        assert errors == {1: -32002, 2: None, 3: -32600, 4: -32601, 5: -32602, "seven": -32600, 8: None, 10: -32600} and cancelled in (-32602, -32800), (errors, cancelled)


@test
def cancelled_requests_are_not_answered():
    with session() as c:
        c.diagnostics("a.deploy")
        number = c.next_id + 1
        params = {"textDocument": {"uri": c.uri("a.deploy")}, "position": {"line": 1, "character": 1}}
        both = b""
        for message in ({"jsonrpc": "2.0", "id": number, "method": "textDocument/hover", "params": params},
                        {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": number}}):
            text = json.dumps(message).encode()
            both += b"Content-Length: %d\r\n\r\n" % len(text) + text
        c.process.stdin.write(both)
        c.process.stdin.flush()
        c.next_id = number
        assert c.answer(number)["error"]["code"] == -32800


@test
def broken_messages_end_nothing_else():
    with session() as c:
        c.diagnostics("a.deploy")
        for bad in (b"{", b"[1]", b"3", b"{}", b'{"method": 3}', b"\xff\xfe"):
            c.process.stdin.write(b"content-length: %d\r\n\r\n" % len(bad) + bad)
        c.process.stdin.flush()
        assert hovered(c, place(CHAT, "batch"))


@test
def headers_that_are_not_understood_end_the_server():
    for bad in (b"Content-Length: 99999999999\r\n\r\n", b"Content-Length: -3\r\n\r\n", b"Hello\r\n\r\n", b"\r\n\r\n", b"x" * 100_000, b"Content-Length: 12\r\n\r\n{"):
        p = subprocess.run([DEPLOYC, "lsp"], input=bad, capture_output=True, timeout=60)
        assert p.returncode == 1, (bad[:40], p)


@test
def edits_that_cannot_be():
    with session() as c:
        c.diagnostics("a.deploy")
        beyond = {"line": 10 ** 9, "character": 10 ** 9}
        c.change("a.deploy", [{"range": {"start": beyond, "end": beyond}, "text": "\n"}, {"range": {"start": {"line": 3, "character": 1}, "end": {"line": 1, "character": 1}}, "text": "x"},
                              {"range": {"start": {"line": -1, "character": 0}, "end": beyond}, "text": "x"}, {"text": 3}, {}])
        assert c.diagnostics("a.deploy") == []
        c.tell("textDocument/didChange", {"textDocument": {"uri": c.uri("none.deploy")}, "contentChanges": [{"text": ""}]})
        c.tell("textDocument/didClose", {"textDocument": {"uri": c.uri("none.deploy")}})
        c.tell("textDocument/didOpen", {})
        assert hovered(c, place(CHAT, "batch"))


@test
def a_pass_that_gives_up():
    """Where the passes give up, here for lack of memory, a diagnostic says so, and the server goes on; then as a new one would."""
    own = SEVERAL[SEVERAL.index("deploy Third"):SEVERAL.index("deploy Fourth")]
    large = SEVERAL[:SEVERAL.index("deploy First")] + "".join(own.replace("Third", f"D{i}") for i in range(60))
    with tempfile.TemporaryDirectory() as folder:
        c = Client(folder)
        c.open("a.deploy", CHAT)
        assert c.diagnostics("a.deploy") == [] and hovered(c, place(CHAT, "batch"))
        pages = int(pathlib.Path(f"/proc/{c.process.pid}/statm").read_text().split()[0])
        resource.prlimit(c.process.pid, resource.RLIMIT_AS, (pages * resource.getpagesize() + (4 << 20), resource.RLIM_INFINITY))       # it would take 100 MB
        c.open("large.deploy", large)
        (found,) = c.diagnostics("large.deploy")
        assert "no memory left" in found["message"] and found["severity"] == 1, found
        c.answer(c.send("textDocument/hover", {"textDocument": {"uri": c.uri("large.deploy")}, "position": place(large, "batch")}))   # of what was read, or refused
        resource.prlimit(c.process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        c.change("large.deploy", [{"text": large + "\n"}])
        assert [d["code"] for d in c.ask("textDocument/diagnostic", {"textDocument": {"uri": c.uri("large.deploy")}})["items"]] == [d["code"] for d in check_json(large)]
        c.change("a.deploy", [{"text": CHAT}])
        assert hovered(c, place(CHAT, "batch"))
        status, errors = c.close()
        assert status == 0 and all("memory" in line for line in errors.splitlines()), errors


@test
def an_internal_error_of_a_pass():
    """A bug ends one piece of work: a diagnostic has its place and text, the rest is answered, and so is the text without it."""
    def renamed(name):
        return CHAT.replace("deploy Chat", f"deploy {name}")

    def has_bug(found, text):
        (bug,) = [d for d in found if "code" not in d]
        assert re.match(rf"internal error in deployc at tests/lsp/bugs.c:\d+: {re.escape(text)}\n.*Report it with the spec", bug["message"]), bug
        assert bug["severity"] == 1 and bug["source"] == "deployc", bug
    with tempfile.TemporaryDirectory() as folder:
        specs = pathlib.Path(folder, "specs")
        specs.mkdir()
        for name in ("BugInPasses", "Sound"):
            (specs / f"{name}.deploy").write_text(renamed(name) + "deploy Wrong {}\n")
        c = Client(folder, roots=[specs], program=BUGS)
        versions = itertools.count(2)

        def changed(text):
            """Reports of the changed text, one by one: those of other versions may still come."""
            version = next(versions)
            c.change("a.deploy", [{"text": text}], version)
            while True:
                yield c.diagnostics("a.deploy", version=version)
        c.open("a.deploy", CHAT)
        assert c.diagnostics("a.deploy") == []
        has_bug(next(changed(renamed("BugInPasses"))), "planning `BugInPasses`")
        assert hovered(c, place(CHAT, "batch"))
        judged = changed(renamed("BugInGoals"))
        assert next(judged) == []
        has_bug(next(judged), "judging `BugInGoals`")                                # goals come second
        assert hovered(c, place(CHAT, "batch"))
        assert c.ask("textDocument/documentSymbol", {"textDocument": {"uri": c.uri("a.deploy")}})[0]["name"] == "BugInGoals"
        assert next(changed(CHAT)) == []
        c.open("bug_in_sema.deploy", CHAT)
        has_bug(c.diagnostics("bug_in_sema.deploy"), "reading `bug_in_sema.deploy`")
        assert next(changed(renamed("BugInHover"))) == []
        refused = c.refusal("textDocument/hover", {"textDocument": {"uri": c.uri("a.deploy")}, "position": place(CHAT, "batch")})
        assert refused["code"] == -32603 and re.fullmatch(r"internal error in deployc at tests/lsp/bugs.c:\d+: a hover", refused["message"]), refused
        # One whose reports were taken over is planned for a request.
        later = renamed("BugLater")
        assert next(changed(later)) == []
        moved = changed("// a comment\n" + later)
        found = next(moved)
        c.ask("textDocument/codeLens", {"textDocument": {"uri": c.uri("a.deploy")}})
        has_bug(found or next(moved), "planning `BugLater`")
        parts = {pathlib.Path(r["uri"]).stem: r["items"] for r in c.ask("workspace/diagnostic", {"previousResultIds": []})["items"]}
        has_bug(parts["BugInPasses"], "planning `BugInPasses`")
        assert all("code" in d for d in parts["Sound"]) and parts["Sound"], parts["Sound"]
        status, errors = c.close()
        assert status == 0 and errors.count("internal error at tests/lsp/bugs.c") >= 6, errors


@test
def memory_does_not_grow():
    """What is kept of an edit is dropped by the next. Of a short text, so often that 64 bytes of each edit would be 200 pages; the allocator
    takes 32 at a time. Of a deployment, a leak shows in each window."""
    def resident(c):
        return int(pathlib.Path(f"/proc/{c.process.pid}/statm").read_text().split()[1])          # pages

    def edited(text, old, new, mark, edits):
        c.change("a.deploy", [{"text": text.replace(old, new(edits))}], edits + 2)
        assert hovered(c, place(text, mark))
        c.notes.clear()
    with session("schema Short {\n  count : Int = 1\n}\n") as c:
        after = []
        for i in range(10_000):
            edited("schema Short {\n  count : Int = 1\n}\n", "= 1", lambda i: f"= {1 + i % 7}", "count", i)
            if i % 2000 == 1999:
                after.append(resident(c))
        assert after[-1] - after[0] <= 80, after
    with session() as c:
        after = []
        for i in range(1000):
            edited(CHAT, "128..10240", lambda i: f"128..{10240 + i % 7}", "batch", i)
            if i % 200 == 199:
                after.append(resident(c))
        assert min(later - earlier for earlier, later in zip(after, after[1:])) <= 2, after


@test
def random_edits(rounds=150):
    """A text after random edits gives what a new server says of it; nothing ends the server."""
    chance = random.Random(1)
    pieces = ["{", "}", "\n", "use ", "tp = ", "128", " GiB", '"', "//", "deploy X ", "Megatron", "ä", "->", "@[", "require ", "\U0001f600"]
    with session() as c:
        text = CHAT
        for i in range(rounds):
            lo = chance.randrange(len(text) + 1)
            hi = min(len(text), lo + chance.choice([0, 0, 1, 5, 30]))
            new = chance.choice(pieces)
            def at(n):
                line = text[:n].rpartition("\n")[2]
                return {"line": text[:n].count("\n"), "character": len(line.encode("utf-16-le")) // 2}
            c.change("a.deploy", [{"range": {"start": at(lo), "end": at(hi)}, "text": new}], i + 2)
            text = text[:lo] + new + text[hi:]
            for method in chance.sample(["hover", "completion", "definition", "prepareRename", "documentHighlight"], 2):
                c.send(f"textDocument/{method}", {"textDocument": {"uri": c.uri("a.deploy")}, "position": at(chance.randrange(len(text) + 1))})
            if i % 10 == 9:
                for method in ("documentSymbol", "semanticTokens/full", "foldingRange", "codeLens", "documentLink"):
                    c.ask(f"textDocument/{method}", {"textDocument": {"uri": c.uri("a.deploy")}})
                here = c.ask("textDocument/diagnostic", {"textDocument": {"uri": c.uri("a.deploy")}})["items"]
                assert [d["code"] for d in here] == [d["code"] for d in check_json(text)], text
                c.notes.clear()


SEVERAL = """use std.models { Mixtral_8x7B, Llama_3_1_8B }
use std.clusters { DGX_H100 }
use std.plans { Megatron, VLLM }
use std.workload { Inference }

plan Own {
  mesh dp = 2
  mesh tp = 4
  batch              -> dp
  kv_heads * q_group -> tp
  ffn                -> tp
  vocab              -> tp
}

deploy First {
  model    = Mixtral_8x7B
  cluster  = DGX_H100 { nodes = 2 }
  plan     = Megatron { tp = 4; ep = 4 }
  workload = Inference { batch = 128; seq = 128..10240; output = 256 }
  require ttft <= 200 ms
}

// about the second
deploy Second {
  model    = Llama_3_1_8B
  cluster  = DGX_H100 { nodes = 1 }
  plan     = VLLM { tp = 8 }
  workload = Inference { batch = 100_000; seq = 128..10240; output = 256 }
}

deploy Third {
  model    = Llama_3_1_8B
  cluster  = DGX_H100 { nodes = 1 }
  plan     = Own
  workload = Inference { batch = 90_000; seq = 128..1024; output = 256 }
}

deploy Fourth = Third { workload { seq = 128..2048 } }
"""


@test
def reports_of_other_deployments():
    """Edits of one deployment, of what several use, and of what is between them: each time every report is that of `check`."""
    chance = random.Random(int(os.environ.get("SEED", 1)))
    edits = [("nodes = 2", "nodes = 1"), ("tp = 4; ep = 4", "tp = 8; ep = 2"), ("tp = 4; ep = 4", "tp = 3; ep = 4"), ("batch = 128;", "batch = 136;"),
             ("200 ms", "10 s"), ("// about the second", "// about\n\n// the second"), ("// about the second", "// deploy: allow W0601 a reason"),
             ("100_000", "8"), ("90_000", "70_000"), ("90_000", "4"), ("100_000", "1 GiB"), ("plan     = Own\n", "plan     = Own { tp = 2; dp = 4 }\n"), ("mesh tp = 4", "mesh tp = 5"),
             ("ffn                -> tp", "ffn                -> dp"), ("ffn                -> tp", "fnn                -> tp"), ("deploy Second", "deploy Other"),
             ("Third { workload", "Third { plan { dp = 3 }; workload"), ("  vocab              -> tp\n", ""), ("plan Own", "\n\nplan Own"), ("  batch              -> dp\n", ""),
             ("deploy Third {", "deploy Third {\n  // Second"), ("use std.workload", "\nuse std.workload"), ("cluster  = DGX_H100 { nodes = 2 }", "cluster  = ")]
    def key(d):
        start, end = d["range"]["start"], d["range"]["end"]
        return d["code"], start["line"] + 1, start["character"] + 1, end["line"] + 1, end["character"] + 1
    with session(SEVERAL, options={"diagnostics": "pull"}) as c:
        text, version = SEVERAL, 2

        def change(old, new):
            nonlocal text, version
            version += 1
            c.change("a.deploy", [{"range": {"start": place(text, old), "end": place(text, old, len(old))}, "text": new}], version)
            text = text.replace(old, new, 1)
            if chance.random() < 0.3:
                hovered(c, place(text, "deploy Third", 8))
            found = c.ask("textDocument/diagnostic", {"textDocument": {"uri": c.uri("a.deploy")}})["items"]
            expected = check_json(text)
            here = {(e["code"], e["line"], e["column"], e["end_line"], e["end_column"]) for e in expected if e["file"].endswith(".deploy")}
            assert len(found) == len(expected) and here <= {key(d) for d in found}, (text, found, expected)
            for d, e in zip(found, expected):
                assert d["code"] == e["code"] and d["message"].startswith(e["message"]), (text, d, e)
                assert len(d["relatedInformation"]) >= len(e["related"]), (text, d, e)
                assert all(line in d["message"] for line in [e["help"] or "", *e["table"], *e["notes"]]), (text, d, e)

        for old, new in chance.sample(edits, len(edits)):
            change(old, new)
            other = chance.choice(edits)
            if text.count(other[0]) == 1 and other[1] and new:
                change(*other)
            whole, text = text, SEVERAL                                          # back at once
            c.change("a.deploy", [{"text": whole}, {"text": text}], version)
            change("deploy First", "deploy First")


def left_out():
    """Functions that could be run as tests, and are none."""
    return [name for name, f in globals().items() if inspect.isfunction(f) and f.__module__ == __name__ and f not in (*TESTS, main, left_out)
            and all(p.default is not p.empty for p in inspect.signature(f).parameters.values())]


def main():
    if left_out():
        print(f"FAIL not marked as tests: {', '.join(left_out())}")
    chosen = [t for t in TESTS if len(sys.argv) < 2 or any(w in t.__name__ for w in sys.argv[1:])]
    passed = 0
    for one in chosen:
        try:
            one()
            passed += 1
        except Exception as e:
            print(f"FAIL {one.__name__}: {type(e).__name__} {str(e)[:600]}")
    failed = len(chosen) - passed + len(left_out())
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
