// Package portabletest refuses features that the portable profile does not use, for tests. [Check] parses a statement with
// PostgreSQL's own parser and names the features. [Proxy] forwards connections to a PostgreSQL server, and answers
// a statement that uses one with an error.
package portabletest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/wasilibs/go-pgquery/parser"
)

// The features that the portable profile does not use.
const (
	systemColumn    = "a system column"
	tableLock       = "LOCK TABLE"
	notification    = "LISTEN or NOTIFY"
	exclusion       = "an exclusion constraint"
	deferrable      = "a deferrable constraint"
	trigger         = "a trigger"
	jsonColumn      = "a column of the type json"
	sessionState    = "a setting of the session"
	plannerSetting  = "a setting of the planner"
	advisoryLock    = "an advisory lock"
	partition       = "a partition"
	snapshotNumbers = "a number of a transaction"
	anonymousBlock  = "a DO block"
)

// Check returns the features that the statements of the text use and the portable profile does not. The error is
// the parser's.
func Check(sql string) ([]string, error) {
	parsing.Lock()
	defer parsing.Unlock()
	return check(sql)
}

// parsing serializes the parser, whose instances take much memory.
var parsing sync.Mutex

func check(sql string) ([]string, error) {
	tree, err := parser.ParseToJSON(sql)
	if err != nil {
		return nil, err
	}
	var statements any
	if err := json.Unmarshal([]byte(tree), &statements); err != nil {
		return nil, err
	}
	var f finder
	f.walk("", statements)
	slices.Sort(f.found)
	return slices.Compact(f.found), nil
}

// finder collects the features of a tree.
type finder struct{ found []string }

func (f *finder) add(feature string) { f.found = append(f.found, feature) }

type node = map[string]any

func (f *finder) walk(kind string, value any) {
	switch v := value.(type) {
	case []any:
		for _, each := range v {
			f.walk(kind, each)
		}
	case node:
		f.visit(kind, v)
		for name, each := range v {
			f.walk(name, each)
		}
	}
}

// wholeStatements are the kinds of statements that are refused without regard to their content.
var wholeStatements = map[string]string{
	"LockStmt": tableLock, "ListenStmt": notification, "UnlistenStmt": notification, "NotifyStmt": notification,
	"CreateTrigStmt": trigger, "CreateEventTrigStmt": trigger, "ConstraintsSetStmt": deferrable,
	"PrepareStmt": sessionState, "ExecuteStmt": sessionState, "DeclareCursorStmt": sessionState,
	"DiscardStmt": sessionState, "AlterSystemStmt": sessionState, "AlterDatabaseSetStmt": sessionState,
	"AlterRoleSetStmt": sessionState, "partspec": partition, "partbound": partition, "PartitionCmd": partition,
	"DoStmt": anonymousBlock,
}

func (f *finder) visit(kind string, n node) {
	if feature, refused := wholeStatements[kind]; refused {
		f.add(feature)
	}
	switch kind {
	case "ColumnRef":
		if slices.Contains([]string{"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"}, last(n["fields"])) {
			f.add(systemColumn)
		}
	case "FuncCall":
		f.visitCall(last(n["funcname"]), n)
	case "Constraint":
		switch contype, _ := n["contype"].(string); {
		case contype == "CONSTR_EXCLUSION":
			f.add(exclusion)
		case contype == "CONSTR_ATTR_DEFERRABLE", contype == "CONSTR_ATTR_DEFERRED", n["deferrable"] == true:
			f.add(deferrable)
		}
	case "ColumnDef":
		switch last(typeOf(n)) {
		case "json":
			f.add(jsonColumn)
		case "xid8", "xid":
			f.add(snapshotNumbers)
		}
	case "AlterTableCmd":
		if subtype, _ := n["subtype"].(string); strings.Contains(subtype, "Trig") {
			f.add(trigger)
		}
	case "CreateFunctionStmt":
		if returned, ok := n["returnType"].(node); ok && last(returned["names"]) == "trigger" {
			f.add(trigger)
		}
	case "RangeVar", "relation", "into":
		if n["relpersistence"] == "t" {
			f.add(sessionState) // a temporary table
		}
	case "VariableSetStmt":
		f.visitSetting(n)
	}
}

// localSettings are the settings that a transaction may have: the organizations, the announced removal of audit
// events, and limits of time.
var localSettings = []string{
	"omni.organizations", "omnirapeutic.audit_removal", "idle_in_transaction_session_timeout", "lock_timeout",
	"statement_timeout", "transaction_timeout",
}

func (f *finder) visitSetting(n node) {
	name, _ := n["name"].(string)
	switch {
	case name == "TRANSACTION": // SET TRANSACTION
	case n["is_local"] != true:
		f.add(sessionState)
	default:
		f.visitLocal(name)
	}
}

func (f *finder) visitLocal(name string) {
	switch {
	case slices.Contains(localSettings, name):
	case strings.HasPrefix(name, "enable_"), strings.HasPrefix(name, "plan_"):
		f.add(plannerSetting)
	default:
		f.add(fmt.Sprintf("the setting %q", name))
	}
}

func (f *finder) visitCall(name string, n node) {
	switch {
	case name == "pg_notify", name == "pg_listening_channels":
		f.add(notification)
	case strings.HasPrefix(name, "pg_advisory_"), strings.HasPrefix(name, "pg_try_advisory_"):
		f.add(advisoryLock)
	case strings.HasPrefix(name, "pg_snapshot_"), strings.HasPrefix(name, "pg_current_xact"),
		strings.HasPrefix(name, "txid_"), name == "pg_current_snapshot":
		f.add(snapshotNumbers)
	case name == "set_config":
		arguments, _ := n["args"].([]any)
		const count = 3
		if len(arguments) != count || constantOf(arguments[2], "boolval") != true {
			f.add(sessionState)
			return
		}
		setting, _ := constantOf(arguments[0], "sval").(string)
		f.visitLocal(setting)
	}
}

// constantOf returns the value of a constant, or nil.
func constantOf(argument any, member string) any {
	outer, _ := argument.(node)
	constant, _ := outer["A_Const"].(node)
	value, _ := constant[member].(node)
	return value[member]
}

func typeOf(n node) any {
	named, _ := n["typeName"].(node)
	return named["names"]
}

// last returns the last part of a qualified name.
func last(names any) string {
	parts, _ := names.([]any)
	if len(parts) == 0 {
		return ""
	}
	part, _ := parts[len(parts)-1].(node)
	text, _ := part["String"].(node)
	value, _ := text["sval"].(string)
	return value
}
