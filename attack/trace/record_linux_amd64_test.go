package trace

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRecordedPointsAreExactlyTheKnownStores(t *testing.T) {
	path := newRegion(t, regionSize)
	rec := record(t, newTracer(t), "five", path, Options{})
	got := kindAndEffect(rec.Points, path)
	var want []string
	for i := range 5 {
		want = append(want, fmt.Sprintf("store [file+0x%x] 00 -> %02x", 8*i, i+1))
	}
	if !slices.Equal(got, want) {
		t.Errorf("recorded %q, want %q", got, want)
	}
	if rec.Stores != 5 || rec.Nameless != 0 || rec.SystemCalls != rec.PrivateCalls || rec.Unexplained != 0 {
		t.Errorf("counts: %+v", rec)
	}
	for i, p := range rec.Points {
		if p.Pass != i+1 || p.Addr != rec.Points[0].Addr {
			t.Errorf("store %d is not the next passage of one instruction: %v", i, p)
		}
		if !strings.Contains(p.Symbol, "glob..func") && !strings.Contains(p.Symbol, "init.func") || !strings.Contains(p.Text, "XCHG") {
			t.Errorf("not named for people: %v", p)
		}
	}
}

func TestAStoreThatChangesNothingIsNoPoint(t *testing.T) {
	path := newRegion(t, regionSize)
	rec := record(t, newTracer(t), "same", path, Options{})
	got := kindAndEffect(rec.Points, path)
	if want := []string{"store [file+0x0] 00 -> 07", "store [file+0x0] 07 -> 08"}; !slices.Equal(got, want) {
		t.Errorf("recorded %q, want %q", got, want)
	}
}

func TestRecordingTwiceFindsTheSamePoints(t *testing.T) {
	tr := newTracer(t)
	for _, victim := range []string{"five", "loop", "noise", "copy", "calls"} {
		t.Run(victim, func(t *testing.T) {
			path := newRegion(t, regionSize)
			first := record(t, tr, victim, path, Options{})
			clearRegion(t, path)
			second := record(t, tr, victim, path, Options{})
			if a, b := names(first.Points), names(second.Points); !slices.Equal(a, b) || len(a) == 0 {
				t.Errorf("first %v\nthen %v", a, b)
			}
			if n := first.Merge(second); n != 0 {
				t.Errorf("merging the second added %d points", n)
			}
		})
	}
}

// The scheduler's requests to yield come every 10 ms, every few hundred steps; 300 calls of depth 10 take some 60,000.
func TestSteppingIsNotWhatARecordingShows(t *testing.T) {
	path := newRegion(t, regionSize)
	rec := record(t, newTracer(t), "calls", path, Options{})
	if rec.Instructions < 20_000 || rec.SystemCalls > 0 {
		t.Errorf("%d instructions, %d system calls in a computation without one", rec.Instructions, rec.SystemCalls)
	}
}

func TestPrivateSystemCallsArePointsOnlyOnRequest(t *testing.T) {
	tr := newTracer(t)
	path := newRegion(t, regionSize)
	without := record(t, tr, "private", path, Options{})
	if without.PrivateCalls == 0 || len(without.Points) != 2 {
		t.Errorf("%d private calls, points %v", without.PrivateCalls, without.Points)
	}
	clearRegion(t, path)
	with := record(t, tr, "private", path, Options{PrivateCalls: true})
	if len(with.Points) != 2+with.PrivateCalls {
		t.Errorf("%d private calls, points %v", with.PrivateCalls, with.Points)
	}
	found := slices.ContainsFunc(with.Points, func(p Point) bool {
		return p.Kind == Syscall && strings.HasPrefix(p.Effect, "sched_getaffinity = ")
	})
	if !found {
		t.Errorf("no sched_getaffinity: %v", with.Points)
	}
}

func TestARepeatedStoreIntoPrivateMemoryIsOneStep(t *testing.T) {
	path := newRegion(t, regionSize)
	// mov r8, rax; lea rdi, [rsi+4096]; mov ecx, 4096; xor eax, eax; rep stosb; mov qword ptr [r8], 1
	const code = "4989c0" + "488dbe00100000" + "b900100000" + "31c0" + "f3aa" + "49c70001000000"
	rec := record(t, newTracer(t), "machine", path+" "+code, Options{})
	if rec.Instructions >= 4096 || len(rec.Points) != 1 { // it has 4096 iterations
		t.Errorf("%d instructions, points %v", rec.Instructions, rec.Points)
	}
}

