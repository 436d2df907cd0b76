/* Reports of ranks in shared memory, and the launcher's messages on stderr. */
#include "no_memory.h"
#include "report.h"
#include "../support/escape.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { INDENT = 2 };

void *shared_alloc(size_t bytes)
{
	void *p = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static size_t board_bytes(int ranks) { return sizeof(struct board) + (size_t)ranks * sizeof(struct rank_status); }

struct board *board_open(int ranks)
{
	struct board *b = shared_alloc(board_bytes(ranks));
	if (b)
		b->leave = _exit;
	for (int i = 0; b && i < ranks; i++)
		atomic_init(&b->rank[i].waits_for, WAITS_FOR_NONE);
	return b;
}

void board_close(struct board *b, int ranks) { munmap(b, board_bytes(ranks)); }

static void blame(struct board *b, int rank, const char *fmt, va_list args) __attribute__((format(printf, 3, 0)));
static void blame(struct board *b, int rank, const char *fmt, va_list args)
{
	int none = 0;
	struct rank_status *s = &b->rank[rank];
	if (!atomic_exchange(&s->blamed, true))
		vsnprintf(s->message, sizeof s->message, fmt, args);
	atomic_compare_exchange_strong(&b->first, &none, rank + 1);
}

void board_blame(struct board *b, int rank, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	blame(b, rank, fmt, args);
	va_end(args);
}

void rank_fail(const struct reporter *r, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	blame(r->board, r->rank, fmt, args);
	va_end(args);
	r->board->leave(strncmp(r->board->rank[r->rank].message, "internal:", 9) ? STATUS_FAILED : STATUS_INTERNAL);
	abort();
}

/* Truncates long messages: a name may have megabytes. */
static void put_message(FILE *out, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));
static void put_message(FILE *out, const char *fmt, va_list args)
{
	enum { MAX_SHOWN = 1000 };
	char text[MAX_SHOWN + 1];
	int n = vsnprintf(text, sizeof text, fmt, args);
	put_escaped(out, text);
	if (n > MAX_SHOWN)
		fprintf(out, "... (%d bytes more)", n - MAX_SHOWN);
	fputc('\n', out);
}

void problems_open(struct problems *p)
{
	*p = (struct problems){0};
	p->out = open_memstream(&p->text, &p->size);
	if (!p->out)
		no_memory(BUFSIZ);
}

void problem(struct problems *p, const char *fmt, ...)
{
	va_list args;
	if (p->n++ >= PROBLEMS_LISTED)
		return;
	va_start(args, fmt);
	fprintf(p->out, "%*s", INDENT, "");
	put_message(p->out, fmt, args);
	va_end(args);
}

bool problems_close(struct problems *p, const char *title)
{
	if (p->n > PROBLEMS_LISTED)
		fprintf(p->out, "%*sand %d more\n", INDENT, "", p->n - PROBLEMS_LISTED);
	if (fclose(p->out))
		no_memory(BUFSIZ);
	if (p->n == 1)
		fprintf(stderr, "error: %s", p->text + INDENT);
	else if (p->n)
		fprintf(stderr, "error: %s\n%s", title, p->text);
	free(p->text);
	return p->n == 0;
}

static void print_line(const char *kind, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));
static void print_line(const char *kind, const char *fmt, va_list args)
{
	flockfile(stderr);
	fprintf(stderr, "%s: ", kind);
	put_message(stderr, fmt, args);
	funlockfile(stderr);
}

void say_error(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	print_line("error", fmt, args);
	va_end(args);
}

void print_warning(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	print_line("warning", fmt, args);
	va_end(args);
}

void print_note(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	print_line("note", fmt, args);
	va_end(args);
}

int finish_output(int status)
{
	if ((fflush(stdout) || ferror(stdout)) && status == STATUS_OK) {
		say_error("cannot write standard output: %s", strerror(errno));
		return STATUS_FAILED;
	}
	return status;
}

void *host_alloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);
	if (!p)
		no_memory(n * size);
	return p;
}

void host_free(void *p) { free(p); }

void host_bug(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	print_line("error: internal", fmt, args);
	va_end(args);
	exit(STATUS_INTERNAL);
}

void *host_grow(void *p, size_t n, size_t size)
{
	p = reallocarray(p, n, size);
	if (!p)
		no_memory(n * size);
	return p;
}

void no_memory(size_t bytes)
{
	say_error("out of host memory: %zu bytes requested", bytes);
	_exit(STATUS_FAILED);
}
