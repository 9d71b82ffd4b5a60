//go:build linux

package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a program that a benchmark started.
type Process struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

// Start starts a program that writes its output to the file log.
func Start(cmd *exec.Cmd, log string) (*Process, error) {
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd.Stderr = f
	if cmd.Stdout == nil {
		cmd.Stdout = f
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM // no program outlives the benchmark
	p := &Process{cmd: cmd, log: log, ended: make(chan struct{})}
	if err := p.run(); err != nil {
		return nil, err
	}
	return p, nil
}

// run starts the program from a thread that lasts as long as the program, because the parent of
// Pdeathsig is a thread.
func (p *Process) run() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait()
			close(p.ended)
		}
	}()
	return <-started
}

// Stop ends the program with a signal, or after ten seconds by force, and waits for its end.
func (p *Process) Stop(s os.Signal) {
	_ = p.cmd.Process.Signal(s)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// Until calls ready until it returns nil. If the program ends first, or limit passes, it returns an
// error with the end of the log.
func (p *Process) Until(ctx context.Context, limit time.Duration, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-pause.C:
			continue
		case <-p.ended:
			err = errors.New("the program ended")
		case <-ctx.Done():
		}
		text, _ := os.ReadFile(p.log)
		return fmt.Errorf("%s: %w; the end of its log:\n%s", filepath.Base(p.cmd.Path), err, text[max(0, len(text)-2000):])
	}
}

// CPU returns the processor time of the program and of its children, those that ended included.
func (p *Process) CPU() time.Duration {
	pid := p.cmd.Process.Pid
	sum := cpuOf(pid)
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for field := range strings.FieldsSeq(string(children)) {
		if child, err := strconv.Atoi(field); err == nil {
			sum += cpuOf(child)
		}
	}
	return sum
}

// tick is the unit of times in /proc, which is 1/100 s on every Linux.
const tick = 10 * time.Millisecond

func cpuOf(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(text, []byte(") ")) // the program's name can contain anything else
	fields := strings.Fields(string(rest))
	var sum time.Duration
	for _, i := range []int{11, 12, 13, 14} { // utime, stime, cutime, cstime
		if i < len(fields) {
			n, _ := strconv.ParseInt(fields[i], 10, 64)
			sum += time.Duration(n) * tick
		}
	}
	return sum
}

// Memory returns the resident memory in bytes.
func (p *Process) Memory() int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// FreePort returns a port of this machine on which nothing listens.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Describe returns what the machine is.
func Describe() string {
	s := fmt.Sprintf("%s/%s, %d cores", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return s + ", " + strings.TrimSpace(value)
		}
	}
	return s
}

// Commit returns the commit of the repository, with "+" if files were changed.
func Commit() string {
	text, _ := exec.Command("git", "describe", "--always", "--exclude=*", "--dirty=+").Output()
	return strings.TrimSpace(string(text))
}
