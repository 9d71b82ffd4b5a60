package oauth2

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/storage"
)

const (
	// proofWindow is how far from now a proof may have been made.
	proofWindow = time.Minute
	// maxProof is the longest proof, in bytes.
	maxProof = 8 << 10
)

// proof is a DPoP proof that fits its request. Until it is proved, the key in it is what the
// sender says.
type proof struct {
	key  string // thumbprint of the key; "": there is no proof
	id   string // "jti"
	at   time.Time
	text *jose.Embedded
}

// badProof refuses a proof. Its code is "invalid_dpop_proof" or "use_dpop_nonce".
type badProof struct {
	code  string
	cause error
}

func (b *badProof) Error() string { return b.code + ": " + b.cause.Error() }

func (b *badProof) description() string {
	if b.code == "use_dpop_nonce" {
		return "The DPoP proof needs a nonce of this server."
	}
	return "The DPoP proof is missing or invalid."
}

func spoiled(why string) error { return &badProof{"invalid_dpop_proof", errors.New(why)} }

// proof returns the request's proof if it fulfils RFC 9449 section 4.3 for that URI and, if
// there is one, that access token, but for its signature and its one use: those cost more, and
// are left to prove, once what the request is about was found. Nothing in the URI comes from a
// Host header.
func (s *Server) proof(r *http.Request, uri, token string) (proof, error) {
	lines := r.Header["Dpop"]
	switch {
	case len(lines) == 0:
		return proof{}, nil
	case len(lines) > 1:
		return proof{}, spoiled("several proofs")
	case len(lines[0]) > maxProof:
		return proof{}, spoiled("too long")
	}
	e, err := jose.DecodeEmbedded(lines[0], "dpop+jwt", algorithms()...)
	if err != nil {
		return proof{}, &badProof{"invalid_dpop_proof", err}
	}
	claims := e.Claims
	known, err := claims.Registered()
	if err != nil {
		return proof{}, &badProof{"invalid_dpop_proof", err}
	}
	htm, _ := claims.Text("htm")
	htu, _ := claims.Text("htu")
	age := s.now().Sub(known.IssuedAt)
	switch {
	case known.ID == "":
		return proof{}, spoiled("no jti")
	case htm != r.Method:
		return proof{}, spoiled("for another method")
	case !sameURI(htu, uri):
		return proof{}, spoiled("for another address: here it begins with " + originOf(uri))
	case known.IssuedAt.IsZero() || age > proofWindow || age < -proofWindow:
		return proof{}, spoiled("made too long ago, or later than now")
	case !known.Expires.IsZero() && !s.now().Before(known.Expires) || s.now().Before(known.NotBefore):
		return proof{}, spoiled("outside of its own times")
	}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		ath, _ := claims.Text("ath")
		if subtle.ConstantTimeCompare([]byte(ath), []byte(base64.RawURLEncoding.EncodeToString(sum[:]))) != 1 {
			return proof{}, spoiled("for another access token")
		}
	}
	if s.opts.DPoP.Nonces != nil {
		if nonce, _ := claims.Text("nonce"); !s.fresh(nonce) {
			return proof{}, &badProof{"use_dpop_nonce", errors.New("without a nonce, or with an old one")}
		}
	}
	return proof{e.Thumbprint, known.ID, known.IssuedAt, e}, nil
}

// prove verifies the signature of a proof, if there is one, and then takes its one use.
func (s *Server) prove(ctx context.Context, p proof) error {
	if err := verified(p); err != nil || p.key == "" {
		return err
	}
	return s.spend(ctx, p)
}

// verified verifies the signature of a proof, if there is one.
func verified(p proof) error {
	if p.key == "" {
		return nil
	}
	if err := p.text.Verify(); err != nil {
		return &badProof{"invalid_dpop_proof", err}
	}
	return nil
}

// spend takes a proof's one use. A note of it is 32 bytes, whatever the proof is, and is kept
// a little longer than the proof is good, since the clocks of replicas differ.
func (s *Server) spend(ctx context.Context, p proof) error {
	err := s.firstUse(ctx, storage.BlockKeyOf(storage.ReplayProof, p.key, p.id), p.at.Add(2*proofWindow))
	if errors.Is(err, errUsed) {
		return spoiled("used before")
	}
	return err
}

// sameURI compares a proof's "htu" with an address after the normalization of RFC 3986
// sections 6.2.2 and 6.2.3. Its query and its fragment do not count (RFC 9449 section 4.3).
func sameURI(htu, want string) bool {
	if i := strings.IndexAny(htu, "?#"); i >= 0 {
		htu = htu[:i]
	}
	a, ok := normal(htu)
	b, ok2 := normal(want)
	return ok && ok2 && a == b
}

// originOf is scheme and host of an address that is configured.
func originOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func normal(text string) (string, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" || strings.ContainsAny(text, "?#") {
		return "", false
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return u.Scheme + "://" + host + escapes(path), true
}

// escapes writes percent-encodings in upper case, and those of unreserved characters out.
func escapes(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] != '%' || i+2 >= len(path) {
			b.WriteByte(path[i])
			continue
		}
		code := strings.ToUpper(path[i : i+3])
		if c, err := url.PathUnescape(code); err == nil && unreserved(c[0]) {
			code = c
		}
		b.WriteString(code)
		i += 2
	}
	return b.String()
}
