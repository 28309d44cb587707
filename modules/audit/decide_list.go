package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/record"
	"omnirapeutic/platform/trail"
)

// list is the records that a read has shown. Reads of the same records on one day have the same
// list, so it is stored once.
type list struct {
	OrganizationID uuid.UUID
	ID             uuid.UUID // the start of its hash
	Day            string    // of the read, in UTC, as 2006-01-02
	Size           int       // number of its records, plus number of their patients
	Records        string    // JSON: type → patient → ids of records, all in ascending order
}

// listRef is what an event has of its list, in After. The hash chain covers it.
type listRef struct {
	SHA256  string   `json:"sha256"`
	Records int      `json:"records"`         // their number; a record of two patients counts twice
	Types   []string `json:"types,omitempty"` // the types of the records, if there are several
}

// distinct returns the records in the order of a list, each once.
func distinct(records []trail.Subject) []trail.Subject {
	sorted := slices.Clone(records)
	slices.SortFunc(sorted, func(a, b trail.Subject) int {
		if order := strings.Compare(a.Type, b.Type); order != 0 {
			return order
		}
		if order := bytes.Compare(a.PatientID[:], b.PatientID[:]); order != 0 {
			return order
		}
		return bytes.Compare(a.ID[:], b.ID[:])
	})
	return slices.Compact(sorted)
}

// listOf returns the list of distinct records. There must be at least one.
func listOf(organization uuid.UUID, at time.Time, records []trail.Subject) (list, listRef) {
	l := list{
		OrganizationID: organization, Day: at.UTC().Format(time.DateOnly), Size: sizeOf(records),
		Records: encodeRecords(records),
	}
	hash := l.hash()
	copy(l.ID[:], hash[:])
	ref := listRef{SHA256: hash.String(), Records: len(records)}
	if records[0].Type != records[len(records)-1].Type {
		for _, r := range records {
			if !slices.Contains(ref.Types, r.Type) {
				ref.Types = append(ref.Types, r.Type)
			}
		}
	}
	return l, ref
}

// hash returns the SHA-256 of organization, day and records, one on each line. An auditor can
// recompute it with SQL alone (docs/operations.md).
func (l list) hash() Hash {
	return sha256.Sum256([]byte(l.OrganizationID.String() + "\n" + l.Day + "\n" + l.Records))
}

// sizeOf counts the distinct ids of records and of patients.
func sizeOf(records []trail.Subject) int {
	ids, patients := make([]uuid.UUID, len(records)), make([]uuid.UUID, 0, len(records))
	for i, r := range records {
		ids[i] = r.ID
		if i == 0 || r.PatientID != records[i-1].PatientID {
			patients = append(patients, r.PatientID)
		}
	}
	return countDistinct(ids) + countDistinct(patients)
}

func countDistinct(ids []uuid.UUID) int {
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	return len(slices.Compact(ids))
}

// encodeRecords returns distinct records as JSON: type → patient → ids.
func encodeRecords(records []trail.Subject) string {
	const (
		perRecord  = 39 // "id",
		perPatient = 42 // "id":[],
	)
	b := make([]byte, 0, 64+len(records)*(perRecord+perPatient))
	b = append(b, '{')
	for i, r := range records {
		sameType := i > 0 && r.Type == records[i-1].Type
		switch {
		case sameType && r.PatientID == records[i-1].PatientID:
			b = append(b, ',')
		case sameType:
			b = append(appendID(append(b, "],"...), r.PatientID), ":["...)
		default:
			if i > 0 {
				b = append(b, "]},"...)
			}
			b = append(strconv.AppendQuote(b, r.Type), ":{"...)
			b = append(appendID(b, r.PatientID), ":["...)
		}
		b = appendID(b, r.ID)
	}
	return string(append(b, "]}}"...))
}

// appendID appends an id as a JSON string.
func appendID(b []byte, id uuid.UUID) []byte { return append(record.AppendID(append(b, '"'), id), '"') }

