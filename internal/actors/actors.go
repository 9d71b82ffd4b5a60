// Package actors reads and writes the claim "act" of RFC 8693, section 4.1: the clients that act for
// a user. A list of actors begins with the outermost one, which acts now.
package actors

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// Claim is the claim "act".
type Claim struct {
	Subject string `json:"sub"`
	Actor   *Claim `json:"act,omitempty"`
}

// ClaimOf returns the claim for a list. It returns nil if the list is empty.
func ClaimOf(list []string) *Claim {
	var c *Claim
	for i := len(list) - 1; i >= 0; i-- {
		c = &Claim{Subject: list[i], Actor: c}
	}
	return c
}

// maxRead is how many actors Read returns at most.
const maxRead = 32

// Read returns the actors of a claim, at least one. An actor that the claim does not name by a
// string in "sub" is "", because a token with the claim is never the user's own, whatever the claim
// contains.
func Read(raw []byte) []string {
	var list []string
	for len(raw) > 0 && len(list) < maxRead {
		var members map[string]json.RawMessage
		var name string
		if json.Unmarshal(raw, &members) != nil || json.Unmarshal(members["sub"], &name) != nil {
			name = ""
		}
		list, raw = append(list, name), members["act"]
	}
	return list
}

// Pack joins the thumbprint of a key and a list of actors, for stores that keep both in one column.
// Without actors the result is the thumbprint. A version that does not know actors takes the result
// for the thumbprint of a key that nobody has, so it rejects the token.
func Pack(confirm string, list []string) string {
	if len(list) == 0 {
		return confirm
	}
	var b strings.Builder
	b.WriteString(confirm)
	for _, name := range list {
		b.WriteByte(' ')
		b.WriteString(url.QueryEscape(name))
	}
	return b.String()
}

// Unpack is the reverse of Pack.
func Unpack(text string) (confirm string, list []string, err error) {
	confirm, rest, packed := strings.Cut(text, " ")
	if !packed {
		return text, nil, nil
	}
	for word := range strings.SplitSeq(rest, " ") {
		name, err := url.QueryUnescape(word)
		if err != nil || name == "" {
			return "", nil, fmt.Errorf("actors: malformed list %q", rest)
		}
		list = append(list, name)
	}
	return confirm, list, nil
}
