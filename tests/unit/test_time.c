/* Times of kernels and collectives: golden values of the prototype (time_golden.h), and what holds for all sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "time_golden.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void same(double value, double golden)
{
	if (fabs(value / golden - 1) > 1e-9)
		fail_msg("%.17g, not %.17g", value, golden);
}

/* ---- golden values --------------------------------------------------------------------------- */
static struct product product_of(const struct product_value *v)
{
	const struct product_device *d = &product_devices[v->device];
	return (struct product){v->m, v->n, v->k, d->weight_bytes, d->activation_bytes, d->peak};
}

static void products_are_golden(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(products); i++) {
		const struct product_device *d = &product_devices[products[i].device];
		struct product p = product_of(&products[i]);
		same(time_of(time_product(&d->silicon, &d->fit, &p)), products[i].seconds);
	}
}

static void products_after_a_cast_are_golden(void **state)
{
	/* Launches of bf16 on the devices, by their index. */
	static const double plain[COUNT(product_devices)] = {0, 1.966e-6, 1.966e-6, 1.509e-6, 1.951e-6, 0, 0, 1.901e-6};
	(void)state;
	for (size_t i = 0; i < COUNT(products_cast_before); i++) {
		const struct product_value *v = &products_cast_before[i];
		const struct product_device *d = &product_devices[v->device];
		struct fit_product bf16 = {.launch = plain[v->device]};
		struct product p = product_of(v);
		same(time_of(time_product_cast_before(&d->silicon, &d->fit, &bf16, &p)), v->seconds);
	}
}

/* A processor: no tiles, so one row of m takes a share of what many take. */
static void untiled_products_count_operations(void **state)
{
	const struct fit_product fit = {.compute = 0.5, .memory = 1, .l2 = 1, .launch = 1e-6, .untiled = true};
	const struct silicon d = {.bandwidth = 1e15, .multiprocessors = 4};
	(void)state;
	same(time_of(time_product(&d, &fit, &(struct product){1, 1000, 1000, 2, 2, 1e12})), 5e-6);
	same(time_of(time_product(&d, &fit, &(struct product){10, 1000, 1000, 2, 2, 1e12})), 41e-6);
}

/* Of groups too: one row costs as much as another, and a group that has rows the bytes of its weight. */
static void untiled_groups_count_operations(void **state)
{
	struct fit_grouped fit = {.compute = 0.5, .memory = 1, .l2 = 1, .untiled = true};
	struct silicon d = {.bandwidth = 1e15, .multiprocessors = 4};
	(void)state;
	same(time_of(time_grouped(&d, &fit, &(struct grouped){1, 1, 1000, 1000, 2, 2, 1e12})), 4e-6);
	same(time_of(time_grouped(&d, &fit, &(struct grouped){10, 3, 1000, 1000, 2, 2, 1e12})), 40e-6);
	d.bandwidth = 1e6;
	same(time_of(time_grouped(&d, &fit, &(struct grouped){10, 3, 1000, 1000, 4, 4, 1e12})), 12.06);
}

/* Two products, and around them a launch and the bytes of rows that are permuted, activated and added up. */
static double experts_time(const struct experts_value *v)
{
	const struct grouped_device *d = &grouped_devices[v->device];
	double rows = v->tokens * v->top * v->held / v->all, a = d->activation_bytes;
	double hit = v->expected ? groups_hit(v->held, v->all, v->top, v->tokens) : v->held;
	struct grouped up = {rows, hit, (v->matrices - 1) * v->width, v->hidden, d->weight_bytes, a, d->peak}, down = up;
	down.n = v->hidden;
	down.k = v->width;
	double permuted =
		rows * v->hidden * (2 + a + 2) + rows * v->width * 2 * v->matrices + v->tokens * (v->hidden * 4 + v->top * 24);
	return d->fit.launch + time_of(time_grouped(&d->silicon, &d->fit, &up))
	       + time_of(time_grouped(&d->silicon, &d->fit, &down)) + permuted / (d->silicon.bandwidth * 0.75);
}

static void grouped_products_are_golden(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(experts); i++)
		same(experts_time(&experts[i]), experts[i].seconds);
	for (size_t i = 0; i < COUNT(hits); i++)
		same(groups_hit(hits[i].held, hits[i].all, hits[i].top, hits[i].tokens), hits[i].hit);
}

