/* Reports of deployments that did not change since the analysis before. The passes over a deployment read its item, the
 * other declarations of its file, and the other files, so their reports are the same while these are, but for where the
 * items are. */
#include "reuse.h"
#include <ctype.h>
#include <string.h>
#include "../sema/internal.h"

/* An item of the file, in the text before and in this one. */
struct item {
	struct span old, new;
	bool same;   /* the texts are equal */
	bool stands; /* it does not name a deployment, nor several that are planned together, other than itself */
};
struct reuse {
	struct analysis *analysis;
	const struct analysis *before;
	struct item *items;
	int n;
	bool all_same;
};

/* ---- texts ----------------------------------------------------------------------------------- */

static const char *text_at(const struct analysis *a, struct span at)
{
	return a->sources.files.at[at.file].text + at.lo;
}

static bool same_text(const struct analysis *a, struct span x, const struct analysis *b, struct span y)
{
	return x.hi - x.lo == y.hi - y.lo && !memcmp(text_at(a, x), text_at(b, y), x.hi - x.lo);
}

/* All files but that of the document are the same. Values of -D are files too. */
static bool same_files(const struct analysis *a, const struct analysis *b)
{
	if (a->sources.files.n != b->sources.files.n || sema_source(a->sema) != sema_source(b->sema))
		return false;
	for (int i = 0; i < a->sources.files.n; i++) {
		const struct source *x = &a->sources.files.at[i], *y = &b->sources.files.at[i];
		if ((uint32_t)i == sema_source(a->sema))
			continue;
		if (strcmp(x->path, y->path) != 0 || x->size != y->size
		    || (x->text != y->text && memcmp(x->text, y->text, x->size) != 0))
			return false;
	}
	return true;
}

/* ---- items ----------------------------------------------------------------------------------- */

static bool is_deploy(const struct node *x) { return x->kind == N_NAMED && !strcmp(x->named.kind.name, "deploy"); }

static bool is_joint(const struct node *x) { return x->kind == N_NAMED && kind_is_joint(x->named.kind.name); }

static const char *name_of(const struct node *x)
{
	return x->kind == N_NAMED && x->named.name.n ? x->named.name.at[0].name : "";
}

/* The names of deployments, alone and together. */
static struct index names_of(struct arena *arena, struct nodes items)
{
	struct index names = {0};
	for (int i = 0; i < items.n; i++)
		if (is_deploy(items.at[i]) || is_joint(items.at[i]))
			index_add(arena, &names, name_of(items.at[i]));
	return names;
}

