package audit

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/trail"
)

// partTimeout is how long the reader of an export may take for one part.
const partTimeout = 30 * time.Second

// Routes returns the operations of this module's API.
func (s *Service) Routes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodGet, Path: "/admin/audit-events", Permission: permission.AuditRead, Reads: "audit",
			Name: "listAuditEvents", Summary: "Search the audit trail",
			Description: "The audit trail, the newest first: who did, read or was denied what. An `action` that ends with " +
				"a dot, such as `authorization.`, matches all actions with that prefix. `position` and `hash` " +
				"are the event's place in the organization's chain; the newest events do not have them yet. A read of several " +
				"records is one event: `records` lists them, and the filters of patient and subject find it. The search itself " +
				"is recorded.",
			Eventual: true, Endpoint: httpx.Handle(http.StatusOK, s.handleSearch),
		},
		{
			Method: http.MethodGet, Path: "/admin/audit-events/export", Permission: permission.AuditExport, Reads: "audit",
			Name: "exportAuditEvents", Summary: "Export the audit trail",
			Description: "All events that match the filter, the oldest first, as JSON Lines or, with `format=csv`, as CSV. " +
				"An answer that " +
				"ends without its last chunk is incomplete. The export is recorded before it begins, so it is its own last event.",
			Eventual: true, Endpoint: httpx.Download(partTimeout, s.handleExport),
		},
		{
			Method: http.MethodGet, Path: "/admin/anonymous-attempts", Permission: permission.AnonymousAttemptRead,
			Name: "listAnonymousAttempts", Summary: "List refused attempts of unknown callers",
			Description: "Attempts that concern no organization, counted by network and minute, the newest first: sign-ins " +
				"with unknown addresses, and refresh tokens, invitations, access tokens and API keys that were never issued. " +
				"Counts are kept for 30 days and appear a few seconds late. For the operator of the installation.",
			Endpoint: httpx.Handle(http.StatusOK, s.handleAttempts),
		},
	}
}

type filterQuery struct {
	// The user or the API key that acted.
	ActorID   uuid.UUID `query:"actorId"`
	PatientID uuid.UUID `query:"patientId"`
	// The record that the action concerned.
	SubjectID uuid.UUID `query:"subjectId"`
	Action    string    `query:"action" validate:"max=100"` // The name of the action.
	// The outcome of the action.
	Outcome trail.Outcome `query:"outcome" validate:"omitempty,oneof=done denied"`
	From    time.Time     `query:"from"` // The earliest time.
	// The end of the period. It is excluded.
	To time.Time `query:"to" validate:"omitempty,gtefield=From"`
}

func (q filterQuery) filter() Filter {
	return Filter(q)
}

// auditEventBody is an event in the API. Its fields are in the order of the hash.
type auditEventBody struct {
	// The position in the organization's hash chain. Null until the event is sealed.
	Position *int64 `json:"position"`
	// The sequence number of the event, which grows in the order of recording.
	Sequence   int64     `json:"sequence"`
	OccurredAt time.Time `json:"occurredAt"`
	// The user or the API key that acted. Null for a caller who was not signed in.
	ActorID     *uuid.UUID    `json:"actorId"`
	RequestID   string        `json:"requestId"`   // The id of the request.
	Action      string        `json:"action"`      // The name of the action.
	Outcome     trail.Outcome `json:"outcome"`     // Whether the action was done or denied.
	SubjectType string        `json:"subjectType"` // The type of the record that the action concerned.
	// The record that the action concerned. For a read of several records, the id of their list; see `records`.
	SubjectID *uuid.UUID      `json:"subjectId"`
	PatientID *uuid.UUID      `json:"patientId"`
	Address   string          `json:"address"`            // The network address of the caller.
	GrantID   *uuid.UUID      `json:"grantId"`            // The emergency grant that the caller used.
	Before    json.RawMessage `json:"before" null:"true"` // The values before the change.
	After     json.RawMessage `json:"after" null:"true"`  // The values after the change.
	// The hash of the event and of all events before it. Null until the event is sealed.
	Hash *string `json:"hash"`
	// The records that a read of several records has shown: the types of the records, with the ids of patients, with the
	// ids of the records. Null for other actions. `after.list.sha256` is its hash.
	Records json.RawMessage `json:"records" null:"true"`
}

func bodyOf(e Entry) auditEventBody {
	r := e.Event
	b := auditEventBody{
		Position: e.Position, Sequence: r.Sequence, OccurredAt: r.OccurredAt.UTC(), ActorID: r.ActorID,
		RequestID: r.RequestID,
		Action:    r.Action, Outcome: r.Outcome, SubjectType: r.SubjectType, SubjectID: r.SubjectID, PatientID: r.PatientID,
		Address: r.Address, GrantID: r.GrantID,
	}
	if r.Before != nil {
		b.Before = json.RawMessage(*r.Before)
	}
	if r.After != nil {
		b.After = json.RawMessage(*r.After)
	}
	if e.Records != nil {
		b.Records = json.RawMessage(*e.Records)
	}
	if e.Hash != nil {
		b.Hash = new(e.Hash.String())
	}
	return b
}

type searchRequest struct {
	filterQuery
	httpx.PageQuery
}

func (s *Service) handleSearch(ctx context.Context, in searchRequest) (httpx.Page[auditEventBody], error) {
	var after *cursor
	if err := in.DecodeCursor(&after); err != nil {
		return httpx.Page[auditEventBody]{}, err
	}
	found, err := s.Search(ctx, in.filter(), after, in.Size()+1)
	return httpx.PageOf(in.PageQuery, found, bodyOf, func(e Entry) any { return e.cursor() }), err
}

type exportRequest struct {
	filterQuery
	httpx.DownloadQuery
}

func (s *Service) handleExport(ctx context.Context, in exportRequest, out *httpx.Rows[auditEventBody]) error {
	format := in.Format
	if format == "" {
		format = "jsonl"
	}
	return s.Export(ctx, in.filter(), format, func(part []Entry) error {
		return out.Send(httpx.Bodies(part, bodyOf)...)
	})
}
