/* Byte-pair encoding: a word is spelled in characters; then the pair of neighbours whose merge comes first in the file
 * becomes one token, leftmost first, until no two neighbours merge. */
#include "model.h"
#include "utf8.h"

enum { FEW = 32, CACHE_SLOTS = 1 << 15, CACHE_KEY = 34, CACHE_IDS = 6, END = -1 };

/* Words that were merged, by their hash; a new word takes the place of an old one. */
struct bpe_cache {
	uint64_t seed;
	struct cached {
		uint32_t hash;
		uint8_t size, n; /* of key and ids; size 0: free */
		char key[CACHE_KEY];
		int32_t id[CACHE_IDS];
	} slot[CACHE_SLOTS];
};

struct symbol {
	int32_t id; /* GONE: part of the symbol before it */
	int32_t previous, next;
};
enum { GONE = -2 };

/* A merge that was possible when it was found: rank << 32 | position of the left half. */
struct candidate {
	uint64_t order;
	int32_t id;
};

struct bpe_word {
	struct token_ids spelling;
	struct symbol *symbol;
	size_t symbols; /* for how many there is room */
	struct candidate *heap;
	size_t n, room;
	struct bytes text; /* of a character with prefix and suffix */
};

void bpe_free(struct bpe *b)
{
	if (b->word) {
		free(b->word->spelling.at);
		free(b->word->symbol);
		free(b->word->heap);
		bytes_free(&b->word->text);
	}
	free(b->word);
	free(b->cache);
	pairs_close(&b->merge);
	pairs_close(&b->crossed);
	bytes_free(&b->prefix);
	bytes_free(&b->suffix);
	bytes_free(&b->unknown);
}

static bool find_merge(const struct bpe *b, int32_t left, int32_t right, uint64_t *merge)
{
	return pairs_get(&b->merge, (uint64_t)left << 32 | (uint32_t)right, merge);
}

/* ---- spelling -------------------------------------------------------------------------------- */
static int32_t find_character(const struct model *m, struct span s)
{
	uint32_t c;
	if (s.n <= 2 && s.n && (size_t)utf8_length(*s.at) == s.n)
		return utf8_decode(s.at, &c), m->bpe.short_id[c];
	return vocab_find(&m->vocab, s);
}

/* The text that stands for a character of the word in the vocabulary. */
static struct span spelled(const struct bpe *b, struct span character, bool first, bool last)
{
	struct bytes *text = &b->word->text;
	if ((first || !b->prefix.n) && (!last || !b->suffix.n))
		return character;
	text->n = 0;
	if (!first)
		bytes_add(text, b->prefix.at, b->prefix.n);
	bytes_add(text, character.at, character.n);
	if (last)
		bytes_add(text, b->suffix.at, b->suffix.n);
	return span_of(text);
}

/* Fills b->word->spelling. An unknown character waits for the next known one, so that several may become one token; as
 * in Hugging Face's tokenizers, bytes do not end that wait. */
static const char *spell(struct model *m, struct span word)
{
	struct bpe *b = &m->bpe;
	struct token_ids *out = &b->word->spelling;
	bool waiting = false;
	size_t n;
	out->n = 0;
	for (size_t at = 0; at < word.n; at += n) {
		n = (size_t)utf8_length(word.at[at]);
		struct span text = spelled(b, (struct span){word.at + at, n}, at == 0, at + n == word.n);
		int32_t id = find_character(m, text);
		if (id < 0 && m->bytes.used && bytes_encode(&m->bytes, text, out))
			continue;
		if (id < 0 && !b->has_unknown)
			continue;
		if (id < 0 && b->unknown_id < 0)
			return "it has a character without a token, and unk_token is not in the vocabulary";
		if (waiting && (id >= 0 || !b->fuse_unknown))
			ids_add(out, b->unknown_id);
		waiting = id < 0;
		if (id >= 0)
			ids_add(out, id);
	}
	if (waiting)
		ids_add(out, b->unknown_id);
	return NULL;
}

