/* Finds the program among the commands of a script, and its flags. */
#include "internal.h"
#include <ctype.h>
#include <string.h>

/* ---- which program --------------------------------------------------------------------------- */

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);
	return n >= m && !strcmp(text + n - m, end);
}

/* A command of a program: its own words, and those of what starts its ranks. */
struct found {
	enum flag_program program;
	int launcher, first; /* the launcher's words are [launcher, program), flags begin at `first` */
	int at;              /* the word that names the program */
};

static bool is_program(const struct command *c, int i, struct found *out)
{
	const char *word = c->words.at[i].text, *base = base_of(word);
	const char *next = i + 1 < c->words.n ? c->words.at[i + 1].text : "";
	bool serve = !strcmp(next, "serve");
	*out = (struct found){.at = i, .first = i + 1};
	if (!strcmp(base, "vllm") && serve)
		return out->first = i + 2, out->program = FLAGS_VLLM, true;
	if (!strncmp(word, "vllm.entrypoints.", 17) || !strncmp(word, "vllm/vllm-openai", 16))
		return out->program = FLAGS_VLLM, true;
	if (!strcmp(base, "sglang") && serve)
		return out->first = i + 2, out->program = FLAGS_SGLANG, true;
	if (!strcmp(word, "sglang.launch_server"))
		return out->program = FLAGS_SGLANG, true;
	if (!strncmp(base, "pretrain_", 9) && ends_with(base, ".py"))
		return out->program = FLAGS_MEGATRON, true;
	if (!strcmp(word, "torchtitan.train") || ends_with(word, "torchtitan/train.py") || !strcmp(base, "run_train.sh"))
		return out->program = FLAGS_TORCHTITAN, true;
	if (ends_with(base, ".py"))
		for (int k = 0; k < c->words.n; k++)
			if (!strncmp(c->words.at[k].text, "--deepspeed", 11) || !strcmp(base_of(c->words.at[0].text), "deepspeed"))
				return out->program = FLAGS_DEEPSPEED, true;
	return false;
}

/* Does the command only test, print or copy what it names? */
static bool starts_nothing(const struct command *c)
{
	static const char *const known[] = {"[",   "[[", "test", "echo",  "printf", "ls",
	                                    "cat", "cp", "cd",   "mkdir", "pip",    "git"};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (!strcmp(c->words.at[0].text, known[i]))
			return true;
	return false;
}

static bool find_in(const struct command *c, struct found *out)
{
	if (starts_nothing(c))
		return false;
	for (int i = 0; i < c->words.n; i++)
		if (is_program(c, i, out)) {
			out->launcher = out->program == FLAGS_VLLM || out->program == FLAGS_SGLANG ? i : 0;
			return true;
		}
	return false;
}

/* ---- flags ----------------------------------------------------------------------------------- */

static bool is_number(const char *text)
{
	text += *text == '-';
	return isdigit((unsigned char)*text) || (*text == '.' && isdigit((unsigned char)text[1]));
}

static bool is_flag(const struct word *w) { return w->text[0] == '-' && w->text[1] && !is_number(w->text); }

/* vLLM reads `--a_b` like `--a-b`, and `--config.key` into the flag `--config`. */
static const char *usual_name(struct request *r, const char *name)
{
	if (r->program != FLAGS_VLLM)
		return name;
	char *usual = arena_strndup(r->arena, name, strcspn(name, "."));
	if (usual[0] == '-' && usual[1] == 'O')
		return "--optimization-level";
	for (char *c = usual; *c; c++)
		*c = *c == '_' ? '-' : *c;
	return usual;
}

static void report_unknown(struct request *r, enum flag_program p, const char *name, struct span at)
{
	struct diag *d =
		diag_report(r->sink, DIAG_W1006, at, "`%s` is not a flag of %s that is known here", name, flag_program_name(p));
	VEC(const char *) all = {0};
	int n;
	const struct flag *rows = flag_rows(p, &n);
	for (int i = 0; i < n; i++)
		for (const char *word = rows[i].names; *word; word += strspn(word, " ")) {
			size_t length = strcspn(word, " ");
			vec_push(r->arena, &all, (const char *)arena_strndup(r->arena, word, length));
			word += length;
		}
	const char *near = diag_affords(r->sink, name, all.n) ? nearest_name(name, all.at, all.n) : NULL;
	if (near)
		diag_help(r->sink, d, "did you mean `%s`?", near);
}

