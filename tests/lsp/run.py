#!/usr/bin/env python3
"""The language server, asked over the protocol: each answer is compared with what the text says, or with what `deployc` prints."""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

from client import CAPABILITIES, DEPLOYC, ROOT, Client, apply, place

CHAT = (ROOT / "samples/quickstart.deploy").read_text()
LARGE = CHAT.replace("tp = 4; ep = 2", "tp = 8; ep = 1").replace("batch = 128;", "batch = 100_000;")


class session:
    """A server with an open document; its end is checked."""

    def __init__(self, text=CHAT, words=(), options=None, capabilities=CAPABILITIES):
        self.text, self.given = text, (words, options, capabilities)

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.client = Client(self.folder.name, *self.given)
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
def diagnostics_are_those_of_check():
    for name in ("wrong_unit", "wrong_name", "large"):
        text = {"wrong_unit": CHAT.replace("10 s", "10 GB"), "wrong_name": CHAT.replace("Megatron {", "Megatro {"), "large": LARGE}[name]
        expected = check_json(text)
        with session(text) as c:
            c.diagnostics("a.deploy")
            found = c.ask("textDocument/diagnostic", {"textDocument": {"uri": c.uri("a.deploy")}})["items"]
            assert [d["code"] for d in found] == [d["code"] for d in expected], (found, expected)
            for d, e in zip(found, expected):
                assert d["range"]["start"] == {"line": e["line"] - 1, "character": e["column"] - 1}, (d, e)
                assert d["message"].startswith(e["message"]) and d["severity"] == (1 if e["severity"] == "error" else 2)
                assert len(d["relatedInformation"]) == len(e["related"])
                assert pathlib.Path(d["codeDescription"]["href"].removeprefix("file://")).read_text().startswith(f"{e['severity']}[{d['code']}]")


def verdicts_on_times_come_second():
    text = CHAT.replace("10 s", "200 ms")                                        # within the interval: open
    with session(text) as c:
        assert c.diagnostics("a.deploy") == []
        assert [d["code"] for d in c.diagnostics("a.deploy")] == ["W0811"]
        c.change("a.deploy", [{"text": CHAT}])
        assert c.diagnostics("a.deploy") == []


def pulling_instead_of_pushing():
    with session(CHAT.replace("10 s", "200 ms"), options={"diagnostics": "pull"}) as c:
        assert c.capabilities["capabilities"]["diagnosticProvider"]
        assert [d["code"] for d in c.ask("textDocument/diagnostic", {"textDocument": {"uri": c.uri("a.deploy")}})["items"]] == ["W0811"]
        assert hovered(c, place(CHAT, "batch")) and not c.notes and c.read(0.2) is None
    with session() as c:
        assert "diagnosticProvider" not in c.capabilities["capabilities"]


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


def files_that_are_used():
    with session(None) as c:
        c.open("lib.deploy", "use std.hw { Cluster }\nuse std.clusters { DGX_H100 }\ncluster Mine = DGX_H100 { nodes = 2 }\n")
        main = CHAT.replace("use std.clusters { DGX_H100 }", 'use "lib.deploy" as lib').replace("DGX_H100 { nodes = 1 }", "lib.Mine { nodes = 1 }")
        c.open("a.deploy", main)
        assert c.diagnostics("a.deploy") == []                                   # an unsaved file is used
        c.change("lib.deploy", [{"text": "use std.clusters { DGX_H100 }\ncluster Other = DGX_H100 { nodes = 2 }\n"}])
        assert [d["code"] for d in c.diagnostics("a.deploy")] == ["E0101"]       # and read again when it changes
        (target,) = c.at("definition", "a.deploy", place(main, "lib.Mine", 1))
        assert target["uri"] == c.uri("lib.deploy") or target["uri"] == c.uri("a.deploy")


def closing_clears():
    with session(CHAT.replace("nodes", "node")) as c:
        assert c.diagnostics("a.deploy")
        c.tell("textDocument/didClose", {"textDocument": {"uri": c.uri("a.deploy")}})
        while (found := c.diagnostics("a.deploy")) != []:
            assert found


def settings():
    with session(options={"define": {"Chat.plan.tp": 3}}) as c:
        assert c.diagnostics("a.deploy")
        c.tell("workspace/didChangeConfiguration", {"settings": {"deploy": {"define": {}}}})
        while c.diagnostics("a.deploy"):
            pass
    with session(words=["-D", "Chat.plan.tp=3"]) as c:
        assert c.diagnostics("a.deploy")