static void passes_are_golden(void **state)
{
	static const struct fit_rows fit = {.launch = 1.5e-6, .pointwise = 0.76, .reduction = 0.585};
	(void)state;
	for (size_t i = 0; i < COUNT(passes); i++)
		same(time_of(time_rows(&(struct silicon){.bandwidth = passes[i].bandwidth}, &fit, passes[i].bytes,
		                       passes[i].reduces)),
		     passes[i].seconds);
}

static void attention_is_golden(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(prefills); i++) {
		const struct attention_device *d = &attention_devices[prefills[i].device];
		same(time_of(time_prefill(&d->silicon, &d->fit.prefill, &prefills[i].a)), prefills[i].seconds);
		same(time_prefill_back(&d->silicon, &d->fit, &prefills[i].a), prefills[i].back);
	}
	for (size_t i = 0; i < COUNT(decodes); i++) {
		const struct attention_device *d = &attention_devices[decodes[i].device];
		const struct attention *a = &decodes[i].a;
		same(time_of(time_decode(&d->silicon, a->latent ? &d->fit.latent : &d->fit.decode, a)), decodes[i].seconds);
	}
}

static void collectives_are_golden(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(collectives); i++) {
		const struct collective_value *v = &collectives[i];
		const struct link_device *d = &link_devices[v->device];
		same(time_of(time_collective(&d->fits[v->of], v->of, d->link, v->ranks, v->bytes)), v->seconds);
	}
}

/* ---- machines -------------------------------------------------------------------------------- */
enum { MAX_LEVELS = 3 };
struct levels {
	struct level at[MAX_LEVELS];
	struct machine machine;
	double members[MAX_LEVELS];
	struct across across;
};

static struct level level_of(double bandwidth)
{
	return (struct level){.link = {"link", bandwidth, ABSENT}, .nics_per_device = 1, .oversubscription = 1};
}

static void levels_init(struct levels *l, const struct link_device *d, int n, double nic)
{
	for (int i = 0; i < n; i++) {
		l->at[i] = level_of(i ? nic : d->link);
		l->members[i] = 1;
	}
	l->machine = (struct machine){.levels = {l->at, n, n}};
	l->across = (struct across){&l->machine, d->fits, l->members};
}

static void two_levels(struct levels *l, int device, double nic, const double members[2])
{
	levels_init(l, &link_devices[device], 2, nic);
	l->members[0] = members[0];
	l->members[1] = members[1];
}

static void levels_are_golden(void **state)
{
	struct levels l;
	(void)state;
	for (size_t i = 0; i < COUNT(acrosses); i++) {
		two_levels(&l, acrosses[i].device, acrosses[i].nic, acrosses[i].members);
		same(time_of(time_across(&l.across, acrosses[i].of, acrosses[i].bytes)), acrosses[i].seconds);
	}
	for (size_t i = 0; i < COUNT(dispatches); i++) {
		const struct dispatch_value *v = &dispatches[i];
		two_levels(&l, v->device, v->nic, v->members);
		same(time_of(time_dispatch(&l.across, v->tokens, v->top, v->row_bytes)), v->seconds);
	}
}

/* A level that no group crosses changes nothing; a third one is the slowest or is not; what a machine states is used.
 */
