#include "textflag.h"

#define SYS_clone3 435
#define SYS_exit_group 231
#define EPERM 1
#define EACCES 13
#define OPTIONAL 1
#define RETURNS 2
#define MAX_ERRNO $0xfffffffffffff001

// func vfork(args *cloneArgs, size uintptr, steps *step, course *course) (pid int, errno uintptr)
//
// The child runs in the parent's memory, on its stack too, while the parent
// goes on. So it touches neither: it walks the table, whose last step does not
// return, and where one fails it says so and ends. By the upper half of its number
// a step is optional and may fail for want of a right, or has to return what its
// last argument says.
TEXT ·vfork(SB), NOSPLIT|NOFRAME, $0-48
	MOVL $SYS_clone3, AX
	MOVQ args+0(FP), DI
	MOVQ size+8(FP), SI
	MOVQ steps+16(FP), BX
	MOVQ course+24(FP), R12
	SYSCALL
	CMPQ AX, MAX_ERRNO
	JCC  none
	TESTQ AX, AX
	JZ   child
	MOVQ AX, pid+32(FP)
	MOVQ $0, errno+40(FP)
	RET
none:
	NEGQ AX
	MOVQ $-1, pid+32(FP)
	MOVQ AX, errno+40(FP)
	RET
child:
	MOVQ BX, 8(R12)
	MOVL 0(BX), AX
	MOVQ 8(BX), DI
	MOVQ 16(BX), SI
	MOVQ 24(BX), DX
	MOVQ 32(BX), R10
	SYSCALL
	CMPQ AX, MAX_ERRNO
	JCC  fail
	CMPL 4(BX), $RETURNS
	JNE  next
	CMPQ AX, 32(BX)
	JEQ  next
	MOVQ $EPERM, AX
	JMP  fatal
next:
	ADDQ $40, BX
	JMP  child
fail:
	NEGQ AX
	CMPL 4(BX), $OPTIONAL
	JNE  fatal
	CMPQ AX, $EPERM
	JEQ  next
	CMPQ AX, $EACCES
	JEQ  next
fatal:
	MOVQ AX, 0(R12)
end:
	MOVL $SYS_exit_group, AX
	MOVL $127, DI
	SYSCALL
	JMP  end
