"""A client of the language server that speaks the protocol over pipes, for tests."""
import json
import os
import pathlib
import select
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc"))
PATIENCE = 60                                           # seconds; nothing that is tested takes so long

CAPABILITIES = {"general": {"positionEncodings": ["utf-16"]}, "textDocument": {"completion": {"completionItem": {"snippetSupport": False}}}}


class Client:
    def __init__(self, folder, words=(), options=None, capabilities=CAPABILITIES, roots=None, program=DEPLOYC):
        self.folder, self.next_id, self.buffer, self.notes = pathlib.Path(folder), 1, b"", []
        environment = {**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache")}
        self.process = subprocess.Popen([program, "lsp", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        self.capabilities = self.ask("initialize", {"processId": None, "rootUri": None, "capabilities": capabilities, "initializationOptions": options,
                                                    "workspaceFolders": roots and [{"uri": pathlib.Path(r).as_uri(), "name": "root"} for r in roots]})
        self.tell("initialized", {})

    # ---- messages -----------------------------------------------------------------------------------------------------
    def write(self, message):
        text = json.dumps(message).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(text) + text)
        self.process.stdin.flush()

    def read(self, seconds=PATIENCE):
        """The next message; None: there is none in so many seconds, or the server ended."""
        end = time.monotonic() + seconds
        while True:
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if found:
                length = int(head.split(b":")[1])
                if len(rest) >= length:
                    self.buffer = rest[length:]
                    return json.loads(rest[:length])
            if not select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                return None
            more = os.read(self.process.stdout.fileno(), 1 << 16)
            if not more:
                return None
            self.buffer += more

    def tell(self, method, params):
        self.write({"jsonrpc": "2.0", "method": method, "params": params})

    def send(self, method, params):
        self.next_id += 1
        self.write({"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params})
        return self.next_id

    def answer(self, number):
        """The whole answer; notifications before it are kept in `notes`."""
        while True:
            message = self.read()
            assert message is not None, "no answer"
            if message.get("id") == number and "method" not in message:
                return message
            self.notes.append(message)

    def ask(self, method, params):
        message = self.answer(self.send(method, params))
        assert "error" not in message, message
        return message["result"]

    def refusal(self, method, params):
        return self.answer(self.send(method, params))["error"]

    # ---- documents ----------------------------------------------------------------------------------------------------
    def uri(self, name):
        return (self.folder / name).as_uri()

    def open(self, name, text):
        self.tell("textDocument/didOpen", {"textDocument": {"uri": self.uri(name), "languageId": "deploy", "version": 1, "text": text}})

    def change(self, name, changes, version=2):
        self.tell("textDocument/didChange", {"textDocument": {"uri": self.uri(name), "version": version}, "contentChanges": changes})

    def diagnostics(self, name, count=1, version=None):
        """The count-th report of diagnostics about the document, or about this version of it, from now on."""
        while True:
            for i, note in enumerate(self.notes):
                if note.get("method") == "textDocument/publishDiagnostics" and note["params"]["uri"] == self.uri(name):
                    del self.notes[i]
                    count -= version in (None, note["params"]["version"])
                    if not count:
                        return note["params"]["diagnostics"]
                    break
            else:
                message = self.read()
                assert message is not None, "no diagnostics"
                self.notes.append(message)

    def at(self, method, name, position, **more):
        return self.ask(f"textDocument/{method}", {"textDocument": {"uri": self.uri(name)}, "position": position, **more})

    def close(self):
        """Ends the server; its exit status and what it wrote to standard error."""
        if self.process.poll() is None:
            self.ask("shutdown", None)
            self.tell("exit", None)
        self.process.stdin.close()
        errors = self.process.stderr.read().decode()
        self.process.stdout.close()
        return self.process.wait(PATIENCE), errors


def place(text, mark, offset=0, nth=1):
    """The position of the nth `mark` in the text, in UTF-16."""
    at = -1
    for _ in range(nth):
        at = text.index(mark, at + 1)
    before = text[:at + offset]
    line = before.rpartition("\n")[2]
    return {"line": before.count("\n"), "character": len(line.encode("utf-16-le")) // 2}


def apply(text, edits):
    """The text after edits of the protocol, which do not overlap."""
    lines = text.splitlines(keepends=True) + [""]
    def offset(p):
        line = lines[p["line"]] if p["line"] < len(lines) else ""
        inside = line.encode("utf-16-le")[:2 * p["character"]].decode("utf-16-le")
        return sum(map(len, lines[:p["line"]])) + len(inside)
    for edit in sorted(edits, key=lambda e: offset(e["range"]["start"]), reverse=True):
        text = text[:offset(edit["range"]["start"])] + edit["newText"] + text[offset(edit["range"]["end"]):]
    return text
