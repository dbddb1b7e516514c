import BackupFormat
import CLinux
import Glibc
import HostFiles
import TestSupport

/// A folder that is changed step by step, and a watch on it without a kernel: each change puts into a queue what fanotify would tell of
/// it, by the folder's number, and whoever reads finds out where that folder is by then.
///
/// The queue is as hard on its reader as the kernel's may be: equal events become one, two that follow each other change places, reading
/// gives a part of what waits, and what finds no room is lost, of which an event tells.
final class SimulatedSource: FolderWatch, @unchecked Sendable {
    // SAFETY: used by one thread at a time.
    private struct Event: Equatable {
        /// The folder whose entries changed, or which moved itself.
        var folder: UInt64
        var isMove = false
    }

    let folder: String
    /// What may wait.
    var queueMax = Int.max
    /// What happens is told to nobody, which no kernel does.
    var isSilent = false
    /// Whether files get several names. Such a file keeps what is in it: written under a name that is gone before anybody looks, it would
    /// change unseen.
    var hasLinks = true
    private(set) var overflows = 0
    private var queue: [Event] = []
    private var isOverflowing = false
    private var choices: Choices

    var method: String { "simulation" }
    var unwatched: [RawPath] { [] }
    var root: RawPath { RawPath(source) }
    private var source: String { folder + "/s" }
    private var outside: String { folder + "/o" }

