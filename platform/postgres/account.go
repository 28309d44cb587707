package postgres

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// account is who the server runs as. PostgreSQL refuses to run as root, so root
// runs it as somebody else.
type account struct {
	name     string
	uid, gid int
	other    bool // not the user that this program runs as
}

// serverAccount returns the current user, or where that is root an unprivileged
// user with an entry in the passwd file, which initdb asks for.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{name: strconv.Itoa(os.Geteuid()), uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err := errors.Join(err1, err2); err != nil {
			return account{}, err
		}
		return account{name: name, uid: uid, gid: gid, other: true}, nil
	}
	return account{}, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
}

// makeDir makes the folder for the account, with the folders above it, and
// checks that the account can enter all of them. The error is an *[Unreachable]
// where it cannot.
//
// A folder with something in it keeps its owner: it may be root's home, or of
// somebody who ran this program before.
func (a account) makeDir(dir string) error {
	if err := a.canEnter(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := a.makeParents(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if content, err := os.ReadDir(dir); err == nil && len(content) == 0 {
		if err := a.own(dir); err != nil {
			return err
		}
	}
	return a.canEnter(dir)
}

// makeParents makes a folder, with the folders above it, that the account can
// enter, also where root's umask would keep it out.
func (a account) makeParents(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := a.makeParents(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil || !a.other { //nolint:gosec // see above
		return err
	}
	return os.Chmod(dir, 0o755) //nolint:gosec // see above
}

// own gives one file or folder that this program made to the account.
func (a account) own(path string) error {
	if !a.other {
		return nil
	}
	return os.Chown(path, a.uid, a.gid)
}

// canEnter checks every folder down to this one, as far as they exist, and those
// that links on the way lead through.
func (a account) canEnter(dir string) error {
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := a.canEnter(parent); err != nil {
			return err
		}
	}
	info, err := os.Stat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil && !errors.Is(err, os.ErrPermission) { // a loop of links, for one
		return err
	}
	if target, notLink := os.Readlink(dir); notLink == nil {
		if !filepath.IsAbs(target) {
			target = filepath.Join(parent, target)
		}
		return a.canEnter(target)
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", dir)
	}
	if !a.maySearch(dir, info) {
		return &Unreachable{Folder: dir, Account: a.name}
	}
	return nil
}
