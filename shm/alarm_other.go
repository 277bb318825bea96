//go:build !linux

package shm

import "time"

type alarm struct{ timer *time.Timer }

func newAlarm(ring func()) *alarm { return &alarm{time.AfterFunc(lastLook, ring)} }

func (a *alarm) set(in time.Duration) { a.timer.Reset(in) }
func (a *alarm) stop()                { a.timer.Stop() }
