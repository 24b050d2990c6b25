/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Hook, the part that C cannot say.
 *
 * hook_trampoline is what the patched entry of submit_bio_noacct(bio) calls directly. On the
 * stack are the return into the body of the function and, above it, the return to its caller.
 * If hook_enter() takes the bio, the body is skipped.
 *
 * hook_resubmit(bio) calls the original. Its return address is known, which is how the
 * redirecting hook tells this call from others; it must not be a tail call for this reason.
 */
#include <linux/linkage.h>
#include <asm/frame.h>
#include <asm/nospec-branch.h>
#include <asm/unwind_hints.h>

#ifndef ENDBR
#define ENDBR
#endif
#ifndef CALL_DEPTH_ACCOUNT
#define CALL_DEPTH_ACCOUNT
#endif

	.text
SYM_FUNC_START(hook_trampoline)
	ENDBR
	pushq	%rbp
	movq	%rsp, %rbp
	CALL_DEPTH_ACCOUNT
	pushq	%rdi
	call	hook_enter
	popq	%rdi
	popq	%rbp
	testb	%al, %al
	jnz	1f
	RET
1:	addq	$8, %rsp
	UNWIND_HINT_FUNC
	RET
SYM_FUNC_END(hook_trampoline)

SYM_FUNC_START(hook_resubmit)
	ENDBR
	FRAME_BEGIN
	call	submit_bio_noacct
SYM_INNER_LABEL(hook_resubmit_return, SYM_L_GLOBAL)
	ANNOTATE_NOENDBR /* compared with, never jumped to */
	FRAME_END
	RET
SYM_FUNC_END(hook_resubmit)

	.section .note.GNU-stack,"",@progbits
