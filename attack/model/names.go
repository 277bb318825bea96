package model

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/tandem-ipc/tandem/attack/model/check"
)

// Files and their names: shm/open.go open, enterRoot, admit; shm/birth.go; shm/clean.go removeIfLeaked, removeGrowth,
// removeGrown, sweep, rootExists; shm/remove.go unlink; shm/grow.go grow, openGrown; shm/settle.go unlinkUnpublished; shm/space.go unmap.
//
// One name n, roots in the order of their birth, each with one name of its own, p, for when it gives up n; of each root one
// growth segment, of which each process may make a file. Files have the locks NAME and MAPPED, which the kernel takes back
// from who is killed. Each process does what its script says; one more sweeps when all others have finished.
//
//	o  open      O1 open n; none: O8   O2 who holds MAPPED? a reader: O4; a writer: again; nobody:
//	             O3 removeIfLeaked, again   O4 MAPPED read? else again   O5 n is still this file? else O6 unlock, removeIfLeaked, again
//	             O7 doomed? O6   attached   O8 birth: link n (locked already), else again
//	g  grow      G1 table 0?   G2 link g (locked already)   G3 table 0 -> me (CAS), else G4 remove g   G5 unmap
//	m  openGrown M1 table?   M2 open g   M3 MAPPED read
//	u  Unlink    U1 NAME (waits)   U2 n is this file?   U3 rename n to p   U4 unlock
//	l  leave     L1 unmap the growth segment   L2 unmap the root   L3 removeIfLeaked, waiting for NAME
//	s  sweep     S1 list   S2 open each root, removeIfLeaked   S3 each growth file: root named p? n? p? else removeGrown
//	d  settle    D1 table   D2 remove the growth file of a dead member unless it is published
//	removeIfLeaked  R1 NAME? else busy   R2 MAPPED write?   R3 under which name?   R4 doom   R5 list growth files, removeGrown
//	             R6 remove the name   R7 unlock MAPPED   R8 unlock NAME
//	removeGrown  C1 open   C2 NAME?   C3 MAPPED write?   C4 is it still there?   C5 remove   C6 close
//
// O2 takes nothing: one who asks by taking MAPPED keeps a last leaver from removing the files. O6 looks whether it was the
// last, and L3 waits: whoever is met there in passing leaves the files to us.
//
// O5 adds nothing where all keep to the protocol, because of O7: it is for files that are removed by hand. NAME adds only
// that a second Unlink of the same Space is told so, and not that p exists: everything else MAPPED keeps apart already.
//
// Checked in every state: who is attached finds its root under n, or under p after an Unlink, and the published segment
// under its name; so two who are attached are in the same Space, unless it was unlinked. Nobody takes or removes the name
// of another Space. No growth file without a root. Nobody attaches to what was left behind. Who has left in order, and
// everybody has, leaves no file. In the end, after one more sweep: no file. Whoever runs (in turns, where nobody is
// stopped in the middle of asking, removing or renaming) finishes.

const (
	nameRoots = 4 // at most, by number from 1
	nameProcs = 4
)

type nameRoot struct {
	doomed  bool
	table   uint8 // who grew it: process + 1
	readers uint8 // who holds MAPPED, as bits
	asker   uint8 // who holds it for writing: process + 1
	name    uint8 // who holds NAME
	dead    uint8 // killed members that are not settled, as bits
	grown   [nameProcs]nameGrown
}

type nameGrown struct {
	exists  bool
	readers uint8
	asker   uint8
	name    uint8
}

type nameProc struct {
	pc, op  uint8
	fate    uint8
	at      uint8 // the root it is attached to
	r, g    uint8 // root and growth file that it works on
	ret     uint8
	given   bool // it has renamed its root itself
	private bool // the path it works with is p
	live    bool // it has seen that somebody maps the root
	roots   uint8
	grown   [nameRoots]uint8 // growth files it still has to look at, by root
}

type nameState struct {
	n     uint8 // the root that has the name
	p     uint8 // roots that have p, as bits
	born  uint8 // number of roots
	root  [nameRoots]nameRoot
	proc  [nameProcs]nameProc
	left  faults
	order bool // nobody was killed or stopped
}

