package trace

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind says why an instruction is a kill point.
type Kind uint8

const (
	Begin   Kind = iota // nothing of the operation has run
	Store               // changed a shared mapping
	Syscall             // a system call
	Code                // lies in a function of which every instruction is a point
	End                 // the operation has returned
)

func (k Kind) String() string {
	switch k {
	case Begin:
		return "begin"
	case Store:
		return "store"
	case Syscall:
		return "system call"
	case Code:
		return "instruction"
	case End:
		return "end"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Point names an instruction of an operation: the victim stands right after it.
type Point struct {
	Addr uint64 // 0 for Begin and End
	Pass int    // 1 for the first time since the beginning
	Kind Kind
	Call string // of a system call its name. Go makes all from one address, so each name has passages of its own

	// For people only; replaying needs none of it.
	Symbol string // function+0x12, or begin, end
	Source string // file.go:12, if known
	Caller string // if that is the runtime or a system library: whom it works for
	Text   string // the instruction
	Effect string // "write = 5", "[toy+0x40] 00000000 -> 01000000"
}

// Trivial points: before the first instruction, and after the operation has returned.
var (
	AtBegin = Point{Kind: Begin, Symbol: "begin"}
	AtEnd   = Point{Kind: End, Symbol: "end"}
)

// Name is the part that finds the point again, in the same binary: "0x4a1b2c:3", "0x4a1b2c.linkat:1", "begin" or "end".
func (p Point) Name() string {
	switch p.Kind {
	case Begin, End:
		return p.Kind.String()
	}
	call := ""
	if p.Call != "" {
		call = "." + p.Call
	}
	return fmt.Sprintf("0x%x%s:%d", p.Addr, call, p.Pass)
}

// String describes the point on one line.
func (p Point) String() string {
	if p.Kind == Begin || p.Kind == End {
		return p.Kind.String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", p.Name(), p.Kind)
	if p.Effect != "" {
		fmt.Fprintf(&b, " %s", p.Effect)
	}
	if p.Symbol != "" {
		fmt.Fprintf(&b, " in %s", p.Symbol)
	}
	if p.Source != "" {
		fmt.Fprintf(&b, " (%s)", p.Source)
	}
	if p.Caller != "" {
		fmt.Fprintf(&b, " for %s", p.Caller)
	}
	if p.Text != "" {
		fmt.Fprintf(&b, ": %s", p.Text)
	}
	return b.String()
}

// ParsePoint reads what Name wrote.
func ParsePoint(s string) (Point, error) {
	switch s {
	case "begin":
		return AtBegin, nil
	case "end":
		return AtEnd, nil
	}
	if a, n, ok := strings.Cut(s, ":"); ok {
		a, call, named := strings.Cut(a, ".")
		addr, err1 := strconv.ParseUint(a, 0, 64)
		pass, err2 := strconv.Atoi(n)
		if _, known := systemCallNumber(call); err1 == nil && err2 == nil && addr > 0 && pass > 0 && known == named {
			p := Point{Addr: addr, Pass: pass, Kind: Code, Call: call} // a store or not: it is reached the same way
			if named {
				p.Kind = Syscall
			}
			return p, nil
		}
	}
	return Point{}, fmt.Errorf("trace: point %q is neither begin, end nor address[.call]:passage", s)
}
