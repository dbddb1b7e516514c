package import BackupFormat

/// What an index holds: which snapshots, and in which files.
///
/// Each snapshot stands on another that was there before (or on none): its paths are what that one had, with the changes of its own
/// ordinal. An ordinal is a place in `snapshots`.
package struct NameManifest: Hashable, Sendable {
    package struct Snapshot: Hashable, Sendable {
        package var id: SnapshotID
        /// The ordinal of the snapshot that this one's changes are told from.
        package var base: Int?
        /// All its folders could be read. Nothing stands on one that is not complete.
        package var isComplete: Bool
        /// It was given up: its ordinal means nothing any more.
        package var isDropped: Bool
        /// Device, host and paths: snapshots of one line follow each other.
        package var line: UInt64
        /// Device and host.
        package var machine: UInt64
        /// Nanoseconds since 1970.
        package var time: Int64
        /// When it was indexed, in seconds since 1970.
        package var indexed: Int64

        package init(
            id: SnapshotID, base: Int?, isComplete: Bool, isDropped: Bool = false, line: UInt64, machine: UInt64, time: Int64,
            indexed: Int64
        ) {
            self.id = id
            self.base = base
            self.isComplete = isComplete
            self.isDropped = isDropped
            self.line = line
            self.machine = machine
            self.time = time
            self.indexed = indexed
        }
    }

    struct File: Hashable, Sendable {
        var id: SegmentID
        var bytes: Int
        var entries: Int
    }

    package var snapshots: [Snapshot] = []
    var files: [File] = []

    package init() {}

    init(files: [File]) { self.files = files }

    package func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: 64 + snapshots.count * 80)
        writer.count(snapshots.count)
        for snapshot in snapshots {
            writer.bytes32(snapshot.id.value)
            writer.count(snapshot.base.map { $0 + 1 } ?? 0)
            writer.byte((snapshot.isComplete ? 1 : 0) | (snapshot.isDropped ? 2 : 0))
            writer.uint64(snapshot.line)
            writer.uint64(snapshot.machine)
            writer.signedVarint(snapshot.time)
            writer.signedVarint(snapshot.indexed)
        }
        writer.count(files.count)
        for file in files {
            file.id.encode(into: &writer)
            writer.count(file.bytes)
            writer.count(file.entries)
        }
        return writer.bytes
    }

    package init(decoding bytes: UnsafeRawBufferPointer) throws(FormatError) {
        var reader = ByteReader(bytes, "list of the name index")
        for ordinal in 0..<(try reader.count(limit: NameLimits.ordinalsMax)) {
            let id = SnapshotID(try reader.bytes32())
            let base = try reader.count(limit: ordinal)
            let marks = try reader.byte()
            guard marks < 4 else { throw reader.error(.unknown) }
            let line = try reader.uint64()
            let machine = try reader.uint64()
            snapshots.append(
                Snapshot(
                    id: id, base: base == 0 ? nil : base - 1, isComplete: marks & 1 != 0, isDropped: marks & 2 != 0, line: line,
                    machine: machine, time: try reader.signedVarint(), indexed: try reader.signedVarint()))
        }
        for _ in 0..<(try reader.count(limit: NameLimits.segmentsMax)) {
            let id = try SegmentID(decoding: &reader)
            files.append(File(id: id, bytes: try reader.count(limit: Int.max), entries: try reader.count(limit: Int.max)))
        }
        guard Set(files.map(\.id)).count == files.count else { throw reader.error(.inconsistent) }
        try reader.end()
    }
}

/// Tells in which snapshots a path was in which state.
package struct NameHistory: Sendable {
    private let bases: [Int]
    /// Whether the snapshot of an ordinal is still there.
    let isLive: [Bool]
    /// For an ordinal, the live snapshots that stand on it, or are it, with no live one between.
    private let frontier: [[UInt32]]
    /// The ordinal of the nearest live snapshot below each; -1 for none.
    private let liveBases: [Int]

    init(_ manifest: NameManifest, live: Set<SnapshotID>) {
        let snapshots = manifest.snapshots
        bases = snapshots.map { $0.base ?? -1 }
        isLive = snapshots.map { !$0.isDropped && live.contains($0.id) }
        var liveBases = [Int](repeating: -1, count: snapshots.count)
        var frontier = [[UInt32]](repeating: [], count: snapshots.count)
        for ordinal in snapshots.indices {
            let base = bases[ordinal]
            if base >= 0 { liveBases[ordinal] = isLive[base] ? base : liveBases[base] }
            guard isLive[ordinal] else { continue }
            frontier[ordinal] = [UInt32(ordinal)]
            var below = base
            while below >= 0, !isLive[below] {
                frontier[below].append(UInt32(ordinal))
                below = bases[below]
            }
        }
        self.liveBases = liveBases
        self.frontier = frontier
    }

    /// The state in each snapshot, by ordinal, of a path with these changes, which rise by ordinal.
    func states(_ changes: [NameChange]) -> [NameState?] {
        var states = [NameState?](repeating: nil, count: bases.count)
        var next = 0
        for ordinal in bases.indices {
            while next < changes.count, changes[next].ordinal < ordinal { next += 1 }
            if next < changes.count, changes[next].ordinal == ordinal {
                states[ordinal] = changes[next].state
            } else if bases[ordinal] >= 0 {
                states[ordinal] = states[bases[ordinal]]
            }
        }
        return states
    }

    /// The same changes told from live snapshots alone, by ordinals that count these alone: see ``renumbered``.
    func pruned(_ changes: [NameChange], _ numbers: [Int], into result: inout [NameChange]) {
        result.removeAll(keepingCapacity: true)
        if changes.count == 1, let change = changes.first {
            guard change.state != nil, Int(change.ordinal) < frontier.count else { return }
            for ordinal in frontier[Int(change.ordinal)] {
                result.append(NameChange(ordinal: UInt32(numbers[Int(ordinal)]), state: change.state))
            }
            return
        }
        let states = states(changes)
        for ordinal in bases.indices where isLive[ordinal] {
            let before = liveBases[ordinal] < 0 ? nil : states[liveBases[ordinal]]
            if states[ordinal] != before {
                result.append(NameChange(ordinal: UInt32(numbers[ordinal]), state: states[ordinal]))
            }
        }
    }

    /// The list of live snapshots alone, and the new ordinal of each old one (-1 for those that go).
    func renumbered(_ manifest: NameManifest) -> (snapshots: [NameManifest.Snapshot], numbers: [Int]) {
        var numbers = [Int](repeating: -1, count: bases.count)
        var snapshots: [NameManifest.Snapshot] = []
        for ordinal in bases.indices where isLive[ordinal] {
            numbers[ordinal] = snapshots.count
            var snapshot = manifest.snapshots[ordinal]
            snapshot.base = liveBases[ordinal] < 0 ? nil : numbers[liveBases[ordinal]]
            snapshots.append(snapshot)
        }
        return (snapshots, numbers)
    }

    /// For each ordinal, whether a change there counts in the snapshot of `ordinal`: whether that is it, or stands on it.
    func ancestry(of ordinal: Int) -> [Bool] {
        var result = [Bool](repeating: false, count: bases.count)
        var below = ordinal
        while below >= 0 {
            result[below] = true
            below = bases[below]
        }
        return result
    }
}
