/* The runtime's parts, in the order in which a launcher goes through them. */
#ifndef DEPLOY_RUNTIME_H
#define DEPLOY_RUNTIME_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "abi.h"
#include "comm.h"
#include "device.h"
#include "plan.h"
#include "report.h"
#include "step.h"

/* What the compiler generated, so that a test can bring its own. */
struct generated {
	const unsigned char *blob;
	const dr_kernel_fn *kernels;
	const dr_step_fn *steps; /* by enum dr_phase */
};

/* ---- cli.c: the command line ----------------------------------------------------------------- */
struct prompt {
	int32_t *ids;
	int n;
	struct dr_sampling sampling;
}; /* zeros: greedy */
enum { MAX_UNVERIFIED = 64 };
struct options {
	const char *weights, *logits; /* NULL: none */
	struct prompt *prompts;
	int n_prompts;
	int32_t *stop; /* token ids that end a continuation */
	int n_stop;
	int max_tokens, threads;     /* 0: the default */
	int prompt, output, batch;   /* of bench */
	struct dr_sampling sampling; /* of the first prompt; the next ones have the next seeds */
	const char *unverified[MAX_UNVERIFIED];
	int n_unverified;
	bool bench;
	const char *device; /* of the environment, see env.def */
	int timeout;        /* seconds */
};
/* The launcher's main, with what it launches. */
int launcher_main(int argc, char **argv, const struct generated *g);

/* ---- safetensors.c, config.c, weights_check.c, weights_load.c -------------------------------- */
struct checkpoint;
enum { TENSOR_DIMS = 8, TENSOR_OTHER_DTYPE = 100 }; /* a dtype that the runtime does not read */
struct tensor {
	char *name;
	char stored[12];
	uint32_t dtype; /* as the file names it; enum dr_dtype */
	int dims;
	int64_t dim[TENSOR_DIMS];
	uint64_t count;
	const unsigned char *data; /* count elements, of any alignment */
	uint64_t stored_bytes;
	int file; /* where it is: see checkpoint_guard */
};
/* Maps the checkpoint of a folder: model.safetensors, or the shards of model.safetensors.index.json. What is wrong with
 * them is reported; the tensors that could be read are there. */
struct checkpoint *checkpoint_open(const char *folder, struct problems *p);
void checkpoint_close(struct checkpoint *c);
const struct tensor *checkpoint_find(const struct checkpoint *c, const char *name);
int checkpoint_size(const struct checkpoint *c);
const struct tensor *checkpoint_at(const struct checkpoint *c, int i);
/* From here on a file of the checkpoint that is cut short while it is mapped ends the process with a message; r: a
 * rank's, or NULL. Ranks inherit it. c NULL: no longer. */
void checkpoint_guard(const struct checkpoint *c, const struct reporter *r);
/* A JSON file of at most 16 MiB. NULL after a report. */
struct json_t *json_file(const char *path, struct problems *p);
char *join_path(const char *folder, const char *name);

/* What --unverified accepts: names, or globs, of fields that config.json lacks or the program does not know, and of
 * tensors that no param reads. used: it matched something. */
struct unverified {
	const char *const *name;
	int n;
	bool used[MAX_UNVERIFIED];
};
bool unverified_has(struct unverified *u, const char *name); /* notes the use */
void unverified_check(const struct unverified *u,
                      struct problems *p); /* reports what matched nothing: it is misspelt */

/* Compares config.json with what the program was compiled for (docs/language.md, Checkpoints). */
void config_check(const struct plan *plan, const char *folder, struct unverified *u, struct problems *p);
void config_fields_check(const struct plan *plan, struct json_t *root, struct unverified *u, struct problems *p);
/* Compares every tensor's presence, shape and dtype, and rejects tensors that nothing reads, but for what the program
 * lists. */
void weights_check(const struct plan *plan, const struct checkpoint *c, struct unverified *u, struct problems *p);
/* weights_unread.c: tensors that no param reads. read: by index of the checkpoint's tensors. Without `p` only uses are
 * noted. */
void weights_unread_check(const struct plan *plan, const struct checkpoint *c, const bool *read, struct unverified *u,
                          struct problems *p);

/* The key of a param's tensor. digit[a]: global index along axis a, used for the keyed ones. */
void param_key(const struct plan *plan, const struct dr_param *p, int64_t layer, const int64_t *digit, char *out,
               size_t n);
enum { KEY_BYTES = 512, MAX_AXES = 16 };

/* Elements of a param's stored tensor, or random ones when there is no checkpoint: [flat + i * stride], to `dtype`. */
struct source {
	const struct tensor *tensor; /* NULL: random */
	uint64_t seed;
	float center, scale; /* random: uniform in center +- scale, a function of seed and position */
};
void source_read(const struct source *s, int64_t flat, int64_t stride, int64_t n, uint32_t dtype, void *to);

struct memory;
/* Writes this rank's params, constants and expert maps to its device. */
void weights_load(const struct plan *plan, int rank, const struct checkpoint *c, struct device *d,
                  const struct memory *m, int threads, const struct reporter *r);
void tables_load(const struct plan *plan, int rank, struct device *d, const struct memory *m);

