internal import CLinux
internal import Glibc

/// A FUSE file system that is mounted well and then answers nothing more, as a network disk does whose server is gone.
final class HungFileSystem {
    private let device: Int32
    private let mount: Mount

    init(at path: String) throws {
        let name = Bytes("/dev/fuse".utf8)
        device = try checked(
            linux_openat(linux_AT_FDCWD, name, name.count, linux_O_RDWR | linux_O_CLOEXEC, 0), "open /dev/fuse")
        mount = try Mount(fuseAt: path, descriptor: device)
        // The first request is FUSE_INIT (26): header of 40 bytes, then major and minor version. Answered; nothing else is.
        var request = Bytes(repeating: 0, count: 1 << 17)
        let count = Int(try checked(linux_read(device, &request, request.count), "read FUSE_INIT"))
        guard count >= 48, request[4] == 26 else { throw TestFailure("not FUSE_INIT: \(request.prefix(48))") }
        // fuse_out_header: length 40 + … here 16 + 64, error 0, the request's unique number; then fuse_init_out.
        var answer = Bytes(repeating: 0, count: 80)
        answer[0] = 80
        answer.replaceSubrange(8..<16, with: request[8..<16])
        answer[16] = 7
        answer[20] = 31
        answer.replaceSubrange(24..<28, with: [0, 0, 2, 0])
        answer[32] = 16
        answer[34] = 0
        answer.replaceSubrange(36..<40, with: [0, 0, 1, 0])
        try checked(linux_write(device, answer, answer.count), "answer FUSE_INIT")
    }

    /// Lets all who wait go on, with an error.
    func end() {
        mount.unmount()
        _ = linux_close(device)
    }
}
