/* The steps of an import, in order. */
#include "internal.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* Where `from` is a path, the file; else the command line itself. false after a message. */
static bool add_text(struct request *r, const char *from, uint32_t *source, bool *is_path)
{
	struct stat s;
	struct file_text text = {from, strlen(from)};
	*is_path = !stat(from, &s) || !strcmp(from, "-");
	if (!*is_path && !strpbrk(from, " \n\t") && errno != ENAMETOOLONG) {
		complain("cannot read %s: %s", from, strerror(errno));
		return false;
	}
	if (*is_path && !file_read(r->arena, strcmp(from, "-") ? from : NULL, &text)) {
		complain("cannot read %s: %s", from, file_error());
		return false;
	}
	if (text.size > MAX_FROM) {
		complain("cannot read %s: %s", *is_path ? from : "the command line", strerror(EFBIG));
		return false;
	}
	const char *label = *is_path ? from : "<command line>";
	const char *real = *is_path ? real_path(r->arena, from) : NULL;
	*source = sources_add(r->sink->sources, real ? real : label, label, text.at, text.size);
	return true;
}

/* The program that a file of settings is of. */
static enum flag_program program_of(const char *path)
{
	size_t n = strlen(path);
	return n > 5 && !strcmp(path + n - 5, ".json")   ? FLAGS_DEEPSPEED
	       : n > 5 && !strcmp(path + n - 5, ".toml") ? FLAGS_TORCHTITAN
	                                                 : FLAGS_VLLM;
}

static bool read_flags(struct request *r, const char *from)
{
	uint32_t source;
	bool is_path;
	if (!add_text(r, from, &source, &is_path))
		return false;
	r->command = (struct span){source, 0, 0};
	if (!is_path || !is_key_file(from)) {
		struct commands commands = shell_commands(r->arena, r->sink, source);
		return !r->sink->errors && request_commands(r, commands);
	}
	r->program = program_of(from);
	return request_source(r, from, source);
}

const char *engine_import(struct arena *arena, struct names *names, struct sink *sink, const char *from,
                          const struct engine_options *o)
{
	struct request r = {.arena = arena, .names = names, .sink = sink, .options = o};
	struct draft d = {.request = &r};
	bool read = read_flags(&r, from);
	if (sink->errors && !r.said.n)
		return NULL;
	if (!read && !sink->errors)
		return NULL;
	bool serves = r.program == FLAGS_VLLM || r.program == FLAGS_SGLANG;
	bool valid = check_values(&r), machine = draft_machine(&d), model = draft_model(&d);
	if (!machine || !model || (!serves && !valid) || !(serves ? draft_serving(&d) : draft_training(&d)) || sink->errors)
		return NULL;
	draft_fit(&d);
	return draft_formatted(&d);
}
