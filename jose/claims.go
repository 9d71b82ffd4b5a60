package jose

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Claims is the payload of a token: an object whose names are each there once. It
// is read-only.
type Claims struct {
	raw     []byte
	members []member
}

// ParseClaims reads an object as strictly as a token's payload is read. The error
// is an ErrInvalid.
func ParseClaims(data []byte) (Claims, error) {
	members, err := scanObject(data, maxMembers)
	if err != nil {
		return Claims{}, err
	}
	for _, m := range members {
		if otherCase(m.name, claimNames) {
			return Claims{}, invalid("a registered claim name in another case")
		}
	}
	return Claims{data, members}, nil
}

// ParseObject is ParseClaims for an object that is no payload of a token: its names are each
// there once, and none is refused for its case.
func ParseObject(data []byte) (Claims, error) {
	members, err := scanObject(data, maxMembers)
	if err != nil {
		return Claims{}, err
	}
	return Claims{data, members}, nil
}

// claimNames are those whose other spellings are refused: readers that fold cases,
// as encoding/json does, would take "SUB" for "sub".
var claimNames = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope", "client_id", "auth_time", "azp", "nonce", "cnf", "sid",
	"htm", "htu", "ath", "acr", "amr", "roles", "groups", "entitlements", "ver", "refresh_exp", "token_type", "user_id", "act", "may_act", "events",
}

// maxFolded is the longest spelling of a registered name in bytes: the names have ASCII letters, and
// the longest letter that is equal to one of them but for its case is the Kelvin sign, of 3 bytes.
const maxFolded = 3 * 12

// otherCase reports whether name is one of names in another case.
func otherCase(name []byte, names []string) bool {
	for _, n := range names {
		if string(name) == n {
			return false
		}
	}
	if len(name) > maxFolded {
		return false
	}
	text, letters := string(name), utf8.RuneCount(name) // one letter for each of the other spelling
	for _, n := range names {
		if len(n) == letters && strings.EqualFold(text, n) {
			return true
		}
	}
	return false
}

// Raw returns a copy of the whole payload as it was signed.
func (c Claims) Raw() []byte { return bytes.Clone(c.raw) }

// Size returns the length of the payload in bytes.
func (c Claims) Size() int { return len(c.raw) }

// Get returns a copy of the JSON text of a claim's value, and whether the claim is there.
func (c Claims) Get(name string) (raw []byte, ok bool) {
	raw, ok = c.get(name)
	return bytes.Clone(raw), ok
}

func (c Claims) get(name string) (raw []byte, ok bool) {
	for i := range c.members {
		if string(c.members[i].name) == name {
			return c.members[i].value, true
		}
	}
	return nil, false
}

// Text returns a claim that is a string; false where it is absent or something
// else.
func (c Claims) Text(name string) (string, bool) {
	raw, _ := c.get(name)
	return textOf(raw)
}

// Texts returns a claim that is a list of strings, which may be empty; false where it
// is absent or something else.
func (c Claims) Texts(name string) ([]string, bool) {
	raw, _ := c.get(name)
	return list(raw)
}

// Time returns a claim that is a NumericDate (RFC 7519 section 2): seconds since
// 1970, a fraction is dropped. The error is an ErrInvalid: the claim is absent, no
// number, negative, or after the year 9999.
func (c Claims) Time(name string) (time.Time, error) {
	raw, ok := c.get(name)
	if !ok {
		return time.Time{}, invalid("no %s", name)
	}
	if len(raw) > maxNumber {
		return time.Time{}, invalid("%s is no time", name)
	}
	whole := raw
	if i := bytes.IndexByte(raw, '.'); i >= 0 && !bytes.ContainsAny(raw, "eE") {
		whole = raw[:i] // exactly: a float would round
	}
	n, err := strconv.ParseInt(string(whole), 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(string(raw), 64)
		if err != nil || math.IsNaN(f) || f < 0 || f > maxSeconds {
			return time.Time{}, invalid("%s is no time", name)
		}
		n = int64(f)
	}
	if n < 0 || n > maxSeconds || raw[0] == '-' || raw[0] == '+' {
		return time.Time{}, invalid("%s is no time", name)
	}
	return time.Unix(n, 0).UTC(), nil
}

const (
	maxSeconds = 253402300799 // 9999-12-31T23:59:59Z
	maxNumber  = 64           // bytes of a number
)

// Decode unmarshals a claim into v by encoding/json, which takes names inside the
// claim for a struct's in any case: give it a map where that matters. An absent claim
// and one that does not fit are an ErrInvalid.
func (c Claims) Decode(name string, v any) error {
	raw, ok := c.get(name)
	if !ok {
		return invalid("no %s", name)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return invalid("%s is of another type", name)
	}
	return nil
}

// maxElements is how many values of a list are read: each costs memory that the token's length
// does not show.
const maxElements = 512

// elements returns the texts of the values of a list; false if raw, which was
// read before, is no list or a longer one.
func elements(raw []byte, most int) (all [][]byte, ok bool) {
	s := scanner{data: raw}
	if s.peek() != '[' {
		return nil, false
	}
	s.pos++
	if s.space(); s.peek() == ']' {
		return nil, true
	}
	for {
		value, err := s.value()
		if err != nil || len(all) == most {
			return nil, false
		}
		all = append(all, value)
		s.space()
		if s.peek() == ']' {
			return all, true
		}
		s.pos++ // a comma
	}
}

// list returns a value that is a list of strings.
func list(raw []byte) ([]string, bool) {
	values, ok := elements(raw, maxElements)
	if !ok {
		return nil, false
	}
	var all []string
	for _, v := range values {
		text, ok := textOf(v)
		if !ok {
			return nil, false
		}
		all = append(all, text)
	}
	return all, true
}
