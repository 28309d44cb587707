package wireproxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
)

func plain(sql string) string { return strings.ToLower(strings.TrimSpace(sql)) }

// CutText reads a zero-terminated string from the body of a message, and removes it.
func CutText(body *[]byte) string {
	s, rest, _ := bytes.Cut(*body, []byte{0})
	*body = rest
	return string(s)
}

// maxMessage bounds the body of a message, in bytes.
const maxMessage = 1 << 28

// ReadMessage reads one message: type, length and body. The first message of a connection has no type: typed is
// 0 for it, and 1 for all others. Source: PostgreSQL manual, "Message Formats".
func ReadMessage(from io.Reader, typed int) ([]byte, error) {
	head := make([]byte, typed+4)
	if _, err := io.ReadFull(from, head); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint32(head[typed:])) - 4
	if length < 0 || length > maxMessage {
		return nil, errors.New("wireproxy: not a message")
	}
	m := append(head, make([]byte, length)...)
	_, err := io.ReadFull(from, m[typed+4:])
	return m, err
}

func write(to io.Writer, m []byte) error {
	_, err := to.Write(m)
	return err
}

// status returns a ParameterStatus message.
func status(parameter, value string) []byte {
	body := parameter + "\x00" + value + "\x00"
	return append(binary.BigEndian.AppendUint32([]byte{'S'}, uint32(len(body)+4)), body...)
}
