package shm_test

import (
	"context"
	"fmt"

	"github.com/tandem-ipc/tandem/pipe"
	"github.com/tandem-ipc/tandem/shm"
)

// Unrelated programs of one user meet by the name of a Space, and of what is bound in it.
func ExampleOpenSpace() {
	ctx := context.Background()
	sp, err := shm.OpenSpace("example.prices")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sp.Close()
	a, b, err := pipe.New[float64](pipe.In(sp))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	defer b.Close()
	if err := sp.Bind("ticks", b.Handle()); err != nil {
		fmt.Println(err)
		return
	}

	// In the other program:
	h, err := sp.Lookup("ticks")
	if err != nil {
		fmt.Println(err)
		return
	}
	ticks, err := pipe.Open[float64](h)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = a.Send(ctx, 19.5)
	v, err := ticks.Recv(ctx)
	fmt.Println(v, err)
	// Output:
	// 19.5 <nil>
}
