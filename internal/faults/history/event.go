// Package history records what clients of a server saw during faults, and checks it afterwards.
//
// All times come from the one monotonic clock of the recording process, so no two clocks are
// compared. An accepted use that begins after a revocation was acknowledged is therefore a fact, not
// an estimate: the true moment of the check is even later.
package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// The operations of an [Event].
const (
	Issue      = "issue"      // a login, or any other call that returned a credential
	Use        = "use"        // a request with a credential
	Revoke     = "revoke"     // a logout or a revocation of one credential
	Refresh    = "refresh"    // a use of a refresh token, which works once
	EndFamily  = "family"     // a revocation of all credentials of a family
	Everywhere = "everywhere" // a log-out-everywhere of a subject
	Disable    = "disable"    // an account that was disabled
	Enable     = "enable"     // an account that was enabled again; its credentials stay revoked
	Login      = "login"      // a login that returned no credential
	Lost       = "lost"       // a documented loss of all credentials of a kind, such as FLUSHALL
	Attempt    = "attempt"    // a call that a limit of its Sub allows, or does not
	Probe      = "probe"      // a new connection of the harness to the database, which was fast enough or not
	Fault      = "fault"      // a fault of the harness, from its begin to its end
)

// The results of an [Event].
const (
	Yes     = "yes"
	No      = "no"
	Unknown = "unknown" // timeout, reset or 5xx: both futures are possible
	Limited = "limited" // 429
)

// Event is one call, or one fault. Times are nanoseconds since the start of the run.
type Event struct {
	T0     int64  `json:"t0"`
	T1     int64  `json:"t1"`
	Client int    `json:"c"`
	Rep    string `json:"rep,omitempty"`  // the replica that was called
	Op     string `json:"op"`             // one of the constants
	Cred   string `json:"cred,omitempty"` // keyed hash of the credential
	Family string `json:"fam,omitempty"`  // keyed hash of what the credential belongs to
	Sub    string `json:"sub,omitempty"`  // the account
	Kind   string `json:"kind,omitempty"` // the scheme
	Status int    `json:"status,omitempty"`
	Res    string `json:"res,omitempty"`
	Owner  string `json:"owner,omitempty"` // the account that the answer names
	Retry  bool   `json:"retry,omitempty"` // a 503 had Retry-After
	Note   string `json:"note,omitempty"`
}

// String returns the event as its line, for a report.
func (e Event) String() string {
	text, err := json.Marshal(e)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Recorder keeps events in memory and in a file. It is safe for concurrent use.
type Recorder struct {
	start time.Time // with the monotonic reading
	mu    sync.Mutex
	file  *os.File
	w     *bufio.Writer
	list  []Event
	err   error
}

// NewRecorder returns a Recorder whose clock starts now. It writes to a new file at path.
func NewRecorder(path string) (*Recorder, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &Recorder{start: time.Now(), file: f, w: bufio.NewWriter(f)}, nil
}

// Now returns the nanoseconds since the start.
func (r *Recorder) Now() int64 { return int64(time.Since(r.start)) }

// Add records an event that is complete.
func (r *Recorder) Add(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, e)
	if _, err := fmt.Fprintln(r.w, e); err != nil && r.err == nil {
		r.err = err
	}
}

// Take returns the events so far, in the order of their ends, and whether writing the file failed.
func (r *Recorder) Take() ([]Event, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.w.Flush(); err != nil && r.err == nil {
		r.err = err
	}
	return append([]Event(nil), r.list...), r.err
}

// Split ends a part of the history and returns its events. Further events go to a new file at path,
// and only they stay in memory. The clock goes on.
func (r *Recorder) Split(path string) ([]Event, error) {
	next, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	err = errors.Join(r.err, r.w.Flush(), r.file.Close())
	list := r.list
	r.file, r.w, r.list, r.err = next, bufio.NewWriter(next), nil, nil
	return list, err
}

// Close writes what is buffered and closes the file.
func (r *Recorder) Close() error {
	_, err := r.Take()
	if err2 := r.file.Close(); err == nil {
		err = err2
	}
	return err
}

// Read reads the lines of a file that a Recorder wrote.
func Read(from io.Reader) (list []Event, err error) {
	d := json.NewDecoder(from)
	for {
		var e Event
		if err := d.Decode(&e); err == io.EOF {
			return list, nil
		} else if err != nil {
			return nil, fmt.Errorf("history: Read: line %d: %w", len(list)+1, err)
		}
		list = append(list, e)
	}
}
