/* Statements: directives of a module, functions, instructions with their operands. Nothing is looked up here. */
#include <stdlib.h>
#include <string.h>
#include "../../../runtime/cuda_api.h"
#include "ptx.h"

/* ---- operands ---- */
static void parse_operand(struct loader *l, struct operand_text *o);

/* `+4`, `-4`, `+-4` after a name: 0 if nothing follows. */
static uint64_t parse_addend(struct loader *l)
{
	if (lex_accept(l, "+"))
		return lex_integer(l);
	return lex_is(l, "-") ? lex_integer(l) : 0;
}

static void parse_list(struct loader *l, struct operand_text *o, const char *close)
{
	struct operand_text elements[MAX_LIST];
	int n = 0;
	while (!lex_accept(l, close)) {
		if (n == MAX_LIST)
			load_error(l, l->token.line, "a list of operands is too long");
		parse_operand(l, &elements[n++]);
		if (!lex_is(l, close))
			lex_expect(l, ",");
	}
	o->kind = OPERAND_LIST;
	o->n = n;
	o->list = arena_take(l->arena, (size_t)n * sizeof *elements);
	memcpy(o->list, elements, (size_t)n * sizeof *elements);
}

static void parse_address(struct loader *l, struct operand_text *o)
{
	o->kind = OPERAND_ADDRESS;
	if (l->token.kind == TOKEN_WORD) {
		o->name = lex_word(l, "an address");
		o->bits = parse_addend(l);
	} else {
		o->bits = lex_integer(l);
	}
	/* [map, {x, y}] */
	if (lex_accept(l, ",")) {
		struct operand_text list;
		lex_expect(l, "{");
		parse_list(l, &list, "}");
		o->list = list.list;
		o->n = list.n;
	}
	lex_expect(l, "]");
}

static void parse_number(struct loader *l, struct operand_text *o)
{
	bool minus = lex_accept(l, "-");
	o->kind = l->token.kind == TOKEN_FLOAT ? OPERAND_FLOAT : OPERAND_INTEGER;
	if (l->token.kind != TOKEN_FLOAT && l->token.kind != TOKEN_INTEGER)
		load_error(l, l->token.line, "an operand expected before `%.*s`", l->token.n, l->token.at);
	o->bits = l->token.bits;
	o->size = l->token.size;
	if (minus)
		o->bits = o->kind == OPERAND_INTEGER ? 0 - o->bits : o->bits ^ UINT64_C(1) << (8 * o->size - 1);
	lex_next(l);
}

static void parse_operand(struct loader *l, struct operand_text *o)
{
	*o = (struct operand_text){.kind = OPERAND_NAME};
	o->inverted = lex_accept(l, "!");
	if (lex_accept(l, "{")) {
		parse_list(l, o, "}");
	} else if (lex_accept(l, "(")) {
		parse_list(l, o, ")");
	} else if (lex_accept(l, "[")) {
		parse_address(l, o);
	} else if (l->token.kind == TOKEN_WORD) {
		o->name = lex_word(l, "an operand");
		o->bits = parse_addend(l);
	} else {
		parse_number(l, o);
	}
}

/* ---- statements ---- */
static struct statement *add_statement(struct loader *l, struct function *f, enum statement_kind kind)
{
	if (f->n_body == f->cap_body) {
		int cap = f->cap_body ? 2 * f->cap_body : 64;
		struct statement *body = arena_take(l->arena, (size_t)cap * sizeof *body);
		if (f->n_body)
			memcpy(body, f->body, (size_t)f->n_body * sizeof *body);
		f->body = body;
		f->cap_body = cap;
	}
	struct statement *s = &f->body[f->n_body++];
	*s = (struct statement){.kind = kind, .line = l->token.line};
	return s;
}

