/* Worlds: what the world of forks reports of ranks that end well, fail, are killed, or are stuck; and a second world,
 * of threads of one process, in which the same launcher runs the same job without changes to ranks or engine. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../runtime/watch.h"
#include "../../runtime/world.h"
#include "rt_tiny.h"

static struct blob_builder blob;
static struct plan plan;

static void make_plan(struct tiny t)
{
	tiny_build(&blob, &t);
	assert_null(plan_open(&plan, blob.at));
}

/* ---- ranks of the world of forks ------------------------------------------------------------- */
static struct world *forks;

static struct reporter reporter_of(int rank) { return (struct reporter){forks->board, rank}; }

/* Waits for all others, on a communicator of its world. */
static void meet(int rank)
{
	struct reporter r = reporter_of(rank);
	struct comm *c = forks->connect(forks, NULL, &r, false);
	c->barrier(c, plan.n_groups);
	c->close(c);
}

static void ends_well(void *context, int rank)
{
	(void)context;
	meet(rank);
}

/* context: the message. */
static void second_fails(void *context, int rank)
{
	struct reporter r = reporter_of(rank);
	if (rank == 1)
		rank_fail(&r, "%s", (const char *)context);
	meet(rank);
}

/* context: the signal. */
static void third_is_killed(void *context, int rank)
{
	if (rank == 2)
		kill(getpid(), *(const int *)context);
	meet(rank);
}

static void first_leaves(void *context, int rank)
{
	(void)context;
	if (rank == 0)
		_exit(3);
	meet(rank);
}

static void sleeps(void *context, int rank)
{
	(void)context, (void)rank;
	for (;;)
		pause();
}

static void burns(void *context, int rank)
{
	(void)context, (void)rank;
	for (;;)
		;
}

static void start(rank_fn *life, void *context)
{
	make_plan((struct tiny){2, 1, 2, 1});
	forks = world_fork_open(&plan, 1, false);
	assert_non_null(forks);
	assert_true(forks->start(forks, life, context));
}

/* Waits at most ten seconds until `n` ranks are in a state. Returns their number. */
static int wait_for(enum rank_state state, int n)
{
	int found = 0;
	for (int looks = 0; looks < 1000 && found < n; looks++) {
		assert_int_equal(forks->wait(forks, 10), 0);
		found = 0;
		for (int i = 0; i < 4; i++)
			found += forks->end_of(forks, i).state == state;
	}
	return found;
}

/* No process is left, and signals are as before. */
static void stop(void)
{
	sigset_t mask;
	forks->stop(forks);
	for (int i = 0; i < 4; i++)
		assert_int_not_equal(forks->end_of(forks, i).state, RANK_RUNS);
	forks->close(forks);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	assert_false(sigismember(&mask, SIGTERM));
}

static void ranks_that_end_well(void **state)
{
	(void)state;
	start(ends_well, NULL);
	assert_int_equal(wait_for(RANK_DONE, 4), 4);
	assert_int_equal(atomic_load(&forks->board->first), 0);
	stop();
}

/* The board has the message of the one that failed first; the waits of the others end. */
static void a_rank_that_fails(void **state)
{
	(void)state;
	static char message[] = "the disk is full", internal[] = "internal: it is full";
	start(second_fails, message);
	assert_int_equal(wait_for(RANK_FAILED, 4), 4);
	assert_int_equal(forks->end_of(forks, 1).number, STATUS_FAILED);
	assert_int_equal(atomic_load(&forks->board->first), 1 + 1);
	assert_string_equal(forks->board->rank[1].message, message);
	assert_string_equal(forks->board->rank[3].message, "another rank failed");
	stop();
	start(second_fails, internal);
	assert_int_equal(wait_for(RANK_FAILED, 4), 4);
	assert_int_equal(forks->end_of(forks, 1).number, STATUS_INTERNAL);
	assert_int_equal(forks->end_of(forks, 2).number, STATUS_FAILED);
	stop();
}

/* It leaves no message; the others wait until they are ended. */
static void a_rank_that_is_killed(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		int number = i ? SIGTERM : SIGKILL;
		start(third_is_killed, &number);
		assert_int_equal(wait_for(RANK_KILLED, 1), 1);
		assert_int_equal(forks->end_of(forks, 2).state, RANK_KILLED);
		assert_int_equal(forks->end_of(forks, 2).number, number);
		assert_int_equal(wait_for(RANK_RUNS, 3), 3);
		assert_int_equal(atomic_load(&forks->board->first), 0);
		stop();
	}
}

static void a_rank_that_leaves(void **state)
{
	(void)state;
	start(first_leaves, NULL);
	assert_int_equal(wait_for(RANK_FAILED, 1), 1);
	assert_int_equal(forks->end_of(forks, 0).number, 3);
	stop();
}

