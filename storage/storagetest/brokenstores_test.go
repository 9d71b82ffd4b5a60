package storagetest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/memory"
)

// testTimeout limits one rule in another process.
const testTimeout = time.Minute

// with returns a function that opens a store broken by f.
func with[S any](f func(*memory.Store) S) func() any {
	return func() any { return f(memory.New(nil)) }
}

var broken = map[string]brokenStore{
	"conflict of a name is swallowed":       {"users/taken", with(func(m *memory.Store) any { return &swallows{m} })},
	"names without regard to case":          {"users/names_are_compared_byte_for_byte", with(func(m *memory.Store) any { return &foldsNames{m} })},
	"roles are shared with the caller":      {"users/what_is_returned_is_a_copy", with(func(m *memory.Store) any { return &sharesRoles{Store: m} })},
	"times in the local zone":               {"users/times_are_utc", with(func(m *memory.Store) any { return &localTimes{m} })},
	"texts are trimmed":                     {"texts/attack_036_sql_in_names", with(func(m *memory.Store) any { return &trims{m} })},
	"a malformed subject is a fault":        {"subjects/unknown_has_epoch_0", with(func(m *memory.Store) any { return &strictEpoch{m} })},
	"epochs count from one":                 {"subjects/bump", func() any { return memory.New(&memory.Options{Clock: func() time.Time { return time.Unix(0, 0) }}) }},
	"a new password leaves the token":       {"accounts/set_password", with(func(m *memory.Store) any { return &keepsToken{m} })},
	"a change of password ignores epochs":   {"accounts/change_password", with(func(m *memory.Store) any { return &lateChange{m} })},
	"the epoch of a login is ignored":       {"sessions/stale", with(func(m *memory.Store) any { return &ignoresEpoch{m} })},
	"absent is nothing instead of an error": {"sessions/absent", with(func(m *memory.Store) any { return &nilForAbsent{m} })},
	"a second end is no error":              {"session_ends/end", with(func(m *memory.Store) any { return &endsTwice{m} })},
	"a save ignores the version":            {"sessions/save", with(func(m *memory.Store) any { return &lastSaveWins{m} })},
	"a new session ignores the version":     {"sessions/attack_448_replaces_the_version_that_was_read", with(func(m *memory.Store) any { return &replacesAny{m} })},
	"a list ignores its limit":              {"session_ends/list_and_end_own", with(func(m *memory.Store) any { return &endlessList{m} })},
	"a series is a beginning of an ID":      {"session_ends/series", with(func(m *memory.Store) any { return &anySeries{m} })},
	"a list of families begins again":       {"families/list", with(func(m *memory.Store) any { return &beginsAgain{m} })},
	"a list of a client skips nothing":      {"family_lists/of_a_client", with(func(m *memory.Store) any { return &skipsNothing{m} })},
	"a family that has ended is found":      {"family_lists/by_id", with(func(m *memory.Store) any { return &findsAll{m} })},
	"a count has the purposes together":     {"family_lists/count", with(func(m *memory.Store) any { return &countsAll{m} })},
	"a count ignores the purpose":           {"credentials/list", with(func(m *memory.Store) any { return &countsOther{m} })},
	"expired credentials are hidden":        {"credentials/expired_is_returned", with(func(m *memory.Store) any { return &hidesExpired{m} })},
	"no scopes become nil scopes":           {"credentials/scopes_nil_or_none", with(func(m *memory.Store) any { return &nilScopes{m} })},
	"purposes are ignored":                  {"credential_purposes/not_found_by_another", with(func(m *memory.Store) any { return &anyPurpose{m} })},
	"unknown is kept for every purpose":     {"credential_purposes/found_after_another_failed", with(func(m *memory.Store) any { return &keepsUnknown{Store: m} })},
	"another purpose can revoke":            {"credential_purposes/not_changed_by_another", with(func(m *memory.Store) any { return &revokesAny{m} })},
	"one more than the limit":               {"credential_limit/refuse", with(func(m *memory.Store) any { return &oneMore{m} })},
	"the limit is counted before":           {"credential_races/attack_041_limit_refuses", with(func(m *memory.Store) any { return &countsFirst{m} })},
	"a revocation is not atomic":            {"credential_races/delete_once", with(func(m *memory.Store) any { return &checksFirst{m} })},
	"every use is written":                  {"credential_races/touch_once", with(func(m *memory.Store) any { return &touchesAlways{m} })},
	"one key of a token is not looked up":   {"blocklist/each_key", with(func(m *memory.Store) any { return &ignoresSID{m} })},
	"every use is the first":                {"replays/once", with(func(m *memory.Store) any { return &forgetsUses{m} })},
	"a code can be used again":              {"codes/used_once", with(func(m *memory.Store) any { return &reusesCodes{m} })},
	"a token is claimed twice":              {"claims/claimed_twice", with(func(m *memory.Store) any { return &claimsTwice{m} })},
	"a link keeps the sessions":             {"links/delete", with(func(m *memory.Store) any { return &unlinksOnly{m} })},
	"an issuer's user has two accounts":     {"links/taken", with(func(m *memory.Store) any { return &relinks{m} })},
	"attempts are lost":                     {"tries/each_counts", with(func(m *memory.Store) any { return &losesTries{Store: m} })},
	"pruned an hour too early":              {"prune/credentials", with(func(m *memory.Store) any { return &prunesEarly{m} })},
	"prunes by the caller's clock": {"prune/attack_303_fast_clock", func() any {
		return memory.New(&memory.Options{Clock: func() time.Time { return time.Now().AddDate(1, 0, 0) }}) // always later than the caller's clock
	}},
	"the limit of pruning is ignored":       {"prune/limit_is_for_all_kinds_together", with(func(m *memory.Store) any { return &prunesAll{m} })},
	"an error does not roll back":           {"transactions/rollback_on_error", with(func(m *memory.Store) any { return &noRollback{m} })},
	"a panic in a transaction is swallowed": {"transactions/rollback_on_panic", with(func(m *memory.Store) any { return &swallowsPanic{m} })},
	"only credentials, with another fault":  {"credential_races/delete_once", with(func(m *memory.Store) any { return struct{ storage.Credentials }{&checksFirst{m}} })},
}

