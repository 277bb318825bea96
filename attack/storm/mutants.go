package storm

import "github.com/tandem-ipc/tandem/attack/internal/mutant"

// mutants are changes to the code that a storm must catch: it would be blind otherwise.
func mutants() []mutant.Mutant {
	return []mutant.Mutant{
		{
			Name: "tree: sweep: what the living have mapped goes, too",
			File: "shm/clean.go",
			Old: `	if ok, err := tryLock(f, writeLock, layout.LockMapped); err != nil || !ok {
		return false, err
	}
	defer`,
			New: `	if _, err := tryLock(f, writeLock, layout.LockMapped); err != nil {
		return false, err
	}
	defer`,
			Only: "^tree$",
		},
		{
			Name:   "tree: ring: a lease is taken when it is shown",
			File:   "ring/consumer.go",
			Old:    "		c.popped++\n		return Message{Data: c.payload(rec.off, rec.n)[:rec.n:rec.n], Redelivered: at < c.again",
			New:    "		c.popped++\n		c.advance(pos)\n		return Message{Data: c.payload(rec.off, rec.n)[:rec.n:rec.n], Redelivered: at < c.again",
			Only:   "^tree$",
			Expect: "lost",
		},
		{
			Name:   "tree: ring: what was shown before is not marked",
			File:   "ring/consumer.go",
			Old:    "Redelivered: at < c.again",
			New:    "Redelivered: at > pos",
			Only:   "^tree$",
			Expect: "without the Redelivered mark",
		},
		{
			Name:   "tree: ring: a new producer begins where the consumer is",
			File:   "ring/producer.go",
			Old:    "	p.own.Pos, p.own.Limit = end, cursor+r.mask+1",
			New:    "	_, p.own.Pos, p.own.Limit = end, cursor, cursor+r.mask+1",
			Only:   "^tree$",
			Expect: "lost|damaged|order|torn",
		},
		{
			Name: "tree: settle: the dead stay in the sets of objects",
			File: "shm/settle.go",
			Old:  "		s.leaveObjects(m, how),\n",
			New:  "",
			Only: "^tree$",
		},
		{
			Name:   "tree: the tracker is not started",
			File:   "shm/tracker_linux.go",
			Old:    "		tree.err = startTracker()",
			New:    "		tree.err = ErrBusy",
			Only:   "^tree$",
			Expect: "leaked|no tracker",
		},
		{
			Name:   "tree: the tracker goes without a sweep",
			File:   "shm/tracker_linux.go",
			Old:    "		_, _ = sweep(dir, os.Geteuid(), time.Time{})",
			New:    "		break",
			Only:   "^tree$",
			Expect: "leaked",
		},
	}
}
