package app

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/audit"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/verification"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

// defaultVerifyWait is how long POST /admin/verify waits for the result. That is enough for the
// ledger of most organizations.
const defaultVerifyWait = 2 * time.Second

// verifyAgain is the interval for polling a running verification.
const verifyAgain = 2 * time.Second

const pathVerifications = "/admin/verifications"

func (a *App) verificationRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/admin/verify", Permission: permission.AuthorizationVerify,
			Name: "verifyBooks", Summary: "Verify the ledger and the audit trail",
			Description: "Starts a verification in the background. It replays the ledger of every authorization of the " +
				"organization and reports problems: counters, reservations, sequence numbers, hashes. It compares sessions and " +
				"exported claim lines with the ledger, and notes and addenda with their signatures. It also checks the " +
				"organization's audit trail: positions, hashes, events without a seal. It changes no records.\n\nIf the " +
				"verification ends within about two seconds, the answer is 200 with the result. Otherwise the answer is 202: " +
				"poll the verification at `Location` until its state is no longer `RUNNING`. An organization has one " +
				"verification at a time. If one is already running, the answer is that one, in its own mode.\n\n" +
				"The mode `INCREMENTAL` checks only changes since the last verification without a problem: " +
				"authorizations with new ledger entries, and new events of the audit trail. It is faster, and does not find " +
				"older data that were changed in the database.",
			ReadOnly: true, Refusals: []*fault.Error{errReadOnly},
			Endpoint: httpx.HandleStart(a.handleVerify),
		},
		{
			Method: http.MethodGet, Path: pathVerifications, Permission: permission.AuthorizationVerify,
			Name: "listVerifications", Summary: "List verifications",
			Description: "The organization's verifications of the last 90 days, the newest first.",
			Endpoint:    httpx.Handle(http.StatusOK, a.handleVerifications),
		},
		{
			Method: http.MethodGet, Path: pathVerifications + "/:id", Permission: permission.AuthorizationVerify,
			Name: "getVerification", Summary: "Get a verification",
			Description: "The state, the progress, and the result once the verification has finished.",
			Refusals:    []*fault.Error{verification.ErrNotFound},
			Endpoint:    httpx.Handle(http.StatusOK, a.handleVerification),
		},
	}
}

// VerificationResult is the scope and the findings of a verification, in the unit ledger and in the
// audit trail.
type VerificationResult struct {
	// Whether the ledger and the audit trail have no problems.
	OK bool `json:"ok"`
	// The time of the last verification without a problem, if only later changes were checked. Null if
	// everything was checked.
	ChangedSince   *time.Time                  `json:"changedSince"`
	Authorizations int                         `json:"authorizations"` // The number of checked authorizations.
	Reservations   int                         `json:"reservations"`   // The number of checked reservations.
	Entries        int                         `json:"entries"`        // The number of checked ledger entries.
	ProblemCount   int                         `json:"problemCount"`   // The number of problems in the ledger.
	Problems       []authorization.Discrepancy `json:"problems"`       // The first 100 problems in the ledger.
	CheckedAt      time.Time                   `json:"checkedAt"`      // The time of the check.
	Audit          audit.FindingsBody          `json:"audit"`          // The result for the audit trail.
}

// add adds the result of another organization.
func (r *VerificationResult) add(other VerificationResult) {
	r.OK = r.OK && other.OK
	r.Authorizations += other.Authorizations
	r.Reservations += other.Reservations
	r.Entries += other.Entries
	r.ProblemCount += other.ProblemCount
	r.Problems = append(r.Problems, other.Problems...)
	r.Audit.OK = r.Audit.OK && other.Audit.OK
	r.Audit.Events += other.Audit.Events
	r.Audit.Waiting += other.Audit.Waiting
	r.Audit.Removed += other.Audit.Removed
	r.Audit.Heads = append(r.Audit.Heads, other.Audit.Heads...)
	r.Audit.ProblemCount += other.Audit.ProblemCount
	r.Audit.Problems = append(r.Audit.Problems, other.Audit.Problems...)
}

// verifyScope says what [App.verify] checks.
type verifyScope struct {
	organization           uuid.UUID // [uuid.Nil]: all
	basis                  verification.Basis
	authorizations, events func(checked, total int64) // report the progress; may be nil
}

