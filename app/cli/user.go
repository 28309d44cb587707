package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/term"

	"omnirapeutic/app"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/user"
	"omnirapeutic/platform/programname"
)

type userCommand struct {
	Create        userCreate        `cmd:"" help:"Create a user. The command prompts for the password, or reads it from standard input."`
	ResetPassword userResetPassword `cmd:"" help:"Set a user's password. The command prompts for it, or reads it from standard input."`
}

// Help explains the commands.
func (userCommand) Help() string {
	return `Users sign in with an e-mail address and a password, and belong to one organization. Their roles, such as
ADMIN, SCHEDULER or PRACTITIONER, determine their permissions. These commands have no HTTP equivalent.`
}

type userCreate struct {
	Email        string   `required:"" help:"The e-mail address to sign in with."`
	Name         string   `required:"" help:"The person's name."`
	Organization string   `required:"" help:"The organization's id, or with --time-zone the name of a new one."`
	TimeZone     string   `help:"Create the organization, in this IANA time zone." placeholder:"America/New_York"`
	Role         []string `required:"" help:"A role; repeat for several: ${roles}."`
}

// Help explains the command.
func (userCreate) Help() string {
	return `Use it for the first administrator of a practice, because users cannot choose their own roles.

  ` + programname.Command("user create") + ` --email ada@example.org --name "Ada Example" \
    --organization "Example Practice" --time-zone America/New_York --role ADMIN`
}

// Validate rejects invalid options before it asks for a password.
func (u userCreate) Validate() error {
	for _, role := range u.Role {
		if _, err := rbac.ParseRole(strings.ToUpper(role)); err != nil {
			return fmt.Errorf("--role %s: %w", role, err)
		}
	}
	return u.user("").Check()
}

func (u userCreate) user(password string) app.FirstUser {
	roles := make([]rbac.Role, len(u.Role))
	for i, role := range u.Role {
		roles[i] = rbac.Role(strings.ToUpper(role))
	}
	return app.FirstUser{
		Organization: u.Organization, TimeZone: u.TimeZone,
		NewUser: user.NewUser{Email: u.Email, Name: u.Name, Password: password, Roles: roles},
	}
}

// Run creates the user.
func (u userCreate) Run(e environment) error {
	if _, err := e.settings(); err != nil {
		return err
	}
	password, err := readPassword(e.context) // before starting a server
	if err != nil {
		return err
	}
	return e.withProgram(func(p *app.Program) error {
		user, err := p.CreateUser(e.context, u.user(password))
		if err != nil {
			return err
		}
		fmt.Printf("Created %s (%s) in organization %s.\n", user.Email, user.ID, user.OrganizationID)
		return nil
	})
}

type userResetPassword struct {
	Email        string     `required:"" help:"The user's e-mail address."`
	Organization *uuid.UUID `help:"The organization's id, if the address has accounts in several." placeholder:"ID"`
}

// Help explains the command.
func (userResetPassword) Help() string {
	return `For a user who has forgotten the password, if no administrator can create a reset link. All of the
user's sign-ins end. A second factor remains unchanged.

  ` + programname.Command("user reset-password") + ` --email ada@example.org`
}

// Run sets the password.
func (u userResetPassword) Run(e environment) error {
	if _, err := e.settings(); err != nil {
		return err
	}
	password, err := readPassword(e.context) // before starting a server
	if err != nil {
		return err
	}
	var organization uuid.UUID
	if u.Organization != nil {
		organization = *u.Organization
	}
	return e.withProgram(func(p *app.Program) error {
		user, err := p.Access.Passwords.Set(e.context, u.Email, organization, password)
		if err != nil {
			return err
		}
		fmt.Printf("Set the password of %s (%s) in organization %s. All of the user's sign-ins have ended.\n",
			user.Email, user.ID, user.OrganizationID)
		return nil
	})
}

// readPassword asks twice on a terminal, without echo, because a mistyped password of
// the first administrator cannot be reset. Otherwise it reads a line. It returns when
// the context ends, and restores the terminal.
func readPassword(ctx context.Context) (string, error) {
	input := os.Stdin
	ask := func() (string, error) { return readLine(input) }
	if fd := int(input.Fd()); term.IsTerminal(fd) {
		before, err := term.GetState(fd)
		if err != nil {
			return "", err
		}
		defer term.Restore(fd, before) //nolint:errcheck // nothing more can be done about it
		ask = func() (string, error) { return askTwice(fd) }
	}
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := ask()
		answers <- answer{text, err}
	}()
	select {
	case a := <-answers:
		return a.text, a.err
	case <-ctx.Done():
		return "", errors.New("interrupted while waiting for the password")
	}
}

func askTwice(fd int) (string, error) {
	var typed [2][]byte
	for i, prompt := range []string{"Password: ", "Repeat: "} {
		fmt.Fprint(os.Stderr, prompt)
		var err error
		typed[i], err = term.ReadPassword(fd)
		fmt.Fprintln(os.Stderr)
		if err != nil {
			return "", err
		}
	}
	if !bytes.Equal(typed[0], typed[1]) {
		return "", errors.New("the passwords do not match")
	}
	return string(typed[0]), nil
}

func readLine(input io.Reader) (string, error) {
	line, err := bufio.NewReader(input).ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = nil // the last line may end without a line break
		if line == "" {
			return "", errors.New("no password was given: type it at the prompt of a terminal, or write it to standard input, " +
				"as in: " +
				programname.Command("user create … < password.txt"))
		}
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
