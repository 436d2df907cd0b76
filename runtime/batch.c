/* The folder of answers of a run over a file of prompts: see batch.h. */
#include "batch.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VERSION = 1 };
static const char run_name[] = "run.json", partial_name[] = "outputs.partial.jsonl", outputs_name[] = "outputs.jsonl";

struct batch {
	int folder, journal; /* file descriptors; -1: none */
	const char *path;    /* of the folder */
	int n, n_done;       /* prompts; those with answers */
	bool *done;
	int64_t *at; /* offset of a prompt's line in the journal, which begins with its number */
	bool complete;
};

/* ---- what a run was started with ------------------------------------------------------------- */
static void add_penalties(json_t *v, const struct penalties *p)
{
	if (p->repetition != 0)
		json_object_set_new(v, "repetition_penalty", json_real((double)p->repetition));
	if (p->presence != 0)
		json_object_set_new(v, "presence_penalty", json_real((double)p->presence));
	if (p->frequency != 0)
		json_object_set_new(v, "frequency_penalty", json_real((double)p->frequency));
	for (int i = 0; i < p->n_bias; i++) {
		char token[16];
		json_t *bias = i ? json_object_get(v, "logit_bias") : json_object();
		snprintf(token, sizeof token, "%d", p->bias[i].token);
		json_object_set_new(bias, token, json_real((double)p->bias[i].bias));
		if (!i)
			json_object_set_new(v, "logit_bias", bias);
	}
}

static json_t *options_json(const struct options *o)
{
	json_t *ids = json_array(), *texts = json_array();
	for (int i = 0; i < o->n_stop; i++)
		json_array_append_new(ids, json_integer(o->stop[i]));
	for (int i = 0; i < o->n_stop_text; i++)
		json_array_append_new(texts, json_string(o->stop_text[i]));
	const uint64_t seed = o->sampling.seed | (uint64_t)o->sampling.seed_high << 32;
	json_t *v = json_pack("{s:I, s:o, s:o}", "seed", (json_int_t)seed, "stop_ids", ids, "stop", texts);
	if (o->max_tokens)
		json_object_set_new(v, "max_tokens", json_integer(o->max_tokens));
	if (o->given & TEMPERATURE)
		json_object_set_new(v, "temperature", json_real((double)o->sampling.temperature));
	if (o->given & TOP_P)
		json_object_set_new(v, "top_p", json_real((double)o->sampling.top_p));
	if (o->given & MIN_P)
		json_object_set_new(v, "min_p", json_real((double)o->sampling.min_p));
	if (o->given & TOP_K)
		json_object_set_new(v, "top_k", json_integer(o->sampling.top_k));
	add_penalties(v, &o->penalties);
	if (o->logprobs)
		json_object_set_new(v, "logprobs", json_integer(o->logprobs - 1));
	return v;
}

static json_t *description(const struct options *o, const struct plan *plan)
{
	char hash[2][17], weights[PATH_MAX];
	snprintf(hash[0], sizeof hash[0], "%016" PRIx64, plan->head->hash);
	snprintf(hash[1], sizeof hash[1], "%016" PRIx64, o->prompts_hash);
	return json_pack("{s:i, s:s, s:{s:i, s:s}, s:s, s:o}", "version", VERSION, "plan", hash[0], "prompts", "count",
	                 o->n_prompts, "hash", hash[1], "weights", realpath(o->weights, weights) ? weights : o->weights,
	                 "options", options_json(o));
}

/* Reports what differs from the run whose files are there. */
static void compare(const struct batch *b, json_t *now, json_t *before, struct problems *p)
{
	const char *name;
	json_t *v;
	if (!before) {
		problem(p, "--output-dir: %s/%s is not what a launcher wrote", b->path, run_name);
		return;
	}
	json_object_foreach (now, name, v)
		if (!json_equal(v, json_object_get(before, name)))
			problem(
				p,
				"--output-dir: the answers in %s are those of another run: `%s` differs in %s; remove them, or choose "
				"another folder",
				b->path, name, run_name);
}