// verify checks the ledger and the audit trail. It also returns the heads of the trails.
func (a *App) verify(ctx context.Context, v verifyScope) (VerificationResult, []audit.Head, error) {
	books := authorization.VerificationScope{Organization: v.organization}
	trail := audit.VerificationScope{Organization: v.organization, Everything: v.organization == uuid.Nil}
	var since *time.Time
	if c := v.basis.Checkpoint; c != nil {
		trail.Verified = &audit.Head{OrganizationID: c.OrganizationID, Position: c.AuditPosition, Hash: c.AuditHash.String()}
		if v.basis.Mode == verification.Incremental {
			books.Since, trail.Since, trail.Incremental = c.EntriesBefore, c.EntriesBefore, true
			since = &c.VerifiedAt
		}
	}
	found, err := a.Authorizations.Verify(ctx, books, v.authorizations, a.Appointments.CompareHolds,
		a.Appointments.CompareSignatures, a.Billing.CompareLines)
	if err != nil {
		return VerificationResult{}, nil, err
	}
	kept, err := a.Audit.Verify(ctx, trail, v.events)
	if err != nil {
		return VerificationResult{}, nil, err
	}
	if d := v.basis.Damage; d != nil {
		kept.Include(audit.Finding{
			OrganizationID: v.organization, Check: "checkpoint",
			Expected: fmt.Sprintf("checkpoint %d of verifications: %s", d.Number, d.Expected), Found: d.Found,
		})
	}
	a.ledgerMetrics.trailVerified(v.organization, kept)
	return VerificationResult{
		OK: found.OK && kept.OK, ChangedSince: since, Authorizations: found.Authorizations,
		Reservations: found.Reservations, Entries: found.Entries, ProblemCount: found.ProblemCount,
		Problems: found.Problems, CheckedAt: found.CheckedAt, Audit: audit.FindingsBodyOf(kept),
	}, kept.Heads, nil
}

// checkLedger implements [verification.Check].
func (a *App) checkLedger(
	ctx context.Context, organization uuid.UUID, mode verification.Mode, progress *verification.Progress,
) (any, error) {
	return a.verifyOne(ctx, organization, mode, progress.Authorizations, progress.Events)
}

// verifyOne checks an organization, and stores a checkpoint if there is no problem.
func (a *App) verifyOne(
	ctx context.Context, organization uuid.UUID, mode verification.Mode, authorizations, events func(checked, total int64),
) (VerificationResult, error) {
	ctx = identity.With(ctx, identity.System(organization))
	basis, err := a.Verifications.Basis(ctx, mode)
	if err != nil {
		return VerificationResult{}, err
	}
	result, heads, err := a.verify(ctx, verifyScope{organization, basis, authorizations, events})
	if err == nil && result.OK {
		err = a.addCheckpoint(ctx, basis, heads)
	}
	return result, err
}

// addCheckpoint stores a checkpoint for the caller's organization.
func (a *App) addCheckpoint(ctx context.Context, basis verification.Basis, heads []audit.Head) error {
	if len(heads) == 0 {
		return a.Verifications.AddCheckpoint(ctx, basis, 0, db.Hash{})
	}
	hash, err := db.ParseHash(heads[0].Hash)
	if err != nil {
		return err
	}
	return a.Verifications.AddCheckpoint(ctx, basis, heads[0].Position, hash)
}

// verificationBody is a verification in API responses.
type verificationBody struct {
	ID uuid.UUID `json:"id"`
	// The requested scope. `result.changedSince` says whether an incremental verification found a start.
	Mode       verification.Mode    `json:"mode"`
	State      verification.State   `json:"state"`      // The state of the verification.
	StartedAt  time.Time            `json:"startedAt"`  // The time of the start.
	StartedBy  verificationStarter  `json:"startedBy"`  // The user or the API key that started the verification.
	FinishedAt *time.Time           `json:"finishedAt"` // The time of the end. Null while the verification runs.
	Progress   verificationProgress `json:"progress"`   // The number of items that have been checked so far.
	// The reason why there is no result. Null unless the state is `FAILED`.
	Failure *verificationFailure `json:"failure"`
	Result  *VerificationResult  `json:"result"` // The result. Null unless the state is `FINISHED`.
}

// verificationStarter is the user or the API key that started a verification.
type verificationStarter struct {
	ID   uuid.UUID `json:"id"`
	Name string    `json:"name"` // The name of the user or of the key.
}

// verificationProgress is the number of checked items. The ledger is checked first,
// then the audit trail.
type verificationProgress struct {
	Authorizations checkedCount `json:"authorizations"` // The authorizations of the ledger.
	AuditEvents    checkedCount `json:"auditEvents"`    // The events of the audit trail.
}

