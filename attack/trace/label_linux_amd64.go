package trace

import (
	"encoding/binary"
	"strings"

	"golang.org/x/arch/x86/x86asm"
)

// Label adds what people want to know to a point that was only named. The victim must stand still.
func (v *Victim) Label(p Point) Point {
	v.t.do(func() {
		if p.Addr == 0 || v.gone || v.where == starting || v.where == detached {
			return
		}
		mm := memoryMap{pid: v.pid}
		if mm.refreshMaps() == nil {
			p.Symbol, p.Source = v.symbol(&mm, p.Addr)
			p.Text = v.disassemble(p.Addr)
		}
	})
	return p
}

func (v *Victim) disassemble(addr uint64) string {
	inst, err := x86asm.Decode(v.code(addr), 64)
	if err != nil {
		return ""
	}
	return x86asm.GoSyntax(inst, addr, nil)
}

// label adds what people want to know to the points.
func (r *recorder) label() {
	first := make(map[uint64]*Point)
	named := make(map[uint64]string)
	for i := range r.rec.Points {
		p := &r.rec.Points[i]
		if f := first[p.Addr]; f != nil {
			p.Symbol, p.Source, p.Text = f.Symbol, f.Source, f.Text
		} else {
			first[p.Addr] = p
			p.Symbol, p.Source = r.v.symbol(&r.mm, p.Addr)
			p.Text = r.v.disassemble(p.Addr)
		}
		if plumbing(p.Symbol) {
			p.Caller = r.callerName(r.callers[i], named)
		}
	}
}

func (r *recorder) callerName(stack []uint64, named map[uint64]string) string {
	for _, pc := range stack {
		name, ok := named[pc]
		if !ok {
			symbol, source := r.v.symbol(&r.mm, pc-1) // inside the call
			if name = symbol; source != "" {
				name += " (" + source + ")"
			}
			named[pc] = name
		}
		if !plumbing(name) {
			return name
		}
	}
	return ""
}

// plumbing is what does things for others.
func plumbing(symbol string) bool {
	for _, p := range []string{
		"runtime.", "internal/", "syscall.", "golang.org/x/sys/", "os.", "sync.", "sync/", "io.", "libc", "_cgo_",
	} {
		if strings.HasPrefix(symbol, p) {
			return true
		}
	}
	return symbol == ""
}

// unwind collects return addresses by frame pointers, which Go keeps. The top of the stack comes first: the small
// assembly functions around system calls and copies have no frame.
func (r *recorder) unwind() (stack []uint64) {
	const deepest = 12
	add := func(at uint64) {
		if pc, ok := r.word(at); ok {
			if m := r.mm.lookup(pc); m != nil && m.exec {
				stack = append(stack, pc)
			}
		}
	}
	add(r.v.regs.Rsp)
	for frame, n := r.v.regs.Rbp, 0; frame != 0 && n < deepest; n++ {
		add(frame + 8)
		above, ok := r.word(frame)
		if !ok || above <= frame {
			break
		}
		frame = above
	}
	return stack
}

func (r *recorder) word(at uint64) (uint64, bool) {
	var b [8]byte
	n, _ := r.v.mem.ReadAt(b[:], int64(at))
	return binary.LittleEndian.Uint64(b[:]), n == len(b)
}