/* ---- files ----------------------------------------------------------------------------------- */
static int open_in(const struct batch *b, const char *name, int flags)
{
	return openat(b->folder, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
}

static FILE *open_stream(const struct batch *b, const char *name, int flags, const char *mode)
{
	int fd = open_in(b, name, flags);
	FILE *file = fd >= 0 ? fdopen(fd, mode) : NULL;
	if (fd >= 0 && !file)
		close(fd);
	return file;
}

static bool write_all(int fd, const char *text, size_t n)
{
	while (n) {
		ssize_t k = write(fd, text, n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		text += k;
		n -= (size_t)k;
	}
	return true;
}

bool batch_write(const struct batch *b, const char *name, const json_t *v)
{
	char temporary[64];
	snprintf(temporary, sizeof temporary, "%s.new", name);
	int fd = open_in(b, temporary, O_WRONLY | O_CREAT | O_TRUNC);
	char *text = json_dumps(v, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	bool ok = fd >= 0 && text && write_all(fd, text, strlen(text)) && write_all(fd, "\n", 1);
	free(text);
	ok = (fd < 0 || !close(fd)) && ok;
	return ok && !renameat(b->folder, temporary, b->folder, name);
}

/* ---- the journal ----------------------------------------------------------------------------- */
/* Notes where the answers in the journal are; an unfinished line at its end is dropped. false: errno. */
static bool read_journal(struct batch *b)
{
	FILE *in = open_stream(b, partial_name, O_RDONLY, "r");
	char *line = NULL;
	size_t room = 0;
	int64_t end = 0;
	for (ssize_t n; in && (n = getline(&line, &room, in)) > 0 && line[n - 1] == '\n'; end += n) {
		char *tab;
		long prompt = strtol(line, &tab, 10);
		if (*tab != '\t' || prompt < 0 || prompt >= b->n)
			break;
		b->n_done += !b->done[prompt];
		b->done[prompt] = true;
		b->at[prompt] = end;
	}
	bool ok = in && !ferror(in) && !ftruncate(b->journal, end) && lseek(b->journal, 0, SEEK_END) >= 0;
	free(line);
	if (in)
		fclose(in);
	return ok;
}

static void open_journal(struct batch *b, struct problems *p)
{
	b->journal = open_in(b, partial_name, O_RDWR | O_CREAT);
	bool locked = b->journal >= 0 && !flock(b->journal, LOCK_EX | LOCK_NB);
	if (b->journal >= 0 && !locked && errno == EWOULDBLOCK)
		problem(p, "--output-dir: another launcher writes its answers to %s", b->path);
	else if (!locked || !read_journal(b))
		problem(p, "cannot write %s/%s: %s", b->path, partial_name, strerror(errno));
}

/* Goes on with a run whose files are there, or begins one. */
static void resume(struct batch *b, const struct options *o, const struct plan *plan, struct problems *p)
{
	json_t *now = description(o, plan), *then = NULL;
	json_error_t e;
	int before = p->n, fd = open_in(b, run_name, O_RDONLY);
	if (fd >= 0) {
		then = json_loadfd(fd, 0, &e);
		close(fd);
		compare(b, now, then, p);
	} else if (errno != ENOENT)
		problem(p, "cannot read %s/%s: %s", b->path, run_name, strerror(errno));
	else if (!faccessat(b->folder, outputs_name, F_OK, 0))
		problem(p, "--output-dir: %s/%s is there already; remove it, or choose another folder", b->path, outputs_name);
	else if (!batch_write(b, run_name, now))
		problem(p, "cannot write %s/%s: %s", b->path, run_name, strerror(errno));
	json_decref(now);
	json_decref(then);
	b->complete = p->n == before && !faccessat(b->folder, outputs_name, F_OK, 0);
	if (p->n == before && !b->complete)
		open_journal(b, p);
}

struct batch *batch_open(const struct options *o, const struct plan *plan, struct problems *p)
{
	int before = p->n;
	struct batch *b = host_alloc(1, sizeof *b);
	*b = (struct batch){.folder = -1, .journal = -1, .path = o->output_dir, .n = o->n_prompts};
	b->done = host_alloc((size_t)b->n, sizeof *b->done);
	b->at = host_alloc((size_t)b->n, sizeof *b->at);
	if (mkdir(b->path, 0777) && errno != EEXIST)
		problem(p, "--output-dir: cannot make %s: %s", b->path, strerror(errno));
	else if ((b->folder = open(b->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		problem(p, "--output-dir: cannot open %s: %s", b->path, strerror(errno));
	else
		resume(b, o, plan, p);
	if (p->n == before)
		return b;
	batch_close(b);
	return NULL;
}

const bool *batch_done(const struct batch *b, int *n)
{
	*n = b->n_done;
	return b->done;
}

bool batch_complete(const struct batch *b) { return b->complete; }

bool batch_append(struct batch *b, int prompt, const json_t *answer)
{
	char *text = json_dumps(answer, JSON_COMPACT | JSON_REAL_PRECISION(9)), *line = NULL;
	int n = text ? asprintf(&line, "%d\t%s\n", prompt, text) : -1;
	bool ok = n > 0 && write_all(b->journal, line, (size_t)n);
	if (n > 0)
		free(line);
	free(text);
	return ok;
}

/* ---- the end --------------------------------------------------------------------------------- */
static bool write_in_order(struct batch *b, FILE *out)
{
	FILE *in = open_stream(b, partial_name, O_RDONLY, "r");
	char *line = NULL;
	size_t room = 0;
	bool ok = in != NULL;
	for (int i = 0; ok && i < b->n; i++) {
		ok = !fseeko(in, b->at[i], SEEK_SET) && getline(&line, &room, in) > 0;
		if (ok)
			fputs(strchr(line, '\t') + 1, out);
	}
	free(line);
	if (in)
		fclose(in);
	return ok && !fflush(out) && !ferror(out);
}

bool batch_finish(struct batch *b)
{
	char temporary[64];
	snprintf(temporary, sizeof temporary, "%s.new", outputs_name);
	b->n_done = 0; /* the ranks, which are processes of their own, have written since it was read */
	memset(b->done, 0, (size_t)b->n * sizeof *b->done);
	bool ok = read_journal(b);
	if (ok && b->n_done < b->n) {
		say_error("internal: %d of %d prompts have no answer", b->n - b->n_done, b->n);
		return false;
	}
	FILE *out = open_stream(b, temporary, O_WRONLY | O_CREAT | O_TRUNC, "w");
	ok = ok && out && write_in_order(b, out);
	ok = (!out || !fclose(out)) && ok && !renameat(b->folder, temporary, b->folder, outputs_name)
	     && !unlinkat(b->folder, partial_name, 0);
	if (!ok)
		say_error("cannot write %s/%s: %s", b->path, outputs_name, strerror(errno));
	return ok;
}

void batch_close(struct batch *b)
{
	if (b->journal >= 0)
		close(b->journal);
	if (b->folder >= 0)
		close(b->folder);
	free(b->done);
	free(b->at);
	free(b);
}
