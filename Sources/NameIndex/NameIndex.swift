// The names of everything in all snapshots, and what finds a path among them by a few letters.
//
// A cache: sealed files in a folder of the ledger, made from trees and made again when they are missing, damaged or behind. It knows
// names, types, sizes and times, and since and until which snapshot each was so; it reads no tree and knows no vault.
//
// This module must never: answer with a name from a file that is not authentic, hold in memory what grows with the number of names,
// print, or fail because of what a name's bytes are.

package import BackupFormat

/// What a path is in a snapshot, as far as the index knows.
package struct NameState: Hashable, Sendable {
    package var type: EntryType
    /// In bytes.
    package var size: UInt64
    package var modified: Timestamp

    package init(type: EntryType, size: UInt64, modified: Timestamp) {
        self.type = type
        self.size = size
        self.modified = modified
    }
}

/// From a snapshot on, a path is in that state, or is not there (nil): until the next change among the snapshots that follow it.
package struct NameChange: Hashable, Sendable {
    /// The snapshot's place in the index.
    package var ordinal: UInt32
    package var state: NameState?

    package init(ordinal: UInt32, state: NameState?) {
        self.ordinal = ordinal
        self.state = state
    }
}

/// Bounds of the index's files. Sizes are in bytes.
enum NameLimits {
    /// A block of names ends when it has this much.
    static let blockTargetBytes = 32 << 10
    static let namesPlainBytesMax = 256 << 10
    /// A block of states ends when it has this much.
    static let statesTargetBytes = 256 << 10
    static let statesPlainBytesMax = 4 << 20
    /// A group of blocks ends when its columns have this many words of 64 paths, or its runs this many bytes.
    static let groupTargetWords = 1024
    static let groupWordsMax = 4096
    static let runsTargetBytes = 256 << 10
    static let runsPlainBytesMax = 1 << 20
    static let tablePlainBytesMax = 32 << 20
    static let manifestBytesMax = 32 << 20
    static let blocksMax = 1 << 20
    static let segmentsMax = 256
    /// Snapshots that one index may know, those that were forgotten since it was last renumbered too.
    static let ordinalsMax = 1 << 18
    /// Of one path. A longer one is left out.
    static let pathBytesMax = 64 << 10
    /// A change takes at most: ordinal 3, state 1, size 10, seconds 10, nanoseconds 4.
    static let changeBytesMax = 28
    static let changesMax = (statesPlainBytesMax - statesTargetBytes) / changeBytesMax
}

/// Below, at or above 0 as path `a` comes before, is or comes after `b` where a folder comes before what is in it, and that before
/// the folder's next neighbour: in byte order, with the slash before all other bytes.
func comparePaths(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
    let count = min(a.count, b.count)
    let shared = sharedBytes(a, b)
    guard shared < count else { return a.count - b.count }
    let first = a[shared] == 0x2f ? 0 : Int(a[shared])
    let second = b[shared] == 0x2f ? 0 : Int(b[shared])
    return first - second
}

/// How many bytes both begin with.
func sharedBytes(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
    let count = min(a.count, b.count)
    var index = 0
    while index &+ 8 <= count {
        let difference =
            UInt64(littleEndian: a.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            ^ UInt64(littleEndian: b.loadUnaligned(fromByteOffset: index, as: UInt64.self))
        if difference != 0 { return index &+ difference.trailingZeroBitCount / 8 }
        index &+= 8
    }
    while index < count, a[index] == b[index] { index &+= 1 }
    return index
}
