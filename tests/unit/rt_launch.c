/* Whole launchers of the tiny model (rt_tiny.h), on several meshes and both devices: tokens and logits compared with
 * plain loops; ranks that die, wrong checkpoints, wrong arguments. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "rt_tiny.h"

/* ---- kernels: share 0 has all, but for the layer, whose outputs are shared out ------------- */
static void *at(uint64_t a) { return (void *)(uintptr_t)a; }

/* embed, ids, x, T */
static void kernel_embed(const uint64_t *a, int32_t worker, int32_t share, int32_t shares)
{
	(void)worker, (void)shares;
	const float *embed = at(a[0]);
	const int32_t *ids = at(a[1]);
	for (uint64_t t = 0; t < a[3] && share == 0; t++)
		memcpy((float *)at(a[2]) + t * TINY_D, embed + ids[t] * TINY_D, TINY_D * sizeof *embed);
}

/* An element of a weight in tile order. */
static float weight(const float *w, int n, int k)
{
	return w[n / TINY_N_TILE * (TINY_D * TINY_N_TILE) + k / TINY_K_PAIR * (TINY_N_TILE * TINY_K_PAIR)
	         + n % TINY_N_TILE * TINY_K_PAIR + k % TINY_K_PAIR];
}

/* x, w, cache, inputs, part, T, outputs */
static void kernel_layer(const uint64_t *a, int32_t worker, int32_t share, int32_t shares)
{
	const float *x = at(a[0]), *w = at(a[1]);
	float *cache = at(a[2]), *part = at(a[4]);
	const int32_t *input = at(a[3]), *pages = (const int32_t *)(const void *)((const char *)at(a[3]) + INPUT_PAGES);
	const int32_t *pos = input + TINY_CHUNK, *seq = pos + TINY_CHUNK, *slot = seq + TINY_CHUNK;
	int tokens = (int)a[5], outputs = (int)a[6];
	(void)worker, (void)shares;
	if (share != 0)
		return; /* the cache has one writer here */
	for (int t = 0; t < tokens; t++) {
		float sum[TINY_D] = {0};
		if (slot[t] >= 0)
			memcpy(cache + slot[t] * TINY_D, x + t * TINY_D, sizeof sum);
		for (int p = 0; seq[t] >= 0 && p <= pos[t]; p++)
			for (int i = 0; i < TINY_D; i++)
				sum[i] +=
					cache[(pages[seq[t] * TINY_PER_SEQ + p / TINY_PAGE] * TINY_PAGE + p % TINY_PAGE) * TINY_D + i];
		for (int n = 0; n < outputs; n++) {
			float y = 0;
			for (int k = 0; k < TINY_D; k++)
				y += weight(w, n, k) * sum[k];
			part[t * outputs + n] = fmodf(y, 7);
		}
	}
}

/* x, want, head, logits, R, outputs */
static void kernel_head(const uint64_t *a, int32_t worker, int32_t share, int32_t shares)
{
	const float *x = at(a[0]), *head = at(a[2]);
	const int32_t *want = at(a[1]);
	float *logits = at(a[3]);
	int outputs = (int)a[5];
	(void)worker;
	for (int r = share; r < (int)a[4]; r += shares)
		for (int n = 0; n < outputs; n++) {
			float y = 0;
			for (int k = 0; k < TINY_D && want[r] >= 0; k++)
				y += weight(head, n, k) * x[want[r] * TINY_D + k];
			logits[r * outputs + n] = y;
		}
}

static int32_t best_of(const float *logits)
{
	int32_t best = 0;
	for (int32_t v = 1; v < TINY_VOCAB; v++)
		best = logits[v] > logits[best] ? v : best;
	return best;
}

/* A made-up draw: any change of the sampling options changes the tokens. */
static int32_t token_of(const float *logits, const struct dr_sampling *s)
{
	if (!(s->temperature > 0))
		return best_of(logits);
	uint32_t x = s->seed * 5 + s->seed_high * 3 + s->count * 7 + (uint32_t)s->top_k;
	return (int32_t)((x + (uint32_t)(s->temperature * 10) + (uint32_t)(s->top_p * 100) + (uint32_t)(s->min_p * 64))
	                 % TINY_VOCAB);
}

/* A made-up change: the biases alone. */
static const float *biased(const float *logits, const struct dr_sampling *s, const struct dr_adjust *entries, float *to)
{
	memcpy(to, logits, TINY_VOCAB * sizeof *to);
	for (int i = s->adjust; i < s->adjust + s->adjusts; i++)
		to[entries[i].token] += entries[i].bias;
	return to;
}

/* logits, tokens, R, sampling, candidates of a row, changes */
static void kernel_sample(const uint64_t *a, int32_t worker, int32_t share, int32_t shares)
{
	const struct dr_sampling *s = at(a[3]);
	float row[TINY_VOCAB];
	(void)worker;
	for (int r = share; r < (int)a[2]; r += shares) {
		bool chosen = s[r].temperature > 0 && (s[r].top_k > 0 || s[r].top_p < 1 || s[r].min_p > 0);
		const float *logits = biased((const float *)at(a[0]) + r * TINY_VOCAB, s + r, at(a[5]), row);
		((int32_t *)at(a[1]))[r] = chosen && a[4] == 1 ? -1 : token_of(logits, s + r);
	}
}

static void kernel_crash(const uint64_t *a, int32_t worker, int32_t share, int32_t shares)
{
	(void)worker, (void)share, (void)shares;
	*(volatile int *)at(a[0]) = 1;
}

