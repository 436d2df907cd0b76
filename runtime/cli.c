/* The launcher's commands, and the checks that need no rank. */
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "../support/escape.h"
#include "batch.h"
#include "options.h"
#include "probe.h"
#include "schedule.h"
#include "texts.h"
#include "tokenize.h"

static const struct command_row {
	const char *name;
	int bit;
	const char *help;
} command_table[] = {
#define X(name, bit, help) {#name, bit, help},
#include "commands.def"
#undef X
};
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* ---- texts ----------------------------------------------------------------------------------- */
static void print_help(const struct plan *plan, const char *self)
{
	uint32_t ranks = plan->head->ranks;
	printf("usage: %s COMMAND [OPTION ...]\n\n", self);
	printf("%s: %s on %u rank%s\n\ncommands:\n", plan_string(plan, plan->head->deploy),
	       plan_string(plan, plan->head->model), ranks, ranks == 1 ? "" : "s");
	for (size_t i = 0; i < COUNT(command_table); i++)
		printf("  %-20s %s\n", command_table[i].name, command_table[i].help);
	print_options();
}

static void print_version(const struct plan *plan)
{
	printf("%s: %s, plan %016" PRIx64 ", launcher ABI %u\n", plan_string(plan, plan->head->deploy),
	       plan_string(plan, plan->head->model), plan->head->hash, plan->head->version);
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
	int room = schedule_room(plan);
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

/* Gives prompts of the command line what the other options say. */
static void fill_prompts(struct options *o)
{
	for (int i = 0; i < o->n_prompts; i++) {
		struct prompt p = prompt_default(o, i, prompt_is_text(&o->prompts[i]));
		p.ids = o->prompts[i].ids;
		p.n = o->prompts[i].n;
		p.text = o->prompts[i].text;
		p.messages = o->prompts[i].messages;
		o->prompts[i] = p;
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
	bool inner = false;
	if (!is_folder(folder))
		problem(p, "--weights: %s is not a folder", folder);
	else
		inner = config_check(job->plan, folder, &u, p);
	if (p->n > before)
		return;
	*checkpoint = checkpoint_open(folder, p);
	checkpoint_guard(*checkpoint, NULL);
	if (p->n == before)
		weights_inner(job->plan, *checkpoint, inner, p);
	if (p->n > before)
		return;
	weights_check(job->plan, *checkpoint, &u, p);
	unverified_check(&u, p);
}

static bool has_text(const struct options *o)
{
	bool found = false;
	for (int i = 0; i < o->n_prompts; i++)
		found = found || prompt_is_text(&o->prompts[i]);
	return found;
}

/* Reports everything that can be wrong before a rank starts, in one message. */
static bool check_job(struct job *job, struct options *o, struct checkpoint **checkpoint)
{
	struct problems p;
	bool folder = o->weights && is_folder(o->weights);
	problems_open(&p);
	fill_prompts(o);
	if (o->prompts_file)
		batch_read(o, &p);
	if (folder && has_text(o))
		job->tokenizer = texts_encode(o, job->plan, &p);
	prompts_check(job->plan, o, o->bench ? 1 : o->n_prompts, &p); /* prompts of bench are all alike */
	if (o->weights)
		check_weights(job, checkpoint, &p);
	job->checkpoint = *checkpoint;
	if (o->prompts_file && !p.n)
		job->batch = batch_open(o, job->plan, &p);
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
	int longest = 0;
	for (int i = 0; i < o->n_prompts; i++)
		longest = o->prompts[i].max_tokens > longest ? o->prompts[i].max_tokens : longest;
	if (!npy_open(&npy, o->logits, o->n_prompts, longest, job->plan->head->vocab))
		return STATUS_FAILED;
	job->npy = &npy;
	int status = launch(job);
	if (status == STATUS_OK && !npy_finish(&npy))
		return STATUS_FAILED;
	if (status != STATUS_OK)
		npy_discard(&npy);
	return status;
}

static int launch_batch(struct job *job)
{
	if (batch_complete(job->batch)) {
		print_note("%s has all %d answers already", job->options->output_dir, job->options->n_prompts);
		return STATUS_OK;
	}
	int status = launch(job);
	return status == STATUS_OK && !batch_finish(job->batch) ? STATUS_FAILED : status;
}

static int start(struct job *job)
{
	sigset_t before;
	choose_threads(job);
	hold_signals(&before);
	int status = job->batch ? launch_batch(job) : job->options->logits ? launch_with_logits(job) : launch(job);
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
	if (check_job(&job, o, &checkpoint))
		status = start(&job);
	if (job.batch)
		batch_close(job.batch);
	tokenizer_close(job.tokenizer);
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
	o->bench = command == BENCH;
	if (!parse_options(o, command, argc - 2, argv + 2) || !read_environment(o, (enum dr_image_form)g->image->form))
		return STATUS_USAGE;
	if (command == PLAN)
		return print_plan(plan, (enum dr_image_form)g->image->form);
	if (command == TOKENIZE)
		return tokenize_command(o, plan);
	if (!o->bench && (!o->weights || (!o->n_prompts && !o->prompts_file)))
		return usage(argv[0]);
	if (!options_agree(o))
		return STATUS_USAGE;
	if (o->calibrate && g->image->form != DR_IMAGE_FUNCTIONS) {
		say_error("--calibrate measures processors: std.calibration has what was measured of GPUs");
		return STATUS_USAGE;
	}
	if (o->trace && g->image->form != DR_IMAGE_FUNCTIONS) {
		say_error("--trace follows processors: a GPU queues its work, and Nsight Systems shows when it runs");
		return STATUS_USAGE;
	}
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
	struct options o = {.sampling = {.top_p = 1}};
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
		prompt_free(&o.prompts[i]);
	for (int i = 0; i < o.n_stop_text; i++)
		free(o.stop_text[i]);
	free(o.prompts);
	free(o.stop);
	free(o.stop_text);
	free(o.penalties.bias);
	return status;
}
