/* Speed of a tokenizer on one core: tokenize TOKENIZER.json FILE. The file is encoded whole, then decoded token by
 * token; the best of several runs counts. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "text/tokenizer.h"

enum { RUNS = 7 };

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static char *read_file(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	char *text = malloc(TEXT_MAX_INPUT);
	if (!f || !text) {
		perror(path);
		exit(1);
	}
	*n = fread(text, 1, TEXT_MAX_INPUT, f);
	fclose(f);
	return text;
}

static double encode(struct tokenizer *t, const char *text, size_t n, struct token_ids *ids)
{
	struct text_error e;
	double best = 1e9;
	for (int i = 0; i < RUNS; i++) {
		double start = now();
		ids->n = 0;
		if (!tokenizer_encode(t, text, n, 0, ids, &e)) {
			fprintf(stderr, "%s\n", e.text);
			exit(1);
		}
		best = now() - start < best ? now() - start : best;
	}
	return best;
}

static double decode(const struct tokenizer *t, const struct token_ids *ids)
{
	double best = 1e9;
	size_t n;
	for (int i = 0; i < RUNS; i++) {
		struct text_stream *s = text_stream_open(t, 0);
		double start = now();
		for (size_t k = 0; k < ids->n; k++)
			text_stream_next(s, ids->at[k], &n);
		best = now() - start < best ? now() - start : best;
		text_stream_close(s);
	}
	return best;
}

int main(int argc, char **argv)
{
	struct text_error e;
	double start = now();
	struct tokenizer *t = argc == 3 ? tokenizer_open(argv[1], &e) : NULL;
	if (!t) {
		fprintf(stderr, "%s\n", argc == 3 ? e.text : "usage: tokenize TOKENIZER.json FILE");
		return 1;
	}
	double load = now() - start;
	size_t n;
	char *text = read_file(argv[2], &n);
	struct token_ids ids = {0};
	double encoding = encode(t, text, n, &ids), decoding = decode(t, &ids);
	printf("%s: %d tokens, read in %.2f s\n", argv[1], tokenizer_size(t), load);
	printf("%.1f MB, %.2f bytes a token: encodes %.1f MB/s, decodes %.1f MB/s\n", 1e-6 * (double)n,
	       (double)n / (double)(ids.n ? ids.n : 1), 1e-6 * (double)n / encoding, 1e-6 * (double)n / decoding);
	free(ids.at);
	free(text);
	tokenizer_close(t);
	return 0;
}
