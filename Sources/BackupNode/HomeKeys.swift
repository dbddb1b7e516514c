package import BackupFormat
package import Cryptography
internal import HostFiles

/// The keys that a home holds.
package struct HomeKeys: Sendable {
    /// Nil on a write-only device.
    package var owner: OwnerKey?
    package var publisher: PublisherKeys
    package var identity: NodeIdentity

    package init(owner: OwnerKey?, publisher: PublisherKeys, identity: NodeIdentity) {
        self.owner = owner
        self.publisher = publisher
        self.identity = identity
    }

    package var isWriteOnly: Bool { owner == nil }

    /// A new owner, and this node as their first device.
    package static func generate(name: String, now: Int64) -> HomeKeys {
        make(owner: OwnerKey.generate(), name: name, now: now)
    }

    /// This node as a new device of an owner whose key is at hand.
    package static func make(owner: OwnerKey, name: String, now: Int64) -> HomeKeys {
        let node = NodeKey.generate()
        let certificate = owner.certify(node, name: name, permissions: .all, serial: serial(now))
        return HomeKeys(
            owner: owner, publisher: owner.publisherKeys, identity: NodeIdentity(key: node, certificate: certificate))
    }

    /// What a new write-only device of this owner needs; its certificate lets it back up and nothing else.
    package func writeOnlyDevice(name: String, now: Int64) throws(NodeError) -> HomeKeys {
        guard let owner else {
            throw NodeError(
                .notAllowed, "key export", "this device is write-only and cannot admit others; do it where the owner key is")
        }
        let node = NodeKey.generate()
        let certificate = owner.certify(node, name: name, permissions: .backup, serial: HomeKeys.serial(now))
        return HomeKeys(owner: nil, publisher: publisher, identity: NodeIdentity(key: node, certificate: certificate))
    }

    /// The recovery key, which a write-only device does not have.
    package func recoveryText() throws(NodeError) -> String {
        guard let owner else {
            throw NodeError(.notAllowed, "show the recovery key", "this device is write-only and does not have it")
        }
        return owner.recoveryText
    }

    /// Throws unless `text` is the recovery key of this home's owner, naming the group that is mistyped.
    package func checkRecoveryText(_ text: String) throws(NodeError) {
        let written: OwnerKey
        do { written = try OwnerKey(recoveryText: text) } catch { throw NodeError(.key, "check the recovery key", "\(error)") }
        guard written.id == publisher.owner else {
            throw NodeError(
                .key, "check the recovery key", "it is well-formed, but of another home; this one's begins differently")
        }
    }

    /// A later certificate has a higher serial: seconds since 1970.
    private static func serial(_ now: Int64) -> UInt64 { UInt64(clamping: now / 1_000_000_000) }

    /// The files, by name without `.key`.
    private var contents: [(name: String, bytes: [UInt8])] {
        let common = [(name: "publisher", bytes: publisher.encode()), (name: "node", bytes: identity.encode())]
        return (owner.map { [(name: "owner", bytes: $0.encode())] } ?? []) + common
    }

    /// Writes each key twice into an empty folder, synced but for the folder.
    func write(in folder: RawPath, _ disk: any Disk) throws(HostFilesError) {
        for (name, bytes) in contents { try HomeKeys.file(name, in: folder, disk).writeNew(bytes) }
    }

    private static func file(_ name: String, in folder: RawPath, _ disk: any Disk) -> TwiceKeptFile {
        TwiceKeptFile(disk, folder.appending("\(name).key"), limitBytes: contentBytesMax)
    }
}

/// What was found wrong with a key file, and whether it was mended.
package struct KeyRepair: Sendable, Equatable {
    package var path: RawPath
    package var message: String
    package var isMended: Bool
}

extension HomeKeys {
    /// The longest key file's content.
    private static let contentBytesMax = 4096

    /// Reads the keys of a home. A damaged copy is mended from its parity or from the other copy, where the home may be
    /// written to and `mending` is asked for; what was found is added to `repairs`.
    package static func load(_ home: Home, mending: Bool = true, repairs: inout [KeyRepair]) throws(NodeError) -> HomeKeys {
        let identity = try read("node", home, mending, &repairs) { bytes throws(FormatError) in
            try NodeIdentity(decoding: bytes)
        }
        let owner = try read("owner", home, mending, &repairs) { bytes throws(FormatError) in try OwnerKey(decoding: bytes) }
        let stored = try read("publisher", home, mending, &repairs) { bytes throws(FormatError) in
            try PublisherKeys(decoding: bytes)
        }
        guard let publisher = owner?.publisherKeys ?? stored else { throw missing(home, "publisher.key") }
        guard let identity else { throw missing(home, "node.key") }
        if let owner, let stored, stored.owner != owner.id {
            throw NodeError(
                .key, "read the keys", "owner.key and publisher.key belong to different owners", path: home.keysDirectory)
        }
        if let certificate = identity.certificate {
            do {
                try verifyCertificate(certificate, owner: publisher.owner)
            } catch {
                throw NodeError(.key, "read the keys", "\(error)", path: home.keysDirectory.appending("node.key"))
            }
        }
        if owner == nil, identity.certificate?.permissions.contains(.restore) == true {
            // No write-only device: it has lost its key.
            repairs.append(
                KeyRepair(
                    path: home.keysDirectory.appending("owner.key"),
                    message: "is missing with its copy: nothing can be restored until `recover` puts it back", isMended: false))
        }
        return HomeKeys(owner: owner, publisher: publisher, identity: identity)
    }

    /// Writes the owner key into the keys of its home that lack it. Throws for a home of another owner.
    static func putBack(_ owner: OwnerKey, in home: Home) throws(NodeError) {
        var repairs: [KeyRepair] = []
        let identity = try read("node", home, false, &repairs) { bytes throws(FormatError) in try NodeIdentity(decoding: bytes) }
        guard let certificate = identity?.certificate else { throw missing(home, "node.key") }
        guard certificate.owner == owner.id else {
            throw NodeError(.key, "recover", "this key is well-formed, but of another home", path: home.directory)
        }
        guard certificate.permissions.contains(.restore) else {
            throw NodeError(
                .notAllowed, "recover", "this device is write-only, and stays so; name another home with --home",
                path: home.directory)
        }
        do {
            try file("owner", in: home.keysDirectory, home.disk).write(owner.encode())
        } catch {
            throw NodeError(.home, "recover", "\(error)")
        }
    }

    private static func missing(_ home: Home, _ name: String) -> NodeError {
        NodeError(
            .key, "read the keys",
            "\(name) and its copy are missing; put back one of them; or move the folder `keys` away and run `recover` with the recovery key",
            path: home.keysDirectory)
    }

    /// One key from its two copies; nil if neither is there.
    private static func read<Key>(
        _ name: String, _ home: Home, _ mending: Bool, _ repairs: inout [KeyRepair],
        decode: ([UInt8]) throws(FormatError) -> Key
    ) throws(NodeError) -> Key? {
        var faults: [TwiceKeptFile.Fault] = []
        let key: Key?
        do throws(HostFilesError) {
            key = try file(name, in: home.keysDirectory, home.disk).read(mending: mending, faults: &faults, decode: decode)
        } catch {
            guard error.code == .damaged else { throw NodeError(.key, "read the keys", error.description) }
            throw NodeError(
                .key, "read the keys",
                "\(name).key and its copy are both damaged beyond repair; put back one of them from elsewhere",
                path: home.keysDirectory)
        }
        repairs += faults.map { KeyRepair(path: $0.path, message: $0.message, isMended: $0.isMended) }
        return key
    }
}