static void levels_are_what_the_machine_states(void **state)
{
	struct levels two, three;
	(void)state;
	two_levels(&two, 1, 20e9, (double[]){8, 4});
	levels_init(&three, &link_devices[1], 3, 20e9);
	three.members[0] = 8;
	three.members[1] = 4;
	double bytes = 1e9, gather = time_of(time_across(&two.across, OF_ALL_GATHER, bytes));
	same(time_of(time_across(&three.across, OF_ALL_GATHER, bytes)), gather);
	three.members[1] = three.members[2] = 2;
	same(time_of(time_across(&three.across, OF_ALL_GATHER, bytes)), gather);
	three.at[2].oversubscription = 4;
	three.at[2].nics_per_device = 2;
	double hops = 10e-6 + 2 * 12e-6;
	same(time_of(time_across(&three.across, OF_ALL_GATHER, bytes)) - hops, 2 * (gather - hops));
	two.at[1].link.latency = 1e-6;
	same(gather - time_of(time_across(&two.across, OF_ALL_GATHER, bytes)), 2 * (4e-6 - 1e-6));
	/* An all-to-all of 2 x 2 x 2: half of the bytes leave the middle unit, three quarters the inner one. */
	levels_init(&three, &link_devices[1], 3, 50e9);
	three.members[0] = three.members[1] = three.members[2] = 2;
	same(time_of(time_across(&three.across, OF_ALL_TO_ALL, bytes)), hops + 0.75 * bytes / (50e9 * 0.92));
	three.at[2].link.bandwidth = 25e9;
	same(time_of(time_across(&three.across, OF_ALL_TO_ALL, bytes)), hops + 0.5 * bytes / (25e9 * 0.92));
	/* On the way to another middle unit, all leave by the links of the level below too. */
	three.members[1] = 1;
	three.members[2] = 4;
	three.at[1].link.bandwidth = 5e9;
	same(time_of(time_across(&three.across, OF_ALL_TO_ALL, bytes)), hops + 0.75 * bytes / (5e9 * 0.92));
	same(time_of(time_across(&three.across, OF_ALL_GATHER, bytes)), hops + 0.875 * bytes / (5e9 * 0.92 * 2));
	three.members[1] = three.members[2] = 2;
	/* Rows to experts: a token reaches 3 other inner units with a chance of 1 - (3/4)^2, of which 2 are outside. */
	three.at[1].link.bandwidth = 100e9;
	same(time_of(time_dispatch(&three.across, 1e5, 2, 7168)), 60e-6 + 1e5 * 7168 * 2 * (1 - 0.5625) / (25e9 * 0.92));
	/* Eight experts are on four ranks at most. */
	two_levels(&two, 1, 50e9, (double[]){4, 1});
	same(time_of(time_dispatch(&two.across, 1e5, 8, 7168)), 20e-6 + 1e5 * 7168 * 4 * 0.75 / (450e9 * 0.65));
}

/* ---- all sizes ------------------------------------------------------------------------------- */
enum { TRIALS = 20000 };
static uint64_t seed;

static double uniform(double low, double high)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return low + (high - low) * (double)(seed >> 11) * 0x1p-53;
}
/* Whole numbers from 1 to 2^40; each magnitude is as frequent. */
static double size(void) { return floor(exp2(uniform(0, 40))); }
static int pick(size_t n) { return (int)uniform(0, (double)n); }

static void at_least(double value, double bound)
{
	if (!(value >= bound * (1 - 1e-12)) || !isfinite(value) || !(value > 0))
		fail_msg("%.17g, below %.17g", value, bound);
}

/* Is the size left of a split of k, and the greater one not? */
static bool splits_differ(double less, double more)
{
	for (double k = 256; k <= 2048; k *= 2)
		if (less < k && k <= more)
			return true;
	return false;
}

static void products_of_all_sizes(void **state)
{
	(void)state;
	for (int i = 0; i < TRIALS; i++) {
		const struct product_device *d = &product_devices[pick(COUNT(product_devices))];
		struct product p = {size(), size(), size(), d->weight_bytes, d->activation_bytes, d->peak}, q = p;
		struct silicon faster = d->silicon;
		double t = time_of(time_product(&d->silicon, &d->fit, &p)), before;
		double bytes = p.m * p.k * p.activation_bytes + p.n * p.k * p.weight_bytes + 2 * p.m * p.n;
		at_least(t, fmax(2 * p.m * p.n * p.k / p.peak, bytes / d->silicon.bandwidth) + d->fit.launch);
		before = time_of(time_product_cast_before(&d->silicon, &d->fit, &d->fit, &p));
		at_least(before, fmax(2 * p.m * p.n * p.k / p.peak, bytes / d->silicon.bandwidth));
		at_least(t, before);
		q.m *= uniform(1, 4);
		at_least(time_of(time_product(&d->silicon, &d->fit, &q)), t);
		q = p;
		q.n += pick(300);
		at_least(time_of(time_product(&d->silicon, &d->fit, &q)), t);
		q = p;
		q.k += pick(300);
		if (!splits_differ(p.k, q.k))
			at_least(time_of(time_product(&d->silicon, &d->fit, &q)), t);
		q = p;
		q.peak *= 2;
		at_least(t, time_of(time_product(&d->silicon, &d->fit, &q)));
		faster.bandwidth *= 2;
		at_least(t, time_of(time_product(&faster, &d->fit, &p)));
	}
}

