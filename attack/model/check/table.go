package check

import "sync"

// table is a set of keys, with a small number beside each. It may be used by several goroutines.
type table struct {
	shards [64]shard
}

// shard is a hash table with linear probing; no key begins with 0.
type shard struct {
	mu   sync.Mutex
	keys []key
	nums []uint16
	n    int
}

func (t *table) of(k key) *shard { return &t.shards[k[0]>>58] }

// add tells whether k is new.
func (t *table) add(k key, num uint16) bool {
	s := t.of(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if 4*s.n >= 3*len(s.keys) {
		s.grow()
	}
	i := s.place(k)
	if s.keys[i][0] != 0 {
		return false
	}
	s.keys[i], s.nums[i] = k, num
	s.n++
	return true
}

func (t *table) get(k key) (uint16, bool) {
	s := t.of(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n == 0 {
		return 0, false
	}
	i := s.place(k)
	return s.nums[i], s.keys[i][0] != 0
}

// place is where k is, or where it would go.
func (s *shard) place(k key) int {
	mask := len(s.keys) - 1
	i := int(k[1]) & mask
	for s.keys[i][0] != 0 && s.keys[i] != k {
		i = (i + 1) & mask
	}
	return i
}

func (s *shard) grow() {
	keys, nums := s.keys, s.nums
	size := max(64, 2*len(keys))
	s.keys, s.nums = make([]key, size), make([]uint16, size)
	for i, k := range keys {
		if k[0] != 0 {
			j := s.place(k)
			s.keys[j], s.nums[j] = k, nums[i]
		}
	}
}
