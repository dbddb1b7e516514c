internal import BackupFormat
internal import Cryptography

/// Packs' frames, snapshots, pack lists, certificates and orders.
let recordTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "pack-header",
        run: { bytes in
            guard let kind = try? PackFrame.kind(ofHeader: bytes) else { return }
            try promise(PackFrame.header(kind).elementsEqual(bytes.prefix(PackFrame.headerBytes)), "pack header")
        },
        seeds: { try Vectors.read("packs").map { Array($0.bytes.prefix(PackFrame.headerBytes)) } }),
    FuzzTarget(
        name: "pack-trailer",
        run: { bytes in
            var choices = Choices(bytes)
            let packBytes = choices.number(bytes: 4)
            guard let length = try? PackFrame.sealedFooterBytes(ofTrailer: choices.rest, packBytes: packBytes) else { return }
            try promise(
                length >= PackFrame.footerOverheadBytes
                    && length + PackFrame.headerBytes + PackFrame.trailerBytes <= packBytes, "pack trailer: a length")
            try promise(
                PackFrame.trailer(sealedFooterBytes: length).elementsEqual(choices.rest.prefix(PackFrame.trailerBytes)),
                "pack trailer: other bytes than were decoded")
        },
        seeds: {
            try Vectors.read("packs").map { pack in
                withUnsafeBytes(of: UInt32(pack.bytes.count).littleEndian) { Array($0) }
                    + pack.bytes.suffix(PackFrame.trailerBytes)
            }
        }),
    FuzzTarget(
        name: "pack-footer",
        run: { bytes in
            var choices = Choices(bytes)
            let chunkBytes = choices.number(bytes: 4)
            guard let (kind, entries) = try? PackFrame.decodeFooter(choices.rest, chunkBytes: chunkBytes) else { return }
            try promise(
                PackFrame.encodeFooter(kind: kind, entries: entries).elementsEqual(choices.rest),
                "pack footer: other bytes than were decoded")
            var offset = PackFrame.headerBytes
            for entry in entries {
                try promise(Int(entry.offset) == offset, "pack footer: a gap")
                offset += Int(entry.sealedBytes)
            }
            let padding = PackFrame.headerBytes + chunkBytes - offset
            try promise(padding >= 0 && padding < PackFrame.paddingMax, "pack footer: chunks of another length")
        },
        seeds: {
            [footer([]), footer([(100, 59)]), footer([(41, 0), (4_194_345, 4_194_304)])]
        }),
    FuzzTarget(
        name: "pack-stub",
        run: { bytes in
            guard let stub = try? PackStub(decoding: bytes) else { return }
            try promise(stub.encode().elementsEqual(bytes), "pack stub: other bytes than were decoded")
            try promise(stub.chunkBytes >= 0 && stub.packBytes <= Limits.packBytesMax, "pack stub: a length")
            try promise(
                stub.sealedFooter.count + PackFrame.headerBytes + PackFrame.trailerBytes + stub.chunkBytes == stub.packBytes,
                "pack stub: parts of another length")
            try promise(bytes.count <= PackStub.encodedBytesMax, "pack stub: longer than it can be")
        },
        seeds: { try Vectors.read("stubs").map(\.bytes) }),
    roundTrip("snapshot-contents", vectors: "snapshots", ["contents", "least-contents"]) {
        try SnapshotContents(decoding: $0).encode()
    },
    roundTrip("snapshot-record", vectors: "snapshots", ["record", "rewritten-record", "record-without-packs"]) { bytes in
        let record = try SnapshotRecord(decoding: bytes)
        _ = try? verifySnapshot(record, owner: record.owner)
        return record.encode()
    },
    roundTrip("pack-list-page", vectors: "pack-lists", ["three", "full"]) { try PackListPage(decoding: $0).encode() },
    roundTrip("certificate", vectors: "certificates") { bytes in
        let certificate = try Certificate(decoding: bytes)
        _ = try? verifyCertificate(certificate, owner: certificate.owner)
        return certificate.encode()
    },
    roundTrip("forget-order", vectors: "forget-orders") { bytes in
        let order = try ForgetOrder(decoding: bytes)
        _ = try? verifyForget(order, owner: order.owner)
        return order.encode()
    },
]

/// A footer of chunks of these sealed and plain lengths, after the length of all chunks.
private func footer(_ lengths: [(sealed: UInt32, plain: UInt32)]) -> [UInt8] {
    let entries = lengths.map { PackEntry(id: ChunkID(.zero), offset: 0, sealedBytes: $0.sealed, plainBytes: $0.plain) }
    let chunkBytes = lengths.reduce(0) { $0 + $1.sealed }
    return withUnsafeBytes(of: chunkBytes.littleEndian) { Array($0) } + PackFrame.encodeFooter(kind: .data, entries: entries)
}
