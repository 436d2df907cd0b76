/* What reading or rendering one template takes: memory, which is freed as a whole; steps; depth. Whoever exceeds a
 * limit or meets a mistake ends the work by work_fail, which does not return: it jumps to `stop`. */
#ifndef JINJA_WORK_H
#define JINJA_WORK_H
#include <setjmp.h>
#include <stdbool.h>
#include <time.h>
#include "../bytes.h"
#include "../tokenizer.h"

struct work {
	const char *name; /* of the template, in errors */
	int line;         /* of the tree that is at work */
	jmp_buf stop;
	struct text_error *error;
	int64_t steps; /* that may still be taken */
	int depth, max_depth;
	size_t used, max_used; /* bytes */
	struct block *blocks;
	char *free; /* in the newest block */
	size_t left;
	uint64_t seed;        /* of hash tables */
	const struct tm *now; /* for strftime_now; NULL: not known */
};

/* Fails with "NAME: line N: ...". */
_Noreturn void work_fail(struct work *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Whether `run` comes to its end. The memory is still there then, and also if not. */
bool work_run(struct work *w, void (*run)(void *context), void *context);
/* Zeroed memory, aligned to 16 bytes, until work_free. */
void *work_alloc(struct work *w, size_t n);
/* More room for an array: n elements, of which `old` are kept. */
void *work_grow(struct work *w, void *at, size_t old, size_t n, size_t size);
void work_free(struct work *w);

/* n steps; a step is about what it takes to evaluate a name, or to look at 64 bytes. */
static inline void work_steps(struct work *w, size_t n)
{
	w->steps -= (int64_t)n;
	if (w->steps < 0)
		work_fail(w, "takes too many steps");
}
static inline void work_bytes(struct work *w, size_t n) { work_steps(w, n / 64 + 1); }

static inline void work_enter(struct work *w)
{
	if (++w->depth > w->max_depth)
		work_fail(w, "is nested too deeply");
}
static inline void work_leave(struct work *w) { w->depth--; }

/* A string that grows. */
struct text {
	struct work *work;
	char *at;
	size_t n, room;
	size_t max; /* 0: what memory allows */
};
void text_append(struct text *t, const char *s, size_t n);
static inline void text_span(struct text *t, struct span s) { text_append(t, s.at, s.n); }
static inline void text_word(struct text *t, const char *s) { text_append(t, s, strlen(s)); }
static inline struct span text_end(const struct text *t) { return (struct span){t->n ? t->at : "", t->n}; }

#define SPAN(s) ((struct span){s, sizeof(s) - 1})
static inline struct span span_from(const char *s) { return (struct span){s, strlen(s)}; }
static inline bool span_is(struct span s, const char *word) { return s.n == strlen(word) && !memcmp(s.at, word, s.n); }
/* For "%.*s" in errors, which show the beginning of long names. */
#define SHOWN(s) ((int)((s).n < 60 ? (s).n : 60)), (s).at
#endif
