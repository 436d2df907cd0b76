/* The launcher's command line: options into struct options, and the checks that need no rank. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "../support/escape.h"
#include "probe.h"
#include "runtime.h"
#include "tokenize.h"

enum command { RUN = 1, BENCH = 2, PLAN = 4, PROBE = 8, TOKENIZE = 16 };
enum option {
#define X(name, value, commands, help) OPTION_##name,
#include "options.def"
#undef X
	OPTIONS
};
static const struct option_row {
	const char *name, *value;
	int commands;
	const char *help;
} option_table[] = {
#define X(name, value, commands, help) {#name, value, commands, help},
#include "options.def"
#undef X
};
static const struct command_row {
	const char *name;
	int bit;
	const char *help;
} command_table[] = {
#define X(name, bit, help) {#name, bit, help},
#include "commands.def"
#undef X
};
static const struct env_row {
	const char *name, *value, *help;
} env_table[] = {
#define X(name, value, help) {#name, value, help},
#include "env.def"
#undef X
};
enum env {
#define X(name, value, help) ENV_##name,
#include "env.def"
#undef X
};
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* ---- texts ----------------------------------------------------------------------------------- */
/* The text of an option: its name with dashes for underscores. */
static void option_text(const struct option_row *o, char *out, size_t n)
{
	snprintf(out, n, "--%s%s%s", o->name, *o->value ? " " : "", o->value);
	for (char *c = out; *c && *c != ' '; c++)
		*c = *c == '_' ? '-' : *c;
}

static void print_help(const struct plan *plan, const char *self)
{
	char text[64];
	uint32_t ranks = plan->head->ranks;
	printf("usage: %s COMMAND [OPTION ...]\n\n", self);
	printf("%s: %s on %u rank%s\n\ncommands:\n", plan_string(plan, plan->head->deploy),
	       plan_string(plan, plan->head->model), ranks, ranks == 1 ? "" : "s");
	for (size_t i = 0; i < COUNT(command_table); i++)
		printf("  %-20s %s\n", command_table[i].name, command_table[i].help);
	printf("\noptions:\n");
	for (size_t i = 0; i < COUNT(option_table); i++) {
		int commands = option_table[i].commands;
		option_text(&option_table[i], text, sizeof text);
		const char *only = commands == RUN        ? " [run]"
		                   : commands == BENCH    ? " [bench]"
		                   : commands == TOKENIZE ? " [tokenize]"
		                                          : "";
		printf("  %-20s %s%s\n", text, option_table[i].help, only);
	}
	printf("  %-20s %s\n  %-20s %s\n", "--help", "this text", "--version", "what the launcher was made from");
	printf("\nenvironment:\n");
	for (size_t i = 0; i < COUNT(env_table); i++)
		printf("  %-20s %s (%s)\n", env_table[i].name, env_table[i].help, env_table[i].value);
}

static void print_version(const struct plan *plan)
{
	printf("%s: %s, plan %016" PRIx64 ", launcher ABI %u\n", plan_string(plan, plan->head->deploy),
	       plan_string(plan, plan->head->model), plan->head->hash, plan->head->version);
}

/* ---- values ---------------------------------------------------------------------------------- */
/* A whole number in [min, max]; false after a message. */
static bool parse_number(const char *name, const char *text, long min, long max, int *out)
{
	char *end;
	errno = 0;
	long v = strtol(text, &end, 10);
	if (errno || end == text || *end || v < min || v > max) {
		say_error("%s: `%s` is not a number from %ld to %ld", name, text, min, max);
		return false;
	}
	*out = (int)v;
	return true;
}

/* A number in [min, max]; false after a message. */
static bool parse_real(const char *name, const char *text, double min, double max, float *out)
{
	char *end;
	double v = strtod(text, &end);
	if (end == text || *end || !(v >= min && v <= max)) {
		say_error("%s: `%s` is not a number from %g to %g", name, text, min, max);
		return false;
	}
	*out = (float)v;
	return true;
}

static void set_seed(struct dr_sampling *s, uint64_t seed)
{
	s->seed = (uint32_t)seed;
	s->seed_high = (uint32_t)(seed >> 32);
}

static bool parse_seed(struct dr_sampling *s, const char *text)
{
	char *end;
	errno = 0;
	long long v = strtoll(text, &end, 10);
	if (errno || end == text || *end || v < 0) {
		say_error("--seed: `%s` is not a number from 0 to %lld", text, LLONG_MAX);
		return false;
	}
	set_seed(s, (uint64_t)v);
	return true;
}

static bool parse_top_k(struct dr_sampling *s, const char *text)
{
	int n;
	if (!parse_number("--top-k", text, 0, INT32_MAX, &n))
		return false;
	if (n > DR_CANDIDATES)
		say_error("--top-k: %d is more than the %d most likely tokens that a launcher chooses from", n, DR_CANDIDATES);
	s->top_k = n;
	return n <= DR_CANDIDATES;
}

