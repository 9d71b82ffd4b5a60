package comparison

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/vestibule-auth/vestibule/storage"
)

// stolen looks for what the login gave in the whole database, and tries all that is there
// as a credential.
func (p *Probe) Stolen() string {
	c := p.signIn()
	p.accepted(p.Site, c)
	values := p.values()
	if p.w.file != "" {
		if _, err := p.pool.ExecContext(p.w.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
			p.w.Fatal(err)
		}
		wal, _ := os.ReadFile(p.w.file + "-wal")
		values = append(values, must(os.ReadFile(p.w.file)), wal)
	}
	whole := bytes.Join(values, []byte{0})
	if !bytes.Contains(whole, []byte(alice)) {
		p.w.Fatal("the search does not find what is there")
	}
	has := func(forms ...[]byte) bool {
		return slices.ContainsFunc(forms, func(b []byte) bool { return len(b) > 7 && bytes.Contains(whole, b) })
	}
	what := "nothing of it"
	for _, secret := range c.secrets {
		raw, _ := base64.RawURLEncoding.DecodeString(secret)
		unhexed, _ := hex.DecodeString(secret)
		_, body, _ := strings.Cut(secret, "_")
		sum, rawSum, pair := sha256.Sum256([]byte(secret)), sha256.Sum256(raw), sha256.Sum256([]byte(c.value)) // a cookie counts with its name
		switch {
		case has([]byte(secret), raw, unhexed, []byte(body), []byte(base64.StdEncoding.EncodeToString([]byte(secret)))):
			return "the credential"
		case has(sum[:], rawSum[:], pair[:], []byte(hex.EncodeToString(sum[:])), []byte(base64.RawURLEncoding.EncodeToString(sum[:]))):
			what = "a digest of random bits"
		}
		for _, v := range values {
			if !bytes.HasPrefix(v, []byte("argon2")) && !bytes.HasPrefix(v, []byte("$")) {
				continue // it would cost a hash all the same
			}
			if ok, _, err := p.hasher.Verify(p.w.Context(), "", storage.PasswordHash(v), secret); err == nil && ok {
				what = "a slow hash of it"
			}
		}
	}
	tried := map[string]bool{}
	for _, v := range values {
		if len(v) < 8 || len(v) > 8000 || tried[string(v)] { // shorter ones are numbers and names
			continue
		}
		tried[string(v)] = true
		for _, text := range []string{string(v), hex.EncodeToString(v), base64.RawURLEncoding.EncodeToString(v), base64.StdEncoding.EncodeToString(v)} {
			try := credential{header: c.header}
			switch {
			case p.keyword == "Basic" && text != string(v):
				continue // the list is long, and each costs a hash
			case p.keyword == "Basic":
				try.value = "Basic " + base64.StdEncoding.EncodeToString([]byte(alice+":"+text))
			case strings.ContainsFunc(text, func(r rune) bool { return r < '!' || r > '~' || r == ';' }):
				continue
			case c.cookie:
				name, _, _ := strings.Cut(c.value, "=")
				try.value = name + "=" + text
			default:
				try.value = p.keyword + " " + text
			}
			if p.accepted(p.Site, try) {
				return "something that logs in"
			}
		}
	}
	return what
}

// values are those of every column of every table.
func (p *Probe) values() (all [][]byte) {
	ctx := p.w.Context()
	list := "SELECT name FROM sqlite_master WHERE type = 'table'"
	if p.w.url != "" {
		list = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
	}
	rows := must(p.pool.QueryContext(ctx, list))
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			p.w.Fatal(err)
		}
		tables = append(tables, name)
	}
	for _, name := range tables {
		rows := must(p.pool.QueryContext(ctx, `SELECT * FROM "`+name+`"`))
		columns := must(rows.Columns())
		for rows.Next() {
			row := make([]any, len(columns))
			for i := range row {
				row[i] = new(any)
			}
			if err := rows.Scan(row...); err != nil {
				p.w.Fatal(err)
			}
			for _, v := range row {
				switch v := (*v.(*any)).(type) {
				case []byte:
					all = append(all, v)
				case string:
					all = append(all, []byte(v))
				case nil:
				default:
					all = append(all, fmt.Append(nil, v))
				}
			}
		}
		if err := rows.Err(); err != nil {
			p.w.Fatal(err)
		}
	}
	return all
}
