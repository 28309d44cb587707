package db

import (
	"errors"

	"omnirapeutic/platform/db/pgurl"
)

// errURL has no cause: the parser's text repeats what it was given.
var errURL = errors.New("cannot be understood: it must be like postgres://user@host:5432/database or host=… dbname=…, with settings that PostgreSQL knows and files that can be read")

// RoleOf returns whom a database URL, in either form of libpq, connects as. The
// error says that the URL cannot be used, and repeats nothing of it.
func RoleOf(url string) (string, error) {
	c, err := pgurl.ParsePool(url)
	if err != nil {
		return "", errURL
	}
	return c.ConnConfig.User, nil
}
