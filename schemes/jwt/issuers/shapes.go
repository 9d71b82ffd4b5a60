package issuers

import "strings"

// shape is a form of the texts that constructors accept. A preset puts them into URLs and claims that are
// compared, so nothing else may be in them.
type shape func(string) bool

// MatchString reports whether a text has the form.
func (f shape) MatchString(s string) bool { return f(s) }

var (
	hostName = shape(isHost)
	label    = shape(isLabel)
	guid     = shape(isGUID)
	baseURL  = shape(isBaseURL)
)

func within(s, chars string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c > '~' || !strings.ContainsRune(chars, c) })
}

const (
	numerals = "0123456789"
	lower    = "abcdefghijklmnopqrstuvwxyz"
	upper    = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// withoutPort cuts off a port of 1 to 5 numerals. It returns false for a malformed one.
func withoutPort(s string) (string, bool) {
	name, port, found := strings.Cut(s, ":")
	return name, !found || len(port) >= 1 && len(port) <= 5 && within(port, numerals)
}

// isHost accepts a DNS name in lower case with at least two labels, and a port.
func isHost(s string) bool {
	name, ok := withoutPort(s)
	labels := strings.Split(name, ".")
	if !ok || len(labels) < 2 {
		return false
	}
	for _, l := range labels {
		if l == "" || !within(l, lower+numerals+"-") || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
	}
	return true
}

// isLabel accepts an identifier, such as the name of a realm or a project.
func isLabel(s string) bool {
	return s != "" && within(s, lower+upper+numerals+"_-") && s[0] != '_' && s[0] != '-'
}

// isGUID accepts an identifier of Entra ID in lower case.
func isGUID(s string) bool {
	parts := strings.Split(s, "-")
	if len(parts) != 5 {
		return false
	}
	for i, n := range [...]int{8, 4, 4, 4, 12} {
		if len(parts[i]) != n || !within(parts[i], numerals+"abcdef") {
			return false
		}
	}
	return true
}

// isBaseURL accepts https, a host in lower case, a port, and a path without a slash at the end.
func isBaseURL(s string) bool {
	rest, ok := strings.CutPrefix(s, "https://")
	parts := strings.Split(rest, "/")
	name, port := withoutPort(parts[0])
	if !ok || !port || name == "" || !within(name, lower+numerals+".-") || name[0] == '.' || name[0] == '-' {
		return false
	}
	for _, p := range parts[1:] {
		if p == "" || !within(p, lower+upper+numerals+"._~-") {
			return false
		}
	}
	return true
}
