//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program that this one started. It is killed when this one ends.
type process struct {
	pid   int
	ended chan struct{}
}

// start runs cmd with its output appended to a file. With as it runs as that user.
func start(cmd *exec.Cmd, output string, as *syscall.Credential) (*process, error) {
	out, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = out
	}
	cmd.Stderr = out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: as}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the kernel watches the thread that started the program
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return &process{cmd.Process.Pid, ended}, nil
}

// gone reports whether the program ended.
func (p *process) gone() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// kill ends the program as a crash does, and waits until it is gone.
func (p *process) kill() {
	_ = syscall.Kill(p.pid, syscall.SIGKILL)
	<-p.ended
}

func (p *process) signal(sig syscall.Signal) { send(sig, p.pid) }

// tree returns the pids of the program and of all that it started.
func (p *process) tree() []int {
	parents := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if len(fields) > 1 {
			parent, _ := strconv.Atoi(fields[1])
			parents[parent] = append(parents[parent], pid)
		}
	}
	all := []int{p.pid}
	for i := 0; i < len(all); i++ {
		all = append(all, parents[all[i]]...)
	}
	return all
}

func send(sig syscall.Signal, pids ...int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig)
	}
}

// resources are what a process has open and in memory. The process itself knows its goroutines.
type resources struct{ Files, Threads, KiB, Goroutines int }

func (p *process) resources() resources {
	files, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	r := resources{Files: len(files)}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		switch name {
		case "Threads":
			r.Threads = n
		case "VmRSS":
			r.KiB = n
		}
	}
	return r
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// wait polls until done returns nil. It returns the last error if that takes longer than limit.
func wait(limit time.Duration, done func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); ; <-tick.C {
		err := done()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// unprivileged returns the user that PostgreSQL runs as: it refuses root. nil means this one.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}
