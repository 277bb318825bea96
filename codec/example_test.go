package codec_test

import (
	"fmt"

	"github.com/tandem-ipc/tandem/codec"
)

func Example() {
	c, err := codec.For[[]any]()
	if err != nil {
		fmt.Println(err)
		return
	}
	message, err := c.Append(nil, &[]any{42, nil, "hello"})
	if err != nil {
		fmt.Println(err)
		return
	}

	// In another process:
	var v []any
	if err := c.Decode(message, &v); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d bytes: %#v\n", len(message), v)
	// Output: 10 bytes: []interface {}{42, interface {}(nil), "hello"}
}

func ExampleFor() {
	type Item struct {
		Name string
		note string
	}
	type Order struct{ Items []Item }
	_ = Order{[]Item{{"pen", "the blue one"}}} // would arrive without its note

	_, err := codec.For[Order]()
	fmt.Println(err)
	// Output: codec: codec_test.Order: field Order.Items[].note is unexported and would be lost; export it or give Item a MarshalBinary
}