const (
	namNext = iota
	namOpen
	namAsk
	namAskBack
	namPlace
	namRecheck
	namDrop
	namAdmit
	namLink
	namGrow
	namGrowLink
	namGrowCAS
	namGrowUndo
	namGrowUnmap
	namMap
	namMapOpen
	namMapLock
	namUnlink
	namUnlinkCheck
	namRename
	namUnlinkDone
	namUnmapGrown
	namUnmapRoot
	namList
	namSweep
	namSweepGrown
	namRootP1
	namRootN
	namRootP2
	namSettle
	namRName
	namRMapped
	namRCheck
	namRCheckP
	namRDoom
	namRList
	namRRemove
	namRUnmapped
	namRUnname
	namCOpen
	namCName
	namCMapped
	namCCheck
	namCRemove
	namCClose
)

type nameConfig struct {
	scripts      []string
	kills, stops uint8
	mutant       string
}

const (
	nameNoName    = "removing and renaming without NAME"
	nameNoRoot    = "growth segments are judged without their root"
	nameNoLook    = "after locking, neither the name nor the doomed flag is looked at"
	nameNoDoom    = "no doomed flag"
	nameDropOnly  = "an opener that gives its place back does not look whether it was the last"
	nameAskLock   = "an opener asks by taking MAPPED for writing"
	nameRootFirst = "the root is removed before the growth files"
	nameGiveUp    = "a leaver that finds NAME busy leaves the rest to others"
	nameUnmapRoot = "a leaver unmaps the root first"
	nameRevive    = "an opener that meets another asker goes on"
	nameNoP2      = "a sweeper looks for the root's second name before the first only"
)

func (c nameConfig) String() string {
	return fmt.Sprintf("scripts %s, %v", strings.Join(c.scripts, " "), faults{c.kills, c.stops})
}

func (c nameConfig) procs() []string {
	var names []string
	for i := range c.scripts {
		names = append(names, string(rune('A'+i)))
	}
	return append(names, "last")
}

func (c nameConfig) script(p int) string {
	if p == len(c.scripts) {
		return "ws"
	}
	return c.scripts[p]
}

func (c nameConfig) finished(s *nameState, p int) bool {
	q := &s.proc[p]
	return q.fate != running || q.pc == namNext && int(q.op) == len(c.script(p))
}

func (s *nameState) files() bool {
	if s.n != 0 || s.p != 0 {
		return true
	}
	for r := range s.root {
		for g := range s.root[r].grown {
			if s.root[r].grown[g].exists {
				return true
			}
		}
	}
	return false
}

