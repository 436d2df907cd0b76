/* Brings the results of a step to rank 0. After each microbatch, ranks of the last stage copy their part of the tokens,
 * logits and log-probabilities from the device into a parcel, since the next microbatch uses the same memory. After the
 * last one, or while the next step runs, every rank gives its parcel, which may be empty, to rank 0. Both sides know
 * its contents from the plan. */
#include <stdlib.h>
#include <string.h>
#include "logprobs.h"
#include "runtime.h"

/* Is the rank's coordinate 0 along every atom, except those that split stages, the outputs' rows and the vocabulary, if
 * that is split by `vocab_group`? -1: it is not. */
static bool is_first_of_replicas(const struct plan *plan, int rank, const struct dr_output *cut, int vocab_group)
{
	const struct dr_program *h = plan->head;
	for (uint32_t a = 0; a < h->atoms.n; a++) {
		bool free = plan_group_has(plan, (int)h->stage_group, a) || plan_group_has(plan, (int)cut->owner_group, a)
		            || plan_group_has(plan, (int)cut->row_group, a)
		            || (vocab_group >= 0 && plan_group_has(plan, vocab_group, a));
		if (!free && plan_coordinate(plan, a, rank) != 0)
			return false;
	}
	return true;
}

struct parcel_plan parcel_plan(const struct plan *plan, int rank, int phase, bool logits)
{
	const struct dr_output *cut = &plan->programs[phase].output;
	int group = (int)plan->head->logits_group, shards = plan_group_size(plan, group);
	struct owners mine = plan_owners(plan, cut->owner_group, rank);
	bool last = plan_stage(plan, rank) == plan->n_stages - 1;
	return (struct parcel_plan){
		.first_owner = mine.first,
		.owners = mine.n,
		.part = plan_group_index(plan, (int)cut->row_group, rank),
		.parts = plan_group_size(plan, (int)cut->row_group),
		.shard = plan_group_index(plan, group, rank),
		.width = ((int)plan->head->vocab + shards - 1) / shards,
		.tokens = last && is_first_of_replicas(plan, rank, cut, -1),
		.logits = logits && last && is_first_of_replicas(plan, rank, cut, group),
		.logprobs = plan->head->logprobs && last && is_first_of_replicas(plan, rank, cut, (int)cut->vocab_group),
	};
}

/* Bytes of a row, and of a microbatch with R rows. logprobs: a row of the step asks for them. */
static size_t row_bytes(const struct parcel_plan *p, bool logprobs)
{
	return (p->tokens ? sizeof(int32_t) : 0) + (p->logits ? (size_t)p->width * sizeof(float) : 0)
	       + (p->logprobs && logprobs ? sizeof(struct dr_logprobs) : 0);
}

static size_t microbatch_bytes(const struct parcel_plan *p, int rows, bool logprobs)
{
	return (size_t)p->owners * (size_t)(rows / p->parts) * row_bytes(p, logprobs);
}

/* ---- a rank's own parcel --------------------------------------------------------------------- */
static bool wants_logits(const struct rank *r) { return r->job->options->logits != NULL; }

void parcels_open(struct rank *r)
{
	const struct dr_program *h = r->job->plan->head;
	size_t max = 1;
	for (int phase = 0; phase < DR_PHASES; phase++) {
		struct parcel_plan *p = &r->parcels.plan[phase];
		*p = parcel_plan(r->job->plan, r->index, phase, wants_logits(r));
		size_t bytes = h->microbatches * microbatch_bytes(p, (int)r->job->plan->programs[phase].max_rows, true);
		max = bytes > max ? bytes : max;
	}
	for (int i = 0; i < (r->overlaps ? PARCELS : 1); i++)
		r->parcels.at[i].bytes = r->device->queue ? r->device->queue->host_memory(r->device, max) : host_alloc(max, 1);
}

void parcels_close(struct rank *r)
{
	if (!r->device->queue)
		free(r->parcels.at[0].bytes);
}

/* The parcel that is packed, or that was packed so many steps before the last one. */
static struct parcel *packing(struct rank *r) { return &r->parcels.at[r->overlaps ? r->parcels.packed % PARCELS : 0]; }
static unsigned packed_before(const struct rank *r, unsigned back)
{
	return r->overlaps ? (r->parcels.packed - 1 - back) % PARCELS : 0;
}

/* Appends `n` bytes of DR_SPACE_ACT: where the device queues its work, they come until it is done. */
static void pack(struct rank *r, uint64_t offset, size_t n)
{
	struct parcel *p = packing(r);
	unsigned char *to = p->bytes + p->n;
	uint64_t from = r->memory.base[DR_SPACE_ACT] + offset;
	if (r->device->queue)
		r->device->queue->fetch(r->device, to, from, n);
	else
		r->device->read(r->device, to, flat(from, n));
	p->n += n;
}

void parcel_pack(struct rank *r, int microbatch)
{
	const struct dr_program *h = r->job->plan->head;
	const struct parcel_plan *p = &r->parcels.plan[r->step.head->phase];
	size_t rows = (size_t)(r->step.rows[microbatch] / p->parts);
	size_t token_bytes = rows * sizeof(int32_t), logit_bytes = rows * (size_t)p->width * sizeof(float),
		   logprob_bytes = rows * sizeof(struct dr_logprobs);
	bool logprobs = p->logprobs && r->step.head->logprobs;
	if (microbatch == 0)
		packing(r)->n = 0;
	for (size_t i = 0; i < (size_t)p->owners; i++) {
		if (p->tokens)
			pack(r, h->tokens_offset + i * token_bytes, token_bytes);
		if (p->logits)
			pack(r, h->logits_offset + i * logit_bytes, logit_bytes);
		if (logprobs)
			pack(r, h->logprobs_offset + i * logprob_bytes, logprob_bytes);
	}
}