/* "add.rn.f32" -> "add", "rn", "f32" */
static void cut_name(struct loader *l, struct statement *s)
{
	char *part = (char *)(uintptr_t)arena_text(l->arena, s->name, strlen(s->name));
	for (char *rest; part; part = rest) {
		rest = strchr(part, '.');
		if (rest)
			*rest++ = 0;
		if (s->n_words == MAX_MODIFIERS)
			load_error(l, s->line, "`%s` has too many modifiers", s->name);
		s->words[s->n_words++] = part;
	}
}

static void parse_operands(struct loader *l, struct statement *s)
{
	while (!lex_accept(l, ";")) {
		if (s->n_operands == MAX_OPERANDS)
			load_error(l, s->line, "`%s` has too many operands", s->name);
		parse_operand(l, &s->operands[s->n_operands++]);
		/* `d|p` is two results. */
		if (!lex_is(l, ";") && !lex_accept(l, "|"))
			lex_expect(l, ",");
	}
}

static void parse_instruction(struct loader *l, struct function *f)
{
	struct statement *s = add_statement(l, f, STATEMENT_INSTRUCTION);
	if (lex_accept(l, "@")) {
		s->unless = lex_accept(l, "!");
		s->guard = lex_word(l, "a predicate");
	}
	s->name = lex_word(l, "an instruction");
	if (!s->guard && lex_accept(l, ":")) {
		s->kind = STATEMENT_LABEL;
		return;
	}
	cut_name(l, s);
	parse_operands(l, s);
}

/* .reg .b32 %r<10>, %x; */
static void parse_registers(struct loader *l, struct function *f)
{
	char name[16] = "";
	if (l->token.kind == TOKEN_DIRECTIVE && l->token.n <= 15)
		memcpy(name, l->token.at + 1, (size_t)l->token.n - 1);
	const struct type *type = type_named(name);
	if (!type || type->size == 1)
		load_error(l, l->token.line, "registers of type `%.*s`", l->token.n, l->token.at);
	lex_next(l);
	do {
		struct statement *s = add_statement(l, f, STATEMENT_REGISTERS);
		s->type = type;
		s->name = lex_word(l, "a register");
		if (lex_accept(l, "<")) {
			s->count = (int)lex_integer(l);
			lex_expect(l, ">");
		}
	} while (lex_accept(l, ","));
	lex_expect(l, ";");
}

static void skip_line(struct loader *l)
{
	for (int line = l->token.line; l->token.line == line && l->token.kind != TOKEN_END;)
		lex_next(l);
}

/* .local, .shared and .param variables of a function */
static bool parse_local(struct loader *l, struct function *f)
{
	static const struct {
		const char *word;
		enum space space;
	} spaces[] = {{".local", SPACE_LOCAL}, {".shared", SPACE_SHARED}, {".param", SPACE_LOCAL}};
	for (int i = 0; i < 3; i++)
		if (lex_accept(l, spaces[i].word)) {
			struct statement *s = add_statement(l, f, STATEMENT_VARIABLE);
			s->variable = parse_variable(l, spaces[i].space);
			lex_expect(l, ";");
			return true;
		}
	return false;
}

static void parse_body(struct loader *l, struct function *f)
{
	int depth = 1;
	while (depth) {
		if (lex_is(l, "{") || lex_is(l, "}")) {
			bool open = lex_is(l, "{");
			depth += open ? 1 : -1;
			add_statement(l, f, open ? STATEMENT_OPEN : STATEMENT_CLOSE);
			lex_next(l);
		} else if (lex_accept(l, ".reg")) {
			parse_registers(l, f);
		} else if (lex_is(l, ".loc") || lex_is(l, ".pragma")) {
			skip_line(l);
		} else if (l->token.kind == TOKEN_WORD || lex_is(l, "@")) {
			parse_instruction(l, f);
		} else if (!parse_local(l, f) && !lex_accept(l, ";")) {
			load_error(l, l->token.line, "`%.*s` in a function", l->token.n, l->token.at);
		}
	}
}

