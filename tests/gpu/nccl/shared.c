/* Memory that ranks share, and the rings in it. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "objects.h"

static size_t shared_bytes(int ranks)
{
	return sizeof(struct shared) + (size_t)ranks * (size_t)ranks * sizeof(struct ring);
}

int shared_make(uint64_t nonce)
{
	int file = memfd_create("emulated NCCL", MFD_CLOEXEC);
	if (file < 0)
		return -1;
	if (ftruncate(file, sizeof(struct shared)) || pwrite(file, &nonce, sizeof nonce, 0) != sizeof nonce) {
		close(file);
		return -1;
	}
	return file;
}

static int open_file(pid_t pid, int file)
{
	char path[64];
	if (pid == getpid())
		return dup(file);
	snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, file);
	return open(path, O_RDWR | O_CLOEXEC);
}

struct shared *shared_open(pid_t pid, int file, uint64_t nonce, int ranks)
{
	int own = open_file(pid, file), none = 0;
	if (own < 0)
		return NULL;
	bool grown = ftruncate(own, (off_t)shared_bytes(ranks)) == 0;
	struct shared *s = mmap(NULL, shared_bytes(ranks), PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
	close(own);
	if (!grown || s == MAP_FAILED)
		return NULL;
	bool first = atomic_compare_exchange_strong(&s->ranks, &none, ranks);
	if (s->nonce == nonce && (first || none == ranks))
		return s;
	shared_close(s, ranks);
	return NULL;
}

void shared_close(struct shared *s, int ranks) { munmap(s, shared_bytes(ranks)); }

size_t ring_move(struct ring *r, char *bytes, size_t n, bool to)
{
	uint64_t written = atomic_load(&r->written), read = atomic_load(&r->read), at = to ? written : read;
	size_t possible = to ? RING_BYTES - (written - read) : written - read, moved = 0;
	n = n < possible ? n : possible;
	while (moved < n) {
		size_t place = (at + moved) % RING_BYTES, piece = n - moved;
		piece = piece < RING_BYTES - place ? piece : RING_BYTES - place;
		memcpy(to ? r->bytes + place : bytes + moved, to ? bytes + moved : r->bytes + place, piece);
		moved += piece;
	}
	atomic_store(to ? &r->written : &r->read, at + n);
	return n;
}
