package pipe

import (
	"errors"
	"fmt"

	"github.com/tandem-ipc/tandem/codec"
	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/internal/layout"
	"github.com/tandem-ipc/tandem/shm"
)

// A Conn travels as a Handle: in arguments of processes, in messages, in environment variables and flags. Somebody must
// hold the end while its Handle is on the way. As an argument of a process, and only there, the Handle itself holds it: the
// sender may close its Conn at once; else its own hold is given up when the child has taken it.

// Handle names this end, for directories and for whatever carries text.
func (c *Conn[T]) Handle() shm.Handle {
	if c.end == nil {
		return shm.Handle{}
	}
	return c.end.obj.Handle()
}

// Open opens an end by its Handle: this process becomes one of its holders. shm.ErrGone: nobody holds it any more.
// *shm.TypeError: it carries another type. Of the options only Wait means something here, and only to the first Conn of an
// end in a process.
func Open[T any](h shm.Handle, opts ...Option) (*Conn[T], error) {
	o := options{mode: futex.DefaultMode()}
	for _, opt := range opts {
		opt(&o)
	}
	c := new(Conn[T])
	if err := c.open(h, o.mode); err != nil {
		return nil, fmt.Errorf("pipe: open: %w", err)
	}
	return c, nil
}

func (c *Conn[T]) open(h shm.Handle, mode futex.Mode) error {
	if c.end != nil {
		return errors.New("the Conn is in use")
	}
	cd, err := codec.For[T]()
	if err != nil {
		return err
	}
	e, _ := h.Local().(*end)
	for e != nil && e.closed.Load() {
		// It is on its way out; with a view out, or on its way to a child, that may take any time.
		if e.lingers() {
			return fmt.Errorf("this process has closed the end, and a view of it is out: %w", ErrBusy)
		}
		<-e.over
		e, _ = h.Local().(*end)
	}
	if e == nil {
		if e, err = openEnd(h, cd.Type(), mode); err != nil {
			return err
		}
	} else if err := check(e.obj.Type, cd.Type()); err != nil {
		return err
	}
	c.end, c.codec = e, cd
	return nil
}

func openEnd(h shm.Handle, t codec.Type, mode futex.Mode) (*end, error) {
	o, err := h.Open(layout.KindConn)
	if err != nil {
		return nil, err
	}
	err = check(o.Type, t)
	if err == nil && h.Set > 1 {
		err = shm.ErrCorrupt
	}
	var e *end
	if err == nil {
		e, err = newEnd(o, h.Set, mode)
	}
	if err != nil {
		return nil, errors.Join(err, o.Close())
	}
	if other, ok := o.Keep(e).(*end); ok && other != e {
		return other, o.Close() // another goroutine was faster
	}
	return e, nil
}

func check(have, want codec.Type) error {
	if have.Hash == want.Hash && have.Size == want.Size {
		return nil
	}
	describe := func(t codec.Type) string { return fmt.Sprintf("%s (%d bytes, hash %x)", t.Name, t.Size, t.Hash) }
	return &shm.TypeError{Have: describe(have), Want: describe(want)}
}

// AppendBinary appends the Handle of this end.
func (c *Conn[T]) AppendBinary(b []byte) ([]byte, error) {
	if err := c.here(); err != nil {
		return b, fmt.Errorf("pipe: encode: %w", err)
	}
	shm.Passed(c.Handle())
	return c.Handle().AppendBinary(b)
}

// MarshalBinary returns the Handle of this end.
func (c *Conn[T]) MarshalBinary() ([]byte, error) { return c.AppendBinary(nil) }

// UnmarshalBinary opens the end that a Handle names.
func (c *Conn[T]) UnmarshalBinary(b []byte) error {
	var h shm.Handle
	if err := h.UnmarshalBinary(b); err != nil {
		return err
	}
	return c.decode(h)
}

// MarshalText returns the Handle of this end as text.
func (c *Conn[T]) MarshalText() ([]byte, error) {
	if err := c.here(); err != nil {
		return nil, fmt.Errorf("pipe: encode: %w", err)
	}
	return c.Handle().MarshalText()
}

// here tells whether this process holds the end.
func (c *Conn[T]) here() error {
	switch {
	case c.end == nil:
		return ErrClosed
	case c.end.closed.Load():
		return c.end.closedErr()
	}
	return nil
}

// UnmarshalText opens the end that a Handle names.
func (c *Conn[T]) UnmarshalText(b []byte) error {
	var h shm.Handle
	if err := h.UnmarshalText(b); err != nil {
		return err
	}
	return c.decode(h)
}

func (c *Conn[T]) decode(h shm.Handle) error {
	if err := c.open(h, futex.DefaultMode()); err != nil {
		return fmt.Errorf("pipe: decode: %w", err)
	}
	shm.Transferred(h)
	return nil
}
