/* Finds added tokens: leftmost first, then longest. */
#include "added.h"
#include "unicode.h"
#include "utf8.h"

enum { MAX_ADDED = 1 << 18, MAX_ADDED_SIZE = 256, MAX_NODES = 1 << 23 };

/* ---- tree ------------------------------------------------------------------------------------ */
static uint32_t add_node(struct trie *t)
{
	t->value = text_room(t->value, t->n, &t->room, sizeof *t->value);
	t->value[t->n] = -1;
	return (uint32_t)t->n++;
}

void trie_open(struct trie *t)
{
	*t = (struct trie){0};
	pairs_open(&t->child);
	add_node(t);
}

void trie_close(struct trie *t)
{
	pairs_close(&t->child);
	free(t->value);
}

bool trie_add(struct trie *t, struct span s, int32_t value)
{
	uint32_t node = 0;
	if (t->n + s.n > MAX_NODES)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		uint32_t parent = node;
		if (trie_step(t, &node, s.at[i]))
			continue;
		node = add_node(t);
		pairs_put(&t->child, (uint64_t)parent << 8 | (unsigned char)s.at[i], node);
	}
	if (s.n)
		t->begins[(unsigned char)*s.at] = true;
	t->value[node] = value;
	return true;
}

/* The longest string at the start of a text, as its value; -1: none. */
static int32_t longest(const struct trie *t, struct span text, size_t *size)
{
	uint32_t node = 0;
	int32_t found = -1;
	for (size_t i = 0; i < text.n && trie_step(t, &node, text.at[i]); i++)
		if (t->value[node] >= 0) {
			found = t->value[node];
			*size = i + 1;
		}
	return found;
}

/* ---- reading --------------------------------------------------------------------------------- */
/* What decoders get of a token, and the tree where it is found. */
static bool enter(const struct field *f, struct normalizer *n, struct added *a, size_t index, struct span content)
{
	struct added_token *t = &a->at[index];
	bytes_add(&t->decoded, content.at, content.n);
	const char *wrong = t->normalized ? normalizer_apply(n, &t->decoded) : NULL;
	if (wrong)
		return field_refuse(f, "%s", wrong);
	if (t->decoded.n && !trie_add(t->normalized ? &a->normal : &a->raw, span_of(&t->decoded), (int32_t)index))
		return field_refuse(f, "all added tokens together are too long");
	pairs_put(&a->by_id, (uint64_t)t->id, index);
	vocab_add(&a->names, content, (int32_t)index);
	return true;
}

static bool read_token(const struct field *f, struct normalizer *n, const struct vocab *model, struct added *a)
{
	static const char *const keys[] = {"id",     "content",    "single_word", "lstrip",
	                                   "rstrip", "normalized", "special",     NULL};
	struct added_token t = {.normalized = true};
	struct span content;
	if (!field_object(f) || !field_keys(f, keys) || !field_number_of(f, "id", TEXT_MAX_ID, &t.id)
	    || !field_string_of(f, "content", &content) || !field_bool_of(f, "single_word", &t.single_word)
	    || !field_bool_of(f, "lstrip", &t.lstrip) || !field_bool_of(f, "rstrip", &t.rstrip)
	    || !field_bool_of(f, "normalized", &t.normalized) || !field_bool_of(f, "special", &t.special))
		return false;
	if (!content.n)
		return field_refuse(f, "its content is empty");
	if (content.n > MAX_ADDED_SIZE)
		return field_refuse(f, "its content has %zu bytes; at most %d are supported", content.n, MAX_ADDED_SIZE);
	int32_t known = vocab_find(model, content);
	if (known >= 0 && known != t.id)
		return field_refuse(f, "`%.60s` has id %d here, but %d in model.vocab", content.at, t.id, known);
	if (known < 0 && vocab_text(model, t.id).at)
		return field_refuse(f, "`%.60s` has id %d, which model.vocab gives another token", content.at, t.id);
	if (added_find(a, t.id) || added_named(a, content))
		return field_refuse(f, "`%.60s`, with id %d, appears twice", content.at, t.id);
	a->at = text_room(a->at, a->n, &a->room, sizeof *a->at);
	a->at[a->n] = t;
	return enter(f, n, a, a->n++, content);
}

