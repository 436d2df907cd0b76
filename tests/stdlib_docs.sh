#!/bin/sh
# docs/stdlib is what `deployc doc std` writes; the same as HTML is well-formed, and no link of it leads nowhere.
#   stdlib_docs.sh DEPLOYC FOLDER
deployc=$1 folder=$2
rm -rf "$folder"
mkdir -p "$folder"
"$deployc" doc std -o "$folder/markdown" || exit 1
"$deployc" doc std samples/plan001.deploy --format=html -o "$folder/html" || exit 1
if ! diff -r docs/stdlib "$folder/markdown"; then
	echo "FAIL docs/stdlib is not what deployc doc writes: run \`make docs\`"
	exit 1
fi
# Names that start with `_` are private, and a page is made of what is public.
printf '/// Is shown.\nop shown(x: [...t]) -> [...t] { return x }\n/// Is hidden.\nop _hidden(x: [...t]) -> [...t] { return x }\n' > "$folder/own.deploy"
"$deployc" doc "$folder/own.deploy" -o "$folder/own" || exit 1
if ! grep -rq "Is shown" "$folder/own" || grep -rq "hidden" "$folder/own"; then
	echo "FAIL the page of a module lacks what is public, or shows what is private"
	exit 1
fi
# A comment belongs to the items that start on the next line. A module's own name leads to no item.
cat > "$folder/whole.deploy" <<'END'
use "own.deploy" as own
/// Of S, see `own`, `own.shown` and `own.none`.
schema S { n : Int = 3 }
/// Of T.
schema T {
  /// Of both.
  a : Int; b : Int
}
/// Of B.
block B(a: Int, b: Int) { return a }
END
cat > "$folder/whole.expected" <<'END'
# whole

## schema S

Of S, see `own`, `own.shown` and `own.none`.

| field | type | value | |
|---|---|---|---|
| `n` | `Int` | `3` |  |

## schema T

Of T.

| field | type | value | |
|---|---|---|---|
| `a` | `Int` |  | Of both. |
| `b` | `Int` |  | Of both. |

## block B

Of B.

```deploy
block B(a: Int, b: Int)
```

Written by `deployc doc`.
END
"$deployc" doc "$folder/whole.deploy" -o "$folder/own" || exit 1
if ! diff "$folder/whole.expected" "$folder/own/whole.md"; then
	echo "FAIL the page of a module is another one"
	exit 1
fi
"${PYTHON:-/usr/bin/python3}" - "$folder/html" "$folder/markdown" <<'END'
import html.parser
import pathlib
import re
import sys

VOID = {"meta"}
wrong = []


class Page(html.parser.HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.open, self.ids, self.links, self.path = [], set(), [], path
        self.feed(path.read_text())
        if self.open:
            wrong.append(f"{path.name}: <{self.open[-1]}> is never closed")

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids |= {attributes["id"]} if "id" in attributes else set()
        self.links += [attributes["href"]] if "href" in attributes else []
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            wrong.append(f"{self.path.name}:{self.getpos()[0]}: </{tag}> closes nothing")


class Markdown:
    def __init__(self, path):
        text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
        self.path, self.links = path, re.findall(r"\]\(([^)\s]+)\)", text)
        self.ids = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)", text, re.M)}


for folder, suffix, kind in ((sys.argv[1], "html", Page), (sys.argv[2], "md", Markdown)):
    pages = {p.name: kind(p) for p in sorted(pathlib.Path(folder).glob("*." + suffix))}
    for page in pages.values():
        for link in page.links:
            name, _, anchor = link.partition("#")
            target = pages.get(name or page.path.name)
            if not target or (anchor and anchor not in target.ids):
                wrong.append(f"{page.path.name}: {link} leads nowhere")
for line in wrong:
    print("FAIL", line)
sys.exit(bool(wrong))
END
