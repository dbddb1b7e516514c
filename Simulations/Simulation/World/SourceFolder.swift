package import BackupFormat
internal import Glibc

/// What a machine's owner works on: real files, so that backups and restores go through the real walk, and a record of what is in them.
package final class SourceFolder: @unchecked Sendable {
    // SAFETY: touched by the thread that has the turn alone.

    package let path: RawPath
    /// What is in the folder, by path below it.
    package private(set) var files: [String: [UInt8]] = [:]
    /// A folder in it that may be backed up by itself.
    static let setName = "d0"
    private let text: String
    private let turns: Turns
    private var changes: Int = 0

    init(_ text: String, _ turns: Turns) {
        self.text = text
        self.turns = turns
        path = RawPath(text)
        mkdir(text, 0o755)
    }

    /// Adds, changes, renames and removes some files.
    package func edit(_ choices: inout SplitMix64) {
        for _ in 0..<choices.within(1...4) {
            let known = files.keys.sorted()
            switch choices.below(10) {
            case 0 where !known.isEmpty:
                if let name = choices.pick(known) { remove(name) }
            case 1 where !known.isEmpty:
                guard let name = choices.pick(known), let bytes = files[name] else { continue }
                remove(name)
                write(SourceFolder.name(&choices), bytes)
            case 2, 3, 4:
                guard let name = choices.pick(known), var bytes = files[name] else { continue }
                if bytes.isEmpty || choices.isOne(in: 3) {
                    bytes += SourceFolder.content(&choices)
                } else {
                    bytes[choices.below(bytes.count)] ^= 0xff
                }
                write(name, bytes)
            default: write(SourceFolder.name(&choices), SourceFolder.content(&choices))
            }
        }
        touch(text)
    }

    private static func name(_ choices: inout SplitMix64) -> String {
        let name = "f\(choices.below(40))"
        return choices.isOne(in: 2) ? name : "d\(choices.below(3))/\(name)"
    }

    /// Mostly small; some of it repeats, so that there is something to deduplicate.
    private static func content(_ choices: inout SplitMix64) -> [UInt8] {
        let kinds = [0, 200, 600, 5000, 5000, 40_000]
        let count = choices.below((choices.pick(kinds) ?? 0) + 1)
        var source = choices.isOne(in: 3) ? SplitMix64(UInt64(choices.below(8))) : choices.branch()
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: source.next()) }
    }

    private func write(_ name: String, _ bytes: [UInt8]) {
        let full = "\(text)/\(name)"
        if let slash = full.lastIndex(of: "/") { mkdir(String(full[..<slash]), 0o755) }
        let descriptor = open(full, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        precondition(descriptor >= 0, "the simulation's own folder cannot be written to")
        let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        precondition(written == bytes.count)
        close(descriptor)
        files[name] = bytes
        touch(full)
        if let slash = full.lastIndex(of: "/") { touch(String(full[..<slash])) }
    }

    private func remove(_ name: String) {
        unlink("\(text)/\(name)")
        files[name] = nil
        if let slash = name.lastIndex(of: "/") { touch("\(text)/\(name[..<slash])") }
    }

    /// Gives a file a time that follows from the simulation's clock, and is like no other.
    private func touch(_ full: String) {
        changes += 1
        let moment = Turns.epoch + Int64(turns.now) + Int64(changes)
        let time = timespec(tv_sec: Int(moment / 1_000_000_000), tv_nsec: Int(moment % 1_000_000_000))
        _ = [time, time].withUnsafeBufferPointer { utimensat(AT_FDCWD, full, $0.baseAddress, 0) }
    }

    /// All files below a folder of the system, by path below it.
    package static func read(_ folder: String) -> [String: [UInt8]] {
        var found: [String: [UInt8]] = [:]
        func walk(_ below: String) {
            guard let directory = opendir("\(folder)/\(below)") else { return }
            defer { closedir(directory) }
            while let entry = readdir(directory) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                    pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name == "." || name == ".." { continue }
                let path = below.isEmpty ? name : "\(below)/\(name)"
                if entry.pointee.d_type == UInt8(DT_DIR) { walk(path) } else { found[path] = content("\(folder)/\(path)") }
            }
        }
        walk("")
        return found
    }

    private static func content(_ path: String) -> [UInt8] {
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return bytes }
            bytes += buffer[..<count]
        }
    }

    /// Removes a folder of the simulation's own with all that is in it.
    package static func removeAll(_ folder: String) {
        guard let directory = opendir(folder) else { return }
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name == "." || name == ".." { continue }
            let path = "\(folder)/\(name)"
            if entry.pointee.d_type == UInt8(DT_DIR) { removeAll(path) } else { unlink(path) }
        }
        closedir(directory)
        rmdir(folder)
    }
}
