package import BackupFormat
internal import Chunking
package import Cryptography
package import Ledger
package import Vault

/// Reads chunks from a vault's packs. Serves all threads, each with its own scratch.
///
/// The index only says where to look: whatever it says, only a plaintext whose keyed hash is the chunk's key is handed out.
/// A chunk that does not open is read once more by way of the vault's parity, then from other packs that hold it, then from
/// wherever `resolve` finds it. What the vault has no more than a stub of comes from `elsewhere`.
package final class ChunkReader: ChunkSource {
    private let vault: Vault
    private let index: ChunkIndex
    private let cipher: ChunkCipher
    private let elsewhere: (any PackSource)?
    private let place: (@Sendable (ChunkID) -> ChunkLocation?)?
    private let resolve: (@Sendable (ChunkID) -> [ChunkLocation])?

    /// `place` says where a chunk is; without it the index does. `resolve` looks a chunk up in the packs' own footers: slow, and asked
    /// only when the index knows no good copy.
    package init(
        vault: Vault, index: ChunkIndex, cipher: ChunkCipher, elsewhere: (any PackSource)? = nil,
        place: (@Sendable (ChunkID) -> ChunkLocation?)? = nil, resolve: (@Sendable (ChunkID) -> [ChunkLocation])? = nil
    ) {
        self.elsewhere = elsewhere
        self.place = place
        self.vault = vault
        self.index = index
        self.cipher = cipher
        self.resolve = resolve
    }

    package func key(of plaintext: UnsafeRawBufferPointer) -> ChunkKey { cipher.key(of: plaintext) }

    package func plainBytesHint(_ key: ChunkKey) -> Int? {
        guard let location = location(of: cipher.id(of: key)) else { return nil }
        return Int(location.plainBytes)
    }

    /// An index that cannot be read is as good as one that knows nothing.
    private func location(of id: ChunkID) -> ChunkLocation? { place.map { $0(id) } ?? (try? index.lookup(id)) }

    package func read(_ key: ChunkKey, _ scratch: ChunkScratch) throws(ArchiveError) -> UnsafeRawBufferPointer {
        let id = cipher.id(of: key)
        let location = location(of: id)
        if let location, let plain = try? open(location, key, id, scratch, checked: false) { return plain }
        return try readAnywhere(key, id, scratch, location)
    }

    private func readAnywhere(
        _ key: ChunkKey, _ id: ChunkID, _ scratch: ChunkScratch, _ first: ChunkLocation?
    ) throws(ArchiveError) -> UnsafeRawBufferPointer {
        var tried: [ChunkLocation] = []
        var reason = "no pack holds it"
        var absence: ArchiveError?
        for source in [first.map { [$0] } ?? [], try? index.allLocations(of: id), nil] {
            for location in source ?? resolve?(id) ?? [] {
                // Numbers of packs mean nothing outside the index: only the place counts.
                if tried.contains(where: { $0.pack == location.pack && $0.offset == location.offset }) { continue }
                tried.append(location)
                do { return try open(location, key, id, scratch, checked: true) } catch {
                    reason = "\(error)"
                    if let error = error as? ArchiveError, [.unreachable, .away].contains(error.code) { absence = error }
                }
            }
        }
        if let absence { throw absence }
        let packs = tried.map { $0.pack.hex.prefix(16) }.joined(separator: ", ")
        let place = tried.isEmpty ? "" : " (pack \(packs))"
        throw ArchiveError(
            .damaged, "read a chunk",
            "chunk \(id.hex.prefix(16))\(place) is lost: \(reason); run check --repair, or use another snapshot")
    }

    /// Reads one copy of a chunk and proves that it is what the key names.
    private func open(
        _ location: ChunkLocation, _ key: ChunkKey, _ id: ChunkID, _ scratch: ChunkScratch, checked: Bool
    ) throws -> UnsafeRawBufferPointer {
        let length = Int(location.sealedBytes)
        guard length > ChunkCipher.sealBytes, length <= scratch.sealed.count else { throw FormatError(.outOfRange, "chunk") }
        let sealed = UnsafeMutableRawBufferPointer(rebasing: scratch.sealed[..<length])
        let range = Int(location.offset)..<Int(location.offset) + length
        do throws(VaultError) {
            if checked {
                try vault.readPackChecked(location.pack, range, into: sealed)
            } else {
                try vault.readPack(location.pack, range, into: sealed)
            }
        } catch {
            guard error.code == .elsewhere, let elsewhere else { throw error }
            try elsewhere.read(location.pack, range, into: sealed, isAgain: checked)
        }
        let inPlace = UnsafeMutableRawBufferPointer(rebasing: sealed[ChunkCipher.nonceBytes...])
        let openedBytes = try cipher.open(sealed: UnsafeRawBufferPointer(sealed), key: key, id: id, into: inPlace)
        let opened = UnsafeRawBufferPointer(rebasing: inPlace[..<openedBytes])
        let payload = UnsafeRawBufferPointer(rebasing: opened.dropFirst())
        let plain: UnsafeRawBufferPointer
        switch opened.first.flatMap(CompressionMethod.init(rawValue:)) {
        case .stored: plain = payload
        case .zstd:
            let count = try scratch.decompressor.decompress(payload, into: scratch.plain)
            plain = UnsafeRawBufferPointer(rebasing: scratch.plain[..<count])
        case nil: throw FormatError(.unknown, "chunk")
        }
        guard cipher.key(of: plain) == key else { throw FormatError(.checksum, "chunk") }
        return plain
    }
}
