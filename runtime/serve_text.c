/* Rank 0's part of `run --prompt`: the answers' text, as it comes if there is one prompt. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../support/escape.h"
#include "answer_logprobs.h"
#include "pass.h"

/* On a terminal, characters that would control it are printed as codes, but for ends of lines and tabs. */
static void print_text(const char *text, size_t n)
{
	const char *end = text + n;
	if (!isatty(STDOUT_FILENO)) {
		fwrite(text, 1, n, stdout);
		return;
	}
	while (text < end) {
		uint32_t point;
		int bytes = decode_utf8(text, end, &point);
		if (is_control(point) && point != '\n' && point != '\t')
			printf("\\u{%x}", (unsigned)point);
		else
			fwrite(text, 1, (size_t)bytes, stdout);
		text += bytes;
	}
}

/* The rank does not count as stuck while it writes. */
static void print_more(struct pass *p, int prompt)
{
	size_t n;
	const char *text = answer_text_more(p->answer[prompt].text, &n);
	activity(p->rank, ACTIVITY_PRINT);
	print_text(text, n);
	fflush(stdout);
	activity(p->rank, ACTIVITY_WAIT);
}

void serve_text(struct rank *r)
{
	const struct options *o = r->job->options;
	struct pass p = {
		.rank = r, .prompts = o->prompts, .n = o->n_prompts, .spoke = o->n_prompts == 1 ? print_more : NULL};
	pass_run(&p);
	activity(r, ACTIVITY_PRINT);
	for (int i = 0; i < p.n; i++) {
		size_t n;
		if (p.n > 1)
			printf("%s== prompt %d ==\n", i ? "\n" : "", i + 1);
		const char *text = answer_text_more(p.answer[i].text, &n);
		print_text(text, n);
		printf("\n");
		if (p.answer[i].logprobs) {
			char *lines = answer_logprob_lines(&p.prompts[i], &p.answer[i], r->job->tokenizer);
			print_text(lines, strlen(lines));
			free(lines);
		}
	}
	pass_close(&p);
}
