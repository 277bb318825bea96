//go:build linux && amd64

package trace

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const regionSize = 16384

type words [regionSize / 8]atomic.Uint64

func openWords(path string) (*words, []byte, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	return mapWords(int(f.Fd()))
}

func mapWords(fd int) (*words, []byte, error) {
	b, err := syscall.Mmap(fd, 0, regionSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, nil, err
	}
	return (*words)(unsafe.Pointer(&b[0])), b, nil
}

// withWords makes a victim whose operation is f on the mapped file.
func withWords(f func(w *words, b []byte)) func(string) error {
	return func(path string) error {
		w, b, err := openWords(path)
		if err == nil {
			Operation(func() { f(w, b) })
		}
		return err
	}
}

//go:noinline
func leaf(n uint64) uint64 { return n*2862933555777941757 + 3037000493 }

//go:noinline
func deeper(n uint64, depth int) uint64 {
	if depth == 0 {
		return leaf(n)
	}
	return deeper(n+1, depth-1) + 1
}

var victims = map[string]func(path string) error{
	// five stores, at known places
	"five": withWords(func(w *words, _ []byte) {
		for i := range 5 {
			w[i].Store(uint64(i + 1))
		}
	}),
	// a store, one that changes nothing, a locked operation that fails, one that changes
	"same": withWords(func(w *words, _ []byte) {
		w[0].Store(7)
		w[0].Store(7)
		w[0].CompareAndSwap(1, 2)
		w[0].Add(1)
	}),
	"loop": withWords(func(w *words, _ []byte) {
		for i := range 1000 {
			w[i%10].Store(uint64(i + 1))
		}
	}),
	// maps, allocation, printing, a system call
	"noise": withWords(func(w *words, _ []byte) {
		w[0].Store(1)
		m := make(map[int]string)
		for i := range 20 {
			m[i] = fmt.Sprint("number", i)
		}
		fmt.Println(len(m))
		w[1].Store(uint64(len(m)))
		syscall.Getppid()
		w[2].Store(3)
	}),
	"copy": withWords(func(_ *words, b []byte) {
		copy(b[100:], pattern(400))
	}),
	// a long computation full of calls
	"calls": withWords(func(w *words, _ []byte) {
		n := uint64(0)
		for i := range 300 {
			n += deeper(uint64(i), 10)
		}
		w[0].Store(n | 1)
	}),
	"private": withWords(func(w *words, _ []byte) {
		w[0].Store(1)
		time.Sleep(time.Millisecond)
		runtime.Gosched()
		unix.SchedGetaffinity(0, new(unix.CPUSet))
		w[1].Store(1)
	}),
	"born": born,
	// goes one way if the file is empty, another if it is not
	"either": withWords(func(w *words, _ []byte) {
		if w[0].Load() == 0 {
			w[1].Store(1)
		} else {
			w[2].Store(1)
		}
	}),
	"threads":   threads,
	"lock":      lockedByMapping,
	"signals":   signals,
	"stepwise":  stepwise,
	"blocked":   blocked,
	"blockedBy": blockedForking,
	"spin": withWords(func(w *words, _ []byte) {
		for w[0].Load() == 0 {
		}
	}),
	"exits": func(string) error {
		Operation(func() { os.Exit(7) })
		return nil
	},
	"never": func(string) error { return errors.New("as the test expects: no operation") },
	"writer": func(path string) error {
		w, _, err := openWords(path)
		if err != nil {
			return err
		}
		go func() {
			for {
				w[100].Add(1)
				runtime.Gosched()
			}
		}()
		Operation(func() {
			w[0].Store(1)
			for start := w[100].Load(); w[100].Load() == start; {
			}
			w[1].Store(1)
		})
		return nil
	},
	"environment": func(path string) error {
		persona, _, _ := unix.RawSyscall(unix.SYS_PERSONALITY, 0xffffffff, 0, 0)
		text := fmt.Sprintf("GODEBUG=%s GOGC=%s personality=%x link=%q", os.Getenv("GODEBUG"), os.Getenv("GOGC"), persona,
			os.Getenv(linkVariable))
		err := os.WriteFile(path, []byte(text), 0o600)
		Operation(func() {})
		ran := false
		if Operation(func() { ran = true }); !ran {
			return errors.New("a second operation did not run")
		}
		return err
	},
	"execs": func(string) error {
		var err error
		Operation(func() { err = syscall.Exec("/bin/sleep", []string{"sleep", "600"}, nil) })
		return err
	},
	"execs-elsewhere": func(string) error {
		done := make(chan error)
		runtime.LockOSThread() // so the other goroutine is on another thread
		go func() {
			Operation(func() { done <- syscall.Exec("/bin/sleep", []string{"sleep", "600"}, nil) })
		}()
		return <-done
	},
	"forks": withWords(func(w *words, _ []byte) {
		w[0].Store(1)
		if err := exec.Command("/bin/true").Run(); err == nil {
			w[1].Store(1)
		}
	}),
	"machine": machineVictim,
	"guest":   guest,
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i%250 + 1)
	}
	return b
}

