/* The runtime's parts, in the order in which a launcher uses them. */
#ifndef DEPLOY_RUNTIME_H
#define DEPLOY_RUNTIME_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "abi.h"
#include "adjust.h"
#include "comm.h"
#include "device.h"
#include "plan.h"
#include "report.h"
#include "step.h"

/* The generated program. Tests substitute their own. */
struct generated {
	const unsigned char *blob;
	const struct dr_image *image;
	const dr_step_fn *steps; /* by enum dr_phase */
};

/* ---- cli.c: the command line ----------------------------------------------------------------- */
enum sampling_option { TEMPERATURE = 1, TOP_K = 2, TOP_P = 4, MIN_P = 8, REPETITION = 16 };
struct prompt {
	int32_t *ids, *stop; /* stop: token ids that end the continuation */
	int n, n_stop, max_tokens;
	struct dr_sampling sampling; /* zeros: greedy */
	struct penalties penalties;
	int logprobs;            /* 0: none; else 1 + the number of most likely tokens */
	int given;               /* enum sampling_option bits: the others may come from the checkpoint */
	bool own_stop, own_bias; /* else `stop` is the options' and the checkpoint's; biases are the options' */
	struct json_t *messages; /* a conversation, of which `text` is made; NULL: none */
	char *text;              /* UTF-8, of which ids are made; NULL: ids were given */
	char **stop_text;        /* strings that end the text of the answer */
	int n_stop_text;
	int line;   /* in the file of prompts; 0: none */
	char *name; /* the prompt's `id` in the file, as JSON; NULL: none */
};
enum { MAX_UNVERIFIED = 64, MAX_COUNT = 1 << 24, MAX_TEMPERATURE = 100 };
struct options {
	const char *weights, *logits;          /* NULL: none */
	const char *prompts_file, *output_dir; /* NULL: none */
	const char *calibrate;                 /* of bench: the file of records; NULL: none */
	const char *trace;                     /* the file of the timeline; NULL: none */
	struct prompt *prompts;
	int n_prompts, room;   /* room: of `prompts` */
	uint64_t prompts_hash; /* of the file */
	int32_t *stop;         /* token ids that end a continuation */
	int n_stop;
	char **stop_text; /* strings that end the text of an answer */
	int n_stop_text;
	int given;                   /* enum sampling_option bits: what the user chose */
	int max_tokens, threads;     /* 0: the default */
	int prompt, output, batch;   /* options of bench */
	struct dr_sampling sampling; /* for the first prompt; the others have the next seeds */
	struct penalties penalties;
	int logprobs; /* see struct prompt */
	const char *unverified[MAX_UNVERIFIED];
	int n_unverified;
	bool bench, measure, decode;
	const char *device; /* from the environment, see env.def */
	int timeout;        /* seconds */
	int sync;           /* 1: see struct device_options */
};
/* The launcher's main, for a generated program. */
int launcher_main(int argc, char **argv, const struct generated *g);

/* ---- safetensors.c, config.c, weights_check.c, weights_load.c -------------------------------- */
struct checkpoint;
enum { TENSOR_DIMS = 8, TENSOR_OTHER_DTYPE = 100 }; /* OTHER_DTYPE: one that the runtime does not read */
struct tensor {
	char *name;
	char stored[12];
	uint32_t dtype; /* of the file; enum dr_dtype */
	int dims;
	int64_t dim[TENSOR_DIMS];
	uint64_t count;
	const unsigned char *data; /* count elements, of any alignment */
	uint64_t stored_bytes;
	int file; /* index of its file: see checkpoint_guard */
};
/* Maps the checkpoint of a folder: model.safetensors, or the shards of model.safetensors.index.json. Reports their
 * mistakes; the result has the tensors that could be read. */
struct checkpoint *checkpoint_open(const char *folder, struct problems *p);
void checkpoint_close(struct checkpoint *c);
const struct tensor *checkpoint_find(const struct checkpoint *c, const char *name);
/* Gives each tensor the name that `rename` returns, which the checkpoint then owns; drops those for which it returns
 * NULL. Reports two of one name. */