# ---- actions ----------------------------------------------------------------------------------------------------------
def actions_apply():
    text = CHAT.replace("Megatron {", "Megatro {")
    with session(text) as c:
        (found,) = c.diagnostics("a.deploy")
        actions = c.at("codeAction", "a.deploy", {}, range=found["range"], context={"diagnostics": [found]})
        assert actions[0]["kind"] == "quickfix" and actions[0]["isPreferred"], actions
        assert apply(text, actions[0]["edit"]["changes"][c.uri("a.deploy")]) == CHAT


def a_warning_may_be_allowed():
    text = CHAT.replace("10 s", "200 ms")
    with session(text) as c:
        (found,) = c.diagnostics("a.deploy", 2)
        (action,) = c.at("codeAction", "a.deploy", {}, range=found["range"], context={"diagnostics": [found]})
        new = apply(text, action["edit"]["changes"][c.uri("a.deploy")])
        assert "  // deploy: allow W0811 the reason\n  require ttft" in new
        assert not [d for d in check_json(new) if d["allowed"] is None]


def all_of_a_code():
    text = CHAT.replace("batch =", "batchh =").replace("output =", "outputt =")
    with session(text) as c:
        found = c.diagnostics("a.deploy")
        assert [d["code"] for d in found] == ["E0201", "E0201"], found
        actions = c.at("codeAction", "a.deploy", {}, range=found[0]["range"], context={"diagnostics": found})
        (action,) = [a for a in actions if a["kind"] == "source.fixAll"]
        assert apply(text, action["edit"]["changes"][c.uri("a.deploy")]) == CHAT


# ---- hover ------------------------------------------------------------------------------------------------------------
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
        assert "the fullest rank takes" in hovered(c, place(CHAT, "Chat"))
        assert hovered(c, {"line": 4, "character": 0}) is None
        assert hovered(c, {"line": 999, "character": 999}) is None


def hover_of_values_shows_layouts():
    text = (ROOT / "samples/own_op.deploy").read_text()
    local = subprocess.run([DEPLOYC, "--emit=dag-local", ROOT / "samples/own_op.deploy"], capture_output=True, text=True).stdout
    with session(text) as c:
        c.diagnostics("a.deploy")
        names = [line.split()[1] for line in text.splitlines() if line.strip().startswith(("let ", "param "))]
        seen = 0
        for name in names:
            value = hovered(c, place(text, f" {name} ", 1))
            if value and "prefill: `" in value:
                layout = value.split("prefill: `")[1].split("`")[0]
                seen += layout in local
        assert seen, names


# ---- completion -------------------------------------------------------------------------------------------------------
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


def completion_imports():
    with session() as c:
        items = {i["label"]: i for i in c.at("completion", "a.deploy", place(CHAT, "Megatron {"))}
        edits = items["VLLM"]["additionalTextEdits"]
        assert apply(CHAT, edits) == CHAT.replace("use std.plans { Megatron }", "use std.plans { VLLM, Megatron }")
        new = apply(CHAT, edits + [{"range": {"start": place(CHAT, "Megatron {"), "end": place(CHAT, "Megatron {", 8)}, "newText": "VLLM"}])
        assert not [d for d in check_json(new.replace("tp = 4; ep = 2", "tp = 8")) if d["severity"] == "error"]
        more = c.ask("completionItem/resolve", items["VLLM"])
        assert "data-parallel-size" in more["documentation"]["value"]


def completion_in_a_broken_text():
    for broken in (CHAT.replace("tp = 4; ep = 2 }", "tp = }"), CHAT.replace("tp = 4; ep = 2 }", "tp = 4; \n"), CHAT.replace("  require ttft <= 10 s\n}\n", "  require ")):
        with session(broken) as c:
            mark = "tp = " if "tp = " in broken else "Megatron { "
            found = labels(c, place(broken, mark, len(mark)))
            assert found, broken
    text = CHAT.replace("10 s", "10 ")
    with session(text) as c:
        assert {"s", "ms"} <= set(labels(c, place(text, "10 ", 3, 3 if text.count("10 ") > 2 else 1)))


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
def definitions_and_references():
    with session() as c:
        (target,) = c.at("definition", "a.deploy", place(CHAT, "Megatron", 0, 2))
        library = pathlib.Path(target["uri"].removeprefix("file://"))
        line = library.read_text().splitlines()[target["range"]["start"]["line"]]
        assert line.startswith("plan Megatron") and not os.access(library, os.W_OK) or os.getuid() == 0
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


# ---- outline ----------------------------------------------------------------------------------------------------------
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


def semantic_tokens_name_the_text():
    with session(OWN) as c:
        data = c.ask("textDocument/semanticTokens/full", {"textDocument": {"uri": c.uri("a.deploy")}})["data"]
        legend = c.capabilities["capabilities"]["semanticTokensProvider"]["legend"]["tokenTypes"]
        lines, line, column, seen = OWN.splitlines(), 0, 0, set()
        for i in range(0, len(data), 5):
            line, column = line + data[i], (column if not data[i] else 0) + data[i + 1]
            seen.add((lines[line][column:column + data[i + 2]], legend[data[i + 3]]))
        assert {("Mine", "type"), ("tp", "parameter"), ("batch", "property"), ("Mixtral_8x7B", "type")} <= seen, seen


