internal import BackupFormat
internal import Glibc

/// The device and the cache of a ``SimulatedDisk``.
struct SimulatedDiskState: Sendable {
    struct Node: Sendable {
        var isDirectory: Bool
        var bytes: [UInt8] = []
        var durableBytes: [UInt8] = []
        var pending: [Write] = []
        /// A sync failed: what had been written until then is in the cache alone, and no later sync takes it to the device.
        var hasLostWrites = false
        var entries: [RawPath: Int] = [:] {
            didSet { names = nil }
        }
        /// Those of the entries, in order, once somebody has asked.
        var names: [RawPath]?
        var durableEntries: [RawPath: Int] = [:]
        var modifiedSeconds: Int64
        /// How often it was written to.
        var writes: UInt64 = 0
        /// Names it has, those that are durable, and open files: without any its bytes are gone.
        var nameCount = 0
        var durableNameCount = 0
        var handles = 0
    }

    enum Write: Sendable {
        case bytes(Int, [UInt8])
        case size(Int)
    }

    /// One name in one directory.
    struct Place: Hashable, Sendable {
        let directory: Int
        let name: RawPath
    }

    /// A change of names that is not durable yet: these places, in one step, hold these nodes, or nothing.
    struct Change: Sendable {
        let places: [(place: Place, node: Int?)]
    }

    var nodes: [Node] = [Node(isDirectory: true, modifiedSeconds: 0)]
    var changes: [Change] = []
    var faults = SimulatedDisk.Faults()
    var operations = 0
    var log: [String] = []
    var now: Int64 = 0
    var epoch = 0
    /// How often decay changed something.
    var damages = 0
    /// Where directories were found, until one of them goes elsewhere.
    private var directories: [RawPath: Int] = [:]
    /// The one that was asked for last: mostly it is the next one too.
    private var last: (path: [UInt8], node: Int)?
    /// Directories that somebody has taken.
    var locked: Set<Int> = []
    var hasCrashed = false
    private let keepsLog: Bool
    private var random: SplitMix
    /// Of all files that have a name, or had one that is still durable.
    var usedBytes = 0

    init(keepsLog: Bool, seed: UInt64) {
        self.keepsLog = keepsLog
        random = SplitMix(state: seed)
    }

    mutating func cutPower() { hasCrashed = true }

    mutating func setBytes(of node: Int, _ bytes: [UInt8]) {
        usedBytes += bytes.count - nodes[node].bytes.count
        nodes[node].bytes = bytes
    }

    func requirePower() throws(HostFilesError) {
        if hasCrashed { throw HostFilesError(.io, "use the disk", detail: "the power is off") }
    }

    /// Counts an operation, and fails it where the faults say so. `path` is asked for where it is told.
    private mutating func begin(
        _ what: String, _ path: @autoclosure () -> RawPath, needsSpace: Bool = false
    ) throws(HostFilesError) {
        let number = operations
        if number == faults.crashAtOperation {
            hasCrashed = true
            try requirePower()
        }
        operations += 1
        if keepsLog { log.append("\(what) \(path())") }
        if let oneIn = faults.errorOneIn, random.next() % UInt64(oneIn) == 0 {
            throw HostFilesError(.io, what, path: path(), detail: "the disk says so")
        }
        if needsSpace, let full = faults.fullFromOperation, number >= full {
            throw HostFilesError(.noSpace, what, path: path())
        }
    }

    var freeBytes: Int {
        guard let capacity = faults.capacityBytes else { return Int.max }
        return max(0, capacity - usedBytes)
    }

    // MARK: Names

    mutating func lookUp(_ path: RawPath, _ what: String) throws(HostFilesError) -> Int? {
        guard let slash = SimulatedDiskState.lastSlash(path) else { return try walk(path, what) }
        guard let directory = try directory(of: path, slash, what) else { return nil }
        return nodes[directory].entries[RawPath(bytes: Array(path.bytes[(slash + 1)...]))]
    }

    /// The slash before the last name; nil where there is none, or the name is none.
    private static func lastSlash(_ path: RawPath) -> Int? {
        guard let slash = path.bytes.lastIndex(of: 0x2f), slash + 1 < path.bytes.count else { return nil }
        return path.bytes.count == slash + 2 && path.bytes[slash + 1] == 0x2e ? nil : slash
    }

    /// The directory that the path names before that slash; nil where there is none.
    private mutating func directory(of path: RawPath, _ slash: Int, _ what: String) throws(HostFilesError) -> Int? {
        if let last, last.path.count == slash, path.bytes.isSame(as: last.path, upTo: slash) { return last.node }
        let parent = RawPath(bytes: Array(path.bytes[..<slash]))
        var directory = directories[parent]
        if directory == nil {
            directory = try walk(parent, what)
            if let directory, nodes[directory].isDirectory { directories[parent] = directory }
        }
        guard let directory else { return nil }
        guard nodes[directory].isDirectory else { throw HostFilesError(.notADirectory, what, path: path) }
        last = (parent.bytes, directory)
        return directory
    }

