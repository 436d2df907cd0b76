/* A thin layer over LLVM's builder: functions, loops, branches, arithmetic, memory. */
#include <string.h>
#include <llvm-c/Target.h>
#include "emit.h"

enum { LOCAL_ALIGN = 64, MAX_LANES = 64 };

/* ---- context --------------------------------------------------------------------------------- */
static void make_types(struct codegen *g)
{
	LLVMContextRef c = g->context;
	g->i1 = LLVMInt1TypeInContext(c);
	g->i8 = LLVMInt8TypeInContext(c);
	g->i16 = LLVMInt16TypeInContext(c);
	g->i32 = LLVMInt32TypeInContext(c);
	g->i64 = LLVMInt64TypeInContext(c);
	g->f16 = LLVMHalfTypeInContext(c);
	g->bf16 = LLVMBFloatTypeInContext(c);
	g->f32 = LLVMFloatTypeInContext(c);
	g->f64 = LLVMDoubleTypeInContext(c);
	g->ptr = LLVMPointerTypeInContext(c, 0);
	g->nothing = LLVMVoidTypeInContext(c);
}

void codegen_open(struct codegen *g, const char *module, LLVMTargetMachineRef machine, const struct target *target,
                  const struct emitter *emitter)
{
	*g = (struct codegen){.machine = machine, .emitter = emitter, .lanes = target->lanes, .bf16_dot = target->bf16_dot};
	g->context = LLVMContextCreate();
	g->module = LLVMModuleCreateWithNameInContext(module, g->context);
	g->builder = LLVMCreateBuilderInContext(g->context);
	make_types(g);
	char *triple = LLVMGetTargetMachineTriple(machine);
	LLVMSetTarget(g->module, triple);
	LLVMDisposeMessage(triple);
	LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
	LLVMSetModuleDataLayout(g->module, layout);
	LLVMDisposeTargetData(layout);
}

void codegen_close(struct codegen *g)
{
	LLVMDisposeBuilder(g->builder);
	LLVMDisposeModule(g->module);
	LLVMContextDispose(g->context);
}

/* ---- functions and control ------------------------------------------------------------------- */
void ir_attribute(struct codegen *g, LLVMValueRef f, int param, const char *name)
{
	unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
	LLVMAttributeIndex at = param < 0 ? (LLVMAttributeIndex)LLVMAttributeFunctionIndex : (LLVMAttributeIndex)param + 1;
	LLVMAddAttributeAtIndex(f, at, LLVMCreateEnumAttribute(g->context, kind, 0));
}

LLVMValueRef ir_function(struct codegen *g, const char *name, LLVMTypeRef result, const LLVMTypeRef *params, int n,
                         bool internal)
{
	LLVMTypeRef type = LLVMFunctionType(result, (LLVMTypeRef *)params, (unsigned)n, 0);
	g->function = LLVMAddFunction(g->module, name, type);
	ir_attribute(g, g->function, -1, "nounwind");
	if (internal) {
		LLVMSetLinkage(g->function, LLVMInternalLinkage);
		ir_attribute(g, g->function, -1, "noinline");
	}
	LLVMPositionBuilderAtEnd(g->builder, ir_block(g, "entry"));
	return g->function;
}

LLVMValueRef ir_call(struct codegen *g, LLVMValueRef f, const LLVMValueRef *args, int n)
{
	return LLVMBuildCall2(g->builder, LLVMGlobalGetValueType(f), f, (LLVMValueRef *)args, (unsigned)n, "");
}

LLVMValueRef ir_intrinsic(struct codegen *g, const char *name, LLVMTypeRef overload, const LLVMValueRef *args, int n)
{
	unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
	if (!id)
		internal_error("LLVM has no intrinsic `%s`", name);
	return ir_call(g, LLVMGetIntrinsicDeclaration(g->module, id, &overload, overload ? 1 : 0), args, n);
}

LLVMBasicBlockRef ir_block(struct codegen *g, const char *name)
{
	return LLVMAppendBasicBlockInContext(g->context, g->function, name);
}

