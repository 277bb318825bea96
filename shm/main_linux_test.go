package shm

import (
	"fmt"
	"os"
	"testing"

	"github.com/tandem-ipc/tandem/internal/leak"
	"github.com/tandem-ipc/tandem/internal/roles"
)

// parts are the roles that this test binary plays in other processes; each file of tests adds its own.
var parts = map[string]roles.Role{}

func TestMain(m *testing.M) {
	roles.Run(parts)
	// What the killed leave is the subject of these tests, so nobody removes it; but see tracker_linux_test.go.
	os.Setenv(EnvTracker, "off")
	w, err := leak.Start(EnvDir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := Exit(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	for _, l := range w.Left() {
		fmt.Fprintln(os.Stderr, "left behind:", l)
		code = 1
	}
	os.Exit(code)
}
