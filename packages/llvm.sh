#!/bin/sh
# The wheel's LLVM: a shared library with the functions of LLVM that deployc calls, by the generated table of codegen/late.sh, and lld.
#   llvm.sh TABLE LIBRARY WORK       WORK: a folder for what is made on the way. Reads CXX, LLVM_CONFIG
set -eu
table=$1 library=$2 work=$3
config=${LLVM_CONFIG:-llvm-config-19}
lib=$($config --libdir)
mkdir -p "$work"
[ -e "$lib/liblldELF.a" ] || { echo "llvm.sh: $lib has no liblldELF.a: apt install liblld-19-dev (make setup)" >&2; exit 1; }

calls=$(sed -n 's/.*{"\(LLVM[A-Za-z0-9_]*\)", 0}.*/\1/p' "$table")
{
	echo 'DEPLOYC { global: deployc_lld;'
	printf '%s;\n' $calls
	echo 'local: *; };'
} >"$work/exports"
nm -u "$lib/liblldELF.a" 2>/dev/null | sed -n 's/.* U \(LLVMInitialize.*\)/\1/p' | sort -u | grep -v 'X86\|NVPTX' |
	sed 's/.*/TARGET_LEFT_OUT(&)/' >"$work/left_out.def"

${CXX:-g++} -std=c++17 -O2 -fPIC -fno-rtti -fno-exceptions -Wall -Werror -isystem "$($config --includedir)" -I"$work" \
	-c -o "$work/llvm.o" packages/llvm.cc
# libgcc_s is on every system with a C++ program; its static form would need a newer C library.
${CXX:-g++} -shared -s -o "$library" "$work/llvm.o" -B"$($config --bindir)" -fuse-ld=lld -static-libstdc++ \
	-Wl,-soname,"${library##*/}" -Wl,--version-script="$work/exports" -Wl,--gc-sections -Wl,-z,defs \
	$(printf -- '-Wl,-u,%s ' $calls) -L"$lib" -llldELF -llldCommon \
	$($config --link-static --libs core x86 nvptx passes lto option debuginfodwarf windowsdriver | sed 's/-lPolly[A-Z]*//g') \
	-Wl,-Bstatic -lz -lzstd -Wl,-Bdynamic -lm -ldl -lpthread
