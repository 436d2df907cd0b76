/* A compilation of a text, as if read from standard input, for tests of what follows sema. Included after cmocka.h. */
#ifndef DEPLOYC_SEMA_FIXTURE_H
#define DEPLOYC_SEMA_FIXTURE_H
#include <stdlib.h>
#include <string.h>
#include "../../sema/sema.h"

struct fixture {
	struct arena arena;
	struct names names;
	struct sources sources;
	struct sink sink;
	struct sema_options options;
	struct overlay text;
};

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	f->names.arena = f->sources.arena = f->sink.arena = &f->arena;
	f->sink.sources = &f->sources;
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;
	arena_free(&f->arena);
	free(f);
	return 0;
}

/* Checks the text, which the fixture's arena has. What was reported is in the sink. */
static inline struct sema *fixture_load(struct fixture *f, const char *text)
{
	f->text.path = source_key(&f->arena, &f->options.overlays, "-");
	f->text.text = (struct file_text){text, strlen(text)};
	f->options.overlays = (struct overlays){&f->text, 1};
	struct sema *s = sema_new(&f->arena, &f->names, &f->sink, &f->options);
	assert_true(sema_load(s, "-"));
	return s;
}
#endif
