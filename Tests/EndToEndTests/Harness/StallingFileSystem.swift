internal import CLinux
internal import Glibc
import Synchronization

/// A read-only FUSE file system of one folder that answers until it is told to stop, as a network disk does whose server goes.
final class StallingFileSystem {
    private let server: FileServer
    private let mount: Mount
    private let thread: Background
    private var isEnded = false

    init(at path: String, _ files: [String: Bytes]) throws {
        let name = Bytes("/dev/fuse".utf8)
        let flags = linux_O_RDWR | linux_O_NONBLOCK | linux_O_CLOEXEC
        let device = try checked(linux_openat(linux_AT_FDCWD, name, name.count, flags, 0), "open /dev/fuse")
        mount = try Mount(fuseAt: path, descriptor: device)
        let server = FileServer(device, files)
        self.server = server
        thread = Background { _ in try server.serve() }
    }

    /// From now on, whoever asks for something waits.
    func stop() { server.stop() }

    /// Gives a file a later time, so that a backup reads it. Once it has been opened, whoever asks for something waits.
    func stop(onceOpened name: String) { server.stop(onceOpened: name) }

    /// Lets all who wait go on, with an error.
    func end() {
        if isEnded { return }
        isEnded = true
        thread.stop()
        mount.unmount()
        server.close()
    }
}

/// Answers what the kernel asks, one thing after the other; `fuse.h` of Linux has the structures.
///
/// What it has read it answers: who waits for the answer to something that was read cannot even be killed.
private final class FileServer: Sendable {
    private struct State {
        var isStopped = false
        /// The file whose opening is the last thing that is answered.
        var lastOpened: UInt64?
        /// Of each file, in seconds since 1970.
        var times: [UInt64]
    }

    private let device: Int32
    private let names: [Bytes]
    private let contents: [Bytes]
    private let state: Mutex<State>

    /// The node numbers: that of the folder, and that of the first file.
    private static let folder: UInt64 = 1
    private static let firstFile: UInt64 = 2
    private static let headBytes = 40

    init(_ device: Int32, _ files: [String: Bytes]) {
        self.device = device
        let sorted = files.sorted { $0.key < $1.key }
        names = sorted.map { Bytes($0.key.utf8) }
        contents = sorted.map { $0.value }
        state = Mutex(State(times: Array(repeating: 1000, count: sorted.count)))
    }

    func stop() { state.withLock { $0.isStopped = true } }

    func stop(onceOpened name: String) {
        guard let index = names.firstIndex(of: Bytes(name.utf8)) else { return }
        state.withLock { state in
            state.times[index] += 1
            state.lastOpened = FileServer.firstFile + UInt64(index)
        }
    }

    func close() { _ = linux_close(device) }

    /// Answers the next request, if one comes soon.
    func serve() throws {
        var waiting = pollfd(fd: device, events: Int16(POLLIN), revents: 0)
        let isAsked = poll(&waiting, 1, 20) > 0
        if state.withLock({ $0.isStopped }) {
            usleep(20_000)
            return
        }
        guard isAsked else { return }
        var request = Bytes(repeating: 0, count: 1 << 17)
        let count = Int(linux_read(device, &request, request.count))
        if count == -Int(ENODEV) { throw TestFailure("unmounted") }
        guard count >= FileServer.headBytes else { return }
        answer(Bytes(request.prefix(count)))
    }

