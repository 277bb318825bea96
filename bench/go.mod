module github.com/tandem-ipc/tandem/bench

go 1.26.0

replace github.com/tandem-ipc/tandem => ../

require (
	github.com/klauspost/cpuid/v2 v2.4.2
	golang.org/x/sys v0.49.0
)
