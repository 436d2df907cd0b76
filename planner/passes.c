/* The passes after sema, in order. */
#include "passes.h"

static void must_hold(const char *wrong, const char *level)
{
	if (wrong)
		internal_error("the %s program is wrong: %s", level, wrong);
}

static void plan_serving(const struct passes *with, struct planned *p)
{
	p->schedule = dag_schedule(&p->arena, with->sink, p->local, with->target);
	if (!p->schedule)
		return;
	must_hold(schedule_check(p->schedule, &p->arena), "scheduled");
	planner_fit(&p->arena, with->names, with->sink, p->deploy, p->schedule, with->target);
}

static void plan_training(const struct passes *with, struct planned *p)
{
	p->training = training_of(&p->arena, p->local);
	planner_fit_training(&p->arena, with->names, with->sink, p->training);
}

void passes_run(const struct passes *with, struct planned *p)
{
	struct deploy *d = p->deploy;
	if (!d->program)
		return;
	must_hold(program_check(d->program, &p->arena), "global");
	if (d->known && !d->refused)
		p->local = dag_local(&p->arena, with->names, with->sink, d);
	if (p->local) {
		must_hold(local_check(p->local, &p->arena), "local");
		if (d->needs_training)
			plan_training(with, p);
		else
			plan_serving(with, p);
		planner_lint(&p->arena, with->sink, p->local, p->schedule);
	}
	if (!with->no_goals)
		planner_goals(with->sema, d, p->local, p->schedule, p->training, with->target, &p->goals);
}
