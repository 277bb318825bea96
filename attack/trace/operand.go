package trace

import "encoding/binary"

// This file answers one question about an x86-64 instruction: which memory might it store into? The answer may be too
// large, because the bytes are compared before and after; it must never be too small. Common loads are left out, not to
// take another thread's store for theirs. Where it cannot be given,
// instruction.unknown says so, and all watched memory is compared instead. Neither VEX nor EVEX changes where an operand
// lies, so one walk over prefixes, opcode map, ModRM and SIB does for all.

// registers in the order of their encoding.
type registers struct {
	gpr    [16]uint64 // RAX RCX RDX RBX RSP RBP RSI RDI R8 … R15
	pc     uint64
	fs, gs uint64
	flags  uint64
}

const (
	rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi = 0, 1, 2, 3, 4, 5, 6, 7

	noRegister = 0xff
)

type instruction struct {
	syscall bool
	rep     bool // REP-prefixed string operation: traps once per iteration
	repeats bool // of these: MOVS, STOS, LODS, INS: exactly RCX iterations
	unknown bool

	mem     bool // has a memory operand that it might store into
	base    uint8
	index   uint8
	scale   uint8
	disp    int64
	seg     uint8 // 0x64 FS, 0x65 GS
	ripRel  bool
	addr32  bool
	disp8N  bool  // EVEX: disp8 times an unknown power of two
	bits    uint8 // BT family with a register: its number + 1; moves the address by register/8
	bitsize uint8 // operand size of that, in bytes

	implicit uint8 // a register that holds the destination, + 1 (string operations, MASKMOVQ, CLZERO, MOVDIR64B)
	absolute uint64

	size   int  // bytes at most
	length int  // of a string operation
	guard  bool // CMP register, [base+16]: how a Go function begins, checking the stack's limit
}

// span is a piece of the victim's memory.
type span struct {
	addr uint64
	size int
}

// decode reads the instruction at the start of code, which should hold 15 bytes, or fewer where the mapping ends.
func decode(code []byte) instruction {
	var (
		in     = instruction{base: noRegister, index: noRegister}
		d      = decoder{code: code}
		opsize bool
		rex    byte
		rep    byte
	)
prefixes:
	for {
		switch b := d.peek(); b {
		case 0x66:
			opsize = true
		case 0x67:
			in.addr32 = true
		case 0xf2, 0xf3:
			rep = b
		case 0xf0, 0x2e, 0x36, 0x3e, 0x26:
		case 0x64, 0x65:
			in.seg = b
		default:
			break prefixes
		}
		d.pos++
		if d.pos >= 15 {
			in.unknown = true
			return in
		}
	}
	if b := d.peek(); b&0xf0 == 0x40 {
		rex = b
		d.pos++
	}
	x := decodeBits{w: rex&8 != 0, r: rex&4 != 0, x: rex&2 != 0, b: rex&1 != 0}
	switch op := d.next(); op {
	case 0xc5:
		p := d.next()
		x = decodeBits{r: p&0x80 == 0, l: p & 4, pp: p & 3, vex: true}
		in.vector(&d, d.next(), 1, x)
	case 0xc4:
		p0, p1 := d.next(), d.next()
		x = decodeBits{r: p0&0x80 == 0, x: p0&0x40 == 0, b: p0&0x20 == 0, w: p1&0x80 != 0, l: p1 & 4, pp: p1 & 3, vex: true}
		in.vector(&d, d.next(), p0&0x1f, x)
	case 0x62:
		p0, p1 := d.next(), d.next()
		d.next()
		x = decodeBits{r: p0&0x80 == 0, x: p0&0x40 == 0, b: p0&0x20 == 0, w: p1&0x80 != 0, pp: p1 & 3, evex: true}
		if p0&0x08 != 0 || p1&0x04 == 0 { // APX
			in.unknown = true
			return in
		}
		in.vector(&d, d.next(), p0&7, x)
	case 0x0f:
		switch op2 := d.next(); op2 {
		case 0x38:
			in.map38(&d, d.next(), opsize, rep, x)
		case 0x3a:
			d.next()
			in.size = 16
			in.modrm(&d, x)
		default:
			in.map0f(&d, op2, opsize, x)
		}
	default:
		in.map1(&d, op, opsize, rep, x)
	}
	if d.short {
		in = instruction{unknown: true}
	}
	return in
}

type decodeBits struct {
	w, r, x, b bool
	l, pp      byte
	vex, evex  bool
}

type decoder struct {
	code  []byte
	pos   int
	short bool
}

func (d *decoder) peek() byte {
	if d.pos >= len(d.code) {
		d.short = true
		return 0
	}
	return d.code[d.pos]
}

func (d *decoder) next() byte {
	b := d.peek()
	d.pos++
	return b
}

