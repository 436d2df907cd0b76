/* FNV-1a, 64 bits. The runtime is linked with this file too. */
#ifndef DEPLOYC_HASH_H
#define DEPLOYC_HASH_H
#include <stddef.h>
#include <stdint.h>

#define FNV_EMPTY UINT64_C(0xcbf29ce484222325)

/* The hash of what `hash` is the hash of, followed by n bytes. */
static inline uint64_t fnv1a(uint64_t hash, const void *bytes, size_t n)
{
	const unsigned char *at = bytes;
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ at[i]) * 0x100000001b3u;
	return hash;
}
#endif