type swallows struct{ *memory.Store }

func (s *swallows) CreateUser(ctx context.Context, u storage.User) error {
	if err := s.Store.CreateUser(ctx, u); !errors.Is(err, storage.ErrConflict) {
		return err
	}
	return nil
}

type foldsNames struct{ *memory.Store }

func (s *foldsNames) UserByName(ctx context.Context, name string) (storage.User, error) {
	return s.Store.UserByName(ctx, strings.ToLower(name))
}

type sharesRoles struct {
	*memory.Store
	mu    sync.Mutex
	roles map[string][]string
}

func (s *sharesRoles) UserByID(ctx context.Context, id string) (storage.User, error) {
	u, err := s.Store.UserByID(ctx, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.roles == nil {
		s.roles = map[string][]string{}
	}
	if _, ok := s.roles[id]; !ok {
		s.roles[id] = u.Roles
	}
	u.Roles = s.roles[id]
	return u, err
}

type localTimes struct{ *memory.Store }

func (s *localTimes) UserByID(ctx context.Context, id string) (storage.User, error) {
	u, err := s.Store.UserByID(ctx, id)
	u.Created = u.Created.In(time.FixedZone("CET", 3600))
	return u, err
}

type trims struct{ *memory.Store }

func (s *trims) CreateUser(ctx context.Context, u storage.User) error {
	u.Email = strings.TrimSpace(u.Email)
	return s.Store.CreateUser(ctx, u)
}

type strictEpoch struct{ *memory.Store }

func (s *strictEpoch) SubjectEpoch(ctx context.Context, subject string) (int64, error) {
	if err := storage.CheckID("subject", subject); err != nil {
		return 0, err
	}
	return s.Store.SubjectEpoch(ctx, subject)
}

type keepsToken struct{ *memory.Store }

func (s *keepsToken) SetPassword(ctx context.Context, id string, hash storage.PasswordHash) error {
	t, lost := s.StaticTokenOf(ctx, id)
	err := s.Store.SetPassword(ctx, id, hash)
	if err == nil && lost == nil {
		t.Epoch, _ = s.SubjectEpoch(ctx, id)
		err = s.PutStaticToken(ctx, t, storage.Digest{})
	}
	return err
}

type lateChange struct{ *memory.Store }

func (s *lateChange) ChangePassword(ctx context.Context, id string, _ int64, hash storage.PasswordHash) error {
	return s.SetPassword(ctx, id, hash)
}

type ignoresEpoch struct{ *memory.Store }

func (s *ignoresEpoch) CreateSession(ctx context.Context, v storage.Session, replaces storage.Digest) error {
	if v.Subject != "" {
		v.Epoch, _ = s.SubjectEpoch(ctx, v.Subject)
	}
	return s.Store.CreateSession(ctx, v, replaces)
}

type nilForAbsent struct{ *memory.Store }

func (s *nilForAbsent) SessionByDigest(ctx context.Context, d storage.Digest) (storage.Session, storage.User, error) {
	v, u, err := s.Store.SessionByDigest(ctx, d)
	if errors.Is(err, storage.ErrNotFound) {
		err = nil
	}
	return v, u, err
}

type endsTwice struct{ *memory.Store }

func (s *endsTwice) DeleteSession(ctx context.Context, d storage.Digest) error {
	_ = s.Store.DeleteSession(ctx, d)
	return nil
}

type lastSaveWins struct{ *memory.Store }

func (s *lastSaveWins) SaveSession(ctx context.Context, d storage.Digest, version int64, data []byte) error {
	if v, _, err := s.SessionByDigest(ctx, d); err == nil {
		version = v.Version
	}
	return s.Store.SaveSession(ctx, d, version, data)
}

type replacesAny struct{ *memory.Store }

func (s *replacesAny) CreateSession(ctx context.Context, v storage.Session, replaces storage.Digest) error {
	v.Version = 0
	return s.Store.CreateSession(ctx, v, replaces)
}

type endlessList struct{ *memory.Store }

func (s *endlessList) ListSessions(ctx context.Context, subject string, _ int) ([]storage.Session, error) {
	return s.Store.ListSessions(ctx, subject, 1000)
}

type anySeries struct{ *memory.Store }

func (s *anySeries) DeleteSeries(ctx context.Context, subject, series, keep string) (n int, err error) {
	list, err := s.ListSessions(ctx, subject, 1000)
	for _, v := range list {
		if storage.CheckSeries(series) == nil && strings.HasPrefix(v.ID, series) && v.ID != keep {
			err = errors.Join(err, s.DeleteSessionOf(ctx, subject, v.ID))
			n++
		}
	}
	return n, err
}

type beginsAgain struct{ *memory.Store }

func (s *beginsAgain) ListFamilies(ctx context.Context, purpose, subject string, _ storage.FamilyPlace, limit int) ([]storage.Family, error) {
	return s.Store.ListFamilies(ctx, purpose, subject, storage.FamilyPlace{}, limit)
}

type skipsNothing struct{ *memory.Store }

func (s *skipsNothing) ListFamiliesOf(ctx context.Context, purpose, subject, client string, _, limit int) ([]storage.Family, error) {
	return s.Store.ListFamiliesOf(ctx, purpose, subject, client, 0, limit)
}

type findsAll struct{ *memory.Store }

func (s *findsAll) FamilyByID(ctx context.Context, purpose, subject, id string) (storage.Family, error) {
	f, err := s.Store.FamilyByID(ctx, purpose, subject, id)
	for n := 0; err != nil && n < 10; n++ { // find the families of the rule by their tokens
		st, lost := s.RefreshByDigest(ctx, storage.DigestOf(fmt.Sprintf("refresh %s %d", id, n)))
		if lost == nil && st.Family.Subject == subject && st.Family.Purpose == purpose {
			return st.Family, nil
		}
	}
	return f, err
}

type countsAll struct{ *memory.Store }

func (s *countsAll) CountFamilies(ctx context.Context, purpose, subject string) (n storage.FamilyCount, err error) {
	n, err = s.Store.CountFamilies(ctx, purpose, subject)
	other, _ := s.Store.CountFamilies(ctx, "other", subject)
	if purpose == "jwt" {
		n.Total += other.Total
	}
	return n, err
}

type countsOther struct{ *memory.Store }

func (s *countsOther) CountCredentials(ctx context.Context, purpose, subject string) (int, error) {
	if purpose == "other" {
		list, err := s.ListCredentials(ctx, "knox", subject, 1000)
		return len(list), err
	}
	return s.Store.CountCredentials(ctx, purpose, subject)
}

type hidesExpired struct{ *memory.Store }

func (s *hidesExpired) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	c, u, err := s.Store.CredentialByDigest(ctx, purpose, d)
	if err == nil && c.Expired(time.Now().AddDate(-100, 0, 0)) || err == nil && c.Expires.Before(c.Created) && !c.Expires.IsZero() {
		return storage.Credential{}, storage.User{}, storage.ErrNotFound
	}
	return c, u, err
}

