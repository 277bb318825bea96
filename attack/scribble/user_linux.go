package scribble

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tandem-ipc/tandem/pipe"
	"github.com/tandem-ipc/tandem/process"
	"github.com/tandem-ipc/tandem/shm"
)

// A user is a process that uses every public operation, again and again, on a named Space that it shares with another user,
// and on its private one, while somebody scribbles into both. It says on standard output when it is ready, and at the end
// what it has done; what must not happen makes it say so and end with exitViolation.

const (
	roleVariable  = "TANDEM_SCRIBBLE_USER"
	exitViolation = 9
)

type userBrief struct {
	Space  string
	Side   int // which end of the connections; 0 makes them
	Seed   uint64
	Strict bool // nobody scribbles: errors are violations
}

const (
	workers   = 3
	opTime    = 20 * time.Millisecond // what an operation's context gives it
	hang      = 20 * time.Second      // when it is taken for hanging
	heapLimit = 256 << 20             // bytes of Go's memory
	idleFor   = 300 * time.Millisecond
	idleCPU   = idleFor / 3
)

type tick struct {
	Seq  uint64
	Fill [7]uint64
}

type ends struct {
	ticks *pipe.Conn[tick]
	texts *pipe.Conn[[]byte]
}

type user struct {
	userBrief
	sp     *shm.Space
	mu     sync.Mutex
	end    ends // replaced by the operation "conn/again"
	second *shm.Space

	what  [workers]atomic.Pointer[op]
	since [workers]atomic.Int64

	count struct {
		sync.Mutex
		Done, Failed map[string]int
	}
}

var echo = process.DefineResult("scribble.echo", func(ctx context.Context, c *pipe.Conn[tick]) (uint64, error) {
	t, err := c.Recv(ctx)
	return t.Seq, errors.Join(err, c.Close())
})

// use is the program.
func use(ctx context.Context) error {
	u := &user{}
	if err := json.Unmarshal([]byte(os.Getenv(roleVariable)), &u.userBrief); err != nil {
		return err
	}
	os.Unsetenv(roleVariable)
	u.count.Done, u.count.Failed = map[string]int{}, map[string]int{}
	if err := u.begin(ctx); err != nil {
		return err
	}
	in := bufio.NewReader(os.Stdin)
	fmt.Println("ready")
	if _, err := in.ReadString('\n'); err != nil { // the other one is ready, too
		return err
	}
	work, stop := context.WithCancel(ctx)
	go u.guard()
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() { u.work(work, i) })
	}
	_, err := in.ReadString('\n')
	stop()
	if err != nil {
		os.Exit(0) // the controller is gone
	}
	wg.Wait()
	u.idle()
	u.leave()
	u.count.Lock()
	defer u.count.Unlock()
	b, err := json.Marshal(map[string]map[string]int{"done": u.count.Done, "failed": u.count.Failed})
	fmt.Printf("%s\n", b)
	return err
}

// begin makes or finds what the users share.
func (u *user) begin(ctx context.Context) (err error) {
	if u.sp, err = shm.OpenSpace(u.Space, shm.Limit(64<<20)); err != nil {
		return err
	}
	if u.second, err = shm.OpenSpace(fmt.Sprintf("%s-%d", u.Space, u.Side)); err != nil {
		return err
	}
	if u.Side == 0 {
		a, b, err := pipe.New[tick](pipe.In(u.sp), pipe.Capacity(4096))
		if err != nil {
			return err
		}
		c, d, err := pipe.New[[]byte](pipe.In(u.sp), pipe.Capacity(16384))
		if err != nil {
			return err
		}
		u.end = ends{a, c}
		return errors.Join(u.sp.Bind("ticks.0", a.Handle()), u.sp.Bind("texts.0", c.Handle()),
			u.sp.Bind("ticks.1", b.Handle()), u.sp.Bind("texts.1", d.Handle()))
	}
	u.end, err = u.open()
	return err
}

