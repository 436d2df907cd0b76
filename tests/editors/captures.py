#!/usr/bin/env python3
"""Captures of real editors for docs/editors.md: each runs on a terminal that pyte emulates, gets keys, and its screen is drawn as SVG.

    captures.py            writes docs/captures/*.svg; somebody should look at them
"""
import collections
import fcntl
import os
import pathlib
import pty
import select
import signal
import struct
import sys
import tempfile
import termios
import time
from xml.sax.saxutils import escape

from corpus import DEPLOYC, ROOT, SPEC, fetched
from neovim import current

OUT = ROOT / "docs/captures"
COLUMNS, LINES = 100, 24
CELL, ROW, SIZE = 8, 17, 13            # of a character, in pixels; and its font
PACKAGES = ["pyte==0.8.2", "wcwidth==0.2.13"]
FOREGROUND = "d7dae0"
NAMED = {"black": "1c1c1c", "red": "e06c75", "green": "98c379", "brown": "e5c07b", "blue": "61afef", "magenta": "c678dd", "cyan": "56b6c2", "white": "d7dae0",
         "brightblack": "7f848e", "brightred": "ff7b86", "brightgreen": "b5e890", "brightbrown": "ffd68a", "brightyellow": "ffd68a", "brightblue": "7cc4ff", "brightmagenta": "da8ff0",
         "brightcyan": "6fd3df", "brightwhite": "ffffff"}


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, words, environment):
        import pyte

        class Screen(pyte.Screen):
            def select_graphic_rendition(self, *attributes, private=False):
                if not private:        # xterm's settings of keys, which pyte takes for colours
                    super().select_graphic_rendition(*attributes)

        self.screen = Screen(COLUMNS, LINES)
        self.stream = pyte.ByteStream(self.screen)
        self.child, self.end = pty.fork()
        if not self.child:
            os.environ.update(environment, TERM="xterm-256color", COLORTERM="")
            os.execvp(words[0], [str(word) for word in words])
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))

    def take(self, seconds):
        """Reads what comes for so long."""
        end = time.monotonic() + seconds
        while select.select([self.end], [], [], max(0, end - time.monotonic()))[0]:
            try:
                self.stream.feed(os.read(self.end, 1 << 16))
            except OSError:
                return

    def until(self, text):
        """Waits until the screen shows a text, and the editor has drawn the rest."""
        for _ in range(600):
            self.take(0.1)
            if any(text in line for line in self.screen.display):
                self.take(1)
                return
        sys.exit("\n".join(self.screen.display) + f"\nFAIL the screen does not show {text!r}")

    def keys(self, text):
        os.write(self.end, text.encode())

    def close(self):
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        os.close(self.end)


def colour(name, otherwise):
    return otherwise if name == "default" else NAMED.get(name, name)


def runs(screen, y, ground):
    """Parts of a line in one style: (column, text, foreground, background, bold, underlined)."""
    out = []
    for x in range(COLUMNS):
        c = screen.buffer[y][x]
        front, back = colour(c.fg, FOREGROUND), colour(c.bg, ground)
        if c.reverse or (screen.cursor.x, screen.cursor.y) == (x, y):
            front, back = back, front
        style = (front, back, c.bold, c.underscore)
        if out and out[-1][2:] == style:
            out[-1] = (out[-1][0], out[-1][1] + c.data, *style)
        else:
            out.append((x, c.data, *style))
    return out


def svg(screen, title):
    """Each character has its place, so that any fixed font does."""
    width, height = COLUMNS * CELL + 16, LINES * ROW + 16
    grounds = collections.Counter(screen.buffer[y][x].bg for y in range(LINES) for x in range(COLUMNS))
    ground = colour(grounds.most_common(1)[0][0], NAMED["black"])
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" role="img">',
             f'<title>{escape(title)}</title><rect width="100%" height="100%" rx="6" fill="#{ground}"/>',
             f'<g font-family="ui-monospace, DejaVu Sans Mono, monospace" font-size="{SIZE}">']
    for y in range(LINES):
        for x, text, front, back, bold, under in runs(screen, y, ground):
            left, top = 8 + x * CELL, 8 + y * ROW
            if back != ground:
                parts.append(f'<rect x="{left}" y="{top}" width="{len(text) * CELL}" height="{ROW}" fill="#{back}"/>')
            if text.strip():
                # Renderers join spaces, so they are left out.
                places = " ".join(str(left + i * CELL) for i, c in enumerate(text) if c != " ")
                style = (' font-weight="bold"' if bold else "") + (' text-decoration="underline"' if under else "")
                parts.append(f'<text x="{places}" y="{top + 13}" fill="#{front}"{style}>{escape(text.replace(" ", ""))}</text>')
    return "\n".join([*parts, "</g>", "</svg>", ""])


