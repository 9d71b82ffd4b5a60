package authn

import (
	"crypto/sha256"
	"hash/maphash"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/vestibule-auth/vestibule/internal/network"
)

// digest is the SHA-256 of the credentials of a request.
type digest = [sha256.Size]byte

func digestOf(text string) digest {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(text), len(text))) // without a copy
}

// guessedDigest returns the digest of guessable credentials. It covers a random key of this
// process, so that a copy of the table cannot be used to try passwords, and the client address. The
// key has a fixed length and the digest does not leave the process, so a prefix is as good as an
// HMAC. It returns false if the client address is unknown.
func (p *plan) guessedDigest(r *http.Request, text string) (digest, bool) {
	var room [160]byte // longer ones go to the heap
	buf := append(room[:0], p.table.key[:]...)
	if host := plainHost(r.RemoteAddr); host != "" && p.proxies.IsZero() {
		buf = append(append(buf, byte(len(host))), host...)
	} else {
		a := sourceOf(p.proxies, r)
		if !a.IsValid() {
			return digest{}, false
		}
		b := a.As16()
		buf = append(append(buf, 0), b[:]...)
	}
	buf = append(buf, text...)
	d := sha256.Sum256(buf)
	clear(buf)
	return d, true
}

// plainHost returns the host of "192.0.2.1:40000". It returns "" if remote is not a host without
// colons and a port. Equal texts are equal addresses.
func plainHost(remote string) string {
	i := strings.LastIndexByte(remote, ':')
	if i <= 0 || i == len(remote)-1 || i > 255 || strings.IndexByte(remote[:i], ':') >= 0 {
		return ""
	}
	for j := i + 1; j < len(remote); j++ {
		if remote[j] < '0' || remote[j] > '9' {
			return ""
		}
	}
	return remote[:i]
}

// sourceOf returns the client address for which guesses are counted: an IPv4 address or an IPv6
// /64.
func sourceOf(proxies TrustedProxies, r *http.Request) netip.Addr {
	return network.Source.First(proxies.addr(r))
}

// guessStripes is the number of counters that all client addresses share. If two addresses share a
// counter, they remove each other's entries, which costs a call of Authenticate.
const guessStripes = 1024

const (
	waitingBits = 20 // low bits of a counter: guesses being checked; the other bits count wrong guesses
	wrongGuess  = 1 << waitingBits
	waitingMask = wrongGuess - 1
)

// guess is a check of guessable credentials. While a guess is being checked, entries of its client
// address are not used, and Authenticate is called instead. If the guess is wrong, these entries
// are invalid. So the table answers none of many concurrent guesses, and a limiter counts each of
// them.
type guess struct {
	count *atomic.Uint64
	at    uint64 // the counter without the guesses being checked
	waits bool
}

// begin counts a guess. Credentials that equal an entry of the table are not a guess at another
// password and suspend no entries.
func (t *Table) begin(source netip.Addr, isKept bool) *guess {
	stripes := t.guesses.Load()
	if stripes == nil {
		t.guesses.CompareAndSwap(nil, new([guessStripes]atomic.Uint64))
		stripes = t.guesses.Load()
	}
	g := &guess{count: &stripes[maphash.Comparable(t.seed, source)%guessStripes], waits: !isKept}
	if g.waits {
		g.at = g.count.Add(1) &^ waitingMask
	} else {
		g.at = g.count.Load() &^ waitingMask
	}
	return g
}

// end records the result of the guess. Everything except success counts as wrong, including a
// fault. Otherwise a client could disconnect before the response and guess unnoticed.
func (g *guess) end(right bool) {
	var change uint64
	if !right {
		change = wrongGuess
	}
	if g.waits {
		change-- // wraps around: the sum is right
	}
	g.count.Add(change)
}

// ended reports whether there was a wrong guess since the entry was created. suspended reports
// whether a guess is being checked.
func (e *entry) ended() bool { return e.guesses != nil && e.guesses.Load()&^waitingMask != e.guessed }

func (e *entry) suspended() bool { return e.guesses != nil && e.guesses.Load() != e.guessed }
