package import BackupFormat
internal import CLinux

/// What a service tells systemd, by the protocol of sd_notify(3).
package enum ServiceNotice {
    /// Tells something at the socket that `NOTIFY_SOCKET` names, as `READY=1`. Nobody listening is no matter of the service's.
    package static func tell(_ message: String, at socket: RawPath?) {
        guard let socket else { return }
        let bytes = Array(message.utf8)
        _ = linux_notify(socket.bytes, socket.bytes.count, bytes, bytes.count)
    }
}