def neovim(spec):
    yield [current(), "--clean", "--cmd", f"set rtp^={ROOT / 'editors/vim'}", "--cmd", "colorscheme habamax", "-c", "lua vim.diagnostic.config({ virtual_text = true })",
           "-c", "set nowrap laststatus=0", spec]
    yield "neovim-diagnostic", "Neovim: a diagnostic while the text is typed", "9GfM", "cannot find `Megatro`"
    yield "neovim-action", "Neovim: its fixes", ":lua vim.lsp.buf.code_action()\r", "did you mean"
    yield None, None, "1\r", "Megatron {"
    yield "neovim-hover", "Neovim: hover on a mesh axis", ":call search('tp = 4')\r:lua vim.lsp.buf.hover()\r", "groups of 4 ranks"
    yield "neovim-completion", "Neovim: completion in a deployment", "\x1b10Goma\x08\x08\x18\x0f", "gpus"


def vim(spec):
    yield ["vim", "-Nu", "NONE", "-i", "NONE", "-n", "--cmd", f"set rtp^={ROOT / 'editors/vim'}", "--cmd", "set t_Co=256 background=dark laststatus=0",
           "-c", "filetype plugin indent on", "-c", "syntax on", "-c", "silent! colorscheme habamax", "-c", f"edit {spec}"]
    yield "vim-make", "Vim: :make and its list of places", ":silent make! | redraw! | copen 6\r", "|9 col 14 error|"


def emacs(spec):
    settings = "(progn (menu-bar-mode -1) (load-theme 'tango-dark t) (setq make-backup-files nil native-comp-async-report-warnings-errors nil) (package-initialize) (require 'deploy-mode) (require 'eglot)"
    together = "(add-hook 'eglot-managed-mode-hook (lambda () (setq-local eldoc-documentation-strategy 'eldoc-documentation-compose)))"
    yield ["emacs", "-nw", "-q", "--no-splash", "-L", ROOT / "editors/emacs", "--eval", f"{settings} (add-hook 'deploy-mode-hook #'eglot-ensure) {together})", spec]
    yield "emacs-diagnostic", "Emacs: a diagnostic in the echo area", "\x1bgg9\r\x1bf\x1bf\x1bb", "cannot find `Megatro`"
    yield None, None, "\x1b<\x13Megatro \r\x02n", "Flymake[0 0]"
    yield None, None, "\x1b<\x13tp = 4\r\x1bb\x1bb", "Documentation truncated"
    yield "emacs-hover", "Emacs: signature and hover on a mesh axis, in a window", "\x1bxeldoc-doc-buffer\r", "groups of 4"


def main():
    sys.path.append(str(fetched("pyte", *PACKAGES)))
    OUT.mkdir(exist_ok=True)
    for editor in (neovim, vim, emacs):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            spec = folder / "chat.deploy"
            spec.write_text(SPEC)
            (folder / "bin").mkdir()
            (folder / "bin/deployc").symlink_to(DEPLOYC)
            os.chdir(folder)
            steps = editor(spec.name)
            environment = {"HOME": name, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "XDG_CACHE_HOME": f"{name}/cache", "XDG_STATE_HOME": f"{name}/state", "LC_ALL": "C.UTF-8"}
            terminal = Terminal(next(steps), environment)
            terminal.until("deploy Chat")
            for shot, title, keys, text in steps:
                terminal.keys(keys)
                terminal.until(text)
                if shot:
                    (OUT / f"{shot}.svg").write_text(svg(terminal.screen, title))
                    print(f"docs/captures/{shot}.svg: {title}")
            terminal.close()


if __name__ == "__main__":
    main()
