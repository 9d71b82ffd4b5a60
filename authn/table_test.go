package authn_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

// The table is always limited in number and bytes, and its entries are found again.
func TestTableBounds(t *testing.T) {
	for name, o := range map[string]authn.TableOptions{
		"one": {Entries: 1}, "three": {Entries: 3}, "many": {Entries: 64}, "bytes": {Entries: 4096, Bytes: 40_000}, "default": {},
	} {
		table := must1(authn.NewTable(&o))(t)
		k := newKeeper()
		k.keep.Size = 100
		h := authn.New(k, &authn.Options{Table: table}).Handler(http.HandlerFunc(who))
		is := func() (u authn.Usage) {
			u = table.Usage()
			if o.Entries > 0 && u.Entries > o.Entries || u.Entries > 4096 || o.Bytes > 0 && u.Bytes > o.Bytes || u.Bytes > 8<<20 || u.Bytes < 0 {
				t.Fatalf("%s: %+v", name, u)
			}
			return u
		}
		if u := is(); u != (authn.Usage{}) {
			t.Errorf("%s: %+v in the beginning", name, u)
		}
		const n = 10_000
		for i := range n {
			ask(h, "GET", "/", fmt.Sprint("Authorization: ", i))
			before := k.asked.Load()
			if ask(h, "GET", "/", fmt.Sprint("Authorization: ", i)); k.asked.Load() != before {
				t.Fatalf("%s: the last one is not there", name)
			}
			is()
		}
		u := is()
		if u.Entries == 0 || u.Bytes < u.Entries*200 || u.Bytes > u.Entries*2000 {
			t.Errorf("%s: %+v", name, u)
		}
		if o.Bytes > 0 && u.Bytes < o.Bytes*3/4 || o.Bytes == 0 && o.Entries == 0 && u.Entries < 3500 || o.Entries == 64 && u.Entries < 50 {
			t.Errorf("%s: little use of its room: %+v", name, u)
		}
	}
	for _, o := range []authn.TableOptions{{Entries: -1}, {Bytes: -1}} {
		if _, err := authn.NewTable(&o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}

// 64 goroutines fill and read a small table. The count of bytes stays correct, and each goroutine
// gets its own identity.
func TestTableRaces(t *testing.T) {
	table := must1(authn.NewTable(&authn.TableOptions{Entries: 16, Bytes: 12_000}))(t)
	l := new(lease)
	h := authn.New(&echo{lease: l}, &authn.Options{Table: table}).Handler(http.HandlerFunc(who))
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			for i := range 200 {
				text := fmt.Sprint((g*7 + i) % 40)
				if w := ask(h, "GET", "/", "Authorization: "+text); w.Body.String() != text+"/echo" {
					t.Errorf("%s for %s", w.Body, text)
				}
				if u := table.Usage(); u.Bytes > 12_000 || u.Bytes < 0 {
					t.Errorf("%+v", u)
				}
			}
		})
	}
	wg.Wait()
	l.ended.Store(true)
	for i := range 40 {
		ask(h, "GET", "/", fmt.Sprint("Authorization: ", i))
	}
	for range 40 { // what is new holds no more either, so that each put only sweeps
		ask(h, "GET", "/", "Authorization: sweep")
	}
}

// echo accepts every text as the name of an account.
type echo struct{ lease authn.Lease }

func (*echo) Name() string                             { return "echo" }
func (*echo) Headers() []string                        { return []string{"Authorization"} }
func (*echo) Presented(r *http.Request) (string, bool) { return r.Header.Get("Authorization"), false }
func (e *echo) Authenticate(r *http.Request) (authn.Identity, error) {
	return authn.Identity{Subject: r.Header.Get("Authorization"), Roles: []string{"a", "b"}}.Kept(e, authn.Keep{Lease: e.lease}), nil
}

// Revoked identities do not stay in memory until their place is used again.
func TestTableSweeps(t *testing.T) {
	table := must1(authn.NewTable(&authn.TableOptions{Entries: 256}))(t)
	old, k := new(lease), &echo{}
	k.lease = old
	h := authn.New(k, &authn.Options{Table: table}).Handler(http.HandlerFunc(who))
	for i := range 100 {
		ask(h, "GET", "/", fmt.Sprint("Authorization: ", i))
	}
	before := table.Usage()
	if before.Entries < 60 {
		t.Fatalf("%+v", before)
	}
	old.ended.Store(true)
	k.lease = new(lease)
	for i := range 64 { // four places each
		ask(h, "GET", "/", fmt.Sprint("Authorization: new", i))
	}
	if after := table.Usage(); after.Entries > 64 || after.Bytes > 64*before.Bytes/before.Entries*2 {
		t.Errorf("%+v, before %+v", after, before)
	}
}

func TestTableOptions(t *testing.T) {
	table := must1(authn.NewTable(nil))(t)
	for name, o := range map[string]authn.Options{
		"table and entries": {Table: table, KeepEntries: 1}, "table and bytes": {Table: table, KeepBytes: authn.NoKeep}, "negative": {KeepEntries: -2}, "negative bytes": {KeepBytes: -2},
	} {
		func() {
			defer func() {
				if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), "Keep") {
					t.Errorf("%s: %v", name, v)
				}
			}()
			authn.New(newKeeper(), &o)
		}()
	}
}
