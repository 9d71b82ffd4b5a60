package redistest

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// run starts a program that ends with this process, also if a test panics. The kernel watches the
// thread that started it, so a goroutine keeps that thread until the program ends.
func run(cmd *exec.Cmd) (*os.Process, chan struct{}, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	err := <-started
	return cmd.Process, ended, err
}
