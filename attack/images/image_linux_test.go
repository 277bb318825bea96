package images

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tandem-ipc/tandem/pipe"
	"github.com/tandem-ipc/tandem/shm"
	"github.com/tandem-ipc/tandem/shm/shmtest"
)

const name = "image"

func TestMain(m *testing.M) {
	os.Setenv(shm.EnvTracker, "off") // of this process: it would remove what is being looked at
	shmtest.Main(m)
}

// file is a file's name, size and data; between the extents it is a hole.
type file struct {
	name    string
	size    int64
	extents []extent
}

type extent struct {
	at   int64
	data []byte
}

// image is a Space as its processes left it.
type image []file

// makers make a Space's content, in a mailbox, which may be attached to when everybody is gone.
var makers = []func(*shm.Space) error{
	func(*shm.Space) error { return nil },
	func(sp *shm.Space) error { return messages(sp, 100, 200_000) },
	func(sp *shm.Space) error { return errors.Join(messages(sp, 100), messages(sp, 3<<20, 3<<20)) }, // grows
}

// messages binds an end with messages of these sizes.
func messages(sp *shm.Space, sizes ...int) error {
	a, b, err := pipe.New[[]byte](pipe.In(sp))
	if err != nil {
		return err
	}
	if err := sp.Bind(fmt.Sprintf("end%d", len(sizes)), b.Handle()); err != nil {
		return err
	}
	for _, n := range sizes {
		if err := a.Send(context.Background(), make([]byte, n)); err != nil {
			return err
		}
	}
	return errors.Join(a.Close(), b.Close())
}

func makeImages(f testing.TB) (all []image) {
	f.Helper()
	for _, fill := range makers {
		sp, err := shm.OpenSpace(name, shm.Keep(), shm.Limit(64<<20))
		if err != nil {
			f.Fatal(err)
		}
		if err := errors.Join(fill(sp), sp.Close()); err != nil {
			f.Fatal(err)
		}
		im, err := readImage()
		if err != nil || len(im) == 0 {
			f.Fatal(len(im), err)
		}
		all = append(all, im)
		clear(f)
	}
	return all
}

func paths() []string {
	all, _ := filepath.Glob(filepath.Join(shm.Dir(), "tandem.*"))
	return all
}

func readImage() (im image, err error) {
	for _, path := range paths() {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			return nil, err
		}
		one := file{name: filepath.Base(path), size: st.Size()}
		for off := int64(0); ; {
			from, err := f.Seek(off, unix.SEEK_DATA)
			if errors.Is(err, unix.ENXIO) {
				break
			}
			if err != nil {
				return nil, err
			}
			if off, err = f.Seek(from, unix.SEEK_HOLE); err != nil {
				return nil, err
			}
			data := make([]byte, off-from)
			if _, err := f.ReadAt(data, from); err != nil {
				return nil, err
			}
			one.extents = append(one.extents, extent{from, data})
		}
		im = append(im, one)
	}
	return im, nil
}

// write puts the image into the directory.
func (im image) write(t testing.TB) {
	t.Helper()
	for _, one := range im {
		f, err := os.OpenFile(filepath.Join(shm.Dir(), one.name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Truncate(one.size); err != nil {
			t.Fatal(err)
		}
		for _, e := range one.extents {
			if _, err := f.WriteAt(e.data, e.at); err != nil {
				t.Fatal(err)
			}
		}
	}
}

const change = 16 // bytes: which file, what is done, and where; a value

// damage changes words of the files, each by some bytes of the plan: among the first 4 KiB of an extent as often as
// anywhere in it, for there is more to be damaged.
func damage(t testing.TB, im image, plan []byte) {
	t.Helper()
	for ; len(plan) >= change; plan = plan[change:] {
		one := im[int(plan[0])%len(im)]
		e := one.extents[int(plan[2])%len(one.extents)]
		at := int64(binary.LittleEndian.Uint32(plan[4:])) % int64(len(e.data)) &^ 7
		if plan[3]&1 == 0 {
			at %= 4096
		}
		f, err := os.OpenFile(filepath.Join(shm.Dir(), one.name), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		var word [8]byte
		f.ReadAt(word[:], e.at+at)
		w, v := binary.LittleEndian.Uint64(word[:]), binary.LittleEndian.Uint64(plan[8:])
		switch plan[1] % 5 {
		case 0:
			w = v
		case 1:
			w ^= v
		case 2:
			w += v
		case 3:
			w = w&^0xffffffff | v&0xffffffff
		case 4: // the file ends there
			if err := f.Truncate(e.at + at); err != nil {
				t.Fatal(err)
			}
		}
		if plan[1]%5 != 4 {
			binary.LittleEndian.PutUint64(word[:], w)
			if _, err := f.WriteAt(word[:], e.at+at); err != nil {
				t.Fatal(err)
			}
		}
		f.Close()
	}
}

// clear removes every file.
func clear(t testing.TB) {
	t.Helper()
	for _, p := range paths() {
		if err := os.RemoveAll(p); err != nil && !strings.Contains(err.Error(), "no such file") {
			t.Fatal(err)
		}
	}
}
