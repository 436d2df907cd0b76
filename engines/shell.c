/* A shell text as commands: quotes, line continuations, comments, variables and arrays that the text itself sets, sums.
 * What only a run would know (substituted commands, arguments of the script) stays in the word and is named in
 * `missing`. */
#include "internal.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* A variable: its words. `conditional`: an `if` or a loop sets it, too. */
struct variable {
	const char *name;
	struct words words;
};

struct shell {
	struct arena *arena;
	struct sink *sink;
	uint32_t source;
	const char *text;
	uint32_t at, size;
	VEC(struct variable) variables;
	struct commands out;
	int depth; /* of `if`, loops and functions */
};

enum { MAX_WORDS = 1 << 16, MAX_NESTED = 16 };

static void push_word(struct shell *s, struct words *to, struct word w)
{
	if (to->n < MAX_WORDS)
		vec_push(s->arena, to, w);
}

static struct span span_at(const struct shell *s, uint32_t lo, uint32_t hi) { return (struct span){s->source, lo, hi}; }

static struct variable *variable_of(struct shell *s, const char *name, size_t n)
{
	for (int i = 0; i < s->variables.n; i++)
		if (strlen(s->variables.at[i].name) == n && !strncmp(s->variables.at[i].name, name, n))
			return &s->variables.at[i];
	return NULL;
}

static bool is_name(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!(isalpha((unsigned char)text[i]) || text[i] == '_' || (i && isdigit((unsigned char)text[i]))))
			return false;
	return n > 0;
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* $((...)): whole numbers, variables, + - * / and parentheses. */
struct sum {
	struct shell *shell;
	const char *at, *end;
	bool wrong;
	int nested;
};

static int64_t sum_value(struct sum *s);

static void sum_space(struct sum *s)
{
	while (s->at < s->end && isspace((unsigned char)*s->at))
		s->at++;
}

static int64_t sum_variable(struct sum *s)
{
	while (s->at < s->end && strchr("${", *s->at))
		s->at++;
	const char *name = s->at;
	while (s->at < s->end && (isalnum((unsigned char)*s->at) || *s->at == '_'))
		s->at++;
	const struct variable *v = variable_of(s->shell, name, (size_t)(s->at - name));
	if (s->at < s->end && *s->at == '}')
		s->at++;
	char *end = NULL;
	bool plain = v && v->words.n == 1 && !v->words.at[0].missing;
	int64_t value = plain ? strtoll(v->words.at[0].text, &end, 10) : 0;
	s->wrong |= !plain || *end || end == v->words.at[0].text || s->at == name;
	return value;
}

static int64_t sum_atom(struct sum *s)
{
	sum_space(s);
	int64_t value = 0;
	if (s->at < s->end && *s->at == '(' && s->nested < MAX_NESTED) {
		s->nested++, s->at++;
		value = sum_value(s);
		s->nested--;
		s->wrong |= s->at >= s->end || *s->at != ')';
		s->at += s->at < s->end;
	} else if (s->at < s->end && isdigit((unsigned char)*s->at)) {
		for (; s->at < s->end && isdigit((unsigned char)*s->at); s->at++)
			s->wrong |=
				__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *s->at - '0', &value);
	} else
		value = sum_variable(s);
	sum_space(s);
	return value;
}

static int64_t sum_product(struct sum *s)
{
	int64_t value = sum_atom(s);
	while (!s->wrong && s->at < s->end && strchr("*/%", *s->at)) {
		char op = *s->at++;
		int64_t by = sum_atom(s);
		if (op == '*')
			s->wrong |= __builtin_mul_overflow(value, by, &value);
		else if (by <= 0)
			s->wrong = true;
		else
			value = op == '/' ? value / by : value % by;
	}
	return value;
}

static int64_t sum_value(struct sum *s)
{
	int64_t value = sum_product(s);
	while (!s->wrong && s->at < s->end && strchr("+-", *s->at)) {
		char op = *s->at++;
		int64_t by = sum_product(s);
		s->wrong |= op == '+' ? __builtin_add_overflow(value, by, &value) : __builtin_sub_overflow(value, by, &value);
	}
	return value;
}

/* ---- words ----------------------------------------------------------------------------------- */

/* A word that is being read. A quoted empty word counts. */
struct partial {
	struct text text;
	uint32_t begin;
	bool started;
	const char *missing;
};

