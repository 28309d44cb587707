package audit

// LimitSpool makes a service's spool small, for tests that fill it.
func LimitSpool(s *Service, bytes int64) { s.diskQueue.limit = bytes }