static const char *shown(struct request *r, const struct said *s)
{
	return s->flag->argument == FLAG_NONE ? s->name : arena_printf(r->arena, "%s %s", s->name, s->value.text);
}

void request_say(struct request *r, struct said s)
{
	bool neutral = flag_is_neutral(s.flag, s.value.text);
	if (s.flag->meaning == MEANS_BESIDE || (neutral && s.flag->meaning >= MEANS_CHANGES)) {
		vec_push(r->arena, &r->beside, shown(r, &s));
		return;
	}
	if (s.flag->meaning == MEANS_OTHER_MESH) {
		struct diag *d = diag_report(r->sink, DIAG_E1004, s.at, "`%s` has no counterpart in a plan", shown(r, &s));
		diag_note(r->sink, d, "it splits sequences or weights over ranks in a way that no plan of the library has");
		return;
	}
	if (s.flag->meaning == MEANS_PYTHON) {
		struct diag *d =
			diag_report(r->sink, DIAG_E1004, s.at, "`%s` is a function in Python, which is not read", shown(r, &s));
		diag_help(r->sink, d,
		          "write the settings that it makes as options, such as `--parallelism.tensor_parallel_degree 8`");
		return;
	}
	if (s.flag->meaning == MEANS_SHAPE) {
		vec_push(r->arena, &r->beside, shown(r, &s));
		return;
	}
	if (s.flag->meaning == MEANS_CHANGES) {
		diag_report(r->sink, DIAG_W1005, s.at, "`%s` is not carried over: the spec is that of a run without it",
		            shown(r, &s));
		return;
	}
	if (s.value.missing) {
		struct diag *d = diag_report(r->sink, DIAG_E1003, s.value.at, "the value of `%s` is not known: `%s`", s.name,
		                             s.value.missing);
		diag_help(r->sink, d, "write the value in its place, or set the variable in the text");
		return;
	}
	if (s.flag->meaning == MEANS_FILE || s.flag->meaning == MEANS_DEEPSPEED) {
		if (*s.value.text)
			request_file(r, s.value.text, s.value.at);
		return;
	}
	vec_push(r->arena, &r->said, s);
}

/* The value of flag `s`, whose words follow at *i. */
static void take_value(struct request *r, const struct command *c, int *i, struct said *s, const char *attached,
                       bool negated)
{
	const struct word *word = &c->words.at[*i - 1];
	bool next = *i < c->words.n && !is_flag(&c->words.at[*i]);
	s->value = (struct word){negated ? "false" : "true", word->at, word->missing};
	if (s->flag->argument == FLAG_NONE && !attached) {
		bool says = next && r->program == FLAGS_TORCHTITAN;
		if (says)
			s->value = c->words.at[(*i)++];
	} else if (attached)
		s->value = (struct word){attached, word->at, word->missing};
	else if (next) {
		s->value = c->words.at[(*i)++];
		while (s->flag->argument == FLAG_SEVERAL && *i < c->words.n && !is_flag(&c->words.at[*i]))
			(*i)++;
	} else if (s->flag->argument == FLAG_OPTIONAL || s->flag->argument == FLAG_SEVERAL)
		s->value.text = "";
	else {
		diag_report(r->sink, DIAG_E1003, word->at, "`%s` needs a value", s->name);
		s->flag = NULL;
	}
}

static void take_flag(struct request *r, enum flag_program p, const struct command *c, int *i)
{
	const struct word *word = &c->words.at[(*i)++];
	const char *equals = strchr(word->text, '=');
	const char *name = equals ? arena_strndup(r->arena, word->text, (size_t)(equals - word->text)) : word->text;
	bool negated;
	const struct flag *f = flag_find(p, usual_name(r, name), &negated);
	if (!f) {
		report_unknown(r, p, name, word->at);
		while (!equals && *i < c->words.n && !is_flag(&c->words.at[*i]))
			(*i)++;
		return;
	}
	struct said s = {.flag = f, .name = name, .at = word->at};
	take_value(r, c, i, &s, equals ? equals + 1 : NULL, negated);
	if (s.flag)
		request_say(r, s);
}

static void take_flags(struct request *r, enum flag_program p, const struct command *c, int from, int to)
{
	for (int i = from; i < to;)
		if (is_flag(&c->words.at[i]))
			take_flag(r, p, c, &i);
		else
			vec_push(r->arena, &r->unclaimed, c->words.at[i++]);
}

