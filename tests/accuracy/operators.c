/* Times of single operators by the constants of a deployment's cluster, for tests/accuracy/run.py:
 *   operators SPEC < QUERIES       one line each: seconds, or `none`
 * product WEIGHTS ACTIVATIONS M N K      without a cast of the activations
 * rows BYTES REDUCES
 * collective KIND RANKS BYTES            kind as in collective_names; ranks fill the innermost level first
 * dispatch RANKS TOKENS TOP ROW_BYTES */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../planner/time.h"
#include "../../sema/sema.h"

static const char *const collective_names[COLLECTIVE_FITS] = {"all_reduce", "all_gather",     "reduce_scatter",
                                                              "all_to_all", "point_to_point", "one_shot"};
enum { MAX_LEVELS = 8 };

static struct silicon silicon_of(const struct accelerator *d)
{
	return (struct silicon){d->bandwidth, d->multiprocessors, d->peak[DTYPE_BF16]};
}

static int format(const char *name)
{
	int t = 0;
	while (t < DTYPE_COUNT && strcmp(dtype_name((enum dtype)t), name))
		t++;
	return t;
}

static const struct fit_product *product_fit(const struct calibration *c, int weights, int activations)
{
	for (int i = 0; i < c->products.n; i++)
		if ((int)c->products.at[i].weights == weights && (int)c->products.at[i].activations == activations)
			return &c->products.at[i];
	return NULL;
}

static double product(const struct machine *m, const char *rest)
{
	char weights[16], activations[16];
	struct product p;
	if (sscanf(rest, "%15s %15s %lf %lf %lf", weights, activations, &p.m, &p.n, &p.k) != 5)
		return ABSENT;
	int w = format(weights), a = format(activations);
	const struct fit_product *fit = product_fit(m->device.calibration, w, a);
	const struct fit_product *plain = product_fit(m->device.calibration, DTYPE_BF16, DTYPE_BF16);
	if (!fit || !plain)
		return ABSENT;
	struct silicon d = silicon_of(&m->device);
	p.weight_bytes = dtype_millibits((enum dtype)w) / 8000.0;
	p.activation_bytes = dtype_millibits((enum dtype)a) / 8000.0;
	p.peak = m->device.peak[a];
	return time_of(time_product_cast_before(&d, fit, plain, &p));
}

static double passes(const struct machine *m, const char *rest)
{
	double bytes;
	int reduces;
	struct silicon d = silicon_of(&m->device);
	if (sscanf(rest, "%lf %d", &bytes, &reduces) != 2)
		return ABSENT;
	return time_of(time_rows(&d, &m->device.calibration->rows, bytes, reduces));
}

/* The group of the first `ranks` ranks. */
static struct across group_of(const struct machine *m, double ranks, double members[MAX_LEVELS])
{
	for (int i = 0; i < m->levels.n; i++) {
		double count = (double)m->levels.at[i].count;
		members[i] = ranks < count ? ranks : count;
		ranks /= members[i];
	}
	return (struct across){m, m->device.calibration->collective, members};
}

static double collective(const struct machine *m, const char *rest)
{
	char kind[16];
	double ranks, bytes, members[MAX_LEVELS];
	if (sscanf(rest, "%15s %lf %lf", kind, &ranks, &bytes) != 3)
		return ABSENT;
	struct across g = group_of(m, ranks, members);
	for (int i = 0; i < COLLECTIVE_FITS; i++)
		if (!strcmp(collective_names[i], kind) && g.fits[i].known)
			return time_of(time_across(&g, (enum fit_collective_of)i, bytes));
	return ABSENT;
}

static double dispatch(const struct machine *m, const char *rest)
{
	double ranks, tokens, top, row_bytes, members[MAX_LEVELS];
	if (sscanf(rest, "%lf %lf %lf %lf", &ranks, &tokens, &top, &row_bytes) != 4)
		return ABSENT;
	struct across g = group_of(m, ranks, members);
	return time_of(time_dispatch(&g, tokens, top, row_bytes));
}

static double answer(const struct machine *m, const char *query)
{
	static const struct {
		const char *word;
		double (*time)(const struct machine *m, const char *rest);
	} queries[] = {{"product ", product}, {"rows ", passes}, {"collective ", collective}, {"dispatch ", dispatch}};
	for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
		if (!strncmp(query, queries[i].word, strlen(queries[i].word)))
			return queries[i].time(m, query + strlen(queries[i].word));
	return ABSENT;
}

int main(int argc, char **argv)
{
	struct arena arena = {0};
	struct names names = {.arena = &arena};
	struct sources sources = {.arena = &arena};
	struct sink sink = {.arena = &arena, .sources = &sources};
	struct sema_options options = {0};
	struct sema *s = sema_new(&arena, &names, &sink, &options);
	int n = 0;
	struct deploy **all = argc == 2 && sema_load(s, argv[1]) ? sema_deploys(s, &n) : NULL;
	if (n != 1 || !all[0]->machine.device.calibration || all[0]->machine.levels.n > MAX_LEVELS) {
		fprintf(stderr, "operators: a spec with one deployment on calibrated devices\n");
		return 1;
	}
	for (char line[256]; fgets(line, sizeof line, stdin);) {
		double seconds = answer(&all[0]->machine, line);
		if (figure_known(seconds))
			printf("%.9g\n", seconds);
		else
			puts("none");
	}
	arena_free(&arena);
	return 0;
}
