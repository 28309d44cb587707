package directory

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/scheduling"
)

func (s *Service) payerRoutes() []httpx.Route {
	return []httpx.Route{
		route("createPayer", http.MethodPost, "/payers", permission.PayerCreate,
			handle(http.StatusCreated, s.CreatePayer, payerBodyOf),
			"Create a payer", "A payer authorizes and pays for services. Its rounding rule converts minutes to units, "+
				"and it defines the first day of its weeks."),
		route("listPayers", http.MethodGet, "/payers", permission.PayerRead, httpx.Handle(http.StatusOK, s.handlePayers),
			"List payers", "All payers of the organization, in the order of their creation unless `sort` says otherwise."),
		route("getPayer", http.MethodGet, "/payers/:id", permission.PayerRead,
			getRoute(s.Payer, payerBodyOf),
			"Get a payer", "One payer with its rules.", ErrPayerNotFound),
		route("changePayer", http.MethodPatch, "/payers/:id", permission.PayerChange,
			handle(http.StatusOK, s.ChangePayer, payerBodyOf),
			"Change a payer", "A merge patch: fields that are not given stay unchanged. A new `rounding` applies from "+
				"`roundingFrom` on, by default from today, new `modifierRules` from `modifierRulesFrom` on, and a new `noShowConsumes` from "+
				"`noShowConsumesFrom` on. They replace a planned "+
				"rule of the same day. A rule that has begun stays, because units and modifiers were computed with it.",
			ErrPayerNotFound),
	}
}

// NewPayer is the request for a payer.
type NewPayer struct {
	// The name of the payer.
	Name      string  `json:"name" validate:"required,max=100,text"`
	PayerCode *string `json:"payerCode" validate:"omitempty,max=50,text"`
	// The type of payer in claims (X12 element 1032), such as `CI` for a commercial insurer or `MC` for Medicaid.
	ClaimFilingCode *string `json:"claimFilingCode"`
	// The rounding rule for all days. The default is `CEIL`.
	Rounding scheduling.Rounding `json:"rounding" validate:"omitempty,oneof=CEIL FLOOR MIDPOINT CMS_TOTAL"`
	// The sessions whose minutes are rounded together. `SESSION`: each alone. `DAY`: all of a client and
	// code on a day. `DAY_AND_PRACTITIONER`: the same, for each leading practitioner. `VISIT`: all of a
	// client on a day, always and only with `CMS_TOTAL`. The default is `SESSION`, or `VISIT`.
	RoundingBasis scheduling.Basis `json:"roundingBasis" validate:"omitempty,oneof=SESSION DAY DAY_AND_PRACTITIONER VISIT"`
	// The rules that give services modifiers, for all days. Default: none.
	ModifierRules []ModifierRuleBody `json:"modifierRules" validate:"omitempty,max=50,dive"`
	// Whether units remain used if the patient does not come. Null or missing: as the organization has set.
	NoShowConsumes *bool `json:"noShowConsumes"`
	// The credentials whose holders the payer pays only under supervision, such as RBT. Their claim lines
	// need a supervising practitioner. Default: none.
	SupervisedCredentials []string `json:"supervisedCredentials" validate:"max=20"`
	// The day on which the payer's weeks start. The default is `SUNDAY`.
	WeekStartsOn string `json:"weekStartsOn" validate:"omitempty,oneof=MONDAY TUESDAY WEDNESDAY THURSDAY FRIDAY SATURDAY SUNDAY"`
}

// PayerChange changes the given fields of a payer. A new way of rounding applies from today or a
// later day on. Rules that have begun stay.
type PayerChange struct {
	ID    uuid.UUID   `param:"id"`
	Match patch.Match `header:"If-Match"`
	// The name of the payer.
	Name      patch.Field[string]     `json:"name" validate:"omitempty,max=100,text"`
	PayerCode patch.Clearable[string] `json:"payerCode" validate:"omitempty,max=50,text"`
	// The type of payer in claims.
	ClaimFilingCode patch.Clearable[string] `json:"claimFilingCode"`
	// The new rounding rule.
	Rounding patch.Field[scheduling.Rounding] `json:"rounding" validate:"omitempty,oneof=CEIL FLOOR MIDPOINT CMS_TOTAL"`
	// The sessions whose minutes the new rule rounds together.
	RoundingBasis patch.Field[scheduling.Basis] `json:"roundingBasis" validate:"omitempty,oneof=SESSION DAY DAY_AND_PRACTITIONER VISIT"`
	// The first day of the new rounding rule. The default is today, in the organization's time
	// zone.
	RoundingFrom patch.Field[calendar.Date] `json:"roundingFrom"`
	// The new rules that give services modifiers. They replace the previous ones.
	ModifierRules patch.Field[[]ModifierRuleBody] `json:"modifierRules" validate:"omitempty,max=50,dive"`
	// The first service date of the new modifier rules. The default is today, in the organization's time zone.
	ModifierRulesFrom patch.Field[calendar.Date] `json:"modifierRulesFrom"`
	// Whether units remain used if the patient does not come. Null: as the organization has set.
	NoShowConsumes patch.Clearable[bool] `json:"noShowConsumes"`
	// The first service date of the new `noShowConsumes`. The default is today, in the organization's time zone.
	NoShowConsumesFrom patch.Field[calendar.Date] `json:"noShowConsumesFrom"`
	// The credentials whose holders the payer pays only under supervision. They replace the previous ones.
	SupervisedCredentials patch.Field[[]string] `json:"supervisedCredentials" validate:"omitempty,max=20"`
	// The day on which the payer's weeks start.
	WeekStartsOn patch.Field[string] `json:"weekStartsOn" validate:"omitempty,oneof=MONDAY TUESDAY WEDNESDAY THURSDAY FRIDAY SATURDAY SUNDAY"`
}

