package ops

import "github.com/tandem-ipc/tandem/attack/sweep"

// pairs are attacks in depth two: who settles the dead is killed itself, at each point, and another one settles both; who
// allocates is killed while another stands in the middle of the same.
func pairs() []sweep.Pair {
	return []sweep.Pair{
		{Name: "pair/settle-killed-settle-killed", A: "space/settle", B: "space/settle", Sequel: true},
		{Name: "pair/settle-stopped-settle-killed", A: "space/settle", B: "space/settle"},
		{Name: "pair/sweep-killed-sweep-killed", A: "space/sweep", B: "space/sweep", Sequel: true},
		{Name: "pair/sweep-stopped-sweep-killed", A: "space/sweep", B: "space/sweep"},
		{Name: "pair/close-stopped-close-killed", A: "space/close-shared", B: "space/close-shared"},
		{Name: "pair/alloc-stopped-alloc-killed", A: "heap/alloc-run", B: "heap/alloc-run"},
		{Name: "pair/grow-stopped-grow-killed", A: "space/grow", B: "space/grow"},
	}
}
