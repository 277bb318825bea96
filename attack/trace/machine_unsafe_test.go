//go:build linux && amd64

package trace

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

const machineAddress = 0x10000000

// machineVictim runs machine code. path is "file hexcode"; the code is called with the mapped file's address in RAX,
// that plus 4096 in RDI, a private buffer of the pattern in RSI, 10 in RCX, -1 in RDX, and returns with C3. It must leave
// R14, R15, RSP and RBP alone.
func machineVictim(path string) error {
	file, text, _ := strings.Cut(path, " ")
	code, err := hex.DecodeString(text)
	if err != nil {
		return err
	}
	_, region, err := openWords(file)
	if err != nil {
		return err
	}
	run, err := assemble(code)
	if err != nil {
		return err
	}
	private := append(pattern(4096), make([]byte, 4096)...)
	Operation(func() { run(unsafe.Pointer(&region[0]), unsafe.Pointer(&private[0])) })
	return nil
}

// prologue moves Go's arguments (RAX the file, RBX the private buffer) to where the tests want them.
var prologue, _ = hex.DecodeString(
	"4889de" + // mov rsi, rbx
		"488db800100000" + // lea rdi, [rax+4096]
		"b90a000000" + // mov ecx, 10
		"48c7c2ffffffff" + // mov rdx, -1
		"31db") // xor ebx, ebx

// epilogue restores what Go expects: X15 is zero, the direction flag clear, no upper halves in use.
var epilogue, _ = hex.DecodeString("fc" + "450f57ff" + "c3") // cld; xorps xmm15, xmm15; ret

func assemble(code []byte) (func(file, private unsafe.Pointer), error) {
	// At a fixed place: without randomisation the kernel still hands out places in the order of asking, and the
	// runtime's threads ask too.
	at, _, e := unix.RawSyscall6(unix.SYS_MMAP, machineAddress, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_FIXED_NOREPLACE, ^uintptr(0), 0)
	if e != 0 {
		return nil, fmt.Errorf("executable page: %w", e)
	}
	mem := unsafe.Slice(*(**byte)(unsafe.Pointer(&at)), 4096)
	n := copy(mem, prologue)
	n += copy(mem[n:], code)
	copy(mem[n:], epilogue)
	entry := &struct{ pc uintptr }{uintptr(unsafe.Pointer(&mem[0]))}
	return *(*func(file, private unsafe.Pointer))(unsafe.Pointer(&entry)), nil
}
