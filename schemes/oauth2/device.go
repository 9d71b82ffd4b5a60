package oauth2

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/vestibule-auth/vestibule/internal/tokentext"
	"github.com/vestibule-auth/vestibule/keys"
	"github.com/vestibule-auth/vestibule/storage"
)

// DeviceCode is the grant type of devices without a browser (RFC 8628), for
// storage.Client.Grants.
const DeviceCode = "urn:ietf:params:oauth:grant-type:device_code"

const (
	// devicePrefix is that of device codes (RULES C9).
	devicePrefix = "vdc"
	// deviceInterval is how far polls have to be apart at first.
	deviceInterval = 5 * time.Second
	// userLetters are those of user codes: no vowels, so no words, and none that looks like
	// another or like a digit (RFC 8628 section 6.1). Eight are 34 bits.
	userLetters  = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeSize = 8
)

// DeviceAuthorization returns the endpoint where a device without a browser begins (RFC 8628
// section 3.1): POST of a form with "scope" and "resource", with the client's own
// authentication, answered with the code that the device polls the token endpoint with and
// the one that its user types into the page of Device. Options.Keys is needed.
func (s *Server) DeviceAuthorization() http.Handler {
	if s.opts.Keys == nil {
		panic("oauth2: DeviceAuthorization without Options.Keys")
	}
	return s.cors("POST", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, err := s.beginDevice(w, r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		write(w, http.StatusOK, a)
	}))
}

// deviceAnswer is that of RFC 8628 section 3.2.
type deviceAnswer struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	Page       string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete"`
	Expires    int    `json:"expires_in"`
	Interval   int    `json:"interval"`
}

func (s *Server) beginDevice(w http.ResponseWriter, r *http.Request) (deviceAnswer, error) {
	none := deviceAnswer{}
	f, err := readForm(w, r)
	if err != nil {
		return none, err
	}
	c, err := s.client(r, f)
	if err != nil {
		return none, err
	}
	if !slices.Contains(c.Grants, DeviceCode) {
		return none, errUnauthorized
	}
	scopes, err := s.scopesOf(f.get("scope"), c.Scopes, c.Default)
	if err != nil {
		return none, err
	}
	resource, err := resourcesOf(f, s.mayName(c), nil)
	if err != nil {
		return none, err
	}
	if err := s.admitPending(r, workDevice, c, s.opts.DeviceTTL); err != nil {
		return none, err
	}
	text, err := s.text(devicePrefix)
	if err != nil {
		return none, err
	}
	now := s.now()
	g := storage.DeviceGrant{
		Digest: storage.DigestOf(text), Client: c.ID, Scopes: scopes, Resource: resource, Interval: deviceInterval, Created: now, Expires: now.Add(s.opts.DeviceTTL),
	}
	code, err := s.createDevice(r.Context(), g)
	switch {
	case errors.Is(err, storage.ErrStale):
		return none, errClient.with(errors.New("disabled or deleted in this moment"))
	case err != nil:
		return none, err
	}
	page, shown := s.issuer+cmp.Or(s.opts.Endpoints.Device, "/oauth2/device"), shownCode(code)
	return deviceAnswer{text, shown, page, page + "?user_code=" + shown, int(s.opts.DeviceTTL / time.Second), int(deviceInterval / time.Second)}, nil
}

// createDevice stores a grant under a user code that no other one has.
func (s *Server) createDevice(ctx context.Context, g storage.DeviceGrant) (code string, err error) {
	for range 5 {
		if code, err = s.userCode(); err != nil {
			return "", err
		}
		_, key := s.opts.Keys.Newest(keys.ShortCodes)
		g.UserCode = s.userMAC(key, code)
		if err = s.store.CreateDeviceGrant(ctx, g); !errors.Is(err, storage.ErrConflict) {
			break
		}
	}
	return code, err
}

// userCode draws a user code. That 2^64 is no multiple of 20^8 favours none by more than one
// in 2^29.
func (s *Server) userCode() (string, error) {
	var b [8]byte
	if _, err := io.ReadFull(s.opts.Rand, b[:]); err != nil {
		return "", err
	}
	n := binary.BigEndian.Uint64(b[:])
	code := make([]byte, userCodeSize)
	for i := range code {
		code[i] = userLetters[n%uint64(len(userLetters))]
		n /= uint64(len(userLetters))
	}
	return string(code), nil
}

