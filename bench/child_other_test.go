//go:build !linux

package main

func childLeft() bool { return false }