func (d *decoder) disp32() int64 {
	if d.pos+4 > len(d.code) {
		d.short = true
		return 0
	}
	v := int64(int32(binary.LittleEndian.Uint32(d.code[d.pos:])))
	d.pos += 4
	return v
}

// modrm reads ModRM, SIB and displacement. It returns the ModRM byte.
func (in *instruction) modrm(d *decoder, x decodeBits) byte {
	m := d.next()
	mod, rm := m>>6, m&7
	if mod == 3 {
		return m
	}
	in.mem = true
	switch {
	case rm == 4:
		sib := d.next()
		in.scale = 1 << (sib >> 6)
		if i := sib>>3&7 | bit3(x.x); i != 4 {
			in.index = i
		}
		if sib&7 == 5 && mod == 0 {
			in.disp = d.disp32()
		} else {
			in.base = sib&7 | bit3(x.b)
		}
	case rm == 5 && mod == 0:
		in.ripRel = true
		in.disp = d.disp32()
	default:
		in.base = rm | bit3(x.b)
	}
	switch mod {
	case 1:
		in.disp = int64(int8(d.next()))
		in.disp8N = x.evex
	case 2:
		in.disp = d.disp32()
	}
	if in.ripRel {
		in.disp += int64(d.pos) // and the immediate behind it, see spans
	}
	return m
}

func bit3(set bool) uint8 {
	if set {
		return 8
	}
	return 0
}

func (x decodeBits) operandSize(opsize bool) int {
	switch {
	case x.w:
		return 8
	case opsize:
		return 2
	}
	return 4
}

func (in *instruction) map1(d *decoder, op byte, opsize bool, rep byte, x decodeBits) {
	in.size = x.operandSize(opsize)
	if op&1 == 0 {
		in.size = 1
	}
	switch {
	case op < 0x40:
		if op&7 < 4 {
			m := in.modrm(d, x)
			in.guard = op == 0x3b && x.w && m>>6 == 1 && m&7 != 4 && in.disp == 16
			if op&2 != 0 || op >= 0x38 { // into a register, or CMP
				in.mem = false
			}
		}
	case op == 0x63, op == 0x69, op == 0x6b, op == 0x84, op == 0x85, op == 0x8a, op == 0x8b, op == 0x8d:
		// MOVSXD, IMUL, TEST, MOV into a register, LEA
		in.modrm(d, x)
		in.mem = false
	case op >= 0x84 && op <= 0x8f:
		if op == 0x8f {
			if d.peek()&0x1f >= 8 { // XOP
				in.unknown = true
				return
			}
		}
		if op >= 0x8c { // MOV from a segment register, POP
			in.size = 8
		}
		in.modrm(d, x)
	case op == 0x80, op == 0x81, op == 0x83, op == 0xc0, op == 0xc1, op >= 0xd0 && op <= 0xd3,
		op == 0xc6, op == 0xc7, op == 0xf6, op == 0xf7, op == 0xfe, op == 0xff:
		in.modrm(d, x)
	case op >= 0xd8 && op <= 0xdf: // x87: at most FNSAVE
		in.size = 108
		in.modrm(d, x)
	case op == 0xa2, op == 0xa3: // MOV to an absolute address
		n := 8
		if in.addr32 {
			n = 4
		}
		if d.pos+n > len(d.code) {
			d.short = true
			return
		}
		var a [8]byte
		copy(a[:], d.code[d.pos:d.pos+n])
		in.mem, in.absolute = true, binary.LittleEndian.Uint64(a[:])
	case op >= 0xa4 && op <= 0xa7, op >= 0xaa && op <= 0xaf, op == 0x6c, op == 0x6d, op == 0x6e, op == 0x6f:
		in.rep = rep != 0
		compares := op&^1 == 0xa6 || op&^1 == 0xae
		in.repeats = in.rep && !compares
		if !compares && op&^1 != 0xac && op&^1 != 0x6e { // neither reads only
			in.implicit = rdi + 1
		}
		in.length = d.pos
	case op == 0xd5, op == 0xc4, op == 0xc5, op == 0x62: // REX2; the others behind a REX prefix
		in.unknown = true
	}
}

