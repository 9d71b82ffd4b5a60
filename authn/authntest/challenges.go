package authntest

import (
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/authn"
)

func challengeSyntax(p *probe) {
	p.challenges(func(what, text string) {
		if text == "" { // no challenge
			return
		}
		if _, problem := schemesOf(text); problem != "" {
			p.Errorf("%s: challenge %q: %s", what, text, problem)
		}
	})
}

func challengeScheme(p *probe) {
	var first []string
	p.challenges(func(what, text string) {
		names, problem := schemesOf(text)
		if text == "" || problem != "" {
			return // rule challenge_syntax reports it
		}
		for i, name := range names {
			if slices.Contains(names[:i], name) {
				p.Errorf("%s: challenge %q names %s twice", what, text, name)
			}
		}
		if first == nil {
			first = names
		}
		if !slices.Equal(names, first) && !p.Failed() {
			p.Errorf("%s: challenge %q names %q, and for another error %q", what, text, names, first)
		}
	})
	c, ok := authn.AbilityOf[authn.FormatDeclarer](p.Scheme)
	if !ok || len(c.Formats()) == 0 || first == nil || p.Failed() || p.has("authn.FormatDeclarer") && p.claimFault() != "" {
		return
	}
	for _, name := range first {
		if !slices.ContainsFunc(c.Formats(), func(c authn.CredentialFormat) bool { return strings.EqualFold(c.Keyword, name) }) {
			p.Errorf("the challenge names %s, which Formats does not: %+v", name, c.Formats())
		}
	}
}

// schemesOf parses a WWW-Authenticate value (RFC 9110, section 11.6.1). It returns the names of the
// authentication schemes in lower case, or a description of the syntax error.
func schemesOf(s string) (names []string, problem string) {
	for _, c := range s {
		if c < ' ' && c != '\t' || c == 0x7f {
			return nil, "a control character"
		}
	}
	if strings.TrimSpace(s) != s {
		return nil, "white space around it"
	}
	var params []string
	for _, element := range elements(s) {
		element = strings.Trim(element, " \t")
		if element == "" {
			continue // section 5.6.1 allows empty elements
		}
		name, rest := token(element)
		switch {
		case name == "":
			return nil, "no token where a scheme or a parameter is expected"
		case strings.HasPrefix(strings.TrimLeft(rest, " \t"), "=") && !strings.HasPrefix(strings.TrimLeft(rest, " \t"), "=="): // a further parameter
			if len(names) == 0 {
				return nil, "a parameter before the first scheme"
			}
			if problem := param(element, &params); problem != "" {
				return nil, problem
			}
			continue
		case rest != "" && rest[0] != ' ':
			return nil, "no space after the scheme"
		}
		names, params = append(names, strings.ToLower(name)), nil
		if rest = strings.TrimLeft(rest, " "); rest == "" || isToken68(rest) {
			continue
		}
		if problem := param(rest, &params); problem != "" {
			return nil, problem
		}
	}
	if len(names) == 0 {
		return nil, "no scheme"
	}
	return names, ""
}

// elements splits at commas that are not within quotes.
func elements(s string) (list []string) {
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			list = append(list, s[start:i])
			start = i + 1
		}
	}
	return append(list, s[start:])
}

// param parses name=token or name="quoted string".
func param(s string, before *[]string) (problem string) {
	name, rest := token(s)
	name = strings.ToLower(name)
	rest = strings.TrimLeft(rest, " \t")
	switch {
	case name == "" || rest == "" || rest[0] != '=':
		return "neither a token68 nor name=value after the scheme"
	case slices.Contains(*before, name):
		return "parameter " + name + " occurs twice"
	}
	*before = append(*before, name)
	value := strings.TrimLeft(rest[1:], " \t")
	if !strings.HasPrefix(value, `"`) {
		if t, more := token(value); t == "" || strings.Trim(more, " \t") != "" {
			return "the value of " + name + " is neither a token nor a quoted string"
		}
		return ""
	}
	for i := 1; i < len(value); i++ {
		switch value[i] {
		case '\\':
			i++
		case '"':
			if strings.Trim(value[i+1:], " \t") != "" {
				return "text after the value of " + name
			}
			return ""
		}
	}
	return "the value of " + name + " has no closing quote"
}

// token cuts a token (RFC 9110, section 5.6.2) from the beginning of s.
func token(s string) (t, rest string) {
	i := 0
	for i < len(s) && (alphanumeric(s[i]) || strings.IndexByte("!#$%&'*+-.^_`|~", s[i]) >= 0) {
		i++
	}
	return s[:i], s[i:]
}

func isToken68(s string) bool {
	t := strings.TrimRight(s, "=")
	for i := range len(t) {
		if !alphanumeric(t[i]) && strings.IndexByte("-._~+/", t[i]) < 0 {
			return false
		}
	}
	return t != ""
}

func alphanumeric(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' }
