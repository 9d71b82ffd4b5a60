package password

import (
	_ "embed"
	"sort"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/vestibule-auth/vestibule/storage"
)

// common is Django's list of common passwords (see common.LICENSE), extended by those of some other
// languages. It has one password per line, in lower case and NFC, sorted by bytes.
//
//go:embed common.txt
var common string

// isListed reports whether s is a line of the list.
func isListed(s string) bool {
	if s == "" || strings.ContainsRune(s, '\n') {
		return false
	}
	// line returns the bounds of the line that holds the byte at.
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

// rows are rows of keyboards, and common patterns of typing along them.
var rows = [...]string{
	"qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "azertyuiopqsdfghjklmwxcvbn",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik", "1q2w3e4r5t6y7u8i9o0p", "12345678901234567890", "qazwsxedcrfvtgbyhnujm",
}

// isCommon reports whether attackers would try the password early: it is in the list, a repetition,
// or a pattern on the keyboard or in the alphabet, possibly followed by up to four digits or by
// punctuation. It compares in NFC and lower case.
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

// isRepeated reports whether p repeats a unit of up to four bytes. The last repetition may be
// incomplete.
func isRepeated(p string) bool {
	for unit := 1; unit <= 4 && 2*unit <= len(p); unit++ {
		if p[unit:] == p[:len(p)-unit] {
			return true
		}
	}
	return false
}

// isWalk reports whether p is a sequence of the alphabet, the digits or a keyboard row, in either
// direction.
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

// isAbout reports whether a password consists only of a word of the account or the service, with or
// without some digits and punctuation.
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