static void grouped_products_of_all_sizes(void **state)
{
	(void)state;
	for (int i = 0; i < TRIALS; i++) {
		const struct grouped_device *d = &grouped_devices[pick(COUNT(grouped_devices))];
		struct grouped g = {pick(8) ? size() : uniform(0, 1),
		                    uniform(1e-3, 512),
		                    size(),
		                    size(),
		                    d->weight_bytes,
		                    d->activation_bytes,
		                    d->peak};
		struct silicon faster = d->silicon;
		double t = time_of(time_grouped(&d->silicon, &d->fit, &g));
		double bytes = g.hit * g.n * g.k * g.weight_bytes + g.rows * (g.k * g.activation_bytes + 2 * g.n);
		at_least(t, fmax(2 * g.rows * g.n * g.k / g.peak, bytes / d->silicon.bandwidth));
		struct grouped more = g;
		more.rows *= uniform(1, 4);
		more.n += pick(300);
		more.k *= uniform(1, 4);
		at_least(time_of(time_grouped(&d->silicon, &d->fit, &more)), t);
		more = g;
		more.peak *= 2;
		faster.bandwidth *= 2;
		at_least(t, time_of(time_grouped(&faster, &d->fit, &more)));
		double all = size(), held = floor(uniform(1, all)), top = floor(uniform(1, all)), tokens = size();
		double hit = groups_hit(held, all, top, tokens);
		assert_true(hit > 0 && hit <= held && hit <= held * top / all * tokens * (1 + 1e-9));
		at_least(groups_hit(held, all, top, tokens + 1), hit);
	}
	assert_true(groups_hit(4, 8, 2, 0) == 0);
}

static struct attention random_attention(void)
{
	struct attention a = {size(), size(), 0,    floor(exp2(uniform(0, 10))), floor(exp2(uniform(3, 10))), 0, 0, 0,
	                      2,      false,  false};
	a.heads = a.kv_heads * (1 + pick(32));
	a.causal = pick(2);
	a.latent = pick(2);
	a.w = a.latent ? floor(uniform(1, a.d)) : floor(exp2(uniform(3, 10)));
	a.context = a.queries + (pick(2) ? size() : 0);
	a.window = pick(2) ? size() : 0;
	return a;
}

/* Positions that queries see, added up one by one. */
static double pairs(const struct attention *a)
{
	double sum = 0;
	for (double q = 1; q <= a->queries; q++) {
		double sees = a->causal ? a->context - a->queries + q : a->context;
		sum += a->window > 0 && sees > a->window ? a->window : sees;
	}
	return sum;
}

static void attention_of_all_sizes(void **state)
{
	(void)state;
	for (int i = 0; i < TRIALS; i++) {
		const struct attention_device *d = &attention_devices[pick(COUNT(attention_devices))];
		struct attention a = random_attention(), b = a;
		struct silicon faster = d->silicon;
		const struct fit_decode *decode = a.latent ? &d->fit.latent : &d->fit.decode;
		double prefill = time_of(time_prefill(&d->silicon, &d->fit.prefill, &a)),
			   one = time_of(time_decode(&d->silicon, decode, &a));
		double seen = a.window > 0 ? fmin(a.window, a.context) : a.context;
		double bytes = a.sequences * a.kv_heads * seen * (a.latent ? a.d : a.d + a.w) * a.cache_bytes;
		at_least(prefill, bytes / d->silicon.bandwidth);
		at_least(one, bytes / d->silicon.bandwidth);
		at_least(time_prefill_back(&d->silicon, &d->fit, &a), prefill);
		b.sequences *= uniform(1, 4);
		b.kv_heads *= 1 + pick(3);
		b.heads *= b.kv_heads / a.kv_heads;
		b.d += pick(100);
		b.w += b.d - a.d;
		b.context += pick(1000);
		at_least(time_of(time_prefill(&d->silicon, &d->fit.prefill, &b)), prefill);
		at_least(time_of(time_decode(&d->silicon, decode, &b)), one);
		faster.bandwidth *= 2;
		faster.attention_peak *= 2;
		at_least(prefill, time_of(time_prefill(&faster, &d->fit.prefill, &a)));
		at_least(one, time_of(time_decode(&faster, decode, &a)));
		b = a;
		b.queries = floor(uniform(1, 3000));
		b.context = b.queries + pick(3000);
		b.window = pick(2) ? pick(5000) : 0;
		at_least(time_of(time_prefill(&d->silicon, &d->fit.prefill, &b)),
		         2 * b.sequences * b.heads * pairs(&b) * (b.d + b.w) / d->silicon.attention_peak);
		at_least(time_of(time_decode(&d->silicon, decode, &b)),
		         2 * b.sequences * b.heads * pairs(&b) * (b.d + b.w) / d->silicon.attention_peak);
	}
}

