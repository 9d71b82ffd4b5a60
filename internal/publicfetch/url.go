package publicfetch

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// MaxURL is the maximum length of a URL, in bytes.
const MaxURL = 2048

// CheckURL returns an error unless a URL can be fetched: https in lower case, a DNS name with at
// least two labels in lower case, no port below 1024 but 443, a path, and no user, fragment, dot
// segment, backslash, or byte that must be encoded. IP addresses are refused, also in the spellings
// that only some resolvers accept, such as "0x7f.1". So are names that are used inside networks.
//
// The check is made on the text. Two parsers that disagree about a URL cannot disagree about one
// that passes.
func CheckURL(text string) error {
	bad := func(why string) error { return fmt.Errorf("%w: %s", ErrURL, why) }
	if len(text) > MaxURL {
		return bad("too long")
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c > '~' || strings.IndexByte("\\\"<>^`{|}#", c) >= 0 {
			return bad("holds a fragment, or a character that must be encoded")
		}
	}
	rest, ok := strings.CutPrefix(text, "https://")
	if !ok {
		return bad("does not begin with https://")
	}
	at := strings.IndexByte(rest, '/')
	if at < 0 {
		return bad("has no path")
	}
	host, path := rest[:at], rest[at:]
	name, port, withPort := strings.Cut(host, ":")
	if err := checkName(name); err != nil {
		return err
	}
	if n, err := strconv.Atoi(port); withPort && (err != nil || port[0] < '1' || port[0] > '9' || n > 65535 || n != 443 && n < 1024) {
		return bad("has a port other than 443 and 1024 to 65535")
	}
	path, _, _ = strings.Cut(path, "?")
	for segment := range strings.SplitSeq(path, "/") {
		switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
		case ".", "..":
			return bad("has . or .. segments")
		}
	}
	if u, err := url.Parse(text); err != nil || u.Host != host || u.User != nil {
		return bad("malformed")
	}
	return nil
}

// ErrURL is the error for a URL that is not fetched. No name was resolved for it.
var ErrURL = errors.New("publicfetch: URL refused")

// internalNames are the domains that do not belong to the public DNS.
var internalNames = []string{".localhost", ".local", ".internal", ".home.arpa", ".onion", ".alt"}

// checkName returns an error unless a host is a public DNS name in its only spelling.
func checkName(name string) error {
	bad := func(why string) error { return fmt.Errorf("%w: the host %s", ErrURL, why) }
	labels := strings.Split(name, ".")
	if len(labels) < 2 || len(name) > 253 {
		return bad("has no domain, or is too long")
	}
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.ContainsFunc(label, func(c rune) bool {
			return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-'
		}) {
			return bad("is not a DNS name in lower case")
		}
	}
	last := labels[len(labels)-1]
	switch {
	case last[0] >= '0' && last[0] <= '9': // no top-level domain begins with a digit, and every spelling of an address does
		return bad("is an address")
	case slices.ContainsFunc(internalNames, func(domain string) bool { return strings.HasSuffix(name, domain) }):
		return bad("is not a public name")
	}
	return nil
}