static void add_char(struct partial *r, char c) { text_add(&r->text, "%c", c), r->started = true; }

static char peek(const struct shell *s, uint32_t ahead) { return s->at + ahead < s->size ? s->text[s->at + ahead] : 0; }

static void finish_word(struct shell *s, struct partial *r, struct words *to)
{
	if (r->started) {
		const char *text = r->text.at ? r->text.at : "";
		push_word(s, to, (struct word){text, span_at(s, r->begin, s->at), r->missing});
	}
	*r = (struct partial){.text.arena = s->arena, .begin = s->at};
}

/* Skips to the closing character, nested ones counted. Returns its place; that of the end if there is none. */
static uint32_t closing(const struct shell *s, uint32_t from, char open, char close)
{
	int depth = 1;
	for (uint32_t i = from; i < s->size; i++) {
		depth += s->text[i] == open ? 1 : s->text[i] == close ? -1 : 0;
		if (!depth)
			return i;
	}
	return s->size;
}

static void add_unknown(struct shell *s, struct partial *r, uint32_t lo, uint32_t hi)
{
	const char *text = arena_strndup(s->arena, s->text + lo, hi - lo);
	text_add(&r->text, "%s", text);
	r->started = true;
	r->missing = r->missing ? r->missing : text;
}

/* Pieces of an unquoted value become words of their own, at the place where the value is written. */
static void add_split(struct shell *s, struct partial *r, struct words *to, const struct words *value, bool quoted)
{
	for (int i = 0; i < value->n; i++) {
		const struct word *w = &value->at[i];
		if (i)
			finish_word(s, r, to);
		for (const char *c = w->text; *c; c++)
			if (!quoted && isspace((unsigned char)*c)) {
				bool alone = r->started;
				finish_word(s, r, to);
				if (alone && value->n > 1)
					to->at[to->n - 1].at = w->at;
			} else
				add_char(r, *c);
		r->started |= quoted;
		r->missing = r->missing ? r->missing : w->missing;
		if (value->n > 1 && r->started) { /* an element of an array: it is where it is written */
			finish_word(s, r, to);
			to->at[to->n - 1].at = w->at;
		}
	}
}

/* `${name...}` without braces, in [lo, hi). The default is taken as plain text. */
static void add_braces(struct shell *s, struct partial *r, struct words *to, uint32_t lo, uint32_t hi, bool quoted)
{
	const char *name = s->text + lo;
	size_t n = 0;
	while (lo + n < hi && (isalnum((unsigned char)name[n]) || name[n] == '_'))
		n++;
	const struct variable *v = variable_of(s, name, n);
	const char *rest = arena_strndup(s->arena, name + n, hi - lo - n);
	if (v && (!*rest || !strcmp(rest, "[@]") || !strcmp(rest, "[*]") || *rest == '-' || !strncmp(rest, ":-", 2)))
		add_split(s, r, to, &v->words, quoted);
	else if (!v && (*rest == '-' || !strncmp(rest, ":-", 2))) {
		const char *otherwise = rest + (*rest == ':') + 1;
		size_t length = strlen(otherwise);
		bool in_quotes = length > 1 && (*otherwise == '"' || *otherwise == '\'') && otherwise[length - 1] == *otherwise;
		const char *plain = in_quotes ? arena_strndup(s->arena, otherwise + 1, length - 2) : otherwise;
		struct word w = {plain, span_at(s, lo, hi), strchr(plain, '$') || strchr(plain, '`') ? plain : NULL};
		add_split(s, r, to, &(struct words){&w, 1, 1}, quoted);
	} else
		add_unknown(s, r, lo - 2, hi < s->size ? hi + 1 : hi);
}

static void add_sum(struct shell *s, struct partial *r, uint32_t lo, uint32_t hi)
{
	struct sum sum = {.shell = s, .at = s->text + lo, .end = s->text + hi};
	int64_t value = sum_value(&sum);
	if (sum.wrong || sum.at != sum.end)
		add_unknown(s, r, lo - 3, hi + 2 <= s->size ? hi + 2 : s->size);
	else
		text_add(&r->text, "%lld", (long long)value), r->started = true;
}

