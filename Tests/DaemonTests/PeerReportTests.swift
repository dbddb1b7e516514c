import BackupFormat
import Daemon
import BackupNode
import Cryptography
import Ledger
import Peers
import Testing

@Suite("Reports of peers") struct PeerReportTests {
    @Test("a friend cannot write to the terminal by the name in a certificate")
    func hostileName() throws {
        let (owner, friend) = (OwnerKey.generate(), OwnerKey.generate())
        var book = PeerBook()
        for name in ["\u{1b}[2Jnas\u{202e}", "\u{7}\n", ""] {
            let certificate = friend.certify(NodeKey.generate(), name: name, permissions: .all, serial: 1)
            try book.recovered(certificate, own: owner.id, at: [], now: 1)
        }
        let reports = PeerReport.known(book, ReplicaTable(), owner: owner.id, device: DeviceID(.zero))
        #expect(reports.count == 3)
        for report in reports {
            #expect(!report.name.isEmpty)
            #expect(!report.name.unicodeScalars.contains { $0.isUnsafeToShow })
        }
    }
}