bool added_read(const struct field *f, struct normalizer *n, const struct vocab *model, struct added *a)
{
	size_t count = 0;
	*a = (struct added){0};
	trie_open(&a->raw);
	trie_open(&a->normal);
	pairs_open(&a->by_id);
	vocab_open(&a->names);
	if (!field_absent(f) && !field_list(f, MAX_ADDED, &count))
		return false;
	for (size_t i = 0; i < count; i++) {
		struct field token = field_at(f, i);
		if (!read_token(&token, n, model, a))
			return false;
	}
	return true;
}

void added_free(struct added *a)
{
	for (size_t i = 0; i < a->n; i++)
		bytes_free(&a->at[i].decoded);
	free(a->at);
	trie_close(&a->raw);
	trie_close(&a->normal);
	pairs_close(&a->by_id);
	vocab_close(&a->names);
	*a = (struct added){0};
}

const struct added_token *added_find(const struct added *a, int32_t id)
{
	uint64_t index;
	return id >= 0 && pairs_get(&a->by_id, (uint64_t)id, &index) ? &a->at[index] : NULL;
}

const struct added_token *added_named(const struct added *a, struct span text)
{
	int32_t index = vocab_find(&a->names, text);
	return index < 0 ? NULL : &a->at[index];
}

/* ---- finding --------------------------------------------------------------------------------- */
static bool word_at(struct span text, size_t at)
{
	uint32_t c;
	return at < text.n && (utf8_decode(text.at + at, &c), is_word(c));
}

static bool word_before(struct span text, size_t at)
{
	uint32_t c;
	return at && (utf8_decode(utf8_before(text.at + at), &c), is_word(c));
}

static size_t skip_spaces(struct span text, size_t at)
{
	uint32_t c;
	for (int size; at < text.n && (size = utf8_decode(text.at + at, &c), is_space(c));)
		at += (size_t)size;
	return at;
}

static size_t skip_spaces_back(struct span text, size_t at, size_t min)
{
	uint32_t c;
	while (at > min && (utf8_decode(utf8_before(text.at + at), &c), is_space(c)))
		at = (size_t)(utf8_before(text.at + at) - text.at);
	return at > min ? at : min;
}

static void add_stretch(const struct piece *whole, size_t start, size_t end, int32_t id, struct pieces *out)
{
	if (start < end)
		pieces_add(out,
		           (struct piece){whole->at + (uint32_t)start, (uint32_t)(end - start), id, whole->first && !start});
}

/* A token may reach over spaces beside it, but not over those of the token before it. */
void added_split(const struct added *a, const struct trie *t, bool plain, const struct piece *whole, struct pieces *out)
{
	struct span text = piece_text(out, whole);
	size_t done = 0, size = 0;
	for (size_t at = 0; at < text.n; at += size) {
		size = 1;
		int32_t index = -1;
		if (t->begins[(unsigned char)text.at[at]])
			index = longest(t, (struct span){text.at + at, text.n - at}, &size);
		const struct added_token *token = index < 0 ? NULL : &a->at[index];
		if (!token || (plain && token->special)
		    || (token->single_word && (word_before(text, at) || word_at(text, at + size))))
			continue;
		size_t start = token->lstrip ? skip_spaces_back(text, at, done) : at;
		size_t end = token->rstrip ? skip_spaces(text, at + size) : at + size;
		add_stretch(whole, done, start, -1, out);
		add_stretch(whole, start, end, token->id, out);
		done = end;
	}
	add_stretch(whole, done, text.n, -1, out);
}