/* ---- allocator.c: all device memory of a rank ------------------------------------------------ */
struct memory {
	struct device *device;
	struct reporter reporter;
	uint64_t base[DR_SPACES], bytes[DR_SPACES], total;
	bool sealed;
};
/* Bytes of the communicator's buffers of one rank: they count as DR_SPACE_COMM. */
uint64_t plan_comm_bytes(const struct plan *plan);
/* One allocation for each space of the rank's stage. */
void memory_open(struct memory *m, const struct plan *plan, int rank, struct device *d, const struct reporter *r);
/* Memory that no space of the plan has; an internal error once sealed, which memory_open does last. */
uint64_t memory_take(struct memory *m, enum dr_space space, uint64_t bytes);

/* ---- npy.c ----------------------------------------------------------------------------------- */
/* f32 [n0][n1][n2] in a file that gets its name when it is whole. target: what `path` links to, or path. */
struct npy {
	const char *path;
	char *target, *temporary;
	int fd;
	size_t header;
	int64_t dim[3];
};
bool npy_open(struct npy *f, const char *path, int64_t n0, int64_t n1, int64_t n2); /* false after a message */
bool npy_row(const struct npy *f, int64_t i0, int64_t i1, const float *row);
bool npy_finish(struct npy *f);
void npy_discard(struct npy *f);

/* ---- rank.c: the life of one rank; serve.c: rank 0's part of it ------------------------------ */
struct world;
struct job {
	const struct generated *generated;
	const struct plan *plan;
	const struct options *options;
	const struct checkpoint *checkpoint; /* NULL: random weights */
	struct npy *npy;                     /* NULL: no logits */
	struct world *world;
	bool spin;
	int threads; /* of each rank */
};
/* trace.c: where a rank's numbers stop being finite. order: among its launches of the step, from 1; 0: nowhere. */
struct rank_odd {
	uint32_t order;
	int op, layer;
};

/* results.c: which results of a phase a rank gives to rank 0: of its owners, from first_owner on, of each the part-th
 * of `parts` of the rows, and of a row's logits the shard-th `width`. */
struct parcel_plan {
	int first_owner, owners, part, parts, shard, width;
	bool tokens, logits; /* whether it gives them */
};
struct parcel_plan parcel_plan(const struct plan *plan, int rank, int phase, bool logits);
struct parcel {
	struct parcel_plan plan[DR_PHASES];
	unsigned char *bytes;
	size_t n;
};
struct inbox;

struct rank {
	struct dr_frame frame; /* first: generated code hands it back */
	const struct job *job;
	int index, first_layer;     /* first_layer: of its stage */
	uint32_t traced;            /* launches of a step that is traced */
	struct rank_odd odd, *odds; /* trace.c: of this rank; [ranks], on rank 0 while it traces */
	struct reporter reporter;
	struct device *device;
	struct comm *comm;
	struct memory memory;
	struct step step;
	struct parcel parcel;
	struct inbox *inbox; /* NULL but on rank 0 */
	int32_t *starts;     /* [ranks + 1]: dr_rounds */
	int32_t *counted;    /* [step_max_words]: an array of a step, as this rank counts sequences and pages */
};
/* Runs a rank from its start to its end. */
void rank_main(const struct job *job, int index);
/* gaps.c, for tests: around a microbatch. */
void gaps_fill(struct rank *r);
void gaps_check(struct rank *r);
/* results.c: a rank packs what a microbatch gave, and delivers all of it after the last; rank 0 collects. */
void parcel_open(struct rank *r);
void parcel_close(struct rank *r);
void parcel_pack(struct rank *r, int microbatch);
void parcel_deliver(struct rank *r);
struct inbox *inbox_open(const struct rank *r);
void inbox_close(struct inbox *in);
const struct results *inbox_results(const struct inbox *in); /* of the last step */
/* Runs a step that all ranks have; rank 0 broadcasts it first, and has its results after. */
bool rank_step(struct rank *r); /* false: rank 0 said that there are no more */
/* Rank 0: runs the job's prompts and prints what came of it. */
void serve(struct rank *r);
/* Reports why the engine would reject the first n prompts, or the stop ids. */
void prompts_check(const struct plan *plan, const struct options *o, int n, struct problems *p);
void activity(struct rank *r, enum activity a);

/* ---- trace.c --------------------------------------------------------------------------------- */
/* Before a step, and after the results of one with head->trace: what each rank found reaches rank 0. */
void trace_begin(struct rank *r);
void trace_deliver(struct rank *r);
/* After each launch of a step with head->trace. */
void trace_launch(struct rank *r, int32_t kernel, int32_t op, const uint64_t *args);
/* Rank 0, around running the last step again: asks for it to be traced, and says in words where numbers stop being
 * finite. false: the launcher does not know what its kernels return. */
bool trace_ask(struct rank *r);
void trace_answer(struct rank *r, char *out, size_t n);

/* ---- launch.c -------------------------------------------------------------------------------- */
/* host_memory.c: bytes that the kernel and control groups would give. root: "", or a folder with a /proc and a /sys for
 * tests. UINT64_MAX: nothing is known. */
uint64_t host_memory(const char *root);
/* Runs the job's ranks in a world: launch() in processes of this host. Returns the exit status. */
int launch(struct job *job);
int launch_in(struct job *job, struct world *w);
#endif
