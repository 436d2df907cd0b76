/* Types of fields (docs/language.md, Records): which values fit, and what is reported otherwise. */
#include "foreign.h"
#include "record.h"
#include <string.h>

/* `Range`, `enum`, `Link` in hw.Link; NULL: the type is only axes. */
static const char *type_name(const struct node *t)
{
	return t->type.has_path ? t->type.path.at[t->type.path.n - 1].name : NULL;
}

static bool is(const char *a, const char *b) { return !strcmp(a, b); }

const char *type_text(struct sema *s, const struct node *t)
{
	struct text out = {.arena = s->arena};
	text_add(&out, "%s", "");
	for (int i = 0; t->type.has_path && i < t->type.path.n; i++)
		text_add(&out, "%s%s", i ? "." : "", t->type.path.at[i].name);
	if (t->type.has_args) {
		text_add(&out, "(");
		for (int i = 0; i < t->type.args.n; i++)
			text_add(&out, "%s%s", i ? ", " : "", type_text(s, t->type.args.at[i]));
		text_add(&out, ")");
	}
	if (t->type.axes)
		text_add(&out, "[...]");
	if (t->type.opt)
		text_add(&out, "?");
	return out.at;
}

/* ---- schemas --------------------------------------------------------------------------------- */

/* The declaration of a type, `Link` or `hw.Link`. *bad: its import failed, or its
 * module did not parse, which was reported. */
static struct def *schema_def(struct sema *s, const struct node *t, struct module *m, bool *bad)
{
	struct path p = t->type.path;
	struct binding *b = module_find(s, m, p.at[0].name);
	struct def *d = b ? b->def : NULL;
	if (b && b->module && p.n == 2)
		d = module_own(b->module, p.at[1].name);
	else if (p.n != 1)
		d = NULL;
	if (b)
		refer_binding(s, p.at[0], b);
	if (d && p.n == 2)
		refer_def(s, p.at[1], d);
	*bad = b && !b->def && (!b->module || (!d && b->module->partial));
	return d && is(d->kind, "schema") ? d : NULL;
}

static const char *const scalar_types[] = {
	"Int",   "Float",  "Bool",      "String", "DType",    "Any",         "Ratio",     "Range",       "List",  "Map",
	"Data",  "Time",   "Bandwidth", "Flop",   "FlopRate", "Tokens",      "TokenRate", "Params",      "Money", "Price",
	"Power", "Energy", "Region",    "enum",   "any",      "RequestRate", "TokenCost", "TokenEnergy",
};
enum { SCALAR_TYPES = sizeof scalar_types / sizeof *scalar_types };

bool type_is_schema(const struct node *type)
{
	const char *name = type_name(type);
	for (int i = 0; name && i < SCALAR_TYPES; i++)
		if (is(scalar_types[i], name))
			return false;
	return name != NULL;
}

/* Reports a record in place of a schema: `model Small : Gemma3`. */
static bool no_schema_but_record(struct sema *s, const struct node *t, struct module *m)
{
	struct binding *b = t->type.has_path && t->type.path.n == 1 ? module_find(s, m, t->type.path.at[0].name) : NULL;
	if (!b || !b->def)
		return false;
	struct diag *d =
		sema_report(s, DIAG_E0101, t->span, "expected a type, but `%s` is declared as `%s`", b->name, b->def->kind);
	if (!def_is_program(b->def))
		diag_help(s->sink, d, "write a schema after `:`; a record derived from `%s` is written `= %s { ... }`", b->name,
		          b->name);
	return true;
}

static void no_schema(struct sema *s, const struct node *t, struct module *m)
{
	if (no_schema_but_record(s, t, m))
		return;
	VEC(const char *) names = {0};
	for (int i = 0; i < SCALAR_TYPES; i++)
		vec_push(s->arena, &names, scalar_types[i]);
	for (int i = 0; i < m->names.n; i++)
		if (m->names.at[i].def && is(m->names.at[i].def->kind, "schema"))
			vec_push(s->arena, &names, m->names.at[i].name);
	const char *name = t->type.has_path ? t->type.path.at[0].name : "[...]";
	struct diag *d = sema_report(s, DIAG_E0101, t->span, "cannot find a type `%s`", type_text(s, t));
	const char *near = nearest_name(name, names.at, names.n);
	if (!diag_suggest(s->sink, d, t->span, near))
		diag_help(s->sink, d,
		          "types of fields are Int, Float, Bool, String, DType, quantities such as Data, and schemas");
}

struct record *type_schema(struct sema *s, const struct node *t, struct module *m)
{
	bool bad = false;
	struct def *d = t->type.has_path ? schema_def(s, t, m, &bad) : NULL;
	if (d)
		return def_record(s, d);
	if (!bad && !m->partial)
		no_schema(s, t, m);
	return NULL;
}