def formatting():
    ugly = CHAT.replace("  model    =", "  model =").replace("{ tp = 4; ep = 2 }", "{tp=4;ep=2}")
    canonical = subprocess.run([DEPLOYC, "fmt", "-"], input=ugly, capture_output=True, text=True).stdout
    with session(ugly) as c:
        assert apply(ugly, c.at("formatting", "a.deploy", {}, options={"tabSize": 2, "insertSpaces": True})) == canonical
        c.change("a.deploy", [{"text": canonical}])
        assert c.at("formatting", "a.deploy", {}, options={}) == []
        c.change("a.deploy", [{"text": "deploy {{{"}])
        assert "mistakes" in c.refusal("textDocument/formatting", {"textDocument": {"uri": c.uri("a.deploy")}, "options": {}})["message"]


# ---- the protocol -----------------------------------------------------------------------------------------------------
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
            {"id": 6, "method": "textDocument/hover"}, {"id": 6, "method": "$/cancelRequest", "params": {"id": 6}}, {"id": "seven"}, {"method": "$/cancelRequest", "params": {"id": 9}},
            {"id": 8, "method": "shutdown"}, {"id": 10, "method": "textDocument/hover"}, {"method": "exit"})), timeout=60)
        assert p.returncode == 0
        errors = {m["id"]: m.get("error", {}).get("code") for m in map(json.loads, (x.split(b"Content-Length")[0] for x in out.split(b"\r\n\r\n")[1:]))}
        assert errors == {1: -32002, 2: None, 3: -32600, 4: -32601, 5: -32602, 6: -32602, "seven": -32600, 8: None, 10: -32600} or errors[6] in (-32601, -32800), errors


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


def broken_messages_end_nothing_else():
    with session() as c:
        c.diagnostics("a.deploy")
        for bad in (b"{", b"[1]", b"3", b"{}", b'{"method": 3}', b"\xff\xfe"):
            c.process.stdin.write(b"content-length: %d\r\n\r\n" % len(bad) + bad)
        c.process.stdin.flush()
        assert hovered(c, place(CHAT, "batch"))


def headers_that_are_not_understood_end_the_server():
    for bad in (b"Content-Length: 99999999999\r\n\r\n", b"Content-Length: -3\r\n\r\n", b"Hello\r\n\r\n", b"\r\n\r\n", b"x" * 100_000, b"Content-Length: 12\r\n\r\n{"):
        p = subprocess.run([DEPLOYC, "lsp"], input=bad, capture_output=True, timeout=60)
        assert p.returncode == 1, (bad[:40], p)


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


def memory_does_not_grow():
    def resident(c):
        return int(pathlib.Path(f"/proc/{c.process.pid}/statm").read_text().split()[1])
    with session() as c:
        after = []
        for i in range(600):
            c.change("a.deploy", [{"text": CHAT.replace("128..10240", f"128..{10240 + i % 7}")}], i + 2)
            assert hovered(c, place(CHAT, "batch"))
            c.notes.clear()
            if i in (199, 599):
                after.append(resident(c))
        assert after[1] <= after[0] + 64, after                                  # pages


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


TESTS = [diagnostics_are_those_of_check, verdicts_on_times_come_second, pulling_instead_of_pushing, edits_arrive_as_ranges_of_utf16, utf8_if_it_is_offered, files_that_are_used, closing_clears,
         settings, actions_apply, a_warning_may_be_allowed, all_of_a_code, hover_says_what_is_known, hover_of_values_shows_layouts, completion_knows_the_place,
         completion_imports, completion_in_a_broken_text, completed_values_are_legal, definitions_and_references, renaming_keeps_meanings, outline,
         semantic_tokens_name_the_text, formatting, order_is_kept, cancelled_requests_are_not_answered, broken_messages_end_nothing_else,
         headers_that_are_not_understood_end_the_server, edits_that_cannot_be, memory_does_not_grow, random_edits]


def main():
    chosen = [t for t in TESTS if len(sys.argv) < 2 or any(w in t.__name__ for w in sys.argv[1:])]
    passed = 0
    for test in chosen:
        try:
            test()
            passed += 1
        except Exception as e:
            print(f"FAIL {test.__name__}: {type(e).__name__} {str(e)[:600]}")
    print(f"{passed} passed, {len(chosen) - passed} failed")
    return passed < len(chosen)


if __name__ == "__main__":
    sys.exit(main())
