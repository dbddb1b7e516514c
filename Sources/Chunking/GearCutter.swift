internal import BackupFormat

/// Finds content-defined cut points: FastCDC with normalised chunking (Xia et al., USENIX ATC 2016), gear hash keyed by its table.
///
/// The hash of the 64 bytes before a position decides: `h = (h << 1) + gear[byte]`, and a position is a cut when the top
/// 22 bits of `h` are zero before the target size, the top 18 after it.
package struct GearCutter: Sendable {
    private let gear: [UInt64]
    private static let strictBits: UInt64 = 22
    private static let looseBits: UInt64 = 18

    /// `gear`: 256 random numbers, secret.
    package init(gear: [UInt64]) {
        precondition(gear.count == 256)
        self.gear = gear
    }

    /// How far into the current chunk the search has come.
    package struct Progress: Sendable {
        fileprivate var position = 0
        fileprivate var hash: UInt64 = 0
        package init() {}
    }

    /// Looks on in `chunk`, the bytes of the current chunk that are known so far, from where the last call left off.
    ///
    /// Returns the chunk's length in bytes once it is found (at most ``Limits/chunkBytesMax``), or nil if more bytes are
    /// needed. `progress` must be fresh for each chunk.
    package func cut(_ chunk: UnsafeRawBufferPointer, _ progress: inout Progress) -> Int? {
        let end = min(chunk.count, Limits.chunkBytesMax)
        if progress.position < Limits.chunkBytesMin {
            if end < Limits.chunkBytesMin { return nil }
            progress.position = Limits.chunkBytesMin
        }
        let found = gear.withUnsafeBufferPointer { table -> Int? in
            guard let gear = table.baseAddress, let bytes = chunk.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return nil }
            if progress.position < Limits.chunkBytesTarget {
                let stop = min(end, Limits.chunkBytesTarget)
                if let cut = scan(bytes, &progress, to: stop, below: 1 << (64 - GearCutter.strictBits), gear) { return cut }
            }
            return scan(bytes, &progress, to: end, below: 1 << (64 - GearCutter.looseBits), gear)
        }
        if let found { return found }
        return end == Limits.chunkBytesMax ? end : nil
    }
}

/// The first position after `progress.position`, up to `end`, whose hash is under `threshold`. Four bytes a step: only the
/// smallest of the four hashes is compared, and the step is looked at again when it is small enough.
@inline(__always)
private func scan(
    _ bytes: UnsafePointer<UInt8>, _ progress: inout GearCutter.Progress, to end: Int, below threshold: UInt64,
    _ gear: UnsafePointer<UInt64>
) -> Int? {
    var hash = progress.hash
    var position = progress.position
    while position &+ 4 <= end {
        let h1 = (hash &<< 1) &+ gear[Int(bytes[position])]
        let h2 = (h1 &<< 1) &+ gear[Int(bytes[position &+ 1])]
        let h3 = (h2 &<< 1) &+ gear[Int(bytes[position &+ 2])]
        let h4 = (h3 &<< 1) &+ gear[Int(bytes[position &+ 3])]
        if min(min(h1, h2), min(h3, h4)) < threshold {
            let step = h1 < threshold ? 1 : h2 < threshold ? 2 : h3 < threshold ? 3 : 4
            return position &+ step
        }
        hash = h4
        position &+= 4
    }
    while position < end {
        hash = (hash &<< 1) &+ gear[Int(bytes[position])]
        position &+= 1
        if hash < threshold { return position }
    }
    progress.hash = hash
    progress.position = position
    return nil
}