/* Appends a list of token ids to *ids, which has *n of them; false after a message. */
static bool parse_ids(const char *name, const char *text, int32_t **ids, int *n)
{
	*ids = host_grow(*ids, (size_t)*n + strlen(text) / 2 + 1, sizeof **ids);
	for (const char *at = text;; at++) {
		char *end;
		errno = 0;
		long v = strtol(at, &end, 10);
		if (errno || end == at || (*end && *end != ',') || v < 0 || v > INT32_MAX) {
			say_error("%s: `%s` is not a list of token ids like 1,15,7", name, text);
			return false;
		}
		(*ids)[(*n)++] = (int32_t)v;
		at = end;
		if (!*end)
			return true;
	}
}

static bool parse_prompt(struct options *o, const char *text)
{
	struct prompt p = {0};
	if (!parse_ids("--ids", text, &p.ids, &p.n)) {
		free(p.ids);
		return false;
	}
	o->prompts = host_grow(o->prompts, (size_t)(o->n_prompts + 1), sizeof *o->prompts);
	o->prompts[o->n_prompts++] = p;
	return true;
}

static bool set_option(struct options *o, enum option option, const char *value)
{
	enum { MAX_COUNT = 1 << 24, MAX_THREADS = 4096 };
	switch (option) {
	case OPTION_weights:     o->weights = value; return true;
	case OPTION_decode:      return o->decode = true;
	case OPTION_logits:      o->logits = value; return true;
	case OPTION_ids:         return parse_prompt(o, value);
	case OPTION_stop_ids:    return parse_ids("--stop-ids", value, &o->stop, &o->n_stop);
	case OPTION_max_tokens:  return parse_number("--max-tokens", value, 1, MAX_COUNT, &o->max_tokens);
	case OPTION_temperature: return parse_real("--temperature", value, 0, 100, &o->sampling.temperature);
	case OPTION_top_k:       return parse_top_k(&o->sampling, value);
	case OPTION_top_p:       return parse_real("--top-p", value, 0, 1, &o->sampling.top_p);
	case OPTION_seed:        return parse_seed(&o->sampling, value);
	case OPTION_prompt:      return parse_number("--prompt", value, 1, MAX_COUNT, &o->prompt);
	case OPTION_output:      return parse_number("--output", value, 1, MAX_COUNT, &o->output);
	case OPTION_batch:       return parse_number("--batch", value, 1, MAX_COUNT, &o->batch);
	case OPTION_threads:     return parse_number("--threads", value, 1, MAX_THREADS, &o->threads);
	case OPTION_unverified:
		if (o->n_unverified == MAX_UNVERIFIED) {
			say_error("--unverified: at most %d names", MAX_UNVERIFIED);
			return false;
		}
		o->unverified[o->n_unverified++] = value;
		return true;
	case OPTIONS: break;
	}
	return false;
}

/* The option in an argument like --max-tokens or --max-tokens=4; OPTIONS: none. */
static enum option find_option(const char *arg, int command)
{
	size_t n = strcspn(arg, "=");
	for (int i = 0; i < OPTIONS; i++) {
		char text[64];
		option_text(&option_table[i], text, sizeof text);
		text[strcspn(text, " ")] = 0;
		if (strlen(text) == n && !strncmp(text, arg, n) && option_table[i].commands & command)
			return (enum option)i;
	}
	return OPTIONS;
}

static bool parse_options(struct options *o, int command, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		enum option option = find_option(argv[i], command);
		const char *value = strchr(argv[i], '=');
		if (option == OPTIONS) {
			say_error("this command has no option `%s`; --help lists its options", argv[i]);
			return false;
		}
		bool takes = *option_table[option].value;
		if (!takes && value) {
			say_error("`%s`: this option takes no value", argv[i]);
			return false;
		}
		if (takes && !value && i + 1 == argc) {
			say_error("%s needs a value: %s", argv[i], option_table[option].value);
			return false;
		}
		if (!set_option(o, option, !takes ? "" : value ? value + 1 : argv[++i]))
			return false;
	}
	return true;
}

static bool read_environment(struct options *o, enum dr_image_form form)
{
	const char *value[COUNT(env_table)];
	for (size_t i = 0; i < COUNT(env_table); i++) {
		const char *set = getenv(env_table[i].name);
		value[i] = set && *set ? set : env_table[i].value;
	}
	const char *const *names = device_names(form);
	const char *wanted = getenv("DEPLOY_DEVICE");
	o->device = wanted && *wanted ? NULL : names[0];
	for (int i = 0; names[i] && !o->device; i++)
		o->device = strcmp(names[i], wanted) ? NULL : names[i];
	if (o->device)
		return parse_number("DEPLOY_TIMEOUT", value[ENV_DEPLOY_TIMEOUT], 1, 1 << 20, &o->timeout)
		       && parse_number("DEPLOY_SYNC", value[ENV_DEPLOY_SYNC], 0, 1, &o->sync);
	say_error("DEPLOY_DEVICE: a launcher of --target=%s has no device `%s`, but %s%s%s",
	          form == DR_IMAGE_PTX ? "cuda" : "cpu", wanted, names[0], names[1] ? " and " : "",
	          names[1] ? names[1] : "");
	return false;
}

