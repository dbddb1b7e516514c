import BackupFormat
import Peers
import Testing

@Test("a fingerprint is six groups of five digits that every bit of the key changes")
func fingerprintOfEveryBit() throws {
    let key = (0..<32).map { UInt8($0 * 7) }
    let shown = fingerprint(try #require(Bytes32(bytes: key)))
    #expect(shown.split(separator: " ").map(\.count) == [5, 5, 5, 5, 5, 5])
    for bit in 0..<256 {
        var other = key
        other[bit / 8] ^= 1 << UInt8(bit % 8)
        #expect(fingerprint(try #require(Bytes32(bytes: other))) != shown)
    }
}