// checkedCount is a number of checked items.
type checkedCount struct {
	Checked int64  `json:"checked"` // The number of items that have been checked.
	Total   *int64 `json:"total"`   // The number of items to check. Null until they have been counted.
}

// verificationFailure is the reason why a verification has no result.
type verificationFailure struct {
	Code   verification.Failure `json:"code"`   // The stable code of the reason.
	Detail string               `json:"detail"` // The text for people.
}

var verificationFailures = map[verification.Failure]string{
	verification.Interrupted: "The server stopped before the verification ended. Start another one.",
	verification.Broken: "The verification failed; the server's log has the error. " +
		"Start another one; if it fails too, contact the operator.",
}

// Location returns the URL of the verification.
func (b verificationBody) Location() string {
	return basePath + pathVerifications + "/" + b.ID.String()
}

// Running implements [httpx.Started].
func (b verificationBody) Running() (again time.Duration, ok bool) {
	return verifyAgain, b.State == verification.Running
}

func verificationBodyOf(r verification.Run, names map[uuid.UUID]string) (verificationBody, error) {
	b := verificationBody{
		ID: r.ID, Mode: r.Mode, State: r.State, StartedAt: r.StartedAt, FinishedAt: r.FinishedAt,
		StartedBy: verificationStarter{r.StartedBy, names[r.StartedBy]},
		Progress: verificationProgress{
			Authorizations: checkedCount(r.Authorizations),
			AuditEvents:    checkedCount(r.Events),
		},
	}
	if r.Failure != nil {
		b.Failure = &verificationFailure{*r.Failure, verificationFailures[*r.Failure]}
	}
	if r.Result != nil {
		if err := json.Unmarshal(r.Result, &b.Result); err != nil {
			return b, fmt.Errorf("read the result of verification %s: %w", r.ID, err)
		}
	}
	return b, nil
}

// verificationBodies adds the names of the people and API keys that started the runs.
func (a *App) verificationBodies(ctx context.Context, runs ...verification.Run) ([]verificationBody, error) {
	ids := make([]uuid.UUID, len(runs))
	for i, r := range runs {
		ids[i] = r.StartedBy
	}
	names, err := a.Access.Names(ctx, ids)
	if err != nil {
		return nil, err
	}
	bodies := make([]verificationBody, len(runs))
	for i, r := range runs {
		if bodies[i], err = verificationBodyOf(r, names); err != nil {
			return nil, err
		}
	}
	return bodies, nil
}

func (a *App) oneVerification(ctx context.Context, r verification.Run, err error) (verificationBody, error) {
	if err != nil {
		return verificationBody{}, err
	}
	bodies, err := a.verificationBodies(ctx, r)
	if err != nil {
		return verificationBody{}, err
	}
	return bodies[0], nil
}

type verifyRequest struct {
	// The scope, by default `FULL`.
	Mode verification.Mode `json:"mode" validate:"omitempty,oneof=FULL INCREMENTAL"`
}

func (a *App) handleVerify(ctx context.Context, in verifyRequest) (verificationBody, error) {
	run, err := a.Verifications.Start(ctx, cmp.Or(in.Mode, verification.Full))
	if err == nil {
		run, err = a.Verifications.Await(ctx, run.ID, waitWithin(ctx, a.verifyWait))
	}
	return a.oneVerification(ctx, run, err)
}

// waitWithin shortens a wait so that half of the request's time is left for the answer.
func waitWithin(ctx context.Context, wait time.Duration) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)/2) //nolint:mnd // as the comment says
	}
	return wait
}

type verificationRequest struct {
	ID uuid.UUID `param:"id"`
}

func (a *App) handleVerification(ctx context.Context, in verificationRequest) (verificationBody, error) {
	run, err := a.Verifications.Run(ctx, in.ID)
	return a.oneVerification(ctx, run, err)
}

type verificationsRequest struct {
	httpx.PageQuery
}

func (a *App) handleVerifications(ctx context.Context, in verificationsRequest) (httpx.Page[verificationBody], error) {
	page := db.Keyset{Descending: true, Limit: in.Size() + 1}
	if err := in.DecodeCursor(&page.After); err != nil {
		return httpx.Page[verificationBody]{}, err
	}
	runs, err := a.Verifications.Runs(ctx, page)
	if err != nil {
		return httpx.Page[verificationBody]{}, err
	}
	bodies, err := a.verificationBodies(ctx, runs...)
	return httpx.PageOf(in.PageQuery, bodies, func(b verificationBody) verificationBody { return b },
		func(b verificationBody) any { return db.Position{ID: b.ID} }), err
}
