package shm

import (
	"fmt"
	"os"
)

// EnvSpace tells a child where its parent's private Space is. Package process sets it for the child alone, and takes it
// out of the environment before user code runs.
const EnvSpace = "TANDEM_SPACE"

// orphanGuard ends a process that was started to run a function and runs the program's main instead: it would go on to
// start children of its own, and they theirs.
func orphanGuard() {
	if os.Getenv(EnvSpace) == "" {
		return
	}
	fmt.Fprintln(os.Stderr, `tandem: this process was started to run one function of the program, but the program's main came first.
Let main hand over:

	func main() { process.Main(run) }

or call process.Init() before anything else: in main, and in TestMain of a test that starts processes.`)
	os.Exit(exitOrphan)
}

const exitOrphan = 70 // EX_SOFTWARE
