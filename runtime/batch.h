/* `run` with a file of prompts. In the folder of answers:
 *   run.json               what the run was started with
 *   outputs.partial.jsonl  while it runs: finished answers, each after its prompt's number and a tab
 *   outputs.jsonl          at the end: the answers, in the order of the prompts
 *   performance.json       with --measure
 * A run that was ended goes on with the prompts that have no answer yet. */
#ifndef DEPLOY_BATCH_H
#define DEPLOY_BATCH_H
#include <jansson.h>
#include "runtime.h"

/* Reads options->prompts_file, JSON lines or one JSON array of objects, into options->prompts. Mistakes are reported,
 * all of them. */
void batch_read(struct options *o, struct problems *p);

struct batch;
/* Makes the folder, or finds the answers of a run that had the same plan, prompts, weights and options. Reports what is
 * in the way: another run's files, another launcher that writes there. NULL: it did. */
struct batch *batch_open(const struct options *o, const struct plan *plan, struct problems *p);
const bool *batch_done(const struct batch *b, int *n); /* [prompts]: which have answers; *n: how many */
bool batch_complete(const struct batch *b);            /* outputs.jsonl is there */
/* Adds an answer; false: errno. It is kept even if the launcher is killed right after. */
bool batch_append(struct batch *b, int prompt, const json_t *answer);
/* Puts the answers in order. false after a message. */
bool batch_finish(struct batch *b);
/* Writes a file of the folder under a temporary name, and renames it. false: errno. */
bool batch_write(const struct batch *b, const char *name, const json_t *v);
void batch_close(struct batch *b);
#endif