/* Has a type of fields what it takes in parentheses, and no axes? */
static bool well_formed(const struct node *t)
{
	const char *name = type_name(t);
	int n = t->type.args.n;
	bool well = name && !t->type.axes;
	if (!well || is(name, "any"))
		return well && n > 0;
	for (int i = 0; i < n && is(name, "enum"); i++) {
		const struct node *symbol = t->type.args.at[i];
		well &= symbol->type.has_path && symbol->type.path.n == 1 && !symbol->type.has_args && !symbol->type.axes
		        && !symbol->type.opt;
	}
	if (is(name, "enum"))
		return well && n > 0;
	return n <= (is(name, "Map") ? 2 : is(name, "List") || is(name, "Range") ? 1 : 0);
}

void check_type_names(struct sema *s, const struct node *t, struct module *m)
{
	if (!well_formed(t)) {
		struct diag *d = sema_report(s, DIAG_E0101, t->span, "`%s` is not a type", type_text(s, t));
		diag_help(s->sink, d, "write `Int`, `List(T)`, `Range(T)`, `Map(K, V)`, `enum(a, b)`, a quantity or a schema");
		return;
	}
	if (type_is_schema(t))
		type_schema(s, t, m);
	for (int i = 0; !is(type_name(t), "enum") && i < t->type.args.n; i++)
		check_type_names(s, t->type.args.at[i], m);
}

/* ---- fitting --------------------------------------------------------------------------------- */

enum fit { FITS, FITS_NOT, FIT_UNKNOWN /* the type itself is wrong: reported */ };

static enum fit fit(struct sema *s, struct val v, const struct node *t, struct module *m);

static enum fit fit_list(struct sema *s, struct val v, const struct node *t, struct module *m)
{
	if (v.kind != V_LIST)
		return FITS_NOT;
	for (int i = 0; i < v.list.n && t->type.args.n; i++) {
		enum fit f = fit(s, v.list.at[i], t->type.args.at[0], m);
		if (f != FITS)
			return f;
	}
	return FITS;
}

static enum fit fit_range(struct sema *s, struct val v, const struct node *t, struct module *m)
{
	if (!t->type.args.n)
		return FITS;
	if (v.kind != V_RANGE)
		return fit(s, v, t->type.args.at[0], m);
	enum fit lo = fit(s, v.range[0], t->type.args.at[0], m);
	return lo != FITS ? lo : fit(s, v.range[1], t->type.args.at[0], m);
}

static enum fit fit_any(struct sema *s, struct val v, const struct node *t, struct module *m)
{
	for (int i = 0; i < t->type.args.n; i++) {
		enum fit f = fit(s, v, t->type.args.at[i], m);
		if (f != FITS_NOT)
			return f;
	}
	return FITS_NOT;
}

static enum fit fit_enum(struct val v, const struct node *t)
{
	for (int i = 0; v.kind == V_SYMBOL && i < t->type.args.n; i++) {
		const char *name = type_name(t->type.args.at[i]);
		if (name && is(name, v.name))
			return FITS;
	}
	return FITS_NOT;
}

static enum fit fit_schema(struct sema *s, struct val v, const struct node *t, struct module *m)
{
	struct record *schema = type_schema(s, t, m);
	if (!schema)
		return FIT_UNKNOWN;
	if (v.kind != V_RECORD)
		return FITS_NOT;
	const struct layer *last = schema->layers.n ? schema->layers.at[schema->layers.n - 1] : NULL;
	for (int i = 0; i < v.record->layers.n; i++)
		if (v.record->layers.at[i] == last)
			return FITS;
	return FITS_NOT;
}

static enum fit fit_if(bool yes) { return yes ? FITS : FITS_NOT; }

static enum fit fit(struct sema *s, struct val v, const struct node *t, struct module *m)
{
	struct dims dims;
	const char *n = type_name(t);
	if (v.kind == V_BAD || v.kind == V_AUTO || v.kind == V_UNKNOWN || (v.kind == V_NONE && t->type.opt))
		return FITS;
	if (!n)
		return FIT_UNKNOWN;
	if (is(n, "Any"))
		return FITS;
	if (is(n, "Int"))
		return fit_if(v.kind == V_INT);
	if (is(n, "Float") || is(n, "Ratio"))
		return fit_if(v.kind == V_INT || v.kind == V_FLOAT);
	if (is(n, "Bool"))
		return fit_if(v.kind == V_BOOL);
	if (is(n, "String"))
		return fit_if(v.kind == V_STRING);
	if (is(n, "DType"))
		return fit_if(v.kind == V_DTYPE);
	if (is(n, "Region"))
		return fit_if(v.kind == V_SYMBOL);
	if (dims_named(n, &dims))
		return fit_if(v.kind == V_QUANTITY && dims_equal(v.dims, dims));
	if (is(n, "Range"))
		return fit_range(s, v, t, m);
	if (is(n, "List"))
		return fit_list(s, v, t, m);
	if (is(n, "enum"))
		return fit_enum(v, t);
	if (is(n, "any"))
		return fit_any(s, v, t, m);
	if (is(n, "Map"))
		return fit_if(v.kind == V_RECORD && is(v.record->kind, "map"));
	return fit_schema(s, v, t, m);
}

