//go:build linux

package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// cache is a Redis server that writes each change to disk before it answers.
type cache struct {
	dir  string
	port int
	p    *process
}

func newCache(dir string) (*cache, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	c := &cache{dir: dir, port: port}
	return c, c.start()
}

func (c *cache) start() error {
	cmd := exec.Command("redis-server", "--port", fmt.Sprint(c.port), "--bind", "127.0.0.1", "--dir", c.dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")
	p, err := start(cmd, filepath.Join(c.dir, "..", "redis.log"), nil)
	if err != nil {
		return err
	}
	c.p = p
	return wait(60*time.Second, func() error { return c.do("PING") })
}

func (c *cache) addr() string { return fmt.Sprintf("127.0.0.1:%d", c.port) }

// do sends one command without arguments that need quotes.
func (c *cache) do(command string) error {
	conn, err := net.DialTimeout("tcp", c.addr(), time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(conn, "%s\r\n", command)
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "+") {
		err = fmt.Errorf("redis: %s: %s", command, strings.TrimSpace(line))
	}
	return err
}
