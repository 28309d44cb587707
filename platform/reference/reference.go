// Package reference reads the records to which the ids of answers refer: their texts, such as names and numbers, and
// their bodies. Each module declares the kinds of its records as a [Source].
package reference

import (
	"context"
	"reflect"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

// Source reads the records of one kind, within the scope of the acting permission.
type Source struct {
	Kind       string              // such as serviceCode
	Permission identity.Permission // for reading a record
	// Public marks texts that every reader of a record with the id may read, such as the code of a service. Texts of
	// patients and their records need the permission.
	Public bool
	Body   reflect.Type // the answer to reading one record
	// Texts returns a reading of texts, in the transaction of the context. Texts that are public are not limited to a
	// scope.
	Texts func(ctx context.Context, ids []uuid.UUID) (db.Reading[Texts], error)
	// Bodies reads the records as in the answer to reading one record, in a constant number of statements. It records
	// records of patients as shown.
	Bodies func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]any, error)
}

// Resolver returns the function that reads the records of all sources in one snapshot. It reads the texts of all
// kinds in one round trip, and omits the records that the caller may not read.
func Resolver(database *db.DB, sources []Source) httpx.Resolve {
	return func(ctx context.Context, wanted map[string]httpx.WantedRecords) (map[string]httpx.FoundRecords, error) {
		caller, err := identity.From(ctx)
		if err != nil {
			return nil, err
		}
		return db.Snapshot(ctx, database, "references", func(ctx context.Context) (map[string]httpx.FoundRecords, error) {
			found, err := texts(ctx, caller, sources, wanted)
			if err != nil {
				return nil, err
			}
			for _, s := range sources {
				ids := wanted[s.Kind].Bodies
				if len(ids) == 0 || !caller.Holds(s.Permission) {
					continue
				}
				records := found[s.Kind]
				records.Bodies, err = s.Bodies(identity.With(ctx, caller.ActingUnder(s.Permission)), ids)
				if err != nil {
					return nil, err
				}
				found[s.Kind] = records
			}
			return found, nil
		})
	}
}

// texts reads the texts of all kinds in one round trip.
func texts(
	ctx context.Context, caller identity.Caller, sources []Source, wanted map[string]httpx.WantedRecords,
) (map[string]httpx.FoundRecords, error) {
	var queries []db.Query
	readings := map[string]db.Reading[Texts]{}
	for _, s := range sources {
		ids := wanted[s.Kind].Texts
		if len(ids) == 0 || !s.Public && !caller.Holds(s.Permission) {
			continue
		}
		r, err := s.Texts(identity.With(ctx, caller.ActingUnder(s.Permission)), ids)
		if err != nil {
			return nil, err
		}
		readings[s.Kind], queries = r, append(queries, r.Queries...)
	}
	if err := db.ReadAll(ctx, queries...); err != nil {
		return nil, err
	}
	found := map[string]httpx.FoundRecords{}
	for kind, r := range readings {
		value, err := r.Value(ctx)
		if err != nil {
			return nil, err
		}
		found[kind] = httpx.FoundRecords{Texts: value}
	}
	return found, nil
}

// Texts are the texts of records by their ids.
type Texts = map[uuid.UUID]*httpx.RecordText

// Row is the text of a record.
type Row struct {
	ID   uuid.UUID
	Text string
}

// Reading returns the reading of a query that appends rows.
func Reading(q db.Query, rows *[]Row) db.Reading[Texts] {
	return db.Reading[Texts]{Queries: []db.Query{q}, Value: func(context.Context) (Texts, error) {
		found := make(Texts, len(*rows))
		for _, r := range *rows {
			found[r.ID] = &httpx.RecordText{Text: r.Text}
		}
		return found, nil
	}}
}
