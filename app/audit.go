package app

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"omnirapeutic/config"
	"omnirapeutic/modules/audit"
	"omnirapeutic/modules/audit/anchor"
	"omnirapeutic/modules/audit/siem"
	"omnirapeutic/modules/emergency"
	"omnirapeutic/platform/encryption"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// Trail records reads and denials. If it returns [trail.ErrNotRecorded], the data must
// not be shown.
type Trail interface {
	Note(ctx context.Context, events []trail.Event) error
}

// anchorsOf returns the configured anchors.
func anchorsOf(c config.Anchors, secrets [][]byte) audit.Anchors {
	const keyBytes = 32
	var a audit.Anchors
	for _, secret := range secrets {
		a.Keys = append(a.Keys, encryption.DeriveKey(secret, "audit anchors", keyBytes))
	}
	if c.Authority != "" {
		a.Authority = &anchor.Authority{URL: c.Authority}
	}
	for _, to := range c.Destinations {
		a.Destinations = append(a.Destinations, anchor.Destination(to))
	}
	return a
}

// siemOf returns the configured receivers of audit events.
func siemOf(urls []string) []siem.Destination {
	all := make([]siem.Destination, len(urls))
	for i, to := range urls {
		all[i] = siem.Destination(to)
	}
	return all
}

// denialTimeout limits the recording of a denial. The request may have ended already.
const denialTimeout = 5 * time.Second

// storeAddress stores the client's address in the context, for inner handlers and the audit
// trail; see addressBehind.
func storeAddress(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.SetRequest(c.Request().WithContext(trail.WithAddress(c.Request().Context(), c.RealIP())))
		return next(c)
	}
}

// watching collects the patient records that a request reads.
func watching(c echo.Context) *trail.Shown {
	shown := &trail.Shown{}
	c.SetRequest(c.Request().WithContext(trail.WithShown(c.Request().Context(), shown)))
	return shown
}

// shownBy are the After of a read.
type shownBy struct {
	Operation string `json:"operation"` // the operation id in the contract, which implies the fields that were shown
}

// recordReads returns the function that must succeed before an answer is sent: it
// records one event with all patient records shown. An operation that reads patient data
// but found none also records an event, because the search is an access.
func (s *Server) recordReads(r httpx.Route, shown *trail.Shown) httpx.Before {
	return func(ctx context.Context) error {
		subjects := shown.Subjects()
		if len(subjects) == 0 && r.Reads == "" {
			return nil
		}
		caller, err := identity.From(ctx)
		if err != nil {
			return err
		}
		e := trail.By(caller)
		e.SubjectType, e.Records = typeOf(subjects, r.Reads), subjects
		e.Action, e.After, e.OccurredAt = e.SubjectType+".read", shownBy{r.Name}, s.options.Clock()
		return s.options.Trail.Note(ctx, []trail.Event{e})
	}
}

// typeOf returns the type of the records that a request shows. If they have several types, it is the type that the
// route declares, or else the first.
func typeOf(subjects []trail.Subject, declared string) string {
	ofType := func(s trail.Subject) bool { return s.Type == declared }
	if len(subjects) == 0 || slices.ContainsFunc(subjects, ofType) {
		return declared
	}
	return subjects[0].Type
}

// denied are the After of a denial.
type denied struct {
	Operation  string              `json:"operation,omitempty"`
	Permission identity.Permission `json:"permission,omitempty"` // the missing permission
	Code       string              `json:"code"`
}

// recordDenial records a denial. If that fails, the failure is logged and the denial
// remains in force: it shows and changes nothing, and needs no database.
func (s *Server) recordDenial(c echo.Context, err error) {
	f := faultOf(err)
	if f.Kind() != fault.Forbidden {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request().Context()), denialTimeout)
	defer cancel()
	caller, callerErr := identity.From(ctx)
	if callerErr != nil {
		return
	}
	e := trail.By(caller)
	r := s.operations[c.Request().Method+" "+c.Path()]
	details, _ := f.Details().(identity.Denial)
	e.Action, e.Outcome, e.After, e.OccurredAt = "request.deny", trail.Denied, denied{
		r.Name, details.Permission, f.Code(),
	}, s.options.Clock()
	if noun, verb, found := strings.Cut(string(details.Permission), ":"); found {
		e.Action, e.SubjectType = noun+"."+verb, noun
		if id, idErr := uuid.Parse(c.Param("id")); idErr == nil &&
			strings.HasPrefix(strings.TrimPrefix(r.Path, "/admin"), "/"+noun) {
			e.SubjectID = id
		}
	}
	// The requested grant of a denied request, only as an id: it may belong to another
	// organization or not exist.
	if tried, ok := c.Get(requestedGrant).(uuid.UUID); ok &&
		(f.Code() == emergency.ErrNotOpen.Code() || f.Code() == emergency.ErrReadOnly.Code()) {
		e.SubjectType, e.SubjectID = requestedGrant, tried
	}
	if noteErr := s.options.Trail.Note(ctx, []trail.Event{e}); noteErr != nil {
		s.event(c, "denial_not_recorded").WithField("error", cause(faultOf(noteErr), noteErr)).
			Error("a denial could not be recorded in the audit trail")
	}
}

// showsPatients reports whether answers of the type name a patient. Such an operation
// must declare what it reads.
func showsPatients(t reflect.Type) bool { return names(t, "patientId", map[reflect.Type]bool{}) }

func names(t reflect.Type, field string, seen map[reflect.Type]bool) bool {
	switch {
	case t == nil || seen[t]:
		return false
	case t.Kind() == reflect.Pointer, t.Kind() == reflect.Slice, t.Kind() == reflect.Array, t.Kind() == reflect.Map:
		return names(t.Elem(), field, seen)
	case t.Kind() != reflect.Struct:
		return false
	}
	seen[t] = true
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == field || name != "-" && names(f.Type, field, seen) {
			return true
		}
	}
	return false
}
