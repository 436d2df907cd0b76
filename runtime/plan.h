/* dr_blob, checked, with its tables as arrays; stages, groups and names of ranks. */
#ifndef DEPLOY_PLAN_H
#define DEPLOY_PLAN_H
#include <stdbool.h>
#include <stddef.h>
#include "abi.h"
#include "../support/stage_order.h"

struct plan {
	const unsigned char *blob;
	const struct dr_program *head;
	const struct dr_atom *atoms;
	const struct dr_group *groups;
	const struct dr_collective *collectives;
	const struct dr_stage *stages;
	const struct dr_param *params;
	const struct dr_step_program *programs; /* by enum dr_phase */
	const struct dr_constant *constants;
	const struct dr_map *maps;
	const struct dr_config *config;
	const struct dr_span *op_names;
	const struct dr_pool *pools;               /* the first keeps all positions */
	const struct dr_kernel *kernels;           /* NULL: unknown */
	int n_pools, n_stages, n_owners, n_groups; /* group n_groups is all ranks; the program's groups come before it */
};

/* NULL, or what is wrong with the blob. */
const char *plan_open(struct plan *p, const unsigned char *blob);
const char *plan_string(const struct plan *p, struct dr_span s);
#define plan_array(p, T, span) ((const T *)((p)->blob + (span).at))

int plan_coordinate(const struct plan *p, uint32_t atom, int rank);
int plan_group_size(const struct plan *p, int group);
/* The maximum T and R of all programs. */
int plan_max_tokens(const struct plan *p);
int plan_max_rows(const struct plan *p);
/* The rank's index in its group, and the rank with index i in that group. */
int plan_group_index(const struct plan *p, int group, int rank);
int plan_group_member(const struct plan *p, int group, int rank, int i);
bool plan_group_has(const struct plan *p, int group, uint32_t atom);
int plan_stage(const struct plan *p, int rank);
/* The owners that a rank serves if `group` divides them: the first, and their number. */
struct owners {
	int first, n;
};
struct owners plan_owners(const struct plan *p, uint32_t group, int rank);
/* The order in which a step of so many microbatches runs through the stages. */
struct pipeline plan_pipeline(const struct plan *p, int microbatches);
/* Does the layer of the model have the param? A param of the loop belongs to one of its bodies. */
bool plan_has_param(const struct plan *p, const struct dr_param *param, int64_t layer);
/* Bytes of the params of a layer, which lies after the layer before it. */
uint64_t plan_layer_bytes(const struct plan *p, int64_t layer);
/* The body of each layer from `layer` on. */
const uint32_t *plan_bodies(const struct plan *p, int64_t layer);
/* Bytes of a rank of a stage in a space, and of a rank in all spaces. workers: those of a launch; each has a
 * workspace. */
uint64_t plan_space_bytes(const struct plan *p, int stage, enum dr_space space, int workers);
uint64_t plan_bytes(const struct plan *p, int rank, int workers);
/* "rank 3 (tp=1, pp=0)" */
void plan_rank_name(const struct plan *p, int rank, char *out, size_t n);
const char *plan_op(const struct plan *p, int op);
#endif