struct ir_loop loop_begin(struct codegen *g, LLVMValueRef from, LLVMValueRef to, LLVMValueRef step)
{
	LLVMBasicBlockRef before = LLVMGetInsertBlock(g->builder);
	struct ir_loop l = {.body = ir_block(g, "loop"), .end = ir_block(g, "done"), .to = to, .step = step};
	LLVMBuildCondBr(g->builder, ir_compare(g, LLVMIntSLT, from, to), l.body, l.end);
	LLVMPositionBuilderAtEnd(g->builder, l.body);
	l.index = LLVMBuildPhi(g->builder, g->i64, "i");
	LLVMAddIncoming(l.index, &from, &before, 1);
	return l;
}

void loop_end(struct codegen *g, const struct ir_loop *l)
{
	LLVMValueRef next = LLVMBuildNSWAdd(g->builder, l->index, l->step, "");
	LLVMBasicBlockRef last = LLVMGetInsertBlock(g->builder);
	LLVMAddIncoming(l->index, &next, &last, 1);
	LLVMBuildCondBr(g->builder, ir_compare(g, LLVMIntSLT, next, l->to), l->body, l->end);
	LLVMPositionBuilderAtEnd(g->builder, l->end);
}

struct ir_branch if_begin(struct codegen *g, LLVMValueRef condition)
{
	LLVMBasicBlockRef then = ir_block(g, "then");
	struct ir_branch b = {.otherwise = ir_block(g, "else"), .end = ir_block(g, "endif")};
	LLVMBuildCondBr(g->builder, condition, then, b.otherwise);
	LLVMPositionBuilderAtEnd(g->builder, then);
	return b;
}

void if_else(struct codegen *g, struct ir_branch *b)
{
	LLVMBuildBr(g->builder, b->end);
	LLVMPositionBuilderAtEnd(g->builder, b->otherwise);
	b->otherwise = NULL;
}

void if_end(struct codegen *g, const struct ir_branch *b)
{
	LLVMBuildBr(g->builder, b->end);
	if (b->otherwise) {
		LLVMPositionBuilderAtEnd(g->builder, b->otherwise);
		LLVMBuildBr(g->builder, b->end);
	}
	LLVMPositionBuilderAtEnd(g->builder, b->end);
}

/* ---- values ---------------------------------------------------------------------------------- */
static bool is_vector(LLVMTypeRef t) { return LLVMGetTypeKind(t) == LLVMVectorTypeKind; }

static LLVMValueRef repeat_constant(LLVMValueRef c, unsigned n)
{
	LLVMValueRef all[MAX_LANES];
	for (unsigned i = 0; i < n; i++)
		all[i] = c;
	return LLVMConstVector(all, n);
}

LLVMValueRef ir_i32(struct codegen *g, int64_t x) { return LLVMConstInt(g->i32, (unsigned long long)x, 1); }
LLVMValueRef ir_i64(struct codegen *g, int64_t x) { return LLVMConstInt(g->i64, (unsigned long long)x, 1); }
LLVMValueRef ir_f32(struct codegen *g, double x) { return LLVMConstReal(g->f32, x); }
LLVMTypeRef ir_vector(struct codegen *g, LLVMTypeRef element) { return LLVMVectorType(element, (unsigned)g->lanes); }

LLVMValueRef ir_like(struct codegen *g, LLVMTypeRef type, double x)
{
	(void)g;
	if (!is_vector(type))
		return LLVMConstReal(type, x);
	return repeat_constant(LLVMConstReal(LLVMGetElementType(type), x), LLVMGetVectorSize(type));
}

LLVMValueRef ir_like_int(struct codegen *g, LLVMTypeRef type, int64_t x)
{
	(void)g;
	if (!is_vector(type))
		return LLVMConstInt(type, (unsigned long long)x, 1);
	return repeat_constant(LLVMConstInt(LLVMGetElementType(type), (unsigned long long)x, 1), LLVMGetVectorSize(type));
}

LLVMTypeRef ir_with_element(LLVMTypeRef type, LLVMTypeRef element)
{
	return is_vector(type) ? LLVMVectorType(element, LLVMGetVectorSize(type)) : element;
}

