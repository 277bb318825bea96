//go:build !linux

package ring

import "testing"

func shared(_ testing.TB, n int) []byte { return make([]byte, n) }
