#ifndef DEPLOYC_CODEGEN_CPU_MACHINE_H
#define DEPLOYC_CODEGEN_CPU_MACHINE_H
#include <llvm-c/TargetMachine.h>
#include "../../target/target.h"

/* The machine named `cpu`, for position-independent code. NULL: no such cpu, or no LLVM (printed). The caller disposes
 * of it. */
LLVMTargetMachineRef target_machine(const char *cpu, int level);
struct target target_of_machine(LLVMTargetMachineRef machine);
#endif
