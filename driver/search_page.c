/* The page of a plan beside the plans that a search of its deployment finds. */
#include <string.h>
#include "search.h"

/* More take seconds. */
enum { MAX_TRIED = 512 };

static void add_rival(struct arena *arena, struct page *page, const struct search *s, int index)
{
	const struct candidate *c = &s->all.at[index];
	struct page_rival r = {.choice = arena_printf(arena, "%s", search_choice(s, c, "; ")),
	                       .ranks = c->gpus,
	                       .throughput = c->of[METRIC_THROUGHPUT].value / c->gpus,
	                       .tpot = c->of[METRIC_TPOT].value,
	                       .cost = c->of[METRIC_COST].value};
	vec_push(arena, &page->rivals, r);
}

/* Those of the front first, then the others. */
static void add_rivals(struct arena *arena, struct page *page, const struct search *s)
{
	int *front = arena_array(s->arena, int, s->n_hold + 1), n = search_front(s, front);
	bool *in_front = arena_array(s->arena, bool, s->all.n + 1);
	for (int i = 0; i < n; i++) {
		in_front[front[i]] = true;
		add_rival(arena, page, s, front[i]);
		page->rivals.at[i].front = true;
	}
	for (int i = 0; i < s->n_hold; i++)
		if (!in_front[s->ranked[i]])
			add_rival(arena, page, s, s->ranked[i]);
}

void search_for_page(struct compilation *c, const struct planned *p, struct page *page)
{
	struct arena arena = {.heap = c->options->heap};
	struct options o = *c->options;
	struct search s = {.arena = &arena, .options = &o, .scratch.heap = o.heap};
	o.command = COMMAND_SEARCH;
	o.deploy = p->deploy->name;
	o.sema.overlays = compilation_overlays(c, &arena);
	compilation_begin(&s.compilation, &o, c->spec);
	if (search_begin(&s, MAX_TRIED) == EXIT_OK) {
		search_try_all(&s, false);
		page->tried = s.all.n;
		add_rivals(page->arena, page, &s);
	}
	page->crowded = s.crowded;
	arena_free(&s.scratch);
	arena_free(&s.compilation.arena);
	arena_free(&arena);
}
