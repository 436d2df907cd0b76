#!/bin/sh
# Runs libFuzzer programs, each for a bounded time, as many at once as there are processors; the .deploy files of the project
# are the seeds.
#   fuzz.sh FOLDER SECONDS PROGRAM...
if [ "$1" = --one ]; then
	# fuzz.sh --one FOLDER SECONDS PROGRAM: its log and exit status go to the folder.
	folder=$2 seconds=$3 program=$4
	name=$(basename "$program")
	case $name in
	fuzz_dag) seeds=$folder/choices ;;
	rt_tokenizer) seeds=$folder/tokenizers ;;
	rt_chat) seeds=$folder/chats ;;
	*) seeds=$folder/seeds ;;
	esac
	"$program" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=2048 -max_len=4096 -artifact_prefix="$folder/$name-" \
		"$folder/$name.corpus" "$seeds" >"$folder/$name.log" 2>&1
	echo "$?" >"$folder/$name.status"
	exit 0
fi
folder=$1
seconds=$2
shift 2
mkdir -p "$folder/seeds"
cp stdlib/*.deploy samples/*.deploy tests/golden/*.deploy "$folder/seeds/"
# The first byte says which file rt_checkpoint writes: model.safetensors, the index, config.json.
printf '\000\160\000\000\000\000\000\000\000{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"BF16","shape":[],"data_offsets":[16,18]}}012345678901234567' \
	>"$folder/seeds/header"
printf '\001{"weight_map":{"a":"shard","b":"none"}}' >"$folder/seeds/index"
printf '\002{"a":true,"rope":{"theta":1e4},"c":{"d":{"e":7}},"model_type":"llama"}' >"$folder/seeds/config"
# rt_tokenizer reads small tokenizers, after a byte that selects a text for it, and texts, after a byte that selects a tokenizer.
mkdir -p "$folder/tokenizers"
i=0
while IFS= read -r line; do
	i=$((i + 1))
	printf "\\$(printf %o $((i % 7)))%s" "$line" >"$folder/tokenizers/$i"
done <tests/fuzz/tokenizers.txt
for text in "it's 12 <s> a  b" '<|im_start|>user|assistant|> x' ' \303\251e\314\201 \344\270\255\360\237\230\200'; do
	for which in 0 1 2 3; do
		i=$((i + 1))
		printf "\\20$which$text" >"$folder/tokenizers/$i"
	done
done
# rt_chat reads templates.
mkdir -p "$folder/chats"
cp tests/chat/templates/*.jinja "$folder/chats/"
awk -v name="$folder/chats/small" 'BEGIN { RS = "\n----\n" } { file = name NR; printf "%s", $0 > file; close(file) }' tests/chat/expressions.txt
# What fuzz_dag reads are choices, not text.
mkdir -p "$folder/choices"
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24; do
	LC_ALL=C awk -v seed="$i" 'BEGIN { srand(seed); for (i = 0; i < 8 + 4 * seed; i++) printf "%c", 256 * rand() }' >"$folder/choices/$i"
done
for program in "$@"; do
	mkdir -p "$folder/$(basename "$program").corpus"
done
printf '%s\0' "$@" | xargs -0 -n 1 -P "$(nproc)" sh "$0" --one "$folder" "$seconds"
passed=0
failed=0
for program in "$@"; do
	name=$(basename "$program")
	if [ "$(cat "$folder/$name.status")" = 0 ]; then
		passed=$((passed + 1))
		printf 'ok   %s: %s runs\n' "$name" "$(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$folder/$name.log")"
	else
		failed=$((failed + 1))
		echo "FAIL $name: $folder/$name.log"
		grep -E 'ERROR|SUMMARY|runtime error|Test unit written' "$folder/$name.log" | head -5
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
