/* Pre-tokenisers of the file. */
#include "normalize.h"
#include "split.h"
#include "unicode.h"

static const char *const behaviors[] = {"Removed",        "Isolated",   "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous", NULL};
static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
/* As Rust's regular expressions mean it: \w is Alphabetic, M, Nd, Pc and the two joiners. */
static const char words[] = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}]+|"
							"[^\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}\\s]+";

/* A pattern that the file does not spell out. */
static bool open_own(const struct field *f, struct split_step *s, const char *pattern)
{
	char why[160];
	s->find = regex_open((struct span){pattern, strlen(pattern)}, false, why, sizeof why);
	return s->find || field_refuse(f, "%s", why);
}

static bool read_behavior(const struct field *f, enum behavior *out)
{
	struct field g = field_of(f, "behavior");
	struct span text;
	if (!field_string(&g, &text))
		return false;
	for (int i = 0; behaviors[i]; i++)
		if (spans_equal(text, (struct span){behaviors[i], strlen(behaviors[i])}))
			return *out = (enum behavior)i, true;
	return field_refuse(&g, "the behaviour `%.60s` is not supported", text.at);
}

static bool read_split(const struct field *f, struct split_step *s)
{
	struct field pattern = field_of(f, "pattern");
	struct span literal;
	s->kind = SPLIT_PATTERN;
	return field_keys(f, (const char *const[]){"pattern", "behavior", "invert", NULL}) && read_behavior(f, &s->behavior)
	       && field_bool_of(f, "invert", &s->invert) && (s->find = pattern_read(&pattern, &literal));
}

static bool read_byte_level(const struct field *f, struct split_step *s)
{
	bool cuts = true, trims;
	s->kind = SPLIT_BYTE_LEVEL;
	s->behavior = BEHAVIOR_ISOLATED;
	s->prefix_space = true;
	if (!field_keys(f, (const char *const[]){"add_prefix_space", "trim_offsets", "use_regex", NULL})
	    || !field_bool_of(f, "add_prefix_space", &s->prefix_space) || !field_bool_of(f, "use_regex", &cuts)
	    || !field_bool_of(f, "trim_offsets", &trims))
		return false;
	return !cuts || open_own(f, s, gpt2);
}

static void set_mark(struct split_step *s, struct span character)
{
	memcpy(s->mark, character.at, character.n);
	s->mark_size = (int)character.n;
}

static bool read_scheme(const struct field *f, enum prepend_scheme *scheme)
{
	static const char *const schemes[] = {"always", "first", "never", NULL};
	struct field g = field_of(f, "prepend_scheme"), old = field_of(f, "add_prefix_space");
	struct span text = {"always", 6};
	bool prefix = true;
	if ((g.v && !field_string(&g, &text)) || !field_bool_of(f, "add_prefix_space", &prefix))
		return false;
	if (!prefix && g.v && strcmp(text.at, "never"))
		return field_refuse(&old, "is false, but prepend_scheme is `%.60s`", text.at);
	for (int i = 0; schemes[i]; i++)
		if (spans_equal(text, (struct span){schemes[i], strlen(schemes[i])}))
			return *scheme = prefix ? (enum prepend_scheme)i : PREPEND_NEVER, true;
	return field_refuse(&g, "the scheme `%.60s` is not supported", text.at);
}

static bool read_metaspace(const struct field *f, struct split_step *s)
{
	static const char *const keys[] = {"replacement", "str_rep", "add_prefix_space", "prepend_scheme", "split", NULL};
	struct span mark;
	s->kind = SPLIT_METASPACE;
	s->cuts = true;
	if (!field_keys(f, keys) || !field_char_of(f, "replacement", &mark) || !read_scheme(f, &s->scheme)
	    || !field_bool_of(f, "split", &s->cuts))
		return false;
	set_mark(s, mark);
	return true;
}

static bool read_characters(const struct field *f, struct split_step *s, bool (*is)(uint32_t), enum behavior behavior)
{
	s->kind = SPLIT_CHARACTERS;
	s->is = is;
	s->behavior = behavior;
	return field_keys(f, (const char *const[]){NULL});
}

