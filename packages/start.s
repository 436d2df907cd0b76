# Where a launcher starts that is linked without the C library's start files: calls main as its crt1.o would. Since 2.34 the C library
# runs initializers and finalizers itself, so their two arguments are 0. x86-64.
	.text
	.globl	_start
	.type	_start, @function
_start:
	.cfi_startproc
	.cfi_undefined rip
	xorl	%ebp, %ebp
	movq	%rdx, %r9		# the dynamic linker's finalizer
	popq	%rsi			# argc
	movq	%rsp, %rdx		# argv
	andq	$-16, %rsp
	pushq	%rax
	pushq	%rsp			# the end of the stack
	xorl	%r8d, %r8d
	xorl	%ecx, %ecx
	leaq	main(%rip), %rdi
	call	*__libc_start_main@GOTPCREL(%rip)
	hlt
	.cfi_endproc
	.size	_start, . - _start
	.section	.note.GNU-stack, "", @progbits
