import BackupFormat
import Cryptography
import FuzzTargets
import HostFiles
import Testing

/// The bytes of one vector.
func vector(_ format: String, _ name: String) throws -> [UInt8] {
    try #require(try Vectors.read(format).first { $0.name == name }, "\(format): \(name)").bytes
}

/// Byte i is (i * 131 + (i >> 8) * 7 + seed) mod 256.
func pattern(_ count: Int, _ seed: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 131 &+ ($0 >> 8) &* 7 &+ seed) }
}

/// A name for a vector's chunk, pack or snapshot.
func identifier(_ number: UInt32) -> Bytes32 {
    sha256(Array("identifier".utf8) + withUnsafeBytes(of: number.littleEndian) { Array($0) })
}

func keys(_ levels: UInt8 = 0, _ numbers: UInt32...) -> KeyList {
    KeyList(levels: levels, keys: numbers.map { ChunkKey(identifier($0)) })
}

/// The keys behind the vectors: seeds 0…31 and 32…63.
let owner = OwnerKey(seed: Bytes32(bytes: Array(0..<32)) ?? .zero)
let node = NodeKey(seed: Bytes32(bytes: Array(32..<64)) ?? .zero)