/* ---- functions ---- */
static void parse_params(struct loader *l, struct variable **list, enum space space)
{
	while (!lex_accept(l, ")")) {
		lex_expect(l, ".param");
		*list = parse_variable(l, space);
		list = &(*list)->next;
		if (!lex_is(l, ")"))
			lex_expect(l, ",");
	}
}

static void parse_limits(struct loader *l, struct function *f, bool required)
{
	unsigned sizes[3] = {1, 1, 1};
	int n = 0;
	do
		sizes[n++] = (unsigned)lex_integer(l);
	while (n < 3 && lex_accept(l, ","));
	f->max_threads = sizes[0] * sizes[1] * sizes[2];
	if (required)
		memcpy(f->required, sizes, sizeof sizes);
	if (!f->max_threads || f->max_threads > MAX_THREADS)
		load_error(l, l->token.line, "a bound on threads that is not from 1 to %d", MAX_THREADS);
}

static void parse_cluster(struct loader *l, struct function *f)
{
	unsigned ctas = 1;
	for (int i = 0; i < 3; i++)
		f->cluster[i] = i && !lex_accept(l, ",") ? 1 : (unsigned)lex_integer(l);
	for (int i = 0; i < 3; i++)
		ctas *= f->cluster[i];
	if (!ctas || ctas > MAX_CLUSTER)
		load_error(l, l->token.line, "a cluster of %u CTAs", ctas);
}

/* .maxntid 128, 1, 1 .minnctapersm 2 ... */
static void parse_properties(struct loader *l, struct function *f)
{
	f->max_threads = MAX_THREADS;
	while (!lex_is(l, "{") && !lex_is(l, ";")) {
		if (lex_accept(l, ".maxntid"))
			parse_limits(l, f, false);
		else if (lex_accept(l, ".reqntid"))
			parse_limits(l, f, true);
		else if (lex_accept(l, ".reqnctapercluster"))
			parse_cluster(l, f);
		else if (lex_accept(l, ".maxclusterrank"))
			lex_integer(l);
		else if (lex_accept(l, ".explicitcluster"))
			continue;
		else if (lex_accept(l, ".minnctapersm"))
			f->min_ctas = (unsigned)lex_integer(l);
		else if (lex_accept(l, ".maxnreg"))
			lex_integer(l);
		else if (lex_is(l, ".pragma"))
			skip_line(l);
		else if (!lex_accept(l, ".noreturn"))
			load_error(l, l->token.line, "`%.*s` of a function", l->token.n, l->token.at);
	}
}

static struct function *find_function(struct loader *l, const char *name)
{
	struct function *f = l->functions;
	while (f && strcmp(f->name, name))
		f = f->next;
	return f;
}

static void parse_function(struct loader *l, bool entry, bool external)
{
	struct variable *result = NULL;
	if (!entry && lex_accept(l, "("))
		parse_params(l, &result, SPACE_LOCAL);
	int line = l->token.line;
	const char *name = lex_word(l, "a function's name");
	struct function *f = find_function(l, name);
	if (!f) {
		struct function **last = &l->functions;
		while (*last)
			last = &(*last)->next;
		*last = f = arena_take(l->arena, sizeof *f);
	} else if (f->body) {
		load_error(l, line, "`%s` is defined twice", name);
	}
	f->name = name;
	f->entry = entry;
	f->line = line;
	f->result = result;
	f->params = NULL;
	f->external = true;
	if (lex_accept(l, "("))
		parse_params(l, &f->params, entry ? SPACE_PARAM : SPACE_LOCAL);
	parse_properties(l, f);
	if (lex_accept(l, ";"))
		return;
	lex_expect(l, "{");
	if (external)
		load_error(l, line, "`%s` is external and has a body", name);
	f->external = false;
	parse_body(l, f);
}

/* ---- modules ---- */
static void parse_version(struct loader *l)
{
	if (l->token.kind != TOKEN_FLOAT)
		load_error(l, l->token.line, "a version expected before `%.*s`", l->token.n, l->token.at);
	l->version = (int)(strtod(l->token.at, NULL) * 10 + 0.5);
	if (l->version > PTX_NEWEST)
		load_error_code(l, CUDA_ERROR_UNSUPPORTED_PTX_VERSION, l->token.line, "a version of PTX that is too new");
	lex_next(l);
}

