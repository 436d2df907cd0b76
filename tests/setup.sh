#!/bin/sh
# Installs what the build and the tests need and is missing: packages of Debian 12 or a relative of it, as root or with sudo; and NVIDIA's
# assembler, into the build folder, where no CUDA toolkit is.
#   setup.sh [--packages]     --packages: without the assembler, which tests of kernels alone need
set -eu

packages="gcc libc6-dev make flex bison pkg-config llvm-19-dev libcmocka-dev libjansson-dev libpcre2-dev libutf8proc-dev python3 python3-numpy
          python3-jsonschema python3-pip graphviz neovim vim emacs-nox elpa-eglot nodejs zsh fish man-db git clang clang-format-19 libclang-rt-14-dev
          g++ lld-19 liblld-19-dev zlib1g-dev libzstd-dev binutils dpkg-dev"

python=${PYTHON:-/usr/bin/python3}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null | cut -c1-2)" = ii ]
}

# The last step; the script ends with its status.
assembler() {
	[ "${1:-}" = --packages ] && exit 0
	"$python" "$(dirname "$0")/gpu/ptxas.py" >/dev/null
	exit
}

# Without dpkg only the programs themselves can be looked for.
if ! command -v dpkg-query >/dev/null 2>&1; then
	missing=
	for program in gcc make flex bison llvm-config-19 python3 clang; do
		command -v "$program" >/dev/null 2>&1 || missing="$missing $program"
	done
	[ -z "$missing" ] && python=python3 assembler "$@"
	echo "setup: this is not a Debian system; install by hand:$missing" >&2
	exit 1
fi

missing=
for package in $packages; do
	installed "$package" || missing="$missing $package"
done
if [ -z "$missing" ]; then
	echo "setup: all packages are there"
	assembler "$@"
fi

if [ "$(id -u)" = 0 ]; then
	sudo=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
	sudo=sudo
else
	echo "setup: these packages are missing, and this user may not install them; as root:" >&2
	echo "    apt-get install$missing" >&2
	exit 1
fi

echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # a list of words
$sudo apt-get install -y -q --no-install-recommends $missing >/dev/null 2>&1 || {
	$sudo apt-get update -q >/dev/null
	$sudo apt-get install -y -q --no-install-recommends $missing >/dev/null
}
for package in $missing; do
	installed "$package" || { echo "setup: $package could not be installed" >&2; exit 1; }
done
assembler "$@"