static void signals_arrive_at_the_launcher(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		int number = (const int[]){SIGINT, SIGTERM, SIGHUP}[i];
		start(sleeps, NULL);
		assert_int_equal(forks->wait(forks, 1), 0);
		kill(getpid(), number);
		assert_int_equal(forks->wait(forks, 10000), number);
		stop();
	}
}

static void processor_time_is_known(void **state)
{
	(void)state;
	start(sleeps, NULL);
	uint64_t before = forks->processor_time(forks, 2);
	assert_int_equal(forks->wait(forks, 50), 0);
	uint64_t asleep = forks->processor_time(forks, 2) - before;
	stop();
	start(burns, NULL);
	uint64_t burnt = 0;
	for (int looks = 0; looks < 1000 && burnt < 50000000 + asleep; looks++) {
		assert_int_equal(forks->wait(forks, 10), 0);
		burnt = forks->processor_time(forks, 2);
	}
	assert_true(burnt >= 50000000 + asleep);
	stop();
	assert_true(asleep < 40000000);
}

/* ---- a world of threads ---------------------------------------------------------------------- */
enum { THREADS = 8 };
struct thread_world {
	struct world world;
	struct comm_shared *comm;
	pthread_t thread[THREADS];
	atomic_int state[THREADS]; /* enum rank_state, and above it the number */
	rank_fn *life;
	void *context;
	int ranks;
};
struct thread_rank {
	struct thread_world *w;
	int rank;
};
static _Thread_local struct thread_rank here;

static void thread_leave(int status)
{
	atomic_store(&here.w->state[here.rank], RANK_FAILED | status << 8);
	pthread_exit(NULL);
}

static void *thread_main(void *arg)
{
	here = *(struct thread_rank *)arg;
	free(arg);
	here.w->life(here.w->context, here.rank);
	atomic_store(&here.w->state[here.rank], RANK_DONE);
	return NULL;
}

static bool thread_start(struct world *world, rank_fn *life, void *context)
{
	struct thread_world *w = (struct thread_world *)world;
	w->life = life;
	w->context = context;
	for (int i = 0; i < w->ranks; i++) {
		struct thread_rank *r = host_alloc(1, sizeof *r);
		*r = (struct thread_rank){w, i};
		if (pthread_create(&w->thread[i], NULL, thread_main, r))
			return false;
	}
	return true;
}

static int thread_wait(struct world *world, int ms)
{
	(void)world;
	usleep(ms < 5 ? 1000 : 5000);
	return 0;
}

static struct rank_end thread_end_of(const struct world *world, int rank)
{
	int state = atomic_load(&((const struct thread_world *)world)->state[rank]);
	return (struct rank_end){(enum rank_state)(state & 255), state >> 8};
}

static uint64_t thread_time(const struct world *world, int rank)
{
	(void)world, (void)rank;
	return (uint64_t)clock();
}

static void thread_stop(struct world *world)
{
	struct thread_world *w = (struct thread_world *)world;
	for (int i = 0; i < w->ranks; i++)
		pthread_join(w->thread[i], NULL);
}

static void thread_close(struct world *world)
{
	struct thread_world *w = (struct thread_world *)world;
	comm_local_unshare(w->comm);
	board_close(world->board, w->ranks);
	free(w);
}

static struct comm *thread_connect(struct world *world, struct device *d, const struct reporter *r, bool spin)
{
	return comm_local_open(((struct thread_world *)world)->comm, &plan, d, r, spin);
}

static struct world *world_thread_open(void)
{
	struct thread_world *w = host_alloc(1, sizeof *w);
	w->ranks = (int)plan.head->ranks;
	w->world = (struct world){board_open(w->ranks), thread_start, thread_wait,  thread_end_of,
	                          thread_time,          thread_stop,  thread_close, thread_connect};
	w->world.board->leave = thread_leave;
	w->comm = comm_local_share(&plan);
	return &w->world;
}

/* ---- a world that only says what a test wants to hear ---------------------------------------- */
static struct rank_end script[THREADS];
static int script_signal;

static bool script_start(struct world *w, rank_fn *life, void *context)
{
	(void)life, (void)context;
	if (script[3].state == RANK_FAILED)
		board_blame(w->board, 3, "internal: made up");
	return true;
}

static int script_wait(struct world *w, int ms)
{
	(void)w, (void)ms;
	return script_signal;
}

static struct rank_end script_end_of(const struct world *w, int rank)
{
	(void)w;
	return script[rank];
}

static uint64_t script_used; /* processor time of each rank */

static uint64_t script_time(const struct world *w, int rank)
{
	(void)w, (void)rank;
	return script_used;
}

static void script_stop(struct world *w) { (void)w; }

static void script_close(struct world *w)
{
	board_close(w->board, (int)plan.head->ranks);
	free(w);
}

