/* What rank 0 spends on planning a decode step: CPU time of schedule_next, without ranks and without a model.
 *   schedule [SEQUENCES] [TOKENS]    prompts of 1000 ids, as many tokens each; a window of 1024 beside whole sequences
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "../runtime/schedule.h"
#include "../tests/unit/rt_tiny.h"

enum { PROMPT = 1000, PAGE = 16, WINDOW_PAGES = 70, WINDOW = 1024, CHUNK = 8192 };

static double cpu_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void make_plan(struct plan *plan, unsigned n, unsigned tokens)
{
	static struct blob_builder b;
	const struct dr_pool pools[] = {{0, n * ((PROMPT + tokens) / PAGE + 2)},
	                                {WINDOW + PAGE - 1, n * WINDOW_PAGES + CHUNK / PAGE}};
	tiny_build(&b, &(struct tiny){1, 1, 1, 1});
	struct dr_program *h = (struct dr_program *)(void *)b.at;
	h->seqs = n;
	h->page_size = PAGE;
	h->pages_per_seq = (PROMPT + tokens) / PAGE + 2;
	tiny_pools(&b, pools, 2);
	tiny_program(&b, DR_PREFILL)->max_tokens = CHUNK;
	tiny_program(&b, DR_DECODE)->max_tokens = n;
	tiny_program(&b, DR_PREFILL)->max_rows = tiny_program(&b, DR_DECODE)->max_rows = n;
	const char *wrong = plan_open(plan, b.at);
	if (wrong) {
		fprintf(stderr, "%s\n", wrong);
		exit(1);
	}
}

/* Plays the ranks: each row gets a token. */
static void give_tokens(struct schedule *s, const struct step *step)
{
	for (int row = 0; row < step->rows[0]; row++) {
		struct sequence *q = schedule_row(s, 0, 0, row);
		if (q)
			schedule_token(q, 1);
		if (q && q->n_out == q->max_tokens)
			schedule_remove(s, q);
	}
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 256, tokens = argc > 2 ? atoi(argv[2]) : 2000, steps = 0;
	if (n < 1 || n > 1 << 16 || tokens < 1 || tokens > 1 << 16) {
		fprintf(stderr, "schedule: from 1 to 65536 sequences and tokens\n");
		return 2;
	}
	struct plan plan;
	struct step step;
	double sum = 0, most = 0;
	make_plan(&plan, (unsigned)n, (unsigned)tokens);
	struct schedule *s = schedule_open(&plan, true);
	struct sequence *q = host_alloc((size_t)n, sizeof *q);
	step_open(&step, &plan);
	for (int i = 0; i < n; i++) {
		q[i] = (struct sequence){.n_prompt = PROMPT, .max_tokens = tokens};
		q[i].ids = host_alloc((size_t)(PROMPT + tokens), sizeof *q[i].ids);
		schedule_add(s, &q[i]);
	}
	for (;;) {
		double before = cpu_us();
		if (!schedule_next(s, &step))
			break;
		double us = cpu_us() - before;
		give_tokens(s, &step);
		if (step.head->phase != DR_DECODE)
			continue;
		sum += us;
		most = us > most ? us : most;
		steps++;
	}
	printf("%d decode steps of %d sequences: %.1f us each, at most %.1f us\n", steps, n, steps ? sum / steps : 0, most);
	for (int i = 0; i < n; i++)
		free(q[i].ids);
	free(q);
	step_close(&step);
	schedule_close(s);
	return 0;
}
