/* Included before every source in the build of `make mutants`. Each changed place calls mutant(ID): is this the mutant
 * chosen for the run? */
#ifndef DEPLOY_MUTANT_H
#define DEPLOY_MUTANT_H
#include <signal.h>
#include <sys/types.h>

extern int mutant_chosen; /* from DEPLOYC_MUTANT; -1: none */
extern unsigned char
	*mutant_reached; /* [IDs], 1: reached; the file that DEPLOYC_REACHED names, shared with forked ranks */

static inline int mutant(int id)
{
	mutant_reached[id] = 1;
	return id == mutant_chosen;
}

/* A mutant that lost a process id must not end the tests that run it. */
static inline int mutant_kill(pid_t pid, int number) { return pid == -1 || pid == 1 ? 0 : kill(pid, number); }
#define kill mutant_kill
#endif
