/* BPE models of the file: vocabulary and merges. */
#include "model.h"
#include "utf8.h"

enum { MAX_MERGES = TEXT_MAX_ID };

static bool read_vocab(const struct field *f, struct vocab *v)
{
	const char *key;
	json_t *value;
	if (!field_object(f))
		return false;
	json_object_foreach (f->v, key, value) {
		struct field token = {f, key, 0, value, f->error};
		size_t n = strlen(key);
		json_int_t id = json_integer_value(value);
		if (n > TEXT_MAX_TOKEN)
			return field_refuse(f, "has a token of %zu bytes; at most %d are supported", n, TEXT_MAX_TOKEN);
		if (!json_is_integer(value) || id < 0 || id > TEXT_MAX_ID)
			return field_refuse(f, "the id of `%.60s` is not a number from 0 to %d", token.name, TEXT_MAX_ID);
		struct span other = vocab_text(v, (int32_t)id);
		if (other.at)
			return field_refuse(f, "`%.*s` and `%.60s` have the same id, %d", (int)(other.n < 60 ? other.n : 60),
			                    other.at, key, (int)id);
		vocab_add(v, (struct span){key, n}, (int32_t)id);
	}
	return true;
}

/* The two halves of a merge, in a list or with one space between them. */
static bool read_halves(const struct field *f, struct span half[2])
{
	if (json_is_string(f->v)) {
		const char *text = json_string_value(f->v), *end = text + json_string_length(f->v);
		const char *space = memchr(text, ' ', (size_t)(end - text));
		if (!space || memchr(space + 1, ' ', (size_t)(end - space - 1)))
			return field_refuse(f, "`%.60s` is not two tokens with one space between them", text);
		half[0] = (struct span){text, (size_t)(space - text)};
		half[1] = (struct span){space + 1, (size_t)(end - space - 1)};
		return true;
	}
	struct field first = field_at(f, 0), second = field_at(f, 1);
	size_t n;
	if (!field_list(f, 2, &n))
		return false;
	return (n == 2 || field_refuse(f, "is not two tokens")) && field_string(&first, &half[0])
	       && field_string(&second, &half[1]);
}

static bool known(const struct field *f, struct span token, int32_t *id, const struct vocab *v)
{
	*id = vocab_find(v, token);
	return *id >= 0 || field_refuse(f, "`%.*s` is not in the vocabulary", (int)(token.n < 60 ? token.n : 60), token.at);
}

/* Notes between which characters a merge joins tokens. */
static void note_crossing(struct bpe *b, struct span left, struct span right)
{
	uint32_t last, first;
	if (!left.n || !right.n)
		return;
	utf8_decode(utf8_before(left.at + left.n), &last);
	utf8_decode(right.at, &first);
	pairs_put(&b->crossed, (uint64_t)last << 32 | first, 0);
}

static bool read_merge(const struct field *f, uint32_t rank, struct model *m, struct bytes *scratch)
{
	struct span half[2];
	int32_t left, right, both;
	struct bpe *b = &m->bpe;
	if (!read_halves(f, half) || !known(f, half[0], &left, &m->vocab) || !known(f, half[1], &right, &m->vocab))
		return false;
	if (half[1].n < b->prefix.n)
		return field_refuse(f, "`%.60s` lacks the prefix of characters inside words", half[1].at);
	scratch->n = 0;
	bytes_add(scratch, half[0].at, half[0].n);
	bytes_add(scratch, half[1].at + b->prefix.n, half[1].n - b->prefix.n);
	if (!known(f, span_of(scratch), &both, &m->vocab))
		return false;
	pairs_put(&b->merge, (uint64_t)left << 32 | (uint32_t)right, (uint64_t)rank << 32 | (uint32_t)both);
	note_crossing(b, half[0], half[1]);
	return true;
}

static bool read_merges(const struct field *f, struct model *m)
{
	struct bytes scratch = {0};
	size_t n;
	bool ok = field_list(f, MAX_MERGES, &n);
	uint32_t rank = 0;
	for (size_t i = 0; ok && i < n; i++) {
		struct field merge = field_at(f, i);
		if (json_is_string(merge.v) && !strncmp(json_string_value(merge.v), "#version", 8))
			continue;
		ok = read_merge(&merge, rank++, m, &scratch);
	}
	bytes_free(&scratch);
	return ok;
}

/* A string that may be absent. */
static bool read_optional(const struct field *f, const char *name, struct bytes *out, bool *given)
{
	struct field g = field_of(f, name);
	struct span text;
	*given = !field_absent(&g);
	if (!*given)
		return true;
	if (!field_string(&g, &text))
		return false;
	bytes_add(out, text.at, text.n);
	return true;
}

/* The tokens of characters that are spelled without prefix and suffix. */
static void find_short_ids(struct model *m)
{
	char code[4];
	for (uint32_t c = 0; c < 0x800; c++)
		m->bpe.short_id[c] = vocab_find(&m->vocab, (struct span){code, (size_t)utf8_write(c, code)});
}

bool bpe_read(const struct field *f, struct model *m)
{
	static const char *const keys[] = {"dropout",
	                                   "unk_token",
	                                   "continuing_subword_prefix",
	                                   "end_of_word_suffix",
	                                   "fuse_unk",
	                                   "byte_fallback",
	                                   "ignore_merges",
	                                   "vocab",
	                                   "merges",
	                                   NULL};
	struct field dropout = field_of(f, "dropout"), vocab = field_of(f, "vocab"), merges = field_of(f, "merges");
	struct bpe *b = &m->bpe;
	bool given;
	pairs_open(&b->merge);
	pairs_open(&b->crossed);
	if (!field_keys(f, keys) || !field_bool_of(f, "fuse_unk", &b->fuse_unknown)
	    || !field_bool_of(f, "ignore_merges", &b->ignore_merges)
	    || !read_optional(f, "unk_token", &b->unknown, &b->has_unknown)
	    || !read_optional(f, "continuing_subword_prefix", &b->prefix, &given)
	    || !read_optional(f, "end_of_word_suffix", &b->suffix, &given))
		return false;
	if (!field_absent(&dropout) && json_number_value(dropout.v) != 0)
		return field_refuse(&dropout, "random tokens are not supported");
	if (!read_vocab(&vocab, &m->vocab) || !read_merges(&merges, m))
		return false;
	b->unknown_id = b->has_unknown ? vocab_find(&m->vocab, span_of(&b->unknown)) : -1;
	find_short_ids(m);
	return true;
}