static const dr_kernel_fn kernels[] = {kernel_embed, kernel_layer, kernel_head, kernel_sample, kernel_crash};

/* ---- the step: what the compiler would generate ---------------------------------------------- */
static uint64_t input_at(const struct dr_frame *f, int input) { return f->base[DR_SPACE_INPUT] + tiny_input(input); }

#define LAUNCH(f, kernel, op, ...)                                  \
	dr_launch((f), (kernel), (op), (const uint64_t[]){__VA_ARGS__}, \
	          (int32_t)(sizeof((const uint64_t[]){__VA_ARGS__}) / 8))

static void step_layers(struct dr_frame *f, int tp)
{
	uint64_t x = f->base[DR_SPACE_ACT] + AT_X, part = f->base[DR_SPACE_ACT] + AT_PART, tokens = (uint64_t)f->tokens;
	uint64_t rows = (uint64_t)((TINY_D / tp + TINY_N_TILE - 1) / TINY_N_TILE * TINY_N_TILE),
			 layer_bytes = rows * TINY_D * 4;
	for (f->layer = 0; f->layer < f->layers; f->layer++) {
		uint64_t layer = (uint64_t)f->layer;
		LAUNCH(f, KERNEL_LAYER, OP_LAYER, x, f->base[DR_SPACE_LAYER] + layer * layer_bytes,
		       f->base[DR_SPACE_STATE] + layer * STATE_LAYER_BYTES, f->base[DR_SPACE_INPUT], part, tokens,
		       (uint64_t)(TINY_D / tp));
		dr_collective(f, COLLECTIVE_GATHER, OP_GATHER, part, x, f->tokens, TINY_D / tp, TINY_D / tp);
	}
	f->layer = -1;
}

static void step_tp(struct dr_frame *f, int tp)
{
	uint64_t act = f->base[DR_SPACE_ACT], x = act + AT_X, tokens = (uint64_t)f->tokens, rows = (uint64_t)f->rows;
	if (f->stage == 0)
		LAUNCH(f, KERNEL_EMBED, OP_EMBED, f->base[DR_SPACE_OUTSIDE], input_at(f, DR_INPUT_IDS), x, tokens);
	else
		dr_collective(f, COLLECTIVE_RECV, OP_CARRY, x, x, f->tokens, TINY_D, TINY_D);
	step_layers(f, tp);
	if (f->stage < f->stages - 1) {
		dr_collective(f, COLLECTIVE_SEND, OP_CARRY, x, x, f->tokens, TINY_D, TINY_D);
		return;
	}
	uint64_t head = f->base[DR_SPACE_OUTSIDE] + (f->stages > 1 ? 0 : TINY_VOCAB * TINY_D * 4);
	LAUNCH(f, KERNEL_HEAD, OP_HEAD, x, input_at(f, DR_INPUT_WANT), head, act + AT_LOGITS, rows,
	       (uint64_t)(TINY_VOCAB / tp));
	dr_collective(f, COLLECTIVE_LOGITS, OP_HEAD, act + AT_LOGITS, act + AT_ALL, f->rows, TINY_VOCAB / tp,
	              TINY_VOCAB / tp);
	LAUNCH(f, KERNEL_SAMPLE, OP_SAMPLE, act + AT_ALL, act + AT_TOKENS, rows, input_at(f, DR_INPUT_SAMPLE),
	       (uint64_t)f->candidates, input_at(f, DR_INPUT_ADJUST));
}

static void step_tp1(struct dr_frame *f) { step_tp(f, 1); }
static void step_tp2(struct dr_frame *f) { step_tp(f, 2); }

/* Rank 1 of tp 2 fails in its second layer, in three ways. */
static void step_crash(struct dr_frame *f)
{
	step_tp2(f);
	f->layer = 1;
	if (f->index[GROUP_ALL] == 1)
		LAUNCH(f, KERNEL_CRASH, OP_HEAD, 8);
	dr_collective(f, COLLECTIVE_GATHER, OP_GATHER, f->base[DR_SPACE_ACT], f->base[DR_SPACE_ACT], 1, 4, 4);
}

static void step_late(struct dr_frame *f)
{
	step_tp2(f);
	if (f->index[GROUP_ALL] == 1)
		sleep(60);
	dr_collective(f, COLLECTIVE_GATHER, OP_GATHER, f->base[DR_SPACE_ACT], f->base[DR_SPACE_ACT], 1, 4, 4);
}

static void burn(double seconds)
{
	clock_t end = clock() + (clock_t)(seconds * CLOCKS_PER_SEC);
	while (clock() < end)
		;
}

/* Rank 1 computes for longer than the time-out in one operation, then begins many and computes in none. */
static void step_slow(struct dr_frame *f)
{
	step_tp2(f);
	if (f->index[GROUP_ALL] == 1)
		burn(1.3);
	for (int i = 0; i < 7; i++) {
		if (f->index[GROUP_ALL] == 1)
			usleep(200000);
		dr_rounds(f, -1, OP_LAYER, f->base[DR_SPACE_INPUT], 0, 0, 1);
	}
	dr_collective(f, COLLECTIVE_GATHER, OP_GATHER, f->base[DR_SPACE_ACT], f->base[DR_SPACE_ACT], 1, 4, 4);
}

