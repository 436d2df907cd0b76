/* Statements of a kernel, and of the functions it calls, to instructions. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "isa.h"
#include "lower.h"

void lower_error(const struct lowering *lo, const char *format, ...)
{
	char text[300];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	load_error(lo->l, lo->s ? lo->s->line : lo->l->line, "%s", text);
}

/* ---- statements ---- */
bool has_word(const struct statement *s, const char *word)
{
	for (int i = 1; i < s->n_words; i++)
		if (!strcmp(s->words[i], word))
			return true;
	return false;
}

int which_word(const struct statement *s, const char *const *names)
{
	for (int i = 0; names[i]; i++)
		if (has_word(s, names[i]))
			return i;
	return -1;
}

const char *last_word(const struct statement *s) { return s->words[s->n_words - 1]; }

const struct type *last_type(const struct statement *s) { return type_named(last_word(s)); }

void operand_count(const struct lowering *lo, const struct statement *s, int min, int max)
{
	if (s->n_operands < min || s->n_operands > max)
		lower_error(lo, "`%s` with %d operands", s->name, s->n_operands);
}

char letter_of(const struct type *t)
{
	bool bits = t->kind == KIND_BITS, is_float = t->kind == KIND_FLOAT;
	switch (t->size) {
	case 0:  return 'p';
	case 1:
	case 2:  return bits || t->number == BF16 ? 'H' : is_float ? 'e' : 'h';
	case 4:  return bits || t->number == F16X2 || t->number == BF16X2 ? 'R' : is_float ? 'f' : 'r';
	default: return bits ? 'L' : is_float ? 'd' : 'l';
	}
}

/* ---- instructions ---- */
struct ins *emit(struct lowering *lo, handler *run, int n_defs, int n_ops, const uint32_t *ops)
{
	GROW(lo, lo->code, lo->n, lo->cap);
	struct ins *in = &lo->code[lo->n++];
	uint32_t *copy = arena_take(lo->l->arena, (size_t)n_ops * sizeof *ops);
	if (n_ops)
		memcpy(copy, ops, (size_t)n_ops * sizeof *ops);
	*in = (struct ins){.run = run, .op = copy, .target = -1, .guard = NO_GUARD, .line = lo->s->line};
	in->n_defs = (uint8_t)n_defs;
	in->n_ops = (uint8_t)n_ops;
	in->unless = lo->s->unless;
	if (lo->s->guard) {
		uint32_t p;
		if (!find_register(lo, lo->s->guard, &p) || register_of(lo, p)->size)
			lower_error(lo, "`%s` is not a predicate", lo->s->guard);
		in->guard = (int32_t)(p >> 2);
	}
	return in;
}

uint32_t new_register(struct lowering *lo, int size, enum kind kind)
{
	GROW(lo, lo->registers, lo->n_registers, lo->cap_registers);
	lo->registers[lo->n_registers] = (struct virtual_register){(uint8_t)size, (uint8_t)kind};
	return (uint32_t)lo->n_registers++ << 2 | (size ? AREA_REGISTERS : AREA_PREDICATES);
}

const struct virtual_register *register_of(const struct lowering *lo, uint32_t op) { return &lo->registers[op >> 2]; }

uint32_t constant(struct lowering *lo, uint64_t bits, int size)
{
	if (size < 8)
		bits &= (UINT64_C(1) << (8 * size)) - 1;
	for (int i = 0; i < lo->n_constants; i++)
		if (lo->constants[i].bits == bits && lo->constants[i].size == size)
			return lo->constants[i].at | AREA_CONSTANTS;
	GROW(lo, lo->constants, lo->n_constants, lo->cap_constants);
	lo->constants[lo->n_constants++] = (struct constant){bits, lo->constant_bytes, (uint8_t)size};
	uint32_t at = lo->constant_bytes;
	lo->constant_bytes += (uint32_t)(size * LANES);
	return at | AREA_CONSTANTS;
}

/* ---- operands ---- */
struct class
{
	int size;
	enum kind kind;
};

