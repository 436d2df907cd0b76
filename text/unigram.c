/* Unigram models: of all ways to cut a word into tokens, the one whose scores have the largest sum. */
#include <math.h>
#include <stdio.h>
#include "model.h"
#include "utf8.h"

enum { MAX_PIECES = TEXT_MAX_ID };
static const double unknown_penalty = 10;

/* A place in the word: the best way to it, and the token that follows on the best way to the end. */
struct unigram_node {
	double score; /* of the way */
	uint32_t start, end;
	int32_t id, next_id; /* its last token, which begins at `start`; the token that follows, up to `end` */
	bool reached;
};

void unigram_free(struct unigram *u)
{
	if (u->trie.value)
		trie_close(&u->trie);
	free(u->score);
	free(u->best);
}

/* ---- reading --------------------------------------------------------------------------------- */
/* A score as `tokenizers` reads it: its digits as one number, divided by a power of ten, which rounds twice. Two cuts
 * of a word often have the same score but for rounding, so the last bit of a score decides between them. */
static double read_score(const json_t *v)
{
	double exact = json_number_value(v);
	char text[40], power[16], *digits = text;
	int precision = 0;
	do
		snprintf(text, sizeof text, "%.*e", precision, fabs(exact));
	while (strtod(text, NULL) != fabs(exact) && precision++ < 17);
	long exponent = strtol(strchr(text, 'e') + 1, NULL, 10) - precision;
	if (json_is_integer(v) || exact == 0 || labs(exponent) > 300)
		return exact;
	if (precision) { /* d.ddd: the digits without the point */
		text[1] = text[0];
		digits++;
	}
	double whole = (double)strtoull(digits, NULL, 10);
	snprintf(power, sizeof power, "1e%ld", labs(exponent));
	double scale = strtod(power, NULL);
	return copysign(exponent < 0 ? whole / scale : whole * scale, exact);
}

static bool read_piece(const struct field *f, int32_t id, struct model *m)
{
	struct field name = field_at(f, 0), score = field_at(f, 1);
	struct span text;
	size_t n;
	if (!field_list(f, 2, &n) || !field_string(&name, &text))
		return false;
	if (!json_is_number(score.v))
		return field_refuse(&score, "is not a number");
	m->unigram.score[id] = read_score(score.v);
	vocab_add(&m->vocab, text, id);
	return !text.n || trie_add(&m->unigram.trie, text, id) || field_refuse(f, "all tokens together are too long");
}

static bool read_pieces(const struct field *f, struct model *m)
{
	size_t n;
	double lowest = INFINITY;
	struct unigram *u = &m->unigram;
	if (!field_list(f, MAX_PIECES, &n))
		return false;
	u->score = text_grow(NULL, n + 1, sizeof *u->score);
	for (size_t i = 0; i < n; i++) {
		struct field piece = field_at(f, i);
		if (!read_piece(&piece, (int32_t)i, m))
			return false;
		lowest = u->score[i] < lowest ? u->score[i] : lowest;
	}
	u->unknown_score = lowest - unknown_penalty;
	return true;
}

bool unigram_read(const struct field *f, struct model *m)
{
	struct field vocab = field_of(f, "vocab"), unknown = field_of(f, "unk_id");
	trie_open(&m->unigram.trie);
	m->unigram.unknown_id = -1;
	if (!field_keys(f, (const char *const[]){"unk_id", "vocab", "byte_fallback", NULL}) || !read_pieces(&vocab, m))
		return false;
	return field_absent(&unknown) || field_number_of(f, "unk_id", (int32_t)m->vocab.ids - 1, &m->unigram.unknown_id);
}

/* ---- encoding -------------------------------------------------------------------------------- */
static void reach(struct unigram_node *to, double score, int32_t id, size_t start)
{
	if (!to->reached || score > to->score)
		*to = (struct unigram_node){.score = score, .start = (uint32_t)start, .id = id, .reached = true};
}

/* Fills u->best for each place of the word. false: a character is unknown, and there is no token for that. */
static bool find_best(struct unigram *u, struct span word)
{
	for (size_t at = 0, length; at < word.n; at += length) {
		double here = u->best[at].score;
		bool single = false;
		uint32_t node = 0;
		length = (size_t)utf8_length(word.at[at]);
		for (size_t i = at; i < word.n && trie_step(&u->trie, &node, word.at[i]); i++) {
			int32_t id = u->trie.value[node];
			if (id < 0)
				continue;
			reach(&u->best[i + 1], u->score[id] + here, id, at);
			single |= i + 1 - at == length;
		}
		if (!single && u->unknown_id < 0)
			return false;
		if (!single)
			reach(&u->best[at + length], u->unknown_score + here, u->unknown_id, at);
	}
	return true;
}

/* Appends the token of a stretch that the best way found. Unknown characters beside each other are one stretch. */
static void add_stretch(struct model *m, struct span text, struct token_ids *out)
{
	int32_t id = vocab_find(&m->vocab, text);
	if (id < 0 && m->bytes.used && bytes_encode(&m->bytes, text, out))
		return;
	ids_add(out, id < 0 ? m->unigram.unknown_id : id);
}

/* Follows the best way back from the end, and notes at each place how it goes on. */
static void trace_back(struct unigram_node *best, size_t n)
{
	for (size_t at = n; at; at = best[at].start) {
		best[best[at].start].end = (uint32_t)at;
		best[best[at].start].next_id = best[at].id;
	}
}

const char *unigram_encode(struct model *m, struct span word, struct token_ids *out)
{
	struct unigram *u = &m->unigram;
	if (u->room < word.n + 1) {
		u->room = 2 * word.n + 64;
		u->best = text_grow(u->best, u->room, sizeof *u->best);
	}
	memset(u->best, 0, (word.n + 1) * sizeof *u->best);
	if (!find_best(u, word))
		return "it has a character without a token, and the model has no unk_id";
	trace_back(u->best, word.n);
	for (size_t at = 0, end; at < word.n; at = end) {
		end = u->best[at].end;
		while (u->best[at].next_id == u->unknown_id && end < word.n && u->best[end].next_id == u->unknown_id)
			end = u->best[end].end;
		add_stretch(m, (struct span){word.at + at, end - at}, out);
	}
	return NULL;
}
