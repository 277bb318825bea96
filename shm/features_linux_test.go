package shm

import (
	"os"
	"strings"
	"testing"

	"github.com/tandem-ipc/tandem/internal/feature"
)

// What is forced off is not in use, and the rest is what this kernel has; each one says what its absence means.
func TestEveryFeatureIsProbed(t *testing.T) {
	all := Features()
	if len(all) != len(feature.All) || len(probes) != len(all) {
		t.Fatalf("%d of %d features, %d probes", len(all), len(feature.All), len(probes))
	}
	disabled := os.Getenv("TANDEM_DISABLE")
	for _, f := range all {
		if f.Off != strings.Contains(disabled, f.Name) || f.Off && f.InUse || f.Since == "" || f.Without == "" {
			t.Errorf("%+v", f)
		}
	}
	for _, f := range all {
		if f.Name == string(feature.MapLock) && f.InUse != mappingsHoldLocks() ||
			f.Name == string(feature.RobustList) && f.InUse != (notice.tid != 0) {
			t.Errorf("%+v", f)
		}
	}
	if left := files(t); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
