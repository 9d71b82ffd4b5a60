// Package postgres opens a PostgreSQL database for package gormstore, with gorm's
// driver (pgx).
package postgres

import (
	"errors"
	"fmt"
	"time"

	driver "gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// Open opens the database at url ("postgres://user:password@host:port/name").
// It does not wait for the server: a call of the store does, within its timeout.
// The pool holds at most 20 connections; set others through DB and
// (*sql.DB).SetMaxOpenConns.
func Open(url string, opts *gormstore.Options) (*gormstore.Store, error) {
	cfg := gormstore.Config()
	cfg.DisableAutomaticPing = true
	db, err := gorm.Open(driver.New(driver.Config{DSN: url}), cfg)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	pool, err := db.DB()
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	pool.SetMaxOpenConns(20)
	pool.SetMaxIdleConns(20)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	pool.SetConnMaxLifetime(30 * time.Minute)
	s, err := gormstore.Own(db, opts)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return s, nil
}