static struct class class_of(char letter)
{
	switch (letter) {
	case 'p': return (struct class){0, KIND_PREDICATE};
	case 'h': return (struct class){2, KIND_UNSIGNED};
	case 'r': return (struct class){4, KIND_UNSIGNED};
	case 'l': return (struct class){8, KIND_UNSIGNED};
	case 'H': return (struct class){2, KIND_BITS};
	case 'R': return (struct class){4, KIND_BITS};
	case 'L': return (struct class){8, KIND_BITS};
	case 'e': return (struct class){2, KIND_FLOAT};
	case 'f': return (struct class){4, KIND_FLOAT};
	default:  return (struct class){8, KIND_FLOAT};
	}
}

/* Bits go with any kind, integers with integers of either sign, floats with floats. */
static bool
kinds_agree(enum kind a, enum kind b)
{
	return a == KIND_BITS || b == KIND_BITS || (a == KIND_FLOAT) == (b == KIND_FLOAT);
}

static bool fits(const struct lowering *lo, uint32_t op, char letter)
{
	struct class c = class_of(letter);
	const struct virtual_register *r = register_of(lo, op);
	return r->size == c.size && (!c.size || kinds_agree(r->kind, c.kind));
}

/* !p and an immediate become a predicate of their own. */
static uint32_t predicate_source(struct lowering *lo, const struct operand_text *o)
{
	uint32_t p, t;
	if (o->kind == OPERAND_INTEGER) {
		t = new_register(lo, 0, KIND_PREDICATE);
		emit(lo, x_mov_pred, 1, 1, &t)->variant = o->bits ? 1 : 0;
		return t;
	}
	if (o->kind != OPERAND_NAME || !find_register(lo, o->name, &p) || register_of(lo, p)->size)
		lower_error(lo, "an operand of `%s` is not a predicate", lo->s->name);
	if (!o->inverted)
		return p;
	t = new_register(lo, 0, KIND_PREDICATE);
	emit(lo, x_not_pred, 1, 2, (uint32_t[]){t, p});
	return t;
}

static uint32_t immediate(struct lowering *lo, const struct operand_text *o, struct class c)
{
	uint64_t bits = o->bits;
	if (o->kind == OPERAND_FLOAT) {
		if (c.size == 4 && o->size == 8 && c.kind != KIND_UNSIGNED) { /* 1.5 in an instruction for f32 */
			double wide;
			memcpy(&wide, &bits, sizeof wide);
			float narrow = (float)wide;
			uint32_t narrow_bits;
			memcpy(&narrow_bits, &narrow, sizeof narrow);
			bits = narrow_bits;
		} else if (c.size == 8 && o->size == 4 && c.kind != KIND_UNSIGNED) {
			uint32_t narrow_bits = (uint32_t)bits;
			float narrow;
			memcpy(&narrow, &narrow_bits, sizeof narrow);
			double wide = narrow;
			memcpy(&bits, &wide, sizeof bits);
		} else if (c.size != o->size || c.kind == KIND_UNSIGNED) {
			lower_error(lo, "`%s` does not take a float here", lo->s->name);
		}
	} else if (c.kind == KIND_FLOAT) {
		lower_error(lo, "`%s` does not take an integer here", lo->s->name);
	}
	return constant(lo, bits, c.size);
}

static uint32_t named_source(struct lowering *lo, const struct operand_text *o, char letter)
{
	uint32_t op;
	int size, special;
	if (find_register(lo, o->name, &op)) {
		if (!fits(lo, op, letter) || o->inverted || o->bits)
			lower_error(lo, "`%s` cannot be an operand of `%s`", o->name, lo->s->name);
		return op;
	}
	if (!strcmp(o->name, "WARP_SZ"))
		return constant(lo, LANES, class_of(letter).size);
	special = special_named(o->name, &size);
	if (special < 0)
		lower_error(lo, "`%s` is not declared", o->name);
	/* They are moved, or extended to 64 bits, and not calculated with. */
	bool moves = !strcmp(lo->s->words[0], "mov") || (!strcmp(lo->s->words[0], "cvt") && lo->s->n_words == 3);
	if (!moves || size != class_of(letter).size || class_of(letter).kind == KIND_FLOAT)
		lower_error(lo, "`%s` cannot be an operand of `%s`", o->name, lo->s->name);
	return (uint32_t)special * 4 * LANES | AREA_SPECIALS;
}

