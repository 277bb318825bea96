package process_test

import (
	"context"
	"fmt"

	"github.com/tandem-ipc/tandem/process"
)

var square = process.DefineResult("square", func(ctx context.Context, n int) (int, error) { return n * n, nil })

func ExampleDefineResult() {
	ctx := context.Background()
	p, err := square.Start(ctx, 7) // in another process
	if err != nil {
		fmt.Println(err)
		return
	}
	n, err := p.Wait(ctx)
	fmt.Println(n, err)
	// Output:
	// 49 <nil>
}
