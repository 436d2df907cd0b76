/* The checkers between passes: programs of a sample pass, and fail when one place is changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "../../dag/dag.h"
#include "../../dag/local.h"

static struct arena arena;
static struct names names = {.arena = &arena};
static struct sources sources = {.arena = &arena};
static struct sink sink = {.arena = &arena, .sources = &sources};
static struct program *program;
static struct local *local;
static struct schedule *schedule;

static int load(void **state)
{
	(void)state;
	int n;
	struct sema_options none = {0};
	struct target target = {.lanes = 8};
	struct sema *sema = sema_new(&arena, &names, &sink, &none);
	assert_true(sema_load(sema, "samples/tiny_mixtral.deploy"));
	struct deploy *d = sema_deploys(sema, &n)[0];
	program = d->program;
	local = dag_local(&arena, &names, &sink, d);
	schedule = dag_schedule(&arena, &sink, local, &target);
	assert_null(program_check(program, &arena));
	assert_null(local_check(local, &arena));
	assert_null(schedule_check(schedule, &arena));
	return 0;
}

static int unload(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

static void must_say(const char *wrong, const char *words, const char *place, int at)
{
	if (!wrong || !strstr(wrong, words))
		fail_msg("%s of %d: expected `%s`, got `%s`", place, at, words, wrong ? wrong : "nothing");
}

/* The check reports WORDS while PLACE has another value. */
#define BREAK(check, place, value, words, at) \
	do {                                      \
		__typeof__(place) was = (place);      \
		(place) = (value);                    \
		must_say(check, words, #place, at);   \
		(place) = was;                        \
	} while (0)

#define PROGRAM(place, value, words) BREAK(program_check(program, &arena), place, value, words, i)

static bool value_has(const struct value *v, int axis)
{
	for (int i = 0; i < v->n_axes; i++)
		if (v->axes[i] == axis)
			return true;
	return false;
}

static bool is_next_of_a_carry(int value)
{
	for (int i = 0; i < program->values.n; i++)
		if (program->values.at[i].op == OP_CARRY && program->values.at[i].next == value)
			return true;
	return false;
}

static void break_operation(int i)
{
	struct value *v = &program->values.at[i];
	if (op_is_pointwise(v->op) && v->op != OP_CAST)
		PROGRAM(program->values.at[v->args[0]].dtype, v->dtype == DTYPE_F16 ? DTYPE_F32 : DTYPE_F16, "");
	if (op_is_pointwise(v->op) && v->n_axes && !is_next_of_a_carry(i))
		PROGRAM(v->n_axes, v->n_axes - 1, "an operand with an axis that the result lacks");
	if (op_is_reduce(v->op) || v->op == OP_CONTRACT) {
		int lacking = 0;
		while (value_has(v, lacking) || value_has(&program->values.at[v->args[0]], lacking))
			lacking++;
		PROGRAM(v->reduce.over[0], lacking, "a reduced axis that an operand lacks");
		PROGRAM(v->reduce.n_over, 0, "nothing to reduce over");
		PROGRAM(v->reduce.over[0], v->axes[0], "a reduced axis in the result");
	}
	if (v->op == OP_PARAM) {
		PROGRAM(v->param, program->params.n, "no such param");
		PROGRAM(v->param, -1, "no such param");
		PROGRAM(program->params.at[v->param].key, NULL, "without a place");
		PROGRAM(program->params.at[v->param].key, "a{b", "open brace");
		PROGRAM(program->axes.at[program->params.at[v->param].axes[0]].extent, 0, "without a fixed extent");
	}
	if (v->op == OP_RENAME)
		PROGRAM(v->view.from, v->view.to, "unrelated axes");
	if (v->op == OP_CARRY) {
		PROGRAM(v->next, -1, "outside its loop");
		PROGRAM(v->next, program->loops.at[0].end, "outside its loop");
		PROGRAM(v->dtype, DTYPE_F16, "");
	}
	if (v->op == OP_APPEND) {
		PROGRAM(v->append.state, program->states.n, "without a state");
		PROGRAM(v->append.state, -1, "without a state");
		PROGRAM(program->states.at[v->append.state].value, i + 1, "without a state");
	}
}

static void loops(void **state)
{
	(void)state;
	int i = 0;
	struct loop *l = &program->loops.at[0];
	PROGRAM(l->first_turn, 1, "does not follow");
	PROGRAM(l->first_body, 1, "does not follow");
	PROGRAM(program->body_of.at[0], -1, "has no body of loop 0");
	PROGRAM(program->body_of.at[0], l->n_bodies, "has no body of loop 0");
	PROGRAM(program->body_of.n, program->body_of.n - 1, "has no body of loop 0");
}

static void programs(void **state)
{
	(void)state;
	for (int i = 0; i < program->values.n; i++) {
		struct value *v = &program->values.at[i];
		PROGRAM(v->n_args, v->n_args + 1, "wrong number of operands");
		for (int k = 0; k < v->n_args; k++) {
			if (v->args[k] >= 0) {
				PROGRAM(v->args[k], i, "does not come before it");
				PROGRAM(v->args[k], -2, "does not come before it");
			}
		}
		PROGRAM(v->region, program->regions.n, "no region");
		PROGRAM(v->region, -1, "no region");
		if (v->n_axes)
			PROGRAM(v->axes[0], program->axes.n, "an axis that does not exist");
		if (v->n_axes)
			PROGRAM(v->axes[0], -1, "an axis that does not exist");
		if (v->n_axes > 1)
			PROGRAM(v->axes[v->n_axes - 1], v->axes[0], "an axis twice");
		if (v->op != OP_FINAL && v->n_args && v->args[0] >= 0 && i >= program->loops.at[0].end)
			PROGRAM(v->args[0], program->loops.at[0].begin, "from inside a loop");
		if (v->call >= 0)
			PROGRAM(v->call, -1, "lies in call");
		break_operation(i);
	}
	for (int i = 0; i < program->outputs.n; i++) {
		PROGRAM(program->outputs.at[i].value, -1, "has no value");
		PROGRAM(program->outputs.at[i].value, program->values.n, "has no value");
	}
	for (int i = 0; i < program->calls.n; i++)
		PROGRAM(program->calls.at[i].last, program->values.n, "has no values");
}

#define LOCAL(place, value, words) BREAK(local_check(local, &arena), place, value, words, i)

static void local_values(void **state)
{
	(void)state;
	for (int phase = 0; phase < PHASES; phase++)
		for (int i = 0; i < local->phase[phase].values.n; i++) {
			struct local_value *v = &local->phase[phase].values.at[i];
			for (int k = 0; k < v->n_args; k++)
				LOCAL(v->args[k], i, "comes later");
			if (local_is_move(v) || v->op == LOCAL_TO_PENDING)
				LOCAL(v->move.atoms.n, 0, "a collective over nothing");
			for (int k = 0; k < v->n_axes; k++)
				if (v->layout.axis[k].n)
					LOCAL(v->layout.pending, v->layout.axis[k], "twice");
			for (int k = 0; k < v->n_axes; k++)
				if (v->layout.axis[k].n && local->program->axes.at[v->axes[k]].extent)
					LOCAL(program->axes.at[v->axes[k]].extent, 1, "does not divide");
		}
	int i = 0;
	LOCAL(local->stage_layers.at[0], 1, "the stages have");
}

#define SCHEDULE(place, value, words) BREAK(schedule_check(schedule, &arena), place, value, words, i)

static void break_argument(struct argument *a, int i)
{
	SCHEDULE(a->address.offset, -(1ll << 40), "which has");
	SCHEDULE(a->address.offset, 1ll << 40, "which has");
}

static void break_instrs(const struct instrs *instrs)
{
	for (int i = 0; i < instrs->n; i++) {
		struct instr *in = &instrs->at[i];
		if (in->kind == INSTR_LAUNCH)
			SCHEDULE(in->launch.n_args, in->launch.n_args - 1, "arguments");
		if (in->kind == INSTR_ROUNDS_BEGIN)
			SCHEDULE(in->kind, INSTR_ROUNDS_END, "rounds that have no begin");
		if (in->kind == INSTR_COLLECTIVE) {
			SCHEDULE(schedule->collectives.at[in->collective.index].group, schedule->groups.n, "a");
			struct collective *c = &schedule->collectives.at[in->collective.index];
			bool message = c->kind == DR_SEND || c->kind == DR_RECV;
			SCHEDULE(c->group, message ? schedule->owner_group : schedule->stage_group,
			         message ? "ranks that are not stages" : "ranks of one stage only");
		}
		struct memory_operands o = instr_operands(schedule, in);
		for (int k = 0; k < o.n; k++)
			break_argument(o.at[k].argument, i);
	}
}

static void schedules(void **state)
{
	(void)state;
	for (int i = 0; i < schedule->programs.n; i++)
		for (int k = 0; k < schedule->programs.at[i].blocks.n; k++)
			for (int body = 0; body < schedule->programs.at[i].blocks.at[k].n; body++)
				break_instrs(&schedule->programs.at[i].blocks.at[k].body[body]);
	for (int i = 1; i < schedule->params.n; i++)
		if (schedule->params.at[i].space == schedule->params.at[i - 1].space)
			SCHEDULE(schedule->params.at[i].offset, schedule->params.at[i - 1].offset, "overlap");
	for (int i = 0; i < schedule->params.n; i++)
		for (int k = 0; k < schedule->params.at[i].n_axes; k++)
			SCHEDULE(schedule->params.at[i].axes[k].local, schedule->params.at[i].axes[k].local + 1,
			         "is not conserved");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(programs), cmocka_unit_test(loops),
	                                   cmocka_unit_test(local_values), cmocka_unit_test(schedules)};
	return cmocka_run_group_tests(tests, load, unload);
}