func (c nameConfig) step(s *nameState, p int, o *check.Out[nameState]) {
	if c.finished(s, p) {
		return
	}
	x := *s
	q := &x.proc[p]
	me, bit := uint8(p+1), uint8(1)<<p
	rootOf := func(r uint8) *nameRoot { return &x.root[max(r, 1)-1] }
	root := rootOf(q.r)
	grown := &root.grown[q.g]
	label := ""
	// done ends an operation of the script.
	done := func() { q.pc, q.r, q.g, q.ret, q.private, q.live = namNext, 0, 0, 0, false, false; q.op++ }
	// removed is where removeIfLeaked returns to.
	removed := func(busy bool) {
		switch ret := q.ret; {
		case (ret == namUnmapRoot || ret == namDrop) && busy && c.mutant != nameGiveUp && s.proc[root.name-1].fate != stopped:
			q.pc = namRName // and waits, for a while
		case ret == namUnmapRoot:
			q.given = false
			done()
		case ret != namSweep:
			q.pc, q.r, q.ret, q.private = namOpen, 0, 0, false
		default:
			q.pc, q.r, q.ret, q.private = namSweep, 0, 0, false
		}
	}
	// nextGrown goes on with the next growth file of the list.
	nextGrown := func() {
		list := q.grown[q.r-1]
		q.g = 0
		switch {
		case list != 0:
			q.pc, q.g = namCOpen, uint8(bits.TrailingZeros8(list))
			q.grown[q.r-1] &= list - 1
		case q.ret == namSweepGrown:
			q.pc, q.r, q.ret = namSweep, 0, 0
		case c.mutant == nameRootFirst:
			q.pc = namRUnmapped
		default:
			q.pc = namRRemove
		}
	}
	if q.pc == namNext {
		if q.at != 0 { // who is attached may settle the dead at any time
			for v := range c.scripts {
				if rootOf(q.at).dead&(1<<v) != 0 {
					q.pc, q.g, q.r, q.ret = namSettle, uint8(v), q.at, rootOf(q.at).table
					o.Go("settle: table", x)
					x = *s
				}
			}
		}
		switch c.script(p)[q.op] {
		case 'o':
			q.pc = namOpen
		case 'g':
			q.pc, q.r = namGrow, q.at
		case 'm':
			q.pc, q.r = namMap, q.at
		case 'u':
			q.pc, q.r = namUnlink, q.at
		case 'l':
			q.pc, q.r = namUnmapGrown, q.at
			if c.mutant == nameUnmapRoot {
				q.pc = namUnmapRoot
			}
		case 's':
			q.pc = namList
		case 'w':
			for other := range c.scripts {
				if !c.finished(s, other) {
					return
				}
			}
			q.op++
			q.pc = namList
		}
		root = rootOf(q.r)
		grown = &root.grown[q.g]
	}
	switch q.pc {
	case namOpen:
		if label = "open: open n"; s.n == 0 {
			label = "open: there is no n"
			q.pc = namLink
		} else {
			q.pc, q.r = namAsk, s.n
		}
	case namAsk:
		switch label = "enterRoot: somebody maps it"; {
		case root.readers == 0 && root.asker == 0 && (c.mutant == nameAskLock || c.mutant == nameRevive):
			label = "enterRoot: MAPPED for writing: nobody maps it"
			root.asker = me
			q.pc = namAskBack
		case root.readers == 0 && root.asker == 0:
			label = "enterRoot: nobody maps it"
			q.pc, q.ret = namRName, namOpen
		case root.readers == 0 && c.mutant != nameRevive:
			label = "enterRoot: it is being removed"
			q.pc, q.r = namOpen, 0
		default:
			q.live = root.readers != 0
			q.pc = namPlace
		}
	case namAskBack:
		label = "enterRoot: unlock MAPPED"
		root.asker = 0
		q.pc, q.ret = namRName, namOpen
	case namPlace:
		if label = "enterRoot: MAPPED for reading: busy"; root.asker != 0 {
			q.pc, q.r, q.live = namOpen, 0, false
		} else {
			label = "enterRoot: MAPPED for reading"
			root.readers |= bit
			if q.pc = namRecheck; c.mutant == nameNoLook {
				q.pc = namAdmit
			}
		}
	case namRecheck:
		if label = "enterRoot: n is still the file"; s.n == q.r {
			q.pc = namAdmit
		} else {
			label = "enterRoot: n is not the file any more"
			q.pc = namDrop
		}
	case namDrop:
		label = "enterRoot: unlock MAPPED"
		root.readers &^= bit
		if q.pc, q.ret, q.live = namRName, namDrop, false; c.mutant == nameDropOnly {
			q.pc, q.r, q.ret = namOpen, 0, 0
		}
	case namAdmit:
		if root.doomed && c.mutant != nameNoDoom && c.mutant != nameNoLook {
			label = "admit: doomed"
			q.pc = namDrop
			break
		}
		if label = "admit: attached"; !q.live {
			o.Fail(label, "a process attached to a Space that had been left behind")
			return
		}
		q.at = q.r
		done()
	case namLink:
		if label = "birth: link: the name is taken"; s.n != 0 {
			q.pc = namOpen
			break
		}
		if x.born++; x.born > nameRoots {
			panic("too many roots: shorten the scripts")
		}
		label = fmt.Sprint("birth: link root ", x.born)
		x.n = x.born
		rootOf(x.born).readers = bit
		q.at = x.born
		done()

	case namGrow:
		if label = "grow: table"; root.table != 0 {
			done()
		} else {
			q.pc = namGrowLink
		}
	case namGrowLink:
		label = "grow: link g"
		root.grown[p] = nameGrown{exists: true, readers: bit}
		q.pc = namGrowCAS
	case namGrowCAS:
		if label = "grow: CAS of table fails"; root.table == 0 {
			label = "grow: CAS table 0 -> me"
			root.table = me
			done()
		} else {
			q.pc = namGrowUndo
		}
	case namGrowUndo:
		label = "grow: remove g"
		root.grown[p].exists = false
		q.pc = namGrowUnmap
	case namGrowUnmap:
		label = "grow: unmap"
		root.grown[p].readers = 0
		done()
	case namMap:
		if label = "openGrown: table"; root.table == 0 || root.grown[root.table-1].readers&bit != 0 {
			done()
		} else {
			q.pc, q.g = namMapOpen, root.table-1
		}
	case namMapOpen:
		if label = "openGrown: open"; !grown.exists {
			o.Fail(label, "a published segment of a Space in use cannot be opened")
			return
		}
		q.pc = namMapLock
	case namMapLock:
		if label = "openGrown: MAPPED for reading"; grown.asker != 0 {
			o.Fail(label, "a published segment of a Space in use is in the hands of a cleaner")
			return
		}
		grown.readers |= bit
		done()

	case namUnlink:
		if root.name != 0 && c.mutant != nameNoName {
			if s.proc[root.name-1].fate != stopped {
				return // waits
			}
			label = "Unlink: NAME: busy for too long"
			done()
			break
		}
		label = "Unlink: NAME"
		if c.mutant != nameNoName {
			root.name = me
		}
		q.pc = namUnlinkCheck
	case namUnlinkCheck:
		if label = "Unlink: n is the file"; s.n == q.r && !q.given {
			q.pc = namRename
		} else {
			label = "Unlink: n is not the file"
			q.pc = namUnlinkDone
		}
	case namRename:
		label = "Unlink: rename n to p"
		switch {
		case s.p&(1<<(q.r-1)) != 0:
			o.Fail(label, "an Unlink fails because another one was faster")
			return
		case s.n == q.r:
			x.n = 0
			x.p |= 1 << (q.r - 1)
			q.given = true
		case s.n != 0:
			o.Fail(label, "the name of another Space was taken away")
			return
		}
		q.pc = namUnlinkDone
	case namUnlinkDone:
		label = "Unlink: unlock NAME"
		if root.name == me {
			root.name = 0
		}
		done()

	case namUnmapGrown:
		label = "unmap: the growth segment"
		if root.table != 0 {
			root.grown[root.table-1].readers &^= bit
		}
		q.at = 0
		if q.pc = namUnmapRoot; c.mutant == nameUnmapRoot {
			q.pc, q.ret, q.private = namRName, namUnmapRoot, q.given
		}
	case namUnmapRoot:
		label = "unmap: the root"
		root.readers &^= bit
		q.at = 0
		if c.mutant == nameUnmapRoot {
			q.pc = namUnmapGrown
		} else {
			q.pc, q.ret, q.private = namRName, namUnmapRoot, q.given
		}

	case namList:
		label = "sweep: list"
		q.roots = s.p << 1
		if s.n != 0 {
			q.roots |= 1
		}
		for r := range s.root {
			for g := range s.root[r].grown {
				if s.root[r].grown[g].exists {
					q.grown[r] |= 1 << g
				}
			}
		}
		q.pc = namSweep
	case namSweep: // opens the next root of the list, or looks for the root of the next growth file
		if q.roots != 0 {
			k := uint8(bits.TrailingZeros8(q.roots))
			q.roots &= q.roots - 1
			r, private := s.n, k > 0
			if private {
				if r = k; s.p&(1<<(k-1)) == 0 {
					r = 0
				}
			}
			if label = "sweep: open a root: gone"; r != 0 {
				label = "sweep: open a root"
				q.pc, q.ret, q.r, q.private = namRName, namSweep, r, private
			}
			break
		}
		for r := range q.grown {
			if q.grown[r] != 0 {
				label = "rootExists: p?"
				q.r, q.ret = uint8(r+1), namSweepGrown
				switch {
				case c.mutant == nameNoRoot:
					nextGrown()
				case s.p&(1<<r) != 0:
					q.grown[r], q.pc, q.r, q.ret = 0, namSweep, 0, 0
				default:
					q.pc = namRootN
				}
				break
			}
		}
		if label == "" {
			label = "sweep: end"
			done()
		}
	case namRootN:
		if label = "rootExists: n is it"; s.n == q.r {
			q.grown[q.r-1], q.pc, q.r, q.ret = 0, namSweep, 0, 0
		} else {
			label = "rootExists: n is not"
			if q.pc = namRootP2; c.mutant == nameNoP2 {
				nextGrown()
			}
		}
	case namRootP2:
		if label = "rootExists: p is it"; s.p&(1<<(q.r-1)) != 0 {
			q.grown[q.r-1], q.pc, q.r, q.ret = 0, namSweep, 0, 0
		} else {
			label = "rootExists: p is not"
			nextGrown()
		}
	case namSettle:
		label = "unlinkUnpublished: remove g of the dead"
		if q.ret != q.g+1 {
			grown.exists = false
		} else {
			label = "unlinkUnpublished: it is published"
		}
		root.dead &^= 1 << q.g
		q.pc, q.r, q.g, q.ret = namNext, 0, 0, 0

	case namRName:
		if root.name != 0 && c.mutant != nameNoName {
			label = "removeIfLeaked: NAME: busy"
			removed(true)
			break
		}
		label = "removeIfLeaked: NAME"
		if c.mutant != nameNoName {
			root.name = me
		}
		q.pc = namRMapped
	case namRMapped:
		if label = "removeIfLeaked: MAPPED for writing: busy"; root.readers != 0 || root.asker != 0 && root.asker != me {
			q.pc = namRUnname
		} else {
			label = "removeIfLeaked: MAPPED for writing"
			root.asker = me
			q.pc = namRCheck
		}
	case namRCheck:
		if label = "removeIfLeaked: the path is the file"; !q.private && s.n == q.r || q.private && s.p&(1<<(q.r-1)) != 0 {
			q.pc = namRDoom
		} else {
			label = "removeIfLeaked: the path is not the file"
			q.pc = namRCheckP
		}
	case namRCheckP:
		if label = "removeIfLeaked: p is the file"; s.p&(1<<(q.r-1)) != 0 {
			q.pc, q.private = namRDoom, true
		} else {
			label = "removeIfLeaked: the file has no name"
			q.pc = namRUnmapped
		}
	case namRDoom:
		label = "removeIfLeaked: doom"
		root.doomed = true
		if q.pc = namRList; c.mutant == nameRootFirst {
			q.pc = namRRemove
		}
	case namRList:
		label = "removeGrowth: list"
		for g := range root.grown {
			if root.grown[g].exists {
				q.grown[q.r-1] |= 1 << g
			}
		}
		nextGrown()
	case namRRemove:
		label = "removeIfLeaked: remove the name"
		switch {
		case q.private:
			x.p &^= 1 << (q.r - 1)
		case s.n == q.r:
			x.n = 0
		case s.n != 0:
			o.Fail(label, "the root of another Space was removed")
			return
		}
		if q.pc = namRUnmapped; c.mutant == nameRootFirst {
			q.pc = namRList
		}
	case namRUnmapped:
		label = "removeIfLeaked: unlock MAPPED"
		root.asker = 0
		if q.pc = namRUnname; root.name != me { // the mutant without NAME
			removed(false)
		}
	case namRUnname:
		label = "removeIfLeaked: unlock NAME"
		if root.name == me {
			root.name = 0
		}
		removed(false)

	case namCOpen:
		if label = "removeGrown: open: gone"; grown.exists {
			label = "removeGrown: open"
			q.pc = namCName
		} else {
			nextGrown()
		}
	case namCName:
		if label = "removeGrown: NAME: busy"; grown.name == 0 {
			label = "removeGrown: NAME"
			grown.name = me
			q.pc = namCMapped
		} else {
			nextGrown()
		}
	case namCMapped:
		if label = "removeGrown: MAPPED for writing: busy"; grown.readers == 0 && grown.asker == 0 {
			label = "removeGrown: MAPPED for writing"
			grown.asker = me
			q.pc = namCCheck
		} else {
			q.pc = namCClose
		}
	case namCCheck:
		if label = "removeGrown: it is still there"; grown.exists {
			q.pc = namCRemove
		} else {
			label = "removeGrown: it is gone"
			q.pc = namCClose
		}
	case namCRemove:
		label = "removeGrown: remove"
		grown.exists = false
		q.pc = namCClose
	case namCClose:
		label = "removeGrown: close"
		grown.name = 0
		if grown.asker == me {
			grown.asker = 0
		}
		nextGrown()
	}
	o.Go(label, x)
}

