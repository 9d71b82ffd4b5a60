//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// volumeSize is enough for the database of an hour.
const volumeSize = "768m"

// volume is a file system in memory that can be filled. What is written to it survives kill -9 of
// the process that wrote it.
type volume struct{ dir string }

// newVolume mounts one on an empty folder. It needs root, or sudo that does not ask.
func newVolume(dir string, as *syscall.Credential) (*volume, error) {
	uid, gid := os.Geteuid(), os.Getegid()
	if as != nil {
		uid, gid = int(as.Uid), int(as.Gid)
	}
	options := fmt.Sprintf("size=%s,mode=0700,uid=%d,gid=%d", volumeSize, uid, gid)
	if out, err := asRoot("mount", "-t", "tmpfs", "-o", options, "vestibule-faults", dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mount: %w: %s", err, out)
	}
	return &volume{dir}, nil
}

func asRoot(args ...string) *exec.Cmd {
	if os.Geteuid() != 0 {
		args = append([]string{"sudo", "-n"}, args...)
	}
	return exec.Command(args[0], args[1:]...)
}

func (v *volume) filler() string { return filepath.Join(v.dir, "filler") }

// fill takes all space that is left.
func (v *volume) fill() error {
	f, err := os.OpenFile(v.filler(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	var size int64
	for _, step := range []int64{16 << 20, 1 << 20, 4 << 10} {
		for {
			err := syscall.Fallocate(int(f.Fd()), 0, size, step)
			if errors.Is(err, syscall.ENOSPC) {
				break
			}
			if err != nil && !errors.Is(err, syscall.EINTR) {
				return err
			}
			if err == nil {
				size += step
			}
		}
	}
	return nil
}

// free gives the space back.
func (v *volume) free() error {
	if err := os.Remove(v.filler()); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (v *volume) close() error {
	if out, err := asRoot("umount", v.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("umount: %w: %s", err, out)
	}
	return nil
}
