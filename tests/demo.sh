#!/bin/sh
# Compiles a tiny Mixtral for eight ranks of this host, runs it, and puts what it says beside what Hugging Face
# transformers said about the same checkpoint.
#   demo.sh DEPLOYC FOLDER [OPTION...]    options of deployc, such as --target=cuda
set -eu
deployc=$1
out=$2
shift 2
mkdir -p "$out"

show() {
	echo "\$ $*"
	"$@"
}

show "$deployc" samples/tiny_mixtral.deploy "$@" -o "$out/tiny_mixtral"
status=0
show "$out/tiny_mixtral" run --weights tests/fixtures/mixtral --ids 1,15,7,42 --max-tokens 16 --threads 1 >"$out/run.txt" || status=$?
cat "$out/run.txt"
[ "$status" = 0 ] || { echo "demo: the launcher exits with $status" >&2; exit 1; }

ours=$(sed -n 's/^ids: 1,15,7,42 -> //p' "$out/run.txt")
theirs=$(sed -n 's/^ "continuations": \[\[\([^]]*\)\].*/\1/p' tests/fixtures/mixtral/expected.json | tr -d ' ')
echo
echo "deployc, 8 ranks:    $ours"
echo "transformers, torch: $theirs"
if [ -z "$ours" ] || [ "$ours" != "$theirs" ]; then
	echo "demo: the continuations differ" >&2
	exit 1
fi
if ! awk '/^memory:/ { n++; if ($5 != $8) wrong = 1 } END { exit wrong || n != 8 }' "$out/run.txt"; then
	echo "demo: a rank allocated other than what was planned" >&2
	exit 1
fi
echo "The same tokens, and every rank allocated what was planned."
