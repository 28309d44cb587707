package loadtest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// serviceCode is "adaptive behavior treatment by protocol", the most frequent code of
// an ABA practice.
const serviceCode = "97153"

// sideCalls is the number of concurrent calls before and after the load.
const sideCalls = 16

// prepare creates a patient and the authorizations of the scenario.
func prepare(ctx context.Context, to servers, o Options, s Scenario) ([]*account, error) {
	say(o.Progress, "Creating %s …", count(int64(o.Authorizations), "authorization"))
	run, a := uuid.NewString()[:8], to[0]
	patient, err := makePatient(ctx, a, run)
	if err != nil {
		return nil, err
	}
	code, err := findServiceCode(ctx, a)
	if err != nil {
		return nil, err
	}
	if s.books {
		return prepareVisits(ctx, to, o, s, run, code)
	}
	accounts := make([]*account, o.Authorizations)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(sideCalls)
	for i := range accounts {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err() // another call failed and reports it
			}
			number := fmt.Sprintf("LT-%s-%06d", run, i+1)
			id, err := makeAuthorization(ctx, a, patient, code, number, s.unitsEach(o), monthAgo)
			if err != nil {
				return err
			}
			accounts[i], err = newAccount(to, id, s.unitsEach(o))
			return err
		})
	}
	return accounts, group.Wait()
}

func makePatient(ctx context.Context, a *api, run string) (id string, err error) {
	patient := map[string]any{
		"firstName": "Load", "lastName": "Test " + run, "dateOfBirth": "2018-05-04", "medicalRecordNumber": "LT-" + run,
	}
	var created struct {
		ID string `json:"id"`
	}
	err = a.call(ctx, http.MethodPost, "/patients", patient, &created)
	return created.ID, err
}

func findServiceCode(ctx context.Context, a *api) (id string, err error) {
	type code struct {
		ID   string `json:"id"`
		Code string `json:"code"`
	}
	var found struct {
		Data []code `json:"data"`
	}
	if err := a.call(ctx, http.MethodGet, "/service-codes?code="+serviceCode, nil, &found); err != nil {
		return "", err
	}
	for _, c := range found.Data {
		if c.Code == serviceCode {
			return c.ID, nil
		}
	}
	var created code
	err = a.call(ctx, http.MethodPost, "/service-codes", map[string]any{
		"code": serviceCode, "description": "Adaptive behavior treatment by protocol", "unitMinutes": 15,
	}, &created)
	return created.ID, err
}

// monthAgo is how many days ago authorizations begin.
const monthAgo = 30

func makeAuthorization(
	ctx context.Context, a *api, patient, code, number string, units int64, daysAgo int,
) (id string, err error) {
	// Far enough from today to be valid in every time zone.
	today := time.Now().UTC()
	authorization := map[string]any{
		"patientId": patient, "serviceCodeId": code, "authNumber": number, "totalUnits": units,
		"startDate": today.AddDate(0, 0, -daysAgo).Format(time.DateOnly),
		"endDate":   today.AddDate(0, 0, 335).Format(time.DateOnly),
		"status":    "ACTIVE", "notes": "Created by the load test.",
	}
	var created struct {
		ID string `json:"id"`
	}
	err = a.call(ctx, http.MethodPost, "/authorizations", authorization, &created)
	return created.ID, err
}

func newAccount(on servers, id string, total int64) (*account, error) {
	created := &account{id: id, total: total, urls: make([][kinds]*url.URL, len(on))}
	for i, server := range on {
		for kind, operation := range operations {
			path := operation.path
			if !strings.HasPrefix(path, "/") {
				path = "/authorizations/" + url.PathEscape(id) + "/" + path
			}
			address, err := url.Parse(server.base + path)
			if err != nil {
				return nil, err
			}
			created.urls[i][kind] = address
		}
	}
	return created, nil
}
