/* A tokenizer is its parts, in the order in which a text goes through them. */
#include <stdio.h>
#include "../support/lfs.h"
#include "added.h"
#include "decode.h"
#include "file.h"
#include "model.h"
#include "normalize.h"
#include "split.h"
#include "template.h"
#include "utf8.h"

struct tokenizer {
	struct normalizer normalizer;
	struct splitter splitter;
	struct model model;
	struct added added;
	struct template template;
	struct decoder decoder;
	struct pieces text, words; /* of the text that is being encoded */
	struct bytes normal;
};

/* ---- reading --------------------------------------------------------------------------------- */
/* Some steps treat the start of the text differently. Where this and `tokenizers` might disagree about what is the
 * start, the file is refused. */
static bool check_start(const struct field *root, const struct tokenizer *t)
{
	struct field f = field_of(root, "pre_tokenizer");
	enum first_use use = splitter_first_use(&t->splitter);
	bool parts = use != FIRST_AT_ONCE || t->added.normal.n > 1;
	if (use == FIRST_UNUSED || (use != FIRST_AFTER_CHANGES && normalizer_keeps_start(&t->normalizer, parts)))
		return true;
	return field_refuse(&f, "prepend_scheme `first` is not supported after these normalisers and pre-tokenisers");
}

static bool check_template(const struct field *root, const struct tokenizer *t)
{
	struct field f = field_of(root, "post_processor");
	const struct token_ids *lists[] = {&t->template.before, &t->template.after};
	size_t n;
	for (int k = 0; k < 2; k++)
		for (size_t i = 0; i < lists[k]->n; i++)
			if (!tokenizer_token(t, lists[k]->at[i], &n))
				return field_refuse(&f, "no token has id %d", lists[k]->at[i]);
	return true;
}

static bool read_parts(const struct field *root, struct tokenizer *t)
{
	static const char *const keys[] = {"version",       "truncation",     "padding", "added_tokens", "normalizer",
	                                   "pre_tokenizer", "post_processor", "decoder", "model",        NULL};
	struct field version = field_of(root, "version"), normalizer = field_of(root, "normalizer"),
				 splitter = field_of(root, "pre_tokenizer"), model = field_of(root, "model"),
				 added = field_of(root, "added_tokens"), template = field_of(root, "post_processor"),
				 decoder = field_of(root, "decoder");
	struct span number = {"1.0", 3};
	if (!field_object(root) || !field_keys(root, keys) || (version.v && !field_string(&version, &number)))
		return false;
	if (strcmp(number.at, "1.0"))
		return field_refuse(&version, "version `%.60s` is not supported", number.at);
	return normalizer_read(&normalizer, &t->normalizer) && splitter_read(&splitter, &t->splitter)
	       && model_read(&model, &t->model) && added_read(&added, &t->normalizer, &t->model.vocab, &t->added)
	       && template_read(&template, &t->template) && decoder_read(&decoder, &t->decoder) && check_start(root, t)
	       && check_template(root, t);
}

struct tokenizer *tokenizer_read(const char *name, const char *json, size_t n, struct text_error *e)
{
	json_error_t wrong;
	struct field root = {.name = name, .error = e};
	if (is_lfs_pointer(json, n)) {
		field_refuse(&root, LFS_POINTER);
		return NULL;
	}
	root.v = json_loadb(json, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &wrong);
	if (!root.v) {
		field_refuse(&root, "line %d, column %d: %s", wrong.line, wrong.column, wrong.text);
		return NULL;
	}
	struct tokenizer *t = text_grow(NULL, 1, sizeof *t);
	*t = (struct tokenizer){0};
	bool ok = read_parts(&root, t);
	json_decref(root.v);
	if (ok)
		return t;
	tokenizer_close(t);
	return NULL;
}

struct tokenizer *tokenizer_open(const char *path, struct text_error *e)
{
	struct field f = {.name = path, .error = e};
	struct bytes json = {0};
	struct tokenizer *t = text_file_read(&f, &json) ? tokenizer_read(path, json.at, json.n, e) : NULL;
	bytes_free(&json);
	return t;
}

void tokenizer_close(struct tokenizer *t)
{
	if (!t)
		return;
	normalizer_free(&t->normalizer);
	splitter_free(&t->splitter);
	model_free(&t->model);
	added_free(&t->added);
	template_free(&t->template);
	decoder_free(&t->decoder);
	pieces_free(&t->text);
	pieces_free(&t->words);
	bytes_free(&t->normal);
	free(t);
}

/* ---- tokens ---------------------------------------------------------------------------------- */
int32_t tokenizer_size(const struct tokenizer *t)
{
	int32_t size = (int32_t)t->model.vocab.ids;
	for (size_t i = 0; i < t->added.n; i++)
		size = t->added.at[i].id >= size ? t->added.at[i].id + 1 : size;
	return size;
}

int32_t tokenizer_find(const struct tokenizer *t, const char *text, size_t n)
{
	const struct added_token *added = added_named(&t->added, (struct span){text, n});
	return added ? added->id : vocab_find(&t->model.vocab, (struct span){text, n});
}