// open finds this user's ends by their names.
func (u *user) open() (e ends, err error) {
	h, err := u.sp.Lookup(fmt.Sprintf("ticks.%d", u.Side))
	if err != nil {
		return e, err
	}
	if e.ticks, err = pipe.Open[tick](h); err != nil {
		return e, err
	}
	if h, err = u.sp.Lookup(fmt.Sprintf("texts.%d", u.Side)); err != nil {
		return e, err
	}
	e.texts, err = pipe.Open[[]byte](h)
	return e, err
}

// ends are those in use now. A connection that could not be opened again is an empty one.
func (u *user) ends() ends {
	u.mu.Lock()
	defer u.mu.Unlock()
	e := u.end
	if e.ticks == nil {
		e.ticks = new(pipe.Conn[tick])
	}
	if e.texts == nil {
		e.texts = new(pipe.Conn[[]byte])
	}
	return e
}

func (u *user) work(ctx context.Context, i int) {
	r := rand.New(rand.NewPCG(u.Seed, uint64(i)))
	total := 0
	for _, o := range operations {
		total += o.weight
	}
	for ctx.Err() == nil {
		k := r.IntN(total)
		o := &operations[slices.IndexFunc(operations, func(o op) bool { k -= o.weight; return k < 0 })]
		u.since[i].Store(time.Now().UnixNano())
		u.what[i].Store(o)
		brief, cancel := context.WithTimeout(context.Background(), opTime)
		err := o.run(brief, u, r)
		cancel()
		u.what[i].Store(nil)
		u.note(o.name, err)
	}
}

// note counts, and judges where nobody scribbles.
func (u *user) note(name string, err error) {
	u.count.Lock()
	defer u.count.Unlock()
	u.count.Done[name]++
	if err == nil {
		return
	}
	u.count.Failed[name]++
	if u.Strict && !expected(err) {
		violation("%s failed, though nobody has scribbled: %v", name, err)
	}
}

// expected are errors that undamaged memory gives, too.
func expected(err error) bool {
	for _, e := range []error{context.DeadlineExceeded, pipe.ErrEmpty, pipe.ErrFull, pipe.ErrClosed} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func violation(format string, args ...any) {
	fmt.Println("violation", strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\x00"))
	os.Exit(exitViolation)
}

// guard sees that operations end, and that they do not take all memory.
func (u *user) guard() {
	for ; ; time.Sleep(50 * time.Millisecond) {
		for i := range workers {
			if o := u.what[i].Load(); o != nil && time.Now().UnixNano()-u.since[i].Load() > int64(hang) {
				stacks := make([]byte, 1<<20)
				violation("%s hangs: not finished after %v; stacks:\n%s", o.name, hang, stacks[:runtime.Stack(stacks, true)])
			}
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if m.HeapAlloc > heapLimit {
			violation("wild allocation: %d MiB on the heap; operations under way: %v", m.HeapAlloc>>20, u.doing())
		}
	}
}

func (u *user) doing() (names []string) {
	for i := range workers {
		if o := u.what[i].Load(); o != nil {
			names = append(names, o.name)
		}
	}
	return names
}

// idle sees that nothing in the background turns in circles once everybody has come to rest.
func (u *user) idle() {
	before := used()
	time.Sleep(idleFor)
	if cpu := used() - before; cpu > idleCPU {
		stacks := make([]byte, 1<<20)
		violation("runaway: %v of processor time in %v of idling; stacks:\n%s", cpu, idleFor, stacks[:runtime.Stack(stacks, true)])
	}
}

// used is this process's processor time.
func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// leave leaves every Space, which is an operation like the others.
func (u *user) leave() {
	o := &op{name: "exit"}
	u.since[0].Store(time.Now().UnixNano())
	u.what[0].Store(o)
	u.note(o.name, shm.Exit())
	u.what[0].Store(nil)
}