/* ---- merging --------------------------------------------------------------------------------- */
/* A few symbols: looks at all pairs for each merge. Returns how many are left. */
static size_t merge_few(const struct bpe *b, int32_t *id, size_t n)
{
	uint64_t merge[FEW];
	for (size_t i = 0; i + 1 < n; i++)
		if (!find_merge(b, id[i], id[i + 1], &merge[i]))
			merge[i] = UINT64_MAX;
	for (;;) {
		size_t best = 0;
		for (size_t i = 1; i + 1 < n; i++)
			if (merge[i] >> 32 < merge[best] >> 32)
				best = i;
		if (n < 2 || merge[best] == UINT64_MAX)
			return n;
		id[best] = (int32_t)(uint32_t)merge[best];
		n--;
		memmove(id + best + 1, id + best + 2, (n - best - 1) * sizeof *id);
		if (best + 1 < n)
			memmove(merge + best, merge + best + 1, (n - best - 1) * sizeof *merge);
		if (best + 1 < n && !find_merge(b, id[best], id[best + 1], &merge[best]))
			merge[best] = UINT64_MAX;
		if (best && !find_merge(b, id[best - 1], id[best], &merge[best - 1]))
			merge[best - 1] = UINT64_MAX;
	}
}

static void heap_push(struct bpe_word *w, struct candidate c)
{
	w->heap = text_room(w->heap, w->n, &w->room, sizeof *w->heap);
	size_t at = w->n++;
	for (; at && w->heap[(at - 1) / 2].order > c.order; at = (at - 1) / 2)
		w->heap[at] = w->heap[(at - 1) / 2];
	w->heap[at] = c;
}

static struct candidate heap_pop(struct bpe_word *w)
{
	struct candidate top = w->heap[0], last = w->heap[--w->n];
	size_t at = 0, child;
	while ((child = 2 * at + 1) < w->n) {
		if (child + 1 < w->n && w->heap[child + 1].order < w->heap[child].order)
			child++;
		if (w->heap[child].order >= last.order)
			break;
		w->heap[at] = w->heap[child];
		at = child;
	}
	w->heap[at] = last;
	return top;
}

/* Remembers the merge of the symbol at `left` with the one after it, if they merge. */
static void consider(const struct bpe *b, int32_t left)
{
	const struct symbol *s = b->word->symbol;
	uint64_t merge;
	if (left != END && s[left].next != END && find_merge(b, s[left].id, s[s[left].next].id, &merge))
		heap_push(b->word, (struct candidate){(merge >> 32) << 32 | (uint32_t)left, (int32_t)(uint32_t)merge});
}

/* Any number of symbols, in time n log n. A candidate is out of date if its pair no longer makes that token. */
static void merge_many(const struct bpe *b, const int32_t *id, size_t n)
{
	struct bpe_word *w = b->word;
	if (w->symbols < n) {
		w->symbol = text_grow(w->symbol, n, sizeof *w->symbol);
		w->symbols = n;
	}
	struct symbol *s = w->symbol;
	for (size_t i = 0; i < n; i++)
		s[i] = (struct symbol){id[i], (int32_t)i - 1, i + 1 < n ? (int32_t)i + 1 : END};
	w->n = 0;
	for (size_t i = 0; i < n; i++)
		consider(b, (int32_t)i);
	while (w->n) {
		struct candidate c = heap_pop(w);
		int32_t left = (int32_t)(uint32_t)c.order, right = s[left].next;
		uint64_t merge;
		if (s[left].id == GONE || right == END || !find_merge(b, s[left].id, s[right].id, &merge)
		    || (int32_t)(uint32_t)merge != c.id)
			continue;
		s[left].id = c.id;
		s[left].next = s[right].next;
		s[right].id = GONE;
		if (s[left].next != END)
			s[s[left].next].previous = left;
		consider(b, s[left].previous);
		consider(b, left);
	}
}

