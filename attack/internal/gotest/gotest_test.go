package gotest

import (
	"slices"
	"strings"
	"testing"
)

const stream = `# a compiler says something
{"Action":"start","Package":"m/a"}
{"Action":"run","Package":"m/a","Test":"TestOne"}
{"Action":"output","Package":"m/a","Test":"TestOne","Output":"=== RUN   TestOne\n"}
{"Action":"output","Package":"m/a","Test":"TestOne","Output":"    one_test.go:9: needs root: it mounts\n"}
{"Action":"output","Package":"m/a","Test":"TestOne","Output":"--- SKIP: TestOne (0.00s)\n"}
{"Action":"skip","Package":"m/a","Test":"TestOne","Elapsed":0}
{"Action":"output","Package":"m/a","Output":"PASS\n"}
{"Action":"output","Package":"m/a","Output":"ok  \tm/a\t0.1s\n"}
{"Action":"pass","Package":"m/a","Elapsed":0.1}
{"Action":"output","Package":"m/b","Test":"TestGood","Output":"chatter\n"}
{"Action":"pass","Package":"m/b","Test":"TestGood"}
{"Action":"output","Package":"m/b","Test":"TestBad","Output":"    b_test.go:1: wrong\n"}
{"Action":"fail","Package":"m/b","Test":"TestBad"}
{"Action":"output","Package":"m/b","Test":"TestDied","Output":"panic: dead\n"}
{"Action":"output","Package":"m/b","Output":"left behind: a file\n"}
{"Action":"output","Package":"m/b","Output":"FAIL\tm/b\t0.2s\n"}
{"Action":"fail","Package":"m/b","Elapsed":0.2}
{"ImportPath":"m/c","Action":"build-output","Output":"c.go:1: no\n"}
`

func TestOutcomesFailuresAndSkipsAreKept(t *testing.T) {
	var other strings.Builder
	var got []Package
	if err := Read(strings.NewReader(stream), &other, func(p Package) { got = append(got, p) }); err != nil {
		t.Fatal(err)
	}
	if other.String() != "# a compiler says something\nc.go:1: no\n" {
		t.Errorf("other: %q", &other)
	}
	if len(got) != 2 {
		t.Fatalf("%+v", got)
	}
	a, b := got[0], got[1]
	if a.Failed || a.Said != "ok  \tm/a\t0.1s" || a.Printed != "" ||
		!slices.Equal(a.Skipped, []string{"m/a.TestOne: needs root: it mounts"}) {
		t.Errorf("%+v", a)
	}
	for _, want := range []string{"wrong", "panic: dead", "left behind: a file"} {
		if !strings.Contains(b.Printed, want) {
			t.Errorf("no %q in %q", want, b.Printed)
		}
	}
	if !b.Failed || strings.Contains(b.Printed, "chatter") || len(b.Skipped) > 0 {
		t.Errorf("%+v", b)
	}
}
