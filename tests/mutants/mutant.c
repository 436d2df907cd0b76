/* The choice of a mutant, and the record of the places that a run reaches. In the front end and the runtime. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int mutant_chosen = -1;
static unsigned char unrecorded[MUTANTS];
unsigned char *mutant_reached = unrecorded;

__attribute__((constructor)) static void mutant_open(void)
{
	const char *chosen = getenv("DEPLOYC_MUTANT"), *path = getenv("DEPLOYC_REACHED");
	if (chosen)
		mutant_chosen = atoi(chosen);
	int file = path ? open(path, O_RDWR) : -1;
	if (file < 0)
		return;
	void *at = mmap(NULL, MUTANTS, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (at != MAP_FAILED)
		mutant_reached = at;
	close(file);
}
