#!/bin/sh
# Copies the libraries of PROGRAM, but for those of every Linux, to CARD/lib, and notes there that LLVM is among them.
#   card_lib.sh CARD PROGRAM
set -e
ldd "$2" | sed -n 's/^[[:space:]]*\(.*\) => \(\/[^ ]*\) .*$/\1 \2/p' | while read -r name path; do
	case $name in libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.*) continue ;; esac
	cmp -s "$path" "$1/lib/$name" || cp -L "$path" "$1/lib/$name"
done
ls "$1/lib" | grep -i '^libllvm' >"$1/lib/llvm"