func TestSystemCallsAreNamedWithResultAndCaller(t *testing.T) {
	path := newRegion(t, regionSize)
	rec := record(t, newTracer(t), "noise", path, Options{})
	i := slices.IndexFunc(rec.Points, func(p Point) bool { return strings.HasPrefix(p.Effect, "getppid = ") })
	if i < 0 {
		t.Fatalf("no getppid: %v", rec.Points)
	}
	if p := rec.Points[i]; p.Kind != Syscall || !strings.Contains(p.Caller, "trace.") {
		t.Errorf("%v", p)
	}
	if p := rec.Points[len(rec.Points)-1]; p.Kind != Store {
		t.Errorf("the last point is the last store: %v", p)
	}
}

func TestACopyIsAsManyStoresAsTheMachineMakes(t *testing.T) {
	path := newRegion(t, regionSize)
	rec := record(t, newTracer(t), "copy", path, Options{})
	if len(rec.Points) < 400/64 || rec.Stores != len(rec.Points) || rec.Unexplained != 0 {
		t.Errorf("%d points, %d stores, %d unexplained", len(rec.Points), rec.Stores, rec.Unexplained)
	}
	if got := contents(t, path, 600); !bytes.Equal(got[100:500], pattern(400)) {
		t.Error("the copy went wrong under the tracer")
	}
}

func TestAFileWithoutANameIsInvisibleUntilItIsLinked(t *testing.T) {
	path := newRegion(t, regionSize)
	os.Remove(path)
	rec := record(t, newTracer(t), "born", path, Options{})
	var got []string
	for _, e := range kindAndEffect(rec.Points, path) {
		got = append(got, strings.Split(e, " = ")[0])
	}
	want := []string{"system call mmap", "system call linkat", "store [file+0x10] 00 -> 03", "system call unlinkat"}
	if !slices.Equal(got, want) {
		t.Errorf("recorded %q, want %q", got, want)
	}
	if rec.Stores != 4 || rec.Nameless != 3 {
		t.Errorf("%d stores, %d nameless", rec.Stores, rec.Nameless)
	}
}

func TestAFileWithoutANameIsWatchedIfAnotherProcessHasMappedIt(t *testing.T) {
	path := newRegion(t, regionSize)
	tr := newTracer(t)
	v := start(t, tr, "five", path)
	_, mine, err := openWords(path) // this process is an outsider
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mine)
	os.Remove(path)
	rec, err := v.Record(guardContext(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(rec.Points) != 5 || rec.Nameless != 0 {
		t.Errorf("%d points, %d nameless", len(rec.Points), rec.Nameless)
	}
}

func TestRecordingLeavesHolesHoles(t *testing.T) {
	const size = 20 << 20
	path := newRegion(t, size)
	rec := record(t, newTracer(t), "noise", path, Options{})
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	if st.Blocks*512 > 4096 || len(rec.Points) < 4 {
		t.Errorf("%d bytes allocated for one page of data", st.Blocks*512)
	}
}

func TestStoresOfOtherThreadsAreCountedAsUnexplained(t *testing.T) {
	path := newRegion(t, regionSize)
	rec := record(t, newTracer(t), "writer", path, Options{})
	if rec.Unexplained == 0 || len(rec.UnexplainedAt) == 0 || !strings.Contains(rec.UnexplainedAt[0], "+0x320:") {
		t.Errorf("%d unexplained: %q", rec.Unexplained, rec.UnexplainedAt)
	}
	if len(rec.Points) != 2 {
		t.Errorf("points of the other thread: %v", rec.Points)
	}
}

func TestARecordingIsBounded(t *testing.T) {
	path := newRegion(t, regionSize)
	v := start(t, newTracer(t), "loop", path)
	_, err := v.Record(guardContext(t), Options{MaxInstructions: 100})
	if !errors.Is(err, ErrTooLong) {
		t.Errorf("%v", err)
	}
	requireGone(t, v.PID())
}

func TestASelectorThatMatchesNothingIsAnError(t *testing.T) {
	path := newRegion(t, regionSize)
	v := start(t, newTracer(t), "five", path)
	_, err := v.Record(guardContext(t), Options{Code: []string{"no_such_function"}})
	if !errors.Is(err, ErrNoSymbol) || !strings.Contains(err.Error(), "no_such_function") {
		t.Errorf("%v", err)
	}
}

func TestAnotherDirectoryIsNotWatched(t *testing.T) {
	path := newRegion(t, regionSize)
	rec := record(t, newTracer(t), "five", path, Options{Dir: t.TempDir()})
	if len(rec.Points) != 0 || rec.Stores != 0 {
		t.Errorf("%v", rec.Points)
	}
}

func TestTheRecordingPrintsItsCounts(t *testing.T) {
	var b strings.Builder
	r := Recording{Instructions: 10, Stores: 3, Nameless: 1, SystemCalls: 4, PrivateCalls: 2, Compared: 1, Unexplained: 5,
		Points: make([]Point, 4)}
	r.Write(&b)
	want := "10 instructions, 3 stores into shared mappings (1 nameless), 4 system calls (2 private), 4 points, " +
		"1 found by comparing, 5 changes by others, 0s"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// killAt brings a fresh victim to a point and kills it there.
func killAt(t *testing.T, tr *Tracer, name, path string, p Point) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), guardTime)
	defer cancel()
	v, err := tr.Start(ctx, command(name, path))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Kill()
	return v.RunTo(ctx, p)
}

