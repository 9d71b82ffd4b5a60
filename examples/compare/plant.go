//go:build !faults

package main

import (
	"net/http"

	"github.com/vestibule-auth/vestibule/storage/bus"
)

// plant returns the courier as it is. With the build tag faults it can be broken on purpose.
func plant(c bus.Courier) bus.Courier { return c }

// plantCounters does nothing. With the build tag faults the limits can be made wrong on purpose.
func plantCounters(*config) {}

// plantHandler returns the handler as it is. With the build tag faults it can be broken on purpose.
func plantHandler(h http.Handler) (http.Handler, error) { return h, nil }
