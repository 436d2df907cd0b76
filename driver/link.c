/* The launcher: the object, the embedded runtime archive and a linker. */
#include "driver.h"
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern const unsigned char runtime_archive[];
extern const unsigned long runtime_archive_size;
extern char **environ;

/* A temporary folder for the linker's input. While it exists, signals that end a process are blocked: an interrupted
 * deployc ends after the linker has ended and the folder is removed. */
struct workspace {
	char folder[256], object[272], archive[272];
	sigset_t signals; /* as they were before */
	struct undo undo;
};

static void hold_signals(struct workspace *w)
{
	sigset_t ending;
	sigemptyset(&ending);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGHUP);
	sigaddset(&ending, SIGQUIT);
	sigaddset(&ending, SIGPIPE);
	sigprocmask(SIG_BLOCK, &ending, &w->signals);
}

static void remove_files(void *what)
{
	const struct workspace *w = what;
	unlink(w->object);
	unlink(w->archive);
	rmdir(w->folder);
	sigprocmask(SIG_SETMASK, &w->signals, NULL);
}

static bool workspace_open(struct workspace *w)
{
	const char *parent = getenv("TMPDIR");
	int n = snprintf(w->folder, sizeof w->folder, "%s/deployc-XXXXXX", parent && *parent ? parent : "/tmp");
	if (n >= (int)sizeof w->folder)
		errno = ENAMETOOLONG;
	hold_signals(w);
	if (n >= (int)sizeof w->folder || !mkdtemp(w->folder)) {
		sigprocmask(SIG_SETMASK, &w->signals, NULL);
		complain("cannot make a temporary folder %s: %s; set TMPDIR to a folder that can be written", w->folder,
		         strerror(errno));
		return false;
	}
	snprintf(w->object, sizeof w->object, "%s/program.o", w->folder);
	snprintf(w->archive, sizeof w->archive, "%s/runtime.a", w->folder);
	w->undo = (struct undo){remove_files, w, NULL};
	undo_add(&w->undo);
	return true;
}

static void workspace_close(struct workspace *w)
{
	undo_remove(&w->undo);
	remove_files(w);
}

static bool write_file(const char *path, const void *data, size_t n)
{
	FILE *f = fopen(path, "wb");
	bool ok = f && fwrite(data, 1, n, f) == n;
	if (f && fclose(f))
		ok = false;
	if (!ok)
		complain("cannot write %s: %s", path, strerror(errno));
	return ok;
}

/* ---- the linker ------------------------------------------------------------------------------ */
enum { MAX_WORDS = 64 };
struct command_words {
	const char *word[MAX_WORDS];
	int n;
};

static void add_word(struct command_words *c, const char *word)
{
	if (c->n == MAX_WORDS - 1)
		internal_error("too many words in the linker's command");
	c->word[c->n++] = word;
}

/* $CC may hold several words, options or a wrapper: "ccache gcc". */
static bool add_compiler(struct command_words *c, char *cc)
{
	enum { MAX_COMPILER = MAX_WORDS / 2 };
	char *rest = NULL;
	for (char *w = strtok_r(cc, " \t", &rest); w; w = strtok_r(NULL, " \t", &rest)) {
		if (c->n == MAX_COMPILER) {
			complain("CC has more than %d words; name a script instead", MAX_COMPILER);
			return false;
		}
		add_word(c, w);
	}
	if (!c->n)
		add_word(c, "cc");
	return true;
}

/* What a deployc that needs no compiler has in ../lib/deployc beside its own folder: lld, and in link/ where a launcher
 * starts and what the C library exports (packages/README.md). */
enum bundled { BUNDLED_LINKER, BUNDLED_START, BUNDLED_LIBM, BUNDLED_LIBC, BUNDLED_FILES };
struct bundle {
	char path[BUNDLED_FILES][PATH_MAX];
};