func (in *instruction) map0f(d *decoder, op byte, opsize bool, x decodeBits) {
	switch {
	case op == 0x05:
		in.syscall = true
	case op == 0x01:
		if m := d.peek(); m == 0xfc { // CLZERO: the cache line of RAX
			in.implicit, in.size = rax+1, 64
		} else {
			in.size = 16
			in.modrm(d, x)
		}
	case op < 0x0d && op != 0x00 && op != 0x02 && op != 0x03, op == 0x0e, op >= 0x30 && op <= 0x37, op == 0x77,
		op >= 0x80 && op <= 0x8f, op >= 0xa0 && op <= 0xa2, op >= 0xa8 && op <= 0xaa, op >= 0xc8 && op <= 0xcf:
		// No ModRM.
	case op >= 0x40 && op <= 0x4f, op == 0xa3, op == 0xaf, op == 0xb6, op == 0xb7, op == 0xbe, op == 0xbf,
		op == 0x10, op == 0x28, op == 0x6f: // CMOV, BT, IMUL, MOVZX, MOVSX, vector moves into a register
	case op == 0x0d, op >= 0x18 && op <= 0x1f && op != 0x1a && op != 0x1b: // prefetches and NOPs touch nothing
	case op == 0xab, op == 0xb3, op == 0xbb: // BTS BTR BTC
		in.size = x.operandSize(opsize)
		m := in.modrm(d, x)
		in.bits, in.bitsize = (m>>3&7|bit3(x.r))+1, uint8(in.size)
	case op == 0xa4, op == 0xa5, op == 0xac, op == 0xad, op == 0xba, op == 0xb1, op == 0xc1, op == 0xc3:
		in.size = x.operandSize(opsize)
		in.modrm(d, x)
	case op >= 0x90 && op <= 0x9f, op == 0xb0, op == 0xc0:
		in.size = 1
		in.modrm(d, x)
	case op == 0xae, op == 0xc7:
		in.size = 16
		m := in.modrm(d, x)
		if reg := m >> 3 & 7; in.mem && (op == 0xae && (reg == 0 || reg == 4 || reg == 6) || op == 0xc7 && (reg == 4 || reg == 5)) {
			in.size = 16 << 10 // FXSAVE, XSAVE and family
		}
	case op == 0xf7: // MASKMOVQ, MASKMOVDQU
		in.implicit, in.size = rdi+1, 16
	default:
		in.size = 16
		in.modrm(d, x)
	}
}

func (in *instruction) map38(d *decoder, op byte, opsize bool, rep byte, x decodeBits) {
	in.size = 16
	m := in.modrm(d, x)
	if op == 0xf8 && (opsize || rep != 0) { // MOVDIR64B, ENQCMD: the destination's address is the register operand
		in.mem = false
		in.implicit, in.size = (m>>3&7|bit3(x.r))+1, 64
	}
}

// vector decodes behind a VEX or EVEX prefix.
func (in *instruction) vector(d *decoder, op, opmap byte, x decodeBits) {
	switch {
	case opmap == 1 && op == 0x77 && x.vex: // VZEROUPPER
		return
	case opmap == 1 && op == 0xf7 && x.vex: // VMASKMOVDQU
		in.implicit, in.size = rdi+1, 16
		return
	case opmap == 2 && x.evex && op >= 0xa0 && op <= 0xa3, // scatter: one address per lane
		opmap == 2 && x.vex && op == 0x4b, // TILESTORED: a stride
		opmap == 0 || opmap == 4 || opmap > 6,
		opmap > 3 && x.vex:
		in.unknown = true
		return
	case opmap == 2 && op >= 0x90 && op <= 0x93, opmap == 2 && x.evex && (op == 0xc6 || op == 0xc7):
		return // gather and its prefetch: read only, and their index is a vector
	case opmap == 1 && (op == 0x10 || op == 0x28 || op == 0x6f):
		return // moves into a register
	}
	switch {
	case x.evex:
		in.size = 64
	case x.l != 0:
		in.size = 32
	default:
		in.size = 16
	}
	in.modrm(d, x)
}

// spans appends the memory that the instruction might store into, given the registers before it.
func (in *instruction) spans(s []span, r *registers) []span {
	if in.implicit != 0 {
		a := r.gpr[in.implicit-1]
		if in.size == 64 && in.implicit == rax+1 {
			a &^= 63
		}
		if in.addr32 {
			a = uint64(uint32(a))
		}
		return append(s, span{a, in.size})
	}
	if !in.mem {
		return s
	}
	size := in.size
	a := in.absolute
	if in.base != noRegister {
		a += r.gpr[in.base]
	}
	if in.index != noRegister {
		a += r.gpr[in.index] * uint64(in.scale)
	}
	if in.ripRel {
		a += r.pc
		size += 8 // an immediate behind the displacement moves the address by its own size
	}
	if in.bits != 0 {
		switch v := r.gpr[in.bits-1]; in.bitsize {
		case 8:
			a += uint64(int64(v)>>6) * 8
		case 4:
			a += uint64(int64(int32(v))>>5) * 4
		case 2:
			a += uint64(int64(int16(v))>>4) * 2
		}
	}
	scales := 1
	if in.disp8N {
		scales = 64
	}
	for n := 1; n <= scales; n *= 2 {
		ea := a + uint64(in.disp*int64(n))
		if in.addr32 {
			ea = uint64(uint32(ea))
		}
		switch in.seg {
		case 0x64:
			ea += r.fs
		case 0x65:
			ea += r.gs
		}
		s = append(s, span{ea, size})
	}
	return s
}
