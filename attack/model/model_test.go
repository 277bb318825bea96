package model_test

import (
	"testing"

	"github.com/tandem-ipc/tandem/attack/model"
)

// cheap are cases of each model that take little time; cmd/model explores all.
var cheap = []string{
	"heap 3 units, 2 allocators x 1, 2 helpers, kills<=1 stops<=0",
	"heap/OWNED is written before the followers are claimed",
	"heap/a unit is taken first, its owner stored afterwards",
	"heap/what a dead member was claiming counts as having memory",
	"heap/the unit is marked first, its memory taken away afterwards",
	"sets HCSS, 1 sets of 2, kills<=1 stops<=0",
	"sets HJCS, 1 sets of 2, kills<=1 stops<=0",
	"sets/a joiner takes the place of another object's holder",
	"sets/who clears its word because of others does not look again",
	"names scripts ol ol s, kills<=1 stops<=0",
	"names/a leaver that finds NAME busy leaves the rest to others",
	"names/the root is removed before the growth files",
	"life 2 processes x 2 lives, 1 slots, 1 looks, observer, kills<=2 stops<=0",
	"life/the slot is not read again under the lock",
	"life/death is judged by the word of who is not seen",
	"spsc 8 words, 6 messages, kills<=0, batches",
	"spsc/the next header is not zeroed",
	"spsc/a record is shown before it is marked as shown",
	"wait room, 5 values, kills<=0",
	"wait/announce without membarrier",
	"wait/no last look before sleeping",
	"directory bindx helper helper no block kills<=2 stops<=1",
	"directory/a PENDING entry of another is let be",
	"directory/a block is handed over before it is linked",
	"bigs 3 messages, 1 helpers, kills<=0 stops<=0",
	"bigs/the lane stops naming a block before it is given back",
	"bigs/a successor that cannot map a block goes on without it",
}

func TestTheModelsHoldAndCatchTheirMutants(t *testing.T) {
	cases := map[string]model.Case{}
	for _, c := range model.Cases() {
		if _, twice := cases[c.Name()]; twice {
			t.Errorf("two cases are called %q", c.Name())
		}
		cases[c.Name()] = c
	}
	for _, name := range cheap {
		t.Run(name, func(t *testing.T) {
			c, ok := cases[name]
			if !ok {
				t.Fatal("there is no such case")
			}
			switch r := c.Explore(); {
			case c.Mutant != "" && r.Failure == nil:
				t.Fatalf("not caught in %d states", r.States)
			case c.Mutant == "" && r.Failure != nil:
				t.Fatalf("%s\n%v", r.Failure.Why, r.Failure.Trace)
			case r.Cut:
				t.Fatal("too many states")
			}
		})
	}
}
