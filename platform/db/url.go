package db

import (
	"errors"

	"omnirapeutic/platform/db/pgurl"
)

// errURL has no cause, because the parser's error repeats parts of the URL.
var errURL = errors.New("is invalid: it must have the form postgres://user@host:5432/database or host=… dbname=…, " +
	"with settings known to PostgreSQL and readable files")

// RoleOf returns the role of a database URL, in either form of libpq. Its error does
// not repeat any part of the URL.
func RoleOf(url string) (string, error) {
	c, err := pgurl.ParsePool(url)
	if err != nil {
		return "", errURL
	}
	return c.ConnConfig.User, nil
}
