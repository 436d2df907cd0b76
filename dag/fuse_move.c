/* When a launch may be moved to another, and how two become one. */
#include "fuse.h"
#include <string.h>

/* ---- memory ---------------------------------------------------------------------------------- */
static bool same_number(const struct number *a, const struct number *b)
{
	return a->kind == b->kind && a->value == b->value && a->div == b->div && a->group == b->group;
}

/* Workspaces have no contents that matter, and other spaces than these are only read. */
static bool is_written(enum dr_space space)
{
	return space == DR_SPACE_ACT || space == DR_SPACE_STATE || space == DR_SPACE_STATE_OUTSIDE;
}

bool fuse_same_memory(const struct argument *a, const struct argument *b)
{
	if (a->kind != b->kind || a->kind == ARGUMENT_NUMBER)
		return false;
	return a->kind == ARGUMENT_BUFFER ? a->buffer == b->buffer : a->address.space == b->address.space;
}

bool fuse_same_argument(const struct argument *a, const struct argument *b)
{
	bool same = a->kind == b->kind && same_number(&a->number, &b->number);
	if (a->kind == ARGUMENT_BUFFER)
		return same && a->buffer == b->buffer;
	return same
	       && (a->kind == ARGUMENT_NUMBER
	           || (a->address.space == b->address.space && a->address.offset == b->address.offset));
}

/* Does one of them write what the other touches? */
static bool conflict(const struct schedule *s, const struct instr *x, const struct instr *y)
{
	struct memory_operands a = instr_operands(s, x), b = instr_operands(s, y);
	for (int i = 0; i < a.n; i++)
		for (int k = 0; k < b.n; k++) {
			const struct argument *at = a.at[i].argument;
			bool writes = a.at[i].direction != ARG_IN || b.at[k].direction != ARG_IN;
			if (writes && fuse_same_memory(at, b.at[k].argument)
			    && (at->kind == ARGUMENT_BUFFER || is_written(at->address.space)))
				return true;
		}
	return false;
}

bool fuse_may_move(const struct fusing *f, int from, int to)
{
	const struct instr *in = f->list->at;
	int step = from < to ? 1 : -1;
	for (int i = from + step; i != to; i += step)
		if (in[i].kind != INSTR_LAUNCH || conflict(f->w->s, &in[from], &in[i]))
			return false;
	return true;
}

/* ---- instructions ---------------------------------------------------------------------------- */
/* Characters up to and with the first `end` in a text, if another text begins with them; else 0. */
static size_t common_part(const char *a, const char *b, const char *end)
{
	const char *at = strstr(a, end);
	size_t n = at ? (size_t)(at - a) + strlen(end) : 0;
	return strncmp(a, b, n) ? 0 : n;
}

/* "layer: add h" and "layer: rms_norm" as "layer: add h, rms_norm"; "contract wq" and "contract wk" as "contract wq,
 * wk". */
static int joined_name(struct lower *w, int first, int second)
{
	const char *a = w->s->op_names.at[first], *b = w->s->op_names.at[second];
	size_t region = common_part(a, b, ": ");
	b += region;
	b += common_part(a + region, b, " ");
	return lower_name(w, arena_printf(w->arena, "%s, %s", a, b));
}

void fuse_count_reads(struct fusing *f, const struct instr *i, int by)
{
	struct memory_operands o = instr_operands(f->w->s, i);
	for (int k = 0; k < o.n; k++)
		if (o.at[k].argument->kind == ARGUMENT_BUFFER && o.at[k].direction != ARG_OUT)
			f->reads[o.at[k].argument->buffer] += by;
}

int fuse_replace(struct fusing *f, int keep, int drop, const struct kernel *k, const struct argument *args)
{
	struct instr *in = f->list->at, new = in[keep];
	int first = keep < drop ? keep : drop, second = keep < drop ? drop : keep;
	new.op = joined_name(f->w, in[first].op, in[second].op);
	new.launch.kernel = lower_kernel(f->w, k);
	new.launch.n_args = kernel_args(k);
	new.launch.args = arena_array(f->w->arena, struct argument, new.launch.n_args);
	memcpy(new.launch.args, args, sizeof *args * (size_t)new.launch.n_args);
	fuse_count_reads(f, &in[keep], -1);
	fuse_count_reads(f, &in[drop], -1);
	in[keep] = new;
	fuse_count_reads(f, &new, 1);
	memmove(in + drop, in + drop + 1, sizeof *in * (size_t)(f->list->n - drop - 1));
	f->list->n--;
	return drop < keep ? keep - 1 : keep;
}
