/* deployc export: a deployment as the command line of another program. */
#include "compile.h"
#include <string.h>
#include "../engines/engines.h"

static bool find_program(const char *word, enum flag_program *out)
{
	static const char *const words[] = {[FLAGS_VLLM] = "vllm",
	                                    [FLAGS_SGLANG] = "sglang",
	                                    [FLAGS_MEGATRON] = "megatron",
	                                    [FLAGS_TORCHTITAN] = "torchtitan"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (!strcmp(words[i], word)) {
			*out = (enum flag_program)i;
			return true;
		}
	complain("`%s` is not a program that is exported to: there are vllm, sglang, megatron and torchtitan", word);
	return false;
}

/* The command line for a deployment without errors, or NULL. */
static const char *exported(struct compilation *c, struct deploy *d, enum flag_program program)
{
	struct planned p = {.deploy = d, .arena.heap = c->options->heap};
	plan_deployment(c, &p);
	bool complete = p.schedule || p.training;
	arena_free(&p.arena);
	if (!complete && !c->sink.errors)
		complain("`%s` is not decided: `deployc search` chooses what is `auto`", d->name);
	if (c->sink.errors || !complete)
		return NULL;
	const struct source *main = &c->sources.files.at[sema_source(c->sema)];
	struct engine_spec spec = {c->spec, main->text};
	struct engine_options how = {.sema = &c->options->sema, .target = &c->target, .heap = c->options->heap};
	return engine_export(&c->arena, &c->names, &c->sink, &spec, d, program, &how);
}

static int write_text(struct compilation *c, const char *text)
{
	struct out_file out;
	if (!output_open(&c->arena, &out, c->options->output))
		return EXIT_ERRORS;
	bool written = fputs(text, out.file) >= 0;
	return output_close(&out, written) && written ? EXIT_OK : EXIT_ERRORS;
}

static int run_passes(struct compilation *c, enum flag_program program)
{
	int n, status;
	if (!compilation_load(c))
		return EXIT_ERRORS;
	struct deploy **deploys = compilation_deploys(c, &n, &status);
	if (status != EXIT_OK || !n)
		return status != EXIT_OK ? status : EXIT_ERRORS;
	if (c->joint) {
		complain("`%s` is several deployments: export each by its name", c->joint->self->name);
		return EXIT_ERRORS;
	}
	const char *text = exported(c, deploys[0], program);
	return text ? write_text(c, text) : EXIT_ERRORS;
}

static int export_one(const struct options *o, int unused)
{
	(void)unused;
	struct compilation c;
	enum flag_program program;
	if (!find_program(o->specs[0], &program))
		return EXIT_USAGE;
	compilation_begin(&c, o, o->specs[1]);
	int status = compilation_target(&c) ? run_passes(&c, program) : EXIT_USAGE;
	allow_apply(&c.sink, false);
	print_diagnostics(o, &c.sink, true);
	arena_free(&c.arena);
	return status;
}

int export_spec(const struct options *o) { return run_alone(o, export_one, 0); }
