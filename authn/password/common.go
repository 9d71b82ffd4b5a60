package password

import (
	_ "embed"
	"sort"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/vestibule-auth/vestibule/storage"
)

// common is the list of common passwords of Django (see common.LICENSE) with some of other
// languages: a line each, in lower case and NFC, in the order of their bytes.
//
//go:embed common.txt
var common string

// isListed reports whether the list has the line s.
func isListed(s string) bool {
	if s == "" || strings.ContainsRune(s, '\n') {
		return false
	}
	// Of a byte of the text, the line it stands in begins after the line end before it.
	line := func(at int) (start, end int) {
		start = strings.LastIndexByte(common[:at], '\n') + 1
		return start, start + strings.IndexByte(common[start:], '\n')
	}
	at := sort.Search(len(common), func(i int) bool {
		start, end := line(i)
		return common[start:end] >= s
	})
	if at == len(common) {
		return false
	}
	start, end := line(at)
	return common[start:end] == s
}

// rows of keyboards, and what is typed along them.
var rows = [...]string{
	"qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "azertyuiopqsdfghjklmwxcvbn",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik", "1q2w3e4r5t6y7u8i9o0p", "12345678901234567890", "qazwsxedcrfvtgbyhnujm",
}

// isCommon reports whether a password is among the first that are tried: one of the list, with or
// without a year, up to four digits or a mark after it, a repetition, or a walk on the keyboard or
// along the alphabet. It reads the password in NFC and lower case.
func isCommon(password string) bool {
	p := strings.ToLower(norm.NFC.String(strings.TrimSpace(password)))
	if isListed(p) || isRepeated(p) || isWalk(p) {
		return true
	}
	base := strings.TrimRight(p, "!?.*#$@")
	if base != p && (isListed(base) || isRepeated(base) || isWalk(base)) {
		return true
	}
	word := strings.TrimRight(base, "0123456789")
	return len(base)-len(word) <= 4 && utf8.RuneCountInString(word) >= 4 && (isListed(word) || isRepeated(word) || isWalk(word))
}

// isRepeated reports whether p is a unit of up to four bytes again and again, the last time
// perhaps cut.
func isRepeated(p string) bool {
	for unit := 1; unit <= 4 && 2*unit <= len(p); unit++ {
		if p[unit:] == p[:len(p)-unit] {
			return true
		}
	}
	return false
}

// isWalk reports whether p goes along the alphabet, the digits or a keyboard, in either direction.
func isWalk(p string) bool {
	if len(p) < 4 {
		return false
	}
	up, down := true, true
	for i := 1; i < len(p); i++ {
		up, down = up && p[i] == p[i-1]+1, down && p[i] == p[i-1]-1
	}
	if up || down {
		return true
	}
	back := reversed(p)
	for _, row := range rows {
		if strings.Contains(row, p) || strings.Contains(row, back) {
			return true
		}
	}
	return false
}

func reversed(p string) string {
	b := []byte(p)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

// isAbout reports whether a password is nothing but one of the account's or the service's own
// words, with or without some digits and marks.
func (c *Checker) isAbout(u storage.User, password string) bool {
	p := strings.ToLower(norm.NFC.String(password))
	local, _, _ := strings.Cut(u.Email, "@")
	name, _, _ := strings.Cut(u.Name, "@")
	for _, word := range append([]string{u.Name, name, u.Email, local}, c.opts.Words...) {
		word = strings.ToLower(norm.NFC.String(word))
		if utf8.RuneCountInString(word) < 3 || !strings.Contains(p, word) {
			continue
		}
		rest := strings.ReplaceAll(p, word, "")
		if len(rest) <= 6 && strings.Trim(rest, " 0123456789!?.,*#$@_-+") == "" {
			return true
		}
	}
	return false
}
