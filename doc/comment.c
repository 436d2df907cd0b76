/* Comments that document an item: the lines above it, and what stands beside it. */
#include "doc.h"
#include <string.h>

static uint32_t skip_blanks(const char *text, uint32_t at)
{
	while (text[at] == ' ' || text[at] == '\t')
		at++;
	return at;
}

static uint32_t line_start(const char *text, uint32_t at)
{
	while (at > 0 && text[at - 1] != '\n')
		at--;
	return at;
}

uint32_t doc_next_line(const char *text, uint32_t at)
{
	at += (uint32_t)strcspn(text + at, "\n");
	return text[at] ? at + 1 : at;
}

/* Adds the comment at `at`, which starts with `slashes` slashes; one space after them is not text. */
void doc_add_line(struct text *out, const char *text, uint32_t at, int slashes)
{
	const char *start = text + at + slashes;
	start += *start == ' ';
	text_add(out, "%s%.*s", out->n ? "\n" : "", (int)strcspn(start, "\r\n"), start);
}

/* The `///` lines right above the line of `at`. */
static const char *text_above(struct arena *a, const struct source *f, uint32_t at)
{
	const char *text = f->text;
	struct text out = {.arena = a};
	uint32_t end = line_start(text, at), first = end;
	if (memchr(text + end, '{', at - end)) /* it is above the item whose body starts on this line */
		return "";
	for (uint32_t line = first; line > 0; first = line) {
		line = line_start(text, line - 1);
		if (strncmp(text + skip_blanks(text, line), "///", 3) != 0)
			break;
	}
	text_add(&out, "%s", "");
	for (uint32_t line = first; line < end; line = doc_next_line(text, line))
		doc_add_line(&out, text, skip_blanks(text, line), 3);
	return out.at;
}

/* The `//` comment after `at` on its line, with the lines below that continue it in the same column. */
const char *doc_comment_beside(struct arena *a, const struct source *f, uint32_t at)
{
	const char *text = f->text;
	struct text out = {.arena = a};
	text_add(&out, "%s", "");
	at = skip_blanks(text, at);
	uint32_t column = at - line_start(text, at);
	while (!strncmp(text + at, "//", 2) && strncmp(text + at, "///", 3) != 0) {
		doc_add_line(&out, text, at, 2);
		uint32_t line = doc_next_line(text, at);
		at = skip_blanks(text, line);
		if (at - line != column)
			break;
	}
	return out.at;
}

const char *doc_comment(struct arena *a, const struct source *f, uint32_t lo, uint32_t hi)
{
	const char *above = text_above(a, f, lo), *beside = doc_comment_beside(a, f, hi);
	return *above && *beside ? arena_printf(a, "%s\n%s", above, beside) : *above ? above : beside;
}
