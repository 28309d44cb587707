package password

import (
	"runtime"
	"sync/atomic"

	"github.com/alexedwards/argon2id"
)

// CountHashes counts the password hashes that the service computes from now on.
func CountHashes(s *Service) *atomic.Int64 {
	var n atomic.Int64
	compute := s.hasher.compute
	s.hasher.compute = func(password, salt []byte, p argon2id.Params) []byte {
		n.Add(1)
		return compute(password, salt, p)
	}
	return &n
}

// OccupyThreads takes all threads of the service's hasher. The first result waits until a hash waits
// for them, the second releases them.
func OccupyThreads(s *Service) (awaitHash, release func()) {
	if !s.hasher.threads.TryAcquire(s.hasher.size) {
		panic("a hash is running")
	}
	awaitHash = func() {
		for s.hasher.queued.Load() == 0 {
			runtime.Gosched()
		}
	}
	return awaitHash, func() { s.hasher.threads.Release(s.hasher.size) }
}
