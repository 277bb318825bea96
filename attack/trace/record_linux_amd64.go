package trace

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Record steps a victim that stands at its beginning to the end, and returns what it saw. The points' symbols are those
// of this victim's binary.
func (v *Victim) Record(ctx context.Context, o Options) (*Recording, error) {
	if o.Dir == "" {
		o.Dir = "/dev/shm"
	}
	if o.MaxInstructions == 0 {
		o.MaxInstructions = 20_000_000
	}
	var rec *Recording
	err := v.on(ctx, "record", func() bool { return v.where == atBegin && !v.frozen && !v.gone }, func() error {
		r, err := newRecorder(v, o)
		if err != nil {
			return err
		}
		defer r.close()
		start := time.Now()
		if err := r.run(); err != nil {
			return err
		}
		v.where = atEnd
		r.rec.Time = time.Since(start)
		r.label()
		rec = &r.rec
		return nil
	})
	return rec, err
}

type recorder struct {
	stepper
	o     Options
	rec   Recording
	mm    memoryMap
	files watchedFiles
	code  []addressRange
	pass  map[site]int

	callers [][]uint64 // return addresses on the stack at each point

	// shadow is what watched memory should hold, by the stores recorded.
	shadow snapshot
}

func newRecorder(v *Victim, o Options) (*recorder, error) {
	dir, err := filepath.EvalSymlinks(o.Dir)
	if err != nil {
		return nil, err
	}
	r := &recorder{
		stepper: newStepper(v), o: o,
		mm:    memoryMap{pid: v.pid, dir: dir},
		files: watchedFiles{pid: v.pid, open: make(map[fileID]*os.File)},
		pass:  make(map[site]int),
	}
	if err := r.refresh(); err != nil {
		return nil, err
	}
	if len(o.Code) > 0 {
		im, err := v.t.image(&r.mm, v.pid)
		if err != nil {
			return nil, err
		}
		if r.code, err = im.find(o.Code); err != nil {
			return nil, err
		}
	}
	r.shadow, err = r.files.snapshot(&r.mm)
	return r, err
}

func (r *recorder) close() { r.files.close() }

func (r *recorder) refresh() error {
	if err := r.mm.refresh(); err != nil {
		return err
	}
	return r.files.refresh(&r.mm)
}

func (r *recorder) run() error {
	for r.v.regs.Rip != r.v.end {
		if r.rec.Instructions >= r.o.MaxInstructions {
			return fmt.Errorf("%w of %d", ErrTooLong, r.o.MaxInstructions)
		}
		in := r.next()
		var err error
		switch {
		case in.repeats && r.private(in):
			at, n := site{addr: r.v.regs.Rip}, r.v.iterations(in)
			err = r.v.finishRepeat(in)
			r.rec.Instructions++
			r.pass[at] += n
		case in.syscall:
			err = r.systemCall(in)
		case in.unknown:
			err = r.compare(in)
		default:
			err = r.plain(in)
		}
		if err != nil {
			return err
		}
	}
	return r.audit()
}

// site is what passages are counted of.
type site struct {
	addr uint64
	call uint64 // of a system call its number + 1
}

// step counts, and says whether the instruction was executed.
func (r *recorder) step(in *instruction) (bool, error) {
	at := site{addr: r.v.regs.Rip}
	if in.syscall {
		at.call = r.v.regs.Rax + 1
	}
	done, err := r.stepper.step(in)
	if done {
		r.rec.Instructions++
		r.pass[at]++
	}
	return done, err
}

func (r *recorder) point(at site, k Kind, effect string) {
	p := Point{Addr: at.addr, Pass: r.pass[at], Kind: k, Effect: effect}
	if at.call != 0 {
		p.Call = systemCallName(at.call - 1)
	}
	r.rec.Points = append(r.rec.Points, p)
	r.callers = append(r.callers, r.unwind())
}

// plain steps over an instruction whose memory operand, if any, is known.
func (r *recorder) plain(in *instruction) error {
	pc := r.v.regs.Rip
	var watch []touched
	if in.mem || in.implicit != 0 {
		var err error
		if watch, err = r.before(in); err != nil {
			return err
		}
	}
	done, err := r.step(in)
	if err != nil || !done {
		return err
	}
	visible, effect := false, ""
	changed := false
	for _, w := range watch {
		after := r.files.read(r.v, w.m, w.addr, len(w.was))
		from, to := difference(w.was, after)
		if from == to {
			continue
		}
		changed = true
		off := w.m.offset + w.addr - w.m.start
		if w.m.see == watched {
			if !visible { // more than one only of an operand with more than one possible place
				effect = r.effect(w.m, off+uint64(from), w.was[from:to], after[from:to])
			}
			visible = true
			r.shadow.apply(w.m.file, off, after)
		}
	}
	if changed {
		r.stored(visible)
	}
	switch {
	case visible:
		r.point(site{addr: pc}, Store, effect)
	case inRanges(r.code, pc):
		r.point(site{addr: pc}, Code, "")
	}
	return nil
}

