package import BackupFormat
internal import CLinux
internal import Glibc

/// A stream socket between processes of one machine, with a name in the file system. Closes when the last reference goes.
package final class LocalSocket: Sendable {
    private let fd: Int32

    private init(fd: Int32) { self.fd = fd }

    deinit { _ = linux_close(fd) }

    /// Waits for callers at `path`, which only this user may reach (mode 0600). Whatever bears the name is replaced.
    package static func listen(at path: RawPath) throws(HostFilesError) -> LocalSocket {
        let fd = try inFolder(of: path) { linux_unix_listen($0, $1, $2, 64) }
        guard fd >= 0 else { throw HostFilesError(errno: -fd, "listen at", path: path) }
        return LocalSocket(fd: fd)
    }

    /// Calls whoever listens at `path`; nil when nobody does.
    package static func connect(to path: RawPath) throws(HostFilesError) -> LocalSocket? {
        let fd: Int32
        do throws(HostFilesError) { fd = try inFolder(of: path) { linux_unix_connect($0, $1, $2) } } catch {
            if error.code == .notFound { return nil }
            throw error
        }
        if fd == -ENOENT || fd == -ECONNREFUSED { return nil }
        guard fd >= 0 else { throw HostFilesError(errno: -fd, "connect to", path: path) }
        return LocalSocket(fd: fd)
    }

    private static func inFolder(
        of path: RawPath, _ body: (Int32, UnsafeRawPointer?, Int) -> Int32
    ) throws(HostFilesError) -> Int32 {
        let folder = path.parent.bytes
        let name = path.components.last?.bytes ?? []
        let directory = linux_openat(linux_AT_FDCWD, folder, folder.count, linux_O_PATH | linux_O_DIRECTORY | linux_O_CLOEXEC, 0)
        guard directory >= 0 else { throw HostFilesError(errno: -directory, "open", path: path.parent) }
        defer { _ = linux_close(directory) }
        return name.withUnsafeBytes { body(directory, $0.baseAddress, $0.count) }
    }

    /// The next caller; nil once the socket was shut down.
    package func accept() throws(HostFilesError) -> LocalSocket? {
        let fd = linux_accept(self.fd)
        if fd == -EINVAL || fd == -EBADF { return nil }
        guard fd >= 0 else { throw HostFilesError(errno: -fd, "take a call") }
        return LocalSocket(fd: fd)
    }

    /// The user at the other end; nil if the system does not tell.
    package var peerUser: UInt32? {
        let user = linux_peer_user(fd)
        return user < 0 ? nil : UInt32(truncatingIfNeeded: user)
    }

    /// Ends both directions: whoever waits in ``accept()`` or ``receive(into:)``, here or there, returns.
    package func shutDown() { _ = linux_shutdown(fd) }

    package func send(_ bytes: [UInt8]) throws(HostFilesError) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { linux_send(fd, $0.baseAddress.map { $0 + done }, bytes.count - done) }
            guard count > 0 else { throw HostFilesError(errno: Int32(truncatingIfNeeded: -count), "send") }
            done += Int(count)
        }
    }

    private static let pieceBytes = 64 << 10

    /// Waits for `count` bytes; nil when the other side ended before the first of them.
    package func receive(_ count: Int) throws(HostFilesError) -> [UInt8]? {
        var bytes: [UInt8] = []
        var done = 0
        while done < count {
            // No more memory than for what comes: the length is a word of the other side.
            if done == bytes.count { bytes += repeatElement(0, count: min(count - done, max(done, LocalSocket.pieceBytes))) }
            let got = bytes.withUnsafeMutableBytes { linux_receive(fd, $0.baseAddress.map { $0 + done }, $0.count - done) }
            guard got >= 0 else { throw HostFilesError(errno: Int32(truncatingIfNeeded: -got), "receive") }
            if got == 0 {
                if done == 0 { return nil }
                throw HostFilesError(.io, "receive", detail: "the other side ended in the middle of a message")
            }
            done += Int(got)
        }
        return bytes
    }
}
