package authn

import (
	"slices"
	"strings"
)

// challenge is one challenge of RFC 9110, section 11.3.
type challenge struct {
	scheme string
	token  string // a token68 in place of parameters
	params []param
}

type param struct{ name, value string }

// String writes the parameters as quoted strings, separated by a comma and a space, because some
// clients parse no other form.
func (c challenge) String() string {
	var b strings.Builder
	b.WriteString(c.scheme)
	for i, p := range c.params {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(" " + p.name + `="`)
		for j := range len(p.value) {
			if p.value[j] == '"' || p.value[j] == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(p.value[j])
		}
		b.WriteByte('"')
	}
	if c.token != "" {
		b.WriteString(" " + c.token)
	}
	return b.String()
}

// text returns the challenge as the scheme wrote it, if the scheme wrote only this challenge.
func (c challenge) text(written string, of int) string {
	if of == 1 {
		return written
	}
	return c.String()
}

// merge adds the parameters of another challenge. Each name occurs once, in a fixed order, so that
// a client can compare two responses.
func (c *challenge) merge(d challenge) {
	for _, p := range d.params {
		name := strings.ToLower(p.name)
		known := slices.ContainsFunc(c.params, func(q param) bool { return q.name == name })
		if p.value == "" || known || name == "error" || strings.HasPrefix(name, "error_") {
			continue
		}
		c.params = append(c.params, param{name, p.value})
	}
	slices.SortStableFunc(c.params, func(a, b param) int { return rank(a.name) - rank(b.name) })
}

func rank(name string) int {
	if i := slices.Index([]string{"realm", "resource_metadata", "scope"}, name); i >= 0 {
		return i
	}
	return 3
}

// parseChallenges parses the value of one WWW-Authenticate line: challenges separated by commas. ok
// is false for anything else, including a challenge with a duplicate parameter.
func parseChallenges(s string) (list []challenge, ok bool) {
	p := challengeParser{s}
	for {
		p.separators()
		if p.rest == "" {
			return list, len(list) > 0
		}
		word := p.word()
		if word == "" {
			return nil, false
		}
		c := challenge{scheme: word}
		if blanks := p.blanks(); blanks > 0 && p.rest != "" && p.rest[0] != ',' {
			if !p.parameters(&c) {
				return nil, false
			}
		}
		if p.rest != "" && p.rest[0] != ',' {
			return nil, false
		}
		list = append(list, c)
	}
}

type challengeParser struct{ rest string }

// parameters parses what follows a scheme: a token68, or parameters up to the next scheme.
func (p *challengeParser) parameters(c *challenge) bool {
	end := strings.IndexAny(p.rest, ", \t")
	if end < 0 {
		end = len(p.rest)
	}
	if t := p.rest[:end]; isToken68(t) && !isParameter(p.rest) {
		c.token, p.rest = t, p.rest[end:]
		p.blanks()
		return true
	}
	for {
		name := strings.ToLower(p.word())
		p.blanks()
		if name == "" || p.rest == "" || p.rest[0] != '=' {
			return false
		}
		p.rest = p.rest[1:]
		p.blanks()
		value, ok := p.value()
		if !ok || slices.ContainsFunc(c.params, func(q param) bool { return q.name == name }) {
			return false
		}
		c.params = append(c.params, param{name, value})
		p.blanks()
		if p.rest == "" || p.rest[0] != ',' {
			return p.rest == ""
		}
		next := challengeParser{p.rest}
		next.separators()
		if !isParameter(next.rest) {
			return true // the comma ends this challenge
		}
		p.rest = next.rest
	}
}

// isParameter reports whether s begins with a name and an equals sign. Otherwise s begins with a
// scheme or a token68.
func isParameter(s string) bool {
	p := challengeParser{s}
	if p.word() == "" {
		return false
	}
	p.blanks()
	if p.rest == "" || p.rest[0] != '=' {
		return false
	}
	p.rest = p.rest[1:]
	p.blanks()
	return p.rest != "" && p.rest[0] != '=' && p.rest[0] != ','
}

func (p *challengeParser) value() (string, bool) {
	if p.rest == "" || p.rest[0] != '"' {
		v := p.word()
		return v, v != ""
	}
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '"':
			p.rest = p.rest[i+1:]
			return b.String(), true
		case c == '\\' && i+1 < len(p.rest):
			i++
			b.WriteByte(p.rest[i])
		case c == '\\' || c < ' ' && c != '\t' || c == 0x7f:
			return "", false
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// word parses a token (RFC 9110, section 5.6.2).
func (p *challengeParser) word() string {
	i := 0
	for i < len(p.rest) && isTokenChar(p.rest[i]) {
		i++
	}
	w := p.rest[:i]
	p.rest = p.rest[i:]
	return w
}

func (p *challengeParser) blanks() (n int) {
	for p.rest != "" && (p.rest[0] == ' ' || p.rest[0] == '\t') {
		p.rest = p.rest[1:]
		n++
	}
	return n
}

func (p *challengeParser) separators() {
	p.rest = strings.TrimLeft(p.rest, ", \t")
}

func isTokenChar(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
