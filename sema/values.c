/* Values of the record language (docs/language.md, Records, Units): constructors, text, arithmetic and comparison with
 * dimensions. */
#include "internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct val val_int(int64_t i) { return (struct val){.kind = V_INT, .i = i}; }
struct val val_float(double f) { return (struct val){.kind = V_FLOAT, .f = f}; }
struct val val_bool(bool b) { return (struct val){.kind = V_BOOL, .b = b}; }
struct val val_bad(void) { return (struct val){.kind = V_BAD}; }
struct val val_none(void) { return (struct val){.kind = V_NONE}; }
struct val val_list(struct val *at, int n)
{
	int64_t all = n;
	for (int i = 0; i < n && all < INT32_MAX; i++)
		all += at[i].kind == V_LIST ? at[i].list.all : 0;
	return (struct val){.kind = V_LIST, .list = {at, n, all < INT32_MAX ? (int)all : INT32_MAX}};
}

enum { MAX_LISTED = 1 << 20 };

struct val bounded_list(struct sema *s, struct val *at, int n, struct span where)
{
	struct val list = val_list(at, n);
	if (list.list.all <= MAX_LISTED)
		return list;
	sema_report(s, DIAG_E0007, where, "a list has more than %d elements, those of lists in it counted", MAX_LISTED);
	return val_bad();
}

struct val val_unknown(const char *name) { return (struct val){.kind = V_UNKNOWN, .name = name}; }

/* ---- dimensions ------------------------------------------------------------------------------ */

/* `unit`: the unit in which values are shown; it is `scale` base units. */
static const struct {
	const char *name;
	struct dims dims;
	const char *unit;
	double scale;
} named_dims[] = {
	{"Data", {{[DIM_DATA] = 1}}, "GiB", 1073741824.0},
	{"Time", {{[DIM_TIME] = 1}}, "s", 1},
	{"Bandwidth", {{[DIM_DATA] = 1, [DIM_TIME] = -1}}, "GB/s", 1e9},
	{"Flop", {{[DIM_FLOP] = 1}}, "TFLOP", 1e12},
	{"FlopRate", {{[DIM_FLOP] = 1, [DIM_TIME] = -1}}, "TFLOPS", 1e12},
	{"Tokens", {{[DIM_TOKEN] = 1}}, "tokens", 1},
	{"TokenRate", {{[DIM_TOKEN] = 1, [DIM_TIME] = -1}}, "tokens/s", 1},
	{"RequestRate", {{[DIM_REQUEST] = 1, [DIM_TIME] = -1}}, "sequences/s", 1},
	{"Params", {{[DIM_PARAM] = 1}}, "Gparam", 1e9},
	{"Money", {{[DIM_MONEY] = 1}}, "USD", 1},
	{"Price", {{[DIM_MONEY] = 1, [DIM_TIME] = -1}}, "USD/h", 1.0 / 3600},
	{"Power", {{[DIM_ENERGY] = 1, [DIM_TIME] = -1}}, "W", 1},
	{"Energy", {{[DIM_ENERGY] = 1}}, "kWh", 3.6e6},
	{"TokenCost", {{[DIM_MONEY] = 1, [DIM_TOKEN] = -1}}, "USD/Mtokens", 1e-6},
	{"TokenEnergy", {{[DIM_ENERGY] = 1, [DIM_TOKEN] = -1}}, "J/token", 1},
};
enum { NAMED_DIMS = sizeof named_dims / sizeof *named_dims };

bool dims_equal(struct dims a, struct dims b) { return !memcmp(a.power, b.power, sizeof a.power); }

bool dims_named(const char *name, struct dims *out)
{
	for (int i = 0; i < NAMED_DIMS; i++)
		if (!strcmp(named_dims[i].name, name)) {
			*out = named_dims[i].dims;
			return true;
		}
	return false;
}

/* "Bandwidth"; products without a name are spelled out: "data^2 time^-1". */
static const char *dims_text(struct arena *a, struct dims d)
{
	static const char *const base[DIM_COUNT] = {"data", "time", "flop", "token", "request", "param", "money", "energy"};
	for (int i = 0; i < NAMED_DIMS; i++)
		if (dims_equal(named_dims[i].dims, d))
			return named_dims[i].name;
	struct text t = {.arena = a};
	text_add(&t, "%s", "");
	for (int i = 0; i < DIM_COUNT; i++)
		if (d.power[i] == 1)
			text_add(&t, "%s%s", t.n ? " " : "", base[i]);
		else if (d.power[i])
			text_add(&t, "%s%s^%d", t.n ? " " : "", base[i], d.power[i]);
	return t.at;
}

