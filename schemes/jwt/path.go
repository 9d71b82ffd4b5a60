package jwt

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vestibule-auth/vestibule/jose"
)

// errShape means that a claim has another type than a path or a rule expects.
var errShape = errors.New("wrong type")

// path is the place of a value in the claims: a claim's name, or the names of nested objects.
type path struct {
	text  string   // as the options have it
	names []string // at least one
}

// newPath parses the name of a claim, or a JSON Pointer (RFC 6901) if text begins with a slash. A
// pointer leads through objects only, not through lists.
func newPath(text string) (path, error) {
	switch {
	case text == "" || text == "/" || !utf8.ValidString(text):
		return path{}, errors.New("empty or malformed path")
	case text[0] != '/':
		return path{text, []string{text}}, nil
	}
	names := strings.Split(text[1:], "/")
	for i, name := range names {
		rest := strings.ReplaceAll(strings.ReplaceAll(name, "~0", ""), "~1", "")
		if name == "" || strings.Contains(rest, "~") {
			return path{}, fmt.Errorf("malformed JSON Pointer %q", text)
		}
		names[i] = strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~")
	}
	return path{text, names}, nil
}

// in returns the JSON text of the value, and whether it is there. It returns errShape if the path
// leads through something other than an object.
func (p path) in(c jose.Claims) (raw []byte, ok bool, err error) {
	for i, name := range p.names {
		if i > 0 {
			if c, err = jose.ParseObject(raw); err != nil {
				return nil, false, errShape
			}
		}
		if raw, ok = c.Get(name); !ok {
			return nil, false, nil
		}
	}
	return raw, true, nil
}

// scalars returns the text of a value: a string, or the JSON text of a number or a boolean. For a
// list it returns the texts of its elements. It returns errShape for anything else.
func scalars(raw []byte) ([]string, error) {
	if raw[0] != '[' {
		text, err := scalar(raw)
		return []string{text}, err
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) > maxItems {
		return nil, errShape
	}
	all := make([]string, 0, len(list))
	for _, item := range list {
		text, err := scalar(item)
		if err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, nil
}

func scalar(raw []byte) (text string, err error) {
	switch c := raw[0]; {
	case c == '"':
		err = json.Unmarshal(raw, &text)
	case c == 't' || c == 'f' || c == '-' || '0' <= c && c <= '9':
		text = string(raw)
	default:
		err = errShape
	}
	return text, err
}

// maxItems is the largest number of elements of a list, or of names of an object, that are read.
const maxItems = 512

// rolePath is a place of roles.
type rolePath struct {
	path
	keys bool // the names of an object are the roles
}

func newRolePath(text string) (rolePath, error) {
	rest, keys := strings.CutSuffix(text, "/*")
	if keys = keys && strings.HasPrefix(text, "/"); !keys {
		rest = text
	}
	p, err := newPath(rest)
	return rolePath{p, keys}, err
}

// roles returns the roles in the claims, without duplicates. They are renamed by RoleMap, and
// those that it does not have are dropped. A place without a value has no roles.
func (v *Verifier) roles(c jose.Claims) ([]string, error) {
	var all []string
	for _, p := range v.rolePaths {
		raw, ok, err := p.in(c)
		var names []string
		if ok && err == nil {
			names, err = roleNames(raw, p.keys)
		}
		if err != nil {
			return nil, claimError(p.text, errors.New("the roles are neither a string nor a list of strings"))
		}
		for _, name := range names {
			if v.opts.RoleMap != nil {
				name = v.opts.RoleMap[name]
			}
			if name != "" && !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all, nil
}

// roleNames never splits a text, because a role can contain any separator.
func roleNames(raw []byte, keys bool) (names []string, err error) {
	switch c := raw[0]; {
	case keys && c == '{':
		var object map[string]json.RawMessage
		if err := json.Unmarshal(raw, &object); err != nil {
			return nil, errShape
		}
		for name := range object {
			names = append(names, name)
		}
		slices.Sort(names)
	case !keys && c == '"':
		names = make([]string, 1)
		err = json.Unmarshal(raw, &names[0])
	case !keys && c == '[':
		var list []*string
		if json.Unmarshal(raw, &list) != nil || slices.Contains(list, nil) {
			return nil, errShape
		}
		for _, one := range list {
			names = append(names, *one)
		}
	default:
		return nil, errShape
	}
	if err != nil || len(names) > maxItems || slices.ContainsFunc(names, func(s string) bool { return strings.ContainsRune(s, 0) }) {
		return nil, errShape
	}
	return names, nil
}