const char *tokenizer_token(const struct tokenizer *t, int32_t id, size_t *n)
{
	const struct added_token *added = added_find(&t->added, id);
	struct span text =
		added ? vocab_text(&t->added.names, (int32_t)(added - t->added.at)) : vocab_text(&t->model.vocab, id);
	*n = text.n;
	return text.at;
}

bool tokenizer_is_special(const struct tokenizer *t, int32_t id)
{
	const struct added_token *added = added_find(&t->added, id);
	return added && added->special;
}

/* ---- encoding -------------------------------------------------------------------------------- */
/* Fills t->text with the text, cut at added tokens; then t->words with the normalised text, cut at the others. */
static const char *find_added(struct tokenizer *t, struct span text, bool plain)
{
	struct piece whole = {0, (uint32_t)text.n, -1, true};
	pieces_clear(&t->text);
	pieces_clear(&t->words);
	bytes_add(&t->text.text, text.at, text.n);
	added_split(&t->added, &t->added.raw, plain, &whole, &t->text);
	for (size_t i = 0; i < t->text.n; i++) {
		const struct piece *p = &t->text.at[i];
		struct bytes *to = &t->words.text;
		if (p->id >= 0) {
			pieces_add(&t->words, *p);
			continue;
		}
		struct span raw = piece_text(&t->text, p);
		t->normal.n = 0;
		bytes_add(&t->normal, raw.at, raw.n);
		const char *wrong = normalizer_apply(&t->normalizer, &t->normal);
		if (wrong || to->n + t->normal.n > TEXT_MAX_NORMAL)
			return wrong ? wrong : TEXT_TOO_LONG;
		whole = (struct piece){(uint32_t)to->n, (uint32_t)t->normal.n, -1, p->first};
		bytes_add(to, t->normal.at, t->normal.n);
		added_split(&t->added, &t->added.normal, plain, &whole, &t->words);
	}
	return NULL;
}

static const char *encode_words(struct tokenizer *t, struct token_ids *out)
{
	const char *wrong = NULL;
	for (size_t i = 0; !wrong && i < t->words.n; i++) {
		const struct piece *p = &t->words.at[i];
		if (p->id >= 0)
			ids_add(out, p->id);
		else
			wrong = model_encode(&t->model, piece_text(&t->words, p), out);
	}
	return wrong;
}

static void add_all(struct token_ids *out, const struct token_ids *ids)
{
	for (size_t i = 0; i < ids->n; i++)
		ids_add(out, ids->at[i]);
}

static bool refuse_text(struct text_error *e, const char *why)
{
	snprintf(e->text, sizeof e->text, "the text cannot be encoded: %s", why);
	return false;
}

bool tokenizer_encode(struct tokenizer *t, const char *text, size_t n, unsigned flags, struct token_ids *out,
                      struct text_error *e)
{
	size_t before = out->n;
	if (n > TEXT_MAX_INPUT)
		return refuse_text(e, "it has more than 64 MiB");
	size_t good = utf8_well_formed(text, n);
	if (good < n) {
		snprintf(e->text, sizeof e->text, "the text is not UTF-8: byte %zu, 0x%02x, is not part of a character", good,
		         (unsigned)(unsigned char)text[good]);
		return false;
	}
	if (flags & ENCODE_TEMPLATE)
		add_all(out, &t->template.before);
	const char *wrong = find_added(t, (struct span){text, n}, flags & ENCODE_PLAIN);
	if (!wrong)
		wrong = splitter_apply(&t->splitter, &t->words);
	if (!wrong)
		wrong = encode_words(t, out);
	if (wrong) {
		out->n = before;
		return refuse_text(e, wrong);
	}
	if (flags & ENCODE_TEMPLATE)
		add_all(out, &t->template.after);
	return true;
}

/* ---- decoding -------------------------------------------------------------------------------- */
struct text_stream {
	const struct tokenizer *tokenizer;
	bool special;
	struct decoding decoding;
};

struct text_stream *text_stream_open(const struct tokenizer *t, unsigned flags)
{
	struct text_stream *s = text_grow(NULL, 1, sizeof *s);
	*s = (struct text_stream){.tokenizer = t, .special = flags & DECODE_SPECIAL};
	decoding_open(&s->decoding, &t->decoder, flags & DECODE_WHOLE);
	return s;
}

void text_stream_close(struct text_stream *s)
{
	if (s)
		decoding_close(&s->decoding);
	free(s);
}

const char *text_stream_next(struct text_stream *s, int32_t id, size_t *n)
{
	const struct added_token *added = added_find(&s->tokenizer->added, id);
	struct span text = added ? span_of(&added->decoded) : vocab_text(&s->tokenizer->model.vocab, id);
	s->decoding.out.n = 0;
	if (text.at && !(added && added->special && !s->special))
		decoding_add(&s->decoding, text);
	*n = s->decoding.out.n;
	return s->decoding.out.at;
}

const char *text_stream_end(struct text_stream *s, size_t *n)
{
	s->decoding.out.n = 0;
	decoding_end(&s->decoding);
	*n = s->decoding.out.n;
	return s->decoding.out.at;
}
