package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"omnirapeutic/platform/programname"
	"omnirapeutic/platform/version"
)

type manCommand struct{}

// Help explains the command.
func (manCommand) Help() string {
	return `Prints the manual page, in the format of man. To install it:
omnirapeutic man > /usr/local/share/man/man1/omnirapeutic.1`
}

// Run prints the page.
func (manCommand) Run(line *kong.Context) error { return printManual(os.Stdout, line.Model) }

// printManual writes the manual page of the program: all commands with their options.
func printManual(out io.Writer, model *kong.Application) error {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH OMNIRAPEUTIC 1 \"\" \"Omnirapeutic %s\" \"Omnirapeutic\"\n", roff(version.Version()))
	b.WriteString(".SH NAME\nomnirapeutic \\- a backend for ABA\\-therapy practices\n")
	b.WriteString(".SH SYNOPSIS\n.B omnirapeutic\n" +
		"[\\fB\\-\\-config\\fR \\fIFILE\\fR] [\\fICOMMAND\\fR] [\\fIOPTION\\fR ...]\n")
	fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", paragraphs(model.Help))
	b.WriteString(".SH OPTIONS\n")
	writeOptions(&b, flagsOf(model.Node))
	b.WriteString(".SH COMMANDS\n")
	for _, n := range visibleCommands(model.Node)[1:] {
		fmt.Fprintf(&b, ".SS %s\n%s\n", roff(usageOf(n)), paragraphs(n.Help))
		if n.Detail != "" && n.Detail != n.Parent.Detail {
			// The page names the installed program, not the one that prints it.
			detail := strings.ReplaceAll(n.Detail, programname.Command(""), "omnirapeutic")
			fmt.Fprintf(&b, ".PP\n%s\n", paragraphs(detail))
		}
		writeOptions(&b, flagsOf(n))
	}
	b.WriteString(".SH EXIT STATUS\n")
	for code, meaning := range []string{
		ExitOK: "Done.", ExitFailed: "The command failed.",
		ExitUsage:   "The command line or the configuration is invalid.",
		ExitUnclean: "verify found a problem, or loadtest found wrong units or failed requests.",
	} {
		fmt.Fprintf(&b, ".TP\n.B %d\n%s\n", code, roff(meaning))
	}
	b.WriteString(".SH ENVIRONMENT\nAll settings have environment variables that begin with OMNI_. The command\n" +
		".B omnirapeutic config show\nlists the settings with their values and sources.\n")
	_, err := io.WriteString(out, b.String())
	return err
}

// usageOf returns a command with its arguments.
func usageOf(n *kong.Node) string {
	usage := pathOf(n)
	for _, p := range n.Positional {
		usage += " " + p.Summary()
	}
	return usage
}

func writeOptions(b *strings.Builder, flags []*kong.Flag) {
	for _, f := range flags {
		name := "--" + f.Name
		if !f.IsBool() {
			name += "=" + f.FormatPlaceHolder()
		}
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(name), roff(f.Help))
	}
}

// paragraphs converts a text with empty lines between its paragraphs.
func paragraphs(text string) string {
	return strings.ReplaceAll(roff(strings.TrimSpace(text)), "\n\n", "\n.PP\n")
}

// roff escapes a text: backslashes, hyphens that must be copied as they are, and a period or
// apostrophe at the beginning of a line, which would be a request.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n.", "\n\\&.", "\n'", "\n\\&'", "…", "...").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		return `\&` + text
	}
	return text
}
