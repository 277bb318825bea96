module github.com/tandem-ipc/tandem/bench

go 1.26.0

replace github.com/tandem-ipc/tandem => ../

require (
	github.com/klauspost/cpuid/v2 v2.4.2
	golang.org/x/sys v0.49.0
)

require (
	github.com/edsrzf/mmap-go v1.2.0 // indirect
	github.com/fxamacker/cbor/v2 v2.9.6 // indirect
	github.com/tandem-ipc/tandem v0.0.0
	github.com/x448/float16 v0.8.4 // indirect
)