/* A window is what its queries see: as long as no query sees more than it, it changes nothing; a window of w of many
 * queries takes what queries without one take that see w each. */
static void windows_bound_what_queries_see(void **state)
{
	const struct attention_device *d = &attention_devices[0];
	struct attention a = {4, 512, 32, 8, 128, 128, 4096, 0, 2, true, false}, b = a;
	(void)state;
	b.window = 4096;
	double whole = time_of(time_prefill(&d->silicon, &d->fit.prefill, &a));
	same(time_of(time_prefill(&d->silicon, &d->fit.prefill, &b)), whole);
	b.window = 256;
	assert_true(time_of(time_prefill(&d->silicon, &d->fit.prefill, &b)) < whole / 4);
	/* The first half of the queries see fewer keys than the window, the others as many as it. */
	static const struct fit_prefill operations = {.compute = 1, .rise = 0, .launch = 0, .block = 0};
	a = (struct attention){8, 8192, 32, 8, 128, 128, 8192, 4096, 2, true, false};
	same(time_of(time_prefill(&d->silicon, &operations, &a)), 2 * 8 * 32 * pairs(&a) * 256 / d->silicon.attention_peak);
	/* Of four queries, the first sees the oldest key, and the last one the youngest. */
	static const struct fit_decode traffic = {.memory = 1, .saturation = 1, .compute = 1};
	a = (struct attention){64, 4, 8, 8, 128, 128, 4096, 256, 2, true, false};
	same(time_of(time_decode(&d->silicon, &traffic, &a)), 64 * 8 * (256 + 3) * 256 * 2 / d->silicon.bandwidth);
	a = b = (struct attention){256, 1, 32, 8, 128, 128, 1 << 20, 8192, 2, true, false};
	b.context = 8192;
	b.window = 0;
	same(time_of(time_decode(&d->silicon, &d->fit.decode, &a)), time_of(time_decode(&d->silicon, &d->fit.decode, &b)));
}

static double least_sent(enum fit_collective_of of, double ranks, double bytes)
{
	if (of == OF_POINT_TO_POINT)
		return bytes;
	return (of == OF_ALL_REDUCE || of == OF_ONE_SHOT ? 2 : 1) * bytes * (ranks - 1) / ranks;
}

static void collectives_of_all_sizes(void **state)
{
	(void)state;
	for (int i = 0; i < TRIALS; i++) {
		const struct link_device *d = &link_devices[pick(COUNT(link_devices))];
		enum fit_collective_of of = (enum fit_collective_of)pick(COLLECTIVE_FITS);
		const struct fit_collective *fit = &d->fits[of == OF_POINT_TO_POINT ? OF_ALL_GATHER : of];
		double ranks = 1 + size(), bytes = size(), t = time_of(time_collective(fit, of, d->link, ranks, bytes));
		at_least(t, least_sent(of, ranks, bytes) / d->link);
		at_least(time_of(time_collective(fit, of, d->link, ranks + pick(10), bytes * uniform(1, 2))), t);
		at_least(t, time_of(time_collective(fit, of, d->link * 2, ranks, bytes)));
		assert_true(time_of(time_collective(fit, of, d->link, 1, bytes)) == 0);
		assert_true(time_of(time_collective(fit, of, d->link, ranks, 0)) == 0);
	}
}

