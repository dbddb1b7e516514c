internal import Glibc

/// Paths below a folder of the real file system, at random: of what is there, and of what may come.
package struct RandomPaths: Sendable {
    private let root: String
    /// What entries are called.
    private let names: [String]

    package init(below root: String, names: [String]) {
        self.root = root
        self.names = names
    }

    package func name(_ choices: inout Choices) -> String { names[choices.below(names.count)] }

    /// Some folder, at most five levels down.
    package func folder(_ choices: inout Choices) -> String {
        var folder = root
        for _ in 0..<choices.below(5) {
            let inside = children(of: folder).filter { isFolder(folder + "/" + $0) }
            if inside.isEmpty { break }
            folder += "/" + inside[choices.below(inside.count)]
        }
        return folder
    }

    package func path(_ choices: inout Choices) -> String {
        let folder = folder(&choices)
        return folder + "/" + name(&choices)
    }

    /// Something that is there, if there is anything.
    package func entry(_ choices: inout Choices) -> String {
        let folder = folder(&choices)
        let inside = children(of: folder)
        return inside.isEmpty ? folder + "/" + name(&choices) : folder + "/" + inside[choices.below(inside.count)]
    }
}

/// The names in a folder, sorted; none if it cannot be read.
package func children(of folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var found: [String] = []
    while let entry = readdir(directory) {
        let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        if name != ".", name != ".." { found.append(name) }
    }
    return found.sorted()
}

/// Links are not followed.
package func isFolder(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
}
