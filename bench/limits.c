/* Measures the limits of this machine: bytes read from memory, multiply-adds of f32, dot products of bf16.
 *   limits [THREADS [MILLISECONDS]]
 * prints `read N GB/s`, `f32 N TFLOP/s` and `bf16 N TFLOP/s`, one line each; 0 if the processor has no dot products.
 * Each is the best of several windows, which take the given time together, with all threads at once. `cores N` is the
 * share of the time that the threads had their cores; below 1, other processes ran. */
#include <immintrin.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Before a loop over sums: unrolled, so that each sum is a register. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

enum { CHUNK = 1 << 20, CHUNKS = 256, SUMS = 16, ROUNDS = 20000, MAX_THREADS = 256 };

/* One call of a body takes about a millisecond or less, and returns the number of bytes or operations. */
struct work;
typedef double body(struct work *w);
struct work {
	body *body;
	const unsigned char *memory; /* CHUNKS chunks, of this thread alone */
	int chunk;                   /* the next one */
	atomic_int *ready;
	const atomic_bool *go, *stop;
	double done, seconds, on_core; /* on_core: seconds that the thread ran */
};

static double now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The compiler must assume that `x` is used. */
#define KEEP(x) __asm__ volatile("" : : "x"(x))
/* ... and changed: nothing that follows from its value is computed before. */
#define CHANGE(x) __asm__ volatile("" : "+x"(x))

/* ---- reading --------------------------------------------------------------------------------- */
static const unsigned char *next_chunk(struct work *w) { return w->memory + (size_t)(w->chunk++ % CHUNKS) * CHUNK; }

