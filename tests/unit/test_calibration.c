/* Calibrations and engines: the constants of std.calibration are those that were fitted; what is read of a spec's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "sema_fixture.h"

/* Constants as they were fitted to ai-dynamo/aiconfigurator, 095f58a5. Times in s. */
static const struct {
	const char *device;
	enum dtype weights, activations;
	double p[7]; /* compute, memory, l2, tile, launch, waves, split */
	bool casts;
	double spread; /* % */
} products[] = {
	{"A100_SXM", DTYPE_BF16, DTYPE_BF16, {0.8792, 0.6521, 3.934, 3.815e-06, 5.504e-07, 1, 1.954e-06}, false, 8.49},
	{"A100_SXM", DTYPE_I8, DTYPE_BF16, {0.8547, 0.7922, 1.533, 1.825e-06, 9.685e-06, 0.388, 1.473e-06}, false, 11.05},
	{"A100_SXM", DTYPE_I8, DTYPE_I8, {1, 0.9994, 2.169, 6.051e-06, 4.309e-06, 0.4413, 1.039e-05}, true, 10.43},
	{"H100_SXM", DTYPE_BF16, DTYPE_BF16, {0.8323, 0.7609, 4.883, 6.44e-07, 1.966e-06, 0.7613, 2.646e-06}, false, 4.63},
	{"H100_SXM", DTYPE_FP8E4M3, DTYPE_FP8E4M3, {0.6864, 0.7347, 7.941, 9.85e-07, 1.165e-05, 1, 3.798e-06}, true, 2.28},
	{"B200_SXM", DTYPE_NVFP4, DTYPE_NVFP4, {0.9999, 0.3603, 1.5, 7.819e-07, 6.72e-06, 0.8431, 2.622e-05}, true, 13.25},
};

static const struct {
	const char *device;
	enum dtype weights, activations;
	double p[5]; /* compute, memory, l2, tile, launch */
	double spread;
} groups[] = {
	{"A100_SXM", DTYPE_BF16, DTYPE_BF16, {0.511, 1, 1.107, 5.282e-07, 1.666e-05}, 7.23},
	{"H100_SXM", DTYPE_FP8E4M3, DTYPE_FP8E4M3, {0.7678, 0.8636, 16.93, 1.488e-06, 3.453e-05}, 9.44},
	{"H100_SXM", DTYPE_MXFP4, DTYPE_BF16, {0.3804, 0.888, 6.81, 4.95e-07, 4.95e-05}, 18.64},
	{"B200_SXM", DTYPE_MXFP4, DTYPE_FP8E4M3, {0.454, 0.8241, 23.47, 4.527e-07, 4.328e-05}, 32.42},
	{"GB200_GPU", DTYPE_NVFP4, DTYPE_NVFP4, {0.3512, 0.9274, 35.29, 1.452e-06, 2.664e-05}, 32.59},
};

static const struct {
	const char *device, *library;
	double prefill[4]; /* compute, rise, launch, block */
	double decode[6];  /* memory, launch, block, latency, saturation, compute */
	double latent[6];  /* 0: none */
} kernels[] = {
	{"A100_SXM",
     "trtllm",
     {0.4881, 260.1, 1.714e-05, 9.984e-07},
     {0.8711, 1.492e-05, 2.514e-06, 2.618e-06, 32810000, 0.04554},
     {0}},
	{"H100_SXM",
     "vllm",
     {0.7502, 380.4, 1.052e-05, 6.993e-07},
     {0.916, 9.905e-06, 3.755e-06, 3.746e-06, 90250000, 0.1797},
     {0.9301, 1.3e-05, 4.713e-06, 6.582e-06, 15570000, 0.6408}},
	{"H100_SXM",
     "fa2",
     {0.38, 380.4, 1.052e-05, 6.993e-07},
     {0.916, 9.905e-06, 3.755e-06, 3.746e-06, 90250000, 0.1797},
     {0.9301, 1.3e-05, 4.713e-06, 6.582e-06, 15570000, 0.6408}},
	{"B200_SXM",
     "vllm",
     {0.664, 10.08, 1.14e-05, 2.879e-06},
     {0.9553, 6.875e-06, 1.475e-06, 2.382e-06, 163000000, 0.1593},
     {0.744, 1.057e-05, 1.336e-06, 7.813e-06, 27460000, 0.7149}},
};

