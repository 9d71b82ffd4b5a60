package csrf

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/vestibule-auth/vestibule/internal/params"
)

const (
	// SecretLen is the length of a secret, and TokenLen the length of a token, in characters. Both
	// consist of letters and digits.
	SecretLen = 32
	TokenLen  = 2 * SecretLen

	// Field is the form's field that carries a token, as in Django.
	Field = "csrfmiddlewaretoken"
	// Header is the header that carries a token, as in Django.
	Header = "X-CSRFToken"
	// maxForm is the maximum size in bytes of a form that is searched for a token.
	maxForm = 64 << 10

	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
)

// SecretOf derives the CSRF secret of a session from the session's own secret, such as the value of
// its cookie. This secret must have at least 128 random bits. When the session changes, its tokens
// change too, and they are useless for other sessions.
func SecretOf(session string) string {
	sum := sha256.Sum256([]byte("vestibule csrf\x00" + session))
	var out [SecretLen]byte
	for i, b := range sum {
		out[i] = letters[int(b)%len(letters)]
	}
	return string(out[:])
}

// Mask returns a token for a page: the secret, masked with random characters as in Django, so that
// no two pages hold the same text. This prevents the BREACH attack. secret must be SecretLen
// letters and digits; see [SecretOf].
func Mask(secret string) string {
	mask := make([]byte, 0, TokenLen)
	var b [64]byte
	for len(mask) < SecretLen {
		_, _ = rand.Read(b[:]) // cannot fail; see crypto/rand
		for _, c := range b {
			if int(c) < 4*len(letters) && len(mask) < SecretLen { // keeps all letters equally likely
				mask = append(mask, letters[int(c)%len(letters)])
			}
		}
	}
	for i := range SecretLen {
		x := strings.IndexByte(letters, secret[i]) + strings.IndexByte(letters, mask[i])
		mask = append(mask, letters[x%len(letters)])
	}
	return string(mask)
}

var (
	// ErrMissing, ErrLength, ErrCharacters and ErrIncorrect report, in Django's words, what is
	// wrong with a token.
	ErrMissing    = errors.New("CSRF token missing")
	ErrLength     = errors.New("CSRF token has incorrect length")
	ErrCharacters = errors.New("CSRF token has invalid characters")
	ErrIncorrect  = errors.New("CSRF token incorrect")
)

// Match returns nil if sent is the secret or a token made from it by [Mask]. Otherwise it returns
// [ErrMissing], [ErrLength], [ErrCharacters] or [ErrIncorrect]. It compares in constant time.
func Match(secret, sent string) error {
	switch {
	case sent == "":
		return ErrMissing
	case len(sent) != SecretLen && len(sent) != TokenLen:
		return ErrLength
	}
	for i := range len(sent) {
		if strings.IndexByte(letters, sent[i]) < 0 {
			return ErrCharacters
		}
	}
	if len(sent) == TokenLen {
		var plain [SecretLen]byte
		for i := range plain {
			x := strings.IndexByte(letters, sent[SecretLen+i]) - strings.IndexByte(letters, sent[i])
			plain[i] = letters[(x+len(letters))%len(letters)]
		}
		sent = string(plain[:])
	}
	if subtle.ConstantTimeCompare([]byte(secret), []byte(sent)) != 1 {
		return ErrIncorrect
	}
	return nil
}

// CheckToken returns an error with status 403 if [NeedsToken] reports true and the request has no
// valid token for secret, in the header [Header] or the form field [Field]. To search a form it
// reads up to 64 KiB of the body and restores it for the handler.
func CheckToken(r *http.Request, secret string) error {
	if !NeedsToken(r) {
		return nil
	}
	sent, err := sentToken(r)
	if err != nil {
		return err
	}
	if err := Match(secret, sent); err != nil {
		return refused(err.Error()+".", "the request has neither Origin nor Sec-Fetch-Site, so it needs a token: "+err.Error())
	}
	return nil
}

// sentToken returns the token of a request, or "". The form field takes precedence over the header,
// as in Django.
func sentToken(r *http.Request) (string, error) {
	if r.PostForm != nil {
		if sent := r.PostForm.Get(Field); sent != "" {
			return sent, nil
		}
	} else if kind, _, err := params.MediaType(r.Header.Get("Content-Type")); err == nil && kind == "application/x-www-form-urlencoded" && r.Body != nil {
		head, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
		r.Body = &replay{io.MultiReader(bytes.NewReader(head), r.Body), r.Body}
		if err != nil {
			return "", refused("The form could not be read.", "the form could not be read")
		}
		if len(head) <= maxForm {
			if form, err := params.Parse(string(head)); err == nil && form.Get(Field) != "" {
				return form.Get(Field), nil
			}
		}
	}
	return r.Header.Get(Header), nil
}

// replay is a body whose beginning was already read.
type replay struct {
	io.Reader
	io.Closer
}
