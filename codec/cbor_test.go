package codec_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/tandem-ipc/tandem/codec"
)

func TestWhatCannotComeBackFromAnAnyIsRefusedByAppend(t *testing.T) {
	c := codecOf[any](t)
	for want, v := range map[string]any{
		`codec: main.Item: field Item.note is unexported and would be lost; export it or give Item a MarshalBinary`:                      []any{Item{}},
		`codec: *main.Order: field Order.Items[].note is unexported and would be lost; export it or give Item a MarshalBinary`:           map[string]any{"": &Order{}},
		`codec: chan int is a chan, which means nothing in another process`:                                                              []any{make(chan int)},
		`codec: func() is a func, which means nothing in another process`:                                                                func() {},
		`codec: map[string]func(): element [] is a func, which means nothing in another process`:                                         map[string]func(){},
		`codec: netip.Addr marshals itself, and in an any nothing could unmarshal it`:                                                    []any{netip.Addr{}},
		`codec: *main.Conn marshals itself, and in an any nothing could unmarshal it`:                                                    &Conn{},
		`codec: *errors.errorString: field errorString.s is unexported and would be lost; export it or give errorString a MarshalBinary`: errors.New(""),
		`codec: map[main.Point]int has keys with a main.Point, which would not come back as they are`:                                    map[Point]int{},
		`codec: interface {}: key {1 2} (main.Point) of a map would not come back as a key of its own`:                                   map[any]any{Point{1, 2}: 0},
		`codec: interface {}: key 1 (int64) of a map would not come back as a key of its own`:                                            map[any]int64{int64(1): 0, int32(1): 0},
	} {
		b, err := c.Append([]byte("dst"), &v)
		if err == nil || string(b) != "dst" {
			t.Errorf("%v: got %q, %v", v, b, err)
			continue
		}
		got := strings.ReplaceAll(err.Error(), "codec_test.", "main.")
		if got = strings.ReplaceAll(got, "(int32)", "(int64)"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestValuesWithoutEndAreAnErrorNotAnOverflow(t *testing.T) {
	ring := &Node{Value: 1}
	ring.Next = ring
	list := []any{nil}
	list[0] = list
	dict := map[string]any{}
	dict["self"] = dict
	tree := Tree{}
	tree.Any = &tree
	for _, err := range []error{
		appendErr(t, ring), appendErr[any](t, ring), appendErr(t, list), appendErr[any](t, dict), appendErr(t, tree),
	} {
		if err == nil || !strings.Contains(err.Error(), "nested deeper than 256 levels, or without end") {
			t.Error(err)
		}
	}
	// What is just shallow enough for Append is for Decode.
	deep := &Node{}
	for range 255 {
		deep = &Node{Next: deep}
	}
	same(deep)(t)
	if err := appendErr(t, &Node{Next: deep}); err == nil {
		t.Error("257 levels were accepted")
	}
}

func appendErr[T any](t testing.TB, v T) error {
	t.Helper()
	_, err := codecOf[T](t).Append(nil, &v)
	return err
}

// A Conn stands for an object that several processes share. It must not be copied.
type Conn struct {
	mu    sync.Mutex
	id    uint64
	sent  int
	fresh *Conn // itself, set by UnmarshalBinary
}

var errClosed = errors.New("closed")

func (c *Conn) MarshalBinary() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id == 0 {
		return nil, errClosed
	}
	c.sent++
	return binary.LittleEndian.AppendUint64(nil, c.id), nil
}

func (c *Conn) UnmarshalBinary(b []byte) error {
	if len(b) != 8 {
		return errClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.id, c.fresh = binary.LittleEndian.Uint64(b), c
	return nil
}

func TestAnObjectMarshalsItselfWhereItStands(t *testing.T) {
	type Args struct {
		C    *Conn
		N    int
		Nil  *Conn
		List []*Conn
		Map  map[string]*Conn
	}
	a, b, m := &Conn{id: 1}, &Conn{id: 2}, &Conn{id: 3}
	got := decode[Args](t, encode(t, Args{a, 5, nil, []*Conn{b, nil}, map[string]*Conn{"m": m}}))
	if got.C.id != 1 || got.N != 5 || got.Nil != nil || got.List[0].id != 2 || got.List[1] != nil || got.Map["m"].id != 3 {
		t.Errorf("got %+v", got)
	}
	for i, c := range []*Conn{got.C, got.List[0], got.Map["m"]} {
		if c.fresh != c {
			t.Errorf("%d: UnmarshalBinary was called on another Conn", i)
		}
	}
	if a.sent != 1 || b.sent != 1 || m.sent != 1 {
		t.Errorf("MarshalBinary was called on copies: %d %d %d", a.sent, b.sent, m.sent)
	}

	if got := decode[*Conn](t, encode(t, a)); got.id != 1 || got.fresh != got || a.sent != 2 {
		t.Errorf("alone, it arrived as %+v and was sent %d times", got, a.sent)
	}
	if got := decode[*Conn](t, encode[*Conn](t, nil)); got != nil {
		t.Errorf("nil arrived as %+v", got)
	}
}

// A Handle marshals itself like a Conn, and may be copied: a lock would be what it points to.
type Handle struct{ id *int }

func (Handle) Lock()   {}
func (Handle) Unlock() {}

func (h *Handle) AppendBinary(b []byte) ([]byte, error) { return append(b, byte(*h.id)), nil }
func (h *Handle) UnmarshalBinary(b []byte) error {
	if len(b) != 1 {
		return errClosed
	}
	h.id = new(int)
	*h.id = int(b[0])
	return nil
}

func TestAnObjectWithoutALockMayStandByValue(t *testing.T) {
	type Args struct {
		H Handle
		L []Handle
		A [1]Handle
		M map[string]Handle
		N int
	}
	n := 1
	h := Handle{&n}
	same(Args{h, []Handle{h}, [1]Handle{h}, map[string]Handle{"h": h}, 3})(t)
	same(h)(t)
}

func TestALockMayBeInASliceWhichIsNotCopied(t *testing.T) {
	conns := []Conn{{id: 1}}
	got := decode[[]Conn](t, encode(t, conns))
	if conns[0].sent != 1 || got[0].id != 1 || got[0].fresh != &got[0] {
		t.Errorf("sent %d times, got %+v", conns[0].sent, &got[0])
	}
}

func TestErrorsOfTheTypesOwnMethodsCanBeTested(t *testing.T) {
	type Args struct {
		C *Conn
		N int
	}
	if err := appendErr(t, Args{C: &Conn{}}); !errors.Is(err, errClosed) {
		t.Error(err)
	}
	if err := appendErr(t, &Conn{}); !errors.Is(err, errClosed) {
		t.Error(err)
	}
	var alone Handle
	if err := codecOf[Handle](t).Decode(nil, &alone); !errors.Is(err, errClosed) || errors.Is(err, codec.ErrMalformed) {
		t.Error(err)
	}
	bad := slices.Replace(encode(t, Args{C: &Conn{id: 1}, N: 2}), 3, 12, 0x40)
	args := Args{N: 7}
	err := codecOf[Args](t).Decode(bad, &args)
	if !errors.Is(err, errClosed) || !errors.Is(err, codec.ErrMalformed) {
		t.Error(err)
	}
	if args.N != 7 || args.C != nil {
		t.Errorf("after an error, got %+v", args)
	}
	if err := appendErr(t, struct{ R cbor.RawMessage }{cbor.RawMessage{0x82, 0x01}}); err == nil {
		t.Error("half an item was accepted")
	}
}

// A Keeper keeps what it may not keep.
type Keeper struct{ b []byte }

func (k *Keeper) MarshalBinary() ([]byte, error) { return k.b, nil }
func (k *Keeper) UnmarshalBinary(b []byte) error { k.b = b; return nil }

func TestMethodsNeverSeeTheCallersBytes(t *testing.T) {
	k := Keeper{[]byte("kept")}
	same(k)(t) // decode wipes the bytes afterwards
	same([]Keeper{k})(t)
}

type Panics struct{ P *int }

func (Panics) MarshalBinary() ([]byte, error) { panic("mine") }
func (*Panics) UnmarshalBinary([]byte) error  { panic("mine") }

func TestPanicsOfTheTypesOwnMethodsPass(t *testing.T) {
	for name, f := range map[string]func(){
		"Append":        func() { appendErr(t, Panics{}) },
		"Append within": func() { appendErr(t, []Panics{{}}) },
		"Decode":        func() { codecOf[Panics](t).Decode(nil, new(Panics)) },
		"Decode within": func() { codecOf[[]Panics](t).Decode([]byte{0x81, 0x40}, new([]Panics)) },
	} {
		func() {
			defer func() {
				if r := recover(); r != "mine" {
					t.Errorf("%s: recovered %v", name, r)
				}
			}()
			f()
		}()
	}
}
