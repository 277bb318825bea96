package sweep

// Env is what every role knows.
type Env struct {
	Op      string
	Mode    Mode
	Point   string // where the victim was struck, for people
	Dir     string // of the shared files
	Scratch string // what World left there
	Journal *Journal
}

// VictimEnv is the victim's.
type VictimEnv struct {
	Env
	deferred []func()
}

// Defer runs f after the operation, untraced, if the victim lives that long; the last first.
func (v *VictimEnv) Defer(f func()) { v.deferred = append(v.deferred, f) }

// SurvivorEnv is that of Others and Recover.
type SurvivorEnv struct {
	Env
	Other     *Journal // B's, in a pair; nil otherwise
	OthersRan bool     // Others ran while the victim was stopped
}

// HelperEnv is a helper's.
type HelperEnv struct {
	Env
	ready func()
}

// Ready tells World that the helper has done what it was started for. World.Start returns then; the helper usually waits
// to be killed.
func (h *HelperEnv) Ready() { h.ready() }