/* At a `$`. */
static void add_variable(struct shell *s, struct partial *r, struct words *to, bool quoted)
{
	uint32_t lo = s->at;
	if (peek(s, 1) == '(' && peek(s, 2) == '(') {
		uint32_t end = closing(s, lo + 3, '(', ')');
		s->at = end + 2 <= s->size ? end + 2 : s->size;
		add_sum(s, r, lo + 3, end);
	} else if (peek(s, 1) == '(') {
		uint32_t end = closing(s, lo + 2, '(', ')');
		s->at = end < s->size ? end + 1 : end;
		add_unknown(s, r, lo, s->at);
	} else if (peek(s, 1) == '{') {
		uint32_t end = closing(s, lo + 2, '{', '}');
		s->at = end < s->size ? end + 1 : end;
		add_braces(s, r, to, lo + 2, end, quoted);
	} else {
		size_t n = 0;
		while (isalnum((unsigned char)peek(s, 1 + (uint32_t)n)) || peek(s, 1 + (uint32_t)n) == '_')
			n++;
		const struct variable *v = n ? variable_of(s, s->text + lo + 1, n) : NULL;
		s->at = lo + 1 + (uint32_t)n + (!n && peek(s, 1) && strchr("@*#?!$", peek(s, 1)));
		if (v)
			add_split(s, r, to, &v->words, quoted);
		else if (s->at == lo + 2 && strchr("@*", s->text[lo + 1]))
			r->started |= false; /* the arguments of the script: none */
		else
			add_unknown(s, r, lo, s->at);
	}
}

/* At a quote. false: it is open. */
static bool add_quoted(struct shell *s, struct partial *r, struct words *to)
{
	char quote = s->text[s->at++];
	r->started = true;
	while (s->at < s->size && s->text[s->at] != quote) {
		char c = s->text[s->at];
		if (quote == '"' && c == '$')
			add_variable(s, r, to, true);
		else if (quote == '"' && c == '\\' && peek(s, 1) && strchr("\"\\$`\n", peek(s, 1))) {
			if (peek(s, 1) != '\n')
				add_char(r, peek(s, 1));
			s->at += 2;
		} else
			add_char(r, c), s->at++;
	}
	bool closed = s->at < s->size;
	s->at += closed;
	return closed;
}

static bool ends_command(char c) { return c == '\n' || c == ';' || c == '|' || c == '&'; }

static void skip_comment(struct shell *s)
{
	while (s->at < s->size && s->text[s->at] != '\n')
		s->at++;
}

static void skip_redirection(struct shell *s)
{
	while (peek(s, 0) == '<' || peek(s, 0) == '>' || peek(s, 0) == '&')
		s->at++;
	while (peek(s, 0) == ' ')
		s->at++;
	while (s->at < s->size && !isspace((unsigned char)peek(s, 0)) && !ends_command(peek(s, 0)))
		s->at++;
}

/* Reads words up to the end of a command, or, inside an array, up to its `)`. false after a report. */
static bool read_words(struct shell *s, struct words *to, bool in_array)
{
	struct partial r = {.text.arena = s->arena, .begin = s->at};
	for (;;) {
		char c = peek(s, 0);
		if (s->at >= s->size || (in_array ? c == ')' : ends_command(c)))
			break;
		if (c == '\\' && (peek(s, 1) == '\n' || s->at + 1 == s->size))
			s->at += s->at + 1 == s->size ? 1 : 2;
		else if (c == '\\' && peek(s, 1) == '\r' && peek(s, 2) == '\n')
			s->at += 3;
		else if (isspace((unsigned char)c)) {
			finish_word(s, &r, to);
			s->at++, r.begin = s->at;
		} else if (c == '#' && !r.started)
			skip_comment(s);
		else if ((c == '<' || c == '>') && !in_array) {
			if (r.started && r.text.n == 1 && isdigit((unsigned char)*r.text.at))
				r.started = false; /* `2>&1`: the number of a file */
			finish_word(s, &r, to);
			skip_redirection(s);
		} else if (c == '\'' || c == '"') {
			uint32_t open = s->at;
			if (!add_quoted(s, &r, to)) {
				diag_report(s->sink, DIAG_E1001, span_at(s, open, open + 1), "a quote is not closed");
				return false;
			}
		} else if (c == '$')
			add_variable(s, &r, to, false);
		else if (c == '`') {
			uint32_t open = s->at++;
			while (s->at < s->size && peek(s, 0) != '`')
				s->at++;
			s->at += s->at < s->size;
			add_unknown(s, &r, open, s->at);
		} else if (!in_array && c == '(' && r.started && r.text.n && r.text.at[r.text.n - 1] == '=') {
			break; /* NAME=( */
		} else if (c == '\\') {
			add_char(&r, peek(s, 1));
			s->at += 2;
		} else
			add_char(&r, c), s->at++;
	}
	finish_word(s, &r, to);
	return true;
}

