/* Steps that cut make new pieces of the same text; others write a new text first. */
#include "byte_level.h"
#include "normalize.h"
#include "split.h"
#include "utf8.h"

/* The text of `whole` is in out->text. */
static const char *cut_at_matches(const struct split_step *s, const struct piece *whole, struct pieces *out)
{
	struct cutter c = cutter_begin(s->behavior, s->invert, whole, out);
	struct search search = search_begin(s->find, piece_text(out, whole));
	int found;
	while ((found = search_next(&search)) == SEARCH_FOUND)
		cutter_cut(&c, search.start, search.end);
	cutter_end(&c);
	return found == SEARCH_FAILED ? TEXT_TOO_SLOW : NULL;
}

static void cut_at_characters(const struct split_step *s, enum behavior behavior, const struct piece *whole,
                              struct pieces *out)
{
	struct cutter c = cutter_begin(behavior, s->invert, whole, out);
	struct span text = piece_text(out, whole);
	uint32_t point;
	int size;
	for (size_t at = 0; at < text.n; at += (size_t)size) {
		size = utf8_decode(text.at + at, &point);
		if (s->is ? s->is(point) : size == s->mark_size && !memcmp(text.at + at, s->mark, (size_t)size))
			cutter_cut(&c, at, at + (size_t)size);
	}
	cutter_end(&c);
}

/* ---- steps that write text ------------------------------------------------------------------- */
static struct piece piece_from(const struct pieces *out, size_t begin, bool first)
{
	return (struct piece){(uint32_t)begin, (uint32_t)(out->text.n - begin), -1, first};
}

static bool begins_with(struct span text, const char *mark, int size)
{
	return text.n >= (size_t)size && !memcmp(text.at, mark, (size_t)size);
}

static void metaspace(const struct split_step *s, const struct pieces *from, const struct piece *piece,
                      struct pieces *out)
{
	size_t begin = out->text.n;
	struct span text = piece_text(from, piece);
	bool prepend = s->scheme == PREPEND_ALWAYS || (s->scheme == PREPEND_FIRST && piece->first);
	if (prepend && *text.at != ' ' && !begins_with(text, s->mark, s->mark_size))
		bytes_add(&out->text, s->mark, (size_t)s->mark_size);
	for (const char *at = text.at, *end = at + text.n; at < end;) {
		const char *space = memchr(at, ' ', (size_t)(end - at)), *stop = space ? space : end;
		bytes_add(&out->text, at, (size_t)(stop - at));
		if (space)
			bytes_add(&out->text, s->mark, (size_t)s->mark_size);
		at = space ? space + 1 : end;
	}
	struct piece whole = piece_from(out, begin, piece->first);
	if (s->cuts)
		cut_at_characters(s, BEHAVIOR_MERGED_WITH_NEXT, &whole, out);
	else
		pieces_add(out, whole);
}

/* Cuts the text itself, whose pieces the caller turns into characters of bytes. */
static const char *byte_level(const struct split_step *s, const struct pieces *from, const struct piece *piece,
                              struct pieces *out)
{
	size_t begin = out->text.n;
	struct span text = piece_text(from, piece);
	if (s->prefix_space && *text.at != ' ')
		bytes_add(&out->text, " ", 1);
	bytes_add(&out->text, text.at, text.n);
	struct piece whole = piece_from(out, begin, piece->first);
	if (s->find)
		return cut_at_matches(s, &whole, out);
	pieces_add(out, whole);
	return NULL;
}

static void spell_bytes(const struct pieces *from, struct pieces *out)
{
	for (size_t i = 0; i < from->n; i++) {
		struct piece piece = from->at[i];
		size_t begin = out->text.n;
		if (piece.id < 0) {
			byte_level_add(piece_text(from, &piece), &out->text);
			piece = piece_from(out, begin, piece.first);
		}
		pieces_add(out, piece);
	}
}

/* ---- all steps ------------------------------------------------------------------------------- */
static const char *split_piece(const struct split_step *s, const struct pieces *from, const struct piece *piece,
                               struct pieces *out)
{
	switch (s->kind) {
	case SPLIT_PATTERN:    return cut_at_matches(s, piece, out);
	case SPLIT_BYTE_LEVEL: return byte_level(s, from, piece, out);
	case SPLIT_CHARACTERS: cut_at_characters(s, s->behavior, piece, out); return NULL;
	case SPLIT_METASPACE:  metaspace(s, from, piece, out); return NULL;
	}
	return NULL;
}

static void swap(struct pieces *a, struct pieces *b)
{
	struct pieces c = *a;
	*a = *b;
	*b = c;
	pieces_clear(a);
}

static const char *split_all(const struct split_step *s, struct pieces *from, struct pieces *out)
{
	if (s->kind == SPLIT_PATTERN || s->kind == SPLIT_CHARACTERS)
		bytes_swap(&from->text, &out->text);
	for (size_t i = 0; i < from->n; i++) {
		const struct piece *piece = &from->at[i];
		const char *wrong = NULL;
		if (piece->id >= 0)
			pieces_add(out, *piece);
		else
			wrong = split_piece(s, from, piece, out);
		if (wrong || out->text.n > TEXT_MAX_NORMAL)
			return wrong ? wrong : TEXT_TOO_LONG;
	}
	return NULL;
}

const char *splitter_apply(struct splitter *s, struct pieces *p)
{
	for (size_t i = 0; i < s->n; i++) {
		swap(p, &s->before);
		const char *wrong = split_all(&s->step[i], &s->before, p);
		if (wrong)
			return wrong;
		if (s->step[i].kind == SPLIT_BYTE_LEVEL) {
			swap(p, &s->before);
			spell_bytes(&s->before, p);
		}
	}
	return NULL;
}