void checkpoint_rename(struct checkpoint *c, char *(*rename)(void *context, const char *name), void *context,
                       struct problems *p);
int checkpoint_size(const struct checkpoint *c);
const struct tensor *checkpoint_at(const struct checkpoint *c, int i);
/* From now on, a file of the checkpoint that is truncated while it is mapped ends the process with a message. Ranks
 * inherit this. r: reporter of a rank, or NULL. c NULL: ends the guard. */
void checkpoint_guard(const struct checkpoint *c, const struct reporter *r);
/* A JSON file of at most 16 MiB. NULL after a report. */
struct json_t *json_file(const char *path, struct problems *p);
char *join_path(const char *folder, const char *name);

/* What --unverified accepts: names or globs of fields that config.json lacks or the program does not know, and of
 * tensors that no param reads. used: it matched something. */
struct unverified {
	const char *const *name;
	int n;
	bool used[MAX_UNVERIFIED];
};
bool unverified_has(struct unverified *u, const char *name); /* notes the use */
void unverified_check(const struct unverified *u,
                      struct problems *p); /* reports those that matched nothing: they are misspelt */

/* Compares config.json with what the program was compiled for (docs/language.md, Checkpoints). true: the file is of a
 * larger model, which has the program's in an object. */
bool config_check(const struct plan *plan, const char *folder, struct unverified *u, struct problems *p);
void config_fields_check(const struct plan *plan, struct json_t *root, struct unverified *u, struct problems *p);
/* weights_inner.c: takes a prefix from the names of the program's tensors. larger: drops the others, which are those of
 * a larger model. Before weights_check. */
void weights_inner(const struct plan *plan, struct checkpoint *c, bool larger, struct problems *p);
/* Checks presence, shape and dtype of every tensor. Rejects tensors that nothing reads, except those listed in the
 * program. */
void weights_check(const struct plan *plan, const struct checkpoint *c, struct unverified *u, struct problems *p);
/* weights_unread.c: checks tensors that no param reads. read: by index of the checkpoint's tensors. p NULL: only notes
 * uses of --unverified. */
void weights_unread_check(const struct plan *plan, const struct checkpoint *c, const bool *read, struct unverified *u,
                          struct problems *p);

/* Writes the key of a param's tensor. digit[a]: global index along axis a, used if the axis is keyed. */
void param_key(const struct plan *plan, const struct dr_param *p, int64_t layer, const int64_t *digit, char *out,
               size_t n);
enum { KEY_BYTES = 512, MAX_AXES = 16 };

/* Elements of a param's stored tensor, or random ones without a checkpoint: [flat + i * stride], as `dtype`. */
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
/* Bytes of the communicator's buffers on the host, per rank, which count as DR_SPACE_COMM too. */
uint64_t plan_comm_host_bytes(const struct plan *plan);
/* Ends the rank if its spaces of the plan take more than what is left of the device's memory. */
void memory_check(const struct plan *plan, int rank, int workers, struct device *d, const struct reporter *r);
/* One allocation for each space of the rank's stage. workers: those of a launch on this rank. */
void memory_open(struct memory *m, const struct plan *plan, int rank, int workers, struct device *d,
                 const struct reporter *r);
/* Allocates memory outside the plan's spaces. An internal error after memory_open, which seals the allocator. */
uint64_t memory_take(struct memory *m, enum dr_space space, uint64_t bytes);

/* ---- npy.c ----------------------------------------------------------------------------------- */
/* f32 [n0][n1][n2] in a file that gets its name when it is complete. target: the file `path` links to, or path. */
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
struct batch;
struct tokenizer;
struct job {
	const struct generated *generated;
	const struct plan *plan;
	const struct options *options;
	const struct checkpoint *checkpoint; /* NULL: random weights */
	struct npy *npy;                     /* NULL: no logits */
	struct batch *batch;                 /* NULL: answers are printed */
	struct tokenizer *tokenizer;         /* NULL: no prompt is text */
	struct world *world;
	bool spin;
	int threads, workers; /* per rank: threads of the host; workers of a launch */
};
/* trace.c: where a rank's numbers stop being finite. order: number of the launch in the step, from 1; 0: nowhere. */
struct rank_odd {
	uint32_t order;
	int op, layer;
};