type nilScopes struct{ *memory.Store }

func (s *nilScopes) CreateCredential(ctx context.Context, c storage.Credential, l storage.CredentialLimit) ([]storage.Credential, error) {
	if len(c.Scopes) == 0 {
		c.Scopes = nil
	}
	return s.Store.CreateCredential(ctx, c, l)
}

type anyPurpose struct{ *memory.Store }

func (s *anyPurpose) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	for _, p := range []string{purpose, "knox", "api-key"} {
		if c, u, err := s.Store.CredentialByDigest(ctx, p, d); err == nil {
			return c, u, nil
		}
	}
	return storage.Credential{}, storage.User{}, storage.ErrNotFound
}

type keepsUnknown struct {
	*memory.Store
	mu      sync.Mutex
	unknown []storage.Digest
}

func (s *keepsUnknown) CredentialByDigest(ctx context.Context, purpose string, d storage.Digest) (storage.Credential, storage.User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.unknown, d) {
		return storage.Credential{}, storage.User{}, storage.ErrNotFound
	}
	c, u, err := s.Store.CredentialByDigest(ctx, purpose, d)
	if errors.Is(err, storage.ErrNotFound) {
		s.unknown = append(s.unknown, d)
	}
	return c, u, err
}

func (s *keepsUnknown) CreateCredential(ctx context.Context, c storage.Credential, l storage.CredentialLimit) ([]storage.Credential, error) {
	evicted, err := s.Store.CreateCredential(ctx, c, l)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.unknown = slices.DeleteFunc(s.unknown, func(d storage.Digest) bool { return d == c.Digest })
	}
	return evicted, err
}