    mutating func forgetDirectories() {
        directories = [:]
        last = nil
    }

    func walk(_ path: RawPath, _ what: String) throws(HostFilesError) -> Int? {
        var node = 0
        for name in path.components where name != "." {
            guard nodes[node].isDirectory else { throw HostFilesError(.notADirectory, what, path: path) }
            guard let next = nodes[node].entries[name] else { return nil }
            node = next
        }
        return node
    }

    @discardableResult
    mutating func directory(_ path: RawPath, _ what: String) throws(HostFilesError) -> Int {
        guard let node = try lookUp(path, what) else { throw HostFilesError(.notFound, what, path: path) }
        guard nodes[node].isDirectory else { throw HostFilesError(.notADirectory, what, path: path) }
        return node
    }

    mutating func file(_ path: RawPath, _ what: String) throws(HostFilesError) -> Int {
        guard let node = try lookUp(path, what) else { throw HostFilesError(.notFound, what, path: path) }
        return node
    }

    mutating func names(_ path: RawPath) throws(HostFilesError) -> [RawPath] {
        let node = try directory(path, "list")
        if let known = nodes[node].names { return known }
        let names = nodes[node].entries.keys.sorted()
        nodes[node].names = names
        return names
    }

    private mutating func place(_ path: RawPath, _ what: String) throws(HostFilesError) -> Place {
        guard let slash = SimulatedDiskState.lastSlash(path), slash > 0 else {
            return Place(directory: try directory(path.parent, what), name: path.components.last ?? "")
        }
        guard let directory = try directory(of: path, slash, what) else {
            throw HostFilesError(.notFound, what, path: path.parent)
        }
        return Place(directory: directory, name: RawPath(bytes: Array(path.bytes[(slash + 1)...])))
    }

    private mutating func change(_ places: [(place: Place, node: Int?)]) {
        for (place, node) in places {
            let before = nodes[place.directory].entries[place.name]
            if let before, nodes[before].isDirectory { forgetDirectories() }
            nodes[place.directory].entries[place.name] = node
            nodes[place.directory].modifiedSeconds = now
            if let node { nodes[node].nameCount += 1 }
            if let before { nodes[before].nameCount -= 1 }
        }
        changes.append(Change(places: places))
    }

    mutating func add(_ path: RawPath, isDirectory: Bool, _ what: String) throws(HostFilesError) -> Int {
        try begin(what, path, needsSpace: true)
        if freeBytes == 0 { throw HostFilesError(.noSpace, what, path: path) }
        let place = try place(path, what)
        guard nodes[place.directory].entries[place.name] == nil else { throw HostFilesError(.exists, what, path: path) }
        nodes.append(Node(isDirectory: isDirectory, modifiedSeconds: now))
        change([(place, nodes.count - 1)])
        return nodes.count - 1
    }

    mutating func remove(_ path: RawPath, isDirectory: Bool, _ what: String) throws(HostFilesError) {
        try begin(what, path)
        let place = try place(path, what)
        guard let node = nodes[place.directory].entries[place.name] else { throw HostFilesError(.notFound, what, path: path) }
        guard nodes[node].isDirectory == isDirectory else {
            throw HostFilesError(isDirectory ? .notADirectory : .isADirectory, what, path: path)
        }
        guard nodes[node].entries.isEmpty else { throw HostFilesError(.notEmpty, what, path: path) }
        change([(place, nil)])
        release(node)
    }

    mutating func rename(_ from: RawPath, _ to: RawPath) throws(HostFilesError) {
        try begin("rename", RawPath("\(from) to \(to)"), needsSpace: true)
        let source = try place(from, "rename")
        let target = try place(to, "rename")
        guard let node = nodes[source.directory].entries[source.name] else {
            throw HostFilesError(.notFound, "rename", path: from)
        }
        guard source != target else { return }
        change([(source, nil), (target, node)])
    }

    mutating func exchange(_ a: RawPath, _ b: RawPath) throws(HostFilesError) {
        try begin("swap the names of", RawPath("\(a) and \(b)"), needsSpace: false)
        let first = try place(a, "swap the names of")
        let second = try place(b, "swap the names of")
        guard let node = nodes[first.directory].entries[first.name] else {
            throw HostFilesError(.notFound, "swap the names of", path: a)
        }
        guard let other = nodes[second.directory].entries[second.name] else {
            throw HostFilesError(.notFound, "swap the names of", path: b)
        }
        change([(first, other), (second, node)])
    }

    /// Gives back the space of a file that nobody can reach any more.
    mutating func release(_ node: Int) {
        guard nodes[node].nameCount <= 0, nodes[node].durableNameCount <= 0, nodes[node].handles <= 0 else { return }
        setBytes(of: node, [])
        nodes[node].durableBytes = []
        nodes[node].pending = []
    }

