/* Steps that overlap: while the GPU computes a step, the host plans and queues the next one. The ids of the next one
 * are tokens of the first, which the host does not know yet: they are copied from where the step leaves them to where
 * the next one reads its ids, on the same stream. The tokens of a step come to the host while the next one runs. */
#include "runtime.h"

/* The tokens of a program's rows on a rank. */
static struct dr_output output_of(const struct plan *plan, int phase) { return plan->programs[phase].output; }

static bool holds(struct owners all, struct owners some)
{
	return all.first <= some.first && some.first + some.n <= all.first + all.n;
}

/* Has each rank the tokens of all owners whose ids it stores, after a step of this phase? */
static bool has_tokens(const struct plan *plan, int phase, const struct dr_step_input *ids)
{
	struct dr_output out = output_of(plan, phase);
	if (plan_group_size(plan, (int)out.row_group) > 1)
		return false;
	for (int rank = 0; rank < (int)plan->head->ranks; rank++)
		if (!holds(plan_owners(plan, out.owner_group, rank), plan_owners(plan, ids->owner_group, rank)))
			return false;
	return true;
}

/* Tokens are on the last stage, ids on the first; and the tokens of a microbatch lie where those of the next one will.
 * With DEPLOY_SYNC each operation ends before the next begins. */
bool ahead_possible(const struct rank *r)
{
	const struct plan *plan = r->job->plan;
	const struct dr_step_input *in = plan_array(plan, struct dr_step_input, plan->head->inputs);
	bool possible = r->device->queue && !r->job->options->sync && plan->n_stages == 1 && plan->head->microbatches == 1;
	for (uint32_t i = 0; i < plan->head->inputs.n && possible; i++)
		if (in[i].what == DR_INPUT_IDS)
			possible = has_tokens(plan, DR_PREFILL, &in[i]) && has_tokens(plan, DR_DECODE, &in[i]);
	return possible;
}

/* ---- ids ------------------------------------------------------------------------------------- */
/* Copies the tokens of an owner's rows to ids, n of them at device address `to`, as runs of neighbours. tokens: device
 * address of row 0. */
static void take_tokens(struct rank *r, const int32_t *ids, int n, uint64_t to, uint64_t tokens)
{
	for (int i = 0, end; i < n; i = end) {
		end = i + 1;
		if (ids[i] >= 0)
			continue;
		while (end < n && ids[end] == ids[end - 1] - 1)
			end++;
		r->device->queue->copy(r->device, to + (uint64_t)i * sizeof *ids,
		                       tokens + (uint64_t)(-1 - ids[i]) * sizeof *ids, (size_t)(end - i) * sizeof *ids);
	}
}

void ahead_take_tokens(struct rank *r)
{
	const struct plan *plan = r->job->plan;
	const struct dr_step_input *in = plan_array(plan, struct dr_step_input, plan->head->inputs);
	struct owners from = plan_owners(plan, output_of(plan, r->other.head->phase).owner_group, r->index);
	for (uint32_t k = 0; k < plan->head->inputs.n; k++) {
		struct owners to = plan_owners(plan, in[k].owner_group, r->index);
		for (int i = 0; in[k].what == DR_INPUT_IDS && i < to.n; i++) {
			int n;
			const int32_t *ids = step_array(&r->step, plan, 0, to.first + i, DR_INPUT_IDS, &n);
			n /= plan_group_size(plan, (int)in[k].token_group);
			ids += r->frame.index[in[k].token_group] * n;
			uint64_t row = (uint64_t)(to.first + i - from.first) * (uint64_t)r->other.rows[0];
			take_tokens(r, ids, n, r->memory.base[DR_SPACE_INPUT] + in[k].offset + (uint64_t)(i * n) * sizeof *ids,
			            r->memory.base[DR_SPACE_ACT] + plan->head->tokens_offset + row * sizeof *ids);
		}
	}
	atomic_fetch_add(&r->reporter.board->rank[r->index].overlapped, 1);
}

void ahead_know_tokens(struct rank *r)
{
	const struct plan *plan = r->job->plan;
	for (int owner = 0; r->inbox && owner < plan->n_owners; owner++) {
		const struct results *out = inbox_results(r->inbox);
		int n;
		int32_t *ids = step_array(&r->other, plan, 0, owner, DR_INPUT_IDS, &n);
		for (int i = 0; i < n; i++)
			if (ids[i] < 0)
				ids[i] = out->tokens[owner * out->max_rows - 1 - ids[i]];
	}
}
