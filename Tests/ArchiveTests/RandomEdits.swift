import BackupFormat
import CLinux
import Glibc
import TestSupport

/// A folder that is changed at random, in all ways that a file system knows.
final class RandomEdits: @unchecked Sendable {
    // SAFETY: used by one thread at a time.
    let source: String
    /// Beside the source, on the same file system.
    let outside: String
    private var choices: Choices
    /// Whether files get several names: one that is left out of backups may change a file unseen.
    private let links: Bool
    private let paths: RandomPaths

    init(_ folder: TestFolder, seed: UInt64, links: Bool = true) {
        self.links = links
        source = folder.path + "/s"
        outside = folder.path + "/o"
        paths = RandomPaths(below: source, names: ["a", "b", "c", "x1", "x2", "e\u{301}", "long name with spaces", "d"])
        folder.makeFolder("o")
        choices = Choices(seed: seed)
        mkdir(source, 0o755)
    }

    private var name: String { paths.name(&choices) }

    private func someFolder() -> String { paths.folder(&choices) }
    private func somePath() -> String { paths.path(&choices) }
    private func someEntry() -> String { paths.entry(&choices) }

    private func write(_ path: String, _ flags: Int32, _ bytes: Int) {
        let file = open(path, O_WRONLY | O_NOFOLLOW | flags, 0o644)
        guard file >= 0 else { return }
        defer { close(file) }
        let content = noise(bytes, choices.next())
        _ = content.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
    }

    func edit() {
        switch choices.below(20) {
        case 0, 1: write(somePath(), O_CREAT, choices.below(900))
        case 2: write(someEntry(), O_TRUNC, choices.below(2000))
        case 3: write(someEntry(), O_APPEND, choices.below(300))
        case 4: truncate(someEntry(), Int(choices.below(1500)))
        case 5, 6: rename(someEntry(), somePath())
        case 7:
            let (from, to) = (Array(someFolder().utf8), Array((choices.below(2) == 0 ? someEntry() : somePath()).utf8))
            let flags = choices.below(2) == 0 ? linux_RENAME_EXCHANGE : 0
            if from.count > source.utf8.count {
                _ = linux_renameat2(linux_AT_FDCWD, from, from.count, linux_AT_FDCWD, to, to.count, flags)
            }
        case 8: if links { link(someEntry(), somePath()) }
        case 9, 10: unlink(someEntry())
        case 11: chmod(someEntry(), [0o700, 0o755, 0o644, 0o600][choices.below(4)])
        case 12:
            let (entry, key, value) = (Array(someEntry().utf8), Array("user.note".utf8), choices.bytes(8))
            _ = linux_setxattrat(linux_AT_FDCWD, entry, entry.count, key, key.count, value, value.count)
        case 13, 14: mkdir(somePath(), 0o755)
        case 15: removeTree(someEntry())
        case 16: symlink("to \(choices.below(100))", somePath())
        case 17:
            let when = timespec(tv_sec: 1_500_000_000 + choices.below(1000), tv_nsec: choices.below(1000))
            utimensat(AT_FDCWD, someEntry(), [when, when], AT_SYMLINK_NOFOLLOW)
        case 18: moveThroughOutside()
        default: choices.below(3) == 0 ? write(somePath(), O_CREAT | O_TRUNC, 600_000) : map(someEntry())
        }
    }

    /// Out of sight and back, changed meanwhile.
    private func moveThroughOutside() {
        let inside = someEntry()
        let away = outside + "/\(choices.below(4))"
        if choices.below(2) == 0 { rename(inside, away) } else { rename(away, somePath()) }
        write(away + "/" + name, O_CREAT, 100)
        write(away, 0, 50)
        if choices.below(2) == 0 { rename(away, inside) }
    }

    /// By way of memory, with the descriptor closed before.
    private func map(_ path: String) {
        let file = open(path, O_RDWR | O_NOFOLLOW)
        guard file >= 0 else { return }
        var status = stat()
        fstat(file, &status)
        guard status.st_size > 0, let memory = mmap(nil, Int(status.st_size), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0),
            memory != MAP_FAILED
        else {
            close(file)
            return
        }
        close(file)
        memory.storeBytes(of: UInt8(truncatingIfNeeded: choices.next()), as: UInt8.self)
        munmap(memory, Int(status.st_size))
    }
}