    /// Makes the changes that touch this directory durable, and those that they follow on.
    mutating func syncDirectory(_ path: RawPath) throws(HostFilesError) {
        try begin("sync the folder", path, needsSpace: false)
        let directory = try directory(path, "sync the folder")
        guard !changes.isEmpty else { return }
        var needed: Set<Place> = []
        // To hash a name takes longer than all else here.
        var neededDirectories: Set<Int> = []
        var keep: [Change] = []
        var apply: [Change] = []
        for change in changes.reversed() {
            let touches = change.places.contains { entry in
                entry.place.directory == directory
                    || neededDirectories.contains(entry.place.directory) && needed.contains(entry.place)
            }
            if touches {
                for (place, _) in change.places where place.directory != directory {
                    needed.insert(place)
                    neededDirectories.insert(place.directory)
                }
                apply.append(change)
            } else {
                keep.append(change)
            }
        }
        for change in apply.reversed() { makeDurable(change) }
        changes = keep.reversed()
    }

    mutating func makeDurable(_ change: Change) {
        var lessened: [Int] = []
        for (place, node) in change.places {
            let before = nodes[place.directory].durableEntries[place.name]
            nodes[place.directory].durableEntries[place.name] = node
            if let node { nodes[node].durableNameCount += 1 }
            guard let before else { continue }
            nodes[before].durableNameCount -= 1
            lessened.append(before)
        }
        // A file that is renamed has no name in between.
        for node in lessened { release(node) }
    }

    // MARK: Bytes

    func status(_ node: Int) -> DiskStatus {
        DiskStatus(
            size: nodes[node].bytes.count, modifiedSeconds: nodes[node].modifiedSeconds, isDirectory: nodes[node].isDirectory,
            changeMark: UInt64(epoch) << 56 ^ UInt64(node) << 24 ^ nodes[node].writes)
    }

    mutating func write(_ node: Int, _ path: RawPath, _ offset: Int, _ bytes: [UInt8]) throws(HostFilesError) {
        try begin("write", path, needsSpace: true)
        let growth = max(0, offset + bytes.count - nodes[node].bytes.count)
        var fitting = bytes
        if growth > freeBytes { fitting = Array(bytes.prefix(max(0, bytes.count - growth + freeBytes))) }
        let before = nodes[node].bytes.count
        SimulatedDiskState.apply(.bytes(offset, fitting), to: &nodes[node].bytes)
        usedBytes += nodes[node].bytes.count - before
        nodes[node].pending.append(.bytes(offset, fitting))
        nodes[node].writes += 1
        nodes[node].modifiedSeconds = now
        if fitting.count < bytes.count { throw HostFilesError(.noSpace, "write", path: path) }
    }

    mutating func truncate(_ node: Int, _ path: RawPath, _ size: Int) throws(HostFilesError) {
        try begin("set the size of", path, needsSpace: true)
        let before = nodes[node].bytes.count
        SimulatedDiskState.apply(.size(size), to: &nodes[node].bytes)
        usedBytes += nodes[node].bytes.count - before
        nodes[node].pending.append(.size(size))
        nodes[node].writes += 1
        nodes[node].modifiedSeconds = now
    }

    mutating func sync(_ node: Int, _ path: RawPath) throws(HostFilesError) {
        do { try begin("sync", path) } catch {
            if !hasCrashed, !nodes[node].pending.isEmpty {
                nodes[node].pending = []
                nodes[node].hasLostWrites = true
            }
            throw error
        }
        if nodes[node].hasLostWrites {
            for write in nodes[node].pending { SimulatedDiskState.apply(write, to: &nodes[node].durableBytes) }
        } else {
            nodes[node].durableBytes = nodes[node].bytes
        }
        nodes[node].pending = []
    }

    static func apply(_ write: Write, to bytes: inout [UInt8]) {
        switch write {
        case .bytes(let offset, let new):
            if bytes.count == offset { return bytes += new }
            if bytes.count < offset + new.count { bytes += [UInt8](repeating: 0, count: offset + new.count - bytes.count) }
            bytes.replaceSubrange(offset..<offset + new.count, with: new)
        case .size(let size):
            if size < bytes.count { bytes.removeLast(bytes.count - size) }
            bytes += [UInt8](repeating: 0, count: size - bytes.count)
        }
    }
}

extension [UInt8] {
    /// Whether both begin with the same bytes, which both have.
    fileprivate func isSame(as other: [UInt8], upTo count: Int) -> Bool {
        withUnsafeBytes { mine in
            other.withUnsafeBytes { theirs in
                guard let a = mine.baseAddress, let b = theirs.baseAddress else { return count == 0 }
                return memcmp(a, b, count) == 0
            }
        }
    }
}

/// A small generator of choices, the same for the same seed (Steele, Lea, Flood: SplitMix64).
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
