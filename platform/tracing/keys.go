package tracing

// Key is the name of an attribute.
type Key string

// The keys of all attributes. Those without the program's name are of the semantic conventions of OpenTelemetry:
// https://opentelemetry.io/docs/specs/semconv/.
const (
	HTTPMethod Key = "http.request.method"
	HTTPRoute  Key = "http.route" // the pattern, such as /api/v1/patients/:id
	HTTPStatus Key = "http.response.status_code"
	// ErrorType is the code of the problem document, or another code of a failure.
	ErrorType Key = "error.type"

	System    Key = "db.system.name"
	Statement Key = "db.operation.name"  // such as SELECT
	Table     Key = "db.collection.name" // the first table of the statement
	SQLState  Key = "db.response.status_code"

	Permission Key = "omnirapeutic.permission"     // that the route requires
	Queue      Key = "omnirapeutic.queue"          // the kind of commands
	Requests   Key = "omnirapeutic.batch.requests" // their number
	Operation  Key = "omnirapeutic.operation"      // of a transaction
	Server     Key = "omnirapeutic.server"         // Standby for reads from a standby
	Attempt    Key = "omnirapeutic.attempt"        // from 1
	Phase      Key = "omnirapeutic.phase"          // of a failed attempt: begin, body or commit
	Result     Key = "omnirapeutic.result"         // of an attempt, a delivery or a mail
	Job        Key = "omnirapeutic.job"            // name of a background job
	Rows       Key = "omnirapeutic.rows"           // that a job has processed
	Peer       Key = "omnirapeutic.peer"           // kind of the server that is called; see the peers
	EventType  Key = "omnirapeutic.event.type"     // of an event that is delivered
	MailKind   Key = "omnirapeutic.mail.kind"      // such as INVITATION
)

// Standby is the value of [Server] for a standby.
const Standby = "standby"

// Peers are the kinds of servers that the program calls.
const (
	PeerWebhook  = "webhook"
	PeerIdentity = "identity-provider"
	PeerSIEM     = "siem"
	PeerAnchor   = "anchor"
	PeerMail     = "mail-server"
)
