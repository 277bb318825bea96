package codec

import "reflect"

// plain tells whether t contains no pointers.
func plain(t reflect.Type) bool {
	switch k := t.Kind(); k {
	case reflect.Array:
		return t.Len() == 0 || plain(t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			if !plain(f.Type) {
				return false
			}
		}
		return true
	default:
		return k >= reflect.Bool && k <= reflect.Complex128
	}
}

// A run is where some bools of a type lie: count times, stride bytes apart, from at on. Each is one, or has more inside.
type run struct {
	at, count, stride uintptr
	inside            []run
}

// bools returns nil if there are none in t, which is plain.
func bools(t reflect.Type) []run {
	var runs []run
	switch t.Kind() {
	case reflect.Bool:
		runs = []run{{count: 1}}
	case reflect.Array:
		r := run{count: uintptr(t.Len()), stride: t.Elem().Size(), inside: bools(t.Elem())}
		if r.inside == nil || r.count == 0 {
			return nil
		}
		if t.Elem().Kind() == reflect.Bool {
			r.inside = nil
		}
		runs = []run{r}
	case reflect.Struct:
		for f := range t.Fields() {
			for _, r := range bools(f.Type) {
				r.at += f.Offset
				runs = append(runs, r)
			}
		}
	}
	return runs
}

func boolsOK(b []byte, runs []run) bool {
	for _, r := range runs {
		for i := range r.count {
			at := b[r.at+i*r.stride:]
			if r.inside == nil && at[0] > 1 || !boolsOK(at, r.inside) {
				return false
			}
		}
	}
	return true
}
