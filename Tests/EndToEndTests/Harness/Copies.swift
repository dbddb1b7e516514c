import Foundation

/// All regular files below a folder, content and all, to be put back after each experiment.
struct FolderCopy {
    let root: String
    private(set) var files: [String: Data] = [:]
    private let folders: [String]

    init(of root: String) throws {
        self.root = root
        var folders: [String] = []
        guard let walk = FileManager.default.enumerator(atPath: root) else { throw TestFailure("no folder \(root)") }
        for case let name as String in walk {
            var isFolder: ObjCBool = false
            _ = FileManager.default.fileExists(atPath: root + "/" + name, isDirectory: &isFolder)
            if isFolder.boolValue {
                folders.append(name)
            } else {
                files[name] = try Data(contentsOf: URL(fileURLWithPath: root + "/" + name))
            }
        }
        self.folders = folders
    }

    /// Makes the folder just what it was.
    func putBack() throws {
        try FileManager.default.removeItem(atPath: root)
        let mode: [FileAttributeKey: Any] = [.posixPermissions: 0o700]
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true, attributes: mode)
        for folder in folders {
            try FileManager.default.createDirectory(
                atPath: root + "/" + folder, withIntermediateDirectories: true, attributes: mode)
        }
        for (name, content) in files {
            let path = root + "/" + name
            guard FileManager.default.createFile(atPath: path, contents: content, attributes: [.posixPermissions: 0o600]) else {
                throw TestFailure("cannot put back \(path)")
            }
        }
    }

    /// Names of files that are not as they were, of those whose names begin with one of the prefixes.
    func changedFiles(below prefixes: [String]) -> [String] {
        files.keys.sorted().filter { name in
            guard prefixes.contains(where: { name.hasPrefix($0) }) else { return false }
            return (try? Data(contentsOf: URL(fileURLWithPath: root + "/" + name))) != files[name]
        }
    }
}