/* The first word without a flag is the model of a server; others are reported. */
static void take_unclaimed(struct request *r)
{
	const struct flag *model = flag_meaning_row(r->program, MEANS_MODEL);
	bool serves = r->program == FLAGS_VLLM || r->program == FLAGS_SGLANG;
	for (int i = 0; i < r->unclaimed.n; i++) {
		struct word w = r->unclaimed.at[i];
		if (!i && serves && model && !said_of(r, MEANS_MODEL))
			request_say(r, (struct said){.flag = model, .name = "the model", .at = w.at, .value = w});
		else
			diag_report(r->sink, DIAG_W1006, w.at, "`%s` belongs to no flag", w.text);
	}
	r->unclaimed.n = 0;
}

/* Variables of `run_train.sh`, which torchtitan is started with. */
static void take_environment(struct request *r)
{
	static const struct {
		const char *name, *flag;
		enum flag_program program;
	} known[] = {{"NGPU", "--nproc-per-node", FLAGS_LAUNCHER},
	             {"CONFIG_FILE", "--job.config_file", FLAGS_TORCHTITAN},
	             {"MODULE", "--module", FLAGS_TORCHTITAN},
	             {"CONFIG", "--config", FLAGS_TORCHTITAN}};
	for (int i = 0; i < r->environment.n; i++)
		for (size_t k = 0; k < sizeof known / sizeof *known && r->program == FLAGS_TORCHTITAN; k++) {
			struct word w = r->environment.at[i];
			size_t n = strlen(known[k].name);
			bool negated;
			if (strncmp(w.text, known[k].name, n) != 0 || w.text[n] != '=')
				continue;
			const struct flag *f = flag_find(known[k].program, known[k].flag, &negated);
			w.text += n + 1;
			request_say(r, (struct said){.flag = f, .name = known[k].name, .at = w.at, .value = w});
		}
}

static bool several(struct request *r, struct span first, struct span second)
{
	struct diag *d = diag_report(r->sink, DIAG_E1001, second, "a second program is started: a spec is of one");
	diag_related(r->sink, d, first, "the first");
	return false;
}

bool request_commands(struct request *r, struct commands commands)
{
	const struct command *chosen = NULL;
	struct found found, other;
	struct span everything = {0};
	for (int i = 0; i < commands.n; i++) {
		const struct command *c = &commands.at[i];
		if (!chosen && find_in(c, &found))
			chosen = c;
		else if (chosen && find_in(c, &other))
			return several(r, chosen->words.at[found.at].at, c->words.at[other.at].at);
		if (i == 0)
			everything = c->words.at[0].at;
	}
	if (!chosen) {
		everything.file = r->command.file;
		struct diag *d = diag_report(r->sink, DIAG_E1001, everything, "no program that is known is started here");
		diag_help(r->sink, d,
		          "begin with `vllm serve`, `python -m sglang.launch_server`, `torchrun ... pretrain_gpt.py`, "
		          "`torchrun -m torchtitan.train` or `deepspeed ... train.py --deepspeed_config FILE`");
		return false;
	}
	r->program = found.program;
	r->command = span_join(chosen->words.at[found.at].at, chosen->words.at[found.first - 1].at);
	for (int i = 0; i < commands.n && &commands.at[i] <= chosen; i++)
		for (int k = 0; k < commands.at[i].environment.n; k++)
			vec_push(r->arena, &r->environment, commands.at[i].environment.at[k]);
	take_environment(r);
	if (found.launcher < found.at)
		take_flags(r, FLAGS_LAUNCHER, chosen, found.launcher, found.at);
	r->unclaimed.n = 0; /* `torchrun`, `python` */
	take_flags(r, r->program, chosen, found.first, chosen->words.n);
	take_unclaimed(r);
	return true;
}

/* A key of a file: `tensor-parallel-size` of vLLM's, `parallelism.tensor_parallel_degree` of torchtitan's. */
void request_key(struct request *r, const char *path, struct word value, struct span at)
{
	bool negated;
	const char *name = arena_printf(r->arena, "--%s", path);
	const struct flag *f = flag_find(r->program, usual_name(r, name), &negated);
	if (!f)
		report_unknown(r, r->program, name, at);
	else if (!negated && strcmp(value.text, "auto") != 0)
		request_say(r, (struct said){.flag = f, .name = path, .at = at, .value = value, .in_file = true});
}
