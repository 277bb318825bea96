// Package trace runs one operation of an ordinary Go or cgo program an instruction at a time, finds every instruction
// after which an outsider could see a difference, and brings a fresh run of the program to exactly such an instruction,
// to be killed or stopped there.
//
// # The victim
//
// The victim is a normal binary, built normally. Somewhere in it stands
//
//	trace.Operation(func() { err = queue.Put(ctx, message) })
//
// which does nothing but call the function, unless a [Tracer] started the program. Then it locks the OS thread, reports
// it, waits to be seized, marks the beginning (a getpid with magic arguments) and the end (the entry of a function whose
// address the beginning carried). Only that thread is traced; all others, the runtime's and the program's own, run free.
// Victims run with GODEBUG=asyncpreemptoff=1, GOGC=off and GOMAXPROCS=4, or the runtime would interrupt the operation at random
// places, and without address-space randomisation, so that an address means the same in every run, in C code too. So a
// victim's other goroutines must not spin without calling anything: nobody would take the CPU from them.
//
// # Kill points
//
// [Victim.Record] steps from begin to end. A [Point] is one of
//
//   - a store that changed bytes of a shared mapping of a file below [Options.Dir]: the instruction's memory operand is
//     computed from the registers, and the bytes there are compared before and after. Every iteration of REP MOVS and
//     REP STOS is a store of its own. What the operand decoder does not know (a scatter, say) is found by comparing
//     every page of every watched mapping around that one instruction;
//   - a system call, by name, unless its arguments show that it can concern nobody outside (a futex in private memory,
//     anonymous memory, yielding, the clock, the signal mask: the list is in private_linux.go);
//   - every instruction of chosen functions ([Options.Code]), meant for C.
//
// A store that changes nothing, and a store into a file that has no name yet and that nobody else has mapped, is no
// point, but counted. Recording also compares all watched memory around each system call and at the end; bytes that
// changed without a recorded store are counted as Unexplained. In an operation whose process has no other thread writing
// shared memory that must be 0, and proves that no store was missed.
//
// On x86 a killed process leaves exactly a program-order prefix of its stores, so killing after each point covers every
// state that SIGKILL can leave. What that does not cover: the inside of a system call, other CPUs' memory order, and
// private memory the kernel reads at death (a robust list's links): name such functions in [Options.Code].
//
// A point is named by its address and the how-manieth passage of that address since the beginning (of a system call: the
// how-manieth of its name there), and reached again by [Victim.RunTo] with a hardware breakpoint. Some virtual machines
// ignore those: a tracer tries one on a process of its own when it starts, and without them steps to the points, which
// takes some ten times as long ([Tracer.Stepping]; ATTACK_BREAKPOINTS=off chooses that too). A run that went another way
// gives [ErrNotReached].
//
// Names and lines need the victim's symbol table and DWARF, and so do the functions of [Options.Code]. go build keeps
// both; go run and go test do not, unless told -ldflags='-s=false -w=false'.
//
// The package is for Linux on amd64; elsewhere everything but [Operation] gives an error that matches
// [errors.ErrUnsupported].
//
// # Concurrency
//
// A [Tracer] is one locked OS thread, because the kernel ties a tracee to the thread that seized it. Its methods and
// those of its victims may be called from any goroutine; they run one after another on that thread. Several victims of
// one tracer are possible, and several tracers, each pinned to a CPU of its own, run at the same time. Several tracers
// must not share a [Victim].
//
// # Crash behaviour
//
// A victim dies with its tracer (PTRACE_O_EXITKILL, and SIGKILL as parent-death signal before it is seized), also when
// the tracing process itself is killed with SIGKILL. Every call takes a context; when that ends, or the call fails in
// any other way than [ErrNotReached], the victim has been killed and reaped before the call returns.
package trace