func TestKillingAtPointKLeavesExactlyTheFirstKStores(t *testing.T) {
	eachWay(t, killingLeavesExactlyTheFirstStores)
}

func killingLeavesExactlyTheFirstStores(t *testing.T) {
	path := newRegion(t, regionSize)
	tr := newTracer(t)
	rec := record(t, tr, "five", path, Options{})
	points := append(append([]Point{AtBegin}, rec.Points...), AtEnd)
	for k, p := range points {
		clearRegion(t, path)
		if err := killAt(t, tr, "five", path, p); err != nil {
			t.Fatalf("%v: %v", p, err)
		}
		got := contents(t, path, 48)
		want := make([]byte, 48)
		for i := range min(k, 5) {
			binary.LittleEndian.PutUint64(want[8*i:], uint64(i+1))
		}
		if !bytes.Equal(got, want) {
			t.Errorf("killed at point %d, %v: file holds %x", k, p, got)
		}
	}
}

func TestAPointOfOneRecordingIsReachedInEveryOtherRun(t *testing.T) {
	eachWay(t, pointsAreReachedInEveryOtherRun)
}

func pointsAreReachedInEveryOtherRun(t *testing.T) {
	tr := newTracer(t)
	most, runs := 40, 3
	if tr.Stepping() { // some 10,000 instructions to each
		most, runs = 4, 1
	}
	for _, victim := range []string{"loop", "noise", "copy", "calls"} {
		t.Run(victim, func(t *testing.T) {
			path := newRegion(t, regionSize)
			points := record(t, tr, victim, path, Options{}).Points
			if len(points) > most { // the hundredth passage as well as the first
				var some []Point
				for i := 0; i < len(points); i += len(points) / most {
					some = append(some, points[i])
				}
				points = some
			}
			for range runs {
				for _, p := range points {
					clearRegion(t, path)
					if err := killAt(t, tr, victim, path, p); err != nil {
						t.Errorf("%v: %v", p, err)
					}
				}
			}
		})
	}
}

func TestEveryIterationOfARepeatedMoveIsAPassageOfItsOwn(t *testing.T) {
	eachWay(t, everyIterationIsAPassage)
}

func everyIterationIsAPassage(t *testing.T) {
	tr := newTracer(t)
	path := newRegion(t, regionSize)
	const code = "f348a5" // rep movsq, ten of them
	rec := record(t, tr, "machine", path+" "+code, Options{})
	if len(rec.Points) != 10 {
		t.Fatalf("points %v", rec.Points)
	}
	for k, p := range rec.Points {
		if p.Pass != k+1 || p.Addr != rec.Points[0].Addr {
			t.Errorf("iteration %d: %v", k, p)
		}
		clearRegion(t, path)
		if err := killAt(t, tr, "machine", path+" "+code, p); err != nil {
			t.Fatal(err)
		}
		got := contents(t, path, 8192)[4096:]
		want := append(pattern(80)[:8*(k+1)], make([]byte, 80-8*(k+1))...)
		if !bytes.Equal(got[:80], want) {
			t.Errorf("killed after iteration %d: %x", k+1, got[:80])
		}
	}
}

func TestALaterPassageOfARepeatedMoveIsReachedAcrossEarlierOnes(t *testing.T) {
	eachWay(t, aLaterPassageIsReached)
}

