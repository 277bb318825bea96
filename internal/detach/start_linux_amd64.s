#include "textflag.h"

#define SYS_sigprocmask 14
#define SYS_clone       56
#define SYS_execve      59
#define SYS_chdir       80
#define SYS_close_one   3
#define SYS_setsid      112
#define SYS_exit_group  231
#define SYS_dup3        292

#define CLONE_VM_VFORK 0x4100

// Fields of request.
#define path  0
#define argv  8
#define envv  16
#define root  24
#define null  32
#define file  40
#define close 48
#define top   56
#define err   64
#define all   72
#define mask  80

#define SIG_SETMASK 2

#define SETMASK(new) \
	MOVL $SIG_SETMASK, DI         \
	LEAQ new(R12), SI             \
	MOVL $8, R10                  \
	MOVL $SYS_sigprocmask, AX  \
	SYSCALL

// No instruction below writes to the stack, which all three processes share.
#define CLONE \
	MOVL $CLONE_VM_VFORK, DI \
	XORL SI, SI              \
	XORL DX, DX              \
	XORL R10, R10            \
	XORL R8, R8              \
	MOVL $SYS_clone, AX      \
	SYSCALL

#define DUP(from, to) \
	MOVQ from(R12), DI  \
	MOVL $to, SI        \
	XORL DX, DX         \
	MOVL $SYS_dup3, AX  \
	SYSCALL

// func start(r *request) int
TEXT ·start(SB), NOSPLIT, $0-16
	MOVQ  r+0(FP), R12
	LEAQ  mask(R12), DX
	SETMASK(all)
	CLONE
	TESTQ AX, AX
	JEQ   first
	MOVQ  AX, R13
	XORL  DX, DX
	SETMASK(mask)
	MOVQ  R13, ret+8(FP)
	RET

first:
	CLONE
	TESTQ AX, AX
	JEQ   second
	JLT   failed
	XORL  DI, DI
	MOVL  $SYS_exit_group, AX
	SYSCALL

second:
	MOVL $SYS_setsid, AX
	SYSCALL
	DUP(null, 0)
	DUP(null, 1)
	DUP(null, 2)
	DUP(file, 3)
	MOVL $4, DI
	MOVL $0xffffffff, SI
	XORL DX, DX
	MOVQ close(R12), AX
	SYSCALL
	TESTQ AX, AX
	JEQ  closed
	MOVQ $4, R13

next:
	CMPQ R13, top(R12)
	JGT  closed
	MOVQ R13, DI
	MOVL $SYS_close_one, AX
	SYSCALL
	INCQ R13
	JMP  next

closed:
	MOVQ root(R12), DI
	MOVL $SYS_chdir, AX
	SYSCALL
	MOVQ path(R12), DI
	MOVQ argv(R12), SI
	MOVQ envv(R12), DX
	MOVL $SYS_execve, AX
	SYSCALL

failed:
	NEGQ AX
	MOVQ AX, err(R12)
	MOVL $1, DI
	MOVL $SYS_exit_group, AX
	SYSCALL
	INT $3
