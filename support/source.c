/* Source texts, and the lines and columns of spans. */
#include "source.h"
#include <string.h>

static bool starts_character(char c) { return (c & 0xC0) != 0x80; /* not a continuation byte of UTF-8 */ }

static void count_characters(struct arena *a, struct source *f)
{
	uint32_t n = 0;
	f->characters = arena_array(a, uint32_t, f->size / CHARACTERS_EVERY + 1);
	for (uint32_t i = 0; i < f->size; i++) {
		if (i % CHARACTERS_EVERY == 0)
			f->characters[i / CHARACTERS_EVERY] = n;
		n += starts_character(f->text[i]);
	}
	if (f->size % CHARACTERS_EVERY == 0)
		f->characters[f->size / CHARACTERS_EVERY] = n;
}

/* Characters before the offset. */
static uint32_t characters_before(const struct source *f, uint32_t offset)
{
	uint32_t i = offset / CHARACTERS_EVERY, n = f->characters[i];
	for (i *= CHARACTERS_EVERY; i < offset; i++)
		n += starts_character(f->text[i]);
	return n;
}

static void find_lines(struct arena *a, struct source *f)
{
	VEC(uint32_t) lines = {0}, returns = {0};
	vec_push(a, &lines, 0);
	for (uint32_t i = 0; i < f->size; i++)
		if (f->text[i] == '\n')
			vec_push(a, &lines, i + 1);
		else if (f->text[i] == '\r' && f->text[i + 1] != '\n')
			vec_push(a, &returns, i + 1);
	f->lines = lines.at;
	f->n_lines = lines.n;
	f->returns = returns.at;
	f->n_returns = returns.n;
}

uint32_t sources_add(struct sources *s, const char *path, const char *label, const char *text, size_t size)
{
	if (size >= UINT32_MAX)
		internal_error("%s has %zu bytes: the reader of files must refuse it", path, size);
	struct source f = {
		.path = arena_strndup(s->arena, path, strlen(path)),
		.label = arena_strndup(s->arena, label, strlen(label)),
		.text = arena_strndup(s->arena, text, size),
		.size = (uint32_t)size,
	};
	find_lines(s->arena, &f);
	count_characters(s->arena, &f);
	if (s->first_is_free) {
		s->first_is_free = false;
		s->files.at[0] = f;
		return 0;
	}
	vec_push(s->arena, &s->files, f);
	return (uint32_t)(s->files.n - 1);
}

/* The numbers up to `offset` of a sorted array. */
static int count_to(const uint32_t *sorted, int n, uint32_t offset)
{
	int lo = 0, hi = n;
	while (lo < hi) {
		int mid = lo + (hi - lo) / 2;
		if (sorted[mid] <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int source_line(const struct source *f, uint32_t offset) { return count_to(f->lines, f->n_lines, offset) - 1; }

int source_returns(const struct source *f, uint32_t offset) { return count_to(f->returns, f->n_returns, offset); }

void sources_position(const struct sources *s, struct span at, int *line, int *column)
{
	const struct source *f = &s->files.at[at.file];
	uint32_t offset = at.lo < f->size ? at.lo : f->size;
	int index = source_line(f, offset);
	*line = index + 1;
	*column = 1 + (int)(characters_before(f, offset) - characters_before(f, f->lines[index]));
}

struct span span_join(struct span a, struct span b)
{
	return (struct span){a.file, a.lo < b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi};
}
