/* Whole numbers, rounded up. n >= 0, m > 0; the caller knows that n + m is in range. */
#ifndef DEPLOYC_ROUND_H
#define DEPLOYC_ROUND_H
#include <stdint.h>

static inline int64_t divide_up(int64_t n, int64_t m) { return (n + m - 1) / m; }
static inline int64_t round_up(int64_t n, int64_t m) { return divide_up(n, m) * m; }
#endif