func aLaterPassageIsReached(t *testing.T) {
	tr := newTracer(t)
	path := newRegion(t, regionSize)
	// mov ebx, 5; again: mov ecx, 10; rep stosb of 0x11 at ever higher addresses; dec ebx; jnz again
	const code = "b811000000" + "bb05000000" + "b90a000000" + "f3aa" + "ffcb" + "75f5"
	rec := record(t, tr, "machine", path+" "+code, Options{})
	if len(rec.Points) != 50 {
		t.Fatalf("%d points", len(rec.Points))
	}
	for _, k := range []int{1, 10, 11, 25, 41, 50} {
		clearRegion(t, path)
		if err := killAt(t, tr, "machine", path+" "+code, rec.Points[k-1]); err != nil {
			t.Fatal(err)
		}
		if got := bytes.Count(contents(t, path, 8192), []byte{0x11}); got != k {
			t.Errorf("killed after byte %d, found %d", k, got)
		}
	}
}

func TestARunThatGoesAnotherWayIsReportedAndStandsAtItsEnd(t *testing.T) {
	eachWay(t, anotherWayIsReported)
}

func anotherWayIsReported(t *testing.T) {
	tr := newTracer(t)
	path := newRegion(t, regionSize)
	p := record(t, tr, "either", path, Options{}).Points[0]
	if err := os.WriteFile(path, []byte{1}, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, regionSize); err != nil {
		t.Fatal(err)
	}
	v := start(t, tr, "either", path)
	if err := v.RunTo(guardContext(t), p); !errors.Is(err, ErrNotReached) {
		t.Errorf("%v", err)
	}
	if got := contents(t, path, 24); got[8] != 0 || got[16] != 1 {
		t.Errorf("the victim is not at its end: %x", got)
	}
	if err := v.Detach(); err != nil {
		t.Error(err)
	}
	if ws, err := v.Wait(guardContext(t)); err != nil || ws.ExitStatus() != 0 {
		t.Errorf("%v, %v", ws, err)
	}
}

func TestPassagesOfASystemCallAreCountedByItsName(t *testing.T) { eachWay(t, passagesAreCountedByName) }

func passagesAreCountedByName(t *testing.T) {
	tr := newTracer(t)
	path := newRegion(t, regionSize)
	os.Remove(path)
	points := record(t, tr, "born", path, Options{}).Points
	i := slices.IndexFunc(points, func(p Point) bool { return p.Call == "linkat" })
	if i < 0 || points[i].Pass != 1 || points[i].Addr != points[0].Addr || !strings.Contains(points[i].Name(), ".linkat:1") {
		t.Fatalf("%v", points)
	}
	if err := killAt(t, tr, "born", path, points[i]); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, path, 24); got[0] != 1 || got[8] != 2 || got[16] != 0 {
		t.Errorf("killed after linkat, file holds %x", got)
	}
}

func TestAPassageBeyondTheLastIsNotReached(t *testing.T) {
	eachWay(t, aPassageBeyondTheLastIsNotReached)
}

func aPassageBeyondTheLastIsNotReached(t *testing.T) {
	tr := newTracer(t)
	path := newRegion(t, regionSize)
	p := record(t, tr, "five", path, Options{}).Points[4]
	p.Pass = 6
	err := killAt(t, tr, "five", path, p)
	if !errors.Is(err, ErrNotReached) || !strings.Contains(err.Error(), "passed 5 times") {
		t.Errorf("%v", err)
	}
}

func TestTwoVictimsOfOneTracerStandAtTheirOwnPoints(t *testing.T) {
	tr := newTracer(t)
	pathA, pathB := newRegion(t, regionSize), newRegion(t, regionSize)
	points := record(t, tr, "five", pathA, Options{}).Points
	clearRegion(t, pathA)
	a, b := start(t, tr, "five", pathA), start(t, tr, "five", pathB)
	if err := a.RunTo(guardContext(t), points[0]); err != nil {
		t.Fatal(err)
	}
	if err := b.RunTo(guardContext(t), points[3]); err != nil {
		t.Fatal(err)
	}
	if err := a.Kill(); err != nil {
		t.Fatal(err)
	}
	if got, other := contents(t, pathA, 40), contents(t, pathB, 40); got[0] != 1 || got[8] != 0 || other[24] != 4 || other[32] != 0 {
		t.Errorf("A's file %x, B's %x", got, other)
	}
	if err := b.RunToEnd(guardContext(t)); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, pathB, 40); got[32] != 5 {
		t.Errorf("B did not finish: %x", got)
	}
}
