#include "textflag.h"

// 64 bytes go first, wherever they lie, so that the rest begins a line.

// func movsb(dst, src *byte, n uintptr)
TEXT ·movsb(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	MOVOU (SI), X0
	MOVOU 16(SI), X1
	MOVOU 32(SI), X2
	MOVOU 48(SI), X3
	MOVOU X0, (DI)
	MOVOU X1, 16(DI)
	MOVOU X2, 32(DI)
	MOVOU X3, 48(DI)
	MOVQ DI, AX
	ANDQ $63, AX
	SUBQ $64, AX // minus the bytes to the next line, 1 to 64
	SUBQ AX, DI
	SUBQ AX, SI
	ADDQ AX, CX
	CLD
	REP; MOVSB
	RET
