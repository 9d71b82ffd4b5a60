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

// Claims is the payload of a token: a JSON object in which each name occurs once. It is read-only
// and safe for concurrent use.
type Claims struct {
	raw     []byte
	members []member
}

// ParseClaims parses a JSON object by the strict rules for the payload of a token. It rejects
// duplicate names and registered claim names in another case ("SUB"). Every error is an
// [ErrInvalid]. The result refers to data, which must not be modified afterwards.
func ParseClaims(data []byte) (Claims, error) {
	members, err := scanObject(data, maxMembers)
	if err != nil {
		return Claims{}, err
	}
	for _, m := range members {
		if otherCase(m.name, claimNames) {
			return Claims{}, invalid("registered claim name in another case")
		}
	}
	return Claims{data, members}, nil
}

// ParseObject parses a JSON object that is not the payload of a token. Unlike [ParseClaims] it
// accepts registered claim names in another case ("SUB"). It rejects duplicate names.
func ParseObject(data []byte) (Claims, error) {
	members, err := scanObject(data, maxMembers)
	if err != nil {
		return Claims{}, err
	}
	return Claims{data, members}, nil
}

// claimNames are the claim names that are rejected in another case. Readers that ignore case, such
// as encoding/json, would read "SUB" as "sub".
var claimNames = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope", "client_id", "auth_time", "azp", "nonce", "cnf", "sid",
	"htm", "htu", "ath", "acr", "amr", "roles", "groups", "entitlements", "ver", "refresh_exp", "token_type", "user_id", "act", "may_act", "events",
}

// maxFolded is the largest length in bytes of a registered name in another case. The names consist
// of ASCII letters. The longest letter that equals one of them except for its case is the Kelvin
// sign, with 3 bytes.
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
	text, letters := string(name), utf8.RuneCount(name) // both spellings have the same number of letters
	for _, n := range names {
		if len(n) == letters && strings.EqualFold(text, n) {
			return true
		}
	}
	return false
}

// Raw returns a copy of the payload as signed.
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

// Text returns the value of a string claim. It returns false if the claim is absent or not a
// string.
func (c Claims) Text(name string) (string, bool) {
	raw, _ := c.get(name)
	return textOf(raw)
}

// Texts returns the value of a claim that is a list of strings, which may be empty. It returns
// false if the claim is absent, not a list of strings, or longer than 512 elements.
func (c Claims) Texts(name string) ([]string, bool) {
	raw, _ := c.get(name)
	return list(raw)
}

// Time returns the value of a NumericDate claim (RFC 7519, section 2): seconds since 1970. A
// fraction is dropped. It returns an [ErrInvalid] if the claim is absent, not a number, negative or
// after the year 9999.
func (c Claims) Time(name string) (time.Time, error) {
	raw, ok := c.get(name)
	if !ok {
		return time.Time{}, invalid("no %s", name)
	}
	if len(raw) > maxNumber {
		return time.Time{}, invalid("%s is not a time", name)
	}
	whole := raw
	if i := bytes.IndexByte(raw, '.'); i >= 0 && !bytes.ContainsAny(raw, "eE") {
		whole = raw[:i] // parsed as an integer, because a float would round
	}
	n, err := strconv.ParseInt(string(whole), 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(string(raw), 64)
		if err != nil || math.IsNaN(f) || f < 0 || f > maxSeconds {
			return time.Time{}, invalid("%s is not a time", name)
		}
		n = int64(f)
	}
	if n < 0 || n > maxSeconds || raw[0] == '-' || raw[0] == '+' {
		return time.Time{}, invalid("%s is not a time", name)
	}
	return time.Unix(n, 0).UTC(), nil
}

const (
	maxSeconds = 253402300799 // 9999-12-31T23:59:59Z
	maxNumber  = 64           // bytes of a number
)

// Decode unmarshals a claim into v with encoding/json. It returns an [ErrInvalid] if the claim is
// absent or does not fit v.
//
// encoding/json matches names inside the claim to struct fields without regard to case. Pass a map
// if case matters.
func (c Claims) Decode(name string, v any) error {
	raw, ok := c.get(name)
	if !ok {
		return invalid("no %s", name)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return invalid("%s has the wrong type", name)
	}
	return nil
}

// maxElements is the largest number of list elements that are parsed. An element can cost more
// memory than it takes in the token.
const maxElements = 512

// elements returns the JSON texts of a list's elements. raw must be valid JSON. It returns false if
// raw is not a list or has more than most elements.
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

// list returns the elements of a list of strings.
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
