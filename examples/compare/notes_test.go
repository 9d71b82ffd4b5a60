package main

import (
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/vestibule-auth/vestibule/authn"
)

// An account cannot fill the memory with notes. One that deletes a note can add another one.
func TestMaxNotes(t *testing.T) {
	n := newNotes()
	var last note
	for range maxNotes {
		x, err := n.add(note{subject: "1"})
		if err != nil {
			t.Fatal(err)
		}
		last = x
	}
	var refused *authn.Error
	if _, err := n.add(note{subject: "1"}); !errors.As(err, &refused) || refused.Status != 403 || len(n.byID) != maxNotes {
		t.Errorf("one more: %v, and %d notes", err, len(n.byID))
	}
	if _, err := n.add(note{subject: "2"}); err != nil {
		t.Errorf("another account: %v", err)
	}
	for range 2 { // the second time it is not there
		n.delete(httptest.NewRecorder(), httptest.NewRequest("DELETE", "/", nil), last)
	}
	if _, err := n.add(note{subject: "1"}); err != nil {
		t.Errorf("after a deletion: %v", err)
	}
	if _, err := n.add(note{subject: "1"}); err == nil {
		t.Error("a deletion counts twice")
	}
}
