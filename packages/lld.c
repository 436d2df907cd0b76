/* The linker of the wheel: lld, which is in the wheel's LLVM (llvm.cc). */
int deployc_lld(int argc, const char **argv);

int main(int argc, char **argv) { return deployc_lld(argc, (const char **)argv); }
