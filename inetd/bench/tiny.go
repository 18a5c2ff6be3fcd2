//go:build linux

package main

import "encoding/binary"

// Where there is no C compiler the servers are a few instructions of amd64.

// tinyHello writes a line and exits.
func tinyHello() []byte { return elf(nil) }

// tinyHold writes a line and reads until its client is gone.
func tinyHold() []byte {
	return elf([]byte{
		0x31, 0xc0, // xor eax, eax: read
		0x31, 0xff, // xor edi, edi
		0x48, 0x89, 0xe6, // mov rsi, rsp
		0xba, 1, 0, 0, 0, // mov edx, 1
		0x0f, 0x05, // syscall
		0x85, 0xc0, // test eax, eax
		0x7f, 0xee, // jg back to the start
	})
}

// elf is a static program that writes "hello\n", does what the instructions of
// then say, and exits.
func elf(then []byte) []byte {
	const (
		load    = 0x400000
		headers = 64 + 56
		lea     = 10 // offset of the lea instruction
		leaEnd  = lea + 7
	)
	code := []byte{
		0xb8, 1, 0, 0, 0, // mov eax, 1: write
		0xbf, 1, 0, 0, 0, // mov edi, 1
		0x48, 0x8d, 0x35, 0, 0, 0, 0, // lea rsi, [rip+text]
		0xba, 6, 0, 0, 0, // mov edx, 6
		0x0f, 0x05, // syscall
	}
	code = append(code, then...)
	code = append(code,
		0x31, 0xff, // xor edi, edi
		0xb8, 231, 0, 0, 0, // mov eax, 231: exit_group
		0x0f, 0x05, // syscall
	)
	le := binary.LittleEndian
	le.PutUint32(code[lea+3:], uint32(len(code)-leaEnd))
	code = append(code, "hello\n"...)

	b := []byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	b = le.AppendUint16(b, 2)  // ET_EXEC
	b = le.AppendUint16(b, 62) // EM_X86_64
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, load+headers) // entry
	b = le.AppendUint64(b, 64)           // program header
	b = le.AppendUint64(b, 0)
	b = le.AppendUint32(b, 0)
	for _, n := range []uint16{64, 56, 1, 0, 0, 0} {
		b = le.AppendUint16(b, n)
	}
	size := uint64(headers + len(code))
	b = le.AppendUint32(b, 1) // PT_LOAD
	b = le.AppendUint32(b, 5) // readable, executable
	for _, n := range []uint64{0, load, load, size, size, 0x1000} {
		b = le.AppendUint64(b, n)
	}
	return append(b, code...)
}
