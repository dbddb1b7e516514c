import BackupFormat
import CLinux
import Glibc
import HostFiles
import Testing

/// A FUSE mount with one file `file` ("hello\n") and one folder `folder`, whose server can be stopped as a dead network is.
final class FuseServer {
    let point: RawPath
    /// Must outlive the server: removing it would wait for an answer of the mount in it.
    private let folder: TestFolder
    private var server: pid_t = -1

    /// What keeps such a mount from being made here, if anything.
    static let obstacle: String? =
        !isRoot ? "needs root, to mount" : access("/dev/fuse", R_OK | W_OK) == 0 ? nil : "needs FUSE: modprobe fuse"
    static var skipped: Comment { "a FUSE mount \(obstacle ?? "can be made")" }

    init(in folder: TestFolder) throws {
        self.folder = folder
        point = folder.path.appending("mount point")
        guard runShell("python3 -c pass") == 0 else { throw FuseServerError(description: "Python 3 is missing: make deps") }
        folder.makeDirectory("mount point")
        folder.write("server.py", Array(fuseServerSource.utf8))
        server = startShell("exec python3 '\(folder.path)/server.py' '\(point)'")
        for _ in 0..<200 {
            if let table = try? MountTable.current(), table.mounts.contains(where: { $0.point == point }) { return }
            usleep(50_000)
        }
        throw FuseServerError(description: "the FUSE server did not start")
    }

    func stop() { kill(server, SIGSTOP) }

    deinit {
        // Not all processes there are.
        guard server > 0 else { return }
        // The connection ends with the server, and with it every call that hangs.
        kill(server, SIGKILL)
        var status: Int32 = 0
        while waitpid(server, &status, 0) < 0 && errno == EINTR {}
        let text = String(decoding: point.bytes, as: UTF8.self)
        _ = linux_unmount(text)
    }
}

struct FuseServerError: Error, CustomStringConvertible {
    let description: String
}

private let fuseServerSource = #"""
    import ctypes, os, stat, struct, sys
    point = sys.argv[1]
    fd = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % fd
    if libc.mount(b"bakare-test", os.fsencode(point), b"fuse", 6, options.encode()) != 0:
        sys.exit("mount: " + os.strerror(ctypes.get_errno()))
    DATA = b"hello\n"
    MODES = {1: stat.S_IFDIR | 0o755, 2: stat.S_IFREG | 0o644, 3: stat.S_IFDIR | 0o755, 4: stat.S_IFLNK | 0o777}
    NAMES = {b"file": 2, b"folder": 3, b"link": 4}
    def attr(node):
        size = len(DATA) if node == 2 else 0
        return struct.pack("<QQQQQQIIIIIIIIII", node, size, 1, 0, 1000, 0, 0, 7, 0, MODES[node], 1, 0, 0, 0, 4096, 0)
    def reply(unique, body=b"", error=0):
        try:
            os.write(fd, struct.pack("<IiQ", 16 + len(body), -error, unique) + body)
        except OSError:
            pass
    while True:
        try:
            request = os.read(fd, 1 << 20)
        except OSError as e:
            if e.errno in (4, 2):
                continue
            sys.exit(0)
        length, opcode, unique, node = struct.unpack_from("<IIQQ", request)
        body = request[40:]
        if opcode == 26:  # INIT
            major, minor, ahead, flags = struct.unpack_from("<IIII", body)
            reply(unique, struct.pack("<IIIIHHIIHHI", 7, 31, 65536, 0, 12, 10, 65536, 1, 0, 0, 0) + b"\0" * 28)
        elif opcode == 1:  # LOOKUP
            child = NAMES.get(body.rstrip(b"\0")) if node == 1 else None
            if child is None:
                reply(unique, error=2)
            else:
                reply(unique, struct.pack("<QQQQII", child, 0, 0, 0, 0, 0) + attr(child))
        elif opcode == 3:  # GETATTR
            reply(unique, struct.pack("<QII", 0, 0, 0) + attr(node))
        elif opcode == 5:  # READLINK
            reply(unique, b"file")
        elif opcode in (14, 27):  # OPEN, OPENDIR
            reply(unique, struct.pack("<QII", 1, 1, 0))
        elif opcode == 15:  # READ
            _, offset, size = struct.unpack_from("<QQI", body)
            reply(unique, DATA[offset:offset + size])
        elif opcode == 28:  # READDIR
            _, offset, size = struct.unpack_from("<QQI", body)
            out = b""
            entries = [(b".", node), (b"..", 1)] + (list(NAMES.items()) if node == 1 else [])
            for index, (name, child) in enumerate(entries):
                if index >= offset:
                    entry = struct.pack("<QQII", child, index + 1, len(name), MODES[child] >> 12) + name
                    out += entry + b"\0" * (-len(entry) % 8)
            reply(unique, out)
        elif opcode in (2, 42, 36):  # FORGET, BATCH_FORGET, INTERRUPT: no answer
            pass
        elif opcode in (18, 25, 29, 30):  # RELEASE, FLUSH, RELEASEDIR, FSYNCDIR
            reply(unique)
        else:
            reply(unique, error=38)
    """#
