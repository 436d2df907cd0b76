#!/bin/sh
# Prints C that holds files as byte arrays.
#   embed.sh NAME FILE           const unsigned char NAME[], and a zero after it; const unsigned long NAME_size;
#   embed.sh --table NAME FILE.. struct embedded { const char *name; const unsigned char *text; unsigned long size; } NAME[], ended by a NULL name
set -e
bytes() { od -An -v -tx1 "$1" | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'; }
if [ "$1" = --table ]; then
	name=$2; shift 2; i=0
	for f; do
		echo "static const unsigned char file_$i[] = {"; bytes "$f"; echo "0};"; i=$((i + 1))
	done
	echo "const struct embedded { const char *name; const unsigned char *text; unsigned long size; } $name[] = {"; i=0
	for f; do
		echo "{\"$(basename "$f" .deploy)\", file_$i, sizeof file_$i - 1},"; i=$((i + 1))
	done
	echo "{0, 0, 0}};"
else
	# The assembler reads the file: a compiler takes half a minute for an array of some megabytes.
	cat <<END
__asm__(".pushsection .rodata\\n"
        ".balign 16\\n.globl $1\\n$1: .incbin \\"$2\\"\\n1: .byte 0\\n"
        ".balign 8\\n.globl $1_size\\n$1_size: .quad 1b - $1\\n"
        ".popsection");
END
fi
