/* A step of training, from the forward program of one rank (dag/train.c): bytes of each kind. Nothing here knows of a
 * model or a region: what the backward pass reads follows from the operators, what it sums over ranks from layouts.
 *
 * This version has no backend of training. Weights, gradients and optimizer states are exact; what is saved is what
 * frameworks save whose fused operators keep their operands; docs/planner.md says what is left out. */
#ifndef DEPLOYC_TRAINING_H
#define DEPLOYC_TRAINING_H
#include "balance.h"
#include "planner.h"
#include "../dag/local.h"

/* Bytes of one layer on a rank. */
struct training_body {
	double weights, gradients, optimizer, saved, working;
	double gathered; /* stored weights and gradients, whole, that a pipeline stage keeps */
};

struct training {
	struct arena *arena;
	const struct local *local;
	const struct deploy *deploy;
	const struct local_phase *forward;
	struct pipeline pipeline;
	double sequences;           /* of an owner in a microbatch */
	double tokens;              /* of all owners in a microbatch */
	struct training_body *body; /* of each body of the program, a layer */
	struct balances *balances;  /* of experts, as the workload says that tokens choose them */
	/* by local value: */
	bool *again; /* its region, or itself, is computed again in the backward pass */
	bool *saved; /* the backward pass reads it from memory */
	bool *read;  /* the backward pass reads it: what would be saved if nothing were computed again */
};

/* training.c */
/* Layers [begin, end) of a chunk of a stage. */
struct layer_range {
	int64_t begin, end;
};
struct layer_range training_layers(const struct training *t, int stage, int chunk);
/* The number of these layers that run a body. */
int64_t training_turns(const struct training *t, struct layer_range layers, int body);
/* The axis of experts' rows that a value has; -1: none. */
int training_slot(const struct program *p, const struct local_value *v);
/* How evenly ranks share the rows of experts that a value has, and among whom; of a value without such rows, evenly. */
struct balance training_balance(const struct training *t, const struct local_value *v, struct expert_split *split);
/* Elements of a value that a rank has for one microbatch; of a param, those of one layer. Of rows of experts, those of
 * the busiest rank. */
double training_elements(const struct training *t, const struct local_value *v);
double training_value_bytes(const struct training *t, int value);
/* Bytes of a stored weight that was gathered: in the format of activations, if that is narrower. */
double training_gathered(const struct training *t, int value);
const struct value *training_source(const struct training *t, int value);
/* Is the value the operation `op` of the program, rather than a collective or a constant? */
bool training_is(const struct training *t, int value, enum op op);
/* Has the value a row for each token? */
bool training_has_tokens(const struct training *t, int value);
/* The value whose memory it shares: its operand, if it only names an axis otherwise. */
int training_storage(const struct training *t, int value);

/* training_passes.c: by local value, whether a kernel of the forward pass writes it; others live within a kernel. */
bool *training_in_memory(const struct training *t);
/* The value whose memory a value is in or a view of; a bias is added by the product that it is added to. */
int training_root(const struct training *t, int value);

/* training_saved.c: fills in what is read and what is saved. */
void training_find_saved(struct training *t);

/* training_memory.c: bytes of a rank of a stage. */
struct training_memory {
	double weights, gradients, optimizer;
	double saved;   /* for the backward pass, by all microbatches in flight */
	double working; /* in the layer, or at the logits, where it takes most */
	double peak;    /* of all of these */
};
struct training_memory training_stage_memory(const struct training *t, int stage);
/* Bytes of params that have an axis of experts, in all layers of a stage: weights, gradients and optimizer alone. */
struct training_body training_experts(const struct training *t, int stage, int axis);
struct training_memory training_fullest(const struct training *t, int *stage);
/* The stages from `begin` on that have equal bytes. */
struct stage_range training_equal_stages(const struct training *t, int begin);
void training_find_bytes(struct training *t); /* fills in bytes of the bodies */
/* Bytes of a param's elements on a rank in the layout of a class, in a format; of a param in a loop, those of one
 * layer. */
double training_param_bytes(const struct training *t, const struct param *p, int klass, enum dtype format);
/* Does an operation on the stage read a value that lies outside the loops? Both ends of a pipeline read a tied
 * embedding. */
bool training_reads(const struct training *t, int value, int stage);
/* training_metrics.c: the value of the first exchange of experts' rows, or -1. */
int training_exchange(const struct training *t, struct expert_split *split, struct balance *balance);
/* The parts of a step's time, as text. */
struct steered;
void training_print_times(struct text *out, struct arena *a, const struct training *t, const struct steered *steered);
#endif