    init(seed: UInt64) {
        choices = Choices(seed: seed)
        var template = Array("/dev/shm/bakare-watch-XXXXXX".utf8CString)
        folder = template.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) } ?? "/dev/shm/bakare-none"
        }
        mkdir(source, 0o755)
        mkdir(outside, 0o755)
    }

    deinit {
        isSilent = true
        remove(folder)
    }

    // MARK: The watch

    private func post(_ folder: UInt64?, isMove: Bool = false) {
        guard let folder, !isSilent else { return }
        let event = Event(folder: folder, isMove: isMove)
        if choices.below(2) == 0, queue.contains(event) { return }
        guard queue.count < queueMax else {
            if !isOverflowing { overflows += 1 }
            isOverflowing = true
            return
        }
        queue.append(event)
        if queue.count > 1, choices.below(4) == 0 { queue.swapAt(queue.count - 1, queue.count - 2) }
    }

    func wait(milliseconds: Int, tell: (FolderEvent) -> Void) -> Bool {
        var paths: [UInt64: RawPath] = [:]
        func visit(_ folder: String) {
            if let number = number(folder) { paths[number] = RawPath(folder) }
            for name in children(of: folder) where isFolder(folder + "/" + name) { visit(folder + "/" + name) }
        }
        visit(source)
        for _ in 0..<min(queue.count, 1 + choices.below(20)) {
            let event = queue.removeFirst()
            // A folder that is not there any more: the one that it was in has told of that.
            guard let path = paths[event.folder] else { continue }
            tell(event.isMove ? .appeared(path) : .changed(path))
        }
        guard queue.isEmpty, isOverflowing else { return !queue.isEmpty }
        isOverflowing = false
        tell(.doubt("more happened at once than is kept", isBroken: false))
        return false
    }

    /// As after the watch has broken: nothing of what was not read is told any more.
    func forgetAll() {
        queue = []
        isOverflowing = false
    }

    // MARK: The file system

    private func status(_ path: String) -> stat? {
        var found = stat()
        return lstat(path, &found) == 0 ? found : nil
    }

    private func number(_ path: String) -> UInt64? { status(path).map { UInt64($0.st_ino) } }
    private func isLinked(_ path: String) -> Bool { !isFolder(path) && status(path).map { $0.st_nlink > 1 } ?? false }
    private func parent(_ path: String) -> String { RawPath(path).parent.description }

    private func write(_ path: String, _ flags: Int32, _ bytes: Int) {
        if isLinked(path) { return }
        let file = open(path, O_WRONLY | O_NOFOLLOW | flags, 0o644)
        guard file >= 0 else { return }
        let content = choices.bytes(bytes)
        _ = content.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
        close(file)
        post(number(parent(path)))
    }

    /// With `flags` as in renameat2.
    private func move(_ from: String, _ to: String, _ flags: UInt32 = 0) {
        let before = (moved: number(from), replaced: number(to), isFolder: isFolder(from), isOtherFolder: isFolder(to))
        let (source, target) = (Array(from.utf8), Array(to.utf8))
        guard before.moved != before.replaced,
            linux_renameat2(linux_AT_FDCWD, source, source.count, linux_AT_FDCWD, target, target.count, flags) == 0
        else { return }
        post(number(parent(from)))
        post(number(parent(to)))
        if before.isFolder { post(before.moved, isMove: true) }
        if flags == linux_RENAME_EXCHANGE, before.isOtherFolder { post(before.replaced, isMove: true) }
    }

    /// With all below.
    private func remove(_ path: String) {
        if isFolder(path) {
            for name in children(of: path) { remove(path + "/" + name) }
            if rmdir(path) == 0 { post(number(parent(path))) }
        } else if unlink(path) == 0 {
            post(number(parent(path)))
        }
    }

    /// All that a backup looks at, for comparison.
    func state() -> [String] {
        func below(_ folder: String) -> [String] {
            children(of: folder).flatMap { name -> [String] in
                let path = folder + "/" + name
                guard let found = status(path) else { return [] }
                let times = "\(found.st_mtim) \(found.st_ctim)"
                return ["\(path) \(found.st_ino) \(found.st_mode) \(found.st_size) \(times)"]
                    + (isFolder(path) ? below(path) : [])
            }
        }
        return below(source)
    }

    // MARK: Changes

    private var paths: RandomPaths {
        RandomPaths(below: source, names: ["a", "b", "c", "d", "e\u{301}", "long name with spaces"])
    }
    private var name: String { paths.name(&choices) }
    private func somePath() -> String { paths.path(&choices) }
    private func someEntry() -> String { paths.entry(&choices) }

    func edit() {
        switch choices.below(23) {
        case 0, 1: write(somePath(), O_CREAT, choices.below(900))
        // Only of these the folder itself shows nothing.
        case 2, 18, 19, 20: write(someEntry(), O_TRUNC, choices.below(2000))
        case 3, 21, 22: write(someEntry(), O_APPEND, choices.below(300))
        case 4, 5, 6: move(someEntry(), somePath())
        case 7: move(someEntry(), someEntry(), linux_RENAME_EXCHANGE)
        case 8:
            // One name more of a file that others may have looked at already.
            let target = somePath()
            if hasLinks, choices.below(4) == 0, link(someEntry(), target) == 0 { post(number(parent(target))) }
        case 9: unlinkOne(someEntry())
        case 10: attributes { chmod($0, [0o700, 0o755, 0o750][choices.below(3)]) }
        case 11:
            let when = timespec(tv_sec: 1_500_000_000 + choices.below(1000), tv_nsec: choices.below(1000))
            attributes { utimensat(AT_FDCWD, $0, [when, when], AT_SYMLINK_NOFOLLOW) }
        case 12, 13, 14:
            let path = somePath()
            if mkdir(path, 0o755) == 0 { post(number(parent(path))) }
        case 15: remove(someEntry())
        case 16:
            let path = somePath()
            if symlink("to \(choices.below(100))", path) == 0 { post(number(parent(path))) }
        default: if !hasLinks { moveThroughOutside() }
        }
    }

    private func unlinkOne(_ path: String) {
        if unlink(path) == 0 { post(number(parent(path))) }
    }

    private func attributes(_ change: (String) -> Int32) {
        let path = someEntry()
        guard !isLinked(path), status(path).map({ $0.st_mode & S_IFMT != S_IFLNK }) == true, change(path) == 0 else { return }
        // A folder's own are told of as in that folder.
        post(number(isFolder(path) ? path : parent(path)))
    }

    /// Out of sight and back, changed meanwhile.
    private func moveThroughOutside() {
        let inside = someEntry()
        let away = outside + "/\(choices.below(4))"
        if choices.below(2) == 0 { move(inside, away) } else { move(away, somePath()) }
        if isFolder(away) { write(away + "/" + name, O_CREAT, 100) } else { write(away, 0, 50) }
        if choices.below(2) == 0 { move(away, inside) }
    }
}