static struct world *world_script_open(void)
{
	struct world *w = host_alloc(1, sizeof *w);
	*w = (struct world){board_open((int)plan.head->ranks),
	                    script_start,
	                    script_wait,
	                    script_end_of,
	                    script_time,
	                    script_stop,
	                    script_close,
	                    NULL};
	return w;
}

/* Looks ten times, each a period after the last, while each rank of `world` does so much between two looks. The
 * time-out is five of them. The rank that stood still, or -1. */
static int look(const struct world *world, uint64_t operations, uint64_t time)
{
	struct watch w;
	int rank = -1;
	watch_open(&w, world, &plan, 1);
	for (int i = 0; i < 10 && rank < 0; i++) {
		for (int r = 0; r < (int)plan.head->ranks; r++)
			atomic_fetch_add(&world->board->rank[r].operations, operations);
		script_used += time;
		w.looked = 0;
		rank = watch_look(&w);
	}
	watch_close(&w);
	return rank;
}

/* Operations and processor time are a pulse, and so are both by equal amounts. Where all wait, operations alone. */
static void who_stands_still(void **state)
{
	(void)state;
	make_plan((struct tiny){2, 2, 2, 2});
	struct world *w = world_script_open();
	assert_int_equal(look(w, 1, 0), -1);
	assert_int_equal(look(w, 0, 1), -1);
	assert_int_equal(look(w, 1, 1), -1);
	assert_int_equal(look(w, 0, 0), 0);
	atomic_store(&w->board->rank[0].activity, ACTIVITY_PRINT);
	script[1].state = RANK_DONE;
	assert_int_equal(look(w, 0, 0), 2);
	memset(script, 0, sizeof script);
	for (int i = 0; i < 8; i++)
		atomic_store(&w->board->rank[i].waits_for, 7 - i);
	assert_int_equal(look(w, 1, 1), -1);
	assert_int_equal(look(w, 0, 1), 7);
	w->close(w);
}

/* ---- a job ----------------------------------------------------------------------------------- */
/* ids, want, tokens, R: a token is a function of the one before it. */
static void kernel_next(const uint64_t *a, int32_t worker, int32_t share, int32_t shares)
{
	const int32_t *ids = (const int32_t *)(uintptr_t)a[0], *want = (const int32_t *)(uintptr_t)a[1];
	(void)worker;
	for (int r = share; r < (int)a[3]; r += shares)
		((int32_t *)(uintptr_t)a[2])[r] = want[r] < 0 ? 0 : (ids[want[r]] * 7 + 5) % TINY_VOCAB;
}

static void step_next(struct dr_frame *f)
{
	uint64_t x = f->base[DR_SPACE_ACT], input = f->base[DR_SPACE_INPUT];
	if (f->stage > 0)
		dr_collective(f, COLLECTIVE_RECV, OP_CARRY, x, x, f->tokens, TINY_D, TINY_D);
	if (f->stage < f->stages - 1)
		dr_collective(f, COLLECTIVE_SEND, OP_CARRY, x, x, f->tokens, TINY_D, TINY_D);
	dr_launch(f, 0, OP_SAMPLE,
	          (const uint64_t[]){input, input + DR_INPUT_WANT * TINY_CHUNK * 4, x + AT_TOKENS, (uint64_t)f->rows}, 4);
}

/* Rank 3 fails in the second step. */
static void step_fails(struct dr_frame *f)
{
	struct rank *r = (struct rank *)f;
	step_next(f);
	if (r->index == 3 && r->step.head->phase == DR_DECODE)
		rank_fail(&r->reporter, "made up");
}

static char out[] = "/tmp/rt_world.XXXXXX", said[2][1 << 14];

static void set_output(void)
{
	int fd = open(out, O_TRUNC | O_WRONLY | O_APPEND);
	dup2(fd, 1);
	dup2(fd, 2);
	close(fd);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL); /* cmocka's handlers */
}

enum which_world { FORKS_WORLD, THREAD_WORLD, SCRIPT_WORLD };

static struct world *open_world(enum which_world which)
{
	switch (which) {
	case THREAD_WORLD: return world_thread_open();
	case SCRIPT_WORLD: return world_script_open();
	default:           return world_fork_open(&plan, 1, false);
	}
}

