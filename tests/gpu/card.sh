#!/bin/sh
# The check on a machine with a real GPU of compute capability 8.0 or later, in at most ten minutes: see "On a real card" in docs/gpu.md. `make card` prepares what it runs.
#   card.sh RESULTS      writes one text file; the end of it counts the parts, which are ordered by worth
# CARD: the prepared folder, build/card. CARD_SMALL=1: the small deployment and fewer programs, for the emulated GPU.
# CARD_SECONDS: what all parts may take together, 600.
# A part that fails does not stop the others; one that needs a tool which is missing says so. The exit status is 1 if one failed.
set -u
cd "$(dirname "$0")/../.." || exit 2
out=${1:?usage: card.sh RESULTS}
card=${CARD:-build/card}
[ -x "$card/full" ] || { echo "$card/full is missing: run make card first, where LLVM is" >&2; exit 2; }
small=${CARD_SMALL:-0}
end=$(($(date +%s) + ${CARD_SECONDS:-600}))
good=0 failed=0 absent=0
deployment=full
[ "$small" = 1 ] && deployment=small
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$card/lib"
PATH="$PATH:/usr/local/cuda/bin"
: >"$out" || exit 2

say() { printf '%s\n' "$@" >>"$out"; }

# part SECONDS NAME COMMAND...: status 3 of a command means that what it needs is missing.
part() {
	limit=$1 name=$2
	shift 2
	left=$((end - $(date +%s)))
	[ "$limit" -gt "$left" ] && limit=$left
	say "" "== $name"
	if [ "$limit" -le 0 ]; then
		say "-- failed: no time is left"
		failed=$((failed + 1))
		return
	fi
	began=$(date +%s)
	timeout -k 5 "$limit" "$@" >>"$out" 2>&1
	code=$?
	took=$(($(date +%s) - began))
	case $code in
	0) verdict=ok good=$((good + 1)) ;;
	3) verdict=absent absent=$((absent + 1)) ;;
	124 | 137) verdict="failed: not done after $limit s" failed=$((failed + 1)) ;;
	*) verdict="failed: status $code" failed=$((failed + 1)) ;;
	esac
	say "-- $verdict, $took s"
}

# tool SECONDS NAME COMMAND...: a part that needs COMMAND on PATH.
tool() {
	if command -v "$3" >/dev/null; then
		part "$@"
	else
		say "" "== $2" "-- absent: there is no $3"
		absent=$((absent + 1))
	fi
}

# A launcher must print the ids that `make card` noted. One of several ranks needs as many GPUs, and NCCL: a rank shares its GPU with none.
launcher() {
	part 20 "launcher $1" sh -c '
		run=$("$0" run $(cat "$0.arguments") 2>&1) || {
			echo "$run"
			case $run in *"a rank needs a GPU of its own"* | *"NCCL cannot be opened"*) exit 3 ;; esac
			exit 1
		}
		got=$(echo "$run" | grep "^ids:" | sort)
		[ "$got" = "$(cat "$0.ids")" ] && echo "the ids are those expected" && exit
		echo "expected:"; cat "$0.ids"; echo "printed:"; echo "$got"; exit 1' "$card/$1"
}

# families PROGRAM: the kernels of tests/unit, as the GPU runs them, against plain loops of the CPU. They are generated here: by LLVM.
families() {
	part 60 "families: $1" sh -c '[ -e "$0/lib/llvm" ] || { echo "$0/lib has no LLVM"; exit 3; }; TEST_TARGET=cuda exec "$0/$1"' "$card" "$1"
}

# instructions PROGRAM: a program of this folder, whose PTX is for sm_90.
instructions() {
	part 20 "$1" sh -c 'case $("$0/$2" capability) in
		*"capability 8."*) echo "its PTX needs compute capability 9.0"; exit 3 ;;
		esac; exec "$0/$1"' "$card" "$1" "$deployment"
}

sanitize() {
	tool 40 "compute-sanitizer $1" compute-sanitizer --tool "$1" --target-processes all --error-exitcode 9 --print-limit 20 \
		"$card/llama_bf16" run --weights tests/fixtures/llama --ids 1,2,3 --max-tokens 3
}

say "card.sh on $(date -u +%Y-%m-%d), $deployment deployment, commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
tool 10 "the GPU" nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem,clocks.max.sm,power.limit --format=csv
tool 5 "ptxas" ptxas --version
part 5 "compute capability" "$card/$deployment" capability
part 60 "kernels load" env CUDA_CACHE_DISABLE=1 "$card/$deployment" load
for name in llama_f32 llama_bf16 mixtral_bf16 deepseek_f32 gpt_oss_f32 llama_f32_2 mixtral_f32_2; do
	[ "$small" = 1 ] && case $name in llama_f32 | mixtral_bf16 | gpt_oss_f32 | llama_f32_2) continue ;; esac
	launcher $name
done
for name in cg_kernels cg_attend cg_experts cg_sample; do
	[ "$small" = 1 ] && [ $name != cg_experts ] && continue
	families $name
done
part 40 "contractions agree" "$card/$deployment" agree
part 90 "each kernel's time" "$card/$deployment" kernels
part 60 "torch" python3 tests/gpu/card_torch.py
part 20 "latency" "$card/$deployment" latency
for kind in memcheck racecheck synccheck initcheck; do
	sanitize $kind
done
for name in kernels instructions convert faults matrix graphs; do
	[ "$small" = 1 ] && [ $name != kernels ] && continue
	instructions test_$name
done
say "" "$good ok, $failed failed, $absent absent"
tail -n 1 "$out"
[ "$failed" = 0 ]
