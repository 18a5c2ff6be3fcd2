#include "textflag.h"

#define SYS_getrlimit 97
#define RLIMIT_NOFILE 7

// func getrlimit(limit *[2]uint64) (errno uintptr)
TEXT ·getrlimit(SB), NOSPLIT, $0-16
	MOVL $SYS_getrlimit, AX
	MOVL $RLIMIT_NOFILE, DI
	MOVQ limit+0(FP), SI
	SYSCALL
	NEGQ AX
	MOVQ AX, errno+8(FP)
	RET
