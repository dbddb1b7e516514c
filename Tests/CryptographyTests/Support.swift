import BackupFormat
import Cryptography
import Testing

/// The bytes of `hex`, which must be hexadecimal.
func unhex(_ hex: String) throws -> [UInt8] { try #require(hexadecimalBytes(hex)) }
