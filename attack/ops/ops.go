// Package ops says what is attacked: the operations of Tandem, what must hold after a kill at each of their points, what
// others must still be able to do while the victim stands there for good, and which changes to the code must be caught.
//
// # Concurrency
//
// Each role of an operation runs in a process of its own; see package sweep.
//
// # Crash behaviour
//
// That is the subject.
package ops

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tandem-ipc/tandem/attack/sweep"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/shm"
)

// Suite is everything that is attacked.
func Suite() *sweep.Suite {
	// A tracker would remove what is to be looked at; operations that it belongs to turn it on.
	os.Setenv(shm.EnvTracker, "off")
	s := &sweep.Suite{DirVariable: shm.EnvDir}
	for _, ops := range [][]sweep.Op{spaceOps(), trackerOps(), keepOps(), heapOps(), ringOps(), connOps(), parkedOps()} {
		s.Ops = append(s.Ops, ops...)
	}
	for i := range s.Ops {
		s.Ops[i].Limit = hang
	}
	s.Pairs = pairs()
	s.Mutants = mutants()
	return s
}

// hang is when a survivor is taken for hanging. It is long, because processes of a sweep starve on a busy machine.
const hang = 15 * time.Second

// name is the Space that an operation works on. Each trial has a directory of its own, so one name does.
const name = "world"

// notes are what World tells the other roles, as text in Scratch.
type notes struct {
	Used    int64 // bytes in use before the operation
	Objects int
	Members int      // who is attached before the victim is: World, and its helpers
	Handles []string // of objects
	Ref     uint64   // of a block
}

func (n notes) write(w *sweep.World) {
	b, err := json.Marshal(n)
	if err != nil {
		panic(err) // numbers and strings
	}
	w.Scratch = string(b)
}

func read(env sweep.Env) (n notes, err error) {
	err = json.Unmarshal([]byte(env.Scratch), &n)
	return n, err
}

// attach opens the Space that World has made.
func attach() (*shm.Space, error) { return shm.OpenSpace(name, shm.Attach()) }

// note takes the state of the Space as what must be there afterwards.
func note(w *sweep.World, sp *shm.Space, n notes) error {
	st, err := sp.Stats()
	if err != nil {
		return err
	}
	n.Used, n.Objects, n.Members = st.Used, st.Objects, len(st.Members)
	n.write(w)
	return nil
}

// clean checks that nothing of the dead is left in the Space: no member, block, object or file. more is what the caller has
// there itself.
func clean(sp *shm.Space, n notes, more int64) error {
	if _, err := sp.Settle(); err != nil {
		return err
	}
	st, err := sp.Stats()
	if err != nil {
		return err
	}
	var bad []error
	if want := n.Members + 1; len(st.Members) != want {
		bad = append(bad, fmt.Errorf("%d members, want %d: %+v", len(st.Members), want, st.Members))
	}
	if st.Used != n.Used+more {
		bad = append(bad, fmt.Errorf("%d bytes in use, want %d", st.Used, n.Used+more))
	}
	if st.Objects != n.Objects {
		bad = append(bad, fmt.Errorf("%d objects, want %d", st.Objects, n.Objects))
	}
	if grown := count(".g."); grown != st.Segments-1 {
		bad = append(bad, fmt.Errorf("%d files of grown segments, the Space knows %d", grown, st.Segments-1))
	}
	if err := sp.Check(); err != nil {
		bad = append(bad, err)
	}
	switch have, err := inMemory("."); {
	case err != nil:
		bad = append(bad, err)
	case have < st.Size-st.Returned:
		bad = append(bad, fmt.Errorf("%d bytes in memory, of %d reserved and %d given back", have, st.Size, st.Returned))
	}
	if born := count(".t."); born != 0 {
		bad = append(bad, fmt.Errorf("%d files that were never born", born))
	}
	return errors.Join(bad...)
}

// count counts the files of a kind.
func count(kind string) (n int) {
	all, _ := os.ReadDir(os.Getenv(shm.EnvDir))
	for _, e := range all {
		if strings.Contains(e.Name(), kind) {
			n++
		}
	}
	return n
}

// inMemory is what the files of a kind have of the file system.
func inMemory(kind string) (total int64, err error) {
	dir := os.Getenv(shm.EnvDir)
	all, err := os.ReadDir(dir)
	for _, e := range all {
		if strings.Contains(e.Name(), kind) {
			n, serr := memoryOf(filepath.Join(dir, e.Name()))
			total, err = total+n, errors.Join(err, serr)
		}
	}
	return total, err
}

// busy makes sure that a Space works: it allocates, makes objects, and gives back.
func busy(sp *shm.Space) error {
	for range 3 {
		o, err := sp.NewObject(spec(5000))
		if err != nil {
			return err
		}
		for _, size := range []int64{40, 3000, 70_000} {
			b, err := o.NewPart(size)
			if err != nil {
				return err
			}
			for i, c := range b.Bytes {
				if c != 0 {
					return fmt.Errorf("byte %d of a new block is %#x", i, c)
				}
			}
			fill(b.Bytes, 0x5a)
			o.Discard(b)
		}
		if err := o.Close(); err != nil {
			return err
		}
	}
	return nil
}

func fill(b []byte, c byte) {
	for i := range b {
		b[i] = c
	}
}

// spec is an object with one set and some data.
func spec(data int64) shm.Spec {
	return shm.Spec{Kind: layout.KindProcess, Header: layout.SizeProcess, Sets: 1, Data: data}
}

// squat takes blocks and leaves them with a living object, full of a pattern: memory that somebody else may wrongly believe
// to be his. The object's data, from 8 on, says which.
func squat(o *shm.Object) error {
	for i := range squats {
		b, err := o.NewPart([]int64{40, 1500, 9000, 30_000}[i%4])
		if err != nil {
			return err
		}
		fill(b.Bytes, byte(i+1))
		o.HandOver(b, 0)
		binary.LittleEndian.PutUint64(o.Data[8+8*i:], uint64(b.Ref))
	}
	return nil
}

const squats = 40

// undisturbed checks what squat has left, and tells how much memory it is. Without a squatter there is nothing.
func undisturbed(o *shm.Object) (int64, error) {
	total := int64(0)
	for i := range squats {
		r := shm.Ref(binary.LittleEndian.Uint64(o.Data[8+8*i:]))
		if r == 0 {
			break
		}
		b, err := o.Part(r, 0)
		if err != nil {
			return 0, fmt.Errorf("block %d: %w", i, err)
		}
		if bytes.Count(b, []byte{byte(i + 1)}) != len(b) {
			return 0, fmt.Errorf("block %d has two owners", i)
		}
		total += int64(len(b))
	}
	return total, nil
}

// leave closes what a process has; what is left then is a leak.
func leave(err error) error { return errors.Join(err, shm.Exit()) }

// handle reads one of World's Handles.
func handle(n notes, i int) (h shm.Handle, err error) {
	err = h.UnmarshalText([]byte(n.Handles[i]))
	return h, err
}

// quiet turns off what would do the operation's work on another thread, or add work of another kind.
func quiet() {
	os.Setenv("TANDEM_DISABLE", "poller")
	os.Setenv(shm.EnvSweep, "off")
}
