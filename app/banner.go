package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"omnirapeutic/app/demo"
)

// banner is the information for a person who has started the program. In JSON mode it is one
// line.
type banner struct {
	Event   string   `json:"event"`
	Address string   `json:"address"`
	Docs    string   `json:"docs,omitempty"`
	Metrics string   `json:"metrics,omitempty"`
	Data    string   `json:"data"`
	SignIns []string `json:"demoSignIns,omitempty"`
}

// PrintBanner prints the program's addresses and, with the demo practice, the accounts for signing in and
// some commands to try.
func (p *Program) PrintBanner(ctx context.Context, out io.Writer, l *Listeners) error {
	emails, err := p.demoSignIns(ctx)
	if err != nil {
		return err
	}
	address := l.url()
	b := banner{Event: "greeting", Address: address, Data: p.Storage.Description, SignIns: emails}
	if p.config.HTTP.Docs {
		b.Docs = address + pathDocs
	}
	if l.metrics != nil {
		b.Metrics = "http://" + reachable(l.metrics.Addr())
	}
	if p.config.Log.Format == "json" {
		return json.NewEncoder(out).Encode(b)
	}
	b.print(out)
	return nil
}

func (b banner) print(out io.Writer) {
	fmt.Fprintf(out, "\nOmnirapeutic listens on %s\n", b.Address)
	if b.Docs != "" {
		fmt.Fprintf(out, "API documentation: %s\n", b.Docs)
	}
	if b.Metrics != "" {
		fmt.Fprintf(out, "Metrics and profiles: %s\n", b.Metrics)
	}
	fmt.Fprintf(out, "Data: %s\n", b.Data)
	if len(b.SignIns) > 0 {
		fmt.Fprintf(out, "\nDemo practice. Sign in with the password %s as\n", demo.Password)
		for _, email := range b.SignIns {
			fmt.Fprintf(out, "  %s\n", email)
		}
		fmt.Fprintf(out, tryNext, b.Address, demo.Password)
	}
	fmt.Fprint(out, "\nStop with Ctrl-C.\n")
}

// tryNext are commands that can be pasted unchanged, all at once or one by one: sign in, list,
// book.
const tryNext = `
Try next, in another terminal:
  API=%s/api/v1
  TOKEN=$(curl -s $API/auth/login -H 'Content-Type: application/json' \
    -d '{"email":"scheduler@demo.test","password":"%s"}' | sed 's/.*"accessToken":"\([^"]*\)".*/\1/')
  curl -s "$API/authorizations?status=ACTIVE&limit=1" -H "Authorization: Bearer $TOKEN"
  ID=$(curl -s "$API/authorizations?status=ACTIVE&limit=1" -H "Authorization: Bearer $TOKEN" | sed 's/.*"data":\[{"id":"\([^"]*\)".*/\1/')
  curl -s $API/authorizations/$ID/reserve -H "Authorization: Bearer $TOKEN" \
    -H 'Content-Type: application/json' -H 'Idempotency-Key: my-first-booking' -d '{"units":4}'
`
