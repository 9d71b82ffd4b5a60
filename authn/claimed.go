package authn

import (
	"slices"
	"strings"
)

// claimed holds the declared formats of one keyword: their prefixes, and for each the schemes that
// accept it, as a bit mask.
type claimed struct {
	keyword string
	begins  []string
	leaves  []uint64
}

// claimsAll reports whether every format that the scheme declares has a prefix, so that other
// credentials need not be passed to it.
func (l *leaf) claimsAll() bool {
	return len(l.claims) > 0 && len(l.headers) == 1 && l.headers[0] == "Authorization" &&
		!slices.ContainsFunc(l.claims, func(c CredentialFormat) bool { return c.Prefix == "" })
}

func (p *plan) claim(leaf int, claims []CredentialFormat) {
	for _, c := range claims {
		i := slices.IndexFunc(p.claimed, func(k claimed) bool { return strings.EqualFold(k.keyword, c.Keyword) })
		if i < 0 {
			i = len(p.claimed)
			p.claimed = append(p.claimed, claimed{keyword: c.Keyword})
		}
		p.claimed[i].begins = append(p.claimed[i].begins, c.Prefix)
		p.claimed[i].leaves = append(p.claimed[i].leaves, 1<<leaf)
	}
}

// takers returns the schemes that may accept the Authorization header, as a bit mask. known reports
// whether some scheme declares its keyword.
func (p *plan) takers(line string) (leaves uint64, known bool) {
	for line != "" && isSpace(line[0]) {
		line = line[1:]
	}
	end := 0
	for end < len(line) && !isSpace(line[end]) {
		end++
	}
	keyword := line[:end]
	for i := range p.claimed {
		k := &p.claimed[i]
		if len(k.keyword) != end || k.keyword != keyword && !strings.EqualFold(k.keyword, keyword) {
			continue
		}
		for end < len(line) && isSpace(line[end]) {
			end++
		}
		for j, begins := range k.begins {
			if strings.HasPrefix(line[end:], begins) {
				leaves |= k.leaves[j]
			}
		}
		return leaves, true
	}
	return 0, false
}
