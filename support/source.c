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
	VEC(uint32_t) lines = {0};
	vec_push(a, &lines, 0);
	for (uint32_t i = 0; i < f->size; i++)
		if (f->text[i] == '\n')
			vec_push(a, &lines, i + 1);
	f->lines = lines.at;
	f->n_lines = lines.n;
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

int source_line(const struct source *f, uint32_t offset)
{
	int lo = 0, hi = f->n_lines;
	while (hi - lo > 1) {
		int mid = lo + (hi - lo) / 2;
		if (f->lines[mid] <= offset)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

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
