package trace

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-ipc/tandem/attack/internal/leftover"
)

var prefix = fmt.Sprintf("attack-trace-%d-", os.Getpid())

// TestMain runs a victim in a process that was started as one: victimVariable is "name path".
func TestMain(m *testing.M) {
	if text, ok := os.LookupEnv(victimVariable); ok {
		os.Unsetenv(victimVariable)
		name, path, _ := strings.Cut(text, " ")
		if err := victims[name](path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(leftover.Run(m.Run, prefix))
}

const victimVariable = "ATTACK_TRACE_VICTIM"

// guardTime only keeps a broken test from hanging.
const guardTime = 3 * time.Minute

func guardContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), guardTime)
	t.Cleanup(cancel)
	return ctx
}

func newTracer(t testing.TB) *Tracer {
	t.Helper()
	tr, err := NewTracer(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return tr
}

// eachWay runs a test with breakpoints, where they work, and with single steps in their place.
func eachWay(t *testing.T, test func(*testing.T)) {
	if !newTracer(t).Stepping() {
		t.Run("breakpoints", test)
	}
	t.Run("stepping", func(t *testing.T) {
		t.Setenv(breakpointsVariable, "off")
		test(t)
	})
}

// newRegion makes an empty file for a victim to map.
func newRegion(t testing.TB, size int64) string {
	t.Helper()
	f, err := os.CreateTemp("/dev/shm", prefix)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	t.Cleanup(func() { os.Remove(f.Name()) })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// clear makes the file a hole again.
func clearRegion(t testing.TB, path string) {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, st.Size()); err != nil {
		t.Fatal(err)
	}
}

func command(name, path string) Command {
	return Command{
		Path: "/proc/self/exe", Env: append(os.Environ(), victimVariable+"="+name+" "+path), Stderr: os.Stderr,
	}
}

func start(t testing.TB, tr *Tracer, name, path string) *Victim {
	t.Helper()
	v, err := tr.Start(guardContext(t), command(name, path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Kill() })
	return v
}

// record records a victim and lets it finish.
func record(t testing.TB, tr *Tracer, name, path string, o Options) *Recording {
	t.Helper()
	v := start(t, tr, name, path)
	rec, err := v.Record(guardContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Detach(); err != nil {
		t.Fatal(err)
	}
	ws, err := v.Wait(guardContext(t))
	if err != nil || ws.ExitStatus() != 0 {
		t.Fatalf("%s after its recording: %v, %v", name, describeStatus(ws), err)
	}
	return rec
}

func names(points []Point) (out []string) {
	for _, p := range points {
		out = append(out, p.Name())
	}
	return out
}

// kindAndEffect describes points without addresses and file names.
func kindAndEffect(points []Point, path string) (out []string) {
	for _, p := range points {
		out = append(out, fmt.Sprintf("%v %s", p.Kind, strings.ReplaceAll(p.Effect, filepath.Base(path), "file")))
	}
	return out
}

func contents(t testing.TB, path string, n int) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}
