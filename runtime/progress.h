/* A line on the terminal while weights are loaded. */
#ifndef DEPLOY_PROGRESS_H
#define DEPLOY_PROGRESS_H
#include "runtime.h"

struct progress {
	int64_t begin, shown; /* times of now_ns(); shown 0: never */
	bool terminal;        /* of standard error; else nothing is shown */
};
void progress_open(struct progress *p);
/* To be called now and then while ranks run. */
void progress_look(struct progress *p, const struct job *job);
enum { PROGRESS_BYTES = 80 };
/* "loading weights: 1.5 of 8.0 GB, 0.7 GB/s" */
void progress_text(char out[PROGRESS_BYTES], uint64_t done, uint64_t all, int64_t ns);
#endif
