package session

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"reflect"

	"github.com/gorilla/sessions"

	"github.com/vestibule-auth/vestibule/storage"
)

func (st *Store) update(ctx context.Context, v *sessions.Session, held *loaded, data []byte) error {
	if bytes.Equal(data, held.row.Data) {
		return nil
	}
	base, err := decode(held.row.Data)
	if err != nil {
		return err
	}
	now, version, stored := v.Values, held.row.Version, data
	for range saveTries {
		err = st.s.rows.SaveSession(ctx, held.row.Digest, version, stored)
		if !errors.Is(err, storage.ErrConflict) {
			break
		}
		var other storage.Session
		if other, _, err = st.s.rows.SessionByDigest(ctx, held.row.Digest); err != nil {
			break
		}
		theirs, err := decode(other.Data)
		if err != nil {
			return err
		}
		now = merge(base, v.Values, theirs)
		version = other.Version
		if stored, err = encode(now); err != nil {
			return err
		}
		if len(stored) > storage.MaxSessionDataBytes {
			return ErrTooLarge
		}
	}
	switch {
	case errors.Is(err, storage.ErrNotFound):
		held.bad = ErrEnded
		return ErrEnded
	case err != nil:
		return err
	}
	changed := &row{Session: held.row.Session, text: held.row.text, next: held.row.next} // the row of authentication must not be modified
	changed.Data, changed.Version = stored, version+1
	held.row, v.Values = changed, now
	return nil
}

// merge applies the changes from base to mine to theirs.
func merge(base, mine, theirs map[any]any) map[any]any {
	out := maps.Clone(theirs)
	for k, v := range mine {
		if was, ok := base[k]; !ok || !reflect.DeepEqual(was, v) {
			out[k] = v
		}
	}
	for k := range base {
		if _, ok := mine[k]; !ok {
			delete(out, k)
		}
	}
	return out
}
