package process_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/tandem-ipc/tandem/internal/roles"
	"github.com/tandem-ipc/tandem/process"
	"github.com/tandem-ipc/tandem/shm"
	"github.com/tandem-ipc/tandem/shm/shmtest"
)

// parts are the roles that this test binary plays in other processes; each file of tests adds its own.
var parts = map[string]roles.Role{}

// envForget makes a child forget to call Init, as a program would: "use" and then use Tandem, or "quit".
const envForget = "TANDEM_TEST_FORGET"

func TestMain(m *testing.M) {
	if os.Getenv(shm.EnvSpace) != "" {
		switch os.Getenv(envForget) {
		case "use":
			_, err := shm.Private()
			fmt.Println("not reached", err)
			return
		case "quit":
			return
		}
	}
	process.Init()
	roles.Run(parts)
	shmtest.Main(m)
}