static void random_levels(struct levels *l)
{
	levels_init(l, &link_devices[pick(COUNT(link_devices))], 1 + pick(MAX_LEVELS), exp2(uniform(30, 38)));
	for (int i = 0; i < l->machine.levels.n; i++)
		l->members[i] = pick(3) ? floor(exp2(uniform(0, 7))) : 1;
	for (int i = 1; i < l->machine.levels.n; i++) {
		l->at[i].link.latency = pick(2) ? uniform(0, 1e-4) : ABSENT;
		l->at[i].nics_per_device = pick(2) ? 1 : uniform(0.1, 4);
		l->at[i].oversubscription = pick(2) ? 1 : uniform(1, 8);
	}
}

/* A rank's share of what rings carry out of an inner unit, over all its NICs; over one, from one rank to another. */
static double network_bound(const struct levels *l, enum fit_collective_of of, double bytes)
{
	double ranks = 1, bound = 0;
	for (int i = 0; i < l->machine.levels.n; i++)
		ranks *= l->members[i];
	double inside = l->members[0];
	for (int i = 1; i < l->machine.levels.n; i++) {
		double rate = l->at[i].link.bandwidth * l->at[i].nics_per_device / l->at[i].oversubscription, sent;
		sent = of == OF_ALL_TO_ALL       ? bytes * (1 - inside / ranks)
		       : of == OF_POINT_TO_POINT ? bytes
		                                 : least_sent(of, ranks, bytes) / inside;
		if (l->members[i] > 1 && (of != OF_ALL_TO_ALL || i == 1)) /* other levels carry less of it */
			bound = fmax(bound, sent / rate);
	}
	return bound;
}

static void levels_of_all_sizes(void **state)
{
	struct levels l;
	(void)state;
	for (int i = 0; i < TRIALS; i++) {
		random_levels(&l);
		enum fit_collective_of of = (enum fit_collective_of)pick(COLLECTIVE_FITS);
		double bytes = size(), ranks = l.members[0] * l.members[1] * (l.machine.levels.n > 2 ? l.members[2] : 1);
		ranks = l.machine.levels.n == 1 ? l.members[0] : ranks;
		double t = time_of(time_across(&l.across, of, bytes)), rows = time_of(time_dispatch(&l.across, bytes, 4, 7168));
		if (ranks == 1) {
			assert_true(t == 0 && rows == 0);
			continue;
		}
		at_least(t, network_bound(&l, of, bytes));
		at_least(time_of(time_across(&l.across, of, bytes * uniform(1, 3))), t);
		at_least(time_of(time_dispatch(&l.across, bytes * uniform(1, 3), 4, 7168)), rows);
		int outer = 1 + pick(2);
		if (outer < l.machine.levels.n && ranks > l.members[0]) {
			l.members[outer] += pick(10);
			at_least(time_of(time_across(&l.across, of, bytes)), t);
			t = time_of(time_across(&l.across, of, bytes));
			l.at[outer].link.bandwidth *= 2;
			at_least(t, time_of(time_across(&l.across, of, bytes)));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(products_are_golden),
		cmocka_unit_test(products_after_a_cast_are_golden),
		cmocka_unit_test(grouped_products_are_golden),
		cmocka_unit_test(passes_are_golden),
		cmocka_unit_test(untiled_products_count_operations),
		cmocka_unit_test(untiled_groups_count_operations),
		cmocka_unit_test(attention_is_golden),
		cmocka_unit_test(collectives_are_golden),
		cmocka_unit_test(levels_are_golden),
		cmocka_unit_test(levels_are_what_the_machine_states),
		cmocka_unit_test(products_of_all_sizes),
		cmocka_unit_test(grouped_products_of_all_sizes),
		cmocka_unit_test(attention_of_all_sizes),
		cmocka_unit_test(windows_bound_what_queries_see),
		cmocka_unit_test(collectives_of_all_sizes),
		cmocka_unit_test(levels_of_all_sizes),
	};
	return cmocka_run_group_tests_name("time", tests, NULL, NULL);
}
