/* Words of other engines in a record, and fields set in another record than their own: the report names our field, and
 * its edit moves the value there. */
#include "foreign.h"
#include "../support/flags.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const struct foreign_word words[] = {
#define NOWHERE                           HOME_NOWHERE
#define X(word, engines, home, ours, how) {word, engines, HOME_##home, ours, HOW_##how, false},
#include "foreign.def"
#undef X
};
static const struct {
	enum flag_meaning meaning;
	struct foreign_word as;
} meanings[] = {
#define X(meaning, home, ours, how) {MEANS_##meaning, {NULL, NULL, HOME_##home, ours, HOW_##how, false}},
#include "foreign_meanings.def"
#undef X
#undef NOWHERE
};
enum { WORDS = sizeof words / sizeof *words, MEANINGS = sizeof meanings / sizeof *meanings };

/* Equal but for case, and with `-` for `_`. */
static bool is_spelling(const char *a, const char *word)
{
	for (; *a && *word; a++, word++)
		if ((*a == '-' || *a == '.' ? '_' : tolower((unsigned char)*a)) != *word)
			return false;
	return !*a && !*word;
}

/* What a flag of a program is in a deployment; NULL: it has no such flag, or no place is known for it. */
static const struct foreign_word *as_flag(enum flag_program p, const char *word)
{
	const struct flag *f = flag_spelled(p, word);
	for (int i = 0; i < MEANINGS && f; i++)
		if (meanings[i].meaning == f->meaning)
			return &meanings[i].as;
	return NULL;
}

static bool is_same(const struct foreign_word *a, const struct foreign_word *b)
{
	return a->home == b->home && a->how == b->how && (a->ours == b->ours || (a->ours && !strcmp(a->ours, b->ours)));
}

/* "vLLM and SGLang": the programs that have the word as a flag of this meaning. */
static const struct foreign_word *flag_word(struct arena *a, const char *word)
{
	struct foreign_word *out = NULL;
	for (enum flag_program p = FLAGS_VLLM; p < FLAGS_LAUNCHER; p++) {
		const struct foreign_word *one = as_flag(p, word);
		if (!one || (out && !is_same(one, out)))
			continue;
		if (!out) {
			out = arena_new(a, struct foreign_word);
			*out = *one;
			out->word = word;
			out->trains = true;
		}
		const char *name = flag_program_name(p);
		out->engines = out->engines ? arena_printf(a, "%s and %s", out->engines, name) : name;
		out->trains &= p >= FLAGS_MEGATRON;
	}
	return out;
}

const struct foreign_word *foreign_word(struct arena *a, const char *word)
{
	word += strspn(word, "-_");
	for (int i = 0; i < WORDS; i++)
		if (is_spelling(word, words[i].word))
			return &words[i];
	return flag_word(a, word);
}

const char *foreign_format(const char *name)
{
	static const char *const formats[][2] = {
		{"bfloat16", "bf16"},
		{"float16", "f16"},
		{"fp16", "f16"},
		{"half", "f16"},
		{"float32", "f32"},
		{"fp32", "f32"},
		{"float", "f32"},
		{"fp8", "fp8_e4m3"},
		{"float8", "fp8_e4m3"},
		{"e4m3", "fp8_e4m3"},
		{"e5m2", "fp8_e5m2"},
		{"e4m3fn", "fp8_e4m3"},
		{"float8_e4m3fn", "fp8_e4m3"},
		{"fp8_e4m3fn", "fp8_e4m3"},
		{"int8", "i8"},
	};
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
		if (is_spelling(name, formats[i][0]))
			return formats[i][1];
	for (int i = 0; i < DTYPE_COUNT; i++)
		if (is_spelling(name, dtype_name((enum dtype)i)))
			return dtype_name((enum dtype)i);
	return NULL;
}

/* ---- where ----------------------------------------------------------------------------------- */

static enum home home_of(struct record *r)
{
	static const struct {
		const char *schema;
		enum home home;
	} homes[] = {{"Deploy", HOME_DEPLOY},     {"Plan", HOME_PLAN},     {"Inference", HOME_WORKLOAD},
	             {"Training", HOME_WORKLOAD}, {"Decoder", HOME_MODEL}, {"Cluster", HOME_CLUSTER}};
	for (size_t i = 0; i < sizeof homes / sizeof *homes; i++)
		if (record_is(r, homes[i].schema))
			return homes[i].home;
	return HOME_NOWHERE;
}

