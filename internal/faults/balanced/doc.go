// Package balanced tests two replicas behind a real nginx, with sessions in Redis: if either is
// killed, nobody is logged out and no saved data is lost.
package balanced
