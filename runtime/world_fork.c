/* Ranks as processes of this host, forked from the launcher. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "runtime.h"
#include "world.h"

struct fork_world {
	struct world world; /* first */
	const struct plan *plan;
	struct comm_shared *comm;
	pid_t *pid; /* [ranks]; 0: not running */
	struct rank_end *end;
	sigset_t watched, before; /* signals that the launcher waits for; its previous mask */
};

static int ranks_of(const struct fork_world *f) { return (int)f->plan->head->ranks; }

/* ---- memory of the host ---------------------------------------------------------------------- */
static void print_memory_table(const struct plan *plan, int workers)
{
	static const char *const space[DR_SPACES] = {
		[DR_SPACE_LAYER] = "layers",
		[DR_SPACE_OUTSIDE] = "outside layers",
		[DR_SPACE_EVERY] = "shared",
		[DR_SPACE_STATE] = "cache",
		[DR_SPACE_STATE_OUTSIDE] = "cache outside layers",
		[DR_SPACE_ACT] = "activations",
		[DR_SPACE_INPUT] = "inputs",
		[DR_SPACE_TABLE] = "tables",
		[DR_SPACE_WORKSPACE] = "workspaces",
		[DR_SPACE_COMM] = "comm",
	};
	int ranks = (int)plan->head->ranks / plan->n_stages;
	for (int i = 0; i < plan->n_stages; i++) {
		uint64_t sum = 0;
		fprintf(stderr, "  stage %d: %d rank%s x (", i, ranks, ranks == 1 ? "" : "s");
		for (int k = 0; k < DR_SPACES; k++) {
			uint64_t bytes = plan_space_bytes(plan, i, (enum dr_space)k, workers);
			sum += bytes;
			fprintf(stderr, "%s%s %llu", k ? " + " : "", space[k], (unsigned long long)bytes);
		}
		fprintf(stderr, ") = %d x %llu B\n", ranks, (unsigned long long)sum);
	}
}

/* Where devices have memory of their own, ranks take no more of the host's than their communicators. */
static bool fits_host(const struct plan *plan, int workers, bool own_memory)
{
	uint64_t need = 0, available = host_memory("");
	for (uint32_t i = 0; i < plan->head->ranks; i++)
		need += own_memory ? plan_comm_host_bytes(plan) : plan_bytes(plan, (int)i, workers);
	if (need <= available)
		return true;
	say_error("%u ranks need %llu B of this host's memory, %llu B are available", plan->head->ranks,
	          (unsigned long long)need, (unsigned long long)available);
	print_memory_table(plan, workers);
	return false;
}

/* ---- start ----------------------------------------------------------------------------------- */
static void block_signals(struct fork_world *f)
{
	sigemptyset(&f->watched);
	for (int i = 0; i < 4; i++)
		sigaddset(&f->watched, (const int[]){SIGCHLD, SIGINT, SIGTERM, SIGHUP}[i]);
	sigprocmask(SIG_BLOCK, &f->watched, &f->before);
}

static _Noreturn void run_child(struct fork_world *f, int rank, pid_t parent, rank_fn *life, void *context)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(STATUS_FAILED);
	signal(SIGINT, SIG_IGN); /* sent by the terminal: the launcher ends the ranks */
	sigprocmask(SIG_UNBLOCK, &f->watched, NULL);
	life(context, rank);
	exit(STATUS_OK);
}

static bool fork_rank(struct fork_world *f, int rank, rank_fn *life, void *context)
{
	pid_t parent = getpid(), pid = fork();
	if (pid == 0)
		run_child(f, rank, parent, life, context);
	if (pid < 0) {
		say_error("cannot start rank %d: %s", rank, strerror(errno));
		return false;
	}
	f->pid[rank] = pid;
	f->end[rank].state = RANK_RUNS;
	return true;
}

static bool fork_start(struct world *w, rank_fn *life, void *context)
{
	struct fork_world *f = (struct fork_world *)w;
	fflush(NULL);
	block_signals(f);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (int i = 0; i < ranks_of(f); i++)
		if (!fork_rank(f, i, life, context))
			return false;
	return true;
}

/* ---- while they run -------------------------------------------------------------------------- */
static int rank_of_pid(const struct fork_world *f, pid_t pid)
{
	for (int i = 0; i < ranks_of(f); i++)
		if (f->pid[i] == pid)
			return i;
	return -1;
}

/* Reaps all children that have ended. */
static void reap(struct fork_world *f, int flags)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, flags)) > 0) {
		int rank = rank_of_pid(f, pid);
		if (rank < 0)
			continue;
		f->pid[rank] = 0;
		f->end[rank] = WIFSIGNALED(status) ? (struct rank_end){RANK_KILLED, WTERMSIG(status)}
		               : status            ? (struct rank_end){RANK_FAILED, WEXITSTATUS(status)}
		                                   : (struct rank_end){RANK_DONE, 0};
	}
}

static int fork_wait(struct world *w, int ms)
{
	struct fork_world *f = (struct fork_world *)w;
	const struct timespec period = {ms / 1000, ms % 1000 * 1000000L};
	int number = sigtimedwait(&f->watched, NULL, &period);
	if (number > 0 && number != SIGCHLD)
		return number;
	reap(f, WNOHANG);
	return 0;
}

static struct rank_end fork_end_of(const struct world *w, int rank)
{
	return ((const struct fork_world *)w)->end[rank];
}

static uint64_t time_of_process(pid_t pid)
{
	clockid_t clock;
	struct timespec t;
	if (pid <= 0 || clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		return 0;
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t fork_processor_time(const struct world *w, int rank)
{
	const struct fork_world *f = (const struct fork_world *)w;
	return time_of_process(f->pid[rank]) + time_of_process(atomic_load(&w->board->rank[rank].helper));
}

static struct comm *fork_connect(struct world *w, struct device *d, const struct reporter *r, bool spin)
{
	struct fork_world *f = (struct fork_world *)w;
	return comm_local_open(f->comm, f->plan, d, r, spin);
}

/* ---- end ------------------------------------------------------------------------------------- */
static void fork_stop(struct world *w)
{
	struct fork_world *f = (struct fork_world *)w;
	for (int i = 0; i < ranks_of(f); i++)
		if (f->pid[i])
			kill(f->pid[i], SIGKILL);
	reap(f, 0); /* helpers too: they became children of the launcher */
	sigprocmask(SIG_SETMASK, &f->before, NULL);
}

static void fork_close(struct world *w)
{
	struct fork_world *f = (struct fork_world *)w;
	comm_local_unshare(f->comm);
	board_close(w->board, ranks_of(f));
	free(f->pid);
	free(f->end);
	free(f);
}

struct world *world_fork_open(const struct plan *plan, int workers, bool own_memory)
{
	int ranks = (int)plan->head->ranks;
	if (!fits_host(plan, workers, own_memory))
		return NULL;
	struct board *board = board_open(ranks);
	struct comm_shared *comm = comm_local_share(plan);
	if (!board || !comm) {
		say_error("the host has no memory left for what %d ranks share", ranks);
		return NULL;
	}
	struct fork_world *f = host_alloc(1, sizeof *f);
	f->world = (struct world){board,     fork_start, fork_wait,   fork_end_of, fork_processor_time,
	                          fork_stop, fork_close, fork_connect};
	f->plan = plan;
	f->comm = comm;
	f->pid = host_alloc((size_t)ranks, sizeof *f->pid);
	f->end = host_alloc((size_t)ranks, sizeof *f->end);
	return &f->world;
}
