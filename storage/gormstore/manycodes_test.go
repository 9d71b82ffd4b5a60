package gormstore_test

import (
	"strings"
	"testing"
)

// An account can have very many used codes of a client. To drop the unused ones reads those alone.
func TestDroppedCodesHaveAnIndex_attack_526(t *testing.T) {
	sequential(t)
	ctx := t.Context()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			s := migrated(t, databases[kind](t, nil))
			digest, explain := "CAST(printf('%032d', i) AS BLOB)", "EXPLAIN QUERY PLAN "
			if kind == "postgres" {
				digest, explain = "CAST(lpad(CAST(i AS TEXT), 32, '0') AS BYTEA)", "EXPLAIN "
			}
			for _, sql := range []string{
				"INSERT INTO vestibule_codes (digest, client, subject, epoch, redirect_uri, challenge, nonce, confirm, auth_time_us, created_us, expires_us, kept_us, used, family) " +
					"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) " +
					"SELECT " + digest + ", 'c', 'u', 0, '', '', '', '', 0, 0, i, i, i % 2000 > 0, '' FROM n",
				"ANALYZE",
			} {
				if err := s.DB(ctx).Exec(sql).Error; err != nil {
					t.Fatal(err)
				}
			}
			pool, err := s.DB(ctx).DB()
			if err != nil {
				t.Fatal(err)
			}
			rows, err := pool.QueryContext(ctx, explain+s.DropCodes(), "u", "c", 1000)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			var plan string
			for rows.Next() {
				var a, b, c, line string
				dest := []any{&a, &b, &c, &line}
				if kind == "postgres" {
					dest = dest[3:]
				}
				if err := rows.Scan(dest...); err != nil {
					t.Fatal(err)
				}
				plan += line + "\n"
			}
			if err := rows.Err(); err != nil || !strings.Contains(plan, "vestibule_codes_open") || strings.Contains(plan, "Seq Scan on vestibule_codes") {
				t.Errorf("%v\n%s", err, plan)
			}
		})
	}
}
