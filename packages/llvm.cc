// What the wheel's LLVM has besides the functions of LLVM that deployc calls: the linker lld, as a C function. LLVM and lld are
// linked from static libraries, of which only what is reached stays.
#include <lld/Common/Driver.h>
#include <llvm/ADT/ArrayRef.h>
#include <llvm/Passes/PassPlugin.h>
#include <llvm/Support/raw_ostream.h>
#include <unistd.h>

LLD_HAS_DRIVER(elf)

// ld.lld is a program that calls this. Returns its exit status.
extern "C" int deployc_lld(int argc, const char **argv)
{
	return lld::elf::link(llvm::ArrayRef<const char *>(argv, argc), llvm::outs(), llvm::errs(), false, false) ? 0 : 1;
}

// lld initializes every target of LLVM for programs that are optimised while they are linked, which launchers are not. The targets
// that launchers do not run on are left out.
#define TARGET_LEFT_OUT(function) extern "C" void function() {}
#include "left_out.def"

// An extension that Debian's LLVM registers: it is in another library, and deployc does not use it.
llvm::PassPluginLibraryInfo getPollyPluginInfo()
{
	return {LLVM_PLUGIN_API_VERSION, "Polly", "", [](llvm::PassBuilder &) {}};
}

// The C++ library takes random numbers from here. The C library has it since 2.36, and the rest needs 2.34 only.
extern "C" uint32_t arc4random()
{
	uint32_t number = 0;
	while (getentropy(&number, sizeof number))
		;
	return number;
}
