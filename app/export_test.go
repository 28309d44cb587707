package app

import "reflect"

// For the contract tests, which are otherwise black-box tests.
var (
	Update      = update
	FaultsOf    = faultsOf
	StatusOf    = statusOf
	RecordedAt  = recordedAt
	ProblemType = reflect.TypeFor[problem]()
)
