package authntest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/vestibule-auth/vestibule/authn"
)

func twoHeaders(p *probe) {
	if p.alone("Good").kind() != accepted {
		return
	}
	for _, name := range p.carriers() {
		value := p.header(p.Good)[name]
		for what, second := range p.seconds(name) {
			if name == "Cookie" {
				p.twoCookies(what, second)
				continue
			}
			for order, lines := range map[string][]string{"before": {second, value[0]}, "after": {value[0], second}} {
				r := p.request(p.Good)
				r.Header[name] = lines
				p.want(fmt.Sprintf("header %s with %s %s Good", name, what, order), p.call(r), rejected)
			}
		}
	}
}

// seconds returns the values for a second header.
func (p *probe) seconds(name string) map[string]string {
	list := map[string]string{"the same value": p.header(p.Good).Get(name), "junk": "junk"}
	if p.Other != nil {
		list["Other"] = p.header(p.Other).Get(name)
	}
	return list
}

// twoCookies sends two cookies of one name, in one line and in two, because HTTP/2 splits the
// header.
func (p *probe) twoCookies(what, second string) {
	good := p.header(p.Good).Get("Cookie")
	if what == "junk" {
		name, _, _ := strings.Cut(good, "=")
		second = name + "=junk"
	}
	for _, lines := range [][]string{{good + "; " + second}, {second + "; " + good}, {good, second}, {second, good}} {
		r := p.request(p.Good)
		r.Header["Cookie"] = lines
		p.want(fmt.Sprintf("two cookies of one name, Good and %s", what), p.call(r), rejected)
	}
}

func twoCredentials(p *probe) {
	for _, name := range p.carriers() {
		if name == "Cookie" { // rule two_headers
			continue
		}
		value := p.header(p.Good).Get(name)
		for what, second := range p.seconds(name) {
			texts := []string{second}
			if i := strings.LastIndexByte(second, ' '); i >= 0 {
				texts = append(texts, second[i+1:])
			}
			for _, text := range texts {
				for _, between := range []string{", ", ",", " ", ";"} {
					r := p.request(p.Good)
					r.Header[name] = []string{value + between + text}
					if o := p.call(r); o.kind() == accepted {
						p.Errorf("Good, %q and %s in one %s: %v", between, what, name, o)
					}
				}
			}
		}
	}
}

// odd contains texts that follow a keyword and are not valid credentials.
var odd = []string{
	"", " ", "  ", "\t", " \x00", " a\x00b", " a\x7f", " \ufeffa", " a\u200b", " \uff21", " \xff\xfe", " a b", " a, Basic b", "\u00a0a",
	" " + strings.Repeat(".", 10_000), " " + strings.Repeat("a.", 10_000), " " + strings.Repeat("=", 100), strings.Repeat(" ", 100_000) + "a",
	" %00", " ' OR 1=1--", " %", " _", " ../../etc/passwd", " ${jndi:x}", " :", " Og==", " YTpi\n", " eyJhbGciOiJub25lIn0.e30.",
	" " + strings.Repeat("A", 1<<20),
}

// changed returns texts that differ a little from the credential.
func changed(text string) map[string]string {
	if text == "" {
		return nil
	}
	half := len(text) / 2
	list := map[string]string{
		"its first half": text[:half], "its second half": text[half:], "an extra character at the end": text + "x", "an extra character at the start": "x" + text,
		"NUL at the end": text + "\x00", "NUL within": text[:half] + "\x00" + text[half:], "twice": text + text,
		"a percent-encoded character": fmt.Sprintf("%%%02X%s", text[0], text[1:]), "a zero-width character within": text[:half] + "\u200b" + text[half:],
		"a fullwidth character": string(rune(text[0])+0xfee0) + text[1:], "bytes that are not UTF-8": text + "\xff", "quotes": `"` + text + `"`,
		"a line break within": text[:half] + "\r\n" + text[half:],
	}
	if first := text[:1]; strings.ToUpper(first) != first {
		list["its first letter in upper case"] = strings.ToUpper(first) + text[1:]
	} else if strings.ToLower(first) != first {
		list["its first letter in lower case"] = strings.ToLower(first) + text[1:]
	}
	swapped := strings.Map(func(c rune) rune {
		if unicode.IsUpper(c) {
			return unicode.ToLower(c)
		}
		return unicode.ToUpper(c)
	}, text)
	for what, s := range map[string]string{"the other case": swapped, "upper case": strings.ToUpper(text), "lower case": strings.ToLower(text)} {
		if s != text {
			list[what] = s
		}
	}
	return list
}

// oddInput returns a rule that sends odd texts instead of the credential.
func oddInput(check func(p *probe, what string, o outcome)) func(*probe) {
	return func(p *probe) {
		for _, name := range p.carriers() {
			send := func(what, value string) {
				r := p.request(p.Good)
				r.Header[name] = []string{value}
				check(p, what, p.call(r))
			}
			good := p.header(p.Good).Get(name)
			before, text := good[:strings.LastIndexByte(good, ' ')+1], p.text(p.Good)
			if name == "Cookie" {
				cookie, _, _ := strings.Cut(good, "=")
				before = cookie + "="
			}
			for what, s := range changed(text) {
				send(fmt.Sprintf("%s: Good with %s", name, what), before+s)
			}
			for _, k := range p.keywords(name, strings.TrimSpace(before)) {
				for _, s := range odd {
					send(fmt.Sprintf("%s: %.60q", name, k+s), k+s)
				}
			}
		}
	}
}

// keywords returns the keywords that odd texts follow.
func (p *probe) keywords(name, own string) []string {
	all := map[string]bool{"": true, own: true}
	if name == "Authorization" {
		for _, k := range []string{"Bearer", "Token", "Basic", "Knox", "DPoP"} {
			all[k] = true
		}
		if c, ok := authn.AbilityOf[authn.FormatDeclarer](p.Scheme); ok {
			for _, claim := range c.Formats() {
				all[claim.Keyword] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func oddAccepted(p *probe, what string, o outcome) {
	if o.kind() == accepted {
		p.Errorf("%s: %v", what, o)
	}
}

func oddPanics(p *probe, what string, o outcome) {
	if o.kind() == panicked {
		p.Errorf("%s: panic: %v", what, o.panicked)
	}
}

func oddFault(p *probe, what string, o outcome) {
	if o.kind() == fault {
		p.Errorf("%s: %v", what, o)
	}
}

// places returns the places from which a scheme must not read credentials unless it declares them.
func (p *probe) places() map[string]func(r *http.Request, text string) {
	list := map[string]func(*http.Request, string){}
	for _, name := range []string{"access_token", "api_key", "apikey", "key", "token", "auth"} {
		list["query "+name] = func(r *http.Request, text string) { r.URL.RawQuery = name + "=" + text }
		list["form "+name] = func(r *http.Request, text string) {
			r.Method = "POST"
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Body = body(name + "=" + text)
		}
		list["cookie "+name] = func(r *http.Request, text string) { r.Header.Set("Cookie", name+"="+text) }
	}
	for _, value := range []string{"", "Bearer ", "Token ", "ApiKey "} {
		list["Authorization: "+value] = func(r *http.Request, text string) { r.Header.Set("Authorization", value+text) }
	}
	for _, name := range []string{"X-Api-Key", "X-Auth-Token", "X-Token", "Proxy-Authorization", "Api-Key"} {
		list["header "+name] = func(r *http.Request, text string) { r.Header.Set(name, text) }
	}
	return list
}

func elsewhere(p *probe) {
	own := p.carriers()
	text := p.text(p.Good)
	for what, put := range p.places() {
		r := p.request(p.Good)
		for _, name := range own {
			r.Header.Del(name)
		}
		if p.call(r.Clone(r.Context())).kind() != absent {
			return // rule headers reports it
		}
		put(r, text)
		if slices.ContainsFunc(own, func(name string) bool { return r.Header.Get(name) != "" }) {
			continue
		}
		if o := p.call(r); o.kind() != absent {
			p.Errorf("Good as %s: %v, want ErrNoCredentials", what, o)
		}
	}
}
