/* Forks the ranks, waits for them, and tells which one failed, where and why. Nothing is left behind: ranks die with
 * the launcher, helpers with their rank, and memory that they share has no name. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "runtime.h"
#include "watch.h"

struct family {
	struct job *job;
	pid_t *pid;
	int alive;          /* pid 0: ended */
	int failed, status; /* the rank to tell about, -1; its wait status */
};

int host_cores(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
}

/* ---- memory of the host ---------------------------------------------------------------------- */
static void print_memory_table(const struct plan *plan)
{
	static const char *const space[DR_SPACES] = {
		[DR_SPACE_LAYER] = "layers", [DR_SPACE_PRE] = "before",   [DR_SPACE_POST] = "after",
		[DR_SPACE_EVERY] = "shared", [DR_SPACE_STATE] = "cache",  [DR_SPACE_ACT] = "activations",
		[DR_SPACE_INPUT] = "inputs", [DR_SPACE_TABLE] = "tables", [DR_SPACE_COMM] = "comm",
	};
	int ranks = (int)plan->head->ranks / plan->n_stages;
	for (int i = 0; i < plan->n_stages; i++) {
		uint64_t sum = 0;
		fprintf(stderr, "  stage %d: %d rank%s x (", i, ranks, ranks == 1 ? "" : "s");
		for (int k = 0; k < DR_SPACES; k++) {
			sum += plan->stages[i].bytes[k];
			fprintf(stderr, "%s%s %llu", k ? " + " : "", space[k], (unsigned long long)plan->stages[i].bytes[k]);
		}
		fprintf(stderr, ") = %d x %llu B\n", ranks, (unsigned long long)sum);
	}
}

static bool fits_host(const struct plan *plan)
{
	uint64_t need = 0, available = host_memory("");
	for (uint32_t i = 0; i < plan->head->ranks; i++)
		need += plan_bytes(plan, (int)i);
	if (need <= available)
		return true;
	say_error("%u ranks need %llu B of this host's memory, %llu B are available", plan->head->ranks,
	          (unsigned long long)need, (unsigned long long)available);
	print_memory_table(plan);
	return false;
}

/* ---- what ranks share ------------------------------------------------------------------------ */
static bool share(struct job *job)
{
	job->board = board_open((int)job->plan->head->ranks);
	job->comm = comm_local_share(job->plan);
	if (job->board && job->comm)
		return true;
	say_error("the host has no memory left for what %u ranks share", job->plan->head->ranks);
	return false;
}

/* ---- ranks ----------------------------------------------------------------------------------- */
/* watched: signals that the parent waits for, and a rank does not. */
static void fork_rank(struct family *f, int index, const sigset_t *watched)
{
	pid_t parent = getpid(), pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(STATUS_FAILED);
		signal(SIGINT, SIG_IGN); /* of the terminal: the parent ends the ranks */
		sigprocmask(SIG_UNBLOCK, watched, NULL);
		rank_main(f->job, index);
	}
	if (pid < 0) {
		say_error("cannot start rank %d: %s", index, strerror(errno));
		return;
	}
	f->pid[index] = pid;
	f->alive++;
}

static int rank_of_pid(const struct family *f, pid_t pid)
{
	for (int i = 0; i < (int)f->job->plan->head->ranks; i++)
		if (f->pid[i] == pid)
			return i;
	return -1;
}

/* Takes note of all children that ended. A rank that a signal ended comes before those that failed for lack of it. */
static void reap(struct family *f, int flags)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, flags)) > 0) {
		int rank = rank_of_pid(f, pid);
		if (rank < 0)
			continue;
		f->pid[rank] = 0;
		f->alive--;
		if (status && (f->failed < 0 || (WIFSIGNALED(status) && !WIFSIGNALED(f->status)))) {
			f->failed = rank;
			f->status = status;
		}
	}
}

static void end_ranks(struct family *f)
{
	for (int i = 0; i < (int)f->job->plan->head->ranks; i++)
		if (f->pid[i])
			kill(f->pid[i], SIGKILL);
	reap(f, 0); /* helpers too: they became children of the launcher */
}

