internal import BackupFormat

/// Which paths are meant, as a tree of names: a path in it stands for itself and everything below.
struct PathSelection: Sendable {
    /// A path that was named, or a folder on the way to one.
    private final class Node: Sendable {
        let isNamed: Bool
        let children: [RawPath: Node]

        init(_ paths: [ArraySlice<RawPath>]) {
            isNamed = paths.contains(where: \.isEmpty)
            let inner = paths.filter { !$0.isEmpty }
            children = Dictionary(grouping: inner) { $0.first ?? "" }.mapValues { Node($0.map { $0.dropFirst() }) }
        }
    }

    private let node: Node?
    /// Everything from here on is meant.
    let isWhole: Bool

    static let everything = PathSelection(node: nil, isWhole: true)

    /// Of absolute paths; none of them means nothing.
    init(_ paths: [RawPath]) {
        let root = Node(paths.map { $0.components[...] })
        self.init(node: root, isWhole: root.isNamed)
    }

    private init(node: Node?, isWhole: Bool) {
        self.node = node
        self.isWhole = isWhole
    }

    /// This very path was named.
    var isNamed: Bool { node?.isNamed ?? false }

    /// The names here that lead to what was named, in byte order.
    var names: [RawPath] { node?.children.keys.sorted() ?? [] }

    /// Whether that name is one of ``names``.
    func leads(to name: UnsafeRawBufferPointer) -> Bool {
        guard let node, !node.children.isEmpty else { return false }
        return node.children[RawPath(bytes: Array(name))] != nil
    }

    /// What is meant of the entry of that name; nil when that is nothing.
    func child(_ name: UnsafeRawBufferPointer) -> PathSelection? {
        guard let node, !node.children.isEmpty, let child = node.children[RawPath(bytes: Array(name))] else {
            return isWhole ? .everything : nil
        }
        return PathSelection(node: child, isWhole: isWhole || child.isNamed)
    }

    /// Only what was named below this path, not what is meant just because this path is; nil when that is nothing.
    var onlyNamedBelow: PathSelection? {
        guard let node, !node.children.isEmpty else { return nil }
        return PathSelection(node: node, isWhole: false)
    }
}
