package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help explains the command.
func (completionCommand) Help() string {
	return `Prints a script that completes commands, options and their values. Load it in the shell's start file,
or install it:

bash: omnirapeutic completion bash > /etc/bash_completion.d/omnirapeutic

zsh: omnirapeutic completion zsh > /usr/share/zsh/vendor-completions/_omnirapeutic

fish: omnirapeutic completion fish > /etc/fish/completions/omnirapeutic.fish`
}

// Run prints the script.
func (c completionCommand) Run(line *kong.Context) error {
	commands := visibleCommands(line.Model.Node)
	switch c.Shell {
	case "zsh":
		fmt.Println("#compdef omnirapeutic\nautoload -U +X bashcompinit && bashcompinit")
		return printBashCompletion(os.Stdout, commands)
	case "fish":
		return printFishCompletion(os.Stdout, commands)
	}
	return printBashCompletion(os.Stdout, commands)
}

// visibleCommands returns the node and all commands below it, parents first.
func visibleCommands(n *kong.Node) []*kong.Node {
	all := []*kong.Node{n}
	for _, child := range n.Children {
		if !child.Hidden {
			all = append(all, visibleCommands(child)...)
		}
	}
	return all
}

// pathOf returns the words of a command, such as "migrate up". The program itself has none.
func pathOf(n *kong.Node) string {
	if n.Parent == nil {
		return ""
	}
	return strings.TrimSpace(pathOf(n.Parent) + " " + n.Name)
}

// flagsOf returns the visible options that belong to the command itself.
func flagsOf(n *kong.Node) []*kong.Flag {
	return slices.DeleteFunc(slices.Clone(n.Flags), func(f *kong.Flag) bool { return f.Hidden })
}

// wordsOf returns the words that can follow a command: its commands, the values of its arguments, its
// own options and its parents' options.
func wordsOf(n *kong.Node) []string {
	var words []string
	for _, child := range n.Children {
		if !child.Hidden {
			words = append(words, child.Name)
		}
	}
	for _, p := range n.Positional {
		words = append(words, p.EnumSlice()...)
	}
	for ; n != nil; n = n.Parent {
		for _, f := range flagsOf(n) {
			words = append(words, "--"+f.Name)
		}
	}
	return words
}

func printBashCompletion(out io.Writer, commands []*kong.Node) error {
	var paths, words, values strings.Builder
	known := map[string]bool{}
	for _, n := range commands {
		path := pathOf(n)
		if path != "" {
			fmt.Fprintf(&paths, "      ' %s') path=\"$path $word\" ;;\n", path)
			path = " " + path
		}
		fmt.Fprintf(&words, "    '%s') words='%s' ;;\n", path, strings.Join(wordsOf(n), " "))
		for _, f := range flagsOf(n) {
			if f.IsBool() || known[f.Name] {
				continue
			}
			known[f.Name] = true
			fmt.Fprintf(&values, "    --%s) words='%s' ;;\n", f.Name, strings.Join(f.EnumSlice(), " "))
		}
	}
	_, err := fmt.Fprintf(out, `_omnirapeutic() {
  local path='' word words
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in
%s    esac
  done
  case "$path" in
%s  esac
  case "${COMP_WORDS[COMP_CWORD-1]}" in
%s  esac
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _omnirapeutic omnirapeutic
`, &paths, &words, &values)
	return err
}

func printFishCompletion(out io.Writer, commands []*kong.Node) error {
	quote := func(text string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'" }
	var b strings.Builder
	b.WriteString("complete -c omnirapeutic -f\n")
	for _, n := range commands {
		condition := " -n __fish_use_subcommand"
		if path := pathOf(n); path != "" {
			var seen []string
			for word := range strings.FieldsSeq(path) {
				seen = append(seen, "__fish_seen_subcommand_from "+word)
			}
			condition = " -n " + quote(strings.Join(seen, "; and "))
		}
		for _, child := range n.Children {
			if !child.Hidden {
				fmt.Fprintf(&b, "complete -c omnirapeutic%s -a %s -d %s\n", condition, child.Name, quote(child.Help))
			}
		}
		for _, p := range n.Positional {
			if values := p.EnumSlice(); len(values) > 0 {
				fmt.Fprintf(&b, "complete -c omnirapeutic%s -a %s\n", condition, quote(strings.Join(values, " ")))
			}
		}
		if n.Parent == nil {
			condition = "" // its options are valid everywhere
		}
		for _, f := range flagsOf(n) {
			fmt.Fprintf(&b, "complete -c omnirapeutic%s -l %s -d %s", condition, f.Name, quote(f.Help))
			if values := f.EnumSlice(); len(values) > 0 {
				fmt.Fprintf(&b, " -x -a %s", quote(strings.Join(values, " ")))
			} else if !f.IsBool() {
				b.WriteString(" -r -F")
			}
			b.WriteString("\n")
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}