/* ---- plan ------------------------------------------------------------------------------------ */
/* Variables that the driver and NCCL read: a run with them may differ. */
static void print_gpu_environment(void)
{
	for (char **v = environ; *v; v++)
		if (!strncmp(*v, "NCCL_", 5) || !strncmp(*v, "CUDA_VISIBLE_DEVICES=", 21)) {
			fputs("environment: ", stdout);
			put_escaped(stdout, *v);
			putchar('\n');
		}
}

static int print_plan(const struct plan *plan, enum dr_image_form form)
{
	fputs(plan_string(plan, plan->head->plan_text), stdout);
	if (form == DR_IMAGE_PTX)
		print_gpu_environment();
	return STATUS_OK;
}

/* ---- run and bench --------------------------------------------------------------------------- */
static int min_int(int a, int b) { return a < b ? a : b; }

/* Makes up prompts, the same in each run. Default lengths fit the cache. */
static void make_prompts(struct options *o, const struct plan *plan)
{
	const struct dr_program *h = plan->head;
	int room = min_int((int)h->pages, (int)h->pages_per_seq) * (int)h->page_size;
	if (!o->output)
		o->output = min_int(32, o->prompt ? room - o->prompt : (room + 3) / 4);
	o->output = o->output < 1 ? 1 : o->output;
	if (!o->prompt)
		o->prompt = room - o->output < 1 ? 1 : min_int(128, room - o->output);
	if (!o->batch)
		o->batch = (int)h->seqs * plan->n_owners;
	uint32_t state = 1;
	o->max_tokens = o->output;
	o->n_prompts = o->batch;
	o->prompts = host_alloc((size_t)o->batch, sizeof *o->prompts);
	for (int i = 0; i < o->batch; i++) {
		o->prompts[i] = (struct prompt){.ids = host_alloc((size_t)o->prompt, sizeof(int32_t)), .n = o->prompt};
		for (int k = 0; k < o->prompt; k++)
			o->prompts[i].ids[k] = (int32_t)(((state = state * 1664525u + 1013904223u) >> 8) % h->vocab);
	}
}

/* Gives each prompt a seed of its own, so that equal prompts draw different tokens. */
static void give_seeds(struct options *o)
{
	uint64_t seed = o->sampling.seed | (uint64_t)o->sampling.seed_high << 32;
	for (int i = 0; i < o->n_prompts; i++) {
		o->prompts[i].sampling = o->sampling;
		set_seed(&o->prompts[i].sampling, seed + (uint64_t)i);
	}
}

static bool is_folder(const char *path)
{
	struct stat st;
	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* Checks config.json and the tensors. If config.json is of another model, its tensors are not reported as well. */
static void check_weights(const struct job *job, struct checkpoint **checkpoint, struct problems *p)
{
	const char *folder = job->options->weights;
	struct unverified u = {.name = job->options->unverified, .n = job->options->n_unverified};
	int before = p->n;
	if (!is_folder(folder))
		problem(p, "--weights: %s is not a folder", folder);
	else
		config_check(job->plan, folder, &u, p);
	if (p->n > before)
		return;
	*checkpoint = checkpoint_open(folder, p);
	checkpoint_guard(*checkpoint, NULL);
	if (p->n > before)
		return;
	weights_check(job->plan, *checkpoint, &u, p);
	unverified_check(&u, p);
}

/* Reports everything that can be wrong before a rank starts, in one message. */
static bool check_job(struct job *job, struct checkpoint **checkpoint)
{
	const struct options *o = job->options;
	struct problems p;
	problems_open(&p);
	prompts_check(job->plan, o, o->bench ? 1 : o->n_prompts, &p); /* prompts of bench are all alike */
	if (o->weights)
		check_weights(job, checkpoint, &p);
	job->checkpoint = *checkpoint;
	return problems_close(&p, "the launcher cannot start:");
}

static int host_cores(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
}

static void choose_threads(struct job *job)
{
	int ranks = (int)job->plan->head->ranks, cores = host_cores();
	if (cores < ranks && job->generated->image->form == DR_IMAGE_FUNCTIONS)
		print_warning("%d ranks share %d core%s: this is slow, but results do not change", ranks, cores,
		              cores == 1 ? "" : "s");
	job->threads = job->options->threads ? job->options->threads : cores / ranks > 1 ? cores / ranks : 1;
	job->workers = job->generated->image->form == DR_IMAGE_PTX ? (int)job->plan->head->workers : job->threads;
	job->spin = job->threads * ranks <= cores;
}

/* Blocks signals that end a launcher until its files are complete or removed; launch() waits for them. */
static void hold_signals(sigset_t *before)
{
	sigset_t ending;
	sigemptyset(&ending);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGHUP);
	sigprocmask(SIG_BLOCK, &ending, before);
}

