module github.com/tandem-ipc/tandem

go 1.26.0

require (
	github.com/edsrzf/mmap-go v1.2.0
	github.com/fxamacker/cbor/v2 v2.9.6
	github.com/klauspost/cpuid/v2 v2.4.2
	github.com/urfave/cli/v3 v3.14.0
	golang.org/x/sys v0.49.0
)

require github.com/x448/float16 v0.8.4 // indirect