/* Each of two ranks waits for a message that the other sends later. */
static void step_crossed(struct dr_frame *f)
{
	step_tp2(f);
	if (f->index[GROUP_ALL] == 1)
		dr_collective(f, COLLECTIVE_LOGITS, OP_HEAD, f->base[DR_SPACE_ACT], f->base[DR_SPACE_ACT], 1, 4, 4);
	dr_rounds(f, GROUP_TP_DP, OP_LAYER, f->base[DR_SPACE_INPUT], 0, 0, 1);
}

static void step_touch(struct dr_frame *f)
{
	dr_collective(f, COLLECTIVE_GATHER, OP_GATHER, f->base[DR_SPACE_ACT], f->base[DR_SPACE_ACT], 1, 4, 4);
	*(volatile int *)at(f->base[DR_SPACE_ACT]) = 1;
	step_tp2(f);
}

static void choose(struct dr_frame *f, int32_t token)
{
	step_tp2(f);
	for (int r = 0; r < (int)f->rows; r++)
		((int32_t *)at(f->base[DR_SPACE_ACT] + AT_TOKENS))[r] = token;
}
static void step_no_token(struct dr_frame *f) { choose(f, DR_NO_TOKEN); }
static void step_odd_token(struct dr_frame *f) { choose(f, 99); }

/* ---- the same in plain loops ----------------------------------------------------------------- */
static float weight_value(int which, int i, int j)
{
	return (float)((which * 31 + i * 13 + j * 7 + i * j * 3) % 5 - 2);
}

static void reference(const int32_t *prompt, int n, int max_tokens, int32_t *out, float *logits)
{
	float sum[TINY_LAYERS][TINY_D] = {{0}}, x[TINY_D], y[TINY_D];
	for (int p = 0; p < n + max_tokens - 1; p++) {
		int32_t id = p < n ? prompt[p] : out[p - n];
		for (int i = 0; i < TINY_D; i++)
			x[i] = weight_value(0, id, i);
		for (int layer = 0; layer < TINY_LAYERS; layer++) {
			for (int i = 0; i < TINY_D; i++)
				sum[layer][i] += x[i];
			for (int i = 0; i < TINY_D; i++) {
				y[i] = 0;
				for (int k = 0; k < TINY_D; k++)
					y[i] += weight_value(1 + layer, i, k) * sum[layer][k];
			}
			for (int i = 0; i < TINY_D; i++)
				x[i] = fmodf(y[i], 7);
		}
		if (p < n - 1)
			continue;
		float *row = logits + (p - n + 1) * TINY_VOCAB;
		for (int v = 0; v < TINY_VOCAB; v++) {
			row[v] = 0;
			for (int k = 0; k < TINY_D; k++)
				row[v] += weight_value(9, v, k) * x[k];
		}
		out[p - n + 1] = best_of(row);
	}
}

/* ---- a checkpoint ---------------------------------------------------------------------------- */
static char folder[] = "/tmp/rt_launch.XXXXXX";

static const char *in_folder(const char *name)
{
	static char path[4][256];
	static int turn;
	snprintf(path[++turn % 4], sizeof path[0], "%s/%s", folder, name);
	return path[turn % 4];
}

static void write_config(const char *text)
{
	FILE *f = fopen(in_folder("config.json"), "w");
	fputs(text, f);
	fclose(f);
}

static const char good_config[] = "{\"hidden_size\": 8, \"rope_parameters\": {\"rope_theta\": 1e4}, \"hidden_act\": "
								  "\"silu\", \"rope_scaling\": null}";

/* Weights in bf16, which holds their values exactly; `rows` of the head. */
static void write_weights(int rows)
{
	char header[4096], *h = header;
	uint32_t begin = 0;
	int count[2 + TINY_LAYERS];
	h += sprintf(h, "{\"__metadata__\":{\"format\":\"pt\"}");
	for (int i = 0; i < 2 + TINY_LAYERS; i++) {
		char name[64];
		snprintf(name, sizeof name,
		         i == 0            ? "embed.weight"
		         : i > TINY_LAYERS ? "head.weight"
		                           : "layers.%d.w.weight",
		         i - 1);
		count[i] = i == 0 ? TINY_VOCAB : i > TINY_LAYERS ? rows : TINY_D;
		uint32_t end = begin + (uint32_t)count[i] * TINY_D * 2;
		h += sprintf(h, ",\"%s\":{\"dtype\":\"BF16\",\"shape\":[%d,%d],\"data_offsets\":[%u,%u]}", name, count[i],
		             TINY_D, begin, end);
		begin = end;
	}
	h += sprintf(h, "}");
	FILE *f = fopen(in_folder("model.safetensors"), "w");
	uint64_t length = (uint64_t)(h - header);
	fwrite(&length, 8, 1, f);
	fwrite(header, 1, length, f);
	for (int t = 0; t < 2 + TINY_LAYERS; t++)
		for (int i = 0; i < count[t]; i++)
			for (int k = 0; k < TINY_D; k++) {
				uint16_t v = bf16_of_f32(weight_value(t > TINY_LAYERS ? 9 : t, i, k));
				fwrite(&v, 2, 1, f);
			}
	fclose(f);
}

/* ---- running a launcher ---------------------------------------------------------------------- */
static char said[1 << 16]; /* its stdout and stderr */

static void read_said(void)
{
	int fd = open(in_folder("said"), O_RDONLY);
	ssize_t n = read(fd, said, sizeof said - 1);
	said[n > 0 ? n : 0] = 0;
	close(fd);
}