func (r *recorder) stored(visible bool) {
	r.rec.Stores++
	if !visible {
		r.rec.Nameless++
	}
}

// touched is a piece of a watched mapping that the next instruction may change.
type touched struct {
	m    *mapping
	addr uint64
	was  []byte
}

func (r *recorder) before(in *instruction) (watch []touched, err error) {
	var buffer [7]span
	for _, s := range in.spans(buffer[:0], r.v.registers()) {
		for s.size > 0 {
			m := r.mm.lookup(s.addr)
			if m == nil && len(watch) == 0 && !in.disp8N && s.addr < 1<<47 {
				// Mapped meanwhile, by another thread.
				if err := r.refresh(); err != nil {
					return nil, err
				}
				m = r.mm.lookup(s.addr)
			}
			if m == nil {
				break
			}
			n := s.size
			if left := m.end - s.addr; uint64(n) > left {
				n = int(left)
			}
			if m.see != unwatched {
				watch = append(watch, touched{m, s.addr, r.files.read(r.v, m, s.addr, n)})
			}
			s.addr += uint64(n)
			s.size -= n
		}
	}
	return watch, nil
}

// difference gives the range in which a and b, of one length, differ.
func difference(a, b []byte) (from, to int) {
	to = len(a)
	for from < to && a[from] == b[from] {
		from++
	}
	for to > from && a[to-1] == b[to-1] {
		to--
	}
	return from, to
}

func (r *recorder) effect(m *mapping, off uint64, was, is []byte) string {
	name, ok := r.mm.names[m.file]
	if !ok {
		name = strings.TrimSuffix(m.path, " (deleted)")
	}
	dots := ""
	if len(was) > 8 {
		was, is, dots = was[:8], is[:8], "…"
	}
	return fmt.Sprintf("[%s+0x%x] %x%s -> %x%s", filepath.Base(name), off, was, dots, is, dots)
}

// compare steps over an instruction whose operand is not known, and compares everything.
func (r *recorder) compare(in *instruction) error {
	pc := r.v.regs.Rip
	was, err := r.files.snapshot(&r.mm)
	if err != nil {
		return err
	}
	done, err := r.step(in)
	if err != nil || !done {
		return err
	}
	r.rec.Compared++
	is, err := r.files.snapshot(&r.mm)
	if err != nil {
		return err
	}
	switch places := was.differences(is); {
	case len(places) > 0:
		r.stored(true)
		p := places[0]
		r.point(site{addr: pc}, Store, fmt.Sprintf("[%s+0x%x] and %d more words", filepath.Base(r.mm.names[p.file]), p.offset, len(places)-1))
		for _, p := range places {
			r.shadow.apply(p.file, p.offset, is.word(p))
		}
	case is.blind:
		r.point(site{addr: pc}, Store, "perhaps: a watched file cannot be read")
	case inRanges(r.code, pc):
		r.point(site{addr: pc}, Code, "")
	}
	return nil
}

func (r *recorder) systemCall(in *instruction) error {
	at := site{r.v.regs.Rip, r.v.regs.Rax + 1}
	name := systemCallName(r.v.regs.Rax)
	g := &r.v.regs
	private := r.mm.privateCall(name, [6]uint64{g.Rdi, g.Rsi, g.Rdx, g.R10, g.R8, g.R9})
	if !private {
		if err := r.audit(); err != nil {
			return err
		}
	}
	done, err := r.step(in)
	if err != nil || !done {
		return err
	}
	r.rec.SystemCalls++
	if private {
		r.rec.PrivateCalls++
	}
	result := int64(r.v.regs.Rax)
	if changesMaps[name] {
		if err := r.refresh(); err != nil {
			return err
		}
	}
	if !private || r.o.PrivateCalls {
		effect := fmt.Sprintf("%s = %d", name, result)
		if result < 0 && result > -4096 {
			effect = fmt.Sprintf("%s = %s", name, unix.ErrnoName(unix.Errno(-result)))
		} else if result > 1<<32 {
			effect = fmt.Sprintf("%s = 0x%x", name, result)
		}
		r.point(at, Syscall, effect)
	} else if inRanges(r.code, at.addr) {
		r.point(at, Code, "")
	}
	if !private {
		r.shadow, err = r.files.snapshot(&r.mm)
	}
	return err
}

// audit counts words that are not what the recorded stores made of them.
func (r *recorder) audit() error {
	is, err := r.files.snapshot(&r.mm)
	if err != nil {
		return err
	}
	places := r.shadow.differences(is)
	r.rec.Unexplained += len(places)
	for _, p := range places {
		if len(r.rec.UnexplainedAt) == 8 {
			break
		}
		r.rec.UnexplainedAt = append(r.rec.UnexplainedAt,
			fmt.Sprintf("%s+0x%x: %x -> %x", filepath.Base(r.mm.names[p.file]), p.offset, r.shadow.word(p), is.word(p)))
	}
	r.shadow = is
	return nil
}