func (c nameConfig) fault(s *nameState, p int, o *check.Out[nameState]) {
	q := &s.proc[p]
	if p == len(c.scripts) || c.finished(s, p) {
		return
	}
	if s.left.stops > 0 {
		x := *s
		x.left.stops--
		x.proc[p].fate = stopped
		x.order = false
		o.Go("stopped for good", x)
	}
	if s.left.kills > 0 {
		x := *s
		x.left.kills--
		x.order = false
		x.proc[p] = nameProc{fate: killed}
		me, bit := uint8(p+1), uint8(1)<<p
		for r := range x.root {
			root := &x.root[r]
			root.readers &^= bit
			if root.asker == me {
				root.asker = 0
			}
			if root.name == me {
				root.name = 0
			}
			for g := range root.grown {
				grown := &root.grown[g]
				grown.readers &^= bit
				if grown.asker == me {
					grown.asker = 0
				}
				if grown.name == me {
					grown.name = 0
				}
			}
		}
		if q.at != 0 {
			x.root[q.at-1].dead |= bit
		}
		o.Go("killed", x)
	}
}

func (c nameConfig) check(s *nameState) string {
	for p := range c.scripts {
		at := s.proc[p].at
		if at == 0 || s.proc[p].fate == killed {
			continue
		}
		if s.n != at && s.p&(1<<(at-1)) == 0 {
			return fmt.Sprintf("the root that %s is attached to has no name any more", c.procs()[p])
		}
		if g := s.root[at-1].table; g != 0 && !s.root[at-1].grown[g-1].exists {
			return fmt.Sprintf("a published segment of the Space that %s is attached to was removed", c.procs()[p])
		}
	}
	for r := range s.root {
		if s.n == uint8(r+1) || s.p&(1<<r) != 0 {
			continue
		}
		for g := range s.root[r].grown {
			if s.root[r].grown[g].exists {
				return "a growth file is left without its root"
			}
		}
	}
	last := &s.proc[len(c.scripts)]
	if s.order && last.pc == namNext && last.op == 0 && s.files() {
		for p := range c.scripts {
			if !c.finished(s, p) {
				return ""
			}
		}
		return "everybody has left in order, and a file is left"
	}
	return ""
}