type revokesAny struct{ *memory.Store }

func (s *revokesAny) DeleteCredential(ctx context.Context, purpose, subject, id string) error {
	if s.Store.DeleteCredential(ctx, "knox", subject, id) == nil {
		return nil
	}
	return s.Store.DeleteCredential(ctx, purpose, subject, id)
}

type oneMore struct{ *memory.Store }

func (s *oneMore) CreateCredential(ctx context.Context, c storage.Credential, l storage.CredentialLimit) ([]storage.Credential, error) {
	if l.Max > 0 {
		l.Max++
	}
	return s.Store.CreateCredential(ctx, c, l)
}

type countsFirst struct{ *memory.Store }

func (s *countsFirst) CreateCredential(ctx context.Context, c storage.Credential, l storage.CredentialLimit) ([]storage.Credential, error) {
	list, err := s.ListCredentials(ctx, c.Purpose, c.Subject, 1000)
	if err == nil && l.Max > 0 && len(list) >= l.Max {
		return nil, storage.ErrLimit
	}
	pause()
	return s.Store.CreateCredential(ctx, c, storage.CredentialLimit{})
}

type checksFirst struct{ *memory.Store }

func (s *checksFirst) DeleteCredential(ctx context.Context, purpose, subject, id string) error {
	list, err := s.ListCredentials(ctx, purpose, subject, 1000)
	if err != nil || !slices.ContainsFunc(list, func(c storage.Credential) bool { return c.ID == id }) {
		return errors.Join(err, storage.ErrNotFound)
	}
	pause()
	if err := s.Store.DeleteCredential(ctx, purpose, subject, id); !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	return nil
}