LLVMValueRef ir_splat(struct codegen *g, LLVMValueRef scalar)
{
	LLVMTypeRef type = ir_vector(g, LLVMTypeOf(scalar));
	LLVMValueRef one = LLVMBuildInsertElement(g->builder, LLVMGetPoison(type), scalar, ir_i32(g, 0), "");
	return LLVMBuildShuffleVector(g->builder, one, LLVMGetPoison(type), LLVMConstNull(ir_vector(g, g->i32)), "");
}

LLVMValueRef ir_iota(struct codegen *g, LLVMTypeRef element)
{
	LLVMValueRef all[MAX_LANES];
	bool integer = LLVMGetTypeKind(element) == LLVMIntegerTypeKind;
	for (int i = 0; i < g->lanes; i++)
		all[i] = integer ? LLVMConstInt(element, (unsigned long long)i, 0) : LLVMConstReal(element, i);
	return LLVMConstVector(all, (unsigned)g->lanes);
}

LLVMValueRef ir_add(struct codegen *g, LLVMValueRef a, LLVMValueRef b) { return LLVMBuildAdd(g->builder, a, b, ""); }
LLVMValueRef ir_sub(struct codegen *g, LLVMValueRef a, LLVMValueRef b) { return LLVMBuildSub(g->builder, a, b, ""); }
LLVMValueRef ir_mul(struct codegen *g, LLVMValueRef a, LLVMValueRef b) { return LLVMBuildMul(g->builder, a, b, ""); }
LLVMValueRef ir_div(struct codegen *g, LLVMValueRef a, LLVMValueRef b) { return LLVMBuildUDiv(g->builder, a, b, ""); }
LLVMValueRef ir_rem(struct codegen *g, LLVMValueRef a, LLVMValueRef b) { return LLVMBuildURem(g->builder, a, b, ""); }
LLVMValueRef ir_and(struct codegen *g, LLVMValueRef a, LLVMValueRef b) { return LLVMBuildAnd(g->builder, a, b, ""); }

LLVMValueRef ir_compare(struct codegen *g, LLVMIntPredicate p, LLVMValueRef a, LLVMValueRef b)
{
	return LLVMBuildICmp(g->builder, p, a, b, "");
}

LLVMValueRef ir_select(struct codegen *g, LLVMValueRef c, LLVMValueRef a, LLVMValueRef b)
{
	return LLVMBuildSelect(g->builder, c, a, b, "");
}

LLVMValueRef ir_min(struct codegen *g, LLVMValueRef a, LLVMValueRef b)
{
	return ir_select(g, ir_compare(g, LLVMIntSLT, a, b), a, b);
}

LLVMValueRef ir_max(struct codegen *g, LLVMValueRef a, LLVMValueRef b)
{
	return ir_select(g, ir_compare(g, LLVMIntSGT, a, b), a, b);
}

LLVMValueRef ir_ceil_div(struct codegen *g, LLVMValueRef a, int64_t b)
{
	return ir_div(g, ir_add(g, a, ir_i64(g, b - 1)), ir_i64(g, b));
}

LLVMValueRef ir_bits(struct codegen *g, LLVMValueRef a, LLVMTypeRef type)
{
	return LLVMBuildBitCast(g->builder, a, type, "");
}
LLVMValueRef ir_wide(struct codegen *g, LLVMValueRef a) { return LLVMBuildSExt(g->builder, a, g->i64, ""); }

LLVMValueRef ir_fadd(struct codegen *g, LLVMValueRef a, LLVMValueRef b) { return LLVMBuildFAdd(g->builder, a, b, ""); }
LLVMValueRef ir_fsub(struct codegen *g, LLVMValueRef a, LLVMValueRef b) { return LLVMBuildFSub(g->builder, a, b, ""); }
LLVMValueRef ir_fmul(struct codegen *g, LLVMValueRef a, LLVMValueRef b) { return LLVMBuildFMul(g->builder, a, b, ""); }
LLVMValueRef ir_fdiv(struct codegen *g, LLVMValueRef a, LLVMValueRef b) { return LLVMBuildFDiv(g->builder, a, b, ""); }

