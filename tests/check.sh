#!/usr/bin/env bash
# Everything that must hold before a change goes in: builds, unit tests, wrong specs, end to end, sanitizers, fuzzing.
# The output of each step is in BUILD/check/, a line for each step has its seconds by the clock and on all cores, and the last line is
# "N passed, M failed".
#   LANES=N                 steps that run at a time; else as many as processors, at most four
#   check.sh [STEP ...]     only these steps, by the names below; `few`, some of `meshes`, runs only if it is named
set -u
cd "$(dirname "$0")/.."
build=${BUILD:-build}
python=${PYTHON:-/usr/bin/python3}
logs=$build/check
mkdir -p "$logs"
export DEPLOYC=$PWD/$build/deployc
[ "${build#/}" != "$build" ] && DEPLOYC=$build/deployc
jobs=$(nproc)
make() { command make --no-print-directory -j"$jobs" "$@"; }
chosen=" $* "
# Most steps run one program after the other, so several of them run at a time when all run: `gcc` has built what they share.
lanes=1 goals=all last=
[ $# = 0 ] && lanes=${LANES:-$((jobs < 4 ? jobs : 4))} goals=tests
rm -f "$logs"/*.totals
set -m # each step is a group of processes, which an interrupt ends
trap 'trap - INT TERM; for job in $(jobs -p); do kill -- "-$job"; done; exit 130' INT TERM

# Seconds on cores, of all commands that have ended.
core_seconds() {
	times >"$1"
	awk 'NR == 2 { gsub(/[ms]/, " "); print int($1 * 60 + $2 + $3 * 60 + $4 + 0.5) }' "$1"
}

# Runs one step and prints its line: a step that prints "N passed, M failed" counts as that, any other as one.
run_step() {
	local name=$1 log=$logs/$1.log code start=$SECONDS totals
	shift
	"$@" >"$log" 2>&1
	code=$?
	core_seconds "$logs/$name.times" >"$logs/$name.cores"
	totals=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log" | awk '{ p += $1; f += $2 } END { if (NR) print p, f }')
	if [ -z "$totals" ]; then
		totals=$([ $code = 0 ] && echo "1 0" || echo "0 1")
	elif [ $code != 0 ] && [ "${totals#* }" = 0 ]; then
		totals="${totals% *} 1"
	fi
	{
		printf '%-9s %4d passed, %d failed  %4d s %4d core-s\n' "$name" "${totals% *}" "${totals#* }" $((SECONDS - start)) \
			"$(cat "$logs/$name.cores")"
		if [ "${totals#* }" != 0 ]; then
			grep -Ev '^(gcc|cc|clang|bison|flex|ar|rm) ' "$log" | grep -E '^FAIL|rror|undefined reference|SUMMARY|failed' |
				cut -c1-200 | head -30 | sed 's/^/    /'
			echo "    ... $log"
		fi
	} >"$logs/$name.line"
	cat "$logs/$name.line"
	echo "$totals" >"$logs/$name.totals"
}

# step NAME COMMAND...: a step, as soon as there is a lane for it.
step() {
	[ "$chosen" != "  " ] && [[ $chosen != *" $1 "* ]] && return
	while [ "$(jobs -rp | wc -l)" -ge $lanes ]; do
		wait -n
	done
	echo "0 1" >"$logs/$1.totals" # in case it is ended
	run_step "$@" </dev/null &
	last=$!
}

# alone NAME COMMAND...: a step that no other one runs beside.
alone() {
	wait
	step "$@"
	wait
}

alone setup env BUILD="$build" PYTHON="$python" sh tests/setup.sh
alone gcc make BUILD="$build" CC=gcc $goals
# The longest ones first. clang's warnings are those of the build of `sanitize`, whose objects `fuzz` shares.
step sanitize make BUILD="$build" sanitize
sanitize=$last
step mutants "$python" tests/mutants/run.py --share 60
step unit make BUILD="$build" CC=gcc test-unit
step tokens make BUILD="$build" CC=gcc PYTHON="$python" test-text
step chat make BUILD="$build" CC=gcc PYTHON="$python" test-chat
step gpu make BUILD="$build" CC=gcc test-emulator
step layers env BUILD="$build" "$python" tests/layers.py
step style "$python" tests/style.py
step voice "$python" tests/voice.py
step docs "$python" tests/docs.py
step stdlib sh tests/stdlib_docs.sh "$DEPLOYC" "$build/stdlib_docs"
step models "$python" tests/models/count.py
step fields "$python" tests/models/fields.py
step import "$python" tests/models/run_import.py
step engines sh -c "$python tests/engines/run.py && $python tests/engines/table.py"
step format "$python" tests/format/run.py
step golden "$python" tests/golden/run.py
step texts "$python" tests/golden/texts.py
step json "$python" tests/json/run.py
step accuracy make BUILD="$build" CC=gcc PYTHON="$python" test-accuracy
step training "$python" tests/training/run.py
step times "$python" tests/times/run.py
step experts "$python" tests/experts/run.py
step load "$python" tests/times/load.py
step pools "$python" tests/times/serve.py
step search "$python" tests/search/run.py
step fixes "$python" tests/golden/fixes.py
step mistakes "$python" tests/mistakes/run.py
step commands "$python" tests/commands.py
step prototype "$python" tests/prototype/compare.py
step calibrate make BUILD="$build" CC=gcc PYTHON="$python" test-calibrate
step shell env BUILD="$build" "$python" tests/shell/run.py
step packages make BUILD="$build" CC=gcc PYTHON="$python" test-packages
step lsp make BUILD="$build" CC=gcc PYTHON="$python" test-lsp
step editors make BUILD="$build" CC=gcc PYTHON="$python" test-editors
step forms "$python" tests/forms/run.py
step inference "$python" tests/inference/run.py 1000
step meshes "$python" tests/e2e/run_meshes.py
[[ $chosen == *" few "* ]] && step few "$python" tests/e2e/run_meshes.py "llama f32 on  4" "deepseek f32 on  4"
step heads "$python" tests/e2e/run_heads.py
step loops "$python" tests/e2e/run_loops.py
step shared "$python" tests/e2e/run_shared.py
step sampling "$python" tests/e2e/run_sampling.py
step stop "$python" tests/e2e/run_stop.py
step inner "$python" tests/e2e/run_inner.py
step measured "$python" tests/e2e/run_calibrate.py
step beside "$python" tests/e2e/run_measure.py
step batch "$python" tests/e2e/run_batch.py
step text "$python" tests/e2e/run_text.py
# Families that bring no kernel of their own run one mesh there, in bf16 on several ranks.
step far env DEPLOY_DEVICE=far DEPLOYC_GAPS=256 "$python" tests/e2e/run_meshes.py \
	"llama " mixtral "qwen3 " qwen3_moe olmoe gemma3 gpt_oss deepseek "bf16 on  6" "bf16 on  9"
step values "$python" tests/e2e/run_values.py
step formats "$python" tests/e2e/run_formats.py
step promises "$python" tests/e2e/run_promises.py
step streams "$python" tests/e2e/run_streams.py
step owners "$python" tests/e2e/run_owners.py
step random "$python" tests/e2e/run_random.py 40
step fusion "$python" tests/e2e/run_fusion.py 8
step programs make BUILD="$build" PYTHON="$python" programs
step plans "$python" tests/plans/run.py
step meaning "$python" tests/e2e/run_meaning.py
step failures "$python" tests/e2e/run_failures.py
step scale "$python" tests/e2e/run_scale.py
step demo sh tests/demo.sh "$DEPLOYC" "$build/demo"
step limits "$python" tests/robust/limits.py
step files "$python" tests/robust/files.py
step mutate "$python" tests/robust/mutate.py
step alloc make BUILD="$build" CC=gcc test-alloc
step kernels make BUILD="$build" CC=gcc sanitize-kernels
step ptx env BUILD="$build" "$python" tests/gpu/ptx.py
step demo-gpu make BUILD="$build" CC=gcc PYTHON="$python" demo-gpu
step cuda make BUILD="$build" CC=gcc PYTHON="$python" test-cuda
step card make BUILD="$build" CC=gcc PYTHON="$python" test-card
[ -z "$sanitize" ] || wait "$sanitize" 2>/dev/null
step fuzz make BUILD="$build" FUZZ_SECONDS="${FUZZ_SECONDS:-15}" fuzz

wait
awk '{ p += $1; f += $2 } END { print p + 0 " passed, " f + 0 " failed"; exit f != 0 }' "$logs"/*.totals
