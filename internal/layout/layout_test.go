package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"
)

var define = regexp.MustCompile(`(?m)^#define (TD_[A-Z0-9_]+) (.+?)(?:\s*/\*.*)?$`)

// Every TD_ constant of the C header has a Go constant of the same value, and the other way round.
func TestConstantsAreTheSameInCAndGo(t *testing.T) {
	header, err := os.ReadFile("../../csrc/layout.h")
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "layout.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	goText := map[string]string{}
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			v := s.(*ast.ValueSpec)
			goText[strings.ToLower(v.Names[0].Name)] = text(t, v.Values[0])
		}
	}
	found := 0
	for _, m := range define.FindAllStringSubmatch(string(header), -1) {
		key := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(m[1], "TD_"), "_", ""))
		want := strings.NewReplacer("ULL", "", "U", "", "(", "", ")", "").Replace(strings.TrimSpace(m[2]))
		got, ok := goText[key]
		switch {
		case !ok:
			t.Errorf("%s has no Go constant", m[1])
		case !strings.EqualFold(got, want):
			t.Errorf("%s is %s in C, %s in Go", m[1], want, got)
		}
		delete(goText, key)
		found++
	}
	for k := range goText {
		t.Errorf("Go constant %s has no TD_ name", k)
	}
	if found < 50 {
		t.Fatalf("only %d constants found: the pattern no longer fits the header", found)
	}
}

func text(t *testing.T, e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Value
	case *ast.BinaryExpr:
		return text(t, e.X) + " " + e.Op.String() + " " + text(t, e.Y)
	}
	t.Fatalf("constant of an unexpected form: %T", e)
	return ""
}

func TestWordsUnpackToWhatWasPacked(t *testing.T) {
	for _, m := range []Member{MakeMember(1, 0), MakeMember(1000, GenMax), MakeMember(17, 12345)} {
		if !m.Valid() || MakeMember(m.Slot(), m.Gen()) != m {
			t.Errorf("member %v does not survive", m)
		}
		w := MakeWord(Freeing, m, 1<<30-1)
		if w.State() != Freeing || w.Member() != m || w.Seq() != 1<<30-1 {
			t.Errorf("word %v does not survive", w)
		}
		if f := w.Freed(); f.State() != Free || f.Seq() != 0 || f.Member() != 0 {
			t.Errorf("the last sequence number is followed by %v", f)
		}
		if h := HoldWord(m, 1<<30-1); HoldMember(h) != m || HoldSeq(h) != 1<<30-1 {
			t.Errorf("hold word %x does not survive", h)
		}
		if s := MakeSetState(SetDied, m, 1<<32-1); s.Phase() != SetDied || s.Member() != m || s.Version() != 1<<32-1 {
			t.Errorf("set state %x does not survive", s)
		}
	}
	if r := MakeRef(4095, 1<<47); r.Segment() != 4095 || r.Offset() != 1<<47 {
		t.Errorf("ref %v does not survive", r)
	}
	if w := MakeSlotWord(SlotDead, GenMax); w.State() != SlotDead || w.Gen() != GenMax || w.Died() {
		t.Errorf("slot word %x does not survive", w)
	}
}