// born gives a file its name between stores. path is the name.
func born(path string) error {
	fd, err := unix.Open("/dev/shm", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		err = unix.Ftruncate(fd, regionSize)
	}
	if err != nil {
		return err
	}
	Operation(func() {
		var w *words
		if w, _, err = mapWords(fd); err != nil {
			return
		}
		w[0].Store(1)
		w[1].Store(2)
		err = unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
		w[2].Store(3)
		unix.Unlink(path)
		w[3].Store(4)
	})
	return err
}

// threads has others that count in the file while the operation goes on, and waits for them at its end.
func threads(path string) error {
	w, _, err := openWords(path)
	if err != nil {
		return err
	}
	for i := range 3 {
		go func() {
			runtime.LockOSThread()
			for {
				w[100+i].Add(1)
				if i == 0 {
					time.Sleep(100 * time.Microsecond)
				} else {
					runtime.Gosched() // victims are not preempted
				}
			}
		}()
	}
	for i := range 3 {
		for w[100+i].Load() == 0 {
			runtime.Gosched()
		}
	}
	Operation(func() {
		w[0].Store(1)
		w[1].Store(1)
	})
	return nil
}

// lockedByMapping holds a byte of the file by nothing but a mapping, with much private memory to be torn down at death.
func lockedByMapping(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	lk := unix.Flock_t{Type: unix.F_WRLCK, Start: 1 << 30, Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lk); err != nil {
		return err
	}
	w, _, err := mapWords(int(f.Fd()))
	if err != nil {
		return err
	}
	f.Close()
	ballast := make([]byte, 64<<20)
	for i := 0; i < len(ballast); i += 4096 {
		ballast[i] = 1
	}
	Operation(func() { w[0].Store(1) })
	runtime.KeepAlive(ballast)
	return nil
}

// signals waits in its operation until it got a signal, which the file's word 8 asks for.
func signals(path string) error {
	w, _, err := openWords(path)
	if err != nil {
		return err
	}
	got := make(chan os.Signal, 10)
	signal.Notify(got, syscall.SIGUSR1)
	go func() {
		for range got {
			w[9].Add(1)
		}
	}()
	Operation(func() {
		w[7].Store(uint64(syscall.Gettid()))
		w[8].Store(1)
		for w[9].Load() == 0 {
		}
		w[10].Store(1)
	})
	return nil
}

// stepwise reads one byte from a pipe after a signal has interrupted the read, which restarts.
func stepwise(path string) error {
	w, _, err := openWords(path)
	if err != nil {
		return err
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1)
	var p [2]int
	if err := syscall.Pipe(p[:]); err != nil {
		return err
	}
	go func() {
		for w[8].Load() == 0 { // the test has sent its signal
			time.Sleep(time.Millisecond)
		}
		syscall.Write(p[1], []byte{42})
	}()
	var b [1]byte
	var n int
	Operation(func() {
		w[7].Store(uint64(syscall.Gettid()))
		n, err = syscall.Read(p[0], b[:])
		w[10].Store(uint64(b[0]))
	})
	if n != 1 || err != nil {
		return fmt.Errorf("read: %d, %w", n, err)
	}
	return nil
}

// blocked reads for ever from an empty pipe.
func blocked(path string) error {
	w, _, err := openWords(path)
	if err != nil {
		return err
	}
	var p [2]int
	if err := syscall.Pipe(p[:]); err != nil {
		return err
	}
	Operation(func() {
		w[0].Store(1)
		syscall.Read(p[0], make([]byte, 1))
		w[1].Store(1)
	})
	return nil
}

// blockedForking starts processes in other threads all the time.
func blockedForking(path string) error {
	w, _, err := openWords(path)
	if err != nil {
		return err
	}
	stop, done := make(chan bool), make(chan error)
	started := make(chan bool, 1)
	go func() {
		for {
			err := exec.Command("/proc/self/exe", "-test.run=^$").Run()
			if err == nil {
				w[100].Add(1)
			}
			select {
			case started <- true:
			default:
			}
			select {
			case <-stop:
				done <- err
				return
			default:
				if err != nil {
					done <- err
					return
				}
			}
		}
	}()
	<-started
	Operation(func() {
		for before := w[100].Load(); w[100].Load() < before+3; {
			w[0].Add(1)
			time.Sleep(time.Millisecond)
		}
	})
	close(stop)
	return <-done
}
