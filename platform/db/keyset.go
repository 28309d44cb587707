package db

import (
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// Keyset is one page of a list in a certain order. A page begins after the last
// row of the one before, wherever that is by now, so that rows which come and go
// meanwhile move nothing: none is shown twice, and none is left out that was there
// all the time.
type Keyset struct {
	Column string // what the list is sorted by; empty: the id alone
	// Expression is applied to the column, and to the value that it is compared
	// with, in the place of %s: "lower(%s)". It comes from the program, never from
	// a request.
	Expression string
	Descending bool
	After      *Position // nil: from the beginning
	Limit      int
}

// Position is where a page ended: the value by which the list is sorted, and the
// id, which makes the order total.
type Position struct {
	Value string    `json:"value,omitempty"`
	ID    uuid.UUID `json:"id"`
}

// Apply narrows a query of a table with the column id to the page.
func (k Keyset) Apply(tx *gorm.DB) *gorm.DB {
	sign, direction := ">", ""
	if k.Descending {
		sign, direction = "<", " DESC"
	}
	if k.Column == "" {
		if k.After != nil {
			tx = tx.Where("id "+sign+" ?", k.After.ID)
		}
		return tx.Order("id" + direction).Limit(k.Limit)
	}
	column := strings.ReplaceAll(k.Expression, "%s", k.Column)
	if k.After != nil {
		tx = tx.Where("("+column+", id) "+sign+" ("+strings.ReplaceAll(k.Expression, "%s", "?")+", ?)", k.After.Value, k.After.ID)
	}
	return tx.Order(column + direction + ", id" + direction).Limit(k.Limit)
}
