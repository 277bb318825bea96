package storm

import (
	"strings"
	"testing"
)

func TestTheLedgerFindsWhatIsWrong(t *testing.T) {
	two := map[uint32]sent{1: {intended: 5, committed: 4}, 3: {intended: 10, committed: 10}}
	plain := func(sender uint32, first, last uint64) run { return run{sender: sender, first: first, last: last} }
	again := func(sender uint32, first, last uint64) run {
		return run{sender: sender, marked: true, first: first, last: last}
	}
	tests := map[string]struct {
		taken   []taken
		drained bool
		want    string // "": nothing is wrong
	}{
		"all of it":                    {[]taken{{runs: []run{plain(1, 1, 4), plain(3, 1, 10)}}}, true, ""},
		"what was about to be sent":    {[]taken{{runs: []run{plain(1, 1, 5), plain(3, 1, 10)}}}, true, ""},
		"what was never meant":         {[]taken{{runs: []run{plain(1, 1, 6)}}}, false, "never meant"},
		"an unknown sender":            {[]taken{{runs: []run{plain(2, 1, 1)}}}, false, "never meant"},
		"nothing, but not drained":     {nil, false, ""},
		"nothing, and drained":         {nil, true, "14 messages lost"},
		"a tail lost":                  {[]taken{{runs: []run{plain(1, 1, 4), plain(3, 1, 9)}}}, true, "1 messages lost"},
		"a gap":                        {[]taken{{runs: []run{plain(1, 1, 2), plain(1, 4, 4)}}}, false, "1 messages lost"},
		"a sender's end lost":          {[]taken{{runs: []run{plain(1, 1, 3), plain(3, 1, 1)}}}, false, "1 messages lost"},
		"a sender's beginning lost":    {[]taken{{runs: []run{plain(1, 1, 4), plain(3, 2, 2)}}}, false, "1 messages lost"},
		"taken by the dead":            {[]taken{{runs: []run{plain(1, 1, 1)}, open: 1}, {runs: []run{plain(1, 3, 4)}}}, false, ""},
		"more than the dead asked for": {[]taken{{runs: []run{plain(1, 1, 1)}, open: 1}, {runs: []run{plain(1, 4, 4)}}}, false, "2 messages lost"},
		"taken by two of the dead":     {[]taken{{open: 1}, {open: 1}, {runs: []run{plain(1, 3, 4)}}}, false, ""},
		"slack is used up":             {[]taken{{open: 1}, {runs: []run{plain(1, 1, 1), plain(1, 3, 4)}}}, false, "1 messages lost"},
		"again, marked":                {[]taken{{runs: []run{plain(1, 1, 2)}}, {runs: []run{again(1, 2, 2), plain(1, 3, 4)}}}, false, ""},
		"again, not marked":            {[]taken{{runs: []run{plain(1, 1, 2)}}, {runs: []run{plain(1, 2, 4)}}}, false, "without the Redelivered mark"},
		"again to the same":            {[]taken{{runs: []run{plain(1, 1, 2), again(1, 2, 2)}}}, false, "twice to one receiver"},
		"older than the last":          {[]taken{{runs: []run{plain(1, 1, 3)}}, {runs: []run{again(1, 2, 2)}}}, false, "out of order"},
		"senders in the wrong order":   {[]taken{{runs: []run{plain(3, 1, 1), plain(1, 1, 1)}}}, false, "lost"},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			l := ledger{sent: two, taken: c.taken, drained: c.drained}
			_, _, err := l.check()
			switch {
			case c.want == "" && err != nil:
				t.Errorf("nothing is wrong, but: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}