static bool is_word_byte(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* Has the text a word that is one of the names, other than `self`? */
static bool has_name(const char *at, const char *end, const struct index *names, const char *self)
{
	char word[64];
	while (at < end) {
		const char *begin = at;
		while (at < end && is_word_byte(*at))
			at++;
		size_t n = (size_t)(at - begin);
		if (n && n < sizeof word) {
			memcpy(word, begin, n);
			word[n] = 0;
			if (index_find(names, word) >= 0 && strcmp(word, self) != 0)
				return true;
		} else if (n) {
			return true; /* not worth a longer look */
		}
		at += at < end && !n;
	}
	return false;
}

/* An item and the one in its place before. false: nothing can be taken over. */
static bool compare_item(struct reuse *r, int i, const struct node *old, const struct node *new,
                         const struct index *names)
{
	struct item *x = &r->items[i];
	*x = (struct item){old->span, new->span, same_text(r->before, old->span, r->analysis, new->span), true};
	if (old->kind == N_ERROR || new->kind == N_ERROR || is_deploy(old) != is_deploy(new)
	    || strcmp(name_of(old), name_of(new)) != 0 || (!x->same && !is_deploy(new)))
		return false;
	const char *text = text_at(r->analysis, new->span), *end = text + (new->span.hi - new->span.lo);
	x->stands = is_joint(new) || !has_name(text, end, names, name_of(new));
	return x->stands || is_deploy(new);
}

static struct span item_span(const struct reuse *r, int i, bool old) { return old ? r->items[i].old : r->items[i].new; }

/* The number of the item around a place of the text before, or of this one; -1: none. */
static int item_around(const struct reuse *r, struct span at, bool old)
{
	int lo = 0, hi = r->n;
	while (lo < hi) {
		int mid = lo + (hi - lo) / 2;
		if (item_span(r, mid, old).hi < at.hi)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < r->n && item_span(r, lo, old).lo <= at.lo && at.hi <= item_span(r, lo, old).hi ? lo : -1;
}

/* A report about another place than a deployment may be one that the passes over several would make, and that only the
 * first of them made. */
static bool reports_are_apart(const struct reuse *r, struct nodes items)
{
	const struct sink *s = &r->before->sink;
	for (int i = 0; i < s->diags.n; i++) {
		struct span at = s->diags.at[i]->at;
		int k = at.file == sema_source(r->before->sema) ? item_around(r, at, true) : -1;
		if (k < 0 || !is_deploy(items.at[k]))
			return false;
	}
	return true;
}

struct reuse *reuse_begin(struct analysis *a, const struct analysis *before)
{
	if (!before || before->status || !analysis_is_read(before) || !analysis_is_read(a) || !same_files(a, before))
		return NULL;
	struct nodes old = sema_items(before->sema), new = sema_items(a->sema);
	struct reuse *r = arena_new(&a->arena, struct reuse);
	struct index names = names_of(&a->arena, new);
	*r = (struct reuse){a, before, arena_array(&a->arena, struct item, new.n + 1), new.n, true};
	if (old.n != new.n)
		return NULL;
	for (int i = 0; i < new.n; i++) {
		if (!compare_item(r, i, old.at[i], new.at[i], &names))
			return NULL;
		r->all_same &= r->items[i].same;
	}
	return reports_are_apart(r, old) ? r : NULL;
}

/* ---- reports --------------------------------------------------------------------------------- */

/* The place in this text; false: it is not in an item that did not change. */
static bool move(const struct reuse *r, struct span *at)
{
	if (at->file != sema_source(r->before->sema))
		return true;
	int k = item_around(r, *at, true);
	if (k < 0 || !r->items[k].same)
		return false;
	uint32_t by = r->items[k].new.lo - r->items[k].old.lo; /* modulo 2^32 */
	at->lo += by;
	at->hi += by;
	return true;
}

static const char *copy(const struct reuse *r, const char *text)
{
	return text ? arena_strndup(&r->analysis->arena, text, strlen(text)) : NULL;
}

/* A copy of the report in this text; false: some place of it changed. */
static bool move_report(const struct reuse *r, const struct diag *d, struct diag *out)
{
	struct arena *a = &r->analysis->arena;
	*out = (struct diag){.code = d->code,
	                     .at = d->at,
	                     .message = copy(r, d->message),
	                     .label = copy(r, d->label),
	                     .help = copy(r, d->help),
	                     .fix_at = d->fix_at,
	                     .fix = copy(r, d->fix)};
	bool good = move(r, &out->at) && (!d->fix || move(r, &out->fix_at));
	for (int i = 0; i < d->related.n && good; i++) {
		struct diag_label label = {d->related.at[i].at, copy(r, d->related.at[i].text)};
		good = move(r, &label.at);
		vec_push(a, &out->related, label);
	}
	for (int i = 0; i < d->notes.n; i++)
		vec_push(a, &out->notes, copy(r, d->notes.at[i]));
	for (int i = 0; i < d->table.n; i++)
		vec_push(a, &out->table, copy(r, d->table.at[i]));
	return good;
}

/* Deployment i in the analysis before; NULL: it is another one, or it was not planned. */
static const struct deployment *as_before(const struct reuse *r, int i)
{
	if (i >= r->before->n)
		return NULL;
	const struct deployment *d = &r->before->deployments[i];
	int k = item_around(r, r->analysis->deployments[i].planned.deploy->name_span, false);
	bool same = k >= 0 && k == item_around(r, d->planned.deploy->name_span, true) && r->items[k].same;
	return same && (r->items[k].stands || r->all_same) && d->reports_stand ? d : NULL;
}

bool reuse_reports(struct reuse *r, int i)
{
	const struct deployment *old = r ? as_before(r, i) : NULL;
	if (!old || (old->untried && r->analysis->tries))
		return false;
	int n = old->end_report - old->first_report;
	struct sink *s = &r->analysis->sink;
	struct diag *moved = arena_array(&r->analysis->arena, struct diag, n + 1);
	for (int k = 0; k < n; k++)
		if (!move_report(r, r->before->sink.diags.at[old->first_report + k], &moved[k]))
			return false;
	for (int k = 0; k < n; k++)
		*diag_report(s, moved[k].code, moved[k].at, "%s", moved[k].message) = moved[k];
	r->analysis->deployments[i].untried = old->untried;
	return true;
}
