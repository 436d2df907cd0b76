/* What alloc.py must find: a program that answers some of its requests for memory that fail, and not all of them, as
 * deployc answers all. The numbers are those of its requests; alloc.py knows which are unclean. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *volatile kept; /* or the compiler leaves requests out */

static _Noreturn void clean(void)
{
	fputs("deployc: out of memory: 1 bytes requested\n", stderr);
	_exit(71);
}

static int asks(void)
{
	kept = malloc(1);
	return kept != NULL;
}

int main(void)
{
	char name[] = "out.XXXXXX", text[] = "whole\n";
	if (!asks()) /* 1: clean */
		clean();
	if (!asks()) /* 2: says nothing */
		_exit(71);
	if (!asks()) /* 3: has another status */
		exit(70);
	if (!asks()) /* 4: does without, which is clean */
		kept = text;
	if (!asks()) /* 5: does without, and writes something else */
		puts("less");
	asks(); /* 6: crashes */
	*kept = 1;
	if (!asks()) { /* 7: says so twice */
		fputs("deployc: out of memory: 1 bytes requested\n", stderr);
		clean();
	}
	if (!asks()) /* 8: goes on, as if all were well, with less */
		exit(0);
	setvbuf(stdout, NULL, _IONBF, 0);
	puts("all");
	int fd = mkstemp(name);
	if (fd < 0 || write(fd, text, 3) < 3)
		return 1;
	if (!asks()) { /* 9: clean */
		unlink(name);
		clean();
	}
	if (!asks()) /* 10: leaves half a file */
		clean();
	return write(fd, text + 3, 3) < 3 || rename(name, "out");
}
