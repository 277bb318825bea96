package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The variables that override a computed policy. All take auto, and nothing, for what is computed.
const (
	EnvWait     = "TANDEM_WAIT"     // auto, block, spin
	EnvSpin     = "TANDEM_SPIN"     // a duration, off
	EnvSpinners = "TANDEM_SPINNERS" // a count
	EnvRing     = "TANDEM_RING"     // bytes
	EnvPublish  = "TANDEM_PUBLISH"  // how often in a lap
	EnvCopy     = "TANDEM_COPY"     // a Method
)

// Limits of what the environment may ask for.
const (
	MostSpin     = time.Second
	MostSpinners = 1 << 20
	MostPublish  = 64
	LeastRing    = 4 << 10
	MostRing     = 1 << 30
)

// Override is p with what the environment says, and an error that names each variable that says what is not allowed; those
// parts stay as they are.
func Override(p Policy, getenv func(string) string) (Policy, error) {
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	override(&p.Wait, EnvWait, getenv, note, "block, spin", func(s string) (string, bool) {
		return s, s == "block" || s == "spin"
	})
	override(&p.Spin, EnvSpin, getenv, note, fmt.Sprintf("off, a duration up to %v such as 20us", MostSpin),
		func(s string) (time.Duration, bool) {
			if s == "off" {
				return 0, true
			}
			d, err := time.ParseDuration(s)
			return d, err == nil && d >= 0 && d <= MostSpin
		})
	override(&p.Spinners, EnvSpinners, getenv, note, fmt.Sprintf("a count from 0 to %d", MostSpinners), number(0, MostSpinners))
	override(&p.Ring, EnvRing, getenv, note, fmt.Sprintf("a power of two from %d to %d bytes", LeastRing, MostRing),
		func(s string) (int, bool) {
			n, ok := number(LeastRing, MostRing)(s)
			return n, ok && n&(n-1) == 0
		})
	override(&p.Publish, EnvPublish, getenv, note, fmt.Sprintf("how often in a lap of the ring, a power of two from 2 to %d", MostPublish),
		func(s string) (int, bool) {
			n, ok := number(2, MostPublish)(s)
			return n, ok && n&(n-1) == 0
		})
	methods := p.Machine.Methods()
	override(&p.Copy, EnvCopy, getenv, note, list(methods), func(s string) (Method, bool) {
		return Method(s), slices.Contains(methods, Method(s))
	})
	return p, errors.Join(errs...)
}

// override replaces a setting by what its variable says.
func override[T any](s *Setting[T], variable string, getenv func(string) string, note func(error), allowed string,
	parse func(string) (T, bool)) {
	text := getenv(variable)
	if text == "" || text == "auto" {
		return
	}
	v, ok := parse(text)
	if !ok {
		note(fmt.Errorf("%s=%s: want auto, %s", variable, text, allowed))
		return
	}
	*s = Setting[T]{v, Environment}
}

func number(least, most int) func(string) (int, bool) {
	return func(s string) (int, bool) {
		n, err := strconv.Atoi(s)
		return n, err == nil && n >= least && n <= most
	}
}

func list(methods []Method) string {
	var all []string
	for _, m := range methods {
		all = append(all, string(m))
	}
	return strings.Join(all, ", ")
}