func (c nameConfig) final(s *nameState) string {
	for p := range c.scripts {
		if s.proc[p].fate == stopped {
			return ""
		}
	}
	if s.files() {
		return "a file is left after the last sweep"
	}
	return ""
}

// together is who has to finish in turns: everybody, unless one is stopped with a lock that others wait for.
func (c nameConfig) together(s *nameState) []uint32 {
	set := uint32(0)
	for p := range len(c.scripts) + 1 {
		if s.proc[p].fate == running {
			set |= 1 << p
			continue
		}
		if s.proc[p].fate != stopped {
			continue
		}
		for r := range s.root {
			if s.root[r].asker == uint8(p+1) || s.root[r].name == uint8(p+1) {
				return nil
			}
		}
	}
	return []uint32{set}
}

func (c nameConfig) show(s *nameState) []string {
	who := c.procs()
	name := func(p uint8) string {
		if p == 0 {
			return "-"
		}
		return who[p-1]
	}
	some := func(set uint8) string {
		text := ""
		for p := range who {
			if set&(1<<p) != 0 {
				text += who[p]
			}
		}
		return text + "."
	}
	all := []string{fmt.Sprintf("n root%d", s.n), fmt.Sprintf("p %04b", s.p)}
	for r := range s.root {
		root := &s.root[r]
		all = append(all, fmt.Sprintf("root%d.doomed %v", r+1, root.doomed), fmt.Sprintf("root%d.table %s", r+1, name(root.table)),
			fmt.Sprintf("root%d.MAPPED readers %s writer %s", r+1, some(root.readers), name(root.asker)),
			fmt.Sprintf("root%d.NAME %s", r+1, name(root.name)))
		for g := range root.grown {
			all = append(all, fmt.Sprintf("root%d.g%s %v readers %s writer %s", r+1, string(rune('A'+g)), root.grown[g].exists,
				some(root.grown[g].readers), name(root.grown[g].asker)))
		}
	}
	for p := range who {
		all = append(all, fmt.Sprintf("%s.at root%d", who[p], s.proc[p].at))
	}
	return all
}

