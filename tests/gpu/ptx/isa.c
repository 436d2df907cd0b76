/* Finds the row of isa.def that an instruction matches. */
#include <pthread.h>
#include <string.h>
#include "../exec/handlers.h"
#include "isa.h"
#include "lower.h"

#define INS(pattern, operands, run) {pattern, operands, run, NULL, false, 0, 0, -1},
#define FP(pattern, operands, run)  {pattern, operands, run, NULL, true, 0, 0, -1},
#define FORM(pattern, select)       {pattern, NULL, NULL, select, false, 0, 0, -1},
#define SINCE(sm, version)          {NULL, NULL, NULL, NULL, false, sm, version, -1},
static struct form forms[] = {
#include "isa.def"
};

enum { BUCKETS = 128, FORMS = sizeof forms / sizeof *forms };
static int buckets[BUCKETS];
static pthread_once_t indexed = PTHREAD_ONCE_INIT;

/* Of the name, which a space ends. */
static unsigned bucket_of(const char *name)
{
	unsigned h = 0;
	while (*name && *name != ' ')
		h = h * 31 + (unsigned char)*name++;
	return h % BUCKETS;
}

static void index_forms(void)
{
	const struct form *since = NULL;
	int *last[BUCKETS];
	for (int i = 0; i < BUCKETS; i++) {
		buckets[i] = -1;
		last[i] = &buckets[i];
	}
	for (int i = 0; i < FORMS; i++) {
		struct form *f = &forms[i];
		if (!f->pattern) {
			since = f;
			continue;
		}
		f->sm = since->sm;
		f->version = since->version;
		unsigned b = bucket_of(f->pattern);
		*last[b] = i;
		last[b] = &f->next;
	}
}

/* Whether `word` is an alternative in [.a|.b] or (.a|.b), from its bracket on. */
static bool is_alternative(const char *p, const char *word)
{
	size_t n = strlen(word);
	for (p++;; p++) {
		p++; /* the dot */
		size_t m = strcspn(p, "|])");
		if (m == n && !memcmp(p, word, n))
			return true;
		p += m;
		if (*p != '|')
			return false;
	}
}

static bool matches(const char *p, const struct statement *s)
{
	size_t n = strcspn(p, " ");
	if (strlen(s->words[0]) != n || memcmp(p, s->words[0], n))
		return false;
	int at = 1;
	for (p += n; *p; p += strcspn(p, " ")) {
		while (*p == ' ')
			p++;
		if (!*p)
			break;
		if (*p == '*')
			return true;
		const char *word = at < s->n_words ? s->words[at] : "";
		bool here = *p == '.' ? strlen(word) == strcspn(p + 1, " ") && !memcmp(p + 1, word, strlen(word))
		                      : *word && is_alternative(p, word);
		if (here)
			at++;
		else if (*p != '[')
			return false;
	}
	return at == s->n_words;
}

const struct form *isa_find(const struct statement *s, int sm, int version, const struct form **known)
{
	pthread_once(&indexed, index_forms);
	*known = NULL;
	for (int i = buckets[bucket_of(s->words[0])]; i >= 0; i = forms[i].next)
		if (matches(forms[i].pattern, s)) {
			*known = &forms[i];
			if (sm >= forms[i].sm && version >= forms[i].version)
				return &forms[i];
		}
	return NULL;
}