static bool find_bundle(struct bundle *b)
{
	static const char *const files[] = {"ld.lld", "link/start.o", "link/libm.so.6", "link/libc.so.6"};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (n < 0)
		return false;
	self[n] = 0;
	for (int cut = 0; cut < 2; cut++)
		if (strchr(self, '/'))
			*strrchr(self, '/') = 0;
	for (int i = 0; i < BUNDLED_FILES; i++)
		if (snprintf(b->path[i], PATH_MAX, "%s/lib/deployc/%s", self, files[i]) >= PATH_MAX)
			return false;
	return access(b->path[BUNDLED_LINKER], X_OK) == 0;
}

/* As a compiler would run its linker. */
static void add_bundled_linker(struct command_words *c, const struct bundle *b, const struct workspace *w,
                               const char *path)
{
	const char *words[] = {b->path[BUNDLED_LINKER],
	                       "-pie",
	                       "--dynamic-linker=/lib64/ld-linux-x86-64.so.2",
	                       "--eh-frame-hdr",
	                       "--hash-style=gnu",
	                       "--build-id",
	                       "--as-needed",
	                       "-zrelro",
	                       "-znow",
	                       "-o",
	                       path,
	                       b->path[BUNDLED_START],
	                       w->object,
	                       w->archive,
	                       b->path[BUNDLED_LIBM],
	                       b->path[BUNDLED_LIBC]};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		add_word(c, words[i]);
}

static bool report_exit(const char *program, int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		complain("`%s` could not be run; install a C compiler (Debian: apt install gcc) or set CC", program);
	else if (WIFEXITED(status))
		complain("`%s` could not link the launcher (status %d); what it said is above", program, WEXITSTATUS(status));
	else
		complain("`%s` was stopped by signal %d while it linked the launcher", program, WTERMSIG(status));
	return false;
}

/* Starts the linker with the signals as they were. Returns 0 or an error number. */
static int start(pid_t *child, const struct command_words *c, const sigset_t *signals)
{
	posix_spawnattr_t attributes;
	int error = posix_spawnattr_init(&attributes);
	if (error)
		return error;
	posix_spawnattr_setsigmask(&attributes, signals);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	error = posix_spawnp(child, c->word[0], NULL, &attributes, (char *const *)c->word, environ);
	posix_spawnattr_destroy(&attributes);
	return error;
}

static bool run(const struct command_words *c, const sigset_t *signals)
{
	pid_t child;
	int status, error = start(&child, c, signals);
	if (error) {
		complain("cannot run `%s`: %s; install a C compiler (Debian: apt install gcc) or set CC", c->word[0],
		         strerror(error));
		return false;
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR) {
			complain("lost the linker `%s`: %s", c->word[0], strerror(errno));
			return false;
		}
	return report_exit(c->word[0], status);
}

static bool link_with_compiler(const struct workspace *w, const char *named, const char *path)
{
	struct command_words c = {.n = 0};
	char *cc = strdup(named ? named : "cc");
	if (!cc) {
		complain("cannot run the linker: %s", strerror(errno));
		return false;
	}
	bool ok = add_compiler(&c, cc);
	const char *rest[] = {"-o", path, w->object, w->archive, "-lm", "-lpthread", "-ldl"};
	for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
		add_word(&c, rest[i]);
	ok = ok && run(&c, &w->signals);
	free(cc);
	return ok;
}

static bool link_files(const struct workspace *w, const char *path)
{
	const char *named = getenv("CC");
	struct bundle bundle;
	if (named || !find_bundle(&bundle))
		return link_with_compiler(w, named, path);
	struct command_words c = {.n = 0};
	add_bundled_linker(&c, &bundle, w, path);
	return run(&c, &w->signals);
}

bool link_launcher(struct object_code object, const char *path)
{
	struct workspace w;
	if (!workspace_open(&w))
		return false;
	bool ok = write_file(w.object, object.at, object.size)
	          && write_file(w.archive, runtime_archive, runtime_archive_size) && link_files(&w, path);
	workspace_close(&w);
	return ok;
}
