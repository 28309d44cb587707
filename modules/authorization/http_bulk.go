package authorization

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/fault"
)

type bulkRequest struct {
	command.Keyed
	// Whether all operations take effect or none.
	Atomic bool `json:"atomic"`
	// The operations, in the order in which they are decided.
	Operations []bulkItem `json:"operations" validate:"required,min=1,max=200,dive"`
}

// bulkItem is the request for one operation. It has the fields of the single call, and no others.
type bulkItem struct {
	// The operation.
	Operation        EntryKind     `json:"operation" validate:"required,oneof=reserve release consume"`
	AuthorizationID  uuid.UUID     `json:"authorizationId" validate:"required"`
	ReservationID    *uuid.UUID    `json:"reservationId" validate:"omitempty,excluded_if=Operation reserve"`
	Units            *int          `json:"units" validate:"required_without=ReservationID,omitempty,min=1,max=10000000"`
	Reference        *string       `json:"reference" validate:"omitempty,excluded_unless=Operation reserve,min=1,max=200,text"`
	ExpiresInSeconds *int          `json:"expiresInSeconds" validate:"omitempty,excluded_unless=Operation reserve,min=1,max=2592000"`
	ServiceDate      calendar.Date `json:"serviceDate" validate:"omitempty,excluded_if=Operation release"`
	Remainder        string        `json:"remainder" validate:"omitempty,excluded_unless=Operation consume,oneof=release keep"`
	Reason           *string       `json:"reason" validate:"omitempty,excluded_if=Operation reserve,min=1,max=500,text"`
}

func (i bulkItem) operation() NewOperation {
	n := NewOperation{Kind: i.Operation, Authorization: i.AuthorizationID}
	if i.Operation == Reserve {
		n.Reservation = reserveRequest{
			Units: *i.Units, Reference: i.Reference, ExpiresInSeconds: i.ExpiresInSeconds, ServiceDate: i.ServiceDate,
		}.reservation()
		return n
	}
	n.Settlement = consumeRequest{
		ReservationID: i.ReservationID, Units: i.Units, ServiceDate: i.ServiceDate, Remainder: i.Remainder, Reason: i.Reason,
	}.settlement()
	return n
}

type bulkAnswer struct {
	command.Replayed `json:"-"`

	bulkBody
}

// bulkBody is the response of a bulk request, and the details of [ErrBulkRefused].
type bulkBody struct {
	Results  []bulkResult `json:"results"`  // The results, in the order of the operations.
	Accepted int          `json:"accepted"` // The number of accepted operations.
	Refused  int          `json:"refused"`  // The number of refused operations.
}

// bulkResult is the result of one operation. If accepted, it has the fields of the single call's
// response.
type bulkResult struct {
	Index int `json:"index"` // The index of the operation.
	// Whether the operation was accepted or refused: `accepted`, `refused`.
	Status      string           `json:"status"`
	Reservation *reservationBody `json:"reservation,omitempty"` // The reservation of an accepted reserve.
	// The reservations of an accepted release or consume.
	Reservations  []reservationBody `json:"reservations,omitempty"`
	Authorization *Body             `json:"authorization,omitempty"` // The authorization after the operation.
	ConsumedUnits *int              `json:"consumedUnits,omitempty"`
	MissingUnits  *int              `json:"missingUnits,omitempty"`
	Refusal       *fault.Reason     `json:"refusal,omitempty"` // The error of a refused operation.
}

func (s *UnitService) handleBulk(ctx context.Context, in bulkRequest) (bulkAnswer, error) {
	ops := make([]NewOperation, len(in.Operations))
	for i, item := range in.Operations {
		ops[i] = item.operation()
	}
	outcomes, err := s.Bulk(ctx, ops, in.Atomic, in.Key)
	if len(outcomes) == 0 {
		return bulkAnswer{}, err
	}
	answer := bulkAnswer{Replayed: command.Replayed(outcomes[0].Replayed)}
	answer.Refused = refused(outcomes)
	answer.Accepted = len(outcomes) - answer.Refused
	for i, o := range outcomes {
		result := verdictOf(i, o)
		if err == nil && o.Refusal == nil {
			result.setResult(ops[i].Kind, o)
		}
		answer.Results = append(answer.Results, result)
	}
	if errors.Is(err, ErrBulkRefused) {
		err = ErrBulkRefused.With(answer.bulkBody,
			"%d of %d operations were refused, so nothing was changed.", answer.Refused, len(outcomes))
	}
	return answer, err
}

func verdictOf(i int, o Outcome) bulkResult {
	if o.Refusal == nil {
		return bulkResult{Index: i, Status: "accepted"}
	}
	return bulkResult{Index: i, Status: "refused", Refusal: new(o.Refusal.Reason())}
}

// setResult adds the fields of an accepted operation.
func (r *bulkResult) setResult(kind EntryKind, o Outcome) {
	r.Authorization = new(BodyOf(o.view()))
	if kind == Reserve {
		r.Reservation = new(reservationBodiesOf(o.Reservations)[0])
		return
	}
	r.Reservations = reservationBodiesOf(o.Reservations)
	if kind == Consume {
		r.ConsumedUnits, r.MissingUnits = new(o.Consumed), new(o.Missing)
	}
}
