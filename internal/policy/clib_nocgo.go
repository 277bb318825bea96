//go:build !cgo || !linux

package policy

const cLib = false