/* Latencies of the second and the third protocol are beyond that of the one before. */
static const struct {
	const char *device;
	enum fit_collective_of of;
	double p[7]; /* hop, then latency and share of each */
	double spread;
} collectives[] = {
	{"A100_SXM", OF_ALL_REDUCE, {1.789e-06, 8.97e-06, 0.05812, 2.737e-06, 0.3798, 7.139e-05, 0.7302}, 3.82},
	{"A100_SXM", OF_ONE_SHOT, {3.714e-07, 3.436e-06, 0.1534, 4.994e-06, 0.3072, 4.967e-05, 0.7188}, 9.51},
	{"H100_SXM", OF_ALL_REDUCE, {1.552e-06, 4.762e-06, 0.02994, 2.086e-06, 0.4864, 4.019e-05, 0.7933}, 6.16},
	{"H100_SXM", OF_ALL_GATHER, {7.844e-07, 5.097e-06, 0.08707, 1.495e-06, 0.3853, 3.454e-05, 0.7306}, 4.83},
	{"H100_SXM", OF_REDUCE_SCATTER, {7.598e-07, 4.949e-06, 0.03949, 9.775e-07, 0.2779, 1.31e-05, 0.6814}, 3.72},
	{"H100_SXM", OF_ALL_TO_ALL, {9.162e-08, 6.518e-06, 0.0365, 6.128e-06, 0.5523, 3.178e-05, 0.728}, 5.26},
	{"H100_SXM", OF_ONE_SHOT, {1.392e-07, 2.508e-06, 0.3496, 3.042e-06, 0.4139, 2.517e-05, 0.7781}, 5.63},
	{"GB200_GPU", OF_ALL_REDUCE, {2.547e-06, 8.345e-06, 0.06079, 4.457e-07, 0.2912, 2.62e-05, 0.746}, 3.67},
	{"GB200_GPU", OF_ONE_SHOT, {5.613e-07, 3.105e-06, 0.1272, 4.168e-07, 0.4685, 5.023e-05, 0.6375}, 6.17},
};

/* A deployment of one rank on a device; `more`: items of the deployment, after declarations of the file. */
static const struct deploy *deployed(struct fixture *f, const char *device, const char *declarations, const char *more)
{
	const char *text = arena_printf(&f->arena,
	                                "use std.hw { Accelerator, Cluster }\n"
	                                "use std.clusters as c\n"
	                                "use std.calibration as measured\n"
	                                "use std.engines as engines\n"
	                                "use std.models { Qwen3_8B }\n"
	                                "use std.workload { Inference }\n"
	                                "plan One { mesh tp = 1 }\n"
	                                "%s\n"
	                                "cluster Box : Cluster { device = %s; level box { count = 1 } }\n"
	                                "deploy D {\n"
	                                "  model = Qwen3_8B; cluster = Box; plan = One\n"
	                                "  workload = Inference { batch = 8; seq = 64 }\n"
	                                "  %s\n"
	                                "}\n",
	                                declarations, device, more);
	int n;
	struct sema *s = fixture_load(f, text);
	struct deploy **all = sema_deploys(s, &n);
	assert_int_equal(n, 1);
	assert_non_null(all[0]->program);
	assert_non_null(all[0]->engine);
	return all[0];
}

/* The calibration of a device of the library. */
static const struct calibration *of_library(struct fixture *f, const char *device)
{
	const struct deploy *d = deployed(f, arena_printf(&f->arena, "c.%s", device), "", "");
	assert_non_null(d->machine.device.calibration);
	return d->machine.device.calibration;
}

static void close_to(double figure, double value)
{
	if (!(fabs(figure - value) <= 1e-12 * fabs(value)))
		fail_msg("%.17g is not %.17g", figure, value);
}

static void equal(const double *figures, const double *values, int n)
{
	for (int i = 0; i < n; i++)
		close_to(figures[i], values[i]);
}

enum { N_PRODUCTS = sizeof products / sizeof *products, N_GROUPS = sizeof groups / sizeof *groups };
enum { N_KERNELS = sizeof kernels / sizeof *kernels, N_COLLECTIVES = sizeof collectives / sizeof *collectives };

