/* Products of one operand, such as those of queries, keys and values, or of gate and up: one launch with several parts.
 * The weights stay where they are, and so do the results; each sum is made as before. */
#include "fuse.h"

static const struct kernel_contract *product_of(const struct fusing *f, int i)
{
	const struct instr *in = &f->list->at[i];
	const struct kernel *k = in->kind == INSTR_LAUNCH ? &f->w->s->kernels.at[in->launch.kernel] : NULL;
	return k && k->family == KERNEL_CONTRACT ? &k->contract : NULL;
}

/* Are all but the weights and the results alike? */
static bool same_operand(const struct kernel_contract *a, const struct kernel_contract *b, const struct argument *x,
                         const struct argument *y)
{
	bool same = a->k == b->k && a->x_stride == b->x_stride && a->batch == b->batch && a->x_batch == b->x_batch
	            && a->x == b->x && a->w == b->w && a->y == b->y && a->pack.n_tile == b->pack.n_tile
	            && a->pack.k_run == b->pack.k_run && a->pack.swizzled == b->pack.swizzled && a->grouped == b->grouped
	            && a->groups == b->groups;
	return same && fuse_same_argument(&x[CONTRACT_X], &y[CONTRACT_X])
	       && fuse_same_argument(&x[CONTRACT_M], &y[CONTRACT_M])
	       && (!a->grouped || fuse_same_argument(&x[CONTRACT_OFFSETS], &y[CONTRACT_OFFSETS]));
}

/* The parts of a, then those of b. */
static struct kernel join(const struct kernel_contract *a, const struct kernel_contract *b)
{
	struct kernel k = kernel_of(KERNEL_CONTRACT);
	k.contract = *a;
	for (int i = 0; i <= b->more; i++)
		k.contract.other[k.contract.more++] = contract_part(b, i);
	return k;
}

static void add_parts(const struct kernel_contract *all, int first, const struct kernel_contract *k,
                      const struct argument *from, struct argument *to)
{
	for (int i = 0; i <= k->more; i++) {
		to[contract_weight(all, first + i)] = from[contract_weight(k, i)];
		to[contract_result(all, first + i)] = from[contract_result(k, i)];
	}
}

static void join_at(struct fusing *f, int first, int second)
{
	const struct argument *x = f->list->at[first].launch.args, *y = f->list->at[second].launch.args;
	struct argument args[MAX_OPERANDS];
	const struct kernel_contract *a = product_of(f, first), *b = product_of(f, second);
	struct kernel k = join(a, b);
	args[CONTRACT_X] = x[CONTRACT_X];
	args[CONTRACT_M] = x[CONTRACT_M];
	if (a->grouped)
		args[CONTRACT_OFFSETS] = x[CONTRACT_OFFSETS];
	add_parts(&k.contract, 0, a, x, args);
	add_parts(&k.contract, 1 + a->more, b, y, args);
	fuse_replace(f, first, second, &k, args);
}

bool fuse_products(struct fusing *f, int i)
{
	const struct kernel_contract *a = product_of(f, i);
	for (int k = i + 1; a && k < f->list->n && f->list->at[k].kind == INSTR_LAUNCH; k++) {
		const struct kernel_contract *b = product_of(f, k);
		if (!b || a->more + b->more + 2 > CONTRACT_MAX_PARTS || !fuse_may_move(f, k, i)
		    || !same_operand(a, b, f->list->at[i].launch.args, f->list->at[k].launch.args))
			continue;
		join_at(f, i, k);
		return true;
	}
	return false;
}
