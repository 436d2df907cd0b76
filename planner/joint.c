/* The passes over deployments together. */
#include "joint.h"
#include "pools.h"
#include "share.h"

static const struct plan *plan_share(const struct passes *with, struct arena *arena, struct joint *j,
                                     struct joint_texts *out)
{
	const struct share *s = planner_share(arena, with->names, with->sink, j, with->target);
	if (!with->no_goals)
		share_goals(with->sema, s, with->target);
	if (out)
		*out = (struct joint_texts){share_summary(arena, s), share_text(arena, s), share_json(s)};
	return share_plan(arena, s);
}

static const struct plan *plan_pools(const struct passes *with, struct arena *arena, struct joint *j,
                                     struct joint_texts *out)
{
	const struct pools *s = planner_pools(arena, with->names, with->sink, j, with->target);
	if (!with->no_goals) {
		pools_check_rate(arena, with->sink, s);
		pools_goals(with->sema, s, with->target);
	}
	if (out)
		*out = (struct joint_texts){pools_summary(arena, s), pools_text(arena, s), pools_json(s)};
	return pools_plan(arena, s);
}

const struct plan *passes_joint(const struct passes *with, struct arena *arena, struct joint *j,
                                struct joint_texts *out)
{
	return j->kind == JOINT_SHARE ? plan_share(with, arena, j, out) : plan_pools(with, arena, j, out);
}
