/* Penalties and biases: their limits, and the entries of a sequence, found by token in a hash table. */
#include "adjust.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "report.h"

/* ---- what is asked for ----------------------------------------------------------------------- */
bool penalties_bias(struct penalties *p, int64_t token, double bias, char why[BIAS_WHY_BYTES])
{
	bool twice = false;
	for (int i = 0; i < p->n_bias; i++)
		twice = twice || p->bias[i].token == token;
	if (token < 0 || token > INT32_MAX)
		snprintf(why, BIAS_WHY_BYTES, "%lld is not a token id", (long long)token);
	else if (!(bias >= -MAX_BIAS && bias <= MAX_BIAS))
		snprintf(why, BIAS_WHY_BYTES, "the bias of token %lld is not a number from -%d to %d", (long long)token,
		         MAX_BIAS, MAX_BIAS);
	else if (twice)
		snprintf(why, BIAS_WHY_BYTES, "token %lld has two biases", (long long)token);
	else if (p->n_bias == DR_BIASES)
		snprintf(why, BIAS_WHY_BYTES, "more than %d tokens have a bias", DR_BIASES);
	else {
		p->bias = host_grow(p->bias, (size_t)p->n_bias + 1, sizeof *p->bias);
		p->bias[p->n_bias++] = (struct token_bias){(int32_t)token, (float)bias};
		return true;
	}
	return false;
}

struct penalties penalties_copy(const struct penalties *p)
{
	struct penalties copy = *p;
	copy.bias = host_alloc((size_t)p->n_bias, sizeof *copy.bias);
	for (int i = 0; i < p->n_bias; i++)
		copy.bias[i] = p->bias[i];
	return copy;
}

static bool within(float x, double min, double max) { return x >= (float)min && x <= (float)max; }

static bool repeats(const struct penalties *p) { return p->repetition != 0 && p->repetition != 1; }

static bool counts(const struct penalties *p) { return repeats(p) || p->presence != 0 || p->frequency != 0; }

bool penalties_in_range(const struct penalties *p)
{
	bool right = within(p->presence, -MAX_PENALTY, MAX_PENALTY) && within(p->frequency, -MAX_PENALTY, MAX_PENALTY)
	             && (p->repetition == 0 || within(p->repetition, 1.0 / MAX_REPETITION, MAX_REPETITION))
	             && p->n_bias <= DR_BIASES;
	for (int i = 0; i < p->n_bias; i++)
		right = right && within(p->bias[i].bias, -MAX_BIAS, MAX_BIAS);
	return right;
}

int64_t penalties_most(const struct penalties *p, int n_prompt, int max_tokens, int64_t vocab)
{
	int64_t n = p->n_bias + (repeats(p) ? (int64_t)n_prompt : 0) + (counts(p) ? (int64_t)max_tokens - 1 : 0);
	return n < vocab ? n : vocab;
}

/* ---- the entries of a sequence --------------------------------------------------------------- */
struct adjust {
	struct penalties penalties; /* `bias` is not kept */
	struct dr_adjust *entry;
	int32_t *seen; /* of each entry: how often the answer has the token */
	int n, room;
	int32_t *table; /* [2 * room], a power of two: an entry's number + 1, at its token's hash or after it; 0: free */
};

/* The place in the table of the token, or of the free place where it belongs. */
static int32_t *place_of(const struct adjust *a, int32_t token)
{
	uint32_t mask = 2 * (uint32_t)a->room - 1, at = (uint32_t)token * 0x9e3779b1u >> 7 & mask;
	while (a->table[at] && a->entry[a->table[at] - 1].token != token)
		at = (at + 1) & mask;
	return &a->table[at];
}

static void grow(struct adjust *a)
{
	a->room = a->room ? 2 * a->room : 16;
	a->entry = host_grow(a->entry, (size_t)a->room, sizeof *a->entry);
	a->seen = host_grow(a->seen, (size_t)a->room, sizeof *a->seen);
	free(a->table);
	a->table = host_alloc(2 * (size_t)a->room, sizeof *a->table);
	for (int i = 0; i < a->n; i++)
		*place_of(a, a->entry[i].token) = i + 1;
}

/* The number of the token's entry, which is made if there is none. May move the entries. */
static int entry_of(struct adjust *a, int32_t token)
{
	if (a->n == a->room)
		grow(a);
	int32_t *place = place_of(a, token);
	if (!*place) {
		a->entry[a->n] = (struct dr_adjust){.token = token, .factor = 1};
		a->seen[a->n++] = 0;
		*place = a->n;
	}
	return *place - 1;
}

struct adjust *adjust_open(const struct penalties *p, const int32_t *prompt, int n)
{
	if (!counts(p) && !p->n_bias)
		return NULL;
	struct adjust *a = host_alloc(1, sizeof *a);
	a->penalties = *p;
	for (int i = 0; i < p->n_bias; i++) {
		int entry = entry_of(a, p->bias[i].token);
		a->entry[entry].bias = p->bias[i].bias;
	}
	for (int i = 0; i < n && repeats(p); i++) {
		int entry = entry_of(a, prompt[i]);
		a->entry[entry].factor = p->repetition;
	}
	return a;
}

void adjust_close(struct adjust *a)
{
	if (!a)
		return;
	free(a->entry);
	free(a->seen);
	free(a->table);
	free(a);
}

bool adjust_counts(const struct adjust *a) { return a && counts(&a->penalties); }

void adjust_token(struct adjust *a, int32_t token)
{
	if (!adjust_counts(a))
		return;
	int i = entry_of(a, token);
	if (repeats(&a->penalties))
		a->entry[i].factor = a->penalties.repetition;
	a->entry[i].penalty = (float)++a->seen[i] * a->penalties.frequency + a->penalties.presence;
}

int adjust_count(const struct adjust *a) { return a ? a->n : 0; }

void adjust_write(const struct adjust *a, struct dr_adjust *to)
{
	if (a)
		memcpy(to, a->entry, (size_t)a->n * sizeof *to);
}