uint32_t source(struct lowering *lo, const struct operand_text *o, char letter)
{
	if (letter == 'p')
		return predicate_source(lo, o);
	if (o->kind == OPERAND_NAME)
		return named_source(lo, o, letter);
	if (o->kind != OPERAND_INTEGER && o->kind != OPERAND_FLOAT)
		lower_error(lo, "an operand of `%s` is not a register", lo->s->name);
	return immediate(lo, o, class_of(letter));
}

/* `_` takes a result that nobody wants: in a list, and where there are two. */
static bool may_be_dropped(const struct lowering *lo, const struct operand_text *o)
{
	static const char *const names[] = {"atom", "setp", "match", "elect", "mbarrier"};
	if (o < lo->s->operands || o >= lo->s->operands + MAX_OPERANDS)
		return true;
	for (int i = 0; i < 5; i++)
		if (!strcmp(lo->s->words[0], names[i]))
			return true;
	return false;
}

uint32_t definition(struct lowering *lo, const struct operand_text *o, char letter)
{
	uint32_t op;
	struct class c = class_of(letter);
	if (o->kind == OPERAND_NAME && !strcmp(o->name, "_") && may_be_dropped(lo, o))
		return new_register(lo, c.size, c.kind);
	if (o->kind != OPERAND_NAME || !find_register(lo, o->name, &op) || !fits(lo, op, letter))
		lower_error(lo, "a result of `%s` is not a register of its type", lo->s->name);
	return op;
}

/* ---- plain instructions ---- */
static void set_modes(const struct statement *s, struct ins *in)
{
	static const char *const rounds[] = {"rn", "rz", "rm", "rp", NULL};
	int round = which_word(s, rounds);
	in->round = (uint8_t)(round < 0 ? ROUND_NEAREST : round);
	in->ftz = has_word(s, "ftz");
	in->sat = has_word(s, "sat");
	in->relu = has_word(s, "relu");
	in->nan = has_word(s, "NaN");
	in->number = last_type(s)->number;
	if (in->round || in->ftz || in->sat || in->relu) {
		in->plain = in->run;
		in->run = x_with_modes;
	}
}

static void lower_plain(struct lowering *lo, const struct form *f, const struct statement *s)
{
	uint32_t ops[MAX_OPERANDS];
	if (f->run == x_lop3 && (s->n_operands != 5 || s->operands[4].kind != OPERAND_INTEGER || s->operands[4].bits > 255))
		lower_error(lo, "`%s` needs a table of 8 bits", s->name);
	int n_defs = (int)strcspn(f->operands, "="), n_ops = (int)strlen(f->operands) - 1;
	operand_count(lo, s, n_ops, n_ops);
	for (int i = n_defs; i < n_ops; i++)
		ops[i] = source(lo, &s->operands[i], f->operands[i + 1]);
	for (int i = 0; i < n_defs; i++)
		ops[i] = definition(lo, &s->operands[i], f->operands[i]);
	struct ins *in = emit(lo, f->run, n_defs, n_ops, ops);
	if (f->modes)
		set_modes(s, in);
}

static void lower_instruction(struct lowering *lo, const struct statement *s)
{
	const struct form *known, *f = isa_find(s, lo->l->sm, lo->l->version, &known);
	if (!f && known)
		lower_error(lo, "`%s` needs sm_%d and PTX %d.%d", s->name, known->sm, known->version / 10, known->version % 10);
	if (!f)
		lower_error(lo, "`%s` is not an instruction that is known", s->name);
	if (f->select)
		f->select(lo, s);
	else
		lower_plain(lo, f, s);
}

/* ---- labels and functions ---- */
int label_named(struct lowering *lo, const char *name, int expansion)
{
	for (int i = 0; i < lo->n_labels; i++)
		if (lo->labels[i].expansion == expansion && !strcmp(lo->labels[i].name, name))
			return i;
	GROW(lo, lo->labels, lo->n_labels, lo->cap_labels);
	lo->labels[lo->n_labels] = (struct label){name, expansion, -1, lo->s ? lo->s->line : 0};
	return lo->n_labels++;
}

void place_label(struct lowering *lo, int label)
{
	if (lo->labels[label].position >= 0)
		lower_error(lo, "label `%s` appears twice", lo->labels[label].name);
	lo->labels[label].position = lo->n;
}