static const char *merge_word(struct model *m, struct span word, struct token_ids *out)
{
	struct bpe *b = &m->bpe;
	struct token_ids *spelling = &b->word->spelling;
	const char *wrong = spell(m, word);
	if (wrong)
		return wrong;
	if (spelling->n <= FEW && !b->prefix.n) {
		size_t n = spelling->n ? merge_few(b, spelling->at, spelling->n) : 0;
		for (size_t i = 0; i < n; i++)
			ids_add(out, spelling->at[i]);
		return NULL;
	}
	merge_many(b, spelling->at, spelling->n);
	for (size_t i = 0; i < spelling->n; i++)
		if (b->word->symbol[i].id != GONE)
			ids_add(out, b->word->symbol[i].id);
	return NULL;
}

/* ---- words ----------------------------------------------------------------------------------- */
static void open_memory(struct bpe *b)
{
	b->word = text_grow(NULL, 1, sizeof *b->word);
	*b->word = (struct bpe_word){0};
	b->cache = calloc(1, sizeof *b->cache);
	if (!b->cache)
		no_memory(sizeof *b->cache);
	b->cache->seed = hash_seed();
}

static const char *encode_cached(struct model *m, struct span word, struct token_ids *out)
{
	struct bpe_cache *cache = m->bpe.cache;
	uint32_t hash = (uint32_t)hash_bytes(word.at, word.n, cache->seed);
	struct cached *c = &cache->slot[hash % CACHE_SLOTS];
	if (c->hash == hash && c->size == word.n && !memcmp(c->key, word.at, word.n)) {
		for (int i = 0; i < c->n; i++)
			ids_add(out, c->id[i]);
		return NULL;
	}
	size_t before = out->n;
	const char *wrong = merge_word(m, word, out);
	size_t n = out->n - before;
	if (wrong || n > CACHE_IDS)
		return wrong;
	c->hash = hash;
	c->size = (uint8_t)word.n;
	c->n = (uint8_t)n;
	memcpy(c->key, word.at, word.n);
	if (n)
		memcpy(c->id, out->at + before, n * sizeof *c->id);
	return NULL;
}

static const char *encode_part(struct model *m, struct span part, struct token_ids *out)
{
	return part.n <= CACHE_KEY ? encode_cached(m, part, out) : merge_word(m, part, out);
}

/* Whether no merge joins the known characters around `at`, which is inside a word. Unknown characters may become tokens
 * whose text is another one. */
static bool is_boundary(const struct model *m, const char *at)
{
	uint32_t before, after;
	uint64_t none;
	const char *last = utf8_before(at);
	struct span next = {at, (size_t)utf8_decode(at, &after)}, previous = {last, (size_t)utf8_decode(last, &before)};
	return !pairs_get(&m->bpe.crossed, (uint64_t)before << 32 | after, &none) && find_character(m, previous) >= 0
	       && find_character(m, next) >= 0;
}

/* A text that nothing cut is one long word: cuts it where that makes no difference, so that its parts are in the cache.
 */
static const char *encode_long(struct model *m, struct span word, struct token_ids *out)
{
	const char *start = word.at, *end = word.at + word.n, *wrong = NULL;
	for (const char *at = start + utf8_length(*start); at < end && !wrong; at += utf8_length(*at))
		if (is_boundary(m, at)) {
			wrong = encode_part(m, (struct span){start, (size_t)(at - start)}, out);
			start = at;
		}
	return wrong ? wrong : encode_part(m, (struct span){start, (size_t)(end - start)}, out);
}

const char *bpe_encode(struct model *m, struct span word, struct token_ids *out)
{
	int32_t id = m->bpe.ignore_merges ? vocab_find(&m->vocab, word) : -1;
	if (!m->bpe.word)
		open_memory(&m->bpe);
	if (id >= 0)
		return ids_add(out, id), (const char *)NULL;
	if (word.n <= CACHE_KEY || m->bpe.prefix.n || m->bpe.suffix.n)
		return encode_part(m, word, out);
	return encode_long(m, word, out);
}
