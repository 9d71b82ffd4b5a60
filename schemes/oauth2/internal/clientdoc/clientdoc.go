// Package clientdoc turns client ID metadata documents into records of clients
// (draft-ietf-oauth-client-id-metadata-document). It fetches nothing.
package clientdoc

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vestibule-auth/vestibule/internal/publicfetch"
	"github.com/vestibule-auth/vestibule/jose"
	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/schemes/oauth2/internal/syntax"
	"github.com/vestibule-auth/vestibule/storage"
)

// Prefix begins the ID of every client with a document, and of no other client unless an
// administrator registered it (storage.ClientDocument.Pinned).
const Prefix = "https://"

// CheckID returns an error unless an ID can be the URL of a document. IDs are compared byte for
// byte, so only one spelling of a URL is accepted.
func CheckID(id string) error {
	switch {
	case len(id) > storage.MaxIDBytes:
		return errors.New("longer than an ID")
	case strings.Contains(id, "?"):
		return errors.New("has a query")
	}
	return publicfetch.CheckURL(id)
}

// Host returns the host of an ID, with its port if it has one.
func Host(id string) string {
	rest, ok := strings.CutPrefix(id, Prefix)
	if !ok {
		return ""
	}
	host, _, _ := strings.Cut(rest, "/")
	return host
}

// Rights are the rights of clients with documents.
type Rights struct {
	Scopes, Resources []string
	// SameOrigin requires that web redirect URIs have the origin of the document.
	SameOrigin bool
}

const (
	maxName      = 80
	maxRedirects = 20
	maxTypes     = 16
)

// ErrDocument is the error for a document that describes no client.
var ErrDocument = errors.New("client ID metadata document refused")

// document has the members that are read; others are ignored.
type document struct {
	ID        string          `json:"client_id"`
	Name      string          `json:"client_name"`
	Redirects []string        `json:"redirect_uris"`
	Method    string          `json:"token_endpoint_auth_method"`
	Grants    []string        `json:"grant_types"`
	Responses []string        `json:"response_types"`
	Scope     string          `json:"scope"`
	Keys      json.RawMessage `json:"jwks"`
	KeysURI   string          `json:"jwks_uri"`
	Pushed    bool            `json:"require_pushed_authorization_requests"`
}

// members returns where the members of a document go.
func (d *document) members() map[string]any {
	return map[string]any{
		"client_id": &d.ID, "client_name": &d.Name, "redirect_uris": &d.Redirects, "token_endpoint_auth_method": &d.Method, "grant_types": &d.Grants,
		"response_types": &d.Responses, "scope": &d.Scope, "jwks": &d.Keys, "jwks_uri": &d.KeysURI, "require_pushed_authorization_requests": &d.Pushed,
	}
}

// Parse returns the client that the document at the URL id describes. It is public or has keys, and
// is never trusted. Every error is an ErrDocument.
func Parse(id string, body []byte, rights Rights) (storage.Client, error) {
	c, err := parse(id, body, rights)
	if err != nil {
		return storage.Client{}, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	return c, nil
}

func parse(id string, body []byte, rights Rights) (c storage.Client, err error) {
	if !utf8.Valid(body) {
		return c, errors.New("not UTF-8")
	}
	claims, err := jose.ParseObject(body) // rejects duplicate names, deep objects and many members
	if err != nil {
		return c, errors.New("not a JSON object in the accepted form")
	}
	var d document
	for name, to := range d.members() {
		raw, ok := claims.Get(name)
		if !ok {
			continue
		}
		if keys, ok := to.(*json.RawMessage); ok {
			*keys = raw
		} else if bytes.Equal(raw, []byte("null")) || json.Unmarshal(raw, to) != nil {
			return c, fmt.Errorf("%s is not of its type", name)
		}
	}
	for _, name := range []string{"client_secret", "client_secret_expires_at"} {
		if _, ok := claims.Get(name); ok {
			return c, errors.New("holds a secret, which everyone can read")
		}
	}
	if err := d.check(id); err != nil {
		return c, err
	}
	c = storage.Client{
		ID: id, Name: d.Name, Method: cmp.Or(d.Method, oauth2.None), RedirectURIs: d.Redirects, Native: true, Resources: slices.Clone(rights.Resources), RequirePushed: d.Pushed,
		// The digest of no token. It marks a client that nobody has verified, and that may be
		// removed when it is unused.
		Registration: storage.DigestOf("client ID metadata document\n" + id),
		// So that the record can be checked. The caller sets the real times.
		Document: storage.ClientDocument{Fetched: time.Unix(1, 0)},
	}
	if c.Method == oauth2.PrivateKeyJWT {
		c.Keys, c.KeysURI = d.Keys, d.KeysURI
	}
	if d.Grants == nil {
		d.Grants = []string{oauth2.AuthorizationCode}
	}
	for _, grant := range []string{oauth2.AuthorizationCode, oauth2.RefreshToken} {
		if slices.Contains(d.Grants, grant) {
			c.Grants = append(c.Grants, grant)
		}
	}
	for _, name := range rights.Scopes {
		if d.Scope == "" || slices.Contains(strings.Fields(d.Scope), name) {
			c.Scopes = append(c.Scopes, name)
		}
	}
	if rights.SameOrigin {
		if err := sameOrigin(c); err != nil {
			return c, err
		}
	}
	return c, oauth2.CheckClient(c)
}

// check checks what CheckClient does not.
func (d *document) check(id string) error {
	switch {
	case d.ID != id:
		return errors.New("client_id is not the URL of the document")
	case d.Name == "" || utf8.RuneCountInString(d.Name) > maxName || strings.ContainsFunc(d.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("client_name is missing, is longer than %d characters or cannot be shown", maxName)
	case len(d.Redirects) == 0 || len(d.Redirects) > maxRedirects:
		return fmt.Errorf("1 to %d redirect_uris are required", maxRedirects)
	case len(d.Grants) > maxTypes || len(d.Responses) > maxTypes:
		return errors.New("too many types")
	case d.Grants != nil && !slices.Contains(d.Grants, oauth2.AuthorizationCode):
		return errors.New("grant_types without authorization_code")
	case d.Responses != nil && !slices.Contains(d.Responses, "code"):
		return errors.New("response_types without code")
	case d.Method != "" && d.Method != oauth2.None && d.Method != oauth2.PrivateKeyJWT:
		return errors.New("the authentication method requires a secret, or is unknown")
	case d.Keys != nil && d.KeysURI != "":
		return errors.New("both jwks and jwks_uri")
	}
	if d.Keys != nil {
		if _, err := jose.ParseOfferedJWKS(d.Keys); err != nil { // also of clients that do not use it: a private key in public is a mistake
			return err
		}
	}
	return nil
}

// sameOrigin returns an error if a redirect URI of a web page belongs to another origin than the
// document.
func sameOrigin(c storage.Client) error {
	for _, uri := range c.RedirectURIs {
		if strings.HasPrefix(uri, "https://") && syntax.Origin(uri) != syntax.Origin(c.ID) {
			return errors.New("a redirect URI of another origin")
		}
	}
	return nil
}

// LoopbackOnly reports whether all redirect URIs of a client lead to programs on the user's device,
// by a loopback address or a private scheme. Any program there can then be the client.
func LoopbackOnly(c storage.Client) bool {
	return !slices.ContainsFunc(c.RedirectURIs, func(uri string) bool { return !syntax.LeadsToDevice(uri) })
}
