package ops

import "github.com/tandem-ipc/tandem/attack/sweep"

// mutants are changes to the code that the sweep must catch: it would be blind otherwise.
func mutants() []sweep.Mutant {
	return []sweep.Mutant{
		{
			Name: "spsc: the header before the payload",
			File: "ring/producer.go",
			Old: `	if n == 64 {
		move64(p.at(off+layout.RecHeader), pointer(msg))
	} else {
		move(p.at(off+layout.RecHeader), pointer(msg), n)
	}
	p.own.Pos = pos + rec
	fence.StoreRelease(word(p.header(off)), headerOf(pos, n, layout.RecCommit)) // publish
`,
			New: `	fence.StoreRelease(word(p.header(off)), headerOf(pos, n, layout.RecCommit))
	move(p.at(off+layout.RecHeader), pointer(msg), n)
	p.own.Pos = pos + rec
`,
			Only: "^ring/push$",
		},
		{
			Name: "spsc: the next header is not zeroed",
			File: "ring/producer.go",
			Old: `	p.setPlain((off+rec)&p.own.Mask, 0)
	if n == 64 {`,
			New:  `	if n == 64 {`,
			Only: "^ring/push-second-lap$",
		},
		{
			Name: "spsc: the first header of a burst first",
			File: "ring/spsc_unsafe.go",
			Old:  `	last := unsafe.Add(p, uint64(k-1)*rec)`,
			New: `	last := unsafe.Add(p, uint64(k-1)*rec)
	*(*uint64)(p) = h`,
			Only: "^ring/push-batch$",
		},
		{
			Name: "spsc: what is shown is not noted",
			File: "ring/consumer.go",
			Old:  `		fence.StoreRelease(word(&c.ring.Leased), pos)`,
			New:  `		_ = fence.StoreRelease`,
			Only: "^ring/(receive|ack)$",
		},
		{
			Name: "heap: a claim without an owner",
			File: "shm/heap.go",
			Old:  `claimed: w.To(layout.Claim, m), holes`,
			New:  `claimed: w.To(layout.Claim, 0), holes`,
			Only: "^heap/alloc-run$",
		},
		{
			Name: "heap: a run is given back from its start",
			File: "shm/heap.go",
			Old:  `	for k := g.length(i) - 1; k >= 1; k-- {`,
			New:  `	for k := 1; k < g.length(i); k++ {`,
			Only: "^heap/free-run$",
		},
		{
			Name: "heap: followers are freed without a look at the first",
			File: "shm/heap.go",
			Old: `		if first.Load() != uint64(w) {
			return // another one has finished; what we see may already be somebody else's
		}`,
			New:  ``,
			Only: "^space/settle$",
		},
		{
			Name: "heap: what the dead were claiming counts as having memory",
			File: "shm/heap.go",
			Old:  `		to = layout.Doubtful // its`,
			New:  `		to = layout.Free // its`,
			Only: "^heap/(trim|alloc-holed)$",
		},
		{
			Name: "heap: memory is taken away before it is claimed",
			File: "shm/giveback.go",
			Old:  `			if r, ok := g.take(i, n, s.self, false); ok {`,
			New: `			run{g: g, first: i, n: n}.punch()
			if r, ok := g.take(i, n, s.self, false); ok {`,
			Only: "^heap/trim$",
		},
		{
			Name: "heap: what was taken away counts as having memory",
			File: "shm/giveback.go",
			Old:  `	r.g.giveBackAs(r.first, r.claimed, layout.Holed)`,
			New:  `	r.g.giveBackAs(r.first, r.claimed, layout.Free)`,
			Only: "^heap/trim$",
		},
		{
			Name: "heap: a run is owned before its memory is reserved",
			File: "shm/heap.go",
			Old: `			if r.holes {
				if err`,
			New: `			r.own()
			if r.holes {
				if err`,
			Only: "^heap/alloc-holed$",
		},
		{
			Name: "names: a name is given up without the NAME lock",
			File: "shm/remove.go",
			Old:  `		ok, err := tryLock(f, writeLock, layout.LockName)`,
			New:  `		ok, err := true, error(nil)`,
			Only: "^space/unlink$",
		},
		{
			Name: "names: growth is judged without its root",
			File: "shm/clean.go",
			Old:  `		if !alive[nonce] {`,
			New:  `		if true {`,
			Only: "^space/sweep-beside-the-living$",
		},
		{
			Name: "clean: a Space is removed while somebody maps it",
			File: "shm/clean.go",
			Old: `	if ok, err := tryLock(f, writeLock, layout.LockMapped); err != nil || !ok {
		return false, err
	}
	defer tryLock(f, noLock, layout.LockMapped)
`,
			New:  ``,
			Only: "^space/sweep-beside-the-living$",
		},
		{
			Name: "tracker: it is started when the Space is there",
			File: "shm/firstuse.go",
			Old:  `	return track()`,
			New: `	time.AfterFunc(100*time.Millisecond, func() { track() })
	return nil`,
			Only: "^tracker/start$",
		},
		{
			Name: "settle: the slot is clean before the rest",
			File: "shm/settle.go",
			Old: `	if err := s.settleAll(m, died); err != nil {
		return err
	}
	s.end(m, layout.SlotDead)`,
			New: `	s.end(m, layout.SlotDead)
	if err := s.settleAll(m, died); err != nil {
		return err
	}`,
			Only: "^pair/settle-killed-settle-killed$",
		},
		{
			Name: "sets: who leaves does not look for others",
			File: "shm/set.go",
			Old:  `		in, others := look(set, mine, seq)`,
			New: `		in, others := look(set, mine, seq)
		others = false`,
			Only: "^space/close-shared$",
		},
		{
			Name: "settle: what is being freed is left to who began it",
			File: "shm/settle.go",
			Old:  `			return s.finishFree(r, e, int64(len(header)), w) // whoever began it`,
			New:  `			return nil`,
			Only: "^space/close-object$",
		},
		{
			Name: "keep: who is taken out of a set by others does not count its name",
			File: "shm/set.go",
			Old:  `		others = others || bound()`,
			New:  `		others = others || held && bound()`,
			Only: "^keep/(attach|bind)$",
		},
		{
			Name: "keep: what has given up its name is kept",
			File: "shm/clean.go",
			Old:  `kind != "n" {`,
			New:  `kind == "" {`,
			Only: "^keep/unlink$",
		},
		{
			Name: "conn: a block is handed over before the lane names it",
			File: "pipe/send.go",
			Old: `	s.lane.lane.Big[k].Store(uint64(b.Ref))
	s.end.obj.HandOver(b, s.off)`,
			New: `	s.end.obj.HandOver(b, s.off)
	s.lane.lane.Big[k].Store(uint64(b.Ref))`,
			Only: "^conn/send-big$",
		},
		{
			Name: "lot: nobody looks for the parked",
			File: "shm/lot.go",
			Old: `			w.Look()
`,
			New:  ``,
			Only: "^conn/send-parked$",
		},
	}
}
