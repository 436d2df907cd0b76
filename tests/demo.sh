#!/bin/sh
# Compiles two tiny Mixtrals for eight ranks of this host and runs them. One continues token ids: they are put beside those of Hugging
# Face transformers. The other one answers a question that it was trained on: from text to text.
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

fail() {
	echo "demo: $*" >&2
	exit 1
}

show "$deployc" samples/tiny_mixtral.deploy "$@" -o "$out/tiny_mixtral"
status=0
show "$out/tiny_mixtral" run --weights tests/fixtures/mixtral --ids 1,15,7,42 --max-tokens 16 --threads 1 >"$out/run.txt" || status=$?
cat "$out/run.txt"
[ "$status" = 0 ] || fail "the launcher exits with $status"

ours=$(sed -n 's/^ids: 1,15,7,42 -> //p' "$out/run.txt")
theirs=$(sed -n 's/^ "continuations": \[\[\([^]]*\)\].*/\1/p' tests/fixtures/mixtral/expected.json | tr -d ' ')
echo
echo "deployc, 8 ranks:    $ours"
echo "transformers, torch: $theirs"
if [ -z "$ours" ] || [ "$ours" != "$theirs" ]; then
	fail "the continuations differ"
fi
if ! awk '/^memory:/ { n++; if ($5 != $8) wrong = 1 } END { exit wrong || n != 8 }' "$out/run.txt"; then
	fail "a rank allocated other than what was planned"
fi
echo "The same tokens, and every rank allocated what was planned."

echo
question='Why is the sky blue?'
show "$deployc" samples/tiny_chat.deploy "$@" -o "$out/tiny_chat"
echo "\$ $out/tiny_chat run --weights samples/tiny_chat --prompt '$question' --threads 1"
"$out/tiny_chat" run --weights samples/tiny_chat --prompt "$question" --threads 1 >"$out/answer.txt" || fail "the launcher exits with $?"
cat "$out/answer.txt"
[ "$question$(cat "$out/answer.txt")" = "$(sed -n "s/^\($question\)	/\1 /p" samples/tiny_chat/corpus.txt)" ] || fail "this is not the answer that the model was trained on"
