internal import BackupFormat

/// Which paths below a folder a backup takes: the folders on the way to what was asked for, and all of what was asked for.
final class PathSelection: Sendable {
    private let children: [RawPath: PathSelection?]

    private init(children: [RawPath: PathSelection?]) { self.children = children }

    /// The selection at `/` for these absolute paths; nil where `/` itself is among them, which means everything.
    static func root(_ paths: [RawPath]) -> PathSelection? { make(paths.map { $0.components[...] }) }

    /// Just these names.
    static func names(_ names: [RawPath]) -> PathSelection {
        PathSelection(children: Dictionary(uniqueKeysWithValues: names.map { ($0, nil) }))
    }

    private static func make(_ paths: [ArraySlice<RawPath>]) -> PathSelection? {
        var byName: [RawPath: [ArraySlice<RawPath>]] = [:]
        for path in paths {
            guard let first = path.first else { return nil }
            byName[first, default: []].append(path.dropFirst())
        }
        return PathSelection(children: byName.mapValues { make($0) })
    }

    /// The names to look at, in byte order.
    var names: [RawPath] { children.keys.sorted() }

    /// What to take inside the child of that name; nil for everything.
    func child(_ name: RawPath) -> PathSelection? { children[name] ?? nil }
}
