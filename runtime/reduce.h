/* Sums over the members of a group. */
#ifndef DEPLOY_REDUCE_H
#define DEPLOY_REDUCE_H
#include <stddef.h>
#include <stdint.h>

enum { REDUCE_BLOCK = 1024 };
/* out[i] = sum over m, in order, of element i at byte `offset` of part[m]. Summed in f32 (i32: in i32) and rounded
 * once. n <= REDUCE_BLOCK. */
void reduce_block(uint32_t dtype, const void *const *part, int members, size_t offset, int n, void *out);
#endif
