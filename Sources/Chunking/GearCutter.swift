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
            guard let gear = table.baseAddress, let bytes = chunk.baseAddress?.assumingMemoryBound(to: UInt8.self) else {
                return nil
            }
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

/// The first position after `progress.position`, up to `end`, whose hash is under `threshold`.
///
/// The hash of a position depends on the 64 bytes before it alone. So the range is searched in two halves at once, each in
/// a chain of additions of its own that the processor overlaps; a hit in the first half counts before one in the second.
@inline(__always)
private func scan(
    _ bytes: UnsafePointer<UInt8>, _ progress: inout GearCutter.Progress, to end: Int, below threshold: UInt64,
    _ gear: UnsafePointer<UInt64>
) -> Int? {
    let window = 64
    let half = (end - progress.position) / 2
    guard half > 8 * window else { return scanOne(bytes, &progress, to: end, below: threshold, gear) }
    let middle = progress.position + half
    var first = progress.hash
    var second: UInt64 = 0
    for position in middle - window..<middle { second = (second &<< 1) &+ gear[Int(bytes[position])] }
    var position = progress.position
    // Where the second half hit, while the first goes on to its end.
    var later: Int?
    while position < middle {
        first = (first &<< 1) &+ gear[Int(bytes[position])]
        second = (second &<< 1) &+ gear[Int(bytes[position &+ half])]
        position &+= 1
        if first < threshold { return position }
        if second < threshold {
            later = position &+ half
            break
        }
    }
    if let later {
        progress.hash = first
        progress.position = position
        return scanOne(bytes, &progress, to: middle, below: threshold, gear) ?? later
    }
    progress.hash = second
    progress.position = middle + half
    return scanOne(bytes, &progress, to: end, below: threshold, gear)
}

@inline(__always)
private func scanOne(
    _ bytes: UnsafePointer<UInt8>, _ progress: inout GearCutter.Progress, to end: Int, below threshold: UInt64,
    _ gear: UnsafePointer<UInt64>
) -> Int? {
    var hash = progress.hash
    var position = progress.position
    while position < end {
        hash = (hash &<< 1) &+ gear[Int(bytes[position])]
        position &+= 1
        if hash < threshold { return position }
    }
    progress.hash = hash
    progress.position = position
    return nil
}