LLVMValueRef ir_fma(struct codegen *g, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c)
{
	return ir_intrinsic(g, "llvm.fma", LLVMTypeOf(a), (LLVMValueRef[]){a, b, c}, 3);
}

LLVMValueRef ir_fcompare(struct codegen *g, LLVMRealPredicate p, LLVMValueRef a, LLVMValueRef b)
{
	return LLVMBuildFCmp(g->builder, p, a, b, "");
}

LLVMValueRef ir_fmax(struct codegen *g, LLVMValueRef a, LLVMValueRef b)
{
	return ir_select(g, ir_fcompare(g, LLVMRealOGT, a, b), a, b);
}

LLVMValueRef ir_fmin(struct codegen *g, LLVMValueRef a, LLVMValueRef b)
{
	return ir_select(g, ir_fcompare(g, LLVMRealOLT, a, b), a, b);
}

/* Picks lanes first, first + step, .. of the concatenation of a and b. */
static LLVMValueRef pick_lanes(struct codegen *g, LLVMValueRef a, LLVMValueRef b, int first, int step, int n)
{
	LLVMValueRef index[MAX_LANES];
	for (int i = 0; i < n; i++)
		index[i] = ir_i32(g, first + i * step);
	return LLVMBuildShuffleVector(g->builder, a, b, LLVMConstVector(index, (unsigned)n), "");
}

LLVMValueRef ir_reduce(struct codegen *g, LLVMValueRef v, ir_binary *op)
{
	for (int half = g->lanes / 2; half; half /= 2)
		v = op(g, pick_lanes(g, v, v, 0, 1, half), pick_lanes(g, v, v, half, 1, half));
	return LLVMBuildExtractElement(g->builder, v, ir_i32(g, 0), "");
}

LLVMValueRef ir_interleave(struct codegen *g, LLVMValueRef a, LLVMValueRef b)
{
	LLVMValueRef index[MAX_LANES];
	for (int i = 0; i < 2 * g->lanes; i++)
		index[i] = ir_i32(g, i % 2 * g->lanes + i / 2);
	return LLVMBuildShuffleVector(g->builder, a, b, LLVMConstVector(index, 2 * (unsigned)g->lanes), "");
}

LLVMValueRef ir_deinterleave(struct codegen *g, LLVMValueRef v, int odd)
{
	return pick_lanes(g, v, LLVMGetPoison(LLVMTypeOf(v)), odd, 2, g->lanes);
}

/* ---- memory ---------------------------------------------------------------------------------- */
LLVMValueRef ir_constant(struct codegen *g, const char *name, LLVMValueRef value)
{
	LLVMValueRef global = LLVMAddGlobal(g->module, LLVMTypeOf(value), name);
	LLVMSetInitializer(global, value);
	LLVMSetGlobalConstant(global, true);
	return global;
}

void ir_image(struct codegen *g, int form, int kernels, const LLVMValueRef *parts)
{
	LLVMValueRef none = LLVMConstNull(g->ptr);
	LLVMValueRef fields[2 + IMAGE_PARTS] = {ir_i32(g, form), ir_i32(g, kernels)};
	for (int i = 0; i < IMAGE_PARTS; i++)
		fields[2 + i] = parts[i] ? parts[i] : none;
	ir_constant(g, "dr_image", LLVMConstStructInContext(g->context, fields, 2 + IMAGE_PARTS, 0));
}

LLVMValueRef ir_local(struct codegen *g, LLVMTypeRef type, int64_t n)
{
	LLVMBasicBlockRef here = LLVMGetInsertBlock(g->builder), entry = LLVMGetEntryBasicBlock(g->function);
	LLVMValueRef first = LLVMGetFirstInstruction(entry);
	if (first)
		LLVMPositionBuilderBefore(g->builder, first);
	else
		LLVMPositionBuilderAtEnd(g->builder, entry);
	LLVMValueRef p = LLVMBuildAlloca(g->builder, n == 1 ? type : LLVMArrayType2(type, (uint64_t)n), "");
	LLVMSetAlignment(p, LOCAL_ALIGN);
	LLVMPositionBuilderAtEnd(g->builder, here);
	return p;
}