// show sets the row's record, or its list if there are several records. All records of one patient make it the row's
// patient.
func (r *eventRow) show(records []trail.Subject) error {
	records = distinct(records)
	if len(records) == 0 {
		return nil
	}
	first := records[0]
	if !slices.ContainsFunc(records, func(s trail.Subject) bool { return s.PatientID != first.PatientID }) {
		r.PatientID = &first.PatientID
	}
	if len(records) == 1 {
		r.SubjectID = &first.ID
		return nil
	}
	l, ref := listOf(r.OrganizationID, r.OccurredAt, records)
	r.List, r.SubjectID = &l, &l.ID
	text, err := json.Marshal(struct {
		List listRef `json:"list"`
	}{ref})
	if err != nil {
		return err
	}
	after := string(text)
	if r.After != nil && *r.After != "{}" {
		after = strings.TrimSuffix(*r.After, "}") + "," + after[1:]
	}
	r.After = &after
	return nil
}

// listRef returns what the event has of its list; nil if it has none.
func (r eventRow) listRef() *listRef {
	if r.After == nil || !strings.Contains(*r.After, `"list":{"sha256":`) {
		return nil
	}
	var after struct{ List *listRef }
	if json.Unmarshal([]byte(*r.After), &after) != nil {
		return nil // a changed event, which the hash chain reveals
	}
	return after.List
}

// storedList is a list in the database, as a verification reads it.
type storedList struct {
	ID      uuid.UUID
	Hash    Hash // of the stored organization, day and records
	Size    int
	Missing int // rows of audit_list_records; only if the hash starts with the id
}

// namedList is a list that an event names.
type namedList struct {
	position, sequence int64 // of the event
	id                 uuid.UUID
	hash               string // in the event
}

// knownLists are the lists that a verification has checked, with the hash of their stored content. So
// each list is read once, unless there are very many. Safe for concurrent use.
type knownLists struct {
	mu     sync.Mutex
	hashes map[uuid.UUID]Hash
}

func (k *knownLists) get(id uuid.UUID) (Hash, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	hash, exists := k.hashes[id]
	return hash, exists
}

// add adds the lists without missing rows, as long as there is room. It forgets none, because another
// section may be about to compare its events with a known list.
func (k *knownLists) add(lists []storedList) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.hashes == nil {
		k.hashes = map[uuid.UUID]Hash{}
	}
	for _, l := range lists {
		if l.Missing == 0 && len(k.hashes) < maxKnownLists {
			k.hashes[l.ID] = l.Hash
		}
	}
}

// unknown returns the ids of the lists that are not known, each once.
func (k *knownLists) unknown(named []namedList) []uuid.UUID {
	var ids []uuid.UUID
	seen := map[uuid.UUID]bool{}
	for _, n := range named {
		if _, known := k.get(n.id); !known && !seen[n.id] {
			seen[n.id] = true
			ids = append(ids, n.id)
		}
	}
	return ids
}

// checkLists compares events with their lists. The given lists were not known before.
func checkLists(organization uuid.UUID, named []namedList, lists []storedList, known *knownLists, r *Findings) {
	found := map[uuid.UUID]storedList{}
	for _, l := range lists {
		found[l.ID] = l
	}
	reported := map[uuid.UUID]bool{}
	for _, n := range named {
		if reported[n.id] {
			continue
		}
		stored, exists := found[n.id]
		hash, isKnown := known.get(n.id)
		if exists && stored.Missing == 0 {
			hash, isKnown = stored.Hash, true
		}
		problem := Finding{organization, "list", n.position, n.sequence, n.hash, hash.String()}
		switch {
		case isKnown && hash.String() == n.hash:
			continue
		case isKnown:
		case !exists:
			problem.Expected, problem.Found = "the list "+n.id.String(), "none"
		case stored.Hash.String() != n.hash:
			problem.Found = stored.Hash.String()
		default:
			problem.Expected = strconv.Itoa(stored.Size) + " records and patients of the list " + n.id.String() + " for the search"
			problem.Found = strconv.Itoa(stored.Missing) + " fewer"
		}
		reported[n.id] = true
		r.add(problem)
	}
	known.add(lists)
}
