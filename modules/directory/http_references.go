package directory

import (
	"context"
	"reflect"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/reference"
)

// References returns the kinds of records of the directory to which other records refer.
func (s *Service) References() []reference.Source {
	const name = "first_name || ' ' || last_name"
	return []reference.Source{
		sourceOf(patients, reference.Source{Kind: "patient", Permission: permission.PatientRead}, name, patientBodyOf),
		sourceOf(practitioners, reference.Source{
			Kind: "practitioner", Permission: permission.PractitionerRead, Public: true,
		}, name, practitionerBodyOf),
		sourceOf(serviceCodes, reference.Source{
			Kind: "serviceCode", Permission: permission.ServiceCodeRead, Public: true,
		}, "code", serviceCodeBodyOf),
		sourceOf(locations, reference.Source{
			Kind: "location", Permission: permission.LocationRead, Public: true,
		}, "name", locationBodyOf),
		s.payerSource(),
		insuranceSource(),
	}
}

// payerSource is the source of payers, with the rules of today as the present ones.
func (s *Service) payerSource() reference.Source {
	source := sourceOf(payers, reference.Source{
		Kind: "payer", Permission: permission.PayerRead, Public: true,
	}, "name", payerBodyOf)
	source.Bodies = func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]any, error) {
		today, err := s.today(ctx)
		if err != nil {
			return nil, err
		}
		return bodiesOf(ctx, payers, ids, func(p Payer) payerBody { return payerBodyOf(p.withPresentRules(today)) })
	}
	return source
}

// insuranceSource is the source of insurances, whose text is the name of the payer.
func insuranceSource() reference.Source {
	s := sourceOf(insurances, reference.Source{Kind: "insurance", Permission: permission.InsuranceRead},
		`(SELECT p.name FROM payers p
		WHERE p.organization_id = insurances.organization_id AND p.id = insurances.payer_id)`, insuranceBodyOf)
	names := s.Texts
	s.Texts = func(ctx context.Context, ids []uuid.UUID) (db.Reading[reference.Texts], error) {
		r, err := names(ctx, ids)
		value := r.Value
		r.Value = func(ctx context.Context) (reference.Texts, error) {
			found, err := value(ctx)
			for _, text := range found {
				text.Payer = text.Text
			}
			return found, err
		}
		return r, err
	}
	return s
}

// sourceOf completes the source of a noun, whose text is an SQL expression.
func sourceOf[T any, P storedRecord[T], B any](
	k crud[T, P], s reference.Source, text string, bodyOf func(T) B,
) reference.Source {
	s.Body = reflect.TypeFor[B]()
	s.Texts = func(ctx context.Context, ids []uuid.UUID) (db.Reading[reference.Texts], error) {
		var rows []reference.Row
		q, err := k.store.texts(ctx, ids, text, s.Public, &rows)
		return reference.Reading(q, &rows), err
	}
	s.Bodies = func(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]any, error) {
		return bodiesOf(ctx, k, ids, bodyOf)
	}
	return s
}

// bodiesOf returns the records of a noun as answers to the caller, by id.
func bodiesOf[T any, P storedRecord[T], B any](
	ctx context.Context, k crud[T, P], ids []uuid.UUID, bodyOf func(T) B,
) (map[uuid.UUID]any, error) {
	found, err := k.several(ctx, ids)
	bodies := make(map[uuid.UUID]any, len(found))
	for _, record := range found {
		body := bodyOf(record)
		if err == nil {
			err = httpx.Redact(ctx, &body)
		}
		bodies[P(&record).head().ID] = body
	}
	return bodies, err
}

// insuranceReferences are the references of an insurance.
type insuranceReferences struct {
	httpx.Displayed
	Patient httpx.Expanded `json:"patient,omitempty" refers:"patient"`
	Payer   httpx.Expanded `json:"payer,omitempty" refers:"payer"`
}

// diagnosisReferences are the references of a diagnosis.
type diagnosisReferences struct {
	httpx.Displayed
	Patient httpx.Expanded `json:"patient,omitempty" refers:"patient"`
}

// rateReferences are the references of a rate.
type rateReferences struct {
	httpx.Displayed
	Payer       httpx.Expanded `json:"payer,omitempty" refers:"payer"`
	ServiceCode httpx.Expanded `json:"serviceCode,omitempty" refers:"serviceCode"`
}
