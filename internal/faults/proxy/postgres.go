package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync/atomic"
)

// maxMessage bounds a message of PostgreSQL that is kept in memory.
const maxMessage = 16 << 20

var errMessage = errors.New("proxy: not a message of PostgreSQL")

// frames reads PostgreSQL's messages of one direction. The first message of a client has no type.
type frames struct{ first bool }

// next returns one whole message.
func (f *frames) next(from io.Reader) ([]byte, error) {
	head := make([]byte, 5)
	if f.first {
		head = head[:4]
	}
	if _, err := io.ReadFull(from, head); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(head[len(head)-4:]))
	if n < 4 || n > maxMessage {
		return nil, errMessage
	}
	data := append(head, make([]byte, n-4)...)
	if _, err := io.ReadFull(from, data[len(head):]); err != nil {
		return nil, err
	}
	f.first = false
	return data, nil
}

// link is one connection of a client through the proxy, to a PostgreSQL server.
type link struct {
	p     *Proxy
	armed atomic.Bool // the answer to the commit that passed is not delivered
}

// cut reports whether the connection ends with this message, which is then not forwarded.
func (l *link) cut(data []byte, up bool) bool {
	switch {
	case up && isCommit(data):
		before := false
		l.p.set(func() {
			if l.p.commit.left > 0 {
				l.p.commit.left--
				l.p.cuts++
				before = !l.p.commit.after
				l.armed.Store(!before)
			}
		})
		return before
	case !up && isCommitted(data):
		return l.armed.Load()
	}
	return false
}

// isCommit recognizes the simple query that database/sql's Commit sends.
func isCommit(m []byte) bool {
	return len(m) > 5 && m[0] == 'Q' && strings.EqualFold(strings.TrimSpace(strings.TrimRight(string(m[5:]), "\x00;")), "commit")
}

// isCommitted recognizes the answer to a commit.
func isCommitted(m []byte) bool {
	return len(m) > 5 && m[0] == 'C' && bytes.Equal(m[5:], []byte("COMMIT\x00"))
}
