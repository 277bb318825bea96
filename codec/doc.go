// Package codec turns a value of a Go type into bytes for another process, and back.
//
// How a T travels is decided once, by its type, by the first of these that fits:
//
//   - A plain T, one without pointers, is its own memory: one copy, no allocation.
//   - A T with MarshalBinary or AppendBinary, and UnmarshalBinary, is what these make of it: time.Time, netip.Addr, url.URL.
//   - A string, and a slice of plain elements ([]byte, []float64, []Point), is the memory of what is in it. Nil and empty
//     are both empty on the other side.
//   - Anything else is CBOR (RFC 8949): a struct as a map from its fields' names, which the tags `cbor` and `json` may
//     change. A field tagged "-" stays behind; omitempty and the like change nothing.
//
// A type of which a part would be lost on the way is refused by [For], with an [UnsupportedError] that names the place:
// unexported fields (but for blank ones), channels, functions, interfaces other than any, two fields of one name, one of
// two methods where both are needed. So is a struct of several fields in which an embedded one marshals itself, as it
// would marshal for all, and a T that has a lock in its own memory without being plain, as Append and Decode copy it.
//
// # Inside CBOR
//
// A type with MarshalBinary and UnmarshalBinary, or MarshalText and UnmarshalText, or MarshalCBOR and UnmarshalCBOR, is
// encoded by them wherever it stands, and its fields are its own business. What a pointer points to, or a slice holds, is
// itself asked, not a copy, so that shared objects may travel as pointers; UnmarshalBinary is called on a fresh one.
//
// Nil pointers, slices and maps arrive nil. What two pointers shared is two things on the other side. A value that
// contains itself, or is nested deeper than 256 levels, is refused by Append: lists linked by pointers must be short. A
// [time.Time] keeps its nanoseconds and its offset from UTC, but not its location's name nor its monotonic reading; an
// offset of odd seconds is refused.
//
// An any may hold nil, a bool, a number, a string, []byte, a time.Time, or a slice, array, map, struct or pointer of these.
// The other side knows no types and makes of it: nil, bool, int64 (or uint64 if it is too large for that), float64, string,
// []byte, time.Time, []any, map[any]any. Append refuses in an any what For refuses, whatever marshals itself, and keys that
// would not come back as keys.
//
// What Append accepts, Decode accepts, as far as T's own methods allow. A field that Decode does not know is an error: two
// programs disagree about T, and one of them would lose something. A field that is missing is zero.
//
// # Trust
//
// The bytes given to Decode may be any, and may lie in memory that another process writes to meanwhile: they are copied
// first and believed then. They give a valid T or an error that matches [ErrMalformed], never a panic but one from T's own
// methods, and make Decode allocate no more than about 400 times their length, or times the size of the largest element in
// T where that is more. Most of it is errors that are dropped at once.
//
// # Concurrency
//
// A [Codec] is immutable and may be used by any number of goroutines. Append reads *v, and Decode writes it, without a lock.
//
// # Crash behaviour
//
// Nothing here outlives the process.
package codec
