/* Pointers of git-lfs: small texts that stand in a repository for large files. The runtime is linked with this file
 * too. */
#ifndef DEPLOYC_LFS_H
#define DEPLOYC_LFS_H
#include <stdbool.h>
#include <string.h>

#define LFS_POINTER "is a pointer of git-lfs, not the file itself; git lfs pull fetches it"
enum { LFS_BYTES = 23 }; /* that tell a pointer */

static inline bool is_lfs_pointer(const char *at, size_t n)
{
	return n >= LFS_BYTES && !memcmp(at, "version https://git-lfs", LFS_BYTES);
}
#endif
