/* Cells of memory, in pages that are found by their address. A cell is for 4 bytes, and for one in a page where some
 * access was smaller. */
#include "shadow.h"
#include <stdlib.h>
#include <string.h>

enum { PAGE = 1024, COARSE = 4 };

struct shadow_page {
	uint64_t number; /* address / PAGE */
	unsigned grain;  /* bytes of a cell */
	struct cell cells[];
};

static size_t slot_of(const struct shadow *s, uint64_t number)
{
	size_t i = (size_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (size_t)(s->cap - 1);
	while (s->pages[i] && s->pages[i]->number != number)
		i = (i + 1) & (size_t)(s->cap - 1);
	return i;
}

static void grow(struct shadow *s)
{
	struct shadow old = *s;
	s->cap = old.cap ? 2 * old.cap : 64;
	s->pages = calloc((size_t)s->cap, sizeof(struct shadow_page *));
	for (int i = 0; i < old.cap; i++)
		if (old.pages[i])
			s->pages[slot_of(s, old.pages[i]->number)] = old.pages[i];
	free(old.pages);
}

static struct shadow_page *new_page(uint64_t number, unsigned grain)
{
	struct shadow_page *p = calloc(1, sizeof *p + PAGE / grain * sizeof(struct cell));
	p->number = number;
	p->grain = grain;
	return p;
}

/* The page with a cell for each byte. */
static struct shadow_page *split(struct shadow_page *page)
{
	struct shadow_page *fine = new_page(page->number, 1);
	for (int i = 0; i < PAGE; i++)
		fine->cells[i] = page->cells[i / COARSE];
	free(page);
	return fine;
}

struct cell *shadow_cells(struct shadow *s, uint64_t at, unsigned bytes, int *n)
{
	uint64_t number = at / PAGE;
	struct shadow_page *page = s->recent;
	if (!page || page->number != number || bytes < page->grain) {
		if (2 * s->n >= s->cap)
			grow(s);
		struct shadow_page **slot = &s->pages[slot_of(s, number)];
		s->n += !*slot;
		*slot = *slot ? *slot : new_page(number, COARSE);
		*slot = bytes < (*slot)->grain ? split(*slot) : *slot;
		page = s->recent = *slot;
	}
	*n = (int)(bytes / page->grain);
	return &page->cells[at % PAGE / page->grain];
}

void shadow_forget(struct shadow *s)
{
	for (int i = 0; i < s->cap; i++)
		free(s->pages[i]);
	free(s->pages);
	*s = (struct shadow){0};
}