struct use {
	struct surroundings at;
	struct record *record;
	enum home here;
	const struct foreign_word *word;
	const char *value; /* as it is written, without quotes */
	struct diag *d;
};

static struct sink *sink_of(const struct use *u) { return u->at.sema->sink; }

static const char *first_name(struct arena *a, const char *path) { return arena_strndup(a, path, strcspn(path, ".")); }

/* Another item that gives a field of a home a value, by our word or one of another engine, or NULL. */
static const struct node *set_in(const struct use *u, struct nodes body, enum home home, const char *ours)
{
	for (int i = 0; i < body.n; i++) {
		const struct node *x = body.at[i];
		const struct foreign_word *w =
			x->kind == N_SET && x->set.path.n == 1 ? foreign_word(u->at.sema->arena, x->set.path.at[0].name) : NULL;
		if (w && x != u->at.item && w->home == home && w->ours && !strcmp(w->ours, ours))
			return x;
	}
	return NULL;
}

/* Of the record where it belongs, or of the deployment. */
static const struct node *set_item(const struct use *u, enum home home, const char *ours)
{
	const struct node *x = foreign_home_item(&u->at, home);
	const struct node *found = x ? set_in(u, foreign_body(x), home, ours) : NULL;
	if (!found && u->at.deploy && u->at.deploy->named.tail == TAIL_BLOCK)
		found = set_in(u, u->at.deploy->named.body, home, ours);
	return found;
}

/* The Int that an item sets; `usual` without one, 0 if it is not a number as written. */
static int64_t count_of(const struct use *u, enum home home, const char *ours, int64_t usual)
{
	const struct node *x = set_item(u, home, ours);
	if (!x)
		return usual;
	const char *text = x->set.value->kind == N_NUM ? foreign_source(u->at.sema, x->set.value->span) : "0";
	return strlen(text) < 10 && strspn(text, "0123456789") == strlen(text) ? atoll(text) : 0;
}

/* Has the record of the field's home such a field? Unless it is known, yes. */
static bool has_home(const struct use *u)
{
	const char *field = first_name(u->at.sema->arena, u->word->ours);
	const struct node *x = foreign_home_item(&u->at, u->word->home);
	if (u->word->home == u->here)
		return record_field(u->record, field);
	struct record *base = x ? foreign_base(&u->at, x) : NULL;
	return !base || record_field(base, field);
}

/* ---- what it is here ------------------------------------------------------------------------- */

static bool is_true(const struct use *u) { return !strcmp(u->value, "true") || !strcmp(u->value, "1"); }

/* The item in our words; "" to leave it out; NULL after a help that says what to decide. */
static const char *decide(const struct use *u, const char *help)
{
	diag_help(sink_of(u), u->d, "%s", help);
	return NULL;
}

static const char *per_replica(const struct use *u)
{
	struct arena *a = u->at.sema->arena;
	int64_t each = strspn(u->value, "0123456789") == strlen(u->value) && strlen(u->value) < 10 ? atoll(u->value) : 0;
	int64_t replicas = count_of(u, HOME_PLAN, "dp", 1);
	if (!each || !replicas)
		return decide(
			u, "it counts the sequences of one replica; `batch` is that of the whole deployment, `dp` times as many");
	if (replicas > 1)
		diag_note(sink_of(u), u->d, "%s counts sequences of a replica: %s x %lld replicas", u->word->word, u->value,
		          (long long)replicas);
	return arena_printf(a, "batch = %lld", (long long)(each * replicas));
}

static const char *context(const struct use *u)
{
	int64_t all = strspn(u->value, "0123456789") == strlen(u->value) && strlen(u->value) < 10 ? atoll(u->value) : 0;
	int64_t output = count_of(u, HOME_WORKLOAD, "output", 0);
	if (set_item(u, HOME_WORKLOAD, "seq")) {
		diag_help(sink_of(u), u->d, "leave it out: `seq` and `output` say how long sequences become");
		return "";
	}
	if (all <= output)
		return decide(u, "say how long prompts and outputs are: `seq = 128..4096; output = 512`");
	diag_note(sink_of(u), u->d, "%s counts a prompt with its output: %s - %lld", u->word->word, u->value,
	          (long long)output);
	return arena_printf(u->at.sema->arena, "seq = 1..%lld", (long long)(all - output));
}

