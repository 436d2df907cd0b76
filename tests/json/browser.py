#!/usr/bin/env python3
"""The pages of `deployc report` in headless Chromium (`apt install chromium`; without it nothing is tested): light, dark, narrow and printed.
Screenshots are left in a folder for somebody to look at.

    browser.py FOLDER
"""
import html
import json
import pathlib
import re
import shutil
import subprocess
import sys

import run

PAGES = {"quickstart": ["samples/quickstart.deploy"], "plan002": ["samples/plans/plan002.deploy"], "mixtral": ["samples/mixtral_8x22b.deploy"], "large": run.LARGE, "training": run.TRAINED, "plan004": ["samples/plans/plan004_corrected.deploy", "--deploy", "Train"]}
LOOKS = {"light": (1200, ["--blink-settings=preferredColorScheme=1"]), "dark": (1200, ["--blink-settings=preferredColorScheme=0"]), "narrow": (640, [])}
HEIGHT = 2200
# Reports colours, and elements that reach over the right edge, apart from what scrolls by itself.
PROBE = """<script>
const edge = document.documentElement.clientWidth, wide = [];
for (const e of document.body.querySelectorAll("*"))
  if (!e.closest("table, .bar") && e.getBoundingClientRect().right > edge + 1) wide.push(e.tagName + " " + e.className);
if (document.documentElement.scrollWidth > edge) wide.push("the page");
const meta = document.createElement("meta"), style = getComputedStyle(document.body);
meta.name = "probe";
meta.content = JSON.stringify({wide, height: document.documentElement.scrollHeight, paper: style.backgroundColor, ink: style.color});
document.head.append(meta);
</script>"""


def chromium(*words):
    return subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr", *words],
                          capture_output=True, text=True, timeout=120)


def look_at(page, width, options):
    """What PROBE says of a page as wide as that."""
    copy = page.with_name(f"probe-{page.name}")
    copy.write_text(page.read_text() + PROBE)
    dom = chromium(f"--window-size={width},{HEIGHT}", *options, "--dump-dom", copy.as_uri())
    copy.unlink()
    assert "CONSOLE" not in dom.stderr, dom.stderr[-300:]
    return json.loads(html.unescape(re.search(r'<meta name="probe" content="([^"]*)">', dom.stdout)[1]))


def check(name, words, folder):
    page = folder / f"{name}.html"
    run.deployc("report", *words, "-o", str(page))
    for look, (width, options) in LOOKS.items():
        seen = look_at(page, width, options)
        assert not seen["wide"], f"{look}: reaches over the right edge: {seen['wide'][:3]}"
        assert seen["height"] > 1000, f"{look}: {seen['height']} px high"
        paper, ink = (sum(map(int, re.findall(r"\d+", seen[color])[:3])) for color in ("paper", "ink"))
        assert (paper < 150 and ink > 500) if look == "dark" else (paper > 700 and ink < 200), f"{look}: {seen['paper']}, {seen['ink']}"
        picture = folder / f"{name}-{look}.png"
        chromium(f"--window-size={width},{HEIGHT}", *options, f"--screenshot={picture}", page.as_uri())
        assert picture.exists(), "no screenshot"
    print_to = folder / f"{name}.pdf"
    chromium(f"--print-to-pdf={print_to}", page.as_uri())
    assert print_to.exists() and print_to.read_bytes()[:4] == b"%PDF", "no print"


def main(folder):
    if not shutil.which("chromium"):
        print("chromium is not installed: the pages are not looked at")
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    passed = failed = 0
    for name, words in PAGES.items():
        try:
            check(name, words, folder.absolute())
            passed += 1
        except AssertionError as wrong:
            failed += 1
            print(f"FAIL {name}: {wrong}")
    print(f"screenshots and prints: {folder}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
