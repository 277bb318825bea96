package shm

import (
	"os"
	"time"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// Stats is the state of a Space at one moment, as far as one look at words that others change can tell.
type Stats struct {
	Name     string
	Private  bool
	Kept     bool // it outlives its members
	Created  time.Time
	Segments int
	Size     int64 // bytes reserved for segments, without the pages of members
	Used     int64 // bytes in blocks that are not free; a slab counts by its used blocks
	Returned int64 // bytes of Size that were given back to the system, at most; they are reserved again before they are used
	Limit    int64
	Limited  string // Limit for people, with where it comes from
	Huge     int64  // bytes that this process has mapped by huge pages; only if it asked for them
	NoHuge   string // why there are none, though it asked
	Objects  int
	Deaths   uint32 // members that were settled so far, dead or gone
	Members  []MemberInfo
}

// MemberInfo describes a member.
type MemberInfo struct {
	Member  Member
	PID     int // as the process sees itself
	Command string
	Started time.Time
	Self    bool
	Dead    bool // and not settled yet; only Inspect asks
}

// Stats looks at the Space. It takes time in proportion to the number of blocks.
func (sp *Space) Stats() (Stats, error) {
	s, err := sp.enter()
	if err != nil {
		return Stats{}, err
	}
	defer s.release()
	st := Stats{
		Name: s.title(), Private: s.name == "", Kept: s.kept, Created: time.Unix(0, int64(s.root.Seg.Created)),
		NoHuge: s.noHuge(), Limit: s.limit, Limited: s.limitText(), Deaths: s.root.Deaths.Load(), Members: s.liveMembers(),
	}
	err = s.segments(func(g *segment) error {
		st.Segments++
		st.Size += g.reserved()
		if s.huge {
			n, err := hugeMapped(g.mem)
			if err != nil {
				return err
			}
			st.Huge += n
		}
		for i := range g.units {
			if layout.Word(g.entries[i].Word.Load()).State() == layout.Holed {
				st.Returned += 1 << g.shift
			}
		}
		return nil
	})
	if err != nil {
		return Stats{}, err
	}
	err = s.blocks(func(f found, w layout.Word) error {
		st.Used += int64(len(f.bytes))
		return nil
	})
	if err != nil {
		return Stats{}, err
	}
	err = s.objects(func(Ref, *layout.Entry, layout.Word, []byte) error {
		st.Objects++
		return nil
	})
	return st, err
}

// Members lists the processes attached to the Space; one that was killed a moment ago may still be there.
func (sp *Space) Members() ([]MemberInfo, error) {
	s, err := sp.enter()
	if err != nil {
		return nil, err
	}
	defer s.release()
	return s.liveMembers(), nil
}

func (s *space) liveMembers() []MemberInfo {
	var all []MemberInfo
	for slot := 1; slot <= layout.Slots; slot++ {
		w := s.slot(slot)
		if w.State() != layout.SlotLive {
			continue
		}
		p := s.pageOf(slot)
		m := layout.MakeMember(slot, w.Gen())
		all = append(all, MemberInfo{Member: m, PID: int(p.PID.Load()), Command: cString(p.Command[:]),
			Started: time.Unix(0, int64(p.Started.Load())), Self: m == s.self && p.PID.Load() == uint32(os.Getpid())})
	}
	return all
}