func (c nameConfig) model() *check.Model[nameState] {
	m := &check.Model[nameState]{Procs: c.procs(), Step: c.step, Fault: c.fault, Check: c.check, Final: c.final, Show: c.show,
		Finished: func(s *nameState, p int) bool { return c.finished(s, p) }, Alone: c.together, Bound: 1000}
	m.Init.left = faults{c.kills, c.stops}
	m.Init.order = true
	return m
}

func nameCases() []Case {
	var all []Case
	add := func(c nameConfig, full bool) {
		all = append(all, Case{Model: "names", Config: c.String(), Mutant: c.mutant, Full: full,
			explore: func() check.Result { return check.Explore(c.model()) }})
	}
	for _, c := range []nameConfig{
		{scripts: []string{"ol", "ol", "s"}, kills: 1},
		{scripts: []string{"ogl", "oml"}, kills: 1},
		{scripts: []string{"ogl", "ogml"}, kills: 1, stops: 1},
		{scripts: []string{"ogl", "oml", "s"}, kills: 1},
		{scripts: []string{"ogul", "oml"}, kills: 1},
		{scripts: []string{"ogul", "s"}, kills: 1},
		{scripts: []string{"oul", "ol", "ol"}, kills: 1},
		{scripts: []string{"oul", "oul", "s"}, kills: 1},
		{scripts: []string{"ogl", "ogml", "ogml"}, kills: 1},
		{scripts: []string{"ol", "ol", "ol"}, kills: 2},
		{scripts: []string{"ogl", "oml", "s"}, kills: 2, stops: 1},
		{scripts: []string{"ogulol", "omls", "ogml"}, kills: 1},
	} {
		add(c, false)
	}
	for _, c := range []nameConfig{
		{scripts: []string{"ol", "ol"}, mutant: nameGiveUp},
		{scripts: []string{"ogl", "s"}, mutant: nameUnmapRoot},
		{scripts: []string{"ol", "ol", "ol"}, kills: 1, mutant: nameRevive},
		{scripts: []string{"oul", "oul"}, mutant: nameNoName},
		{scripts: []string{"og", "oml", "s"}, kills: 1, mutant: nameNoRoot},
		{scripts: []string{"ol", "ol"}, mutant: nameNoLook},
		{scripts: []string{"oul", "ol"}, mutant: nameAskLock},
		{scripts: []string{"oul", "ol"}, mutant: nameDropOnly},
		{scripts: []string{"ogl", "ol", "ol"}, kills: 2, mutant: nameNoDoom},
		{scripts: []string{"ogl", "ol"}, mutant: nameRootFirst},
		{scripts: []string{"oguml", "s"}, kills: 1, mutant: nameNoP2},
	} {
		add(c, false)
	}
	return all
}
