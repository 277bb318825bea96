package pipe_test

import (
	"testing"

	"github.com/tandem-ipc/tandem/internal/roles"
	"github.com/tandem-ipc/tandem/shm/shmtest"
)

// parts are the roles that this test binary plays in other processes; each file of tests adds its own.
var parts = map[string]roles.Role{}

func TestMain(m *testing.M) {
	roles.Run(parts)
	shmtest.Main(m)
}
