//go:build !linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"
)

var errLinuxOnly = fmt.Errorf("bench: Linux only, this is %s: %w", runtime.GOOS, errors.ErrUnsupported)

const (
	peerSocket   = 0
	streamSocket = 0
)

var epoch = time.Now()

func monotonic() int64 { return int64(time.Since(epoch)) }

func allowedCPUs() ([]int, error)                { return nil, errLinuxOnly }
func pinThread(int) error                        { return errLinuxOnly }
func unpinThread() error                         { return errLinuxOnly }
func sharedFile(int) (*os.File, error)           { return nil, errLinuxOnly }
func mapShared(int, int) ([]byte, error)         { return nil, errLinuxOnly }
func socketPair(int) (fds [2]int, err error)     { return fds, errLinuxOnly }
func pipePair() (fds [2]int, err error)          { return fds, errLinuxOnly }
func growBuffers([2]int)                         {}
func tell(int, []byte, []int) error              { return errLinuxOnly }
func hear(int) (b []byte, fds []int, err error)  { return nil, nil, errLinuxOnly }
func startOn(*exec.Cmd, []int) error             { return errLinuxOnly }
func killGroup(int)                              {}
func endGroup()                                  { os.Exit(1) }
func diesWithUs(*exec.Cmd)                       {}
func readMachine() (*Machine, error)             { return nil, errLinuxOnly }
func sleepInKernel(time.Duration) error          { return errLinuxOnly }
func threadsOf(int) (int, error)                 { return 0, errLinuxOnly }
func schedulingOf(int) (map[string]usage, error) { return nil, errLinuxOnly }
func closeFD(int) error                          { return errLinuxOnly }
func readFD(int, []byte) (int, error)            { return 0, errLinuxOnly }
func writeFD(int, []byte) (int, error)           { return 0, errLinuxOnly }
