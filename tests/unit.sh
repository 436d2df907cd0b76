#!/bin/sh
# Runs cmocka programs; prints what fails, and the totals.
#   unit.sh PROGRAM...
passed=0
failed=0
for program in "$@"; do
	if output=$(timeout 300 "$program" 2>&1); then
		ended=0
	else
		ended=$?
	fi
	good=$(printf '%s\n' "$output" | sed -n 's/^.*\[  PASSED  \] \([0-9]*\) test.*/\1/p' | awk '{ n += $1 } END { print n + 0 }')
	bad=$(printf '%s\n' "$output" | sed -n 's/^.*\[  FAILED  \] \([0-9]*\) test.*/\1/p' | awk '{ n += $1 } END { print n + 0 }')
	# A program that dies before its summary is one failure.
	[ "$ended" -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
	passed=$((passed + good))
	failed=$((failed + bad))
	if [ "$ended" -ne 0 ]; then
		printf 'FAIL %s (exit %s)\n' "$program" "$ended"
		printf '%s\n' "$output" | grep -v '^\[ RUN\|^\[       OK' | tail -40
	else
		printf 'ok   %s: %s tests\n' "$(basename "$program")" "$good"
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