LLVMValueRef ir_offset(struct codegen *g, LLVMValueRef p, LLVMValueRef bytes)
{
	return LLVMBuildInBoundsGEP2(g->builder, g->i8, p, &bytes, 1, "");
}

LLVMTypeRef dtype_storage(struct codegen *g, enum dtype t)
{
	switch (t) {
	case DTYPE_F64:     return g->f64;
	case DTYPE_F32:     return g->f32;
	case DTYPE_BF16:    return g->i16;
	case DTYPE_F16:     return g->f16;
	case DTYPE_I32:     return g->i32;
	case DTYPE_FP8E4M3:
	case DTYPE_FP8E5M2: return g->i8;
	default:            internal_error("kernels have no code for %s", dtype_name(t));
	}
}

LLVMValueRef ir_at(struct codegen *g, LLVMValueRef p, enum dtype t, LLVMValueRef index)
{
	return LLVMBuildInBoundsGEP2(g->builder, dtype_storage(g, t), p, &index, 1, "");
}

LLVMValueRef ir_load(struct codegen *g, LLVMTypeRef type, LLVMValueRef p, int align)
{
	LLVMValueRef v = LLVMBuildLoad2(g->builder, type, p, "");
	LLVMSetAlignment(v, (unsigned)align);
	return v;
}

void ir_store(struct codegen *g, LLVMValueRef v, LLVMValueRef p, int align)
{
	LLVMSetAlignment(LLVMBuildStore(g->builder, v, p), (unsigned)align);
}

LLVMValueRef ir_load_i32(struct codegen *g, LLVMValueRef p, LLVMValueRef index)
{
	return ir_wide(g, ir_load(g, g->i32, ir_at(g, p, DTYPE_I32, index), 4));
}

void ir_store_i32(struct codegen *g, LLVMValueRef v, LLVMValueRef p, LLVMValueRef index)
{
	ir_store(g, LLVMBuildTrunc(g->builder, v, g->i32, ""), ir_at(g, p, DTYPE_I32, index), 4);
}

/* A team's pieces of so many bytes: as wide as their alignment allows. from NULL: zeros. */
static void team_copy(struct codegen *g, LLVMValueRef to, LLVMValueRef from, int64_t bytes)
{
	int width = g->vector_align ? g->vector_align : 1;
	while (bytes % width)
		width /= 2;
	LLVMTypeRef word = LLVMIntTypeInContext(g->context, width < 4 ? 8 * (unsigned)width : 32);
	LLVMTypeRef piece = width > 4 ? LLVMVectorType(word, (unsigned)width / 4) : word;
	LLVMValueRef first = ir_mul(g, g->emitter->member(g), ir_i64(g, width));
	struct ir_loop l = loop_begin(g, first, ir_i64(g, bytes), ir_i64(g, (int64_t)g->team * width));
	LLVMValueRef v = from ? ir_load(g, piece, ir_offset(g, from, l.index), width) : LLVMConstNull(piece);
	ir_store(g, v, ir_offset(g, to, l.index), width);
	loop_end(g, &l);
}

void ir_copy(struct codegen *g, LLVMValueRef to, LLVMValueRef from, int64_t bytes)
{
	if (g->team)
		team_copy(g, to, from, bytes);
	else
		LLVMBuildMemCpy(g->builder, to, 1, from, 1, ir_i64(g, bytes));
}

void ir_clear(struct codegen *g, LLVMValueRef to, int64_t bytes)
{
	if (g->team)
		team_copy(g, to, NULL, bytes);
	else
		LLVMBuildMemSet(g->builder, to, LLVMConstInt(g->i8, 0, 0), ir_i64(g, bytes), 1);
}

void ir_prefetch(struct codegen *g, LLVMValueRef p)
{
	ir_intrinsic(g, "llvm.prefetch", g->ptr, (LLVMValueRef[]){p, ir_i32(g, 0), ir_i32(g, 3), ir_i32(g, 1)}, 4);
}
