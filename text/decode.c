/* A token goes through the steps one by one; each keeps what it cannot decide yet. */
#include <ctype.h>
#include "byte_level.h"
#include "decode.h"
#include "utf8.h"

static const struct span unknown = {"\xEF\xBF\xBD", 3}; /* U+FFFD */

void decoding_open(struct decoding *d, const struct decoder *decoder, bool whole)
{
	*d = (struct decoding){.decoder = decoder, .whole = whole};
	d->step = calloc(decoder->n + 1, sizeof *d->step);
	if (!d->step)
		no_memory((decoder->n + 1) * sizeof *d->step);
	bytes_reserve(&d->out, 0);
}

void decoding_close(struct decoding *d)
{
	for (size_t i = 0; i < d->decoder->n; i++) {
		bytes_free(&d->step[i].pending);
		bytes_free(&d->step[i].text);
	}
	free(d->step);
	bytes_free(&d->out);
}

static void feed(struct decoding *d, size_t i, struct span piece);

/* ---- bytes ----------------------------------------------------------------------------------- */
/* Takes the whole characters off the start of `pending`, and what cannot become one as U+FFFD. end: nothing follows. */
static void take_characters(struct bytes *pending, struct bytes *out, bool end)
{
	size_t at = 0;
	while (at < pending->n) {
		int n = utf8_sequence(pending->at + at, pending->n - at);
		if (!n && !end)
			break;
		if (n > 0)
			bytes_add(out, pending->at + at, (size_t)n);
		else
			bytes_add(out, unknown.at, unknown.n);
		at += n > 0 ? (size_t)n : n < 0 ? (size_t)-n : pending->n - at;
	}
	memmove(pending->at, pending->at + at, pending->n - at);
	pending->n -= at;
}

static void byte_level(struct decoding *d, size_t i, struct span piece, bool end)
{
	struct decoding_step *s = &d->step[i];
	if (!byte_level_decode(piece, &s->pending))
		bytes_add(&s->pending, piece.at, piece.n);
	s->text.n = 0;
	take_characters(&s->pending, &s->text, end);
	if (s->text.n)
		feed(d, i + 1, span_of(&s->text));
}

/* The byte of a token like <0xE4>; -1: another token. */
static int byte_token(struct span piece)
{
	if (piece.n != 6 || memcmp(piece.at, "<0x", 3) || piece.at[5] != '>' || !isxdigit((unsigned char)piece.at[3])
	    || !isxdigit((unsigned char)piece.at[4]))
		return -1;
	return (int)strtol((char[]){piece.at[3], piece.at[4], 0}, NULL, 16);
}

static void feed_unknown(struct decoding *d, size_t i, size_t n)
{
	for (size_t k = 0; k < n; k++)
		feed(d, i + 1, unknown);
}

/* Prints what is known of a run of bytes before its end. */
static void run_so_far(struct decoding *d, size_t i)
{
	struct decoding_step *s = &d->step[i];
	int n = s->broken ? -1 : utf8_sequence(s->pending.at, s->pending.n);
	if (!n)
		return;
	s->broken = n < 0;
	if (n > 0)
		feed(d, i + 1, span_of(&s->pending));
	else
		feed_unknown(d, i, s->pending.n);
	s->pending.n = 0;
}

static void end_run(struct decoding *d, size_t i)
{
	struct decoding_step *s = &d->step[i];
	size_t n = s->pending.n;
	if (n && utf8_well_formed(s->pending.at, n) == n)
		feed(d, i + 1, span_of(&s->pending));
	else
		feed_unknown(d, i, n);
	s->pending.n = 0;
	s->broken = false;
}

static void byte_fallback(struct decoding *d, size_t i, struct span piece)
{
	int byte = byte_token(piece);
	if (byte < 0) {
		end_run(d, i);
		feed(d, i + 1, piece);
		return;
	}
	bytes_add(&d->step[i].pending, (char[]){(char)byte}, 1);
	if (!d->whole && !d->decoder->step[i].holds)
		run_so_far(d, i);
}

/* ---- characters ------------------------------------------------------------------------------ */
static void replace(struct decoding *d, size_t i, struct span piece, struct span by)
{
	struct span find = span_of(&d->decoder->step[i].find);
	struct bytes *out = &d->step[i].text;
	out->n = 0;
	bytes_reserve(out, 0);
	for (const char *at = piece.at, *end = at + piece.n; at < end;) {
		const char *found = memmem(at, (size_t)(end - at), find.at, find.n), *stop = found ? found : end;
		bytes_add(out, at, (size_t)(stop - at));
		if (found)
			bytes_add(out, by.at, by.n);
		at = found ? found + find.n : end;
	}
	feed(d, i + 1, span_of(out));
}

static void metaspace(struct decoding *d, size_t i, struct span piece)
{
	bool first = d->step[i].tokens++ == 0;
	replace(d, i, piece, (struct span){" ", first && d->decoder->step[i].drops ? 0 : 1});
}

static void join(struct decoding *d, size_t i, struct span piece)
{
	if (d->step[i].tokens++)
		feed(d, i + 1, (struct span){" ", 1});
	feed(d, i + 1, piece);
}

/* Leaves out characters at the start, and keeps back as many as may have to be left out at the end. */
static void strip(struct decoding *d, size_t i, struct span piece)
{
	const struct decoder_step *step = &d->decoder->step[i];
	struct decoding_step *s = &d->step[i];
	struct span mark = span_of(&step->find);
	s->text.n = 0;
	bytes_reserve(&s->text, 0);
	for (size_t at = 0, n; at < piece.n; at += n) {
		n = (size_t)utf8_length(piece.at[at]);
		bool is_mark = spans_equal((struct span){piece.at + at, n}, mark);
		if (is_mark && s->stripped < step->start) {
			s->stripped++;
			continue;
		}
		s->stripped = step->start;
		for (; s->held && !is_mark; s->held--)
			bytes_add(&s->text, mark.at, mark.n);
		if (is_mark && s->held < step->stop)
			s->held++;
		else
			bytes_add(&s->text, piece.at + at, n);
	}
	if (!step->fused)
		s->stripped = s->held = 0;
	feed(d, i + 1, span_of(&s->text));
}

/* ---- all steps ------------------------------------------------------------------------------- */
static void feed(struct decoding *d, size_t i, struct span piece)
{
	if (i == d->decoder->n) {
		bytes_add(&d->out, piece.at, piece.n);
		return;
	}
	switch (d->decoder->step[i].kind) {
	case DECODE_JOIN:          join(d, i, piece); break;
	case DECODE_BYTE_LEVEL:    byte_level(d, i, piece, false); break;
	case DECODE_BYTE_FALLBACK: byte_fallback(d, i, piece); break;
	case DECODE_METASPACE:     metaspace(d, i, piece); break;
	case DECODE_REPLACE:       replace(d, i, piece, span_of(&d->decoder->step[i].text)); break;
	case DECODE_FUSE:          feed(d, i + 1, piece); break;
	case DECODE_STRIP:         strip(d, i, piece); break;
	}
}

void decoding_add(struct decoding *d, struct span token) { feed(d, 0, token); }

void decoding_end(struct decoding *d)
{
	for (size_t i = 0; i < d->decoder->n; i++) {
		struct decoding_step *s = &d->step[i];
		if (d->decoder->step[i].kind == DECODE_BYTE_LEVEL)
			byte_level(d, i, (struct span){"", 0}, true);
		if (d->decoder->step[i].kind == DECODE_BYTE_FALLBACK)
			end_run(d, i);
		s->tokens = s->stripped = s->held = 0;
	}
}