/* results.c: the results of a phase that a rank gives to rank 0: for its owners, from first_owner on, part number
 * `part` of `parts` of the rows, and of a row's logits the shard number `shard` of `width`. */
struct parcel_plan {
	int first_owner, owners, part, parts, shard, width;
	bool tokens, logits, logprobs; /* whether it gives them */
};
struct parcel_plan parcel_plan(const struct plan *plan, int rank, int phase, bool logits);
/* Parcels take turns, so that one is packed while the one before is under way. Where the device queues its work, parcel
 * i is complete when the device's mark STAGINGS + i is passed. */
enum { PARCELS = 2 };
struct parcel {
	unsigned char *bytes;
	size_t n;
};
struct parcels {
	struct parcel_plan plan[DR_PHASES];
	struct parcel at[PARCELS];
	unsigned packed; /* steps so far; the parcel of step i, from 0, is i % PARCELS */
};
struct inbox;

/* rank_inputs.c: where the device queues its work, copies of DR_SPACE_INPUT in its host memory; buffer i is in use
 * until the device's mark i. */
enum { STAGINGS = DEVICE_MARKS - PARCELS };
struct staging {
	unsigned char *buffer[STAGINGS];
	unsigned next;
};

/* rank_graphs.c */
struct graphs;
enum { MAX_GRAPHS = 64 };

struct rank {
	struct dr_frame frame; /* first: generated code passes it back */
	const struct job *job;
	int index;
	uint32_t traced;            /* launches so far in a traced step */
	struct rank_odd odd, *odds; /* trace.c: this rank's; [ranks], on rank 0 while it traces */
	bool trace_late;            /* the next step was under way when that was asked for */
	struct reporter reporter;
	struct device *device;
	struct comm *comm;
	struct memory memory;
	struct step step, other;  /* other: of the step under way; while one is queued, of the step before it */
	bool overlaps, under_way; /* steps may overlap; one is under way: its results are still to be delivered */
	unsigned asked_host;      /* phases whose last step asked the host while it was queued, as bits */
	struct parcels parcels;
	struct inbox *inbox; /* rank 0 only, else NULL */
	int32_t *starts;     /* [ranks + 1]: dr_rounds */
	int32_t *counted;    /* [step_max_words]: an input array with this rank's numbers of sequences and pages */
	struct staging staging;
	struct graphs *graphs;
	bool used_host;            /* the program of a step asked the host, so it cannot be a graph */
	struct measured *measured; /* calibrate.h: what is measured of launches and collectives; NULL: nothing */
	struct meter *meter;       /* meter.h: what steps take; NULL: it is not measured */
	struct timeline *timeline; /* likewise, when operations ran */
	int microbatch;            /* that runs */
};
/* Runs a rank from its start to its end. */
void rank_main(const struct job *job, int index);
/* gaps.c, for tests: before and after a microbatch. */
void gaps_fill(struct rank *r);
void gaps_check(struct rank *r);
/* rank_inputs.c: a microbatch's inputs; what changed in the page tables. */
void inputs_open(struct rank *r);
void inputs_close(struct rank *r);
void inputs_write(struct rank *r, int microbatch);
void inputs_write_pages(struct rank *r);
/* rank_graphs.c: runs the program of a microbatch, as a graph where that is possible. */
struct graphs *graphs_open(void);
void graphs_close(struct rank *r);
void graphs_run(struct rank *r);
/* ranges.c: ranges of a profiler, if one is attached; they nest. layer -1: none. warns: says so if that is not
 * possible.
 */
void ranges_open(bool warns);
void range_begin(const char *name, int layer);
void range_end(void);
/* abi.c: writes an operation to the board. */
void note_op(struct rank *r, int32_t op);
/* results.c: a rank packs the results of each microbatch, and delivers them when they are complete; rank 0 collects.
 * back: 0 for the step queued last, 1 for the one before; r->step is that step. */
