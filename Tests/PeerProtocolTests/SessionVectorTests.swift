import BackupFormat
import Cryptography
import Foundation
import PeerProtocol
import Testing

@Suite("A session as an independent program made it")
struct SessionVectorTests {
    private let fields: [String: [UInt8]]

    init() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: folder.appending(path: "Vectors/session.txt"), encoding: .utf8)
        var fields: [String: [UInt8]] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ").map(String.init)
            try #require(parts.count == 2)
            fields[parts[0]] = hexadecimalBytes(parts[1])
        }
        self.fields = fields
    }

    private func bytes32(_ name: String) throws -> Bytes32 { try #require(fields[name].flatMap { Bytes32(bytes: $0) }) }

    private func session(_ name: String, _ side: HandshakeSide) throws -> Session {
        let owner = OwnerKey(seed: try bytes32("owner-seed"))
        let key = NodeKey(seed: try bytes32("\(name)-seed"))
        let certificate = owner.certify(key, name: "test", permissions: .all, serial: 1)
        return Session(
            SessionSetup(
                handshake: HandshakeSetup(key: key, certificate: certificate, agent: "bakare-test 1"), side: side,
                acquaintances: Acquaintances(owner: owner.id), offer: Offer(role: .auto)),
            ephemeral: SecretBytes(try bytes32("\(name)-ephemeral")))
    }

    private func written(_ effects: [SessionEffect]) -> [UInt8] {
        effects.flatMap { effect -> [UInt8] in if case .write(let bytes) = effect { bytes } else { [] } }
    }

    @Test("both sides send the same bytes, through the handshake, a message of two records, and new keys in both directions")
    func transcript() throws {
        var first = try session("initiator", .initiator(peer: nil, token: nil))
        var second = try session("responder", .responder(invitations: []))
        var fromFirst = written(first.handle(.connected, at: .zero))
        var fromSecond = written(second.handle(.connected, at: .zero))
        func pass(_ bytes: [UInt8], to session: inout Session) -> [SessionEffect] {
            bytes.withUnsafeBytes { session.handle(.received($0), at: .zero) }
        }
        var toSecond = fromFirst
        while !toSecond.isEmpty {
            let reply = written(pass(toSecond, to: &second))
            fromSecond += reply
            toSecond = written(pass(reply, to: &first))
            fromFirst += toSecond
        }
        #expect(first.handshakeHash == fields["handshake-hash"])
        let bulk = (0..<66_000).map { UInt8(truncatingIfNeeded: $0 * 131 + ($0 >> 8) * 7) }
        let put = Put(kind: .pack, id: ObjectID(sha256(Array("pack".utf8))), totalBytes: bulk.count, offset: 0)
        let made = try first.request(.put(put), bulk: bulk[...], at: .zero)
        fromFirst += made.bytes
        let asked = try #require(pass(made.bytes, to: &second).requests.first)
        #expect(asked.request == .put(put))
        #expect(asked.bulk == bulk)
        let answer = Answer.stored(Stored(receivedBytes: 66_000, isDurable: true, generation: 5))
        let answered = try second.answer(asked.id, with: answer, at: .zero)
        fromSecond += answered
        #expect(pass(answered, to: &first).answers.map(\.answer) == [answer])
        #expect(fromFirst == fields["initiator"])
        #expect(fromSecond == fields["responder"])
        try later(&first, &second)
    }

    private func later(_ first: inout Session, _ second: inout Session) throws {
        var hashes = (SHA256Stream(), SHA256Stream())
        for number in 2..<16_402 as Range<UInt64> {
            let made = try first.request(.vault, at: .zero)
            made.bytes.withUnsafeBytes { hashes.0.append($0) }
            try #require(made.id == RequestID(number))
            let asked = made.bytes.withUnsafeBytes { second.handle(.received($0), at: .zero) }
            try #require(asked.requests.map(\.id) == [made.id])
            let answer = try second.answer(made.id, with: .vault(VaultState(exists: false)), at: .zero)
            answer.withUnsafeBytes { hashes.1.append($0) }
            let answered = answer.withUnsafeBytes { first.handle(.received($0), at: .zero) }
            try #require(answered.answers.count == 1)
        }
        #expect(hashes.0.finish().bytes == fields["initiator-later"])
        #expect(hashes.1.finish().bytes == fields["responder-later"])
    }
}
