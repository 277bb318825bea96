// Package shmtest fails a test binary that leaves segments, descriptors or processes behind, trackers among them. It is for users of
// Tandem as well as for its own tests:
//
//	func TestMain(m *testing.M) { shmtest.Main(m) }
//
// A test binary that starts processes calls process.Init first.
//
// # Concurrency
//
// The run gets a directory of its own for segments (TANDEM_SHM_DIR), so test binaries that run at the same time do not
// see each other.
//
// # Crash behaviour
//
// What a killed run left is removed by the next one.
package shmtest

import (
	"fmt"
	"os"
	"testing"

	"github.com/tandem-ipc/tandem/internal/leak"
	"github.com/tandem-ipc/tandem/shm"
)

// Main runs the tests, leaves every Space, looks for leftovers and exits: with 1 if there are any, else as the tests say.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main for who has something left to do before exiting.
func Run(m *testing.M) int {
	w, err := leak.Start(shm.EnvDir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "shmtest:", err)
		return 1
	}
	code := m.Run()
	if err := shm.Exit(); err != nil {
		fmt.Fprintln(os.Stderr, "shmtest:", err)
		code = max(code, 1)
	}
	for _, l := range w.Left() {
		fmt.Fprintln(os.Stderr, "shmtest: left behind:", l)
		code = max(code, 1)
	}
	return code
}