/* Groups of ranks that have sequences of their own, by the library's templates; 0: not known. */
static int64_t owners(const struct use *u)
{
	const struct node *x = foreign_home_item(&u->at, HOME_PLAN);
	struct record *base = x ? foreign_base(&u->at, x) : NULL;
	const char *name = base && base->name ? base->name : "";
	int64_t dp = count_of(u, HOME_PLAN, "dp", 1), ep = count_of(u, HOME_PLAN, "ep", 1);
	if (!strcmp(name, "Megatron") || !strcmp(name, "FoldedEP"))
		return dp * ep;
	return !strncmp(name, "VLLM", 4) ? dp : 0;
}

static const char *microbatch(const struct use *u)
{
	int64_t each = strspn(u->value, "0123456789") == strlen(u->value) && strlen(u->value) < 10 ? atoll(u->value) : 0;
	int64_t batch = count_of(u, HOME_WORKLOAD, "batch", 0), groups = owners(u);
	if (!each || !batch || !groups || batch % (each * groups))
		return decide(
			u, "count microbatches instead: `pipeline { microbatches = N }`, N = batch / (dp * sequences of one)");
	diag_note(sink_of(u), u->d, "batch %lld / (%lld groups x %s sequences) = %lld microbatches", (long long)batch,
	          (long long)groups, u->value, (long long)(batch / groups / each));
	return arena_printf(u->at.sema->arena, "pipeline { microbatches = %lld }", (long long)(batch / groups / each));
}

static const char *format(const struct use *u)
{
	const char *ours = foreign_format(u->value);
	struct arena *a = u->at.sema->arena;
	if (!strcmp(u->value, "auto")) {
		diag_help(sink_of(u), u->d, "leave it out: the model has its formats");
		return "";
	}
	if (!ours)
		return decide(u, "formats are `bf16`, `f16`, `f32`, `fp8_e4m3`, `fp8_e5m2`");
	bool computes = !strcmp(u->word->ours, "weight") && u->word->engines && strncmp(ours, "fp8", 3) != 0;
	return arena_printf(a, computes ? "%s = %s; act = %s" : "%s = %s", u->word->ours, ours, ours);
}

static const char *zero(const struct use *u)
{
	static const char *const classes[] = {"optimizer", "gradients", "weights"};
	int stage = strlen(u->value) == 1 ? u->value[0] - '0' : -1;
	if (stage == 0)
		return "";
	if (stage < 1 || stage > 3)
		return decide(
			u, "write a rule in the plan: `store optimizer { d_model -> dp }`, `store gradients`, or `store weights`");
	return arena_printf(u->at.sema->arena, "store %s { d_model -> dp }", classes[stage - 1]);
}

/* The template itself is replaced, if the plan is its sibling. */
static const char *template(const struct use *u)
{
	const struct node *x = foreign_home_item(&u->at, HOME_PLAN);
	const struct node *base = x && x->kind == N_SET && x->set.value->kind == N_REFINE ? x->set.value->sub2.base : NULL;
	if (!is_true(u))
		return "";
	diag_help(sink_of(u), u->d, "take the template `%s`: `plan = %s { ... }`", u->word->ours, u->word->ours);
	if (base && base->kind == N_ID && !strcmp(base->ident.name, "VLLM") && !strcmp(u->word->ours, "VLLM_EP"))
		foreign_template(&u->at, u->d, base, u->word->ours);
	return NULL;
}

