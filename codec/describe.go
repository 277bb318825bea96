package codec

import (
	"fmt"
	"hash/fnv"
	"reflect"
	"strings"
)

// describe writes down the structure of t. It leaves the names of types out, as two programs may name theirs differently,
// but for types that marshal themselves: their structure is their own business.
func describe(t reflect.Type, f form) string {
	if f == self {
		return "=" + t.String()
	}
	d := describer{encoded: f == asCBOR, met: make(map[reflect.Type]int)}
	d.write(t)
	return d.String()
}

type describer struct {
	strings.Builder
	encoded bool
	met     map[reflect.Type]int // types that are named and not plain: met again, they are a number, so that recursion ends
}

func (d *describer) write(t reflect.Type) {
	switch {
	case d.encoded && methods(t) != nil:
		d.WriteString("=" + t.String())
		return
	case d.met[t] > 0:
		fmt.Fprintf(d, "#%d", d.met[t])
		return
	case t.Name() != "" && !plain(t):
		d.met[t] = len(d.met) + 1
	}
	switch k := t.Kind(); k {
	case reflect.Int, reflect.Uint, reflect.Uintptr:
		fmt.Fprintf(d, "%v/%d", k, t.Size())
	case reflect.Pointer:
		d.WriteString("*")
		d.write(t.Elem())
	case reflect.Slice:
		d.WriteString("[]")
		d.write(t.Elem())
	case reflect.Array:
		fmt.Fprintf(d, "[%d]", t.Len())
		if t.Len() > 0 { // else a plain struct could be in there again
			d.write(t.Elem())
		}
	case reflect.Map:
		d.WriteString("map[")
		d.write(t.Key())
		d.WriteString("]")
		d.write(t.Elem())
	case reflect.Struct:
		d.WriteString("struct{")
		for f := range t.Fields() {
			d.field(f)
		}
		d.WriteString("}")
		if !d.encoded {
			fmt.Fprintf(d, "/%d", t.Size())
		}
	default:
		d.WriteString(k.String())
	}
}

func (d *describer) field(f reflect.StructField) {
	name := f.Name
	if d.encoded {
		tag, _, ok := tagOf(f)
		switch {
		case !ok || name == "_":
			return
		case tag != "":
			name = tag
		case embedded(f) != nil:
			name = "+"
		}
	}
	d.WriteString(name + " ")
	d.write(f.Type)
	d.WriteString(";")
}

// hash is 64-bit FNV-1a, except that it is never 0.
func hash(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return max(h.Sum64(), 1)
}
