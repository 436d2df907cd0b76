/* A kernel on its way from statements to instructions. Until registers.c, operands in AREA_REGISTERS and
 * AREA_PREDICATES are numbers of virtual registers, and targets of branches are labels until blocks.c. */
#ifndef GPU_LOWER_H
#define GPU_LOWER_H
#include "../exec/handlers.h"
#include "ptx.h"

struct virtual_register {
	uint8_t size; /* bytes; 0: predicate */
	uint8_t kind; /* enum kind */
};

struct label {
	const char *name;
	int expansion; /* of the function it is in */
	int position;  /* index of an instruction; -1: not seen */
	int line;
};

struct constant {
	uint64_t bits;
	uint32_t at;
	uint8_t size;
};

struct lowering {
	struct loader *l;
	struct kernel *k;
	const struct statement *s; /* the statement that is being lowered */
	struct ins *code;
	int n, cap;
	struct virtual_register *registers;
	int n_registers, cap_registers;
	struct label *labels;
	int n_labels, cap_labels;
	struct constant *constants;
	int n_constants, cap_constants;
	uint32_t constant_bytes;
	struct binding *bindings;
	int expansion, n_expansions, end_label; /* the function's number; the label after it, -1 in a kernel */
	bool uses_dynamic_shared;
};

/* Doubles an array of the arena that is full. */
#define GROW(lo, array, n, cap)                                                   \
	do {                                                                          \
		if ((n) == (cap)) {                                                       \
			int cap_ = (cap) ? 2 * (cap) : 64;                                    \
			void *old_ = (array);                                                 \
			(array) = arena_take((lo)->l->arena, (size_t)cap_ * sizeof *(array)); \
			if (n)                                                                \
				memcpy((array), old_, (size_t)(n) * sizeof *(array));             \
			(cap) = cap_;                                                         \
		}                                                                         \
	} while (0)

/* ---- lower.c ---- */
_Noreturn void lower_error(const struct lowering *lo, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Appends an instruction under the statement's guard; `ops`: definitions first. */
struct ins *emit(struct lowering *lo, handler *run, int n_defs, int n_ops, const uint32_t *ops);
uint32_t new_register(struct lowering *lo, int size, enum kind kind);
uint32_t constant(struct lowering *lo, uint64_t bits, int size);
/* A source, or a definition, of the class that a letter of isa.def names. */
uint32_t source(struct lowering *lo, const struct operand_text *o, char letter);
uint32_t definition(struct lowering *lo, const struct operand_text *o, char letter);
/* The register that a name is bound to; false: it is not a register. */
bool find_register(const struct lowering *lo, const char *name, uint32_t *op);
const struct virtual_register *register_of(const struct lowering *lo, uint32_t op);
int label_named(struct lowering *lo, const char *name, int expansion);
void place_label(struct lowering *lo, int label);
void expand(struct lowering *lo, struct function *f);

/* ---- variables and scopes: names.c ---- */
struct place {
	enum space space;
	uint64_t address;
};
bool find_variable_place(struct lowering *lo, const char *name, struct place *place);
void bind_registers(struct lowering *lo, const struct statement *s);
void bind_variable(struct lowering *lo, const struct variable *v, struct place place);
/* Finds bytes for a variable of a function in the frame, or in shared memory. */
struct place place_local(struct lowering *lo, const struct variable *v);
/* -1: not a special register */
int special_named(const char *name, int *size);
handler *changing_special(const char *name, int *size);

/* ---- addresses: select_memory.c ---- */
/* An address as one operand of 64 bits: of global memory, or an offset in shared memory, where the statement says that
 * it is a generic address or not. */
uint32_t global_address(struct lowering *lo, const struct operand_text *o);
uint32_t shared_address(struct lowering *lo, const struct operand_text *o, bool generic);

/* mbarrier, tensor map: an address of any space. */
uint32_t generic_address(struct lowering *lo, const struct operand_text *o);
/* Whether the statement says that an address is of shared memory. */
bool says_shared(const struct statement *s);

/* ---- statements ---- */
bool has_word(const struct statement *s, const char *word);
const char *last_word(const struct statement *s);
const struct type *last_type(const struct statement *s);
/* Which of `names`, NULL-terminated, is among the words: -1 none. */
int which_word(const struct statement *s, const char *const *names);
void operand_count(const struct lowering *lo, const struct statement *s, int min, int max);
/* The letter of isa.def for a type. */
char letter_of(const struct type *t);

/* ---- select_*.c: forms of isa.def ---- */
#define INS(pattern, operands, run)
#define FP(pattern, operands, run)
#define FORM(pattern, select) void select(struct lowering *lo, const struct statement *s);
#define SINCE(sm, version)
#include "isa.def"

/* ---- the passes after it ---- */
void order_blocks(struct lowering *lo);
void assign_registers(struct lowering *lo);
#endif