/* ---- commands -------------------------------------------------------------------------------- */

static void assign(struct shell *s, const char *name, size_t n, const struct words *value, bool append)
{
	struct variable *v = variable_of(s, name, n);
	if (v && s->depth && !append)
		return; /* what holds without the condition */
	if (!v) {
		struct variable fresh = {.name = arena_strndup(s->arena, name, n)};
		vec_push(s->arena, &s->variables, fresh);
		v = &s->variables.at[s->variables.n - 1];
	}
	if (s->depth && append) {
		if (value->n)
			diag_report(s->sink, DIAG_W1006, value->at[0].at,
			            "`%s` is added to `%s` under a condition: it is left out%s", value->at[0].text, v->name,
			            value->n > 1 ? ", with what follows it" : "");
		return;
	}
	if (!append)
		v->words = (struct words){0};
	for (int i = 0; i < value->n; i++)
		push_word(s, &v->words, value->at[i]);
}

/* Takes assignments off the front. true: nothing else is left. */
static bool take_assignments(struct shell *s, struct command *c)
{
	int taken = 0;
	for (; taken < c->words.n; taken++) {
		const struct word *w = &c->words.at[taken];
		const char *equals = strchr(w->text, '=');
		bool append = equals && equals > w->text && equals[-1] == '+';
		size_t n = equals ? (size_t)(equals - w->text) - append : 0;
		if (taken == 0
		    && (!strcmp(w->text, "export") || !strcmp(w->text, "local") || !strcmp(w->text, "readonly")
		        || !strcmp(w->text, "declare")))
			continue;
		if (!equals || !is_name(w->text, n))
			break;
		vec_push(s->arena, &c->environment, *w);
		struct words value = {0};
		struct word one = {equals + 1, w->at, w->missing};
		if (peek(s, 0) == '(' && taken == c->words.n - 1 && !equals[1]) {
			s->at++;
			if (!read_words(s, &value, true))
				return true;
			s->at += s->at < s->size;
		} else
			vec_push(s->arena, &value, one);
		assign(s, w->text, n, &value, append);
	}
	if (taken)
		c->words.at += taken, c->words.n -= taken, c->words.cap = c->words.n;
	return !c->words.n;
}

/* Counts words that open and close what is run under a condition, and takes them off the front. */
static void take_keywords(struct shell *s, struct command *c)
{
	static const char *const opens[] = {"if", "for", "while", "until", "case", "function", "{"};
	static const char *const closes[] = {"fi", "done", "esac", "}"};
	static const char *const between[] = {"then", "else", "elif", "do", "!", "time", "exec", "nohup", "sudo", "env"};
	while (c->words.n) {
		const char *word = c->words.at[0].text;
		int by = 0;
		bool found = false;
		for (size_t i = 0; i < sizeof opens / sizeof *opens; i++)
			if (!strcmp(word, opens[i]))
				found = true, by = 1;
		for (size_t i = 0; i < sizeof closes / sizeof *closes; i++)
			if (!strcmp(word, closes[i]))
				found = true, by = -1;
		for (size_t i = 0; i < sizeof between / sizeof *between; i++)
			found |= !strcmp(word, between[i]);
		if (!found)
			return;
		s->depth += by;
		s->depth = s->depth < 0 ? 0 : s->depth;
		c->words.at++, c->words.n--, c->words.cap = c->words.n;
	}
}

struct commands shell_commands(struct arena *arena, struct sink *sink, uint32_t source)
{
	const struct source *f = &sink->sources->files.at[source];
	struct shell s = {.arena = arena, .sink = sink, .source = source, .text = f->text, .size = f->size};
	while (s.at < s.size) {
		struct command c = {0};
		uint32_t before = s.at;
		if (!read_words(&s, &c.words, false))
			break;
		take_keywords(&s, &c);
		if (!take_assignments(&s, &c))
			vec_push(arena, &s.out, c);
		if (ends_command(peek(&s, 0)) || s.at == before)
			s.at++;
	}
	return s.out;
}
