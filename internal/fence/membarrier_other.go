//go:build !linux

package fence

// CanHeavy tells whether Heavy works here.
func CanHeavy() bool { return false }

// Heavy must not be called where CanHeavy is false.
func Heavy() { panic("fence: no membarrier on this system") }

func register() bool { return false }