// payerBody is a party that pays for services: an insurer, a Medicaid program, a family.
type payerBody struct {
	recordBody
	Name      string  `json:"name"` // The name of the payer.
	PayerCode *string `json:"payerCode"`
	// The rounding rule of today, in the organization's time zone.
	Rounding scheduling.Rounding `json:"rounding"`
	// The rounding rules, sorted by first day. Each applies until the next one begins.
	RoundingRules []roundingRuleBody `json:"roundingRules"`
	// The rules of today that give services modifiers, in the order of the modifiers.
	ModifierRules []ModifierRuleBody `json:"modifierRules"`
	// All modifier rules, sorted by first day. Each set applies until the next one begins.
	ModifierRuleSets []modifierRuleSetBody `json:"modifierRuleSets"`
	// Whether units remain used today if the patient does not come. Null: as the organization has set.
	NoShowConsumes *bool `json:"noShowConsumes"`
	// All values of `noShowConsumes`, sorted by first day. Each applies until the next one begins.
	NoShowRules []noShowRuleBody `json:"noShowRules"`
	// The day on which the payer's weeks start.
	WeekStartsOn string `json:"weekStartsOn"`
	// The type of payer in claims. Null if it is unknown.
	ClaimFilingCode *string `json:"claimFilingCode"`
	// The credentials whose holders the payer pays only under supervision, sorted.
	SupervisedCredentials []string `json:"supervisedCredentials"`
}

// Location returns the path of the payer.
func (b payerBody) Location() string { return apiPath + "/payers/" + b.ID.String() }

func payerBodyOf(p Payer) payerBody {
	rules := httpx.Bodies(p.RoundingRules, func(r scheduling.RoundingRule) roundingRuleBody { return roundingRuleBody(r) })
	return payerBody{
		recordBody(p.Record), p.Name, p.PayerCode, p.Rounding, rules, modifierRuleBodiesOf(p.PresentModifierRules),
		modifierRuleSetBodiesOf(p.modifierRuleSets()), p.NoShowConsumes,
		httpx.Bodies(p.NoShowRules, func(r scheduling.NoShowRule) noShowRuleBody { return noShowRuleBody(r) }),
		p.WeekStartsOn, p.ClaimFilingCode, p.SupervisedCredentials,
	}
}

// roundingRuleBody is a rounding rule that applies from a day until the next rule begins.
type roundingRuleBody struct {
	// The first day of the rule. 0001-01-01 means that it has always applied.
	StartsOn calendar.Date       `json:"startsOn"`
	Method   scheduling.Rounding `json:"method"` // The way in which minutes are rounded to units.
	Basis    scheduling.Basis    `json:"basis"`  // The sessions whose minutes are rounded together.
}

// noShowRuleBody states whether units remain used if a patient does not come.
type noShowRuleBody struct {
	// The first service date of the rule. 0001-01-01 means that it has always applied.
	StartsOn calendar.Date `json:"startsOn"`
	// Whether units remain used. Null: as the organization has set.
	Consumes *bool `json:"consumes"`
}

var payerList = listing[Payer, payerBody]{
	orders: map[string]order[Payer]{
		"name": {"name", "lower(%s)", func(p Payer) string { return p.Name }},
	},
	idOf:   func(p Payer) uuid.UUID { return p.ID },
	bodyOf: payerBodyOf,
}

type payersQuery struct {
	httpx.PageQuery
	Sort string `query:"sort" validate:"omitempty,oneof=createdAt -createdAt name -name"`
}

func (s *Service) handlePayers(ctx context.Context, in payersQuery) (httpx.Page[payerBody], error) {
	return payerList.page(ctx, in.PageQuery, in.Sort, s.Payers)
}