// shownCode is a user code as people read it: XXXX-XXXX.
func shownCode(code string) string { return code[:userCodeSize/2] + "-" + code[userCodeSize/2:] }

// lookAlikes are what is not in userLetters, with what it was most likely meant to be.
var lookAlikes = strings.NewReplacer("0", "Q", "O", "Q", "1", "L", "I", "L", "2", "Z", "5", "S", "6", "G", "8", "B", "U", "V")

// readCode reads a user code as somebody typed it: in small letters, with or without dash and
// blanks, with letters that look alike. It reports false for what is none.
func readCode(typed string) (string, bool) {
	if len(typed) > 64 {
		return "", false
	}
	code := lookAlikes.Replace(strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) || unicode.IsPunct(c) {
			return -1
		}
		return unicode.ToUpper(c)
	}, typed))
	return code, len(code) == userCodeSize && strings.Trim(code, userLetters) == ""
}

// userMAC is what the store knows of a user code (RULES K3): bound to this issuer.
func (s *Server) userMAC(key keys.Key, code string) storage.MAC {
	return mac(key, "device", s.issuer, code)
}

// mac is an HMAC of texts, each with its length before it.
func mac(key keys.Key, texts ...string) (m storage.MAC) {
	h := hmac.New(sha256.New, key[:])
	for _, t := range texts {
		_, _ = h.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(t))), t...))
	}
	h.Sum(m[:0])
	return m
}

// The answers to a device that polls (RFC 8628 section 3.5).
var (
	errPending = refuse("authorization_pending", "The user has not decided yet.")
	errSlow    = refuse("slow_down", "The poll came too early; the interval is 5 seconds longer from now on.")
	errDenied  = refuse("access_denied", "The user refused.")
	errExpired = refuse("expired_token", "The device code has expired.")
)

// exchangeDevice gives tokens for a device code that a user approved, once (RULES T7).
func (s *Server) exchangeDevice(ctx context.Context, x exchange) (answer, error) {
	g, err := s.poll(ctx, x)
	if err != nil {
		return answer{}, err
	}
	resource, err := resourcesOf(x.form, s.granted(g.Resource), g.Resource)
	if err != nil {
		return answer{}, err
	}
	if err := s.proved(ctx, x.proof); err != nil {
		return answer{}, err
	}
	a, err := s.begin(ctx, x, beginning{
		family:   storage.Family{Subject: g.Subject, Scopes: g.Scopes, Resource: g.Resource, Epoch: g.Epoch, AuthTime: g.AuthTime},
		resource: resource,
		claim: func(ctx context.Context, _ string) error {
			return s.store.ClaimDeviceGrant(ctx, g.Digest, s.now())
		},
	})
	if errors.Is(err, storage.ErrConflict) || errors.Is(err, storage.ErrStale) || errors.Is(err, storage.ErrNotFound) {
		return answer{}, errGrant.with(err)
	}
	return a, err
}

// poll returns the grant of the request where it was approved.
func (s *Server) poll(ctx context.Context, x exchange) (storage.DeviceGrant, error) {
	text := x.form.get("device_code")
	if text == "" {
		return storage.DeviceGrant{}, refuse("invalid_request", "The device_code is missing.")
	}
	if !tokentext.Valid(devicePrefix, text) {
		return storage.DeviceGrant{}, errGrant.with(errors.New("not of a device code's shape"))
	}
	if s.opts.Limits != nil { // each poll is a write
		err := s.admit(ctx, "poll", Cell{Key: s.cellKey("poll", x.client.ID, text), Limit: polls, Window: time.Minute})
		var slow *Error
		if errors.As(err, &slow) {
			return storage.DeviceGrant{}, errSlow
		}
	}
	now := s.now()
	g, err := s.store.PollDeviceGrant(ctx, storage.DigestOf(text), x.client.ID, now)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return g, errGrant.with(errors.New("unknown, or another client's"))
	case err != nil:
		return g, err
	case g.State == storage.DeviceClaimed:
		return g, errGrant.with(errors.New("used already"))
	case g.State == storage.DeviceDenied:
		return g, errDenied
	case g.Expired(now):
		return g, errExpired
	case g.State == storage.DeviceApproved:
		return g, nil
	case g.Slow:
		return g, errSlow
	}
	return g, errPending
}
