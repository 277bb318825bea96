#include "textflag.h"

// The stores of both begin a line: 64 bytes go first, wherever they lie, and what is done twice is done the same.

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
	SUBQ $64, AX // minus the bytes to the next line: 1 to 64
	SUBQ AX, DI
	SUBQ AX, SI
	ADDQ AX, CX
	CLD
	REP; MOVSB
	RET

// func stream(dst, src *byte, n uintptr)
TEXT ·stream(SB), NOSPLIT, $0-24
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	MOVOU (SI), X0
	MOVOU 16(SI), X1
	MOVOU 32(SI), X2
	MOVOU 48(SI), X3
	MOVOU -64(SI)(CX*1), X4
	MOVOU -48(SI)(CX*1), X5
	MOVOU -32(SI)(CX*1), X6
	MOVOU -16(SI)(CX*1), X7
	MOVOU X0, (DI)
	MOVOU X1, 16(DI)
	MOVOU X2, 32(DI)
	MOVOU X3, 48(DI)
	MOVOU X4, -64(DI)(CX*1)
	MOVOU X5, -48(DI)(CX*1)
	MOVOU X6, -32(DI)(CX*1)
	MOVOU X7, -16(DI)(CX*1)
	MOVQ DI, AX
	ANDQ $63, AX
	SUBQ $64, AX
	SUBQ AX, DI
	SUBQ AX, SI
	ADDQ AX, CX
	SHRQ $6, CX // whole lines; what is left lies in the last 64 bytes
	JZ done
loop:
	PREFETCHNTA 512(SI)
	MOVOU (SI), X0
	MOVOU 16(SI), X1
	MOVOU 32(SI), X2
	MOVOU 48(SI), X3
	MOVNTO X0, (DI)
	MOVNTO X1, 16(DI)
	MOVNTO X2, 32(DI)
	MOVNTO X3, 48(DI)
	ADDQ $64, SI
	ADDQ $64, DI
	DECQ CX
	JNZ loop
done:
	SFENCE // these stores are ordered with no others until then
	RET