/* ---- reports --------------------------------------------------------------------------------- */

/* The text at a span, if it is one number as written; else NULL. */
static const char *literal_at(struct sema *s, struct span at)
{
	const struct source *f = &s->sink->sources->files.at[at.file];
	if (at.hi > f->size || at.hi <= at.lo || f->text[at.lo] < '0' || f->text[at.lo] > '9')
		return NULL;
	const char *text = arena_strndup(s->arena, f->text + at.lo, at.hi - at.lo);
	return strspn(text, "0123456789_.eE+-") == strlen(text) ? text : NULL;
}

bool offer_unit(struct sema *s, struct diag *d, const char *type, struct span at)
{
	static const struct {
		const char *type, *unit;
	} usual[] = {
		{"Data", "GiB"},
		{"Time", "s"},
		{"Bandwidth", "GB/s"},
		{"Flop", "TFLOP"},
		{"FlopRate", "TFLOPS"},
		{"Tokens", "tokens"},
		{"TokenRate", "tokens/s"},
		{"Params", "Gparam"},
		{"Money", "USD"},
		{"Price", "USD/h"},
		{"Power", "W"},
		{"Energy", "kWh"},
		{"RequestRate", "sequences/s"},
		{"TokenCost", "USD/Mtokens"},
		{"TokenEnergy", "J/token"},
	};
	const char *number = literal_at(s, at);
	for (size_t i = 0; number && i < sizeof usual / sizeof *usual; i++) {
		if (!is(usual[i].type, type))
			continue;
		if (is(type, "Data"))
			diag_help(s->sink, d, "write `%s GiB`, or `%s GB` (7%% less)", number, number);
		else
			diag_help(s->sink, d, "write `%s %s`", number, usual[i].unit);
		diag_fix(s->sink, d, at, arena_printf(s->arena, "%s %s", number, usual[i].unit));
		return true;
	}
	return false;
}

static void needs_unit(struct sema *s, struct val v, const char *type, const char *what, struct span at,
                       struct span declared)
{
	const char *literal = literal_at(s, at), *number = literal ? literal : val_show(s, v);
	struct diag *d = sema_report(s, DIAG_E0301, at, "`%s` needs a unit: `%s` is %s", number, what, type);
	diag_related(s->sink, d, declared, "declared %s here", type);
	if (!offer_unit(s, d, type, at))
		diag_help(s->sink, d, "multiply by a unit, such as `1 GiB` or `1 s`");
}

bool report_billions(struct sema *s, struct span at, bool params)
{
	const struct source *f = &s->sink->sources->files.at[at.file];
	const char *text = at.hi <= f->size ? arena_strndup(s->arena, f->text + at.lo, at.hi - at.lo) : "";
	size_t digits = strspn(text, "0123456789_.");
	if (!digits || strcmp(text + digits + strspn(text + digits, " "), "B") != 0)
		return false;
	const char *number = arena_strndup(s->arena, text, digits);
	struct diag *d = sema_report(s, DIAG_E0305, at, "`%s` is %s byte%s", text, number, is(number, "1") ? "" : "s");
	diag_help(s->sink, d, params ? "for parameters write `%s Gparam`" : "for a number write `%se9`", number);
	if (params)
		diag_fix(s->sink, d, at, arena_printf(s->arena, "%s Gparam", number));
	return true;
}

static void offer_text(struct sema *s, struct diag *d, struct span at, const char *meant)
{
	diag_help(s->sink, d, "write `%s`", meant);
	diag_fix(s->sink, d, at, meant);
}

void offer_int(struct sema *s, struct diag *d, struct val v, struct span at)
{
	bool whole = v.kind == V_FLOAT && v.f >= 0 && v.f < 1e15 && v.f == (double)(int64_t)v.f;
	const char *digits = v.kind == V_STRING && *v.name && strlen(v.name) < 16 ? v.name : "";
	if (whole && literal_at(s, at))
		offer_text(s, d, at, arena_printf(s->arena, "%.0f", v.f));
	else if (*digits && strspn(digits, "0123456789") == strlen(digits))
		offer_text(s, d, at, digits);
}

static bool expects(struct sema *s, const struct node *t, struct module *scope, struct val v)
{
	return fit(s, v, t, scope) == FITS;
}

/* Another value at `at`, a name of a library module. */
static void offer_refined(struct sema *s, struct diag *d, struct span at, const char *module, const char *name,
                          const char *text)
{
	struct edit edits[2] = {{at, text}};
	int n = module_find(s, s->main, name) ? 1 : 2;
	if (n == 2)
		edits[1] = foreign_import(s, at.file, module, name);
	diag_help(s->sink, d, "write `%s`", text);
	diag_fix_edits(s->sink, d, edits, n);
}

/* A name as text, or the device in place of its cluster. */
static void offer_record(struct sema *s, struct diag *d, struct val v, const struct node *t, struct span at)
{
	const char *type = type_name(t), *name = NULL;
	bool model = type && is(type, "Decoder") && v.kind == V_STRING;
	if (at.file != s->main->source)
		return;
	struct published_model known = {NULL, "", NULL};
	if (model)
		known = foreign_model(s, v.name);
	if (known.name && known.stored)
		diag_help(s->sink, d, "the library has it as `%s`, in bf16; the published weights are %s, which is not built",
		          known.name, known.stored);
	else if (known.name)
		offer_refined(s, d, at, "std.models", known.name, foreign_refined(s, known));
	else if (model)
		diag_help(s->sink, d,
		          "the library has no such model: `std.models` lists them, `deployc import DIR` writes one");
	else if (type && is(type, "Cluster") && v.kind == V_RECORD && is(v.record->kind, "device") && v.record->name
	         && (name = foreign_cluster(s, v.record->name)))
		offer_refined(s, d, at, "std.clusters", name, name);
	else if (v.kind == V_STRING && module_find(s, s->main, v.name))
		offer_text(s, d, at, v.name);
}

/* [128, 4096] for a range, 512 tokens for a count. */
static void offer_count(struct sema *s, struct diag *d, struct val v, struct span at)
{
	const char *text = foreign_source(s, at);
	size_t digits = strspn(text, "0123456789_"), spaces = strspn(text + digits, " ");
	bool count = is(text + digits + spaces, "tokens") || is(text + digits + spaces, "token")
	             || is(text + digits + spaces, "sequences") || is(text + digits + spaces, "requests");
	if (v.kind == V_QUANTITY && digits && count)
		offer_text(s, d, at, arena_strndup(s->arena, text, digits));
	if (v.kind == V_LIST && v.list.n == 2 && v.list.at[0].kind == V_INT && v.list.at[1].kind == V_INT && text[0] == '['
	    && v.list.at[0].i <= v.list.at[1].i)
		offer_text(s, d, at,
		           arena_printf(s->arena, "%lld..%lld", (long long)v.list.at[0].i, (long long)v.list.at[1].i));
}

/* Offers the edit of a value written as another kind: "bf16" for bf16, 8.0 or "8" for 8. */
static void offer_value(struct sema *s, struct diag *d, struct val v, const struct node *t, struct module *scope,
                        struct span at)
{
	struct val range = {.kind = V_RANGE, .range = (struct val[]){val_int(1), val_int(2)}};
	if (expects(s, t, scope, val_int(1)))
		offer_int(s, d, v, at);
	if (expects(s, t, scope, val_int(1)) && (v.kind != V_LIST || expects(s, t, scope, range)))
		offer_count(s, d, v, at);
	const char *format = v.kind == V_STRING ? foreign_format(v.name) : NULL;
	if (format && expects(s, t, scope, (struct val){.kind = V_DTYPE}))
		offer_text(s, d, at, format);
	if (type_is_schema(t))
		offer_record(s, d, v, t, at);
}

bool check_type(struct sema *s, struct val v, const struct node *t, struct module *scope, const char *what,
                struct span at, struct span declared)
{
	enum fit f = fit(s, v, t, scope);
	struct dims dims;
	if (f != FITS_NOT)
		return f == FITS;
	const char *name = type_name(t), *type = type_text(s, t);
	if (name && (v.kind == V_INT || v.kind == V_FLOAT) && dims_named(name, &dims)) {
		needs_unit(s, v, name, what, at, declared);
		return false;
	}
	bool params = name && is(name, "Params"), count = params || (name && (is(name, "Int") || is(name, "Float")));
	if (count && v.kind == V_QUANTITY && report_billions(s, at, params))
		return false;
	struct diag *d = sema_report(s, DIAG_E0203, at, "`%s` expects %s, found %s", what, type, val_kind_text(s, v));
	diag_related(s->sink, d, declared, "declared %s here", type);
	if (v.kind == V_QUANTITY)
		diag_label(s->sink, d, "%s", val_show(s, v));
	offer_value(s, d, v, t, scope, at);
	return false;
}