static void products_are_those_fitted(void **state)
{
	for (int i = 0; i < N_PRODUCTS; i++) {
		const struct calibration *c = of_library(*state, products[i].device);
		const struct fit_product *fit = NULL;
		for (int k = 0; k < c->products.n; k++)
			if (c->products.at[k].weights == products[i].weights
			    && c->products.at[k].activations == products[i].activations)
				fit = &c->products.at[k];
		assert_non_null(fit);
		double p[] = {fit->compute, fit->memory, fit->l2, fit->tile, fit->launch, fit->waves, fit->split};
		equal(p, products[i].p, 7);
		assert_int_equal(fit->casts, products[i].casts);
		close_to(fit->spread, products[i].spread / 100);
		assert_string_equal(fit->source, c->source);
	}
}

static void groups_are_those_fitted(void **state)
{
	for (int i = 0; i < N_GROUPS; i++) {
		const struct calibration *c = of_library(*state, groups[i].device);
		const struct fit_grouped *fit = NULL;
		for (int k = 0; k < c->grouped.n; k++)
			if (c->grouped.at[k].weights == groups[i].weights && c->grouped.at[k].activations == groups[i].activations)
				fit = &c->grouped.at[k];
		assert_non_null(fit);
		double p[] = {fit->compute, fit->memory, fit->l2, fit->tile, fit->launch};
		equal(p, groups[i].p, 5);
		close_to(fit->spread, groups[i].spread / 100);
	}
}

static const struct fit_attention *attention_of(const struct calibration *c, const char *library)
{
	for (int i = 0; i < c->attention.n; i++)
		if (!strcmp(c->attention.at[i].library, library))
			return &c->attention.at[i];
	return NULL;
}

static void decode_equals(const struct fit_decode *fit, const double *values)
{
	double p[] = {fit->memory, fit->launch, fit->block, fit->latency, fit->saturation, fit->compute};
	equal(p, values, 6);
}

static void attention_is_that_fitted(void **state)
{
	for (int i = 0; i < N_KERNELS; i++) {
		const struct fit_attention *fit = attention_of(of_library(*state, kernels[i].device), kernels[i].library);
		assert_non_null(fit);
		assert_true(fit->has_prefill && fit->has_decode);
		double p[] = {fit->prefill.compute, fit->prefill.rise, fit->prefill.launch, fit->prefill.block};
		equal(p, kernels[i].prefill, 4);
		decode_equals(&fit->decode, kernels[i].decode);
		assert_int_equal(fit->has_latent, kernels[i].latent[0] != 0);
		if (fit->has_latent)
			decode_equals(&fit->latent, kernels[i].latent);
		close_to(fit->backward, 1.15);
	}
	/* The first is the device's own choice; what is from memory was held against nothing, and says so. */
	const struct calibration *c = of_library(*state, "H100_SXM");
	assert_string_equal(c->attention.at[0].library, "vllm");
	assert_false(figure_known(attention_of(c, "fa2")->prefill.spread));
	assert_non_null(strstr(attention_of(c, "fa2")->source, "from memory"));
}

static void collectives_are_those_fitted(void **state)
{
	for (int i = 0; i < N_COLLECTIVES; i++) {
		const struct fit_collective *fit = &of_library(*state, collectives[i].device)->collective[collectives[i].of];
		const double *p = collectives[i].p;
		assert_true(fit->known);
		close_to(fit->hop, p[0]);
		close_to(fit->spread, collectives[i].spread / 100);
		for (int k = 0, j = 1; k < 3; k++, j += 2) {
			close_to(fit->latency[k] - (k ? fit->latency[k - 1] : 0), p[j]);
			close_to(fit->share[k], p[j + 1]);
		}
	}
}

/* Each device of the library that has a calibration has multiprocessors; a sibling's constants are said. */
static void devices_name_their_calibration(void **state)
{
	static const struct {
		const char *device, *of;
		double multiprocessors;
	} devices[] = {
		{"A100_SXM", "A100_SXM", 108},   {"A100_SXM_40GB", "A100_SXM", 108}, {"H100_SXM", "H100_SXM", 132},
		{"H200_SXM", "H200_SXM", 132},   {"H800_SXM", "H100_SXM", 132},      {"B200_SXM", "B200_SXM", 148},
		{"GB200_GPU", "GB200_GPU", 152},
	};
	for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
		const struct deploy *d =
			deployed(*state, arena_printf(&((struct fixture *)*state)->arena, "c.%s", devices[i].device), "", "");
		assert_string_equal(d->machine.device.name, devices[i].device);
		assert_string_equal(d->machine.device.calibration->of, devices[i].of);
		close_to(d->machine.device.multiprocessors, devices[i].multiprocessors);
	}
	const struct deploy *rank = deployed(*state, "c.CPU_Rank", "", "");
	assert_null(rank->machine.device.calibration);
	assert_false(figure_known(rank->machine.device.multiprocessors));
}

