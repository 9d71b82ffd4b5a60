//go:build !linux

package redistest

import (
	"os"
	"os/exec"
)

// run starts a program.
func run(cmd *exec.Cmd) (*os.Process, chan struct{}, error) {
	ended := make(chan struct{})
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	return cmd.Process, ended, nil
}
