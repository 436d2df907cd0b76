/* From PTX text to kernels: lex.c cuts words, parse.c makes statements of functions, data.c lays out variables, lower.c
 * and select_*.c turn statements into instructions, with calls expanded in place, blocks.c orders their blocks,
 * registers.c assigns registers. */
#ifndef GPU_PTX_H
#define GPU_PTX_H
#include <setjmp.h>
#include "../exec/code.h"
#include "../exec/memory.h"

/* ---- memory of a load, freed at once ---- */
struct arena {
	struct chunk *chunks;
	size_t left;
};
void *arena_take(struct arena *a, size_t bytes); /* zeroed */
const char *arena_text(struct arena *a, const char *from, size_t n);
void arena_drop(struct arena *a);

/* ---- types ---- */
enum kind { KIND_BITS, KIND_UNSIGNED, KIND_SIGNED, KIND_FLOAT, KIND_PREDICATE };
struct type {
	const char *name;
	uint8_t size; /* 0: predicate */
	uint8_t kind;
	uint8_t number; /* enum number, for those that cvt knows */
};
/* NULL: not a type. The name has no dot. */
const struct type *type_named(const char *name);

/* ---- text ---- */
enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_DIRECTIVE, TOKEN_INTEGER, TOKEN_FLOAT, TOKEN_STRING, TOKEN_PUNCTUATION };
struct token {
	enum token_kind kind;
	const char *at;
	int n, line;
	uint64_t bits; /* INTEGER; FLOAT: f32 or f64, by `size` */
	uint8_t size;  /* FLOAT: 4 if written 0f, else 8 */
};

enum operand_kind { OPERAND_NAME, OPERAND_INTEGER, OPERAND_FLOAT, OPERAND_LIST, OPERAND_ADDRESS };
struct operand_text {
	enum operand_kind kind;
	bool inverted;             /* !p */
	uint8_t size;              /* FLOAT: as in the token */
	const char *name;          /* NAME; ADDRESS: the base, or NULL */
	uint64_t bits;             /* INTEGER, FLOAT; ADDRESS and NAME: what is added */
	struct operand_text *list; /* LIST: {..} or (..); ADDRESS: what follows the base, or NULL */
	int n;
};

enum { MAX_MODIFIERS = 12, MAX_OPERANDS = 8, MAX_LIST = 128 };
enum statement_kind {
	STATEMENT_INSTRUCTION,
	STATEMENT_LABEL,
	STATEMENT_REGISTERS,
	STATEMENT_VARIABLE,
	STATEMENT_OPEN,
	STATEMENT_CLOSE
};
struct statement {
	enum statement_kind kind;
	int line;
	const char *name;                 /* the instruction as written; a label; a register or its prefix */
	const char *words[MAX_MODIFIERS]; /* INSTRUCTION: the name cut at its dots */
	int n_words;
	const char *guard; /* a predicate, or NULL */
	bool unless;
	struct operand_text operands[MAX_OPERANDS];
	int n_operands;
	const struct type *type;   /* REGISTERS */
	int count;                 /* REGISTERS: %r<count>; 0: one register of this name */
	struct variable *variable; /* VARIABLE */
};

/* A variable of a module, or of a function: also its .param variables. */
struct variable {
	struct variable *next;
	const char *name;
	enum space space;
	uint32_t size, align;
	bool external;    /* .extern .shared x[]: dynamic shared memory */
	uint64_t address; /* in its space; of .shared: in the kernel `placed_in` */
	const struct kernel *placed_in;
	unsigned char *initial; /* NULL: zeros */
};

struct function {
	struct function *next;
	const char *name;
	bool entry, external, active; /* active: it is being expanded */
	int line;
	struct variable *params, *result;
	struct statement *body;
	int n_body, cap_body;
	unsigned required[3], max_threads, min_ctas, cluster[3]; /* min_ctas: .minnctapersm, or 0 */
};

struct module {
	struct arena arena;
	struct memory *memory;
	const char *text;
	struct kernel *kernels;
	struct variable *variables;
	uint64_t storage[2]; /* device memory of .global and .const variables, or 0 */
};

/* A load under way. */
struct loader {
	struct arena *arena;
	struct module *module;
	struct memory *memory;
	const char *at; /* lex.c: what is left of the text */
	int line;
	struct token token; /* the next one */
	int version, sm;    /* of .version, 78 is 7.8; of .target */
	bool specific;      /* .target sm_90a: also what only that architecture has */
	int device_sm;
	struct function *functions;
	struct variable *variables, **last_variable;
	struct reference *references; /* data.c: addresses in initial values */
	jmp_buf failed;
	char *error;
	size_t error_size;
	int code; /* of the driver */
};

enum { PTX_NEWEST = 90 };

/* sm: of the device. NULL: `error` says what is wrong and in which line, and *code is the driver's. */
struct module *module_load(const char *text, struct memory *memory, int sm, int *code, char *error, size_t error_size);
void module_drop(struct module *m);

/* ---- inside the loader ---- */
_Noreturn void load_error(struct loader *l, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
_Noreturn void load_error_code(struct loader *l, int code, int line, const char *text);

/* lex.c: `token` is the next one; each of these looks at it and moves on. */
void lex_next(struct loader *l);
bool lex_accept(struct loader *l, const char *text);
void lex_expect(struct loader *l, const char *text);
const char *lex_word(struct loader *l, const char *what);
uint64_t lex_integer(struct loader *l);
bool lex_is(const struct loader *l, const char *text);

/* parse.c */
void parse_module(struct loader *l);
/* data.c: a declaration after its space; a module's variables in memory. */
struct variable *parse_variable(struct loader *l, enum space space);
void place_variables(struct loader *l);
/* lower.c */
void lower_kernel(struct loader *l, struct function *f, struct kernel *k);
#endif
