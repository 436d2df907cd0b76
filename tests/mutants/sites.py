"""Places of the C sources where a mutant can be, found by tokens: a file's functions, their statements, conditions, operators and
constants. A site is an edit that wraps a span of the text; its name stays when other lines of the file change."""
import dataclasses
import hashlib
import re

TOKEN = re.compile(r"""
    (?P<space>\s+|//[^\n]*|/\*.*?\*/)
  | (?P<directive>(?<![^\n])\#(?:\\\n|/\*.*?\*/|[^\n])*)
  | (?P<string>(?:u8|[uUL])?"(?:\\.|[^"\\\n])*")
  | (?P<char>[uUL]?'(?:\\.|[^'\\\n])*')
  | (?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<sign><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[-+*/%&|^~!<>=?:;,.(){}\[\]])
""", re.X | re.S)
OPEN, CLOSE = dict(zip("([{", ")]}")), dict(zip(")]}", "([{"))
ASSIGN = {"=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="}
TYPES = {"struct", "union", "enum", "const", "static", "int", "char", "bool", "unsigned", "signed", "long", "short", "float", "double", "void",
         "size_t", "ssize_t", "FILE", "va_list", "sigset_t", "pid_t", "json_t", "pthread_t", "int8_t", "int16_t", "int32_t", "int64_t", "uint8_t",
         "uint16_t", "uint32_t", "uint64_t", "uintptr_t", "extern", "volatile", "register", "_Alignas", "typedef", "_Static_assert", "_Noreturn"}
KEYWORDS = {"if", "for", "while", "switch", "return", "do", "else", "case", "default", "goto", "break", "continue", "sizeof"}
LOWER = {";", ",", "?", ":", *ASSIGN}           # signs that bind less than || does
HASH_SEED = "1"


@dataclasses.dataclass
class Site:
    """text[start:end] becomes before + text[start:end] + after, with the mutant's number in place of ID."""
    file: str
    function: str
    kind: str
    text: str
    start: int
    end: int
    before: str
    after: str
    line: int
    number: int = 0             # of equal sites in the function, 0 for the first
    id: int = -1

    @property
    def name(self):
        again = f" ({self.number + 1})" if self.number else ""
        return f"{self.file} {self.function}: {self.kind} `{self.text}`{again}"

    @property
    def rank(self):
        return hashlib.sha256((HASH_SEED + self.name).encode()).hexdigest()

    @property
    def folder(self):
        return self.file.split("/")[0]


@dataclasses.dataclass
class Token:
    kind: str
    text: str
    start: int
    end: int
    mate: int = -1              # of a bracket
    inside: str = ""            # the bracket that it is directly in


def tokens_of(text):
    tokens, at, stack = [], 0, []
    while at < len(text):
        m = TOKEN.match(text, at)
        if not m:
            raise ValueError(f"no token at {text[at:at + 20]!r}")
        at = m.end()
        if m.lastgroup in ("space", "directive"):
            continue
        token = Token(m.lastgroup, m[0], m.start(), m.end(), inside=tokens[stack[-1]].text if stack else "")
        if token.kind == "sign" and token.text in OPEN:
            stack.append(len(tokens))
        elif token.kind == "sign" and token.text in CLOSE and stack:
            token.mate = stack.pop()
            tokens[token.mate].mate = len(tokens)
        tokens.append(token)
    return tokens


def shown_text(source):
    """Without comments and layout, so that a name survives reformatting."""
    text = re.sub(r"\s+", " ", re.sub(r"/\*.*?\*/", "", source, flags=re.S)).strip()
    return re.sub(r'" "', "", re.sub(r"(?<=[({]) | (?=[)}])", "", text))


