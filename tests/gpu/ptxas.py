#!/usr/bin/env python3
"""NVIDIA's assembler of PTX: prints where it is. Without a CUDA toolkit it is fetched from PyPI, into the build folder."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FETCHED = (ROOT / os.environ.get("BUILD", "build") / "cuda" / "bin" / "ptxas").resolve()
PLACES = ("/usr/local/cuda/bin", "/opt/cuda/bin")
PACKAGE = "nvidia-cuda-nvcc==13.0.88"


def fetch():
    print(f"fetching {PACKAGE} from PyPI, 40 MB", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, PACKAGE], capture_output=True, text=True)
        wheels = list(pathlib.Path(folder).glob("*.whl"))
        if not wheels:
            sys.exit(f"ptxas is not here, and {PACKAGE} cannot be fetched from PyPI; install a CUDA toolkit or python3-pip (make setup)\n{done.stderr}")
        FETCHED.parent.mkdir(parents=True, exist_ok=True)
        part = FETCHED.with_suffix(f".{os.getpid()}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            part.write_bytes(wheel.read(next(n for n in wheel.namelist() if n.endswith("bin/ptxas"))))
    part.chmod(0o755)
    part.rename(FETCHED)
    return str(FETCHED)


def ptxas():
    found = shutil.which("ptxas", path=os.pathsep.join((os.environ.get("PATH", ""), *PLACES)))
    return found or (str(FETCHED) if FETCHED.exists() else fetch())


if __name__ == "__main__":
    print(ptxas())
