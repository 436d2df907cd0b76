#!/bin/sh
# Runs cmocka programs, as many at a time as there are processors; prints what fails, and the totals. One that computes for ten minutes, or
# waits for an hour, hangs.
#   unit.sh PROGRAM...
if [ "$1" = --one ]; then
	# unit.sh --one FOLDER PROGRAM: its output and exit status go to the folder.
	ulimit -t 600
	timeout 3600 "$3" >"$2/$(basename "$3")" 2>&1
	echo "$?" >"$2/$(basename "$3").status"
	exit 0
fi
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
printf '%s\0' "$@" | xargs -0 -n 1 -P "$(nproc)" sh "$0" --one "$folder"
passed=0
failed=0
for program in "$@"; do
	output=$folder/$(basename "$program")
	ended=$(cat "$output.status" 2>/dev/null || echo 127)
	good=$(sed -n 's/^.*\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$output" | awk '{ n += $1 } END { print n + 0 }')
	bad=$(sed -n 's/^.*\[  FAILED  \] \([0-9]*\) test.*/\1/p' "$output" | awk '{ n += $1 } END { print n + 0 }')
	# A program that dies before its summary is one failure.
	[ "$ended" -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
	passed=$((passed + good))
	failed=$((failed + bad))
	if [ "$ended" -ne 0 ]; then
		printf 'FAIL %s (exit %s)\n' "$program" "$ended"
		grep -v '^\[ RUN\|^\[       OK' "$output" | tail -40
	else
		printf 'ok   %s: %s tests\n' "$(basename "$program")" "$good"
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
