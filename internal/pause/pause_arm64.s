#include "textflag.h"

// ISB and not YIELD: on most cores YIELD is a no-op, ISB drains the pipeline as PAUSE does.
// func spin(n uint32)
TEXT ·spin(SB), NOSPLIT, $0-4
	MOVWU n+0(FP), R0

again:
	ISB  $15
	SUBW $1, R0
	CBNZW R0, again
	RET
