package import BackupFormat

/// Small content that must not be lost: two protected files side by side, `X` and `X.copy`. What is lost in one comes from the other.
///
/// Where both are whole and differ, as after a crash in the middle of writing, `X` counts. Reading needs no lock; writers and those
/// who mend must agree on one.
package struct TwiceKeptFile: Sendable {
    /// What was found wrong with one of the two, and whether it was mended.
    package struct Fault: Sendable, Equatable {
        package var path: RawPath
        package var message: String
        package var isMended: Bool
    }

    private let disk: any Disk
    private let limitBytes: Int
    /// The two files: `X` and `X.copy`.
    package let copies: [RawPath]

    /// `path` is that of `X`; content of more than `limitBytes` is taken for damage.
    package init(_ disk: any Disk, _ path: RawPath, limitBytes: Int) {
        self.disk = disk
        self.limitBytes = limitBytes
        copies = [path, RawPath(bytes: path.bytes + ".copy".utf8)]
    }

    /// What the content stands for; nil if both files are missing. Throws `damaged` when nothing whole is left.
    ///
    /// Adds what is wrong to `faults`, and writes anew what is missing, damaged or different, where `mending` is asked for and the disk
    /// lets it. `decode` tells whether content is right; a file that cannot be read for want of a permission, of descriptors or of a
    /// disk that answers counts as no damage, and throws.
    package func read<Value>(
        mending: Bool, faults: inout [Fault], decode: ([UInt8]) throws(FormatError) -> Value
    ) throws(HostFilesError) -> Value? {
        var good: (value: Value, bytes: [UInt8])?
        var wrong: [(path: RawPath, message: String)] = []
        for path in copies {
            do throws(HostFilesError) {
                let bytes = try ProtectedFile.content(disk, path, limit: limitBytes)
                if let good {
                    guard good.bytes == bytes else {
                        wrong.append((path, "differs from the other copy"))
                        continue
                    }
                } else {
                    do throws(FormatError) { good = (try decode(bytes), bytes) } catch {
                        wrong.append((path, "is damaged"))
                        continue
                    }
                }
                if try ProtectedFile.open(disk, path).scrub(repair: false).wasDamaged { wrong.append((path, "is damaged")) }
            } catch {
                switch error.code {
                case .notFound: wrong.append((path, "is missing"))
                case .damaged, .io: wrong.append((path, "is damaged"))
                default: throw error
                }
            }
        }
        guard let good else {
            if wrong.allSatisfy({ $0.message == "is missing" }) { return nil }
            throw HostFilesError(.damaged, "read", path: copies[0], detail: "and so is its copy, or that is missing")
        }
        for (path, message) in wrong {
            let isMended = mending && (try? disk.replaceProtectedFile(path, with: good.bytes)) != nil
            faults.append(Fault(path: path, message: message, isMended: isMended))
        }
        return good.value
    }

    /// Writes both anew, durable once this returns; until then each is whole, as it was or as it will be.
    ///
    /// Both are written beside their places before the first takes its own, so that a full disk leaves all as it was.
    package func write(_ content: [UInt8]) throws(HostFilesError) {
        let staged = copies.map(stagedPath)
        do throws(HostFilesError) {
            for path in staged { try ProtectedFile.write(content, disk, path) }
            for (from, path) in zip(staged, copies) { try disk.rename(from, to: path) }
        } catch {
            for path in staged { try? disk.unlink(path) }
            throw error
        }
        try disk.syncDirectory(copies[0].parent)
    }

    /// Writes both where there are none yet. Their names are not durable yet.
    package func writeNew(_ content: [UInt8]) throws(HostFilesError) {
        for path in copies { try ProtectedFile.write(content, disk, path) }
    }

    /// Removes what writers left that were cut off. Nobody may be writing.
    package func removeLeftovers() throws(HostFilesError) {
        let folder = copies[0].parent
        let beginnings = copies.compactMap { $0.components.last.map { $0.bytes + stagingMark } }
        for name in try disk.list(folder) where beginnings.contains(where: { name.bytes.starts(with: $0) }) {
            try disk.unlink(folder.appending(name))
        }
    }
}

extension Disk {
    /// Writes a whole file under parity, durable under its name once this returns; until then the old one stays.
    package func replaceProtectedFile(_ path: RawPath, with content: [UInt8]) throws(HostFilesError) {
        let staged = stagedPath(path)
        do throws(HostFilesError) {
            try ProtectedFile.write(content, self, staged)
            try rename(staged, to: path)
        } catch {
            try? unlink(staged)
            throw error
        }
        try syncDirectory(path.parent)
    }
}

private let stagingMark = Array(".new-".utf8)

/// A name beside `path` that nobody else uses.
private func stagedPath(_ path: RawPath) -> RawPath {
    var random = RandomNumbers()
    return RawPath(bytes: path.bytes + stagingMark + String(random.next(), radix: 16).utf8)
}