struct val val_quantity(double f, struct dims dims)
{
	if (dims_equal(dims, (struct dims){{0}}))
		return val_float(f);
	return (struct val){.kind = V_QUANTITY, .f = f, .dims = dims};
}

bool val_number(struct val v, double *out)
{
	if (v.kind != V_INT && v.kind != V_FLOAT && v.kind != V_QUANTITY)
		return false;
	*out = v.kind == V_INT ? (double)v.i : v.f;
	return true;
}

static struct dims dims_of(struct val v) { return v.kind == V_QUANTITY ? v.dims : (struct dims){{0}}; }

/* ---- showing --------------------------------------------------------------------------------- */

const char *val_data_text(struct arena *a, double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	int u = 0;
	for (; fabs(bytes) >= 1024 && u < 5; u++)
		bytes /= 1024;
	return arena_printf(a, fabs(bytes) >= 1e6 ? "%.4g %s" : u ? "%.2f %s" : "%.0f %s", bytes, units[u]);
}

static const char *show_quantity(struct arena *a, struct val v)
{
	for (int i = 0; i < NAMED_DIMS; i++)
		if (dims_equal(named_dims[i].dims, v.dims))
			return i == 0 ? val_data_text(a, v.f)
			              : arena_printf(a, "%.4g %s", v.f / named_dims[i].scale, named_dims[i].unit);
	return arena_printf(a, "%.6g (%s)", v.f, dims_text(a, v.dims));
}

const char *val_exact(struct arena *a, struct val v)
{
	double x = 0, shown;
	if ((v.kind != V_QUANTITY && v.kind != V_FLOAT) || !val_number(v, &x))
		return NULL;
	const char *text = v.kind == V_FLOAT ? arena_printf(a, "%.6g", x) : show_quantity(a, v);
	double scale = 1;
	for (int i = 1; v.kind == V_QUANTITY && i < NAMED_DIMS; i++)
		if (dims_equal(named_dims[i].dims, v.dims))
			scale = named_dims[i].scale;
	shown = strtod(text, NULL) * scale;
	if (fabs(shown - x) <= 1e-12 * fabs(x) || dims_equal(v.dims, named_dims[0].dims))
		return NULL;
	if (v.kind == V_FLOAT)
		return arena_printf(a, "%.10g", x);
	return arena_printf(a, x == floor(x) && fabs(x) < 1e15 ? "%.0f" : "%.15g", x);
}

static const char *show_list(struct sema *s, struct val v)
{
	struct text t = {.arena = s->arena};
	text_add(&t, "[");
	for (int i = 0; i < v.list.n; i++)
		text_add(&t, "%s%s", i ? ", " : "", val_show(s, v.list.at[i]));
	text_add(&t, "]");
	return t.at;
}

const char *val_show(struct sema *s, struct val v)
{
	struct arena *a = s->arena;
	switch (v.kind) {
	case V_BAD:      break;
	case V_NONE:     return "none";
	case V_BOOL:     return v.b ? "true" : "false";
	case V_INT:      return arena_printf(a, "%lld", (long long)v.i);
	case V_FLOAT:    return arena_printf(a, "%.6g", v.f);
	case V_QUANTITY: return show_quantity(a, v);
	case V_STRING:   return arena_printf(a, "\"%s\"", v.name);
	case V_SYMBOL:   return v.name;
	case V_DTYPE:    return dtype_name(v.dtype);
	case V_RANGE:    return arena_printf(a, "%s..%s", val_show(s, v.range[0]), val_show(s, v.range[1]));
	case V_LIST:     return show_list(s, v);
	case V_RECORD:   return v.record->name ? v.record->name : v.record->kind;
	case V_DEF:      return v.def->name;
	case V_MODULE:   return v.module->label;
	case V_AUTO:     return "auto";
	case V_UNKNOWN:  return v.name;
	case V_AXIS:     return "an axis";
	case V_TENSOR:   return "a tensor";
	}
	internal_error("value of unknown kind %d", (int)v.kind);
}

const char *val_kind_text(struct sema *s, struct val v)
{
	switch (v.kind) {
	case V_BOOL:     return "Bool";
	case V_INT:      return "Int";
	case V_FLOAT:    return "Float";
	case V_QUANTITY: return dims_text(s->arena, v.dims);
	case V_STRING:   return "String";
	case V_DTYPE:    return "DType";
	case V_RANGE:    return arena_printf(s->arena, "Range(%s)", val_kind_text(s, v.range[0]));
	case V_LIST:     return arena_printf(s->arena, "the list %s", show_list(s, v));
	case V_RECORD:   return arena_printf(s->arena, "the %s `%s`", v.record->kind, val_show(s, v));
	case V_DEF:      return arena_printf(s->arena, "the %s `%s`", v.def->kind, v.def->name);
	case V_MODULE:   return arena_printf(s->arena, "the module `%s`", v.module->label);
	case V_SYMBOL:   return arena_printf(s->arena, "`%s`", v.name);
	default:         return val_show(s, v);
	}
}

