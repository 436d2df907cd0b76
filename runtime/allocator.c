/* The only allocator of a rank's device memory. It allocates what the plan says, at start. */
#include "runtime.h"

uint64_t plan_comm_host_bytes(const struct plan *plan)
{
	return plan->head->comm_staging + (plan->n_stages > 1 ? 2 * plan->head->comm_mailbox : 0);
}

uint64_t memory_take(struct memory *m, enum dr_space space, uint64_t bytes)
{
	if (m->sealed)
		rank_fail(&m->reporter, "internal: %llu bytes requested after load", (unsigned long long)bytes);
	m->bytes[space] += bytes;
	m->total += bytes;
	return m->device->alloc(m->device, bytes);
}

void memory_open(struct memory *m, const struct plan *plan, int rank, int workers, struct device *d,
                 const struct reporter *r)
{
	int stage = plan_stage(plan, rank);
	*m = (struct memory){.device = d, .reporter = *r};
	for (int i = 0; i < DR_SPACES; i++) {
		uint64_t bytes = plan_space_bytes(plan, stage, (enum dr_space)i, workers);
		m->base[i] = memory_take(m, (enum dr_space)i, i == DR_SPACE_COMM ? plan->head->comm_device : bytes);
	}
	m->bytes[DR_SPACE_COMM] += plan_comm_host_bytes(plan); /* shared before fork: comm_local_share */
	m->total += plan_comm_host_bytes(plan);
	m->sealed = true;
}
