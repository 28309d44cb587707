//go:build !linux && !darwin

package datadir

import "errors"

func spaceOf(string) (Space, error) { return Space{}, errors.ErrUnsupported }