static const char *in_our_words(const struct use *u)
{
	struct arena *a = u->at.sema->arena;
	switch (u->word->how) {
	case HOW_AS_IS:       return arena_printf(a, "%s = %s", u->word->ours, u->value);
	case HOW_PER_REPLICA: return per_replica(u);
	case HOW_CONTEXT:     return context(u);
	case HOW_MICROBATCH:  return microbatch(u);
	case HOW_FORMAT:      return format(u);
	case HOW_CLAIM:       {
		const char *value = strstr(u->word->ours, "%s");
		return arena_printf(a, "%.*s%s%s", (int)(value - u->word->ours), u->word->ours, u->value, value + 2);
	}
	case HOW_RULE:      return is_true(u) ? u->word->ours : "";
	case HOW_ZERO:      return zero(u);
	case HOW_TEMPLATE:  return template(u);
	case HOW_LEAVE_OUT: diag_help(sink_of(u), u->d, "leave it out: %s", u->word->ours); return "";
	case HOW_DECIDE:    return decide(u, u->word->ours);
	}
	internal_error("how %d is not known", (int)u->word->how);
}

/* ---- the report ------------------------------------------------------------------------------ */

static bool names_a_field(const struct foreign_word *w)
{
	return w->how == HOW_AS_IS || w->how == HOW_PER_REPLICA || w->how == HOW_CONTEXT || w->how == HOW_FORMAT
	       || w->how == HOW_MICROBATCH;
}

static struct diag *report(const struct use *u, struct span at)
{
	struct sema *s = u->at.sema;
	const struct foreign_word *w = u->word;
	const char *name = foreign_source(s, at);
	if (!w->engines && w->how == HOW_CLAIM)
		return sema_report(s, DIAG_E0201, at, "`%s` is not a field: a deployment promises it", name);
	if (!w->engines && names_a_field(w))
		return sema_report(s, DIAG_E0201, at, "`%s` is a field of the %s", name,
		                   w->home == HOME_DEPLOY ? "deployment" : home_name(w->home));
	if (names_a_field(w))
		return sema_report(s, DIAG_E0208, at, "`%s` is a word of %s: here it is `%s`", name,
		                   w->engines ? w->engines : "other engines", w->ours);
	return sema_report(s, DIAG_E0208, at, "`%s` is a word of %s", name, w->engines ? w->engines : "other engines");
}

/* Two values for one field: nothing says which one is meant. */
static bool is_set_already(const struct use *u)
{
	const struct node *other = names_a_field(u->word) ? set_item(u, u->word->home, u->word->ours) : NULL;
	if (!other || u->word->how == HOW_CONTEXT)
		return false;
	diag_related(sink_of(u), u->d, other->span, "set here as well");
	diag_help(sink_of(u), u->d, "leave out one of them");
	return true;
}

static void offer(const struct use *u)
{
	const char *text = in_our_words(u);
	enum home home = u->word->home == HOME_NOWHERE ? u->here : u->word->home;
	if (!text)
		return;
	if (!*text || home == u->here)
		foreign_replace(&u->at, u->d, text);
	else
		foreign_move(&u->at, u->d, home, text);
	if (u->d->help)
		return;
	if (!*text)
		diag_help(sink_of(u), u->d, "leave it out");
	else if (home == u->here)
		diag_help(sink_of(u), u->d, "write `%s`", text);
	else
		diag_help(sink_of(u), u->d,
		          home == HOME_DEPLOY ? "write `%s` in the deployment" : "write `%s` in the braces of the %s", text,
		          home_name(home));
}

static void lacks_field(const struct use *u)
{
	diag_help(sink_of(u), u->d, "the %s of this deployment has no `%s`: take one that has", home_name(u->word->home),
	          u->word->ours);
}

bool foreign_report(struct record *r, const struct layer *l, const struct node *item)
{
	struct use u = {foreign_surroundings(r->sema, l->module, item), r, home_of(r), NULL, NULL, NULL};
	struct span name = item->set.path.span;
	u.word = item->set.path.n == 1 ? foreign_word(r->sema->arena, item->set.path.at[0].name) : NULL;
	bool ours = u.word && !u.word->engines && u.word->home != HOME_NOWHERE;
	if (!u.word || u.here == HOME_NOWHERE || l->module->is_std
	    || (ours && u.here == u.word->home && names_a_field(u.word)))
		return false;
	u.value = item->set.value->kind == N_STR ? item->set.value->text : foreign_source(r->sema, item->set.value->span);
	u.d = report(&u, name);
	if (is_set_already(&u))
		return true;
	if (names_a_field(u.word) && !has_home(&u))
		lacks_field(&u);
	else
		offer(&u);
	return true;
}
