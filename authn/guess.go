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

// digest is the SHA-256 of what a request presented.
type digest = [sha256.Size]byte

func digestOf(text string) digest {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(text), len(text))) // without a copy
}

// guessedDigest is the digest of guessable credentials: over a key of this process, so that a
// copy of the table is of no use for trying passwords, and over the address that sent them. The
// key has a fixed length and the digest does not leave the process, so that a prefix does what an
// HMAC would. It returns false if the address is not known.
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

// plainHost returns the host of "192.0.2.1:40000", and "" for what is not a host without colons
// and a port: equal texts are equal addresses.
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

// sourceOf is the address for which guesses count: an IPv4 address or an IPv6 /64.
func sourceOf(proxies TrustedProxies, r *http.Request) netip.Addr {
	return network.Source.First(proxies.addr(r))
}

// guessStripes is how many counters all addresses share. Two addresses of one counter end each
// other's entries, which costs a call of Authenticate.
const guessStripes = 1024

const (
	waitingBits = 20 // of a counter: how many guesses are being checked; the rest counts wrong ones
	wrongGuess  = 1 << waitingBits
	waitingMask = wrongGuess - 1
)

// guess is a check of guessable credentials. While one is under way, no entry of its address is a
// hit but for calls of Authenticate, and if it fails, all of them have ended. So of many guesses at
// once not one is answered by the table: a limiter sees each of them.
type guess struct {
	count *atomic.Uint64
	at    uint64 // the counter, without those that wait
	waits bool
}

// begin notes a guess. One that is equal to an entry of the table is no guess at another
// password, and suspends nothing.
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

// end notes how the guess ended. What was no success was wrong: also a fault, or else a client
// that goes away before the answer could guess unnoticed.
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

// ended reports whether there was a wrong guess since the entry was made, and suspended whether
// one is being checked.
func (e *entry) ended() bool { return e.guesses != nil && e.guesses.Load()&^waitingMask != e.guessed }

func (e *entry) suspended() bool { return e.guesses != nil && e.guesses.Load() != e.guessed }
