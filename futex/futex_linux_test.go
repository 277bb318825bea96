package futex

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/internal/policy"
)

const hang = 20 * time.Second // a guard against hanging, never a measure

func TestWaitReturnsAtOnceWhenTheWordHasChanged(t *testing.T) {
	var w atomic.Uint32
	w.Store(7)
	if r, err := Wait(&w, 6, time.Now().Add(hang)); r != Changed || err != nil {
		t.Fatalf("got %v, %v", r, err)
	}
	if r, err := WaitAny([]Word{{&w, 7}, {new(atomic.Uint32), 1}}, time.Now().Add(hang)); r != Changed || err != nil {
		t.Fatalf("any: got %v, %v", r, err)
	}
}

func TestWaitEndsAtItsDeadlineAndNeverLaterThanMaxSleep(t *testing.T) {
	var w, x atomic.Uint32
	for name, wait := range map[string]func(time.Time) (Result, error){
		"one word": func(d time.Time) (Result, error) { return Wait(&w, 0, d) },
		"two":      func(d time.Time) (Result, error) { return WaitAny([]Word{{&w, 0}, {&x, 0}}, d) },
	} {
		for _, c := range []struct {
			deadline time.Duration
			least    time.Duration
		}{{-time.Second, 0}, {30 * time.Millisecond, 30 * time.Millisecond}, {time.Hour, MaxSleep}} {
			start := time.Now()
			for r := Woken; r != TimedOut; {
				var err error
				if r, err = wait(start.Add(c.deadline)); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(start); took < c.least {
				t.Errorf("%s: a deadline of %v passed after %v", name, c.deadline, took)
			}
		}
	}
}

func TestWakeTellsHowManySlept(t *testing.T) {
	var w atomic.Uint32
	var up sync.WaitGroup
	const n = 3
	for range n {
		up.Go(func() {
			for w.Load() == 0 {
				if _, err := Wait(&w, 0, time.Time{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	// Threads enter the kernel in their own time: count sleepers by waking them without changing the word.
	for woken := 0; woken < n; {
		k, err := Wake(&w, n)
		if err != nil {
			t.Fatal(err)
		}
		woken += k
		runtime.Gosched()
	}
	w.Store(1)
	if _, err := Wake(&w, n); err != nil {
		t.Fatal(err)
	}
	up.Wait()
}

func TestWaitAnyWakesByAnyWord(t *testing.T) {
	var words [5]atomic.Uint32
	list := make([]Word, len(words))
	for i := range words {
		list[i] = Word{&words[i], 0}
	}
	for i := range words {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for words[i].Load() == 0 {
				if _, err := WaitAny(list, time.Time{}); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		words[i].Store(1)
		for up := false; !up; {
			if _, err := Wake(&words[i], 1); err != nil {
				t.Fatal(err)
			}
			select {
			case <-done:
				up = true
			default:
				runtime.Gosched()
			}
		}
		words[i].Store(0)
	}
	if _, err := WaitAny(nil, time.Time{}); err == nil {
		t.Error("no words, no error")
	}
	if _, err := WaitAny(make([]Word, 129), time.Time{}); err == nil {
		t.Error("129 words, no error")
	}
}

// flag is a condition on one word of its own.
type flag struct {
	set      atomic.Bool
	stop     atomic.Pointer[error]
	word     atomic.Uint32
	rechecks atomic.Int32
}

func (f *flag) Ready() bool { return f.set.Load() }
func (f *flag) Recheck()    { f.rechecks.Add(1) }
func (f *flag) Stop() error {
	if p := f.stop.Load(); p != nil {
		return *p
	}
	return nil
}

func (f *flag) sleeping() bool { return f.word.Load()&layout.WaitSleeps != 0 }

func await(ctx context.Context, f *flag, m Mode) chan error {
	done := make(chan error, 1)
	go func() { done <- (&Waiter{Mode: m}).Await(ctx, &f.word, f) }()
	return done
}

func mustEnd(t *testing.T, done chan error, want error) {
	t.Helper()
	select {
	case err := <-done:
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Fatalf("got %v, want %v", err, want)
		}
	case <-time.After(hang):
		t.Fatal("still waiting")
	}
}

func TestAwaitEndsOnItsConditionItsContextAndItsOwnersWord(t *testing.T) {
	boom := errors.New("closed")
	for _, m := range []Mode{Auto, Block, Spin} {
		for _, asleep := range []bool{false, true} {
			if asleep && m == Spin {
				continue
			}
			until := func(f *flag) {
				for asleep && !f.sleeping() {
					runtime.Gosched()
				}
			}
			t.Run(m.String(), func(t *testing.T) {
				f := &flag{}
				done := await(t.Context(), f, m)
				until(f)
				f.set.Store(true)
				Rouse(&f.word, nil)
				mustEnd(t, done, nil)

				f = &flag{}
				ctx, cancel := context.WithCancel(t.Context())
				done = await(ctx, f, m)
				until(f)
				cancel()
				mustEnd(t, done, context.Canceled)

				f = &flag{}
				done = await(t.Context(), f, m)
				until(f)
				f.stop.Store(&boom)
				Rouse(&f.word, nil)
				mustEnd(t, done, boom)
				if f.sleeping() {
					t.Error("the flag is still up")
				}
			})
		}
	}
}

func TestACancelledContextEndsASleepLongBeforeTheNextLook(t *testing.T) {
	// 200 sleeps that would each last 20 ms or more if the cancellation were not noticed: under 4 s in all, by far.
	start := time.Now()
	for range 200 {
		f := &flag{}
		ctx, cancel := context.WithCancel(t.Context())
		done := await(ctx, f, Block)
		for !f.sleeping() {
			runtime.Gosched()
		}
		cancel()
		mustEnd(t, done, context.Canceled)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Fatalf("200 cancellations took %v: they were found by the next look, not by the wake-up", took)
	}
}

func TestTheSameContextIsRegisteredOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var c canceller
	var word, other atomic.Uint32
	c.watch(ctx, &word)
	first := c.registered
	c.watch(ctx, &word)
	if c.registered != first {
		t.Error("the same context was registered twice")
	}
	c.watch(ctx, &other)
	if c.registered == first || !first.over {
		t.Error("another word needs another registration, and the old one must end")
	}
	c.watch(context.Background(), &other)
	if c.registered != nil {
		t.Error("a context that never ends needs no registration")
	}
}

func TestALostWakeUpCostsTimeOnly(t *testing.T) {
	f := &flag{}
	done := await(t.Context(), f, Block)
	for !f.sleeping() {
		runtime.Gosched()
	}
	f.set.Store(true) // and nobody wakes: the waker was killed
	mustEnd(t, done, nil)
	f = &flag{}
	done = await(t.Context(), f, Block)
	for f.rechecks.Load() < 3 { // 20 + 40 + 80 ms
		runtime.Gosched()
	}
	f.set.Store(true)
	mustEnd(t, done, nil)
}

// Producer and consumer alternate; a lost wake-up shows as a recheck.
func TestNoWakeUpIsLost(t *testing.T) {
	var turn atomic.Uint32
	type side struct {
		flag
		w    Waiter
		mine uint32
	}
	ready := func(s *side) *turnIs { return &turnIs{turn: &turn, mine: s.mine} }
	const rounds = 3000
	a, b := &side{mine: 0}, &side{mine: 1}
	a.w.Mode, b.w.Mode = Block, Block
	var lost atomic.Int32
	play := func(me, peer *side) {
		c := ready(me)
		for range rounds {
			if err := me.w.Await(t.Context(), &me.word, c); err != nil {
				t.Error(err)
				return
			}
			turn.Store(peer.mine)
			Rouse(&peer.word, nil)
		}
		lost.Add(c.lost)
	}
	var wg sync.WaitGroup
	wg.Go(func() { play(a, b) })
	wg.Go(func() { play(b, a) })
	wg.Wait()
	// A machine that stops for 20 ms looks the same as a lost wake-up; thousands of rounds do not.
	if n := lost.Load(); n > rounds/100 {
		t.Fatalf("%d of %d wake-ups were found by the next look", n, 2*rounds)
	}
}

type turnIs struct {
	turn *atomic.Uint32
	mine uint32
	lost int32
}

func (c *turnIs) Ready() bool { return c.turn.Load() == c.mine }
func (c *turnIs) Stop() error { return nil }
func (c *turnIs) Recheck() {
	if c.Ready() {
		c.lost++
	}
}

func TestRelaxIsWithdrawnByTheNextSleep(t *testing.T) {
	f := &flag{}
	Relax(&f.word)
	done := await(t.Context(), f, Block)
	for !f.sleeping() {
		runtime.Gosched()
	}
	if f.word.Load()&layout.WaitRelaxed != 0 {
		t.Error("asleep, and publishers are still told that they need no fence")
	}
	f.set.Store(true)
	Rouse(&f.word, nil)
	mustEnd(t, done, nil)
}

func TestAWaiterThatPollsInVainPollsRarely(t *testing.T) {
	if worthPolling(true) == 0 {
		t.Log("one processor: nothing polls")
		return
	}
	var w Waiter
	full := 0
	const waits = 1000
	for range waits {
		if w.limit() > 0 {
			full++
			w.failed++
		}
	}
	if full > waits/20 {
		t.Fatalf("%d of %d waits polled", full, waits)
	}
	w.learn()
	w.skip = 0
	if w.limit() == 0 {
		t.Fatal("after a success it does not poll")
	}
}

func TestASleeperUsesNoProcessor(t *testing.T) {
	f := &flag{}
	done := await(t.Context(), f, Block)
	for f.rechecks.Load() < 2 {
		runtime.Gosched()
	}
	before := cpu(t)
	time.Sleep(500 * time.Millisecond) // the time that is measured
	used := cpu(t) - before
	f.set.Store(true)
	Rouse(&f.word, nil)
	mustEnd(t, done, nil)
	if used > 50*time.Millisecond {
		t.Fatalf("half a second of sleep used %v", used)
	}
}

func cpu(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestModesHaveNames(t *testing.T) {
	for _, m := range []Mode{Auto, Block, Spin} {
		if got, err := ParseMode(m.String()); err != nil || got != m {
			t.Errorf("%v: %v, %v", m, got, err)
		}
	}
	if _, err := ParseMode("fast"); err == nil {
		t.Error("a mode called fast was accepted")
	}
}

func TestEverythingWorksWithoutOptionalKernelFeatures(t *testing.T) {
	if os.Getenv("TANDEM_DISABLE") != "" {
		return // this is the inner run
	}
	cmd := exec.Command(os.Args[0], "-test.run=WaitAny|Wait|Await|WakeUp|Relax", "-test.count=1")
	cmd.Env = append(os.Environ(), "TANDEM_DISABLE=waitv,membarrier")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func BenchmarkSleepAndWake(b *testing.B) {
	var ball atomic.Uint32
	go func() {
		for i := uint32(0); ; i += 2 {
			for ball.Load() != i+1 {
				if ball.Load() == 1<<31 {
					return
				}
				Wait(&ball, i, time.Time{})
			}
			ball.Store(i + 2)
			Wake(&ball, 1)
		}
	}()
	for i := uint32(0); b.Loop(); i += 2 {
		ball.Store(i + 1)
		Wake(&ball, 1)
		for ball.Load() != i+2 {
			Wait(&ball, i+1, time.Time{})
		}
	}
	ball.Store(1 << 31)
	Wake(&ball, 1)
}

type neverReady struct{}

func (neverReady) Ready() bool { return false }
func (neverReady) Stop() error { return nil }
func (neverReady) Recheck()    {}

// On a locked thread yielding costs two switches between threads: it is done now and then only.
func TestALockedThreadSeldomYields(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var y yielder
	yields := 0
	for range 1000 {
		if y.skip == 0 {
			yields++
		}
		if _, ready := y.do(neverReady{}); ready {
			t.Fatal("ready")
		}
	}
	if yields > 100 {
		t.Fatalf("%d yields before 1000 sleeps", yields)
	}
}

func TestOnlySoManyPollAtOnce(t *testing.T) {
	if worthPolling(true) == 0 {
		t.Log("one processor: nothing polls")
		return
	}
	Calibrate() // from here on the policy stays
	defer fullHouse(t)()
	var w Waiter
	if f := new(flag); w.poll(t.Context(), f) || w.failed != 0 {
		t.Fatal("it polled, though as many as may were polling")
	}
	givePoll()
	if f := new(flag); w.poll(t.Context(), f) || w.failed != 1 {
		t.Fatal("it did not poll, though a place was free")
	}
	if !takePoll() {
		t.Fatal("it kept its place")
	}
}

// fullHouse takes every place among the pollers, until undo.
func fullHouse(t *testing.T) (undo func()) {
	t.Helper()
	taken, want := 0, policy.Current().Spinners.Value
	for ; taken <= want && takePoll(); taken++ {
	}
	if taken != want {
		t.Fatalf("%d may poll at once, want %d", taken, want)
	}
	return func() {
		for range taken {
			givePoll()
		}
	}
}