static int launch_with_logits(struct job *job)
{
	const struct options *o = job->options;
	struct npy npy;
	if (!npy_open(&npy, o->logits, o->n_prompts, o->max_tokens, job->plan->head->vocab))
		return STATUS_FAILED;
	job->npy = &npy;
	int status = launch(job);
	if (status == STATUS_OK && !npy_finish(&npy))
		return STATUS_FAILED;
	if (status != STATUS_OK)
		npy_discard(&npy);
	return status;
}

static int start(struct job *job)
{
	sigset_t before;
	choose_threads(job);
	hold_signals(&before);
	int status = job->options->logits ? launch_with_logits(job) : launch(job);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
}

static int run_command(struct options *o, const struct plan *plan, const struct generated *g)
{
	struct job job = {.generated = g, .plan = plan, .options = o};
	struct checkpoint *checkpoint = NULL;
	int status = STATUS_FAILED;
	if (o->bench)
		make_prompts(o, plan);
	give_seeds(o);
	if (check_job(&job, &checkpoint))
		status = start(&job);
	checkpoint_guard(NULL, NULL);
	checkpoint_close(checkpoint);
	return status;
}

static int command_bit(const char *name)
{
	for (size_t i = 0; i < COUNT(command_table); i++)
		if (!strcmp(command_table[i].name, name))
			return command_table[i].bit;
	return 0;
}

static int usage(const char *self)
{
	fprintf(stderr, "usage: %s run --weights DIR --ids LIST [OPTION ...]; --help lists commands and options\n", self);
	return STATUS_USAGE;
}

static bool wants(int argc, char **argv, const char *option)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], option))
			return true;
	return false;
}

/* probe [-o FILE] */
static int probe_command(int argc, char **argv)
{
	if (argc == 0)
		return probe(NULL);
	if (argc == 2 && !strcmp(argv[0], "-o"))
		return probe(argv[1]);
	say_error("probe takes -o FILE, or nothing");
	return STATUS_USAGE;
}

static int tokenize_command(const struct options *o, const struct plan *plan)
{
	if (o->weights)
		return tokenize(o->weights, plan->head->vocab, o->decode, stdin, stdout);
	say_error("tokenize needs --weights DIR, the folder of tokenizer.json");
	return STATUS_USAGE;
}

static int main_with_options(struct options *o, const struct plan *plan, int argc, char **argv,
                             const struct generated *g)
{
	int command = argc > 1 ? command_bit(argv[1]) : 0;
	if (!command)
		return usage(argv[0]);
	if (command == PROBE)
		return probe_command(argc - 2, argv + 2);
	if (!parse_options(o, command, argc - 2, argv + 2) || !read_environment(o, (enum dr_image_form)g->image->form))
		return STATUS_USAGE;
	if (command == PLAN)
		return print_plan(plan, (enum dr_image_form)g->image->form);
	if (command == TOKENIZE)
		return tokenize_command(o, plan);
	o->bench = command == BENCH;
	if (!o->bench && (!o->weights || !o->n_prompts))
		return usage(argv[0]);
	return run_command(o, plan, g);
}

/* Opens standard files that are closed. Otherwise another file would get the number of one, and be written to as it. */
static void occupy_standard_files(void)
{
	static const int useless[] = {O_WRONLY, O_RDONLY, O_RDONLY};
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", useless[fd]);
}

int launcher_main(int argc, char **argv, const struct generated *g)
{
	struct plan plan;
	occupy_standard_files();
	signal(SIGPIPE, SIG_IGN); /* write() fails instead, with a message and without a file left over */
	signal(SIGXFSZ, SIG_IGN);
	struct options o = {.max_tokens = 16, .sampling = {.top_p = 1}};
	const char *wrong = plan_open(&plan, g->blob);
	if (wrong) {
		say_error("internal: %s", wrong);
		return STATUS_INTERNAL;
	}
	if (wants(argc, argv, "--help"))
		return print_help(&plan, argv[0]), finish_output(STATUS_OK);
	if (wants(argc, argv, "--version"))
		return print_version(&plan), finish_output(STATUS_OK);
	int status = finish_output(main_with_options(&o, &plan, argc, argv, g));
	for (int i = 0; i < o.n_prompts; i++)
		free(o.prompts[i].ids);
	free(o.prompts);
	free(o.stop);
	return status;
}
