// Package audit stores the audit trail: who did what, and who read what. Package trail defines
// the events.
//
// A change is recorded in its own transaction ([Service.Record]), with an insert that blocks no
// other transaction. After the commit a sealer assigns each event its position, 1, 2, 3, …, and a
// hash over the event and the previous hash. One sealer at a time works on an organization. So
// the trail contains exactly the committed events, and the chain reveals every event that is
// changed, removed or inserted later.
package audit

import (
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/modules/audit/siem"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/trail"
)

// Hash is a link of the chain.
type Hash = db.Hash

// Service stores the audit trail. It is safe for concurrent use.
type Service struct {
	database   *db.DB
	clock      func() time.Time
	logger     logrus.FieldLogger
	store      store
	notes      *command.Queue[[]trail.Event, struct{}]
	sealSignal chan struct{}  // signals the sealer after a commit
	attempts   attemptCounter // of callers without an organization
	diskQueue  *DiskQueue     // nil: events that the database does not accept are refused
	observe    func(recorded []trail.Event)
	siem       []siem.Destination
	anchors    Anchors
}

// Dependencies are the dependencies of the service.
type Dependencies struct {
	Database *db.DB
	Clock    func() time.Time
	Logger   logrus.FieldLogger
	Metrics  *command.Metrics // records the batches of [Service.Note]; may be nil
	// DiskQueue is the queue of [Service.Note] for events that the database does not accept; nil: they
	// are refused.
	DiskQueue *DiskQueue
	// Observe is called with events after they are recorded or queued on disk, also with denials that are
	// only counted. It must return quickly. It may be nil.
	Observe func(recorded []trail.Event)
	// SIEM are the destinations of [Service.SendToSIEM].
	SIEM    []siem.Destination
	Anchors Anchors // may be the zero value
}

// New returns the service.
func New(d Dependencies) *Service {
	s := &Service{
		database: d.Database, clock: d.Clock, logger: d.Logger, sealSignal: make(chan struct{}, 1),
		diskQueue: d.DiskQueue, anchors: d.Anchors, observe: d.Observe, siem: d.SIEM,
	}
	if s.observe == nil {
		s.observe = func([]trail.Event) {}
	}
	s.notes = s.newNotes(d.Metrics)
	return s
}

// eventRow is an event as stored in the database.
type eventRow struct {
	OrganizationID uuid.UUID
	Sequence       int64 // from a sequence of the database
	OccurredAt     time.Time
	ActorID        *uuid.UUID
	RequestID      string
	Action         string
	Outcome        trail.Outcome
	SubjectType    string
	SubjectID      *uuid.UUID
	PatientID      *uuid.UUID
	Address        string
	GrantID        *uuid.UUID
	Before, After  *string // JSON
	List           *list   `gorm:"-" json:",omitempty"` // of a read of several records; only set for insertion
}

// now returns the time with the precision of the database: whole microseconds.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }
