#!/bin/sh
# A package of Debian from what `make install` installs.
#   deb.sh STAGING PACKAGE.deb       STAGING: a folder that was installed to with PREFIX=/usr
set -eu
staging=$(realpath "$1") package=$2
binary=$staging/usr/bin/deployc
doc=$staging/usr/share/doc/deployc
version=$("$binary" --version | cut -d' ' -f2)
strip "$binary"
gzip -9nf "$staging/usr/share/man/man1/deployc.1"

# Libraries that are linked statically come with their licences.
install -d "$doc"
for library in libjansson4 libpcre2-8-0 libutf8proc2; do
	printf '==== %s\n' "$library"
	cat "/usr/share/doc/$library/copyright"
done >"$doc/copyright"

# What deployc is linked with; LLVM, which it loads itself; what links a launcher.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/debian"
printf "Source: deployc\nPackage: deployc\nArchitecture: any\n" >"$work/debian/control"
linked=$(cd "$work" && dpkg-shlibdeps -O "$binary" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
loaded=$(strings -a "$binary" | sed -n 's/^libLLVM\.so\.\([0-9.]*\)$/\1/p' | sort -u)
llvm=$(sed -n "s/^libLLVM $loaded //p" /var/lib/dpkg/info/libllvm*.shlibs)
[ -n "$linked" ] && [ -n "$llvm" ] || { echo "deb.sh: no package has what deployc needs: '$linked', LLVM $loaded: '$llvm'" >&2; exit 1; }

install -d "$staging/DEBIAN"
cat >"$staging/DEBIAN/control" <<EOF
Package: deployc
Version: $version
Architecture: $(dpkg --print-architecture)
Maintainer: deployc <deployc@localhost>
Installed-Size: $(du -k -s --exclude=DEBIAN "$staging" | cut -f1)
Depends: $linked, $llvm, gcc, libc6-dev
Section: devel
Priority: optional
Description: compiler for .deploy, which deploys language models
 One text names a model, its machines, how it is split over them, and the load. deployc checks it, infers layouts and collectives,
 plans memory to the byte, and compiles it to one launcher that runs the model on all ranks.
EOF
dpkg-deb --build --root-owner-group "$staging" "$package" >/dev/null
