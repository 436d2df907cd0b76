/* Fuzzing tokenizers: any bytes as tokenizer.json are a tokenizer or an error, and a tokenizer encodes and decodes
 * without a crash. The first byte selects a text that is encoded; with its high bit set, the rest of the input is a
 * text for a tokenizer of the tests instead. */
#include <stdlib.h>
#include <string.h>
#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const texts[] = {
	"",
	"ab",
	" a  b\n\n c\t",
	"x's 12 345-6,7",
	"\xE2\x96\x81\xC3\xA9 e\xCC\x81\xCC\xA3 \xE4\xB8\xAD\xF0\x9F\x98\x80",
	"<s>a</s> <s>",
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
};
enum { TEXTS = sizeof texts / sizeof *texts };

/* Bytes that were decoded must be whole characters, as an encoder of any text accepts them. */
static void decode(struct tokenizer *t, const struct token_ids *ids, unsigned flags)
{
	struct text_stream *s = text_stream_open(t, flags);
	struct token_ids again = {0};
	struct text_error e;
	for (size_t i = 0, n; i <= ids->n; i++) {
		const char *text = i < ids->n ? text_stream_next(s, ids->at[i], &n) : text_stream_end(s, &n);
		if (!tokenizer_encode(t, text, n, ENCODE_PLAIN, &again, &e) && strstr(e.text, "UTF-8"))
			abort();
	}
	free(again.at);
	text_stream_close(s);
}

static void use(struct tokenizer *t, const char *text, size_t n)
{
	struct token_ids ids = {0};
	struct text_error e;
	if (tokenizer_encode(t, text, n, ENCODE_TEMPLATE, &ids, &e)) {
		for (size_t i = 0, size; i < ids.n; i++)
			if (!tokenizer_token(t, ids.at[i], &size) || ids.at[i] >= tokenizer_size(t))
				abort();
		decode(t, &ids, 0);
		/* Ids in another order are not the tokens of a text. */
		for (size_t i = 0; i + 1 < ids.n; i += 2) {
			int32_t id = ids.at[i];
			ids.at[i] = ids.at[i + 1];
			ids.at[i + 1] = id;
		}
		decode(t, &ids, DECODE_SPECIAL | DECODE_WHOLE);
	}
	free(ids.at);
}

static struct tokenizer *family(unsigned which)
{
	static struct tokenizer *open[4];
	static const char *const paths[4] = {"tests/text/tokenizers/qwen2.json", "tests/text/tokenizers/phi3.json",
	                                     "tests/text/tokenizers/unigram.json", "tests/text/tokenizers/words.json"};
	struct text_error e;
	which %= 4;
	if (!open[which] && !(open[which] = tokenizer_open(paths[which], &e)))
		abort();
	return open[which];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text_error e;
	if (!size)
		return 0;
	if (*data & 0x80) {
		use(family(*data), (const char *)data + 1, size - 1);
		return 0;
	}
	struct tokenizer *t = tokenizer_read("tokenizer.json", (const char *)data + 1, size - 1, &e);
	if (!t)
		return 0;
	use(t, texts[*data % TEXTS], strlen(texts[*data % TEXTS]));
	tokenizer_close(t);
	return 0;
}
