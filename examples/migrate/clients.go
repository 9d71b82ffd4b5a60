package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vestibule-auth/vestibule/schemes/oauth2"
	"github.com/vestibule-auth/vestibule/storage"
	"github.com/vestibule-auth/vestibule/storage/gormstore"
)

// ImportClients copies the applications of Django OAuth Toolkit with their hashed secrets. scopes
// are those that each may request. The error names the applications that were left out.
func ImportClients(ctx context.Context, db *gormstore.Store, scopes []string) (imported int, err error) {
	var rows []struct {
		ClientID, Name, ClientType, AuthorizationGrantType, ClientSecret, RedirectURIs string
		SkipAuthorization                                                              bool
	}
	q := db.DB(ctx).Raw(`SELECT client_id, name, client_type, authorization_grant_type, client_secret,
		redirect_uris AS redirect_uris, skip_authorization FROM oauth2_provider_application`)
	if err := q.Scan(&rows).Error; err != nil {
		return 0, err
	}
	grants := map[string][]string{
		"authorization-code": {"authorization_code", "refresh_token"},
		"client-credentials": {"client_credentials"},
	}
	var left []error
	// #region clients
	for _, row := range rows {
		c := storage.Client{
			ID: row.ClientID, Name: row.Name, Method: oauth2.SecretBasic, Grants: grants[row.AuthorizationGrantType],
			RedirectURIs: strings.Fields(row.RedirectURIs), Scopes: scopes, Trusted: row.SkipAuthorization, Created: time.Now(),
		}
		if c.Name == "" {
			c.Name = c.ID
		}
		if row.ClientType == "public" {
			c.Method = oauth2.None
		} else {
			c.Password = storage.PasswordHash(row.ClientSecret)
		}
		if len(c.Grants) == 0 {
			left = append(left, fmt.Errorf("%s: the grant %s has no counterpart", c.ID, row.AuthorizationGrantType))
			continue
		}
		if err := oauth2.CheckClient(c); err != nil {
			left = append(left, fmt.Errorf("%s: %w", c.ID, err))
			continue
		}
		// The note that it was imported keeps a client that was deleted here from coming back.
		err := db.InTx(ctx, func(ctx context.Context) error {
			note := storage.BlockKeyOf("client import", "django", c.ID)
			if err := db.ConsumeJTI(ctx, note, c.Created, c.Created.AddDate(100, 0, 0)); err != nil {
				return err
			}
			return db.CreateClient(ctx, c)
		})
		switch {
		case err == nil:
			imported++
		case !errors.Is(err, storage.ErrConflict): // it was imported before
			return imported, err
		}
	}
	// #endregion clients
	return imported, errors.Join(left...)
}
