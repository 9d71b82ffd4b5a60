package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
)

// Listen listens on host:port, or on a Unix socket for "unix:PATH". It removes the
// socket that a server left behind which was killed; it never removes anything else.
func Listen(addr string) (net.Listener, error) {
	path, unix := strings.CutPrefix(addr, "unix:")
	if !unix {
		return net.Listen("tcp", addr)
	}
	l, err := net.Listen("unix", path)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	if info, serr := os.Lstat(path); serr != nil || info.Mode().Type() != fs.ModeSocket {
		return nil, err
	}
	if c, derr := net.Dial("unix", path); derr == nil { // somebody serves there
		c.Close()
		return nil, err
	} else if !errors.Is(derr, syscall.ECONNREFUSED) {
		return nil, err
	}
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return net.Listen("unix", path)
}

// where is what a listening server prints.
func where(addr net.Addr) string {
	if addr.Network() == "unix" {
		return "unix:" + addr.String()
	}
	return "http://" + addr.String()
}

// checkAddr reports an address that Listen could not accept, without asking the network.
func checkAddr(addr string) error {
	if path, unix := strings.CutPrefix(addr, "unix:"); unix {
		if path == "" {
			return fmt.Errorf("-addr %q: want unix:PATH", addr)
		}
		return nil
	}
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("-addr %q: want host:port, such as 127.0.0.1:8080", addr)
	}
	return nil
}
