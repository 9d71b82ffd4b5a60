package storagetest

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

func authRequests(t *testing.T, s *suite) {
	request := func(name string) storage.AuthRequest {
		return storage.AuthRequest{Digest: storage.DigestOf(name), Purpose: "consent", Client: "c", Data: []byte{0, 1, 0xff}, Created: born, Expires: born.Add(time.Hour)}
	}
	s.rules(t, withClients(map[string]func(*kit){
		"round_trip: a request comes back as it was stored, can be read any number of times and taken once": func(k *kit) {
			want := request("a")
			want.Subject, want.Session = "u", "s"
			given := want
			given.Created, given.Expires = born.In(time.FixedZone("", 60)), want.Expires.In(time.FixedZone("", 60))
			k.must(k.s.CreateAuthRequest(k.ctx, given))
			for range 2 { // reading does not consume it
				if got, err := k.s.AuthRequestByDigest(k.ctx, want.Digest); err != nil || !reflect.DeepEqual(got, want) {
					k.Errorf("got %+v, %v", got, err)
				}
			}
			k.is(k.s.CreateAuthRequest(k.ctx, want), storage.ErrConflict, "the digest is taken")
			k.must(k.s.ConsumeAuthRequest(k.ctx, want.Digest))
			k.is(k.s.ConsumeAuthRequest(k.ctx, want.Digest), storage.ErrNotFound, "taken already")
			_, err := k.s.AuthRequestByDigest(k.ctx, want.Digest)
			k.is(err, storage.ErrNotFound, "taken")
		},
		"refused: a request that cannot be kept is refused with ErrInvalid": func(k *kit) {
			for what, change := range map[string]func(*storage.AuthRequest){
				"digest": func(a *storage.AuthRequest) { a.Digest = storage.Digest{} }, "end": func(a *storage.AuthRequest) { a.Expires = time.Time{} },
				"long": func(a *storage.AuthRequest) { a.Data = make([]byte, storage.MaxDataBytes+1) }, "purpose": func(a *storage.AuthRequest) { a.Purpose = "" },
				"client": func(a *storage.AuthRequest) { a.Client = "\x00" }, "session": func(a *storage.AuthRequest) { a.Session = "\xff" },
			} {
				a := request("a")
				change(&a)
				k.is(k.s.CreateAuthRequest(k.ctx, a), storage.ErrInvalid, what)
			}
		},
		"prune: Prune deletes requests that have expired and no others": func(k *kit) {
			k.needs(Pruner)
			for name, at := range map[string]time.Duration{"a": 0, "b": time.Microsecond} {
				a := request(name)
				a.Expires = born.Add(at)
				k.must(k.s.CreateAuthRequest(k.ctx, a))
			}
			k.pruned(born, 10, 1)
			k.is(k.s.ConsumeAuthRequest(k.ctx, storage.DigestOf("b")), nil, "one that has not expired stays")
		},
		"one_takes_it: of concurrent callers one takes the request; the others get ErrNotFound": func(k *kit) {
			k.must(k.s.CreateAuthRequest(k.ctx, request("a")))
			won := 0
			for _, err := range race(func(int) error { return k.s.ConsumeAuthRequest(k.ctx, storage.DigestOf("a")) }) {
				if err == nil {
					won++
				} else if !errors.Is(err, storage.ErrNotFound) {
					k.Error(err)
				}
			}
			if won != 1 {
				k.Errorf("%d took it", won)
			}
		},
	}, "c"))
}