__attribute__((target("avx512f"))) static double read_avx512(struct work *w)
{
	const unsigned char *p = next_chunk(w);
	__m512i sum[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
	for (size_t i = 0; i < CHUNK; i += 256)
		UNROLL for (int k = 0; k < 4; k++)
		{
			_mm_prefetch((const char *)p + i + 8192 + k * 64, _MM_HINT_T0);
			sum[k] = _mm512_xor_si512(sum[k], _mm512_load_si512(p + i + k * 64));
		}
	UNROLL for (int k = 0; k < 4; k++) KEEP(sum[k]);
	return CHUNK;
}

__attribute__((target("avx2"))) static double read_avx2(struct work *w)
{
	const unsigned char *p = next_chunk(w);
	__m256i sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
	for (size_t i = 0; i < CHUNK; i += 128)
		UNROLL for (int k = 0; k < 4; k++)
		{
			_mm_prefetch((const char *)p + i + 8192 + k * 32, _MM_HINT_T0);
			sum[k] = _mm256_xor_si256(sum[k], _mm256_load_si256((const __m256i *)(const void *)(p + i + k * 32)));
		}
	UNROLL for (int k = 0; k < 4; k++) KEEP(sum[k]);
	return CHUNK;
}

static double read_plain(struct work *w)
{
	const unsigned char *p = next_chunk(w);
	uint64_t sum[4] = {0}, word[4];
	for (size_t i = 0; i < CHUNK; i += sizeof word) {
		memcpy(word, p + i, sizeof word);
		UNROLL for (int k = 0; k < 4; k++) sum[k] ^= word[k];
	}
	__asm__ volatile("" : : "r"(sum[0] ^ sum[1] ^ sum[2] ^ sum[3]));
	return CHUNK;
}

/* ---- arithmetic: chains of SUMS sums that do not depend on each other ------------------------ */
__attribute__((target("avx512f"))) static double fma_avx512(struct work *w)
{
	(void)w;
	__m512 sum[SUMS], x = _mm512_set1_ps(0.5f), y = _mm512_set1_ps(0.25f);
	UNROLL for (int k = 0; k < SUMS; k++) sum[k] = _mm512_setzero_ps();
	for (int i = 0; i < ROUNDS; i++)
		UNROLL for (int k = 0; k < SUMS; k++)
		{
			sum[k] = _mm512_fmadd_ps(x, y, sum[k]);
			CHANGE(sum[k]);
		}
	UNROLL for (int k = 0; k < SUMS; k++) KEEP(sum[k]);
	return 2.0 * 16 * SUMS * ROUNDS;
}

enum { FEWER_SUMS = 12 }; /* 16 registers: as many as leave room for the factors */

__attribute__((target("avx2,fma"))) static double fma_avx2(struct work *w)
{
	(void)w;
	__m256 sum[FEWER_SUMS], x = _mm256_set1_ps(0.5f), y = _mm256_set1_ps(0.25f);
	UNROLL for (int k = 0; k < FEWER_SUMS; k++) sum[k] = _mm256_setzero_ps();
	for (int i = 0; i < ROUNDS; i++)
		UNROLL for (int k = 0; k < FEWER_SUMS; k++)
		{
			sum[k] = _mm256_fmadd_ps(x, y, sum[k]);
			CHANGE(sum[k]);
		}
	UNROLL for (int k = 0; k < FEWER_SUMS; k++) KEEP(sum[k]);
	return 2.0 * 8 * FEWER_SUMS * ROUNDS;
}

static double multiply_sse(struct work *w)
{
	(void)w;
	__m128 sum[FEWER_SUMS], x = _mm_set1_ps(0.5f);
	UNROLL for (int k = 0; k < FEWER_SUMS; k++) sum[k] = _mm_setzero_ps();
	for (int i = 0; i < ROUNDS; i++)
		UNROLL for (int k = 0; k < FEWER_SUMS; k++)
		{
			sum[k] = _mm_add_ps(_mm_mul_ps(x, x), sum[k]);
			CHANGE(sum[k]);
			CHANGE(x);
		}
	UNROLL for (int k = 0; k < FEWER_SUMS; k++) KEEP(sum[k]);
	return 2.0 * 4 * FEWER_SUMS * ROUNDS;
}

__attribute__((target("avx512f,avx512bf16"))) static double dot_avx512(struct work *w)
{
	(void)w;
	__m512 sum[SUMS];
	__m512bh x = (__m512bh)_mm512_set1_epi32(0x3f003f00), y = (__m512bh)_mm512_set1_epi32(0x3e803e80);
	UNROLL for (int k = 0; k < SUMS; k++) sum[k] = _mm512_setzero_ps();
	for (int i = 0; i < ROUNDS; i++)
		UNROLL for (int k = 0; k < SUMS; k++)
		{
			sum[k] = _mm512_dpbf16_ps(sum[k], x, y);
			CHANGE(sum[k]);
		}
	UNROLL for (int k = 0; k < SUMS; k++) KEEP(sum[k]);
	return 4.0 * 16 * SUMS * ROUNDS;
}

/* ---- which, and how fast --------------------------------------------------------------------- */
static body *best_read(void)
{
	return __builtin_cpu_supports("avx512f") ? read_avx512 : __builtin_cpu_supports("avx2") ? read_avx2 : read_plain;
}

static body *best_f32(void)
{
	if (__builtin_cpu_supports("avx512f"))
		return fma_avx512;
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? fma_avx2 : multiply_sse;
}

static body *best_bf16(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16") ? dot_avx512 : NULL;
}

static void *thread_main(void *arg)
{
	struct work *w = arg;
	w->done = 0;
	atomic_fetch_add(w->ready, 1);
	while (!atomic_load(w->go))
		;
	double begin = now(CLOCK_MONOTONIC), ran = now(CLOCK_THREAD_CPUTIME_ID);
	while (!atomic_load_explicit(w->stop, memory_order_relaxed))
		w->done += w->body(w);
	w->seconds = now(CLOCK_MONOTONIC) - begin;
	w->on_core += (now(CLOCK_THREAD_CPUTIME_ID) - ran) / w->seconds;
	return NULL;
}

/* Bytes or operations per second of all threads; 0 without a body. */
static double rate(body *b, struct work *work, int threads, double seconds)
{
	pthread_t thread[MAX_THREADS];
	atomic_int ready = 0;
	atomic_bool go = false, stop = false;
	double sum = 0;
	for (int i = 0; b && i < threads; i++) {
		work[i].body = b;
		work[i].ready = &ready;
		work[i].go = &go;
		work[i].stop = &stop;
		if (pthread_create(&thread[i], NULL, thread_main, &work[i]))
			exit(EXIT_FAILURE);
	}
	if (!b)
		return 0;
	while (atomic_load(&ready) < threads)
		;
	atomic_store(&go, true);
	nanosleep(&(struct timespec){(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)}, NULL);
	atomic_store(&stop, true);
	for (int i = 0; i < threads; i++) {
		pthread_join(thread[i], NULL);
		sum += work[i].done / work[i].seconds;
	}
	return sum;
}

static unsigned char *take_memory(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		perror("limits");
		exit(EXIT_FAILURE);
	}
	madvise(p, bytes, MADV_HUGEPAGE);
	return memset(p, 1, bytes);
}

int main(int argc, char **argv)
{
	enum { WINDOWS = 4 };
	static struct work work[MAX_THREADS];
	int threads = argc > 1 ? atoi(argv[1]) : (int)sysconf(_SC_NPROCESSORS_ONLN);
	double seconds = (argc > 2 ? atoi(argv[2]) : 100) * 1e-3, most[3] = {0}, on_core = 0;
	body *bodies[3] = {best_read(), best_f32(), best_bf16()};
	threads = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
	unsigned char *memory = take_memory((size_t)threads * CHUNKS * CHUNK + CHUNK);
	for (int i = 0; i < threads; i++)
		work[i].memory = memory + (size_t)i * CHUNKS * CHUNK;
	for (int window = 0; window < WINDOWS; window++)
		for (int i = 0; i < 3; i++) {
			double r = rate(bodies[i], work, threads, seconds / WINDOWS);
			most[i] = r > most[i] ? r : most[i];
		}
	int measured = WINDOWS * (bodies[2] ? 3 : 2);
	for (int i = 0; i < threads; i++)
		on_core += work[i].on_core / measured / threads;
	printf("read %.1f GB/s\nf32 %.3f TFLOP/s\nbf16 %.3f TFLOP/s\n", most[0] / 1e9, most[1] / 1e12, most[2] / 1e12);
	printf("cores %.2f\n", on_core);
	return 0;
}