static bool read_digits(const struct field *f, struct split_step *s)
{
	bool individual = false;
	s->kind = SPLIT_CHARACTERS;
	s->is = is_numeric;
	if (!field_keys(f, (const char *const[]){"individual_digits", NULL})
	    || !field_bool_of(f, "individual_digits", &individual))
		return false;
	s->behavior = individual ? BEHAVIOR_ISOLATED : BEHAVIOR_CONTIGUOUS;
	return true;
}

static bool read_punctuation(const struct field *f, struct split_step *s)
{
	struct field behavior = field_of(f, "behavior");
	s->kind = SPLIT_CHARACTERS;
	s->is = is_punctuation;
	s->behavior = BEHAVIOR_ISOLATED;
	return field_keys(f, (const char *const[]){"behavior", NULL}) && (!behavior.v || read_behavior(f, &s->behavior));
}

static bool read_delimiter(const struct field *f, struct split_step *s)
{
	struct span mark;
	s->kind = SPLIT_CHARACTERS;
	s->behavior = BEHAVIOR_REMOVED;
	if (!field_keys(f, (const char *const[]){"delimiter", NULL}) || !field_char_of(f, "delimiter", &mark))
		return false;
	set_mark(s, mark);
	return true;
}

static bool read_whitespace(const struct field *f, struct split_step *s)
{
	s->kind = SPLIT_PATTERN;
	s->behavior = BEHAVIOR_REMOVED;
	s->invert = true;
	return field_keys(f, (const char *const[]){NULL}) && open_own(f, s, words);
}

static struct split_step *add_step(struct splitter *s)
{
	s->step = text_room(s->step, s->n, &s->room, sizeof *s->step);
	s->step[s->n] = (struct split_step){0};
	return &s->step[s->n++];
}

static bool read_step(const struct field *f, void *context)
{
	enum type { SPLIT, BYTE_LEVEL, METASPACE, DIGITS, PUNCTUATION, DELIMITER, WHITESPACE, WHITESPACE_SPLIT, BERT };
	static const char *const names[] = {
		"Split",      "ByteLevel",       "Metaspace",        "Digits", "Punctuation", "CharDelimiterSplit",
		"Whitespace", "WhitespaceSplit", "BertPreTokenizer", NULL};
	struct splitter *s = context;
	int type = field_type(f, "the pre-tokeniser", names);
	if (type < 0)
		return false;
	switch ((enum type)type) {
	case SPLIT:            return read_split(f, add_step(s));
	case BYTE_LEVEL:       return read_byte_level(f, add_step(s));
	case METASPACE:        return read_metaspace(f, add_step(s));
	case DIGITS:           return read_digits(f, add_step(s));
	case PUNCTUATION:      return read_punctuation(f, add_step(s));
	case DELIMITER:        return read_delimiter(f, add_step(s));
	case WHITESPACE:       return read_whitespace(f, add_step(s));
	case WHITESPACE_SPLIT: return read_characters(f, add_step(s), is_space, BEHAVIOR_REMOVED);
	case BERT:
		return read_characters(f, add_step(s), is_space, BEHAVIOR_REMOVED)
		       && read_characters(f, add_step(s), is_punctuation, BEHAVIOR_ISOLATED);
	}
	return false;
}

bool splitter_read(const struct field *f, struct splitter *s)
{
	*s = (struct splitter){0};
	return field_absent(f) || field_sequence(f, "pretokenizers", read_step, s);
}

void splitter_free(struct splitter *s)
{
	for (size_t i = 0; i < s->n; i++)
		regex_close(s->step[i].find);
	free(s->step);
	pieces_free(&s->before);
	*s = (struct splitter){0};
}

enum first_use splitter_first_use(const struct splitter *s)
{
	enum first_use use = FIRST_AT_ONCE;
	for (size_t i = 0; i < s->n; i++) {
		bool changes = s->step[i].kind == SPLIT_METASPACE || s->step[i].kind == SPLIT_BYTE_LEVEL;
		if (s->step[i].kind == SPLIT_METASPACE && s->step[i].scheme == PREPEND_FIRST)
			return use;
		use = changes || use == FIRST_AFTER_CHANGES ? FIRST_AFTER_CHANGES : FIRST_AFTER_CUTS;
	}
	return FIRST_UNUSED;
}
