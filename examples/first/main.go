// A worker in a process of its own: it answers, is killed, and the parent goes on.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tandem-ipc/tandem/pipe"
	"github.com/tandem-ipc/tandem/process"
)

type job struct{ N, Square int }

type args struct {
	Jobs *pipe.Conn[job]
}

var square = process.Define("square", func(ctx context.Context, a args) error {
	for j, err := range a.Jobs.All(ctx) {
		if err != nil {
			return err
		}
		j.Square = j.N * j.N
		if err := a.Jobs.Send(ctx, j); err != nil {
			return err
		}
	}
	return nil
})

func main() { process.Main(run) }

func run(ctx context.Context) error {
	ours, theirs, err := pipe.New[job]()
	if err != nil {
		return err
	}
	worker, err := square.Start(ctx, args{Jobs: theirs})
	if err != nil {
		return err
	}
	for n := range 4 {
		if err := ours.Send(ctx, job{N: n}); err != nil {
			return err
		}
		j, err := ours.Recv(ctx)
		if err != nil {
			return err
		}
		fmt.Println(j.N, "squared is", j.Square)
	}

	if err := worker.Kill(); err != nil { // kill -9
		return err
	}
	_, err = ours.Recv(ctx)
	var died *pipe.PeerDied
	fmt.Println("the worker died:", errors.As(err, &died))
	fmt.Println("and we know how:", worker.Wait(ctx) != nil, worker.Name())
	return nil
}
