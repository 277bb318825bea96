//go:build !linux

package trace

type link struct{}

func takeLink() *link       { return nil }
func (*link) report()       {}
func (*link) await()        {}
func (*link) close()        {}
func markBegin(end uintptr) {}