/* A test's change to the program, or NULL. */
static void (*edit)(struct blob_builder *b, struct dr_program *h);

static pid_t start_launcher(struct tiny t, void (*step)(struct dr_frame *), const char *const *argv)
{
	static struct blob_builder b;
	int argc = 0;
	while (argv[argc])
		argc++;
	tiny_build(&b, &t);
	if (edit)
		edit(&b, (struct dr_program *)(void *)b.at);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		const dr_step_fn steps[] = {step, step};
		const struct dr_image image = {.n_kernels = sizeof kernels / sizeof *kernels, .functions = kernels};
		struct generated g = {b.at, &image, steps};
		int fd = open(in_folder("said"), O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600);
		dup2(fd, 1);
		dup2(fd, 2);
		for (int i = 1; i < NSIG; i++)
			signal(i, SIG_DFL); /* cmocka's handlers */
		exit(launcher_main(argc, (char **)(uintptr_t)argv, &g));
	}
	return pid;
}

/* Returns the exit status; 128 + signal. */
static int launcher(struct tiny t, void (*step)(struct dr_frame *), const char *const *argv)
{
	int status;
	pid_t pid = start_launcher(t, step, argv);
	waitpid(pid, &status, 0);
	read_said();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#define ARGS(...) \
	(const char *const[]) { "tiny", __VA_ARGS__, NULL }

static void assert_said(const char *text)
{
	if (!strstr(said, text))
		fail_msg("expected `%s` in:\n%s", text, said);
}

enum { PROMPTS = 5, STEPS = 9 };
static const int32_t prompt[PROMPTS][20] = {{1, 15, 7, 22},
                                            {23, 3, 3, 9, 17, 2, 0, 12, 6, 5, 13},
                                            {4},
                                            {5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 1},
                                            {9, 9}};
static const int length[PROMPTS] = {4, 11, 1, 20, 2};

static size_t format_ids(char *out, const int32_t *ids, int n)
{
	char *to = out;
	for (int i = 0; i < n; i++)
		to += sprintf(to, "%s%d", i ? "," : "", ids[i]);
	return (size_t)(to - out);
}

/* All prompts on a mesh; ids and logits must be those of the reference, bit for bit. */
static void run_prompts(struct tiny t)
{
	char ids[PROMPTS][128], line[1024];
	const char *argv[32] = {"tiny"};
	static float logits[PROMPTS][STEPS][TINY_VOCAB], got[PROMPTS][STEPS][TINY_VOCAB];
	int32_t out[STEPS];
	int n = 1;
	const char *fixed[] = {"run",       "--weights", folder, "--max-tokens=9", "--logits", in_folder("logits.npy"),
	                       "--threads", "2"};
	for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
		argv[n++] = fixed[i];
	for (int i = 0; i < PROMPTS; i++) {
		format_ids(ids[i], prompt[i], length[i]);
		argv[n++] = "--ids";
		argv[n++] = ids[i];
	}
	int status = launcher(t, t.tp == 2 ? step_tp2 : step_tp1, argv);
	if (status)
		fail_msg("%d x %d x %d: status %d\n%s", t.pp, t.dp, t.tp, status, said);
	for (int i = 0; i < PROMPTS; i++) {
		reference(prompt[i], length[i], STEPS, out, logits[i][0]);
		size_t at_arrow = (size_t)sprintf(line, "ids: %s -> ", ids[i]);
		format_ids(line + at_arrow, out, STEPS);
		assert_said(line);
	}
	assert_said("ttft: ");
	assert_said("memory: rank 0 planned ");
	FILE *f = fopen(in_folder("logits.npy"), "r");
	assert_non_null(f);
	fseek(f, -(long)sizeof got, SEEK_END);
	assert_int_equal(ftell(f) % 64, 0);
	assert_int_equal(fread(got, sizeof got, 1, f), 1);
	fclose(f);
	assert_memory_equal(got, logits, sizeof got);
	unlink(in_folder("logits.npy"));
}

static void all_meshes_agree(void **state)
{
	(void)state;
	static const struct tiny meshes[] = {{1, 1, 1, 1}, {1, 1, 2, 1}, {1, 2, 1, 1}, {2, 1, 1, 2},
	                                     {2, 2, 2, 2}, {4, 1, 2, 3}, {4, 2, 2, 1}};
	for (size_t i = 0; i < sizeof meshes / sizeof meshes[0]; i++)
		run_prompts(meshes[i]);
}

/* Each prompt's rows have the options of the command line, a seed of their own and a rising count. */
static void sampling_options_arrive(void **state)
{
	(void)state;
	const struct dr_sampling how = {
		.temperature = 0.5f, .top_p = 0.25f, .top_k = 4, .seed = 2, .seed_high = 1, .min_p = 0.125f};
	char line[64];
	for (int dp = 1; dp <= 2; dp++) {
		struct tiny t = {2, dp, 2, 2};
		assert_int_equal(launcher(t, step_tp2,
		                          ARGS("run", "--weights", folder, "--ids", "1,2", "--ids", "1,2", "--ids", "1,2",
		                               "--max-tokens=3", "--temperature=0.5", "--top-k", "4", "--top-p", "0.25",
		                               "--min-p", "0.125", "--seed", "4294967298")),
		                 0);
		for (int i = 0; i < 3; i++) {
			int32_t token[3];
			for (uint32_t n = 0; n < 3; n++) {
				struct dr_sampling row = how;
				row.seed += (uint32_t)i, row.count = n;
				token[n] = token_of(NULL, &row);
			}
			sprintf(line, "ids: 1,2 -> %d,%d,%d\n", token[0], token[1], token[2]);
			assert_said(line);
		}
	}
}

/* Biases from the command line reach the rows of every prompt and step, under meshes with one owner and two. */
static void biases_arrive(void **state)
{
	(void)state;
	for (int dp = 1; dp <= 2; dp++) {
		assert_int_equal(launcher((struct tiny){2, dp, 2, 2}, step_tp2,
		                          ARGS("run", "--weights", folder, "--ids", "1,2", "--ids", "4,2,1", "--max-tokens=3",
		                               "--logit-bias", "5:-1.5", "--logit-bias", "9:100,23:1")),
		                 0);
		assert_said("ids: 1,2 -> 9,9,9\n");
		assert_said("ids: 4,2,1 -> 9,9,9\n");
	}
}

/* A continuation ends with the first stop token. Its logits are written up to that token, and are 0 after it. */
static void stop_ids_end_continuations(void **state)
{
	(void)state;
	static float logits[STEPS][TINY_VOCAB], got[STEPS][TINY_VOCAB];
	char ids[128], stop[32], line[256];
	int32_t out[STEPS];
	format_ids(ids, prompt[1], length[1]);
	reference(prompt[1], length[1], STEPS, out, logits[0]);
	for (int last = 0; last < STEPS; last += 2) {
		int n = 0;
		while (out[n++] != out[last])
			;
		sprintf(stop, "%d", out[last]);
		assert_int_equal(launcher((struct tiny){2, 1, 2, 2}, step_tp2,
		                          ARGS("run", "--weights", folder, "--ids", ids, "--max-tokens=9", "--logits",
		                               in_folder("logits.npy"), "--stop-ids", stop)),
		                 0);
		size_t at = (size_t)sprintf(line, "ids: %s -> ", ids);
		at += format_ids(line + at, out, n);
		strcpy(line + at, "\n");
		assert_said(line);
		FILE *f = fopen(in_folder("logits.npy"), "r");
		fseek(f, -(long)sizeof got, SEEK_END);
		assert_int_equal(ftell(f) % 64, 0);
		assert_int_equal(fread(got, sizeof got, 1, f), 1);
		fclose(f);
		assert_memory_equal(got, logits, (size_t)n * sizeof got[0]);
		for (int i = n; i < STEPS; i++)
			for (int v = 0; v < TINY_VOCAB; v++)
				assert_true(got[i][v] == 0);
		unlink(in_folder("logits.npy"));
	}
}

static void far_device_agrees(void **state)
{
	(void)state;
	setenv("DEPLOY_DEVICE", "far", 1);
	run_prompts((struct tiny){1, 1, 1, 1});
	run_prompts((struct tiny){2, 1, 2, 2});
	unsetenv("DEPLOY_DEVICE");
}

static void bench_and_plan(void **state)
{
	(void)state;
	struct tiny t = {2, 1, 2, 2};
	assert_int_equal(launcher(t, step_tp2, ARGS("bench")), 0);
	assert_said("prefill: ");
	assert_said("decode: ");
	assert_int_equal(launcher(t, step_tp2, ARGS("bench", "--prompt", "9", "--output", "4", "--batch", "7")), 0);
	assert_said("bench: 7 x (9 prompt + 4 output)");
	assert_int_equal(launcher(t, step_tp2, ARGS("plan")), 0);
	assert_string_equal(said, "the plan\n");
	assert_int_equal(launcher(t, step_tp2, ARGS("--help")), 0);
	assert_said("--max-tokens N");
	assert_said("tiny_deploy: Tiny on 4 ranks\n");
	assert_said("DEPLOY_TIMEOUT");
	assert_int_equal(launcher(t, step_tp2, ARGS("--version")), 0);
	assert_said("000000000000002a");
	assert_int_equal(launcher((struct tiny){1, 1, 1, 1}, step_tp1, ARGS("--help")), 0);
	assert_said("tiny_deploy: Tiny on 1 rank\n");
}

/* ---- failures -------------------------------------------------------------------------------- */
#define RUN(...) ARGS("run", "--weights", folder, "--ids", "1,2,3", "--max-tokens", "4", __VA_ARGS__)
static const struct tiny PAIR = {1, 1, 2, 1};

static void ranks_that_share_cores(void **state)
{
	(void)state;
	cpu_set_t all, one;
	assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
	CPU_ZERO(&one);
	for (int i = 0; !CPU_COUNT(&one); i++)
		if (CPU_ISSET(i, &all))
			CPU_SET(i, &one);
	assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
	assert_int_equal(launcher(PAIR, step_crash, RUN(NULL)), 1);
	assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
	assert_said("warning: 2 ranks share 1 core: this is slow, but results do not change");
	if (CPU_COUNT(&all) < 2)
		return;
	assert_int_equal(launcher(PAIR, step_crash, RUN(NULL)), 1);
	assert_null(strstr(said, "ranks share"));
}

static void failing_ranks_are_named(void **state)
{
	(void)state;
	assert_int_equal(launcher(PAIR, step_crash, RUN(NULL)), 1);
	assert_said("error: rank 1 (pp=0, dp=0, tp=1) was ended by signal 11 (Segmentation fault) in layer 1 at `head`");
	setenv("DEPLOY_TIMEOUT", "1", 1);
	assert_int_equal(launcher(PAIR, step_late, RUN(NULL)), 1);
	assert_said("error: rank 1 (pp=0, dp=0, tp=1) failed at `sample`: it was stuck for 1 s (DEPLOY_TIMEOUT)");
	assert_int_equal(launcher(PAIR, step_crossed, RUN(NULL)), STATUS_INTERNAL);
	assert_said("internal: every rank waits for another for 1 s (DEPLOY_TIMEOUT), this one for rank");
	assert_int_equal(launcher(PAIR, step_slow, RUN("--max-tokens", "1")), 0);
	assert_int_equal(launcher(PAIR, step_no_token, RUN(NULL)), 1);
	assert_said(
		"the logits of prompt 1 for token 1 are not all finite numbers; it is not known where such numbers begin");
	assert_int_equal(launcher(PAIR, step_odd_token, RUN(NULL)), STATUS_INTERNAL);
	assert_said("internal: token 99 was sampled for prompt 1, the vocabulary has 24");
	unsetenv("DEPLOY_TIMEOUT");
	setenv("DEPLOY_DEVICE", "far", 1);
	assert_int_equal(launcher(PAIR, step_touch, RUN(NULL)), 1);
	assert_said("was ended by signal 11 (Segmentation fault)");
	setenv("DEPLOY_SYNC", "1", 1); /* else a later operation may be named */
	assert_int_equal(launcher(PAIR, step_crash, RUN(NULL)), 1);
	assert_said(
		"rank 1 (pp=0, dp=0, tp=1) failed in layer 1 at `head`: the far device's helper was ended by signal 11");
	unsetenv("DEPLOY_SYNC");
	unsetenv("DEPLOY_DEVICE");
}

static void add_activations(struct blob_builder *b, struct dr_program *h, uint64_t bytes)
{
	for (uint32_t i = 0; i < h->stages.n; i++)
		((struct dr_stage *)(void *)(b->at + h->stages.at))[i].bytes[DR_SPACE_ACT] += bytes;
}
static void need_too_much(struct blob_builder *b, struct dr_program *h) { add_activations(b, h, 1ull << 50); }

static void memory_that_the_host_lacks(void **state)
{
	(void)state;
	char text[256];
	edit = need_too_much;
	assert_int_equal(launcher((struct tiny){2, 1, 2, 1}, step_tp2, RUN("--threads", "3", NULL)), 1);
	edit = NULL;
	assert_said("error: 4 ranks need ");
	assert_said(" B of this host's memory, ");
	snprintf(text, sizeof text,
	         "  stage 0: 2 ranks x (layers %d + outside layers %d + shared 0 + cache %d + cache outside layers 0 + "
	         "activations %llu + inputs "
	         "%d + tables 0 + workspaces %d + comm %d) = 2 x ",
	         TINY_D * TINY_D * 4, TINY_VOCAB * TINY_D * 4, 2 * STATE_LAYER_BYTES, (1ull << 50) + ACT_BYTES, INPUT_BYTES,
	         3 * WORKSPACE_BYTES, TINY_STAGING + 2 * X_BYTES);
	assert_said(text);
	assert_said("  stage 1: 2 ranks x (");
}

static void set_version(struct blob_builder *b, struct dr_program *h) { (void)b, h->version++; }
static void set_stages(struct blob_builder *b, struct dr_program *h) { (void)b, h->stage_group = GROUP_TP; }

/* A program that this runtime was not built with. */
static void wrong_programs_are_refused(void **state)
{
	(void)state;
	edit = set_version;
	assert_int_equal(launcher(PAIR, step_tp2, RUN(NULL)), STATUS_INTERNAL);
	assert_said("internal: the launcher's program and its runtime have different versions");
	edit = set_stages;
	assert_int_equal(launcher(PAIR, step_tp2, RUN(NULL)), STATUS_INTERNAL);
	assert_said("internal: the stages of the launcher's program are not those of its mesh");
	edit = NULL;
}

#if !defined(__has_feature)
#define __has_feature(x) 0
#endif

/* Gaps after the buffers, and one in the middle of the first buffer, as if a kernel wrote past it. */
static void add_gaps(struct blob_builder *b, struct dr_program *h)
{
	struct dr_gap gap = {ACT_BYTES, 100};
	add_activations(b, h, 192);
	tiny_program(b, DR_PREFILL)->gaps = tiny_program(b, DR_DECODE)->gaps = blob_put(b, &gap, 1, sizeof gap);
}
static void add_written_gap(struct blob_builder *b, struct dr_program *h)
{
	struct dr_gap gaps[] = {{ACT_BYTES, 100}, {AT_X + 4, 8}};
	add_activations(b, h, 192);
	tiny_program(b, DR_DECODE)->gaps = blob_put(b, gaps, 2, sizeof *gaps);
}

static void gaps_are_checked(void **state)
{
	(void)state;
	edit = add_gaps;
	assert_int_equal(launcher(PAIR, step_tp2, RUN(NULL)), 0);
	edit = add_written_gap;
	int status = launcher(PAIR, step_tp2, RUN(NULL));
	edit = NULL;
#if __has_feature(address_sanitizer) /* the launch that writes to the gap is reported */
	assert_int_equal(status, 1);
	assert_said("AddressSanitizer");
#else
	assert_int_equal(status, 70);
	assert_said("internal: byte 0 after the buffer that ends at 4 of the activations was written");
#endif
}

static bool has_file(const char *prefix)
{
	bool has = false;
	DIR *d = opendir(folder);
	for (struct dirent *e; d && !has && (e = readdir(d));)
		has = !strncmp(e->d_name, prefix, strlen(prefix));
	closedir(d);
	return has;
}

/* A launcher ended by a signal leaves no process and no file. */
static void signals_end_all(void **state)
{
	(void)state;
	int status;
	pid_t pid = start_launcher(PAIR, step_late, RUN("--logits", in_folder("late.npy")));
	for (int looks = 0; !has_file("late.npy") && looks < 3000; looks++)
		usleep(10000);
	kill(pid, SIGTERM);
	waitpid(pid, &status, 0);
	read_said();
	assert_said("ended by signal 15");
	assert_int_equal(WEXITSTATUS(status), 128 + SIGTERM);
	assert_false(has_file("late.npy"));
}

static void wrong_checkpoints_are_refused(void **state)
{
	(void)state;
	write_config("{\"hidden_size\": 9, \"rope_theta\": 500000.0, \"rope_scaling\": {\"factor\": 2}}");
	assert_int_equal(launcher(PAIR, step_tp2, RUN(NULL)), 1);
	assert_said("config.json: hidden_size is 9, the launcher was compiled for 8");
	assert_said("config.json: rope_theta is 500000.0, the launcher was compiled for 10000");
	assert_said("config.json: rope_scaling is {\"factor\":2}, the launcher was compiled for none");
	assert_said("config.json: hidden_act is missing, so hidden_act = \"silu\" is unverified; --unverified=hidden_act "
	            "runs anyway");
	write_config("{\"hidden_size\": 8, \"rope_theta\": 10000, \"hidden_act\": \"silu\", \"kinds\": [\"a\", 2.0]}");
	assert_int_equal(launcher(PAIR, step_tp2, RUN(NULL)), 0);
	write_config("{\"hidden_size\": 8, \"rope_theta\": 10000, \"hidden_act\": \"silu\", \"kinds\": [\"a\"]}");
	assert_int_equal(launcher(PAIR, step_tp2, RUN(NULL)), 1);
	assert_said("config.json: kinds is [\"a\"], the launcher was compiled for [\"a\",2]");
	write_config("{\"hidden_size\": 8, \"rope_theta\": Infinity, \"hidden_act\": NaN, \"kinds\": [\"a\", -Infinity]}");
	assert_int_equal(launcher(PAIR, step_tp2, RUN(NULL)), 1);
	assert_said("config.json: rope_theta is Infinity, the launcher was compiled for 10000");
	assert_said("config.json: hidden_act is NaN, the launcher was compiled for \"silu\"");
	assert_said("config.json: kinds is [\"a\",-Infinity], the launcher was compiled for [\"a\",2]");
	write_config(
		"{\"hidden_size\": 8, \"rope_theta\": 10000, \"hidden_act\": \"silu\", \"time_step_limit\": [0.0, Infinity]}");
	assert_int_equal(launcher(PAIR, step_tp2, RUN(NULL)), 0);
	write_config("{\"hidden_size\": 8.0, \"rope_theta\": 10000}");
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--unverified=hidden_act")), 0);
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--unverified=hidden_act", "--unverified=hiden_act")), 1);
	assert_said("--unverified=hiden_act: no missing or unknown field");
	write_config("{\"hidden_size\": 8, \"rope_theta\": 10000, \"hidden_act\": \"silu\", \"rope\": {\"a\": 1}, \"b.c\": "
	             "2, \"d\": null}");
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--unverified=b.c")), 1);
	assert_said("config.json: rope is {\"a\":1}, and Tiny does not say what that means; --unverified=rope runs anyway");
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--unverified=rope", "--unverified=b.*")), 0);
	write_config(good_config);
	write_weights(TINY_VOCAB - 1);
	assert_int_equal(launcher(PAIR, step_tp2, RUN(NULL)), 1);
	assert_said("head: tensor head.weight is [23, 8], the launcher was compiled for [24, 8]");
	write_weights(TINY_VOCAB);
	assert_int_equal(truncate(in_folder("model.safetensors"), 900), 0);
	assert_int_equal(launcher(PAIR, step_tp2, RUN(NULL)), 1);
	assert_said("truncated");
	write_weights(TINY_VOCAB);
}

static void wrong_arguments_are_refused(void **state)
{
	(void)state;
	assert_int_equal(launcher(PAIR, step_tp2, ARGS("walk")), 2);
	assert_int_equal(launcher(PAIR, step_tp2, ARGS("run")), 2);
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--batch", "3")), 2);
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--ids", "1,,2")), 2);
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--stop-ids", "2;3")), 2);
	assert_said("error: --stop-ids: `2;3` is not a list of token ids like 1,15,7");
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--stop-ids", "23", "--stop-ids", "3,24")), 1);
	assert_said("error: --stop-ids: id 24 is not in the vocabulary of 24");
	assert_int_equal(launcher(PAIR, step_tp2, ARGS("bench", "--stop-ids", "2")), 2);
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--threads")), 2);
	assert_said("--threads needs a value");
	assert_int_equal(launcher(PAIR, step_tp2, ARGS("tokenize")), 2);
	assert_said("error: tokenize needs --weights DIR, the folder of tokenizer.json");
	assert_int_equal(launcher(PAIR, step_tp2, ARGS("tokenize", "--decode=1")), 2);
	assert_said("error: --decode takes no value");
	assert_int_equal(launcher(PAIR, step_tp2, ARGS("tokenize", "--decode", "--weights", folder)), 1);
	assert_said("/tokenizer.json: No such file or directory");
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--decode")), 2);
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--temperature", "-1")), 2);
	assert_said("error: --temperature: `-1` is not a number from 0 to 100");
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--temperature", "nan")), 2);
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--temperature", "0.5x")), 2);
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--top-p=1.5")), 2);
	assert_said("error: --top-p: `1.5` is not a number from 0 to 1");
	static const char *const penalties[][2] = {
		{"--repetition-penalty=0", "--repetition-penalty: `0` is not a number from 0.01 to 100"},
		{"--presence-penalty=nan", "--presence-penalty: `nan` is not a number from -2 to 2"},
		{"--frequency-penalty=-2.1", "--frequency-penalty: `-2.1` is not a number from -2 to 2"},
		{"--logit-bias=7", "--logit-bias: `7` is not a list of token ids and biases like 7:-100,9:2.5"},
		{"--logit-bias=7:1,", "--logit-bias: `7:1,` is not a list of token ids and biases"},
		{"--logit-bias=7:1 9:1", "--logit-bias: `7:1 9:1` is not a list of token ids and biases"},
		{"--logit-bias=7:", "--logit-bias: `7:` is not a list of token ids and biases"},
		{"--logit-bias=7:-101", "--logit-bias: the bias of token 7 is not a number from -100 to 100"},
		{"--logit-bias=7:nan", "--logit-bias: the bias of token 7 is not a number from -100 to 100"},
		{"--logit-bias=-1:1", "--logit-bias: -1 is not a token id"},
		{"--logit-bias=4294967297:1", "--logit-bias: 4294967297 is not a token id"},
		{"--logit-bias=7:1,9:2,7:1", "--logit-bias: token 7 has two biases"},
	};
	for (size_t i = 0; i < sizeof penalties / sizeof *penalties; i++) {
		assert_int_equal(launcher(PAIR, step_tp2, RUN(penalties[i][0])), 2);
		assert_said(penalties[i][1]);
	}
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--logit-bias=7:1,24:1")), 1);
	assert_said("error: --logit-bias: id 24 is not in the vocabulary of 24\n");
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--top-k=-1")), 2);
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--top-k=65")), 2);
	assert_said("error: --top-k: 65 is more than the 64 most likely tokens that a launcher chooses from");
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--seed=-3")), 2);
	assert_said("error: --seed: `-3` is not a number from 0 to 9223372036854775807");
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--seed=9223372036854775808")), 2);
	assert_int_equal(launcher(PAIR, step_tp2, ARGS("bench", "--seed=1")), 2);
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--ids", "1,24")), 1);
	assert_said("error: prompt 2: id 24 is not in the vocabulary of 24");
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--max-tokens", "31")), 1);
	assert_said(
		"3 ids and 31 more take 33 positions (the last is not read back); the plan's cache has 32 for a sequence");
	assert_int_equal(launcher(PAIR, step_tp2, ARGS("run", "--weights", "/nowhere", "--ids", "1")), 1);
	assert_said("/nowhere is not a folder");
	assert_int_equal(launcher(PAIR, step_tp2, RUN("--logits", "/nowhere/x.npy")), 1);
	assert_said("cannot write /nowhere/x.npy");
	const char *argv[80] = {"tiny", "run"};
	for (int i = 2; i < 79; i++)
		argv[i] = "--unverified=a";
	assert_int_equal(launcher(PAIR, step_tp2, argv), 2);
	assert_said("error: --unverified: at most 64 names");
	setenv("DEPLOY_DEVICE", "gpu", 1);
	assert_int_equal(launcher(PAIR, step_tp2, RUN(NULL)), 2);
	assert_said("error: DEPLOY_DEVICE: a launcher of --target=cpu has no device `gpu`, but cpu and far");
	unsetenv("DEPLOY_DEVICE");
	setenv("DEPLOY_SYNC", "yes", 1);
	assert_int_equal(launcher(PAIR, step_tp2, RUN(NULL)), 2);
	assert_said("error: DEPLOY_SYNC: `yes` is not a number from 0 to 1");
	setenv("DEPLOY_SYNC", "1", 1);
	assert_int_equal(launcher(PAIR, step_tp2, RUN(NULL)), 0);
	unsetenv("DEPLOY_SYNC");
	assert_int_equal(launcher(PAIR, step_tp2, ARGS("probe", "cluster.deploy")), 2);
	assert_said("error: probe takes -o FILE, or nothing");
}

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	write_config(good_config);
	write_weights(TINY_VOCAB);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		unlink(in_folder((const char *[]){"config.json", "model.safetensors", "said"}[i]));
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_meshes_agree),
		cmocka_unit_test(sampling_options_arrive),
		cmocka_unit_test(stop_ids_end_continuations),
		cmocka_unit_test(far_device_agrees),
		cmocka_unit_test(bench_and_plan),
		cmocka_unit_test(ranks_that_share_cores),
		cmocka_unit_test(failing_ranks_are_named),
		cmocka_unit_test(memory_that_the_host_lacks),
		cmocka_unit_test(wrong_programs_are_refused),
		cmocka_unit_test(gaps_are_checked),
		cmocka_unit_test(signals_end_all),
		cmocka_unit_test(wrong_checkpoints_are_refused),
		cmocka_unit_test(wrong_arguments_are_refused),
		cmocka_unit_test(biases_arrive),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
