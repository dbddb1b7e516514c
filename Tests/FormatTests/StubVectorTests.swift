import BackupFormat
import Cryptography
import FuzzTargets
import Testing

@Suite("Vectors: stubs of packs")
struct StubVectorTests {
    private func decode(_ bytes: [UInt8]) throws -> PackStub { try bytes.withUnsafeBytes { try PackStub(decoding: $0) } }

    @Test(
        "a stub is what is cut from its pack, and says what the pack holds", arguments: [("data", "proven"), ("empty", "empty")])
    func cut(pack: String, stub: String) throws {
        let whole = try vector("packs", pack)
        let bytes = try vector("stubs", stub)
        let cut = try PackStub(cutFrom: whole)
        #expect(cut.encode() == bytes)
        #expect(try decode(bytes) == cut && cut.isProven && cut.packBytes == whole.count)
        let footer = try cut.sealedFooter.withUnsafeBytes { sealed in
            try cut.header.withUnsafeBytes { try owner.publisherKeys.footerCipher().open(sealed, associated: $0) }
        }
        let (kind, entries) = try footer.withUnsafeBytes { try PackFrame.decodeFooter($0, chunkBytes: cut.chunkBytes) }
        #expect(kind == .data && entries.count == (pack == "data" ? 3 : 0))
    }

    @Test("one that a peer has shown differs by its mark alone")
    func shown() throws {
        let bytes = try vector("stubs", "shown")
        let stub = try decode(bytes)
        let proven = try decode(try vector("stubs", "proven"))
        #expect(!stub.isProven && stub.encode() == bytes)
        #expect(stub.header == proven.header && stub.tail == proven.tail && stub.packBytes == proven.packBytes)
    }

    @Test("what must be rejected is")
    func rejected() throws {
        let right = try vector("stubs", "proven")
        func rejects(_ what: String, _ change: (inout [UInt8]) -> Void) {
            var bytes = right
            change(&bytes)
            #expect(throws: FormatError.self, "\(what)") { try decode(bytes) }
        }
        rejects("another format") { $0[0] ^= 1 }
        rejects("another version") { $0[8] = 2 }
        rejects("another mark") { $0[9] = 2 }
        rejects("a length above 16 MiB") { $0.replaceSubrange(10..<14, with: [1, 0, 0, 1]) }
        rejects("a pack that is shorter than its frame") { $0.replaceSubrange(10..<14, with: [40, 0, 0, 0]) }
        rejects("a header that is none of a pack") { $0[14] ^= 1 }
        rejects("a kind that there is not") { $0[14 + 9] = 2 }
        rejects("a trailer that is none of a pack") { $0[$0.count - 1] ^= 1 }
        rejects("a trailer with something in its reserved bytes") { $0[$0.count - 9] = 1 }
        rejects("a footer that is shorter than its trailer says") { $0.remove(at: 40) }
        rejects("a footer that is longer than its trailer says") { $0.insert(0, at: 40) }
        rejects("a footer whose length is another") { $0[$0.count - 16] &+= 1 }
        for count in 0..<right.count { rejects("the first \(count) bytes") { $0 = Array($0.prefix(count)) } }
    }
}
