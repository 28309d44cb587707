package app

import (
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
)

// paramConsistency is the query parameter of routes with [httpx.Route.Eventual].
const paramConsistency = "consistency"

// readEventually lets a standby answer the reads of a request with consistency=eventual. It removes the
// parameter, so that endpoints and cursors do not depend on it. Only reads of the handler can go to the standby: the
// caller's token and permissions are checked before, and the access is recorded on the primary.
func readEventually(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		request := c.Request()
		if !strings.Contains(request.URL.RawQuery, paramConsistency) {
			return next(c)
		}
		query, err := url.ParseQuery(request.URL.RawQuery)
		given, ok := query[paramConsistency]
		if err != nil || !ok {
			return next(c) // the endpoint reports the error
		}
		if len(given) != 1 || !slices.Contains([]string{"strong", "eventual"}, given[0]) {
			return fault.InvalidFields(fault.Field{
				Field: paramConsistency, Code: "oneof", Message: "must be given once, as strong or eventual",
			})
		}
		query.Del(paramConsistency)
		rest := *request.URL
		rest.RawQuery = query.Encode()
		ctx := request.Context()
		if given[0] == "eventual" {
			var reads *db.Reads
			ctx, reads = db.WithEventualReads(ctx)
			c.Response().Before(func() {
				if from := readFrom(reads.Source()); from != "" {
					c.Response().Header().Set(httpx.HeaderReadFrom, from)
				}
			})
		}
		request = request.WithContext(ctx)
		request.URL = &rest
		c.SetRequest(request)
		return next(c)
	}
}

// readFrom returns the value of [httpx.HeaderReadFrom], an item with a parameter by RFC 9651. If the standby has
// answered a part, the answer is at most as old as that part.
func readFrom(s db.Source) string {
	switch {
	case s.Standby:
		const tenths = 10
		return "standby;lag=" + strconv.FormatFloat(math.Ceil(s.Lag.Seconds()*tenths)/tenths, 'f', 1, 64)
	case s.Reason != "":
		return "primary;reason=" + string(s.Reason)
	}
	return ""
}
