//go:build faults

package main

/*
#include <stdint.h>
#include <time.h>

typedef int (*clock_function)(clockid_t, struct timespec *);
static clock_function system_clock;
static volatile int64_t shift;

__attribute__((no_stack_protector))
static int shifted_clock(clockid_t id, struct timespec *now) {
	int result = system_clock(id, now);
	if (id == CLOCK_REALTIME) {
		now->tv_sec += shift;
	}
	return result;
}

static uintptr_t put_before(uintptr_t function) {
	system_clock = (clock_function)function;
	return (uintptr_t)shifted_clock;
}

static void set_shift(int64_t seconds) { shift = seconds; }
*/
import "C"

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	_ "unsafe" // for go:linkname
)

// clockFunction is the kernel's function that package runtime calls to read the clock. Build with
// -ldflags=-checklinkname=0.
//
//go:linkname clockFunction runtime.vdsoClockgettimeSym
var clockFunction uintptr

// control serves the socket that VESTIBULE_CONTROL names. A line is a command:
//
//   - "clock SECONDS" sets the wall clock of the process that much ahead of the system's, as a
//     wrong NTP server does. The monotonic clock goes on as before.
//   - "goroutines" returns the number of goroutines.
func control() error {
	path := os.Getenv("VESTIBULE_CONTROL")
	if path == "" {
		return nil
	}
	if clockFunction == 0 {
		return errors.New("VESTIBULE_CONTROL: the clock of this system cannot be shifted")
	}
	_ = os.Remove(path) // of a predecessor that was killed
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	clockFunction = uintptr(C.put_before(C.uintptr_t(clockFunction)))
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				slog.Error("control socket closed", slog.Any("error", err))
				return
			}
			go obey(c)
		}
	}()
	return nil
}

func obey(c net.Conn) {
	defer c.Close()
	line, _ := bufio.NewReader(c).ReadString('\n')
	var seconds int64
	if n, _ := fmt.Sscanf(line, "clock %d", &seconds); n == 1 {
		C.set_shift(C.int64_t(seconds))
		fmt.Fprintln(c, 0)
	} else if line == "goroutines\n" {
		fmt.Fprintln(c, runtime.NumGoroutine())
	}
}
