#!/bin/sh
# Installs what the build and the tests need and is missing. Debian 12 or a relative of it, as root or with sudo.
# --quiet says nothing when nothing is missing.
set -eu

packages="gcc libc6-dev make flex bison pkg-config llvm-19-dev libcmocka-dev libjansson-dev libpcre2-dev libutf8proc-dev python3 python3-numpy
          python3-jsonschema python3-pip graphviz neovim clang clang-format-19 libclang-rt-14-dev"

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null | cut -c1-2)" = ii ]
}

# Without dpkg only the programs themselves can be looked for.
if ! command -v dpkg-query >/dev/null 2>&1; then
	missing=
	for program in gcc make flex bison llvm-config-19 python3 clang; do
		command -v "$program" >/dev/null 2>&1 || missing="$missing $program"
	done
	[ -z "$missing" ] && exit 0
	echo "setup: this is not a Debian system; install by hand:$missing" >&2
	exit 1
fi

missing=
for package in $packages; do
	installed "$package" || missing="$missing $package"
done
if [ -z "$missing" ]; then
	[ "${1:-}" = --quiet ] || echo "setup: everything is there"
	exit 0
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
