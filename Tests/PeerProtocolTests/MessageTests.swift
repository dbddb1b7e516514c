import BackupFormat
import Foundation
import PeerProtocol
import TestSupport
import Testing

@Suite("Messages")
struct MessageTests {
    private func vectors() throws -> [(name: String, bytes: [UInt8])] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: folder.appending(path: "Vectors/messages.txt"), encoding: .utf8)
        return try text.split(separator: "\n").map { line in
            let parts = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
            try #require(parts.count == 2)
            return (parts[0], try #require(hexadecimalBytes(parts[1])))
        }
    }

    private func decode(_ bytes: [UInt8]) throws -> Message { try bytes.withUnsafeBytes { try Message(decoding: $0) } }

    @Test("are encoded as Google's protobuf encodes docs/peer.proto, byte for byte, and decoded to what they were")
    func protobuf() throws {
        let vectors = try vectors()
        let samples = messageSamples()
        #expect(vectors.map(\.name) == samples.map(\.name))
        for (vector, sample) in zip(vectors, samples) {
            #expect(hexadecimal(sample.message.encode()) == hexadecimal(vector.bytes), "\(vector.name)")
            #expect(try decode(vector.bytes) == sample.message, "\(vector.name)")
        }
    }

    @Test("have one encoding: whatever is decoded encodes to the same bytes; cut off or lengthened, they are refused")
    func canonical() throws {
        var choices = Choices(seed: 8)
        for (name, message, _) in messageSamples() {
            let bytes = message.encode()
            for count in 0..<bytes.count {
                #expect(throws: FormatError.self, "\(name), \(count)") { try decode(Array(bytes.prefix(count))) }
            }
            #expect(throws: FormatError.self) { try decode(bytes + [0]) }
            #expect(throws: FormatError.self) { try decode(bytes + bytes) }
            for _ in 0..<500 {
                var changed = bytes
                changed[choices.below(changed.count)] = UInt8(choices.below(256))
                if let found = try? decode(changed) { #expect(found.encode() == changed, "\(name)") }
            }
        }
    }

    @Test("refuses a field that is unknown, repeated, out of order, spelt as its default, or in a long form")
    func strictness() throws {
        // Request 7: put with kind 1, an id, total 5, offset 1.
        let id = [UInt8](repeating: 9, count: 32)
        func put(_ fields: [UInt8]) -> [UInt8] { [8, 7, 0xb2, 1, UInt8(fields.count)] + fields }
        let right: [UInt8] = [8, 1, 18, 32] + id + [24, 5, 32, 1]
        _ = try decode(put(right))
        let wrong: [(String, [UInt8])] = [
            ("unknown", right + [40, 1]), ("repeated", right + [32, 1]), ("out of order", [18, 32] + id + [8, 1, 24, 5, 32, 1]),
            ("default", Array(right.dropLast()) + [0]), ("long form", Array(right.dropLast()) + [0x81, 0]),
            ("other wire type", Array(right.dropLast(2)) + [34, 1, 1]), ("fixed32", right + [0x2d, 0, 0, 0, 0]),
            ("group", right + [0x2b, 0x2c]), ("short id", [8, 1, 18, 31] + id.dropLast() + [24, 5, 32, 1]),
            ("long id", [8, 1, 18, 33, 0] + id + [24, 5, 32, 1]), ("no kind", [18, 32] + id + [24, 5, 32, 1]),
            ("no id", [8, 1, 24, 5, 32, 1]), ("a snapshot is not put", [8, 3] + right.dropFirst(2)),
            ("unknown kind", [8, 5] + right.dropFirst(2)), ("empty", [8, 1, 18, 32] + id + [32, 1]),
            ("offset beyond the end", Array(right.dropLast()) + [6]),
        ]
        for (what, fields) in wrong { #expect(throws: FormatError.self, "\(what)") { try decode(put(fields)) } }
    }

    @Test("refuses a request without its number, a notice with one, an answer among requests, and no kind at all")
    func kinds() {
        let wrong: [[UInt8]] = [
            [], [8, 7], [0xa2, 1, 0], [8, 7, 16, 7, 0xa2, 1, 0], [16, 7, 0xa2, 1, 0], [8, 7, 0x9a, 3, 0], [8, 7, 0x62, 2, 8, 1],
            [0x82, 1, 0], [8, 7, 0xa2, 6, 0], [8, 7, 0xa2, 1, 0, 0xba, 1, 0], [8, 7, 0xa2, 1, 1, 0],
        ]
        for bytes in wrong { #expect(throws: FormatError.self, "\(bytes)") { try decode(bytes) } }
    }

    @Test("refuses what is longer than its limit, and words with control characters")
    func limits() throws {
        let ids = (0..<Limits.idsMax + 1).map { ObjectID(Bytes32(words: (UInt64($0), 0, 0, 0))) }
        let most = Message.request(RequestID(1), .have(Have(kind: .pack, ids: ids.dropLast())))
        #expect(try decode(most.encode()) == most)
        #expect(throws: FormatError.self) {
            try decode(Message.request(RequestID(1), .have(Have(kind: .pack, ids: ids))).encode())
        }
        #expect(throws: FormatError.self) {
            try decode(Message.request(RequestID(1), .have(Have(kind: .pack, ids: []))).encode())
        }
        for reason in [String(repeating: "a", count: 513), "a\u{1b}[2J", "a\nb", "\u{85}", "\u{7f}"] {
            var failed = ProtobufWriter()
            failed.number(1, 5)
            failed.message(2, Array(reason.utf8))
            var message = ProtobufWriter()
            message.number(2, 1)
            message.message(40, failed.bytes)
            #expect(throws: FormatError.self) { try decode(message.bytes) }
        }
        let packs = ids.dropLast().map { PackID($0.value) }
        let pages = ids.dropLast().map { PageID($0.value) }
        let largest = Message.answer(RequestID(.max), .outcome(Outcome(.missing(packs: packs, pages: pages), generation: .max)))
        #expect(largest.encode().count <= Limits.controlBytesMax)
        #expect(try decode(largest.encode()) == largest)
    }

    @Test("words for people are cut to what the other side takes")
    func words() throws {
        let long = String(repeating: "ü", count: 400) + "\u{1b}[2J\n"
        let found = try decode(Message.notice(.goodbye(Goodbye(.busy, reason: long))).encode())
        #expect(found == .notice(.goodbye(Goodbye(.busy, reason: String(repeating: "ü", count: 256)))))
        let controls = try decode(Message.answer(RequestID(1), .failed(Failed(.busy, reason: "a\nb\u{1b}"))).encode())
        #expect(controls == .answer(RequestID(1), .failed(Failed(.busy, reason: "ab"))))
    }

    @Test("refuses answers that contradict themselves")
    func contradictions() {
        let id = Bytes32(words: (1, 2, 3, 4))
        let wrong: [Answer] = [
            .outcome(Outcome(.missing(packs: [], pages: []), generation: 1)), .outcome(Outcome(.rejected(""), generation: 1)),
            .listing(Listing(snapshots: [SnapshotID(id), SnapshotID(id)], hasMore: false)),
            .listing(Listing(snapshots: [SnapshotID(id), SnapshotID(.zero)], hasMore: false)),
            .listing(Listing(snapshots: [], hasMore: true)), .vault(VaultState(exists: false, packs: 1)),
            .paired(Paired(quotaBytes: 1, certificate: [1])), .paired(Paired(quotaBytes: 1, keys: [1])),
            .part(Part(totalBytes: 0)), .part(Part(totalBytes: Limits.packBytesMax + 1)),
        ]
        for answer in wrong {
            #expect(throws: FormatError.self, "\(answer)") { try decode(Message.answer(RequestID(1), answer).encode()) }
        }
        let twice = Audit(seed: id, packs: [PackID(id), PackID(id)])
        #expect(throws: FormatError.self) { try decode(Message.request(RequestID(1), .audit(twice)).encode()) }
    }
}
