internal import BackupFormat
internal import Peers

extension Certificate {
    /// The name as it may be shown: who certified it may have put anything in it.
    var shownName: String {
        let shown = Peers.shownName(name)
        return shown.isEmpty ? String(device.hex.prefix(8)) : shown
    }
}