    private func answer(_ request: Bytes) {
        let node = number(request, at: 16, bytes: 8)
        switch number(request, at: 4, bytes: 4) {
        case 26:  // FUSE_INIT: version 7.31, read ahead, flags, background requests, bytes of a write, nanoseconds of times
            let answer = packed((7, 4), (31, 4), (65_536, 4), (0, 4), (12, 2), (10, 2), (65_536, 4), (1, 4))
            reply(request, answer + Bytes(repeating: 0, count: 36))
        case 1:  // FUSE_LOOKUP
            let name = Bytes(request[FileServer.headBytes...].prefix(while: { $0 != 0 }))
            guard let index = names.firstIndex(of: name) else { return reply(request, error: ENOENT) }
            let found = FileServer.firstFile + UInt64(index)
            reply(request, packed((found, 8), (0, 8), (0, 8), (0, 8), (0, 4), (0, 4)) + attributes(found))
        case 3:  // FUSE_GETATTR
            reply(request, packed((0, 8), (0, 4), (0, 4)) + attributes(node))
        case 14, 27:  // FUSE_OPEN, FUSE_OPENDIR: its number, and that nothing of it is to be cached
            reply(request, packed((1, 8), (1, 4), (0, 4)))
            state.withLock { state in if state.lastOpened == node { state.isStopped = true } }
        case 15:  // FUSE_READ
            let (start, count) = range(request)
            reply(request, Bytes((content(of: node) ?? []).dropFirst(start).prefix(count)))
        case 28:  // FUSE_READDIR
            let (start, count) = range(request)
            reply(request, listing(from: start, bytesMax: count))
        case 17:  // FUSE_STATFS
            let answer = packed((0, 8), (0, 8), (0, 8), (0, 8), (0, 8), (4096, 4), (255, 4), (4096, 4), (0, 4))
            reply(request, answer + Bytes(repeating: 0, count: 24))
        case 18, 29:  // FUSE_RELEASE, FUSE_RELEASEDIR
            reply(request)
        case 2, 36, 42:  // FUSE_FORGET, FUSE_INTERRUPT, FUSE_BATCH_FORGET: not to be answered
            break
        default:  // FUSE_FLUSH and attributes among them: the kernel asks no second time
            reply(request, error: ENOSYS)
        }
    }

    /// The part of a file or folder that a request asks for.
    private func range(_ request: Bytes) -> (start: Int, count: Int) {
        let (start, count) = (number(request, at: 48, bytes: 8), number(request, at: 56, bytes: 4))
        return (Int(truncatingIfNeeded: start), Int(truncatingIfNeeded: count))
    }

    /// Nil for the folder.
    private func content(of node: UInt64) -> Bytes? {
        guard node >= FileServer.firstFile, node - FileServer.firstFile < UInt64(contents.count) else { return nil }
        return contents[Int(node - FileServer.firstFile)]
    }

    /// `struct fuse_attr`
    private func attributes(_ node: UInt64) -> Bytes {
        var (size, mode, time): (UInt64, UInt64, UInt64) = (0, 0o40755, 1000)
        if let content = self.content(of: node) {
            size = UInt64(content.count)
            mode = 0o100644
            time = state.withLock { $0.times[Int(node - FileServer.firstFile)] }
        }
        let blocks = (size + 511) / 512
        let first = packed((node, 8), (size, 8), (blocks, 8), (time, 8), (time, 8), (time, 8))
        return first + packed((0, 4), (0, 4), (0, 4), (mode, 4), (1, 4), (0, 4), (0, 4), (0, 4), (4096, 4), (0, 4))
    }

    /// `struct fuse_dirent` of each entry after the first `start`, as many as there is room for.
    private func listing(from start: Int, bytesMax: Int) -> Bytes {
        var entries: [(name: Bytes, node: UInt64)] = [".", ".."].map { (name: Bytes($0.utf8), node: FileServer.folder) }
        for (index, name) in names.enumerated() { entries.append((name, FileServer.firstFile + UInt64(index))) }
        var result: Bytes = []
        for index in entries.indices.dropFirst(start) {
            let (name, node) = entries[index]
            let type: UInt64 = node == FileServer.folder ? 4 : 8
            var entry = packed((node, 8), (UInt64(index + 1), 8), (UInt64(name.count), 4), (type, 4)) + name
            while entry.count % 8 != 0 { entry.append(0) }
            if result.count + entry.count > bytesMax { break }
            result += entry
        }
        return result
    }

    private func reply(_ request: Bytes, _ body: Bytes = [], error: Int32 = 0) {
        let code = UInt64(UInt32(bitPattern: -error))
        let head = packed((UInt64(16 + body.count), 4), (code, 4), (number(request, at: 8, bytes: 8), 8))
        let answer = head + body
        _ = linux_write(device, answer, answer.count)
    }
}

/// A number in one of the kernel's structures.
private func number(_ structure: Bytes, at offset: Int, bytes: Int) -> UInt64 {
    var value: UInt64 = 0
    for index in 0..<bytes where offset + index < structure.count {
        value |= UInt64(structure[offset + index]) << UInt64(8 * index)
    }
    return value
}

/// Numbers one after the other, each in so many bytes.
private func packed(_ fields: (value: UInt64, bytes: Int)...) -> Bytes {
    var structure: Bytes = []
    for field in fields {
        for index in 0..<field.bytes { structure.append(UInt8(truncatingIfNeeded: field.value >> UInt64(8 * index))) }
    }
    return structure
}