/* The first version of PTX that has a target. */
static int version_of_target(int sm, bool specific)
{
	static const struct {
		int sm, version;
	} targets[] = {{50, 40}, {60, 50}, {61, 50}, {70, 60}, {72, 61},  {75, 63},  {80, 70},
	               {86, 71}, {87, 74}, {89, 78}, {90, 78}, {100, 86}, {103, 88}, {120, 87}};
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
		if (targets[i].sm == sm)
			return specific ? 80 : targets[i].version;
	return 0;
}

static void parse_target(struct loader *l)
{
	do {
		const char *name = lex_word(l, "a target");
		if (!strcmp(name, "debug") || !strcmp(name, "texmode_independent"))
			continue;
		char *end = NULL;
		l->sm = strncmp(name, "sm_", 3) ? 0 : (int)strtol(name + 3, &end, 10);
		if (!l->sm)
			load_error(l, l->token.line, "`%s` is not a target", name);
		bool specific = *end == 'a' || *end == 'f';
		l->specific = specific;
		if (l->sm > l->device_sm || (specific && l->sm != l->device_sm))
			load_error_code(l, CUDA_ERROR_NO_BINARY_FOR_GPU, l->token.line, "a target that the device is not");
		if (l->version < version_of_target(l->sm, specific))
			load_error(l, l->token.line, "`%s` needs a newer .version", name);
	} while (lex_accept(l, ","));
}

static void skip_section(struct loader *l)
{
	while (!lex_is(l, "{") && l->token.kind != TOKEN_END)
		lex_next(l);
	while (!lex_accept(l, "}")) {
		if (l->token.kind == TOKEN_END)
			load_error(l, l->token.line, "a section does not end");
		lex_next(l);
	}
}

static void parse_declaration(struct loader *l)
{
	bool external = false;
	for (;;) {
		if (lex_accept(l, ".extern"))
			external = true;
		else if (!lex_accept(l, ".visible") && !lex_accept(l, ".weak") && !lex_accept(l, ".common"))
			break;
	}
	if (lex_is(l, ".entry") || lex_is(l, ".func")) {
		bool entry = lex_is(l, ".entry");
		lex_next(l);
		parse_function(l, entry, external);
		return;
	}
	enum space space = lex_is(l, ".global")   ? SPACE_GLOBAL
	                   : lex_is(l, ".const")  ? SPACE_CONST
	                   : lex_is(l, ".shared") ? SPACE_SHARED
	                                          : SPACE_GENERIC;
	if (space == SPACE_GENERIC)
		load_error(l, l->token.line, "`%.*s` in a module", l->token.n, l->token.at);
	lex_next(l);
	struct variable *v = parse_variable(l, space);
	if (external && !(space == SPACE_SHARED && v->size == 0))
		load_error(l, l->token.line, "`%s` is external: modules are not linked", v->name);
	v->external = external;
	*l->last_variable = v;
	l->last_variable = &v->next;
	lex_expect(l, ";");
}

void parse_module(struct loader *l)
{
	lex_next(l);
	while (l->token.kind != TOKEN_END) {
		if (lex_accept(l, ".version"))
			parse_version(l);
		else if (lex_accept(l, ".target"))
			parse_target(l);
		else if (lex_accept(l, ".address_size")) {
			if (lex_integer(l) != 64)
				load_error(l, l->token.line, "addresses that do not have 64 bits");
		} else if (lex_is(l, ".file") || lex_is(l, ".pragma"))
			skip_line(l);
		else if (lex_is(l, ".section"))
			skip_section(l);
		else if (!l->version || !l->sm)
			load_error(l, l->token.line, ".version and .target must come first");
		else
			parse_declaration(l);
	}
	if (!l->version || !l->sm)
		load_error(l, l->line, "no .version and .target");
}
