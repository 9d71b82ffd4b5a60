package gormstore

import (
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// clientLists is the content of the column "lists": the lists of a client, and what later versions
// added to it. Earlier versions ignore these members, and drop them if they change the client.
type clientLists struct {
	RedirectURIs []string `json:"redirect_uris,omitempty"`
	LogoutURIs   []string `json:"logout_uris,omitempty"`
	Grants       []string `json:"grants,omitempty"`
	Scopes       []string `json:"scopes,omitempty"`
	Default      []string `json:"default,omitempty"`
	Resources    []string `json:"audiences,omitempty"` // the name of earlier versions

	KeysURI       string          `json:"keys_uri,omitempty"`
	RequirePushed bool            `json:"require_pushed,omitempty"`
	Lifetimes     *clientLives    `json:"lifetimes,omitempty"`
	Document      *clientDocument `json:"document,omitempty"`
}

// clientLives has lifetimes in microseconds.
type clientLives struct {
	Access   int64 `json:"access_us,omitempty"`
	Refresh  int64 `json:"refresh_us,omitempty"`
	Absolute int64 `json:"absolute_us,omitempty"`
}

// clientDocument has times in microseconds since 1970.
type clientDocument struct {
	Fetched int64 `json:"fetched_us,omitempty"`
	Fresh   int64 `json:"fresh_us,omitempty"`
	Changed int64 `json:"changed_us,omitempty"`
	Pinned  bool  `json:"pinned,omitempty"`
}

// listsOf returns the content of the column "lists" for a client.
func listsOf(c storage.Client) clientLists {
	l := clientLists{RedirectURIs: c.RedirectURIs, LogoutURIs: c.LogoutURIs, Grants: c.Grants, Scopes: c.Scopes, Default: c.Default, Resources: c.Resources, KeysURI: c.KeysURI, RequirePushed: c.RequirePushed}
	if lives := (clientLives{c.AccessTTL.Microseconds(), c.RefreshTTL.Microseconds(), c.AbsoluteTTL.Microseconds()}); lives != (clientLives{}) {
		l.Lifetimes = &lives
	}
	if d := (clientDocument{micros(c.Document.Fetched), micros(c.Document.Fresh), micros(c.Document.Changed), c.Document.Pinned}); d != (clientDocument{}) {
		l.Document = &d
	}
	return l
}

// into copies the content of the column "lists" into a client.
func (l clientLists) into(c *storage.Client) {
	c.RedirectURIs, c.LogoutURIs, c.Grants, c.Scopes, c.Default, c.Resources = l.RedirectURIs, l.LogoutURIs, l.Grants, l.Scopes, l.Default, l.Resources
	c.KeysURI, c.RequirePushed = l.KeysURI, l.RequirePushed
	if x := l.Lifetimes; x != nil {
		c.AccessTTL, c.RefreshTTL, c.AbsoluteTTL = time.Duration(x.Access)*time.Microsecond, time.Duration(x.Refresh)*time.Microsecond, time.Duration(x.Absolute)*time.Microsecond
	}
	if d := l.Document; d != nil {
		c.Document = storage.ClientDocument{Fetched: timeOf(d.Fetched), Fresh: timeOf(d.Fresh), Changed: timeOf(d.Changed), Pinned: d.Pinned}
	}
}