void parcels_open(struct rank *r);
void parcels_close(struct rank *r);
void parcel_pack(struct rank *r, int microbatch);
void parcel_sent(struct rank *r);                 /* after the last microbatch */
void parcel_await(struct rank *r, unsigned back); /* until it is complete */
void parcel_deliver(struct rank *r, unsigned back);
struct inbox *inbox_open(const struct rank *r);
void inbox_close(struct inbox *in);
const struct results *inbox_results(const struct inbox *in); /* results of the last step */
/* Runs a step on this rank. Rank 0 broadcasts it first, and has its results afterwards; if they come later (step.h),
 * those of the step under way before it, if there is one, which r->step then describes. */
bool rank_step(struct rank *r); /* false: rank 0 has no more steps */
/* rank_ahead.c: steps that overlap. Can they, with this plan on this device? Copies the tokens of the step under way to
 * the ids of the step that is queued. Rank 0: puts the tokens that have come into the ids of the step under way, so
 * that it can be run again. */
bool ahead_possible(const struct rank *r);
void ahead_take_tokens(struct rank *r);
void ahead_know_tokens(struct rank *r);
struct stepper;
struct stepper rank_stepper(struct rank *r); /* rank_stepper.c: for the engine, on rank 0 */
/* Rank 0: runs the job's prompts and prints the results. */
void serve(struct rank *r);

/* ---- prompts.c ------------------------------------------------------------------------------- */
void set_seed(struct dr_sampling *s, uint64_t seed);
/* A prompt without ids, with what the options say. index: its number, counted from 0. */
struct prompt prompt_default(const struct options *o, int index, bool is_text);
/* Copies strings into a prompt's stop_text, in place of those that it has. */
void prompt_stop_texts(struct prompt *p, char *const *strings, int n);
/* Appends it to options->prompts, which then owns what it points to. */
struct prompt *prompt_add(struct options *o, const struct prompt *p);
void prompt_free(struct prompt *p);
static inline bool prompt_is_text(const struct prompt *p) { return p->text || p->messages; }
struct request;
struct request request_of(const struct prompt *p); /* engine.h; points to what the prompt has */
enum { WHERE_BYTES = 512 };
void prompt_where(const struct options *o, int i, char *out, size_t n); /* "prompt 1", "in.jsonl:3" */
/* Reports why the engine would reject the first n prompts, or the options' stop ids and biases. */
void prompts_check(const struct plan *plan, const struct options *o, int n, struct problems *p);
void activity(struct rank *r, enum activity a);

/* ---- measure.c, calibrate.c ------------------------------------------------------------------ */
/* After a launch and after a collective of so many elements, of a rank that measures. */
void measure_launch(struct rank *r, int32_t kernel, const uint64_t *args, int64_t ns);
void measure_collective(struct rank *r, int32_t collective, int64_t elements, int64_t ns);
/* Rank 0: runs steps of many sizes, and writes what they took as records of the language. */
void calibrate(struct rank *r);

/* ---- trace.c --------------------------------------------------------------------------------- */
/* Before a step; and after the results of a step with head->trace, to give each rank's finding to rank 0. */
void trace_begin(struct rank *r);
void trace_deliver(struct rank *r);
/* After each launch of a step with head->trace. */
void trace_launch(struct rank *r, int32_t kernel, int32_t op, const uint64_t *args);
/* Rank 0, before and after running the last step again: requests a trace of it; writes where numbers stop being finite.
 * false: the launcher lacks the table of its kernels' results. */
bool trace_ask(struct rank *r);
void trace_answer(struct rank *r, char *out, size_t n);

/* ---- launch.c -------------------------------------------------------------------------------- */
/* host_memory.c: bytes that the kernel and control groups can provide. root: "", or in tests a folder with /proc and
 * /sys. UINT64_MAX: unknown. */
uint64_t host_memory(const char *root);
/* Runs the job's ranks in a world; launch() runs them in processes of this host. Returns the exit status. */
int launch(struct job *job);
int launch_in(struct job *job, struct world *w);
#endif