// pause lets the other goroutines of a race run.
func pause() {
	for range 100 {
		runtime.Gosched()
	}
}

type touchesAlways struct{ *memory.Store }

func (s *touchesAlways) TouchCredential(ctx context.Context, purpose string, d storage.Digest, used, expires, _ time.Time) (bool, error) {
	return s.Store.TouchCredential(ctx, purpose, d, used, expires, used.AddDate(100, 0, 0))
}

type ignoresSID struct{ *memory.Store }

func (s *ignoresSID) TokenStatusOf(ctx context.Context, subject string, keys storage.BlockKeys) (storage.TokenStatus, error) {
	keys.SID = storage.BlockKey{}
	return s.Store.TokenStatusOf(ctx, subject, keys)
}

type forgetsUses struct{ *memory.Store }

func (s *forgetsUses) ConsumeJTI(_ context.Context, key storage.BlockKey, _, until time.Time) error {
	return storage.CheckJTI(key, until)
}

type reusesCodes struct{ *memory.Store }

func (s *reusesCodes) ConsumeCode(ctx context.Context, d storage.Digest, family string, kept time.Time) error {
	if err := s.Store.ConsumeCode(ctx, d, family, kept); !errors.Is(err, storage.ErrConflict) {
		return err
	}
	return nil
}

type claimsTwice struct{ *memory.Store }

func (s *claimsTwice) ClaimRefresh(ctx context.Context, c storage.RefreshClaim) error {
	if err := s.Store.ClaimRefresh(ctx, c); !errors.Is(err, storage.ErrConflict) {
		return err
	}
	return nil
}

type losesTries struct {
	*memory.Store
	mu    sync.Mutex
	tries map[storage.MAC]int
}

func (s *losesTries) CountAttempt(ctx context.Context, name storage.MAC, now, until time.Time) (int, time.Time, error) {
	s.mu.Lock()
	n := s.tries[name]
	s.mu.Unlock()
	pause()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tries == nil {
		s.tries = map[storage.MAC]int{}
	}
	s.tries[name] = n + 1
	return n + 1, until, nil
}

type prunesEarly struct{ *memory.Store }

func (s *prunesEarly) Prune(ctx context.Context, now time.Time, limit int) (int, error) {
	return s.Store.Prune(ctx, now.Add(time.Hour), limit)
}

type prunesAll struct{ *memory.Store }

func (s *prunesAll) Prune(ctx context.Context, now time.Time, _ int) (int, error) {
	return s.Store.Prune(ctx, now, 1000)
}

type noRollback struct{ *memory.Store }

func (*noRollback) InTx(ctx context.Context, fn func(context.Context) error) error { return fn(ctx) }

type swallowsPanic struct{ *memory.Store }

func (s *swallowsPanic) InTx(ctx context.Context, fn func(context.Context) error) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("failed")
		}
	}()
	return s.Store.InTx(ctx, fn)
}
