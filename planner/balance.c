/* The busiest rank of experts: expected maxima over ranks, by draws from a fixed sequence. */
#include "balance.h"
#include <math.h>

/* Draws of a mean: a standard deviation of 20% of what is drawn leaves 1%. Fewer where there are many experts, of which
 * the busiest varies less. */
enum { DRAWS = 400, MIN_DRAWS = 8, RANK_STEPS = 16 };
static const double MAX_STEPS = 4e5;

struct balances {
	struct arena *arena;
	const struct expert_use *use;
	VEC(struct known {
		struct expert_split split;
		struct balance balance;
	}) known;
};

struct balances *balances_new(struct arena *arena, const struct expert_use *use)
{
	struct balances *b = arena_new(arena, struct balances);
	b->arena = arena;
	b->use = use;
	return b;
}

bool balances_even(const struct balances *b) { return b->use->kind == EXPERTS_EVEN; }

/* ---- chances ---------------------------------------------------------------------------------- */

/* A chance is at most 1: what a share would have beyond that goes to the others. */
double *zipf_chances(struct arena *arena, int64_t experts, double top, double exponent)
{
	double *q = arena_array(arena, double, experts + 1);
	for (int64_t whole = 0; whole < experts; whole++) {
		double sum = 0, rest = top - (double)whole;
		for (int64_t i = whole; i < experts; i++)
			sum += q[i] = pow((double)(whole + 1) / (double)(i + 1), exponent);
		for (int64_t i = whole; i < experts; i++)
			q[i] *= rest / sum;
		if (q[whole] <= 1)
			return q;
		q[whole] = 1;
	}
	return q;
}

static double *chances(const struct balances *b, const struct expert_split *s)
{
	if (b->use->kind == EXPERTS_ZIPF)
		return zipf_chances(b->arena, (int64_t)s->experts, s->top, b->use->zipf);
	double *q = arena_array(b->arena, double, b->use->n + 1);
	for (int i = 0; i < b->use->n; i++)
		q[i] = fmin(1, s->top * b->use->shares[i]);
	return q;
}

/* ---- draws ------------------------------------------------------------------------------------ */

/* SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). */
static uint64_t draw(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

/* Above 0 and below 1. */
static double draw_share(uint64_t *state) { return ((double)(draw(state) >> 11) + 0.5) * 0x1p-53; }

/* The x below which a standard normal number lies with probability p: algorithm AS 241, PPND7 (Wichura, Applied
 * Statistics 37, 1988), to 7 digits. */
static double normal_quantile(double p)
{
	double q = p - 0.5;
	if (fabs(q) <= 0.425) {
		double r = 0.180625 - q * q;
		return q * (((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179)
		       / (((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1);
	}
	double r = sqrt(-log(q < 0 ? p : 1 - p)), x;
	if (r <= 5) {
		r -= 1.6;
		x = (((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777)
		    / ((0.12021132975 * r + 0.73700164250) * r + 1);
	} else {
		r -= 5;
		x = (((0.017337203997 * r + 0.42868294337) * r + 3.0812263860) * r + 6.6579051150)
		    / ((0.012258202635 * r + 0.24197894225) * r + 1);
	}
	return q < 0 ? -x : x;
}

static void swap(double *x, double *y)
{
	double t = *x;
	*x = *y;
	*y = t;
}

static void shuffle(double *q, int64_t n, uint64_t *state)
{
	for (int64_t i = n - 1; i > 0; i--)
		swap(&q[i], &q[draw(state) % (uint64_t)(i + 1)]);
}

/* ---- one draw --------------------------------------------------------------------------------- */

/* Sums over the experts of each rank, for a token: its chances, and c of the head of this header. */
struct ranks {
	int64_t n;
	double *chance, *spread, spreads;
	double most; /* rows that a token can bring a rank */
};

/* Experts and their copies: which expert each is, and its rank. The first ones are the experts themselves. */
struct placed {
	int64_t experts, n, room;        /* room: of a rank, for copies */
	int64_t *expert, *rank, *copies; /* copies: of each expert, itself included */
};

static double share_of(const struct placed *p, const double *q, int64_t i)
{
	return q[p->expert[i]] / (double)p->copies[p->expert[i]];
}

static void add_up(struct ranks *r, const struct placed *p, const double *q)
{
	for (int64_t i = 0; i < r->n; i++)
		r->chance[i] = r->spread[i] = 0;
	for (int64_t i = 0; i < p->n; i++) {
		double share = share_of(p, q, i);
		r->chance[p->rank[i]] += share;
		r->spread[p->rank[i]] += share * (1 - share);
	}
	r->spreads = 0;
	for (int64_t i = 0; i < r->n; i++)
		r->spreads += r->spread[i];
}

static bool holds(const struct placed *p, int64_t rank, int64_t expert)
{
	for (int64_t i = 0; i < p->n; i++)
		if (p->rank[i] == rank && p->expert[i] == expert)
			return true;
	return false;
}

static int64_t held(const struct placed *p, int64_t rank)
{
	int64_t n = 0;
	for (int64_t i = 0; i < p->n; i++)
		n += p->rank[i] == rank;
	return n;
}

/* The rank with least that has room and not this expert; -1: none. */
static int64_t least_loaded(const struct ranks *r, const struct placed *p, int64_t expert)
{
	int64_t best = -1, most = p->experts / r->n + p->room;
	for (int64_t k = 0; k < r->n; k++)
		if ((best < 0 || r->chance[k] < r->chance[best]) && held(p, k) < most && !holds(p, k, expert))
			best = k;
	return best;
}

static int64_t fullest(const struct placed *p, const double *q)
{
	int64_t best = 0;
	for (int64_t i = 1; i < p->experts; i++)
		best = share_of(p, q, i) > share_of(p, q, best) ? i : best;
	return best;
}

static void place_in_order(struct placed *p, int64_t ranks)
{
	p->n = p->experts;
	for (int64_t i = 0; i < p->n; i++) {
		p->expert[i] = i;
		p->rank[i] = i / (p->experts / ranks);
		p->copies[i] = 1;
	}
}

static void add_copies(struct ranks *r, struct placed *p, const double *q, int64_t copies)
{
	for (int64_t c = 0; c < copies; c++) {
		int64_t expert = fullest(p, q);
		add_up(r, p, q);
		int64_t rank = least_loaded(r, p, expert);
		if (rank < 0)
			return;
		p->expert[p->n] = expert;
		p->rank[p->n++] = rank;
		p->copies[expert]++;
	}
}

/* By their load, the fullest first. */
static void place_by_load(struct ranks *r, struct placed *p, const double *q)
{
	int64_t all = p->n;
	for (int64_t i = 0; i < all; i++)
		for (int64_t k = i; k > 0 && share_of(p, q, k) > share_of(p, q, k - 1); k--) {
			int64_t expert = p->expert[k];
			p->expert[k] = p->expert[k - 1];
			p->expert[k - 1] = expert;
		}
	for (int64_t k = 0; k < r->n; k++)
		r->chance[k] = 0;
	for (p->n = 0; p->n < all; p->n++) {
		int64_t rank = least_loaded(r, p, p->expert[p->n]);
		rank = rank < 0 ? 0 : rank;
		p->rank[p->n] = rank;
		r->chance[rank] += share_of(p, q, p->n);
	}
}

static void place(struct ranks *r, struct placed *p, const double *q, const struct expert_steering *by)
{
	place_in_order(p, r->n);
	add_copies(r, p, q, by->copies);
	if (by->by_load)
		place_by_load(r, p, q);
}

/* Independent normal numbers of which the common sum is taken out. */
static double most_rows(const struct ranks *r, double tokens, double *normal, uint64_t *state)
{
	double sum = 0, most = 0;
	for (int64_t i = 0; i < r->n; i++)
		sum += normal[i] = sqrt(tokens * r->spread[i]) * normal_quantile(draw_share(state));
	for (int64_t i = 0; i < r->n; i++) {
		double share = r->spreads > 0 ? r->spread[i] / r->spreads : 0;
		most = fmax(most, tokens * r->chance[i] + normal[i] - share * sum);
	}
	return fmin(most, tokens * r->most);
}

/* Of n equal normal numbers the largest is below x where all are. */
static double longest_message(const struct ranks *r, double tokens, double senders, uint64_t *state)
{
	double most = 0;
	for (int64_t i = 0; i < r->n; i++) {
		double sigma = r->spreads > 0 ? sqrt(tokens * r->spread[i] * (1 - r->spread[i] / r->spreads)) : 0;
		double largest = normal_quantile(pow(draw_share(state), 1 / senders));
		most = fmax(most, tokens * r->chance[i] + sigma * largest);
	}
	return fmin(most, tokens * r->most);
}

static double hit_of(const double *q, const struct expert_split *s)
{
	double hit = 0;
	for (int64_t i = 0; i < (int64_t)s->experts; i++)
		hit += q[i] < 1 ? -expm1(s->tokens * log1p(-q[i])) : 1;
	return hit / s->ranks;
}

double copies_held(const struct expert_split *s, const struct expert_steering *by)
{
	return ceil((double)by->copies / s->ranks);
}

static struct balance compute(const struct balances *b, const struct expert_split *s, const struct expert_steering *by)
{
	int64_t experts = (int64_t)s->experts;
	double *q = chances(b, s), *normal = arena_array(b->arena, double, (size_t)s->ranks + 1);
	struct ranks r = {.n = (int64_t)s->ranks,
	                  .most = fmin(s->top, s->experts / s->ranks),
	                  .chance = arena_array(b->arena, double, (size_t)s->ranks + 1),
	                  .spread = arena_array(b->arena, double, (size_t)s->ranks + 1)};
	double steps = floor(MAX_STEPS / (s->experts + RANK_STEPS * s->ranks)), mean = s->top / s->ranks;
	double draws = fmax(MIN_DRAWS, fmin(DRAWS, steps));
	struct balance out = {.hit = hit_of(q, s)};
	struct placed p = {.experts = experts, .room = (int64_t)copies_held(s, by)};
	size_t places = (size_t)(experts + by->copies) + 1;
	p.expert = arena_array(b->arena, int64_t, places);
	p.rank = arena_array(b->arena, int64_t, places);
	p.copies = arena_array(b->arena, int64_t, (size_t)experts + 1);
	uint64_t state = 0;
	for (int i = 0; i < (int)draws; i++) {
		bool moved = b->use->kind == EXPERTS_ZIPF && !by->by_load;
		if (moved)
			shuffle(q, experts, &state);
		if (i == 0 || (moved && by->copies))
			place(&r, &p, q, by);
		add_up(&r, &p, q);
		out.busiest += most_rows(&r, s->tokens, normal, &state) / (draws * s->tokens * mean);
		double each = s->tokens / s->senders;
		out.longest += longest_message(&r, each, s->senders, &state) / (draws * each * mean);
	}
	out.busiest = fmax(out.busiest, 1);
	out.longest = fmax(out.longest, out.busiest);
	return out;
}

static bool same_split(const struct expert_split *a, const struct expert_split *b)
{
	return a->experts == b->experts && a->top == b->top && a->ranks == b->ranks && a->tokens == b->tokens
	       && a->senders == b->senders;
}

struct balance balance_of(struct balances *b, const struct expert_split *split)
{
	if (balances_even(b) || split->ranks < 1 || split->tokens <= 0)
		return (struct balance){1, 1, split->experts / split->ranks};
	for (int i = 0; i < b->known.n; i++)
		if (same_split(&b->known.at[i].split, split))
			return b->known.at[i].balance;
	struct known k = {*split, compute(b, split, &(struct expert_steering){0})};
	vec_push(b->arena, &b->known, k);
	return k.balance;
}

struct balance balance_steered(struct balances *b, const struct expert_split *split, const struct expert_steering *by)
{
	struct balance out = balance_of(b, split);
	bool steers = by->copies > 0 || by->by_load;
	if (balances_even(b) || !steers || split->tokens <= 0)
		return out;
	struct balance then = compute(b, split, by);
	then.busiest = fmin(then.busiest, out.busiest); /* else experts would stay where they are */
	return then;
}
