//go:build linux

package machine

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestProcess(t *testing.T) {
	running := exec.Command("cat")
	if _, err := running.StdinPipe(); err != nil { // never closed
		t.Fatal(err)
	}
	p, err := Start(running, filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	if m := p.Memory(); m <= 0 || m > 1<<30 {
		t.Errorf("%d bytes", m)
	}
	p.Stop(syscall.SIGTERM)
	if p.Memory() != 0 {
		t.Error("a program that was stopped has memory")
	}
	ended, err := Start(exec.Command("sh", "-c", "echo some reason >&2; exit 1"), filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	<-ended.ended
	err = ended.Until(t.Context(), time.Minute, func(context.Context) error { return errors.New("not ready") })
	if err == nil || !strings.Contains(err.Error(), "the program ended") || !strings.Contains(err.Error(), "some reason") {
		t.Error(err)
	}
}

func TestCPU(t *testing.T) {
	p, err := Start(exec.Command("sh", "-c", "while :; do :; done"), filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop(syscall.SIGKILL)
	err = p.Until(t.Context(), time.Minute, func(context.Context) error {
		if p.CPU() < 5*tick {
			return errors.New("no processor time")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