static void lower_statement(struct lowering *lo, const struct statement *s)
{
	lo->s = s;
	switch (s->kind) {
	case STATEMENT_INSTRUCTION: lower_instruction(lo, s); break;
	case STATEMENT_LABEL:       place_label(lo, label_named(lo, s->name, lo->expansion)); break;
	case STATEMENT_REGISTERS:   bind_registers(lo, s); break;
	case STATEMENT_VARIABLE:    bind_variable(lo, s->variable, place_local(lo, s->variable)); break;
	case STATEMENT_OPEN:
	case STATEMENT_CLOSE:       break;
	}
}

/* The function's statements; parameters are bound. Names of a scope end with it. */
void expand(struct lowering *lo, struct function *f)
{
	struct binding *scopes[32];
	int depth = 0;
	f->active = true;
	for (int i = 0; i < f->n_body; i++) {
		const struct statement *s = &f->body[i];
		if (s->kind == STATEMENT_OPEN) {
			if (depth == 32)
				load_error(lo->l, s->line, "scopes are nested too deeply");
			scopes[depth++] = lo->bindings;
		} else if (s->kind == STATEMENT_CLOSE && depth) {
			lo->bindings = scopes[--depth];
		}
		lower_statement(lo, s);
	}
	f->active = false;
}

static void bind_params(struct lowering *lo, const struct function *f)
{
	struct kernel *k = lo->k;
	for (const struct variable *v = f->params; v; v = v->next) {
		if (!f->entry) {
			bind_variable(lo, v, place_local(lo, v));
			continue;
		}
		k->param_bytes = (k->param_bytes + v->align - 1) / v->align * v->align;
		k->params[k->n_params++] = (struct parameter){v->name, k->param_bytes, v->size};
		bind_variable(lo, v, (struct place){SPACE_PARAM, k->param_bytes});
		k->param_bytes += v->size;
	}
	if (f->result)
		bind_variable(lo, f->result, place_local(lo, f->result));
}

static void resolve_labels(struct lowering *lo)
{
	for (int i = 0; i < lo->n_labels; i++)
		if (lo->labels[i].position < 0)
			load_error(lo->l, lo->labels[i].line, "label `%s` is missing", lo->labels[i].name);
	for (int i = 0; i < lo->n; i++)
		if (lo->code[i].run == x_bra)
			lo->code[i].target = lo->labels[lo->code[i].target].position;
}

/* 32 copies of each immediate. */
static void make_constants(struct lowering *lo)
{
	unsigned char *bytes = arena_take(lo->l->arena, lo->constant_bytes);
	for (int i = 0; i < lo->n_constants; i++)
		for (int lane = 0; lane < LANES; lane++)
			memcpy(bytes + lo->constants[i].at + (size_t)lane * lo->constants[i].size, &lo->constants[i].bits,
			       lo->constants[i].size);
	lo->k->constants = bytes;
}

void lower_kernel(struct loader *l, struct function *f, struct kernel *k)
{
	struct lowering lowering = {.l = l, .k = k, .end_label = -1}, *lo = &lowering;
	int n = 0;
	for (const struct variable *v = f->params; v; v = v->next)
		n++;
	k->name = f->name;
	k->text = l->module->text;
	k->params = arena_take(l->arena, (size_t)n * sizeof *k->params);
	k->max_threads = f->max_threads;
	k->min_ctas = f->min_ctas;
	memcpy(k->required, f->required, sizeof k->required);
	memcpy(k->cluster, f->cluster, sizeof k->cluster);
	bind_params(lo, f);
	if (k->param_bytes > 4352)
		load_error(l, f->line, "`%s` has %u bytes of parameters: 4352 are possible", f->name, k->param_bytes);
	expand(lo, f);
	lo->s = &(struct statement){.line = l->line};
	emit(lo, x_exit, 0, 0, NULL);
	if (k->shared_bytes > 48 << 10)
		load_error(l, f->line, "`%s` has %u bytes of static shared memory: 49152 are possible", f->name,
		           k->shared_bytes);
	resolve_labels(lo);
	make_constants(lo);
	order_blocks(lo);
	assign_registers(lo);
}
