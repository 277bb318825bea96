module github.com/tandem-ipc/tandem/attack

go 1.26.0

replace github.com/tandem-ipc/tandem => ../

require golang.org/x/sys v0.49.0

require (
	github.com/tandem-ipc/tandem v0.0.0
	golang.org/x/arch v0.32.0
)

require (
	github.com/edsrzf/mmap-go v1.2.0 // indirect
	github.com/fxamacker/cbor/v2 v2.9.6 // indirect
	github.com/klauspost/cpuid/v2 v2.4.2 // indirect
	github.com/x448/float16 v0.8.4 // indirect
)
