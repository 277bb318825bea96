package trace

import (
	"debug/elf"
	"encoding/hex"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/arch/x86/x86asm"
)

// noStore are the operations whose first operand may be memory that they do not write.
func noStore(op x86asm.Op) bool {
	switch op {
	case x86asm.CMP, x86asm.TEST, x86asm.NOP, x86asm.BT, x86asm.PUSH, x86asm.JMP, x86asm.CALL, x86asm.PREFETCHNTA,
		x86asm.PREFETCHT0, x86asm.PREFETCHT1, x86asm.PREFETCHT2, x86asm.PREFETCHW, x86asm.LEA, x86asm.XLATB:
		return true
	}
	return false
}

func number(r x86asm.Reg) uint8 {
	switch {
	case r >= x86asm.RAX && r <= x86asm.R15:
		return uint8(r - x86asm.RAX)
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return uint8(r - x86asm.EAX)
	}
	return noRegister
}

// The disassembler of the Go project, which is another reading of the same manual, must see the same operand in every
// instruction of real programs. Its vector instructions are not compared: it takes their RIP-relative operands for
// absolute ones.
func TestMemoryOperandsAreThoseTheDisassemblerSees(t *testing.T) {
	programs := []string{"/proc/self/exe"}
	libc, _ := filepath.Glob("/lib/x86_64-linux-gnu/libc.so.6")
	for _, path := range append(programs, libc...) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f, err := elf.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			text := f.Section(".text")
			code, err := text.Data()
			if err != nil {
				t.Fatal(err)
			}
			compared := 0
			for pos, pc := 0, text.Addr; pos < len(code); {
				inst, err := x86asm.Decode(code[pos:], 64)
				n := inst.Len
				if err != nil || n == 0 || inst.Op == 0 {
					n = 1
				} else if compareOperand(t, inst, code[pos:pos+n], pc) {
					compared++
				}
				pos += n
				pc += uint64(n)
				if t.Failed() {
					return
				}
			}
			if compared < 10_000 {
				t.Errorf("only %d operands compared", compared)
			}
			t.Logf("%d operands compared", compared)
		})
	}
}

func compareOperand(t *testing.T, inst x86asm.Inst, code []byte, pc uint64) bool {
	t.Helper()
	for _, p := range inst.Prefix {
		if p.IsVEX() || p.IsEVEX() {
			return false
		}
	}
	in := decode(code)
	var mem x86asm.Mem
	var first, found bool
	for i, a := range inst.Args {
		if m, ok := a.(x86asm.Mem); ok {
			mem, first, found = m, i == 0, true
			break
		}
	}
	fail := func(what string) {
		t.Errorf("%x: %x %v: %s: %+v", pc, code, inst, what, in)
	}
	switch {
	case in.unknown:
		fail("not decoded")
	case in.syscall != (inst.Op == x86asm.SYSCALL):
		fail("system call")
	case in.implicit != 0:
		if number(mem.Base) != in.implicit-1 || !first {
			fail("implicit destination")
		}
		return true
	case !found:
		if in.mem {
			fail("no memory operand")
		}
	case !in.mem:
		if first && !noStore(inst.Op) {
			fail("may store, but is taken for a load")
		}
	case mem.Base == x86asm.RIP:
		if want := int64(inst.Len) + mem.Disp; !in.ripRel || in.disp > want || want > in.disp+8 {
			fail("RIP-relative")
		}
		return true
	case in.ripRel || number(mem.Base) != in.base || number(mem.Index) != in.index ||
		mem.Index != 0 && mem.Scale != in.scale || in.absolute == 0 && int32(mem.Disp) != int32(in.disp): // it does not extend the sign
		fail("address")
	default:
		if size := inst.MemBytes; size > in.size && !noStore(inst.Op) {
			fail("operand is larger")
		}
		return true
	}
	return false
}

