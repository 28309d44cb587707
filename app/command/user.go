package command

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"omnirapeutic/app"
	"omnirapeutic/modules/rbac"
)

type userCommand struct {
	Create userCreate `cmd:"" help:"Make a user; the password is asked for, or read from standard input."`
}

type userCreate struct {
	Email        string   `required:"" help:"The e-mail address to sign in with."`
	Name         string   `required:"" help:"The person's name."`
	Organization string   `required:"" help:"The organization's id, or a new one's name with --time-zone."`
	TimeZone     string   `help:"Make the organization, in this IANA time zone." placeholder:"America/New_York"`
	Role         []string `required:"" help:"A role; repeat for several: ${roles}."`
}

// Help explains the command.
func (userCreate) Help() string {
	return `The first administrator of a practice is made here; nobody can choose their own role.

  omnirapeutic user create --email ada@example.org --name "Ada Example" \
    --organization "Example Practice" --time-zone America/New_York --role ADMIN`
}

// Run makes the user.
func (u userCreate) Run(e environment) error {
	roles := make([]rbac.Role, len(u.Role))
	for i, role := range u.Role {
		roles[i] = rbac.Role(strings.ToUpper(role))
	}
	return e.withProgram(func(p *app.Program) error {
		password, err := readPassword()
		if err != nil {
			return err
		}
		user, err := p.CreateUser(e.context, app.FirstUser{
			Organization: u.Organization, TimeZone: u.TimeZone,
			NewUser: rbac.NewUser{Email: u.Email, Name: u.Name, Password: password, Roles: roles},
		})
		if err != nil {
			return err
		}
		fmt.Printf("Made %s (%s) in organization %s.\n", user.Email, user.ID, user.OrganizationID)
		return nil
	})
}

// readPassword asks on a terminal, without showing what is typed, and reads a
// line otherwise.
func readPassword() (string, error) {
	if fd := int(os.Stdin.Fd()); term.IsTerminal(fd) {
		fmt.Fprint(os.Stderr, "Password: ")
		typed, err := term.ReadPassword(fd)
		fmt.Fprintln(os.Stderr)
		return string(typed), err
	}
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if errors.Is(err, io.EOF) && line != "" {
		err = nil // the last line may end without a line break
	}
	return strings.TrimRight(line, "\r\n"), err
}

func roleNames() string {
	var names []string
	for _, r := range rbac.Roles() {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}