static void a_calibration_of_a_spec_is_read(void **state)
{
	const struct deploy *d =
		deployed(*state,
	             "Card { calibration = measured.A100_SXM {\n"
	             "  of = \"another\"\n"
	             "  matmul dense_bf16 { compute = 50%; untiled = true; source = \"a bench\" }\n"
	             "  attention mine { prefill { compute = 40%; rise = 100; launch = 3 us; block = 1 us } }\n"
	             "  rows { launch = 2 us }\n"
	             "  one_shot = none } }",
	             "device Card = c.A100_SXM {}", "");
	const struct calibration *c = d->machine.device.calibration;
	assert_non_null(c);
	assert_string_equal(c->of, "another");
	assert_int_equal(c->products.n, 3);
	close_to(c->products.at[0].compute, 0.5);
	close_to(c->products.at[0].memory, 0.6521);
	assert_true(c->products.at[0].untiled && !c->products.at[1].untiled);
	assert_string_equal(c->products.at[0].source, "a bench");
	const struct fit_attention *mine = attention_of(c, "mine");
	assert_true(mine->has_prefill && !mine->has_decode && !mine->has_latent);
	assert_false(figure_known(mine->backward));
	close_to(c->rows.launch, 2e-6);
	close_to(c->rows.pointwise, 0.76);
	assert_false(c->collective[OF_ONE_SHOT].known);
	assert_true(c->collective[OF_ALL_REDUCE].known);
}

/* No time is computed with what is not known. */
static void an_open_calibration_is_none(void **state)
{
	const struct deploy *d = deployed(*state, "Card { calibration = measured.A100_SXM { rows { launch = auto } } }",
	                                  "device Card = c.A100_SXM {}", "");
	assert_null(d->machine.device.calibration);
	assert_true(d->has_auto);
	d = deployed(*state, "Card { calibration = auto }", "device Card = c.A100_SXM {}", "");
	assert_null(d->machine.device.calibration);
}

static void the_engine_is_deployc_unless_another_is_named(void **state)
{
	const struct engine *e = deployed(*state, "c.A100_SXM", "", "")->engine;
	assert_string_equal(e->name, "deployc");
	assert_false(e->measured || e->one_shot || e->fused_cast);
	assert_true(e->step == 0 && e->sequence == 0 && e->launch == 0);
	assert_false(e->fused_products || e->fused_passes);
	assert_null(e->library);
	e = deployed(*state, "c.A100_SXM", "", "engine = engines.TorchTitan_2024")->engine;
	assert_string_equal(e->name, "TorchTitan_2024");
	assert_true(e->measured);
	assert_string_equal(e->library, "fa2");
	close_to(e->launch, 60e-6);
	close_to(e->optimizer_bytes, 46);
	assert_true(e->route_launches == 0 && !e->dropout);
	assert_true(deployed(*state, "c.A100_SXM", "", "engine = engines.Megatron_2025")->engine->route_launches == 24);
	assert_true(deployed(*state, "c.A100_SXM", "", "engine = engines.Megatron_2022")->engine->dropout);
	e = deployed(*state, "c.A100_SXM", "", "engine = engines.vLLM_2025 { step = 2 ms }")->engine;
	close_to(e->step, 2e-3);
	close_to(e->sequence, 40e-6);
	assert_true(e->one_shot && e->fused_cast && e->fused_products && e->fused_passes);
	assert_false(figure_known(e->optimizer_bytes));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(products_are_those_fitted),      TEST(groups_are_those_fitted),
		TEST(attention_is_that_fitted),       TEST(collectives_are_those_fitted),
		TEST(devices_name_their_calibration), TEST(a_calibration_of_a_spec_is_read),
		TEST(an_open_calibration_is_none),    TEST(the_engine_is_deployc_unless_another_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
