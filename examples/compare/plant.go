//go:build !faults

package main

import "github.com/vestibule-auth/vestibule/storage/bus"

// plant returns the courier as it is. With the build tag faults it can be broken on purpose.
func plant(c bus.Courier) bus.Courier { return c }
