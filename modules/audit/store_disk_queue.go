package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/google/uuid"
)

// maxSpool is the maximum size of one file of a spool, in bytes: some hundred thousand events.
const maxSpool = 64 << 20

// errSpoolFull is returned by a spool that has no room for more events.
var errSpoolFull = errors.New("audit: the queue of audit events on disk is full")

// Spool queues events in a folder, durably, while the database accepts no writes. It uses one
// append-only file at a time. The file's name is the id under which the database stores the number
// of its entered lines. Other users of the folder take over the files of ended instances. Safe for
// concurrent use.
type Spool struct {
	dir   string
	limit int64

	mu     sync.Mutex
	file   *spoolFile // nil: this process has queued nothing
	failed error      // error of the last attempt to queue events
}

// spoolFile is a file that this process has locked.
type spoolFile struct {
	id   uuid.UUID
	file *os.File
	size int64 // durable bytes
	rows int
}

const (
	spoolPrefix = "audit-"
	spoolSuffix = ".jsonl"
	// damagedSuffix is the suffix of files with damaged lines. The program never removes them.
	damagedSuffix = ".damaged"
)

// NewSpool returns the spool of a folder.
func NewSpool(dir string) *Spool { return &Spool{dir: dir, limit: maxSpool} }

// Prepare creates the folder if it does not exist, and checks that it is writable.
func (s *Spool) Prepare() error {
	err := os.MkdirAll(s.dir, 0o700)
	if err == nil {
		var probe *os.File
		if probe, err = os.CreateTemp(s.dir, "probe-"); err == nil {
			err = errors.Join(probe.Close(), os.Remove(probe.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("the folder for queued audit events cannot be used; set another one, or none, with OMNI_AUDIT_SPOOL: %w", err)
	}
	return nil
}

// add appends the rows and returns once they are on disk. After an error none of them is queued.
func (s *Spool) add(rows []row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = s.append(rows)
	return s.failed
}

func (s *Spool) append(rows []row) error {
	var text []byte
	for _, r := range rows {
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
	}
	if s.file == nil {
		created, err := s.create()
		if err != nil {
			return err
		}
		s.file = created
	}
	if s.file.size+int64(len(text)) > s.limit {
		return errSpoolFull
	}
	_, err := s.file.file.WriteAt(text, s.file.size)
	if err == nil {
		err = s.file.file.Sync()
	}
	if err != nil {
		// The next reader would treat the rest as events, although they were never acknowledged.
		return errors.Join(err, s.file.file.Truncate(s.file.size))
	}
	s.file.size += int64(len(text))
	s.file.rows += len(rows)
	return nil
}

func (s *Spool) create() (*spoolFile, error) {
	id := uuid.New()
	f, err := os.OpenFile(filepath.Join(s.dir, spoolPrefix+id.String()+spoolSuffix), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(lockSpool(f), s.syncDir()); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return &spoolFile{id: id, file: f}, nil
}

// takes reports whether the spool can queue events, as far as known.
func (s *Spool) takes() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed == nil && (s.file == nil || s.file.size < s.limit)
}

// waiting returns the number of events that this process has queued.
func (s *Spool) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return 0
	}
	return s.file.rows
}

// rotate returns the current file, so that the next events go into another one.
func (s *Spool) rotate() *spoolFile {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.file
	s.file = nil
	return taken
}

// putBack makes a file of [Spool.rotate] that was not entered the current file again. If there is
// another current file by now, it leaves the file for [Spool.abandoned].
func (s *Spool) putBack(f *spoolFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		s.file = f
		return
	}
	_ = f.close() // it was only read
}

// abandoned locks and returns a file in the folder that no process has locked, except the given
// ones; nil if there is none.
func (s *Spool) abandoned(seen map[uuid.UUID]bool) (*spoolFile, error) {
	found, err := filepath.Glob(filepath.Join(s.dir, spoolPrefix+"*"+spoolSuffix))
	if err != nil {
		return nil, err
	}
	for _, path := range found {
		id, err := uuid.Parse(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), spoolPrefix), spoolSuffix))
		if err != nil || seen[id] {
			continue
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another process has entered it
		}
		if err != nil {
			return nil, err
		}
		if lockSpool(f) != nil {
			_ = f.Close() // another process has it
			continue
		}
		if _, err := os.Stat(path); err != nil {
			_ = f.Close() // another process has had and removed it
			continue
		}
		return &spoolFile{id: id, file: f}, nil
	}
	return nil, nil
}

// errDamaged: a file of the spool contains an invalid line before its end.
var errDamaged = errors.New("audit: a file of queued audit events is damaged")

// read returns the rows of a file. It omits an incomplete last line, because that was never
// acknowledged. If another line is invalid, it returns errDamaged and the rows before it.
func (f *spoolFile) read() ([]row, error) {
	if _, err := f.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	var rows []row
	for lines := bufio.NewReader(f.file); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		var r row
		if err := json.Unmarshal(line, &r); err != nil || r.Action == "" || r.OccurredAt.IsZero() {
			return rows, errDamaged
		}
		rows = append(rows, r)
	}
}

// remove removes a file whose rows are entered. It keeps a damaged file under another name.
func (s *Spool) remove(f *spoolFile, damaged bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = nil // there is room again
	var err error
	if damaged {
		err = os.Rename(f.file.Name(), f.file.Name()+damagedSuffix)
	} else {
		err = os.Remove(f.file.Name())
	}
	return errors.Join(err, s.syncDir(), f.close())
}

// close closes the current file and leaves it for the next user of the folder.
func (s *Spool) close() {
	if f := s.rotate(); f != nil {
		_ = f.close() // everything is durable
	}
}

func (f *spoolFile) close() error {
	return errors.Join(syscall.Flock(int(f.file.Fd()), syscall.LOCK_UN), f.file.Close())
}

// lockSpool locks a file until it is closed or the process ends.
func lockSpool(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// syncDir makes the directory entries durable.
func (s *Spool) syncDir() error {
	dir, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