/* ---- comparison ------------------------------------------------------------------------------ */

static bool is_number(struct val v) { return v.kind == V_INT || v.kind == V_FLOAT || v.kind == V_QUANTITY; }

/* -1, 0 or 1. Both have one dimension. Floats within 1e-12 of each other are equal. */
static int compare_numbers(struct val a, struct val b)
{
	if (a.kind == V_INT && b.kind == V_INT)
		return (a.i > b.i) - (a.i < b.i);
	double x = 0, y = 0;
	val_number(a, &x);
	val_number(b, &y);
	if (fabs(x - y) <= 1e-12 * fmax(fabs(x), fabs(y)))
		return 0;
	return x < y ? -1 : 1;
}

bool val_equal(struct val a, struct val b)
{
	if (is_number(a) && is_number(b))
		return dims_equal(dims_of(a), dims_of(b)) && compare_numbers(a, b) == 0;
	if (a.kind != b.kind)
		return false;
	switch (a.kind) {
	case V_NONE:   return true;
	case V_BOOL:   return a.b == b.b;
	case V_STRING:
	case V_SYMBOL: return !strcmp(a.name, b.name);
	case V_DTYPE:  return a.dtype == b.dtype;
	case V_RANGE:  return val_equal(a.range[0], b.range[0]) && val_equal(a.range[1], b.range[1]);
	case V_RECORD: return a.record == b.record;
	case V_DEF:    return a.def == b.def;
	case V_MODULE: return a.module == b.module;
	case V_LIST:
		for (int i = 0; i < a.list.n && a.list.n == b.list.n; i++)
			if (!val_equal(a.list.at[i], b.list.at[i]))
				return false;
		return a.list.n == b.list.n;
	default: return false;
	}
}

bool val_open(struct val v, struct val *out)
{
	if (v.kind == V_UNKNOWN || v.kind == V_AUTO) {
		*out = v.kind == V_UNKNOWN ? v : val_unknown("auto");
		return true;
	}
	for (int i = 0; v.kind == V_LIST && i < v.list.n; i++)
		if (val_open(v.list.at[i], out))
			return true;
	return false;
}

static struct val mismatch(struct sema *s, enum bin_op op, struct val a, struct val b, struct span at)
{
	sema_report(s, DIAG_E0203, at, "`%s` is not defined on %s and %s", bin_op_text(op), val_kind_text(s, a),
	            val_kind_text(s, b));
	return val_bad();
}

static const char *with_dims(struct sema *s, struct val v)
{
	return v.kind == V_QUANTITY ? val_kind_text(s, v) : "a number without dimension";
}

static struct val compare(struct sema *s, enum bin_op op, struct val a, struct val b, struct span at)
{
	bool numbers = is_number(a) && is_number(b);
	struct val open;
	if (!numbers && (op == B_EQ || op == B_NE))
		return val_open(a, &open) || val_open(b, &open) ? open : val_bool(val_equal(a, b) == (op == B_EQ));
	if (!numbers)
		return mismatch(s, op, a, b, at);
	if (!dims_equal(dims_of(a), dims_of(b))) {
		sema_report(s, DIAG_E0302, at, "cannot compare %s with %s", with_dims(s, a), with_dims(s, b));
		return val_bad();
	}
	int order = compare_numbers(a, b);
	switch (op) {
	case B_LT: return val_bool(order < 0);
	case B_GT: return val_bool(order > 0);
	case B_LE: return val_bool(order <= 0);
	case B_GE: return val_bool(order >= 0);
	case B_EQ: return val_bool(order == 0);
	default:   return val_bool(order != 0);
	}
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

static bool is_comparison(enum bin_op op)
{
	return op == B_LT || op == B_GT || op == B_LE || op == B_GE || op == B_EQ || op == B_NE;
}

/* An operand without a known value decides the result. */
static bool undecided(struct val a, struct val b, struct val *out)
{
	if (a.kind == V_BAD || b.kind == V_BAD)
		*out = val_bad();
	else if (a.kind == V_UNKNOWN || b.kind == V_UNKNOWN)
		*out = a.kind == V_UNKNOWN ? a : b;
	else if (a.kind == V_AUTO || b.kind == V_AUTO)
		*out = val_unknown("auto");
	else
		return false;
	return true;
}

static struct val overflow(struct sema *s, enum bin_op op, struct val a, struct val b, struct span at)
{
	struct diag *d = sema_report(s, DIAG_E0203, at, "%lld %s %lld is larger than an Int", (long long)a.i,
	                             bin_op_text(op), (long long)b.i);
	diag_note(s->sink, d,
	          "an Int is between -9223372036854775808 and 9223372036854775807; write one operand as a Float");
	return val_bad();
}

static struct val division_by_zero(struct sema *s, struct span at)
{
	sema_report(s, DIAG_E0203, at, "division by zero");
	return val_bad();
}

static struct val int_arith(struct sema *s, enum bin_op op, struct val a, struct val b, struct span at)
{
	int64_t out = 0;
	bool over;
	if ((op == B_DIV || op == B_MOD) && b.i == 0)
		return division_by_zero(s, at);
	if ((op == B_DIV || op == B_MOD) && b.i == -1) /* INT64_MIN / -1 does not fit */
		return op == B_MOD ? val_int(0) : int_arith(s, B_MUL, a, b, at);
	switch (op) {
	case B_ADD: over = __builtin_add_overflow(a.i, b.i, &out); break;
	case B_SUB: over = __builtin_sub_overflow(a.i, b.i, &out); break;
	case B_MUL: over = __builtin_mul_overflow(a.i, b.i, &out); break;
	case B_DIV: return a.i % b.i ? val_float((double)a.i / (double)b.i) : val_int(a.i / b.i);
	default: /* the remainder has the sign of the divisor */
		out = a.i % b.i;
		return val_int(out && (out < 0) != (b.i < 0) ? out + b.i : out);
	}
	return over ? overflow(s, op, a, b, at) : val_int(out);
}

/* A quantity; E0203 if it is not finite. */
static struct val finite_quantity(struct sema *s, enum bin_op op, double x, struct dims dims, struct span at)
{
	if (isfinite(x))
		return val_quantity(x, dims);
	sema_report(s, DIAG_E0203, at, "the result of `%s` is larger than a Float", bin_op_text(op));
	return val_bad();
}

static struct val scale(struct sema *s, enum bin_op op, struct val a, struct val b, struct span at)
{
	double x = 0, y = 0;
	struct dims da = dims_of(a), db = dims_of(b);
	val_number(a, &x);
	val_number(b, &y);
	if (op == B_DIV && y == 0)
		return division_by_zero(s, at);
	for (int i = 0; i < DIM_COUNT; i++) {
		int power = da.power[i] + (op == B_MUL ? db.power[i] : -db.power[i]);
		if (power < -100 || power > 100) {
			sema_report(s, DIAG_E0302, at, "power %d of a dimension is out of range", power);
			return val_bad();
		}
		da.power[i] = (signed char)power;
	}
	return finite_quantity(s, op, op == B_MUL ? x * y : x / y, da, at);
}

static struct val add(struct sema *s, enum bin_op op, struct val a, struct val b, struct span at)
{
	double x = 0, y = 0;
	if (!dims_equal(dims_of(a), dims_of(b))) {
		sema_report(s, DIAG_E0302, at, "cannot %s %s and %s", op == B_ADD ? "add" : "subtract", with_dims(s, a),
		            with_dims(s, b));
		return val_bad();
	}
	val_number(a, &x);
	val_number(b, &y);
	return finite_quantity(s, op, op == B_ADD ? x + y : x - y, dims_of(a), at);
}

/* Concatenates two lists. */
static struct val joined(struct sema *s, struct val a, struct val b, struct span at)
{
	struct val *all = arena_array(s->arena, struct val, a.list.n + b.list.n + 1);
	for (int i = 0; i < a.list.n + b.list.n; i++)
		all[i] = i < a.list.n ? a.list.at[i] : b.list.at[i - a.list.n];
	return bounded_list(s, all, a.list.n + b.list.n, at);
}

struct val arith(struct sema *s, enum bin_op op, struct val a, struct val b, struct span at)
{
	struct val out;
	if (undecided(a, b, &out))
		return out;
	if (is_comparison(op))
		return compare(s, op, a, b, at);
	if (op == B_DIVIDES && a.kind == V_INT && b.kind == V_INT)
		return a.i == 0 ? division_by_zero(s, at) : val_bool(a.i == -1 || b.i % a.i == 0);
	if (op == B_ADD && a.kind == V_LIST && b.kind == V_LIST)
		return joined(s, a, b, at);
	if (!is_number(a) || !is_number(b))
		return mismatch(s, op, a, b, at);
	if (a.kind == V_INT && b.kind == V_INT)
		return int_arith(s, op, a, b, at);
	if (op == B_MUL || op == B_DIV)
		return scale(s, op, a, b, at);
	if (op == B_ADD || op == B_SUB)
		return add(s, op, a, b, at);
	return mismatch(s, op, a, b, at);
}
