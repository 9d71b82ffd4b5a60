package oidclogin

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/keys"
)

// flowTTL is the time that a user has to log in at the provider.
const flowTTL = 10 * time.Minute

// flow is a login that a browser has begun. The browser keeps the flow in an encrypted cookie. It
// has one such cookie for each provider.
type flow struct {
	Provider string    `json:"p"`
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"`
	Next     string    `json:"to"`
	Until    time.Time `json:"u"`
	// Fresh is the earliest auth_time that is accepted; zero means any.
	Fresh time.Time `json:"f"`
	// Subject, Session and Epoch identify the session that began to link its account. For a login
	// they are "" and 0.
	Subject string `json:"sub,omitempty"`
	Session string `json:"sid,omitempty"`
	Epoch   int64  `json:"e,omitempty"`
}

// String and GoString keep the secrets out of logs.
func (flow) String() string   { return "[redacted]" }
func (flow) GoString() string { return "[redacted]" }

var errFlow = errors.New("the cookie of the login is missing, malformed or expired")

const randomBytes = 32

// cookieOf returns the name of the cookie of a provider.
func (l *Login) cookieOf(p *provider) string {
	name := "oidclogin-" + p.Name
	if l.site.IsLoopback() {
		return name
	}
	return "__Host-" + name
}

// setCookie sets a cookie that the browser sends when the provider redirects to this application.
// An empty text deletes the cookie.
func (l *Login) setCookie(w http.ResponseWriter, name, text string, age time.Duration) {
	c := &http.Cookie{Name: name, Value: text, Path: "/", MaxAge: int(age / time.Second), Secure: !l.site.IsLoopback(), HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if text == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// aead returns the cipher of one cookie. Each cookie has its own key, so the nonce can be zero.
func aead(key keys.Key, random []byte) (cipher.AEAD, error) {
	mac := hmac.New(sha256.New, key[:])
	mac.Write(random)
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// seal returns the text of the cookie: the ID of the master key, a dot, and the base64url of random
// bytes and the encrypted flow.
func (l *Login) seal(name string, f flow) (string, error) {
	plain, err := json.Marshal(f)
	if err != nil {
		return "", err
	}
	id, key := l.ring.Newest(keys.OpenIDLogin)
	random := make([]byte, randomBytes)
	_, _ = rand.Read(random) // never fails
	box, err := aead(key, random)
	if err != nil {
		return "", err
	}
	return id + "." + base64.RawURLEncoding.EncodeToString(box.Seal(random, make([]byte, box.NonceSize()), plain, []byte(name))), nil
}

// open returns the flow of the request's cookie, or errFlow.
func (l *Login) open(r *http.Request, p *provider) (f flow, err error) {
	name := l.cookieOf(p)
	found := r.CookiesNamed(name)
	if len(found) != 1 {
		return flow{}, errFlow
	}
	id, text, _ := strings.Cut(found[0].Value, ".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	key, ok := l.ring.ByID(keys.OpenIDLogin, id)
	if err != nil || !ok || len(raw) < randomBytes {
		return flow{}, errFlow
	}
	box, err := aead(key, raw[:randomBytes])
	if err != nil {
		return flow{}, err
	}
	plain, err := box.Open(nil, make([]byte, box.NonceSize()), raw[randomBytes:], []byte(name))
	if err != nil || json.Unmarshal(plain, &f) != nil {
		return flow{}, errFlow
	}
	if f.Provider != p.Name || f.State == "" || !l.opts.Clock().Before(f.Until) {
		return flow{}, errFlow
	}
	return f, nil
}
