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

static uint64_t device_bytes(const struct plan *plan, int rank, enum dr_space space, int workers)
{
	return space == DR_SPACE_COMM ? plan->head->comm_device
	                              : plan_space_bytes(plan, plan_stage(plan, rank), space, workers);
}

/* Bytes of the spaces from `first` to `last`. */
static unsigned long long spaces(const struct plan *plan, int rank, int workers, enum dr_space first,
                                 enum dr_space last)
{
	unsigned long long sum = 0;
	for (int i = (int)first; i <= (int)last; i++)
		sum += device_bytes(plan, rank, (enum dr_space)i, workers);
	return sum;
}

void memory_check(const struct plan *plan, int rank, int workers, struct device *d, const struct reporter *r)
{
	unsigned long long need = spaces(plan, rank, workers, 0, DR_SPACES - 1);
	uint64_t left = 0, all = 0;
	if (!d->room)
		return;
	d->room(d, &left, &all);
	if (need <= left)
		return;
	rank_fail(
		r,
		"the plan takes %llu B of the device (weights %llu, caches %llu, activations, inputs and tables %llu, "
		"workspaces %llu, communication %llu), and %llu of its %llu B are free: driver, context, kernels and other "
		"programs take %llu B, which the cluster's reserve should cover",
		need, spaces(plan, rank, workers, DR_SPACE_LAYER, DR_SPACE_EVERY),
		spaces(plan, rank, workers, DR_SPACE_STATE, DR_SPACE_STATE_OUTSIDE),
		spaces(plan, rank, workers, DR_SPACE_ACT, DR_SPACE_TABLE),
		spaces(plan, rank, workers, DR_SPACE_WORKSPACE, DR_SPACE_WORKSPACE),
		spaces(plan, rank, workers, DR_SPACE_COMM, DR_SPACE_COMM), (unsigned long long)left, (unsigned long long)all,
		(unsigned long long)(all - left));
}

void memory_open(struct memory *m, const struct plan *plan, int rank, int workers, struct device *d,
                 const struct reporter *r)
{
	*m = (struct memory){.device = d, .reporter = *r};
	for (int i = 0; i < DR_SPACES; i++)
		m->base[i] = memory_take(m, (enum dr_space)i, device_bytes(plan, rank, (enum dr_space)i, workers));
	m->bytes[DR_SPACE_COMM] += plan_comm_host_bytes(plan); /* shared before fork: comm_local_share */
	m->total += plan_comm_host_bytes(plan);
	m->sealed = true;
}
