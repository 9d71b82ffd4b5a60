//go:build linux

package hydra

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// client is a small HTTP client with one connection to each server, so that little of the time is
// the client's own. Only one goroutine may use it.
type client struct{ conns map[string]*conn }

type conn struct {
	net.Conn
	r *bufio.Reader
}

func newClient() *client { return &client{conns: make(map[string]*conn)} }

func (c *client) close() {
	for _, cn := range c.conns {
		cn.Close()
	}
	clear(c.conns)
}

// request is what is sent. Header lines end with "\r\n". A Form is sent as a POST, and JSON as a PUT
// or, if Post is true, as a POST.
type request struct {
	Addr, Path string
	Header     string
	Form, JSON string
	Post       bool
}

// response is what came back. Redirects are not followed.
type response struct {
	Status int
	Header http.Header
	Body   []byte
}

func (r *request) bytes() []byte {
	method, body, kind := "GET", "", "application/x-www-form-urlencoded"
	switch {
	case r.Form != "":
		method, body = "POST", r.Form
	case r.JSON != "":
		method, body, kind = "PUT", r.JSON, "application/json"
	}
	if r.Post {
		method = "POST"
	}
	var b bytes.Buffer
	b.WriteString(method + " " + r.Path + " HTTP/1.1\r\nHost: " + r.Addr + "\r\nAccept: */*\r\n" + r.Header)
	if method != "GET" {
		b.WriteString("Content-Type: " + kind + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n")
	}
	b.WriteString("\r\n" + body)
	return b.Bytes()
}

// do sends a request. A server may have closed a connection that was not used for a while, so the
// request is repeated once on a new one if the old one had no answer at all.
func (c *client) do(r request) (response, error) {
	_, kept := c.conns[r.Addr]
	answer, begun, err := c.once(r)
	if err != nil && kept && !begun {
		answer, _, err = c.once(r)
	}
	return answer, err
}

func (c *client) once(r request) (answer response, begun bool, err error) {
	cn, err := c.conn(r.Addr)
	if err != nil {
		return answer, false, err
	}
	defer func() {
		if err != nil {
			cn.Close()
			delete(c.conns, r.Addr)
		}
	}()
	if err := cn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return answer, false, err
	}
	if _, err := cn.Write(r.bytes()); err != nil {
		return answer, false, err
	}
	if _, err := cn.r.Peek(1); err != nil {
		return answer, false, err
	}
	got, err := http.ReadResponse(cn.r, nil)
	if err != nil {
		return answer, true, err
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		return answer, true, err
	}
	if got.Close {
		cn.Close()
		delete(c.conns, r.Addr)
	}
	return response{got.StatusCode, got.Header, body}, true, nil
}

func (c *client) conn(addr string) (*conn, error) {
	if cn, ok := c.conns[addr]; ok {
		return cn, nil
	}
	tcp, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	cn := &conn{tcp, bufio.NewReader(tcp)}
	c.conns[addr] = cn
	return cn, nil
}

// want returns an error that shows the response, unless it has the status.
func (a *response) want(status int, what string) error {
	if a.Status == status {
		return nil
	}
	return fmt.Errorf("%s: status %d, want %d: %.300s", what, a.Status, status, a.Body)
}

// cookies are a browser's cookies, by name.
type cookies map[string]string

// take keeps what a response sets.
func (c cookies) take(h http.Header) {
	for _, line := range h.Values("Set-Cookie") {
		if k, err := http.ParseSetCookie(line); err == nil {
			c[k.Name] = k.Value
		}
	}
}

// header returns the header line, or "".
func (c cookies) header() string {
	if len(c) == 0 {
		return ""
	}
	line := "Cookie: "
	for name, value := range c {
		if line != "Cookie: " {
			line += "; "
		}
		line += name + "=" + value
	}
	return line + "\r\n"
}
