#!/bin/sh
# Prints C for late.c: functions of LLVM's names that go on to LLVM's own, once its library is loaded.
#   late.sh LIBRARY.so MACHINE OBJECT...     MACHINE: as `uname -m` has it. The functions: those that the objects want.
set -e
library=$(objdump -p "$1" | sed -n 's/^ *SONAME *//p')
case $2 in
	x86_64) jump='endbr64; jmp *late_functions+OFFSET(%rip)' ;;
	aarch64) jump='adrp x16, late_functions+OFFSET; ldr x16, [x16, :lo12:late_functions+OFFSET]; br x16' ;;
	*) echo "late.sh: no jump for $2" >&2; exit 1 ;;
esac
[ -n "$library" ] || { echo "late.sh: $1 has no name" >&2; exit 1; }
shift 2
names=$(nm -u "$@" | sed -n 's/^ *U \(LLVM[A-Za-z0-9]*\)$/\1/p' | sort -u)
echo '#include "codegen/late.h"'
echo "const char late_library[] = \"$library\";"
echo 'struct late_function late_functions[] = {'
for name in $names; do
	echo "	{\"$name\", 0},"
done
echo '	{0, 0},'
echo '};'
echo '_Static_assert(sizeof(struct late_function) == 16, "name and address");'
offset=8
for name in $names; do
	echo "__asm__(\".text; .globl $name; .type $name, %function; $name: $(echo "$jump" | sed "s/OFFSET/$offset/g")\");"
	offset=$((offset + 16))
done
