#include "textflag.h"

#define SYS_sigprocmask 135
#define SYS_clone       220
#define SYS_execve      221
#define SYS_chdir       49
#define SYS_close_one   57
#define SYS_setsid      157
#define SYS_exit_group  94
#define SYS_dup3        24

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
	MOVD $SIG_SETMASK, R0         \
	ADD  $new, R19, R1            \
	MOVD $8, R3                   \
	MOVD $SYS_sigprocmask, R8  \
	SVC

// No instruction below writes to the stack, which all three processes share.
#define CLONE \
	MOVD $CLONE_VM_VFORK, R0 \
	MOVD $0, R1              \
	MOVD $0, R2              \
	MOVD $0, R3              \
	MOVD $0, R4              \
	MOVD $SYS_clone, R8      \
	SVC

#define DUP(from, to) \
	MOVD from(R19), R0   \
	MOVD $to, R1         \
	MOVD $0, R2          \
	MOVD $SYS_dup3, R8   \
	SVC

// func start(r *request) int
TEXT ·start(SB), NOSPLIT, $0-16
	MOVD r+0(FP), R19
	ADD  $mask, R19, R2
	SETMASK(all)
	CLONE
	CBZ  R0, first
	MOVD R0, R20
	MOVD $0, R2
	SETMASK(mask)
	MOVD R20, ret+8(FP)
	RET

first:
	CLONE
	CBZ  R0, second
	TBNZ $63, R0, failed
	MOVD $0, R0
	MOVD $SYS_exit_group, R8
	SVC

second:
	MOVD $SYS_setsid, R8
	SVC
	DUP(null, 0)
	DUP(null, 1)
	DUP(null, 2)
	DUP(file, 3)
	MOVD $4, R0
	MOVD $0xffffffff, R1
	MOVD $0, R2
	MOVD close(R19), R8
	SVC
	CBZ  R0, closed
	MOVD $4, R20
	MOVD top(R19), R21

next:
	CMP  R21, R20
	BGT  closed
	MOVD R20, R0
	MOVD $SYS_close_one, R8
	SVC
	ADD  $1, R20
	B    next

closed:
	MOVD root(R19), R0
	MOVD $SYS_chdir, R8
	SVC
	MOVD path(R19), R0
	MOVD argv(R19), R1
	MOVD envv(R19), R2
	MOVD $SYS_execve, R8
	SVC

failed:
	NEG  R0, R0
	MOVD R0, err(R19)
	MOVD $1, R0
	MOVD $SYS_exit_group, R8
	SVC
	BRK
