internal import Archive
package import BackupFormat
internal import Glibc

/// What the process was started with, as bytes: taken once, so that all else is a function of it.
package struct Environment: Sendable {
    private var values: [String: [UInt8]]
    package var userID: UInt32
    /// Where relative paths start.
    package var workingDirectory: RawPath

    package init(values: [String: [UInt8]], userID: UInt32, workingDirectory: RawPath) {
        self.values = values
        self.userID = userID
        self.workingDirectory = workingDirectory
    }

    /// That of this process.
    package static func current() -> Environment {
        var values: [String: [UInt8]] = [:]
        for name in [
            "BAKARE_HOME", "HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "STATE_DIRECTORY", "CONFIGURATION_DIRECTORY",
            "NOTIFY_SOCKET",
            "TMPDIR",
        ] {
            if let value = getenv(name) { values[name] = bytes(value) }
        }
        var buffer = [CChar](repeating: 0, count: 1 << 16)
        let directory = buffer.withUnsafeMutableBufferPointer { getcwd($0.baseAddress, $0.count) == nil ? nil : $0.baseAddress }
        return Environment(
            values: values, userID: geteuid(),
            workingDirectory: RawPath(bytes: directory.map { bytes($0) } ?? [UInt8(ascii: "/")]))
    }

    /// A variable that is set to something.
    package subscript(name: String) -> RawPath? {
        guard let value = values[name], !value.isEmpty else { return nil }
        return RawPath(bytes: value)
    }

    /// `path` as an absolute one, without `.`, empty and trailing parts, `..` taken back by name alone.
    package func absolute(_ path: RawPath) -> RawPath {
        let isAbsolute = path.bytes.first == UInt8(ascii: "/")
        var parts = isAbsolute ? [] : workingDirectory.components
        for part in path.components where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return RawPath(bytes: [UInt8(ascii: "/")] + Array(parts.map(\.bytes).joined(separator: [UInt8(ascii: "/")])))
    }

    /// The same for a path on this machine, where `..` after a link leads to where the link's target lies.
    package func existing(_ path: RawPath) -> RawPath {
        let parts = path.components
        guard let last = parts.lastIndex(of: ".."), last > 0 else { return absolute(path) }
        let top: RawPath = path.bytes.first == UInt8(ascii: "/") ? "/" : workingDirectory
        let prefix = parts[...last].reduce(top) { $0.appending($1) }
        let resolved = (prefix.bytes + [0]).withUnsafeBytes { path in
            path.bindMemory(to: CChar.self).baseAddress.flatMap { realpath($0, nil) }
        }
        guard let resolved else { return absolute(path) }
        defer { free(resolved) }
        return absolute(parts[(last + 1)...].reduce(RawPath(bytes: Environment.bytes(resolved))) { $0.appending($1) })
    }

    private static func bytes(_ text: UnsafePointer<CChar>) -> [UInt8] {
        UnsafeBufferPointer(start: text, count: strlen(text)).map { UInt8(bitPattern: $0) }
    }
}

extension FileIdentity {
    /// Nil if there is nothing at `path`.
    init?(_ path: RawPath) {
        var status = stat()
        let found = (path.bytes + [0]).withUnsafeBytes { path in
            path.bindMemory(to: CChar.self).baseAddress.map { stat($0, &status) } == 0
        }
        guard found else { return nil }
        self.init(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
    }
}

extension RawPath {
    /// The path, with a leading `~/` as the user's home folder.
    init(expandingHome text: String) {
        self.init(text)
        if text == "~" || text.hasPrefix("~/"), let home = getenv("HOME") {
            let home = UnsafeBufferPointer(start: home, count: strlen(home)).map { UInt8(bitPattern: $0) }
            bytes = home + bytes.dropFirst()
        }
    }
}

/// The machine's name.
package func machineName() -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    guard gethostname(&buffer, buffer.count - 1) == 0 else { return "unknown" }
    let name = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return name.isEmpty ? "unknown" : name
}

/// How many processors this process may use.
func processorCount() -> Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }
