package oauthtest

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/vestibule-auth/vestibule/storage"
)

// Writes counts the writes that a refused request could make, and fails where it is told to.
type Writes struct {
	Store
	N atomic.Int64
	// FailFind makes the lookup of user codes fail, FailForgive that of tries that are taken back.
	FailFind, FailForgive atomic.Bool
	// LoseForgive takes a try back and loses the answer.
	LoseForgive atomic.Bool
	// FailDecision makes what a decision stores fail: the code, the page, the answer to a device.
	FailDecision atomic.Bool
}

func (w *Writes) EndFamily(ctx context.Context, id string, until time.Time) error {
	w.N.Add(1)
	return w.Store.EndFamily(ctx, id, until)
}

func (w *Writes) Block(ctx context.Context, until time.Time, keys ...storage.BlockKey) error {
	w.N.Add(1)
	return w.Store.Block(ctx, until, keys...)
}

func (w *Writes) DeleteAccess(ctx context.Context, d storage.Digest) error {
	w.N.Add(1)
	return w.Store.DeleteAccess(ctx, d)
}

func (w *Writes) ConsumeCode(ctx context.Context, d storage.Digest, family string, kept time.Time) error {
	w.N.Add(1)
	return w.Store.ConsumeCode(ctx, d, family, kept)
}

func (w *Writes) CountAttempt(ctx context.Context, name storage.MAC, now, until time.Time) (int, time.Time, error) {
	w.N.Add(1)
	return w.Store.CountAttempt(ctx, name, now, until)
}

func (w *Writes) ForgiveAttempt(ctx context.Context, name storage.MAC) error {
	w.N.Add(1)
	if w.FailForgive.Load() {
		return refused{}
	}
	err := w.Store.ForgiveAttempt(ctx, name)
	if err == nil && w.LoseForgive.Load() {
		err = ErrDown
	}
	return err
}

// refused is the error of a database that did not execute a statement.
type refused struct{}

func (refused) Error() string    { return "the database shuts down" }
func (refused) SQLState() string { return "57P01" }

func (w *Writes) DeviceGrantByUserCode(ctx context.Context, code storage.MAC) (storage.DeviceGrant, error) {
	if w.FailFind.Load() {
		return storage.DeviceGrant{}, ErrDown
	}
	return w.Store.DeviceGrantByUserCode(ctx, code)
}

func (w *Writes) CreateCode(ctx context.Context, c storage.Code) error {
	if w.FailDecision.Load() {
		return ErrDown
	}
	return w.Store.CreateCode(ctx, c)
}

func (w *Writes) CreateAuthRequest(ctx context.Context, a storage.AuthRequest) error {
	if w.FailDecision.Load() {
		return ErrDown
	}
	return w.Store.CreateAuthRequest(ctx, a)
}

func (w *Writes) DecideDeviceGrant(ctx context.Context, d storage.DeviceDecision) error {
	if w.FailDecision.Load() {
		return ErrDown
	}
	return w.Store.DecideDeviceGrant(ctx, d)
}
