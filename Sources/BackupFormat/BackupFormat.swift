// Every byte that bakare keeps at rest or sends: identifiers, limits, and the encoding and decoding of each record.
//
// This module does no I/O, no cryptography and reads no clock. Decoders take untrusted bytes: they check every length
// against `Limits` before they allocate, throw `FormatError`, and never trap. docs/FORMAT.md describes each record.

/// The version of the formats at rest that this code writes and reads.
package let formatVersion: UInt8 = 1