class File:
    def __init__(self, name, text):
        self.name, self.text, self.tokens, self.sites = name, text, tokens_of(text), []

    # ---- spans ----
    def ends(self, i, stop):
        """The first token from i on, past brackets, that is one of `stop` or closes a bracket."""
        t = self.tokens
        while i < len(t):
            if t[i].kind == "sign":
                if t[i].text in stop or t[i].text in CLOSE:
                    return i
                if t[i].text in OPEN:
                    i = t[i].mate
            i += 1
        return i

    def begins(self, i, stop):
        """The last token before i, past brackets, after which an expression begins."""
        t = self.tokens
        i -= 1
        while i >= 0:
            if t[i].text == "return" or (t[i].kind == "sign" and (t[i].text in stop or t[i].text in OPEN)):
                return i
            if t[i].kind == "sign" and t[i].text in CLOSE:
                i = t[i].mate
            i -= 1
        return i

    def operand(self, i):
        """The end of the unary expression that begins at token i, or None."""
        t = self.tokens
        while t[i].text in {"-", "+", "!", "~", "*", "&", "++", "--"}:
            i += 1
        while t[i].text == "(" and t[t[i].mate + 1].kind in ("word", "number", "string", "char") and t[t[i].mate + 1].text not in KEYWORDS:
            i = t[i].mate + 1           # a cast
        if t[i].text == "sizeof":
            return None
        if t[i].text == "(":
            i = t[i].mate + 1
            if t[i].text == "{":
                i = t[i].mate + 1       # a compound literal
        elif t[i].kind in ("word", "number", "char", "string"):
            i += 1
        else:
            return None
        while t[i].text in {"[", "(", ".", "->", "++", "--"}:
            i = t[i].mate + 1 if t[i].text in OPEN else i + (2 if t[i].text in {".", "->"} else 1)
        return i

    # ---- sites ----
    def add(self, function, kind, first, last, before, after, shown=None):
        """A site over tokens [first, last)."""
        t = self.tokens
        start, end = t[first].start, t[last - 1].end
        a, b = shown or (first, last)
        text = shown_text(self.text[t[a].start:t[b - 1].end])
        text = text if len(text) <= 70 else text[:67] + "..."
        line = self.text.count("\n", 0, start) + 1
        self.sites.append(Site(self.name, function, kind, text.replace("|", "¦"), start, end, before, after, line))

    def functions(self):
        """(name, its type's text, the tokens of { and })."""
        t, i, begin = self.tokens, 0, 0
        while i < len(t):
            if t[i].text == "{" and i and t[i - 1].text == ")" and t[t[i - 1].mate - 1].kind == "word":
                name = t[i - 1].mate - 1
                words = [x.text for x in t[begin:name] if x.text not in {"static", "inline", "_Noreturn", "extern"}]
                yield t[name].text, " ".join(words), i, t[i].mate
            if t[i].text in OPEN:
                i = t[i].mate
            if t[i].text in (";", "}"):
                begin = i + 1
            i += 1

    def collect(self):
        for name, returns, begin, end in self.functions():
            if "__attribute__" in returns or name == "main":
                continue
            self.fail(name, returns, begin, end)
            for i in range(begin + 1, end):
                self.statement(name, returns, i)
                self.operator(name, i)
        seen = {}
        for site in self.sites:
            key = site.name
            site.number = seen[key] = seen.get(key, -1) + 1
        return self.sites

    def fail(self, name, returns, begin, end):
        if end - begin < 8:
            return
        value = "" if returns == "void" else f"({returns}){{0}}"
        t = self.tokens[begin]
        line = self.text.count("\n", 0, t.start) + 1
        self.sites.append(Site(self.name, name, "returns at once", name, t.end, t.end, f" if (mutant(ID)) return {value};", "", line))

    def statement(self, name, returns, i):
        t = self.tokens
        word, before = t[i].text, t[i - 1].text
        if word in ("if", "while") and t[i + 1].text == "(":
            first, last = i + 2, t[i + 1].mate
            if word == "if":
                self.add(name, "inverted", first, last, "((", ") ? !mutant(ID) : mutant(ID))")
                self.add(name, "never taken", first, last, "(!mutant(ID) && (", "))")
            elif t[last + 1].text != ";":
                self.add(name, "loop left out", first, last, "(!mutant(ID) && (", "))")
        elif word == "for" and t[i + 1].text == "(":
            first = self.ends(i + 2, {";"}) + 1
            last = self.ends(first, {";"})
            if last > first:
                self.add(name, "loop left out", first, last, "(!mutant(ID) && (", "))")
        elif word == "return" and returns == "bool" and t[i + 1].text != ";":
            self.add(name, "returns the opposite", i + 1, self.ends(i + 1, {";"}), "((", ") ? !mutant(ID) : mutant(ID))")
        elif word in ("break", "continue"):
            self.add(name, "left out", i, i + 2, "{ if (!mutant(ID)) ", " }")
        elif t[i].inside == "{" and (before in {";", "{", "}", "else", "do"} or self.after_condition(i)) and word not in TYPES | KEYWORDS:
            self.expression_statement(name, i)

    def after_condition(self, i):
        t = self.tokens
        return t[i - 1].text == ")" and t[t[i - 1].mate - 1].text in {"if", "for", "while"}

    def expression_statement(self, name, i):
        t = self.tokens
        end = self.ends(i, {";"})
        if t[end].text != ";" or (t[i].kind == "word" and (t[i + 1].kind == "word" or t[i + 1].text == ":")):
            return
        if t[i].text == "(" and t[i + 1].text == "void":
            return
        if t[i].kind == "word" or t[i].text in {"*", "("}:
            self.add(name, "left out", i, end + 1, "{ if (!mutant(ID)) ", " }")

    def operator(self, name, i):
        t = self.tokens
        text, binary = t[i].text, t[i - 1].kind in ("word", "number", "char") or t[i - 1].text in (")", "]")
        if t[i].kind in ("number", "char"):
            if t[i - 1].text != "case":
                self.add(name, "one more than", i, i + 1, "(", " + mutant(ID))", self.around(i))
            return
        if t[i].kind != "sign" or not binary or self.after_condition(i) or t[i - 1].text in TYPES | {"return", "case"} or t[i - 2].text in ("struct", "union", "enum"):
            return
        if text in {"<", "<=", ">", ">=", "==", "!="}:
            stop = LOWER | {"&&", "||", "&", "|", "^", "<", "<=", ">", ">=", "==", "!=", "<<", ">>"}
            last = self.ends(i + 1, stop)
            if t[last].text not in ("<<", ">>"):
                self.add(name, "off by one", i + 1, last, "(", " + mutant(ID))", (self.begins(i, stop) + 1, last))
        elif text in ("&&", "||"):
            stop = LOWER | {"||"} | ({"&&"} if text == "&&" else set())
            last = self.ends(i + 1, stop)
            wrap = "(mutant(ID) || (" if text == "&&" else "(!mutant(ID) && ("
            self.add(name, "without the right of", i + 1, last, wrap, "))", (self.begins(i, stop) + 1, last))
        elif text in {"+", "-", "*", "/", "%"} and t[i + 1].text != ")":
            last = self.operand(i + 1)
            if last is None or t[i + 1].text in TYPES:
                return
            if text in "+-":
                self.add(name, "other sign", i + 1, last, "(mutant(ID) ? -1 : 1) * ", "", self.around(i))
            else:
                self.add(name, "one in place of the right of", i + 1, last, "(mutant(ID) ? 1 : (", "))", (i - 1 if t[i - 1].kind == "word" else i, last))
        elif text == "?":
            first = self.begins(i, LOWER) + 1
            self.add(name, "inverted", first, i, "((", ") ? !mutant(ID) : mutant(ID))", (first, min(i + 2, len(t))))

    def around(self, i):
        """Tokens around i that say which one is meant."""
        stop = {";", ",", "?", ":", "{", "}", "&&", "||"}
        first = self.begins(i, stop | ASSIGN) + 1
        return first, max(self.ends(i + 1, stop), i + 1)


def mutated(text, sites):
    """The text with all sites in it. Spans are nested or disjoint; at one place, ends come first, the inner before the outer."""
    edits = []
    for order, site in enumerate(sites):
        width = site.end - site.start
        edits.append((site.start, 1 if width else 2, -width, order, site.before.replace("ID", str(site.id))))
        if site.after:
            edits.append((site.end, 0, width, -order, site.after.replace("ID", str(site.id))))
    out, at = [], 0
    for place, _, _, _, piece in sorted(edits, key=lambda e: e[:4]):
        out += [text[at:place], piece]
        at = place
    return "".join(out + [text[at:]])
