package postgres

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sirupsen/logrus"
)

// account is the operating system's user that runs the server. PostgreSQL refuses to run as root,
// so root runs it as another user.
type account struct {
	name     string
	uid, gid int
	other    bool   // differs from the user of this program
	shared   string // why other programs may run as it too; "" for the server's own account
}

// ownAccount is the name of the account that is reserved for the server.
const ownAccount = "omnirapeutic"

// serverAccount returns the current user. For root it returns an unprivileged user with an entry in
// the passwd file, which initdb requires. An existing cluster keeps the account that owns it.
func serverAccount(dir string) (account, error) {
	if os.Geteuid() != 0 {
		return account{name: strconv.Itoa(os.Geteuid()), uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	names := accountNames(dir)
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err := errors.Join(err1, err2); err != nil {
			return account{}, err
		}
		return account{name: name, uid: uid, gid: gid, other: true, shared: sharedBecause(name)}, nil
	}
	return account{}, fmt.Errorf("PostgreSQL does not run as root, and there is no user to run it as (%s): create one "+
		"with %s",
		strings.Join(names, ", "), createAccount)
}

// accountNames returns the accounts under which root may run the server, the best first. It does
// not take over a cluster that another user has created for themselves, because root does not know
// its passwords.
func accountNames(dir string) []string {
	passwords, err1 := os.Stat(filepath.Join(dir, "passwords.json"))
	cluster, err2 := os.Stat(filepath.Join(dir, "cluster"))
	if err1 == nil && err2 == nil && ownerOf(passwords) == "root" && ownerOf(cluster) != "" {
		return []string{ownerOf(cluster)}
	}
	return []string{ownAccount, "postgres", "nobody"}
}

// createAccount is the command that creates the server's own account.
const createAccount = "useradd --system --no-create-home --shell /usr/sbin/nologin " + ownAccount

func sharedBecause(name string) string {
	switch name {
	case "postgres":
		return "other PostgreSQL servers of this machine run as it and can read the data"
	case "nobody":
		return "any service of this machine may run as it and can read the data"
	}
	return ""
}

// warn logs that the account is not reserved for the server, and how to change that.
func (a account) warn(o Options) {
	if a.shared == "" || o.Volatile {
		return
	}
	remedy := "create its own account with: " + createAccount
	if exists(filepath.Join(o.Dir, "cluster")) {
		remedy += fmt.Sprintf("; then, while the program is stopped: chown -R %s: %s", ownAccount, o.Dir)
	}
	o.Logger.WithFields(logrus.Fields{"event": "postgres_shared_account", "account": a.name}).
		Warnf("the private PostgreSQL runs as %s: %s; %s", a.name, a.shared, remedy)
}

// makeDir creates the folder for the account, with its parents, and checks that the
// account can enter all of them. It returns an *[Unreachable] if it cannot.
//
// A folder that is not empty keeps its owner: it may be root's home, or belong to a
// user who ran this program before.
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

// makeParents creates a folder, with its parents, that the account can enter even with
// root's umask.
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

// own changes the owner of a file or folder that this program created to the account.
func (a account) own(path string) error {
	if !a.other {
		return nil
	}
	return os.Chown(path, a.uid, a.gid)
}

// canEnter checks every existing folder down to this one, including targets of links on
// the way.
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
	if err != nil && !errors.Is(err, os.ErrPermission) { // for example a loop of links
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
