package pipe_test

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/tandem-ipc/tandem/pipe"
)

func ExampleNew() {
	ctx := context.Background()
	a, b, err := pipe.New[map[string]int]()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	_ = a.Send(ctx, map[string]int{"answer": 42})
	_ = a.Close()

	v, err := b.Recv(ctx)
	fmt.Println(v, err)
	_, err = b.Recv(ctx)
	fmt.Println(errors.Is(err, io.EOF))
	// Output:
	// map[answer:42] <nil>
	// true
}

// A message that is built in shared memory and read there.
func ExampleConn_Reserve() {
	ctx := context.Background()
	a, b, err := pipe.New[[]byte]()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	defer b.Close()
	mem, err := a.Reserve(ctx, 1<<20)
	if err != nil {
		fmt.Println(err)
		return
	}
	n := copy(mem, "in place")
	_ = a.Commit(n)

	m, err := b.Receive(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", m.Data)
	_ = b.Ack()
	// Output:
	// in place
}
