package db

import (
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// Keyset selects one page of a list in a certain order. A page begins after the last
// row of the previous page, even if that row has moved. Rows that are inserted or
// deleted in between shift nothing: no row is shown twice, and no row that exists
// throughout is skipped.
type Keyset struct {
	Column string // sort column; empty: the id alone
	// Expression is applied to the column and to the value compared with it, in place
	// of %s: "lower(%s)". It must be constant and never come from a request.
	Expression string
	Descending bool
	After      *Position // nil: first page
	Limit      int
}

// Position is the end of a page: the value of the sort column, and the id as a
// tiebreaker.
type Position struct {
	Value string    `json:"value,omitempty"`
	ID    uuid.UUID `json:"id"`
}

// Apply limits a query on a table with the column id to the page.
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
		tx = tx.Where("("+column+", id) "+sign+" ("+strings.ReplaceAll(k.Expression, "%s", "?")+", ?)", k.After.Value,
			k.After.ID)
	}
	return tx.Order(column + direction + ", id" + direction).Limit(k.Limit)
}
