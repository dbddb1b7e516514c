internal import BackupFormat

/// Which paths are meant, as a tree of names: a path in it stands for itself and everything below.
final class RestoreSelection: Sendable {
    /// Nil: everything from here on.
    private let children: [RawPath: RestoreSelection]?

    /// Of absolute paths; none of them, or the root among them, means everything.
    convenience init(_ paths: [RawPath]) { self.init(paths.isEmpty ? [[]] : paths.map { $0.components[...] }) }

    private init(_ paths: [ArraySlice<RawPath>]) {
        if paths.contains(where: \.isEmpty) {
            children = nil
        } else {
            let groups = Dictionary(grouping: paths) { $0.first ?? "" }
            children = groups.mapValues { RestoreSelection($0.map { $0.dropFirst() }) }
        }
    }

    /// Everything below is meant.
    var isWhole: Bool { children == nil }

    /// What is meant below the entry of that name; nil when the entry is not meant at all.
    func child(_ name: UnsafeRawBufferPointer) -> RestoreSelection? {
        guard let children else { return self }
        return children[RawPath(bytes: Array(name))]
    }
}