/* Runs the job in a process of its own; returns its exit status. */
static int run_job(enum which_world which, void (*step)(struct dr_frame *), char *text)
{
	static const dr_kernel_fn kernels[] = {kernel_next};
	int status;
	make_plan((struct tiny){2, 2, 2, 2});
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		set_output();
		static int32_t ids[5][20];
		struct prompt prompts[5];
		for (int i = 0; i < 5; i++) {
			prompts[i] = (struct prompt){.ids = ids[i], .n = 1 + i * 4, .max_tokens = 6, .sampling = {.top_p = 1}};
			ids[i][prompts[i].n - 1] = i;
		}
		const dr_step_fn steps[] = {step, step};
		const struct dr_image image = {.n_kernels = sizeof kernels / sizeof *kernels, .functions = kernels};
		struct generated g = {blob.at, &image, steps};
		struct options o = {.prompts = prompts, .n_prompts = 5, .device = "cpu", .timeout = 60};
		struct job job = {.generated = &g, .plan = &plan, .options = &o, .threads = 2, .workers = 2};
		struct world *w = open_world(which);
		status = launch_in(&job, w);
		w->close(w);
		fflush(NULL);
		_exit(status); /* a thread that failed leaves its memory behind */
	}
	waitpid(pid, &status, 0);
	int fd = open(out, O_RDONLY);
	ssize_t n = read(fd, text, sizeof said[0] - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Removes what follows `ttft: ` and `decode: ` in its line. */
static void remove_times(char *text)
{
	for (int i = 0; i < 2; i++) {
		char *at = strstr(text, i ? "ttft: " : "decode: "), *end = at ? strchr(at, '\n') : NULL;
		if (end)
			memmove(strchr(at, ' '), end, strlen(end) + 1);
	}
}

/* The same output in both worlds, except for times. */
static void a_second_world(void **state)
{
	(void)state;
	char line[128];
	int at = 0;
	for (int i = 0; i < 2; i++) {
		int status = run_job((enum which_world)i, step_next, said[i]);
		if (status)
			fail_msg("status %d\n%s", status, said[i]);
		remove_times(said[i]);
	}
	assert_string_equal(said[0], said[1]);
	assert_non_null(strstr(said[0], "\nmemory: rank 7 planned "));
	for (int i = 0, id = 4; i <= 6; i++, id = (id * 7 + 5) % TINY_VOCAB)
		at += snprintf(line + at, sizeof line - (size_t)at, "%s%d", i > 1 ? "," : i ? " -> " : "", id);
	strcat(line, "\n");
	if (!strstr(said[0], line))
		fail_msg("expected `%s` in\n%s", line, said[0]);
}

static void failures_in_both_worlds(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(run_job((enum which_world)i, step_fails, said[i]), STATUS_FAILED);
	assert_string_equal(said[0], said[1]);
	assert_string_equal(said[0], "error: rank 3 (pp=0, dp=1, tp=1) failed at `sample`: made up\n");
}

/* Which of several ranks is reported: the one that a signal ended; else the first on the board, not the first that the
 * launcher finds. A signal to the launcher, and a time-out, are not failures of a rank that ended. */
static void the_cause_is_reported(void **state)
{
	(void)state;
	char *text = said[0];
	script[1] = script[3] = (struct rank_end){RANK_FAILED, STATUS_FAILED};
	assert_int_equal(run_job(SCRIPT_WORLD, step_next, text), STATUS_INTERNAL);
	assert_string_equal(text, "error: rank 3 (pp=0, dp=1, tp=1) failed while starting: internal: made up\n");
	script[6] = (struct rank_end){RANK_KILLED, SIGBUS};
	script[7] = (struct rank_end){RANK_KILLED, SIGKILL};
	assert_int_equal(run_job(SCRIPT_WORLD, step_next, text), STATUS_FAILED);
	assert_string_equal(text, "error: rank 6 (pp=1, dp=1, tp=0) was ended by signal 7 (Bus error) while starting\n");
	memset(script, 0, sizeof script);
	script[2] = (struct rank_end){RANK_FAILED, 9};
	assert_int_equal(run_job(SCRIPT_WORLD, step_next, text), STATUS_FAILED);
	assert_string_equal(text, "error: rank 2 (pp=0, dp=1, tp=0) failed while starting: it ended too early\n");
	script_signal = SIGHUP;
	assert_int_equal(run_job(SCRIPT_WORLD, step_next, text), STATUS_SIGNAL + SIGHUP);
	assert_string_equal(text, "error: ended by signal 1 (Hangup)\n");
	memset(script, 0, sizeof script);
	script_signal = 0;
}

static int make_file(void **state)
{
	(void)state;
	int fd = mkstemp(out);
	close(fd);
	return fd < 0;
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranks_that_end_well),
		cmocka_unit_test(a_rank_that_fails),
		cmocka_unit_test(a_rank_that_is_killed),
		cmocka_unit_test(a_rank_that_leaves),
		cmocka_unit_test(signals_arrive_at_the_launcher),
		cmocka_unit_test(processor_time_is_known),
		cmocka_unit_test(who_stands_still),
		cmocka_unit_test(a_second_world),
		cmocka_unit_test(failures_in_both_worlds),
		cmocka_unit_test(the_cause_is_reported),
	};
	return cmocka_run_group_tests(tests, make_file, remove_file);
}