/* ---- what is told ---------------------------------------------------------------------------- */
static void format_place(const struct job *job, const struct rank_status *s, char *out, size_t n)
{
	static const char *const other[] = {
		[ACTIVITY_START] = "while starting",        [ACTIVITY_LOAD] = "while loading weights",
		[ACTIVITY_WAIT] = "between steps",          [ACTIVITY_OUTPUT] = "while handing over results",
		[ACTIVITY_PRINT] = "while writing results", [ACTIVITY_END] = "at the end",
	};
	int layer = atomic_load(&s->layer), activity = atomic_load(&s->activity);
	if (activity != ACTIVITY_STEP)
		snprintf(out, n, "%s", other[activity]);
	else if (layer >= 0)
		snprintf(out, n, "in layer %d at `%s`", layer, plan_op(job->plan, atomic_load(&s->op)));
	else
		snprintf(out, n, "at `%s`", plan_op(job->plan, atomic_load(&s->op)));
}

static int tell_failure(const struct family *f)
{
	const struct job *job = f->job;
	int first = atomic_load(&job->board->first) - 1, rank = f->failed;
	char name[256], place[512];
	if (first >= 0 && !WIFSIGNALED(f->status))
		rank = first;
	const struct rank_status *s = &job->board->rank[rank];
	plan_rank_name(job->plan, rank, name, sizeof name);
	format_place(job, s, place, sizeof place);
	if (WIFSIGNALED(f->status)) {
		int number = WTERMSIG(f->status);
		say_error("%s was ended by signal %d (%s) %s", name, number, strsignal(number), place);
		return STATUS_FAILED;
	}
	say_error("%s failed %s: %s", name, place, s->message[0] ? s->message : "it ended too early");
	return WEXITSTATUS(f->status) == STATUS_INTERNAL || !strncmp(s->message, "internal:", 9) ? STATUS_INTERNAL
	                                                                                         : STATUS_FAILED;
}

static void print_memory(const struct job *job)
{
	for (uint32_t i = 0; i < job->plan->head->ranks; i++)
		printf("memory: rank %u planned %llu B allocated %llu B\n", i, (unsigned long long)job->board->rank[i].planned,
		       (unsigned long long)job->board->rank[i].allocated);
}

/* Until all ranks ended, one failed or stands still, or a signal came, which it gives. */
static int supervise(struct family *f, const sigset_t *watched)
{
	const struct timespec period = {0, WATCH_PERIOD_MS * 1000000L};
	int signal = 0;
	struct watch w;
	watch_open(&w, f->job, f->pid);
	while (f->alive && f->failed < 0) {
		signal = sigtimedwait(watched, NULL, &period);
		if (signal > 0 && signal != SIGCHLD)
			break;
		signal = 0;
		reap(f, WNOHANG);
		if (f->failed < 0)
			f->failed = watch_look(&w);
	}
	watch_close(&w);
	return signal;
}

static int run_family(struct family *f)
{
	int ranks = (int)f->job->plan->head->ranks;
	sigset_t watched, before;
	sigemptyset(&watched);
	for (int i = 0; i < 4; i++)
		sigaddset(&watched, (const int[]){SIGCHLD, SIGINT, SIGTERM, SIGHUP}[i]);
	sigprocmask(SIG_BLOCK, &watched, &before);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (int i = 0; i < ranks && f->alive == i; i++)
		fork_rank(f, i, &watched);
	bool started = f->alive == ranks;
	int signal_number = started ? supervise(f, &watched) : 0;
	bool failed = f->failed >= 0 || !started;
	int status = f->failed >= 0 ? tell_failure(f) : failed ? STATUS_FAILED : STATUS_OK;
	end_ranks(f);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (signal_number) {
		say_error("ended by signal %d (%s)", signal_number, strsignal(signal_number));
		return STATUS_SIGNAL + signal_number;
	}
	return status;
}

int launch(struct job *job)
{
	int ranks = (int)job->plan->head->ranks;
	if (!fits_host(job->plan) || !share(job))
		return STATUS_FAILED;
	struct family f = {.job = job, .pid = host_alloc((size_t)ranks, sizeof(pid_t)), .failed = -1};
	fflush(NULL);
	int status = run_family(&f);
	free(f.pid);
	if (status == STATUS_OK) {
		print_memory(job);
		status = finish_output(status);
	}
	comm_local_unshare(job->comm);
	return status;
}
