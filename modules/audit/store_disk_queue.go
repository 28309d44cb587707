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

// maxQueueFile is the maximum size of one file of a queue, in bytes: a few hundred thousand events.
const maxQueueFile = 64 << 20

// errQueueFull is returned by a queue that has no room for more events.
var errQueueFull = errors.New("audit: the queue of audit events on disk is full")

// DiskQueue queues events in a folder, durably, while the database accepts no writes. It uses one
// append-only file at a time. The file's name is the id under which the database stores the number
// of its entered lines. Other users of the folder take over the files of ended instances. Safe for
// concurrent use.
type DiskQueue struct {
	dir   string
	limit int64

	mu     sync.Mutex
	file   *queueFile // nil: this process has queued nothing
	failed error      // error of the last attempt to queue events
}

// queueFile is a file that this process has locked.
type queueFile struct {
	id   uuid.UUID
	file *os.File
	size int64 // durable bytes
	rows int
}

const (
	filePrefix = "audit-"
	// listPrefix follows filePrefix. Programs from before lists do not take such files, because they would lose the lists.
	listPrefix = "lists-"
	fileSuffix = ".jsonl"
	// damagedSuffix is the suffix of files with damaged lines. The program never removes them.
	damagedSuffix = ".damaged"
)

// NewDiskQueue returns the queue of a folder.
func NewDiskQueue(dir string) *DiskQueue { return &DiskQueue{dir: dir, limit: maxQueueFile} }

// Prepare creates the folder if it does not exist, and checks that it is writable.
func (q *DiskQueue) Prepare() error {
	err := os.MkdirAll(q.dir, 0o700)
	if err == nil {
		var probe *os.File
		if probe, err = os.CreateTemp(q.dir, "probe-"); err == nil {
			err = errors.Join(probe.Close(), os.Remove(probe.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("the folder for queued audit events cannot be used; set another one, or none, with "+
			"OMNI_AUDIT_SPOOL: %w", err)
	}
	return nil
}

// add appends the rows and returns once they are on disk. After an error none of them is queued.
func (q *DiskQueue) add(rows []eventRow) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failed = q.append(rows)
	return q.failed
}

func (q *DiskQueue) append(rows []eventRow) error {
	var text []byte
	for _, r := range rows {
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
	}
	if q.file == nil {
		created, err := q.create()
		if err != nil {
			return err
		}
		q.file = created
	}
	if q.file.size+int64(len(text)) > q.limit {
		return errQueueFull
	}
	_, err := q.file.file.WriteAt(text, q.file.size)
	if err == nil {
		err = q.file.file.Sync()
	}
	if err != nil {
		// The next reader would treat the rest as events, although they were never acknowledged.
		return errors.Join(err, q.file.file.Truncate(q.file.size))
	}
	q.file.size += int64(len(text))
	q.file.rows += len(rows)
	return nil
}

func (q *DiskQueue) create() (*queueFile, error) {
	id := uuid.New()
	f, err := os.OpenFile(filepath.Join(q.dir, filePrefix+listPrefix+id.String()+fileSuffix), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(lockFile(f), q.syncDir()); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return &queueFile{id: id, file: f}, nil
}

// acceptsEvents reports whether the queue can queue events, as far as known.
func (q *DiskQueue) acceptsEvents() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failed == nil && (q.file == nil || q.file.size < q.limit)
}

// queued returns the number of events that this process has queued.
func (q *DiskQueue) queued() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.file == nil {
		return 0
	}
	return q.file.rows
}

// rotate returns the current file, so that the next events go into another one.
func (q *DiskQueue) rotate() *queueFile {
	q.mu.Lock()
	defer q.mu.Unlock()
	current := q.file
	q.file = nil
	return current
}

// restore makes a file of [DiskQueue.rotate] that was not entered the current file again. If there is
// another current file by now, it leaves the file for [DiskQueue.abandoned].
func (q *DiskQueue) restore(f *queueFile) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.file == nil {
		q.file = f
		return
	}
	_ = f.close() // it was only read
}

// abandoned locks and returns a file in the folder that no process has locked, except the given
// ones; nil if there is none.
func (q *DiskQueue) abandoned(seen map[uuid.UUID]bool) (*queueFile, error) {
	found, err := filepath.Glob(filepath.Join(q.dir, filePrefix+"*"+fileSuffix))
	if err != nil {
		return nil, err
	}
	for _, path := range found {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), filePrefix), fileSuffix)
		id, err := uuid.Parse(strings.TrimPrefix(name, listPrefix))
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
		if lockFile(f) != nil {
			_ = f.Close() // another process has it
			continue
		}
		if _, err := os.Stat(path); err != nil {
			_ = f.Close() // another process has had and removed it
			continue
		}
		return &queueFile{id: id, file: f}, nil
	}
	return nil, nil
}

// errDamagedFile: a file of a queue contains an invalid line before its end.
var errDamagedFile = errors.New("audit: a file of queued audit events is damaged")

// read returns the rows of a file. It omits an incomplete last line, because that was never
// acknowledged. If another line is invalid, it returns errDamagedFile and the rows before it.
func (f *queueFile) read() ([]eventRow, error) {
	if _, err := f.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	var rows []eventRow
	for lines := bufio.NewReader(f.file); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		var r eventRow
		if err := json.Unmarshal(line, &r); err != nil || r.Action == "" || r.OccurredAt.IsZero() {
			return rows, errDamagedFile
		}
		rows = append(rows, r)
	}
}

// remove removes a file whose rows are entered. It keeps a damaged file under another name.
func (q *DiskQueue) remove(f *queueFile, damaged bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failed = nil // there is room again
	var err error
	if damaged {
		err = os.Rename(f.file.Name(), f.file.Name()+damagedSuffix)
	} else {
		err = os.Remove(f.file.Name())
	}
	return errors.Join(err, q.syncDir(), f.close())
}

// close closes the current file and leaves it for the next user of the folder.
func (q *DiskQueue) close() {
	if f := q.rotate(); f != nil {
		_ = f.close() // everything is durable
	}
}

func (f *queueFile) close() error {
	return errors.Join(syscall.Flock(int(f.file.Fd()), syscall.LOCK_UN), f.file.Close())
}

// lockFile locks a file until it is closed or the process ends.
func lockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// syncDir makes the directory entries durable.
func (q *DiskQueue) syncDir() error {
	dir, err := os.Open(q.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
