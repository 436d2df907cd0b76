#!/bin/sh
# card.sh on the emulated GPU (LD_LIBRARY_PATH names its folder): it runs to its end, and what is broken fails in its part alone.
#   card_test.sh FOLDER      FOLDER: what `make card` prepared; CARD_test is made beside it
here=$(dirname "$0")
card=$1
work=$1_test
passed=0 failed=0
rm -rf "$work" && mkdir -p "$work" || exit 1
export CARD_SMALL=1

# expect NAME STATUS PATTERN...: of the last run; each pattern is one of a line of its results.
expect() {
	name=$1 wanted=$2
	shift 2
	missing=
	[ "$status" = "$wanted" ] || missing="status $status instead of $wanted"
	for pattern in "$@"; do
		grep -q -- "$pattern" "$work/results" || missing="$missing, no line with $pattern"
	done
	if [ -z "$missing" ]; then
		echo "ok   $name"
		passed=$((passed + 1))
	else
		echo "FAIL $name: $missing"
		cat "$work/results"
		failed=$((failed + 1))
	fi
}

run() {
	env "$@" sh "$here/card.sh" "$work/results"
	status=$?
}

# absent NAME: the last run says that what this part needs is missing.
absent() {
	sed -n "/^== $1\$/,/^-- /p" "$work/results" | grep -q "^-- absent"
}

run CARD="$card" EMU_DEVICES=2
absent "launcher mixtral_f32_2" && status="two GPUs are too few"
absent "families: cg_experts" && status="no LLVM"
expect "runs to its end" 0 "emulated GPU: no figure" "compute capability 9.0" "^the ids are those expected" "PASSED  . [0-9]* test" "^dr_contract_0_few .* TFLOP/s" "^decode step" \
	"^dr_contract_0 .*dr_contract_0_few .*of the largest$" "^dr_contract_0 .*dr_contract_0_some .*of the largest$" \
	"^prefill step" "us a node" "ok, 0 failed, [0-9]* absent$"
run CARD="$card" EMU_FAULT=dr_rows_1:2
expect "a kernel that fails" 1 "^-- failed: status 1" "us a node" "^[1-9][0-9]* ok, [1-9][0-9]* failed, "
cp -rl "$card" "$work/card" && rm "$work/card/deepseek_f32.ids"
echo "ids: 1 -> 2" >"$work/card/deepseek_f32.ids"
rm "$work/card/lib/llvm"
run CARD="$work/card" EMU_CAPABILITY=8.0
for part in "launcher mixtral_f32_2" "families: cg_experts" test_kernels; do
	absent "$part" || status="$part is not absent"
done
expect "other ids, an A100 alone, no LLVM" 1 "^expected:$" "ok, 1 failed, [0-9]* absent$"
run CARD="$card" CARD_SECONDS=0
expect "no time left" 1 "^-- failed: no time is left" "^0 ok, "
rm -rf "$work"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
