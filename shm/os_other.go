//go:build !linux

package shm

import (
	"os"
	"time"

	"github.com/edsrzf/mmap-go"
)

const supported = false

const (
	readLock = iota
	writeLock
	noLock
)

type fileID struct{ dev, ino uint64 }

type fileInfo struct {
	id       fileID
	size     int64
	memory   int64
	modified time.Time
	links    uint64
	uid      uint32
	regular  bool
}

func tryLock(*os.File, int16, int64) (bool, error)     { return false, errLinux }
func tryLockNow(*os.File, int16, int64) (bool, error)  { return false, errLinux }
func whoLocks(*os.File, int64) (int16, error)          { return noLock, errLinux }
func openSegment(string) (*os.File, error)             { return nil, errLinux }
func openFile(string, int) (*os.File, error)           { return nil, errLinux }
func fstat(*os.File) (fileInfo, error)                 { return fileInfo{}, errLinux }
func lstat(string) (fileInfo, error)                   { return fileInfo{}, errLinux }
func newFile(string, string) (*os.File, string, error) { return nil, "", errLinux }
func nameFile(*os.File, string, string) error          { return errLinux }
func renameNew(string, string) error                   { return errLinux }
func reopen(*os.File, string) (*os.File, error)        { return nil, errLinux }
func reserve(*os.File, int64, int64) error             { return errLinux }
func populate([]byte) error                            { return errLinux }
func canPopulate() bool                                { return false }
func adviseHuge([]byte)                                {}
func hugeDenied(string) string                         { return "" }
func hugeMapped([]byte) (int64, error)                 { return 0, errLinux }
func release([]byte) error                             { return errLinux }
func mapFile(*os.File, int64) (mmap.MMap, error)       { return nil, errLinux }
func spaceIn(string) (total, free int64, err error)    { return 0, 0, errLinux }
func memoryOfMachine() int64                           { return 0 }
