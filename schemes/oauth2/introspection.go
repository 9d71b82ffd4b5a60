package oauth2

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/jose"
)

// ForeignToken is what an issuer said of a live token (RFC 7662 section 2.2). It is
// Identity.Credential of an Introspector; each request has its own.
type ForeignToken struct {
	// Issuer is what the answer says, which may be nothing.
	Issuer string
	// Subject is "" for a client's own token.
	Subject, Client, Username string
	// Type is "token_type", Use "token_use", which some issuers add.
	Type, Use string
	Scopes    []string // never nil
	Audience  []string // nil: the answer has none
	// Bound says that the token is bound to a key ("cnf").
	Bound bool
	// Expires, NotBefore and AuthTime are zero where the answer has them not.
	Expires, NotBefore, AuthTime time.Time
	// Claims is the whole answer.
	Claims jose.Claims
}

// about returns what the issuer says of a token; nil where it is not live.
func (i *Introspector) about(ctx context.Context, text string) (*ForeignToken, error) {
	if i.cache == nil {
		return i.ask(ctx, text)
	}
	t, err := i.cache.get(ctx, i.key(text), func(ctx context.Context) (*ForeignToken, error) { return i.ask(ctx, text) })
	if t != nil {
		t = t.clone() // the cache's own is for all
	}
	return t, err
}

func (t *ForeignToken) clone() *ForeignToken {
	c := *t
	c.Scopes, c.Audience = slices.Clone(t.Scopes), slices.Clone(t.Audience)
	return &c
}

// CloneCredential returns a copy of t that shares no list with it.
func (t *ForeignToken) CloneCredential() any { return t.clone() }

// key names a token in the cache: by its issuer, endpoint, audience, who asks, and digest
// (RULES T5).
func (i *Introspector) key(text string) (key [sha256.Size]byte) {
	h := sha256.New()
	for _, s := range []string{i.issuer, i.endpoint, i.audience, i.by.ID, text} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		io.WriteString(h, s)
	}
	h.Sum(key[:0])
	return key
}

// ask asks the issuer. Every error is a fault: none holds the token or the answer.
func (i *Introspector) ask(ctx context.Context, text string) (*ForeignToken, error) {
	form := url.Values{"token": {text}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	// Both parts are form-urlencoded before they are joined (RFC 6749 section 2.3.1).
	by := url.QueryEscape(i.by.ID) + ":" + url.QueryEscape(i.by.Secret)
	req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(by)))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	res, err := i.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("oauth2: the issuer can not be asked: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("oauth2: the issuer answers with status %d", res.StatusCode)
	}
	if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, errors.New("oauth2: the issuer does not answer with JSON")
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, i.opts.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("oauth2: the issuer's answer can not be read: %w", err)
	}
	if int64(len(body)) > i.opts.MaxBytes {
		return nil, fmt.Errorf("oauth2: the issuer's answer is longer than %d bytes", i.opts.MaxBytes)
	}
	t, err := readAnswer(body)
	if err != nil {
		return nil, fmt.Errorf("oauth2: the issuer's answer: %w", err)
	}
	return t, nil
}

// readAnswer reads an answer as strictly as a token's claims are read; nil where the token is
// not live.
func readAnswer(body []byte) (*ForeignToken, error) {
	claims, err := jose.ParseClaims(body)
	if err != nil {
		return nil, err
	}
	active, _ := claims.Get("active")
	switch {
	case bytes.Equal(active, []byte("false")):
		return nil, nil
	case !bytes.Equal(active, []byte("true")):
		return nil, errors.New("active is neither true nor false")
	}
	reg, err := claims.Registered()
	if err != nil {
		return nil, err
	}
	t := &ForeignToken{
		Issuer: reg.Issuer, Subject: reg.Subject, Scopes: []string{}, Audience: reg.Audience,
		Expires: reg.Expires, NotBefore: reg.NotBefore, Claims: claims,
	}
	scope := ""
	for name, to := range map[string]*string{"client_id": &t.Client, "username": &t.Username, "token_type": &t.Type, "token_use": &t.Use, "scope": &scope} {
		raw, ok := claims.Get(name)
		if !ok || string(raw) == `""` {
			continue
		}
		if *to, ok = claims.Text(name); !ok || name != "scope" && !isText(*to) {
			return nil, fmt.Errorf("%s is no text", name)
		}
	}
	for s := range strings.SplitSeq(scope, " ") {
		if s == "" {
			continue
		}
		if !isScope(s) {
			return nil, errors.New("scope holds no scopes (RFC 6749 section 3.3)")
		}
		t.Scopes = append(t.Scopes, s)
	}
	if cnf, ok := claims.Get("cnf"); ok {
		t.Bound = string(cnf) != "null"
	}
	if _, ok := claims.Get("auth_time"); ok {
		if t.AuthTime, err = claims.Time("auth_time"); err != nil {
			return nil, err
		}
	}
	if t.Subject == t.Client {
		t.Subject = ""
	}
	return t, nil
}