func TestOperandsThatProgramsRarelyUse(t *testing.T) {
	r := &registers{pc: 0x1000, fs: 0xf000_0000, gs: 0xa000_0000}
	for i := range r.gpr {
		r.gpr[i] = uint64(i+1) << 32
	}
	for _, c := range []struct {
		assembly, code string
		want           []span
	}{
		{"mov [rip+0x10], eax", "890510000000", []span{{0x1016, 12}}},
		{"mov dword ptr [rip+0x10], 5", "c7051000000005000000", []span{{0x1016, 12}}}, // really 0x101a: inside
		{"mov fs:[rax], ecx", "648908", []span{{0x1_f000_0000, 4}}},
		{"mov gs:[rax-8], rcx", "65488948f8", []span{{0x1_a000_0000 - 8, 8}}},
		{"mov [eax+4], cx", "6766894804", []span{{4, 2}}},
		{"movabs [0x1122334455667788], rax", "48a38877665544332211", []span{{0x1122334455667788, 8}}},
		{"mov [r13+r12*8+1], r9b", "47884ce501", []span{{14<<32 + 8*(13<<32) + 1, 1}}},
		{"mov [0x1000], al", "88042500100000", []span{{0x1000, 1}}},
		{"vmovups [r9+r10*4-32], ymm1", "c4817c114c91e0", []span{{10<<32 + 4*(11<<32) - 32, 32}}},
		{"vmovdqu64 [rax+64], zmm0 (disp8 scaled)", "62f1fe487f4001", []span{
			{1<<32 + 1, 64}, {1<<32 + 2, 64}, {1<<32 + 4, 64}, {1<<32 + 8, 64}, {1<<32 + 16, 64}, {1<<32 + 32, 64}, {1<<32 + 64, 64}}},
		{"movdir64b rcx, [rax]", "660f38f808", []span{{2 << 32, 64}}},
		{"clzero", "0f01fc", []span{{1 << 32, 64}}},
		{"mov rax, [rcx]", "488b01", nil},
		{"lea rax, [rcx]", "488d01", nil},
		{"vpgatherdd", "62f27d49900488", nil},
	} {
		code, err := hex.DecodeString(c.code)
		if err != nil {
			t.Fatal(err)
		}
		in := decode(code)
		if got := in.spans(nil, r); in.unknown || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v (%+v)", c.assembly, got, c.want, in)
		}
	}
}

func TestWhatCannotBeDecodedIsUnknown(t *testing.T) {
	for _, c := range []string{
		"",                   // unreadable
		"48",                 // cut off
		"4889",               // cut off
		"c74424",             // cut off
		"62f27d49a00488",     // vpscatterdd
		"d5008908",           // REX2
		"8fe878c0c000",       // XOP
		"62f4fc0801c0909090", // APX
		strings.Repeat("66", 15),
	} {
		code, err := hex.DecodeString(c)
		if err != nil {
			t.Fatal(err)
		}
		if in := decode(code); !in.unknown {
			t.Errorf("%s: %+v", c, in)
		}
	}
}

func TestPointNamesAreReadAsWritten(t *testing.T) {
	for _, p := range []Point{AtBegin, AtEnd, {Addr: 0x4a1b2c, Pass: 3, Kind: Code},
		{Addr: 0x40bcac, Pass: 1, Kind: Syscall, Call: "linkat"}, {Addr: 0x40bcac, Pass: 1, Kind: Syscall, Call: "call9999"}} {
		if got, err := ParsePoint(p.Name()); err != nil || got.Name() != p.Name() {
			t.Errorf("%q: %v, %v", p.Name(), got, err)
		}
	}
	for _, s := range []string{"", "0x10", "0x10:0", "0:1", "x:1", "0x10:1:2", "middle", "0x10.:1", "0x10.nocall:1"} {
		if p, err := ParsePoint(s); err == nil {
			t.Errorf("%q: %v", s, p)
		}
	}
}

func TestASystemCallOutOfTheTableIsNamedByItsNumber(t *testing.T) {
	if a, b := systemCallName(1), systemCallName(9999); a != "write" || b != "call9999" {
		t.Errorf("%q, %q", a, b)
	}
}

func TestTheOwnBinarysFunctionsHaveNamesAndLines(t *testing.T) {
	im, err := openImage("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer im.close()
	symbol, source := im.name(uint64(endAddress))
	if !strings.HasSuffix(symbol, "trace.markEnd") || !strings.HasPrefix(source, "operation.go:") {
		t.Errorf("%q, %q", symbol, source)
	}
	if symbol, source := im.name(1); symbol != "exe+0x1" || source != "" {
		t.Errorf("%q, %q", symbol, source)
	}
}
