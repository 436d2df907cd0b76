/* Prints the local level (--emit=dag-local) and checks it. */
#include "local.h"

static const char *const local_op_text[LOCAL_OPS] = {
	"op", "const", "angles", "all_reduce", "reduce_scatter", "all_gather", "all_to_all", "slice", "round", "share"};

void local_layout_text(const struct local *l, const struct local_value *v, struct text *out)
{
	text_add(out, "[");
	for (int i = 0; i < v->n_axes; i++) {
		const struct atoms *a = &v->layout.axis[i];
		text_add(out, "%s%s", i ? ", " : "", l->program->axes.at[v->axes[i]].name);
		if (a->n)
			text_add(out, a->n > 1 ? "@(%s)" : "@%s", atoms_text(l, a));
	}
	for (int i = 0; i < v->layout.pending.n; i++)
		text_add(out, "%s+%s", i ? ", " : " | ", l->atoms.at[v->layout.pending.at[i]].name);
	text_add(out, "]");
}

static void print_type(const struct local *l, const struct local_value *v, FILE *out)
{
	struct text t = {.arena = l->arena};
	local_layout_text(l, v, &t);
	fprintf(out, "%s%s", dtype_name(v->dtype), t.at);
}

static void print_value(const struct local *l, const struct local_phase *ph, int at, FILE *out)
{
	const struct local_value *v = &ph->values.at[at];
	const struct value *s = &l->program->values.at[v->source];
	fprintf(out, "  %%%d = %s(", at, v->op == LOCAL_OP ? op_name(s->op) : local_op_text[v->op]);
	for (int i = 0; i < v->n_args; i++) {
		if (v->args[i] < 0)
			fprintf(out, "%snone", i ? ", " : "");
		else
			fprintf(out, "%s%%%d", i ? ", " : "", v->args[i]);
	}
	fprintf(out, ")");
	const struct expert_atoms *experts = experts_of(l, v);
	if (local_is_move(v) || v->op == LOCAL_TO_PENDING)
		fprintf(out, " over %s", atoms_text(l, &v->move.atoms));
	if (experts && experts->exchange.n)
		fprintf(out, " exchange over %s", atoms_text(l, &experts->exchange));
	if (experts && experts->filter.n)
		fprintf(out, " filter by %s", atoms_text(l, &experts->filter));
	fprintf(out, " : ");
	print_type(l, v, out);
	if (s->name && v->op == LOCAL_OP)
		fprintf(out, "  // %s", s->name);
	if (local_is_move(v))
		fprintf(out, "  // %s", v->move.cause);
	fprintf(out, "\n");
}

void local_print(const struct local *l, FILE *out)
{
	fprintf(out, "mesh");
	for (int i = 0; i < l->atoms.n; i++)
		fprintf(out, "%s %s %lld", i ? "," : "", l->atoms.at[i].name, (long long)l->atoms.at[i].size);
	fprintf(out, "\nowners %s\nstages", atoms_text(l, &l->owners));
	for (int i = 0; i < l->stage_layers.n; i++)
		fprintf(out, "%s %lld", i ? "," : "", (long long)l->stage_layers.at[i]);
	fprintf(out, "\n");
	bool training = l->deploy->work.training;
	for (int phase = 0; phase < (training ? 1 : PHASES); phase++) {
		fprintf(out, "\nphase %s\n", phase_name(training ? PHASE_TRAIN : phase));
		for (int part = 0; part < l->parts.n; part++) {
			fputc(' ', out);
			print_part(l->program, part, out);
			fputc('\n', out);
			for (int i = 0; i < l->phase[phase].values.n; i++)
				if (l->phase[phase].values.at[i].part == part)
					print_value(l, &l->phase[phase], i, out);
		}
	}
}

/* Checks that a layout uses an atom once, that operands come before their user, and that a rank's extent times the
 * number of ranks is the whole extent. */
static const char *check_value(const struct local *l, const struct local_phase *ph, int at, struct arena *arena)
{
	const struct local_value *v = &ph->values.at[at];
	int *seen = arena_array(arena, int, l->atoms.n + 1);
	for (int i = 0; i <= v->n_axes; i++) {
		const struct atoms *a = i < v->n_axes ? &v->layout.axis[i] : &v->layout.pending;
		for (int k = 0; k < a->n; k++)
			if (seen[a->at[k]]++)
				return arena_printf(arena, "%%%d uses mesh axis %s twice", at, l->atoms.at[a->at[k]].name);
		if (i == v->n_axes)
			break;
		int64_t extent = l->program->axes.at[v->axes[i]].extent;
		if (extent && extent % atoms_size(l, a) && !may_pad(l, v->axes[i], atoms_size(l, a)))
			return arena_printf(arena, "%%%d: axis %s does not divide", at, l->program->axes.at[v->axes[i]].name);
	}
	for (int i = 0; i < v->n_args; i++)
		if (v->args[i] >= at)
			return arena_printf(arena, "%%%d uses %%%d, which comes later", at, v->args[i]);
	if (!local_is_move(v) && v->op != LOCAL_TO_PENDING)
		return NULL;
	return v->move.atoms.n ? NULL : arena_printf(arena, "%%%d is a collective over nothing", at);
}

const char *local_check(const struct local *l, struct arena *arena)
{
	int64_t layers = 0;
	for (int i = 0; i < l->stage_layers.n; i++)
		layers += l->stage_layers.at[i];
	if (l->program->loops.n && layers != l->program->body_of.n)
		return arena_printf(arena, "the stages have %lld layers", (long long)layers);
	for (int phase = 0; phase < PHASES; phase++)
		for (int i = 0; i < l->phase[phase].values.n; i++) {
			const char *wrong = check_value(l, &l->phase[phase], i, arena);
			if (wrong)
				return wrong;
		}
	return NULL;
}
