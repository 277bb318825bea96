package scribble

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"github.com/tandem-ipc/tandem/attack/internal/leftover"
	"github.com/tandem-ipc/tandem/attack/storm"
)

func TestMain(m *testing.M) {
	storm.Init(Suite())
	os.Exit(leftover.Run(m.Run, fmt.Sprint(dirPrefix, os.Getpid())))
}

func TestUsersGetErrorsOnly(t *testing.T) {
	for _, sc := range Suite().Scenarios {
		for _, round := range []int{1, 2} { // nobody scribbles in the first
			t.Run(fmt.Sprint(sc.Name, round), func(t *testing.T) {
				var out bytes.Buffer
				s := &storm.Storm{Options: storm.Options{Seed: 1, Round: round}, Name: sc.Name, Out: &out, Log: &out}
				if err := sc.Run(t.Context(), s); err != nil || out.Len() > 0 {
					t.Errorf("%v\n%s", err, out.String())
				}
			})
		}
	}
}