void parcel_sent(struct rank *r)
{
	if (r->device->queue)
		r->device->queue->mark(r->device, STAGINGS + r->parcels.packed % PARCELS);
	r->parcels.packed++;
}

void parcel_await(struct rank *r, unsigned back)
{
	if (r->device->queue && back)
		r->device->queue->await(r->device, STAGINGS + (r->parcels.packed - 1 - back) % PARCELS);
	else
		r->device->sync(r->device);
}

/* ---- rank 0 ---------------------------------------------------------------------------------- */
/* The parcels that rank 0 receives, and their contents. */
struct inbox {
	struct parcel_plan *plan[DR_PHASES]; /* [ranks] */
	unsigned char *bytes;
	struct results results;
};

struct inbox *inbox_open(const struct rank *r)
{
	const struct plan *plan = r->job->plan;
	const struct dr_program *h = plan->head;
	struct inbox *in = host_alloc(1, sizeof *in);
	size_t max = 1;
	for (int phase = 0; phase < DR_PHASES; phase++) {
		in->plan[phase] = host_alloc(h->ranks, sizeof *in->plan[phase]);
		for (int i = 0; i < (int)h->ranks; i++) {
			in->plan[phase][i] = parcel_plan(plan, i, phase, wants_logits(r));
			int most = (int)plan->programs[phase].max_rows;
			size_t bytes = h->microbatches * microbatch_bytes(&in->plan[phase][i], most, true);
			max = bytes > max ? bytes : max;
		}
	}
	in->bytes = host_alloc(max, 1);
	in->results.max_rows = plan_max_rows(plan);
	size_t rows = (size_t)h->microbatches * (size_t)plan->n_owners * (size_t)in->results.max_rows;
	in->results.tokens = host_alloc(rows, sizeof *in->results.tokens);
	in->results.logprobs = host_alloc(rows, sizeof *in->results.logprobs);
	in->results.logits = wants_logits(r) ? host_alloc(rows * h->vocab, sizeof *in->results.logits) : NULL;
	return in;
}

void inbox_close(struct inbox *in)
{
	for (int phase = 0; phase < DR_PHASES; phase++)
		free(in->plan[phase]);
	free(in->bytes);
	free(in->results.tokens);
	free(in->results.logits);
	free(in->results.logprobs);
	free(in);
}

const struct results *inbox_results(const struct inbox *in) { return &in->results; }

/* Reads one owner's rows at `from`; returns the end of them. logprobs: a row of the step asks for them. */
static const unsigned char *unpack_owner(struct inbox *in, const struct plan *plan, const struct parcel_plan *p,
                                         bool logprobs, size_t to, size_t rows, const unsigned char *from)
{
	size_t vocab = plan->head->vocab, width = (size_t)p->width, bytes = width * sizeof(float);
	if (p->tokens) {
		memcpy(in->results.tokens + to, from, rows * sizeof(int32_t));
		from += rows * sizeof(int32_t);
	}
	size_t first = (size_t)p->shard * width, real = first + width > vocab ? vocab - first : width;
	for (size_t row = 0; p->logits && row < rows; row++, from += bytes)
		memcpy(in->results.logits + (to + row) * vocab + first, from, real * sizeof(float));
	for (size_t row = 0; p->logprobs && logprobs && row < rows; row++, from += sizeof(struct dr_logprobs)) {
		struct dr_logprobs shard;
		memcpy(&shard, from, sizeof shard);
		logprobs_merge(&in->results.logprobs[to + row], &shard);
	}
	return from;
}

static void unpack(struct rank *r, const struct parcel_plan *p, const unsigned char *from)
{
	const struct plan *plan = r->job->plan;
	struct inbox *in = r->inbox;
	for (int m = 0; m < r->step.head->microbatches; m++)
		for (int i = 0; i < p->owners; i++) {
			int rows = r->step.rows[m] / p->parts;
			int to = (m * plan->n_owners + p->first_owner + i) * in->results.max_rows + p->part * rows;
			from = unpack_owner(in, plan, p, r->step.head->logprobs, (size_t)to, (size_t)rows, from);
		}
}

static void take_parcel(struct rank *r, int rank)
{
	const struct parcel_plan *p = &r->inbox->plan[r->step.head->phase][rank];
	size_t n = 0;
	for (int m = 0; m < r->step.head->microbatches; m++)
		n += microbatch_bytes(p, r->step.rows[m], r->step.head->logprobs);
	r->comm->take(r->comm, rank, r->inbox->bytes, n);
	unpack(r, p, r->inbox->bytes);
}

/* Nothing is known yet. */
static void begin_logprobs(struct rank *r)
{
	struct results *to = &r->inbox->results;
	int rows = r->step.head->microbatches * r->job->plan->n_owners * to->max_rows;
	for (int i = 0; i < rows; i++)
		logprobs_begin(&to->logprobs[i]);
}

void parcel_deliver(struct rank *r, unsigned back)
{
	const struct parcel *p = &r->parcels.at[packed_before(r, back)];
	if (!r->inbox) {
		r->comm->give(r->comm, p->bytes, p->n);
		return;
	}
	if (r->step.head->logprobs)
		begin_logprobs(r);
	unpack(r, &r->parcels.plan[r->step.head->phase], p->bytes);
	for (int i = 1; i < (int)r->job->plan->head->ranks; i++)
		take_parcel(r, i);
}
