internal import BackupFormat
internal import Cryptography

/// The text that carries a write-only device's keys from the owner's home to the new device: `key export --write-only`
/// writes it, `init --write-only --owner` reads it. Secret until then, and of no use afterwards.
///
/// Lines that begin with `#` are for people. The others: `bakare-device1`, then `publisher` and `node`, each with the
/// contents of that key file (which end in a checksum) as hexadecimal digits.
package enum DeviceFile {
    /// The longest text that is read.
    package static let bytesMax = 64 << 10
    private static let heading = "bakare-device1"

    package static func encode(_ keys: HomeKeys) -> String {
        """
        # Keys of the write-only device "\(RawPath(keys.identity.certificate?.name ?? ""))" of owner \(keys.publisher.owner.hex.prefix(16)).
        # On that device: bakare-node init --write-only --owner THIS-FILE
        # Then delete every copy of this file: who has it can pass for the device.
        \(heading)
        publisher \(hexadecimal(keys.publisher.encode()))
        node \(hexadecimal(keys.identity.encode()))

        """
    }

    package static func decode(_ bytes: [UInt8]) throws(NodeError) -> HomeKeys {
        func failure(_ message: String) -> NodeError { NodeError(.key, "read the device's keys", message) }
        guard bytes.count <= bytesMax, let text = String(validating: bytes, as: UTF8.self) else {
            throw failure("this is not a file that `key export --write-only` wrote")
        }
        let lines = text.split(whereSeparator: \.isNewline).filter { !$0.hasPrefix("#") && !$0.allSatisfy(\.isWhitespace) }
        guard let first = lines.first, first.hasPrefix("bakare-device") else {
            throw failure("this is not a file that `key export --write-only` wrote")
        }
        guard first == heading else { throw failure("it is of a version that this program does not know; use a newer program") }
        func field(_ name: String) throws(NodeError) -> [UInt8] {
            guard let line = lines.first(where: { $0.hasPrefix(name + " ") }),
                let bytes = hexadecimalBytes(String(line.dropFirst(name.count + 1).filter { !$0.isWhitespace }))
            else { throw failure("its line `\(name)` is missing or not whole; export it again") }
            return bytes
        }
        do {
            let publisher = try PublisherKeys(decoding: try field("publisher"))
            let identity = try NodeIdentity(decoding: try field("node"))
            guard let certificate = identity.certificate else { throw failure("it has no certificate; export it again") }
            try verifyCertificate(certificate, owner: publisher.owner, permission: .backup)
            return HomeKeys(owner: nil, publisher: publisher, identity: identity)
        } catch let error as NodeError {
            throw error
        } catch {
            throw failure("\(error); export it again")
        }
    }
}
