import BackupFormat
import Cryptography
import Foundation
import TestSupport
import Testing

/// The sessions of Tests/Vectors/noise.txt, which make-noise.py computed with an independent implementation.
struct NoiseVectors {
    private var fields: [String: [UInt8]] = [:]

    init() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: folder.appending(path: "Vectors/noise.txt"), encoding: .utf8)
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ", omittingEmptySubsequences: false)
            try #require(parts.count == 2)
            fields[String(parts[0])] = try unhex(String(parts[1]))
        }
    }

    func bytes(_ session: String, _ field: String) throws -> [UInt8] {
        try #require(fields["\(session).\(field)"], "\(session).\(field)")
    }

    /// One side, as the session's vectors say.
    func side(_ session: String, isInitiator: Bool) throws -> HandshakeState {
        let name = isInitiator ? "initiator" : "responder"
        let psk = fields["\(session).psk"]
        return HandshakeState(
            psk == nil ? .xx : .xxpsk3, isInitiator: isInitiator, prologue: try bytes(session, "prologue"),
            staticKey: NodeKey(seed: try #require(Bytes32(bytes: try bytes(session, "\(name)-seed")))),
            ephemeral: SecretBytes(try #require(Bytes32(bytes: try bytes(session, "\(name)-ephemeral")))),
            psk: SecretBytes(psk.flatMap { Bytes32(bytes: $0) } ?? .zero))
    }
}

extension HandshakeState {
    mutating func read(_ message: [UInt8]) throws -> [UInt8] {
        try message.withUnsafeBytes { message in Result { try readMessage(message) } }.get()
    }
}

extension CipherState {
    mutating func seal(_ plain: [UInt8]) throws -> [UInt8] {
        var text = plain + [UInt8](repeating: 0, count: CipherState.tagBytes)
        try text.withUnsafeMutableBytes { text in try encrypt(inPlace: text) }
        return text
    }

    mutating func open(_ sealed: [UInt8]) throws -> [UInt8] {
        var plain = [UInt8](repeating: 0, count: max(0, sealed.count - CipherState.tagBytes))
        try plain.withUnsafeMutableBytes { plain in try sealed.withUnsafeBytes { sealed in try decrypt(sealed, into: plain) } }
        return plain
    }
}

/// Both sides of a new session, each with keys of its own.
struct NoisePair: ~Copyable {
    var initiator: HandshakeState
    var responder: HandshakeState

    init(_ pattern: NoisePattern = .xx, prologues: ([UInt8], [UInt8]) = ([], []), psks: (Bytes32, Bytes32) = (.zero, .zero)) {
        initiator = HandshakeState(
            pattern, isInitiator: true, prologue: prologues.0, staticKey: .generate(), ephemeral: .random32(),
            psk: SecretBytes(psks.0))
        responder = HandshakeState(
            pattern, isInitiator: false, prologue: prologues.1, staticKey: .generate(), ephemeral: .random32(),
            psk: SecretBytes(psks.1))
    }

    /// Runs the handshake; `change` may alter each message, numbered from 1, on its way.
    mutating func run(_ change: (Int, [UInt8]) -> [UInt8] = { $1 }) throws {
        _ = try responder.read(change(1, try initiator.writeMessage([])))
        _ = try initiator.read(change(2, try responder.writeMessage([1, 2, 3])))
        _ = try responder.read(change(3, try initiator.writeMessage([4, 5])))
    }
}

@Suite("Noise")
struct NoiseTests {
    private let sessions = ["xx-bare", "xx-payloads", "psk-bare", "psk-payloads"]

    @Test("writes and reads the handshakes, messages and new keys of an independent implementation, byte for byte")
    func vectors() throws {
        let vectors = try NoiseVectors()
        for session in sessions {
            var initiator = try vectors.side(session, isInitiator: true)
            var responder = try vectors.side(session, isInitiator: false)
            for number in 1...3 {
                let payload = try vectors.bytes(session, "payload-\(number)")
                let message = try vectors.bytes(session, "message-\(number)")
                if number == 2 {
                    #expect(try responder.writeMessage(payload) == message, "\(session), message \(number)")
                    #expect(try initiator.read(message) == payload)
                } else {
                    #expect(try initiator.writeMessage(payload) == message, "\(session), message \(number)")
                    #expect(try responder.read(message) == payload)
                }
            }
            let hash = try vectors.bytes(session, "handshake-hash")
            #expect(initiator.handshakeHash == hash)
            #expect(responder.handshakeHash == hash)
            var mine = initiator.split()
            var theirs = responder.split()
            try transport(session, vectors, &mine, &theirs)
        }
    }

    private func transport(
        _ session: String, _ vectors: NoiseVectors, _ initiator: inout NoiseTransport, _ responder: inout NoiseTransport
    ) throws {
        var there = Direction(sending: initiator.takeSending(), receiving: responder.takeReceiving())
        var back = Direction(sending: responder.takeSending(), receiving: initiator.takeReceiving())
        for number in 1...12 {
            let text = try vectors.bytes(session, "text-\(number)")
            let sealed = try vectors.bytes(session, "sealed-\(number)")
            if number % 2 == 1 {
                #expect(try there.sending.seal(text) == sealed, "\(session), \(number)")
                #expect(try there.receiving.open(sealed) == text)
            } else {
                #expect(try back.sending.seal(text) == sealed, "\(session), \(number)")
                #expect(try back.receiving.open(sealed) == text)
            }
            if number == 4 || number == 8 {
                there.rekey()
                back.rekey()
            }
        }
    }

    private struct Direction: ~Copyable {
        var sending: CipherState
        var receiving: CipherState

        mutating func rekey() {
            sending.rekey()
            receiving.rekey()
        }
    }

    @Test("each side learns the other's static key")
    func remoteKeys() throws {
        let first = NodeKey.generate()
        let second = NodeKey.generate()
        var initiator = HandshakeState(.xx, isInitiator: true, prologue: [], staticKey: first, ephemeral: .random32())
        var responder = HandshakeState(.xx, isInitiator: false, prologue: [], staticKey: second, ephemeral: .random32())
        _ = try responder.read(try initiator.writeMessage([]))
        #expect(initiator.remoteStaticKey == nil)
        _ = try initiator.read(try responder.writeMessage([]))
        #expect(initiator.remoteStaticKey == second.agreementPublicKey)
        _ = try responder.read(try initiator.writeMessage([]))
        #expect(responder.remoteStaticKey == first.agreementPublicKey)
    }

    @Test("a handshake with any one byte changed, missing or added ends")
    func tampering() throws {
        for (pattern, lengths) in [(NoisePattern.xx, [32, 99, 66]), (.xxpsk3, [48, 99, 66])] {
            for number in 1...3 {
                for index in 0..<lengths[number - 1] {
                    var pair = NoisePair(pattern)
                    #expect(throws: CryptographyError.self, "message \(number), byte \(index)") {
                        try pair.run { turn, message in
                            #expect(message.count == lengths[turn - 1])
                            guard turn == number else { return message }
                            var message = message
                            // X25519 ignores the top bit of a public key; the handshake hash does not.
                            message[index] ^= index % 32 == 31 ? 0x80 : 1
                            return message
                        }
                    }
                }
            }
        }
        let changes: [([UInt8]) -> [UInt8]] = [{ Array($0.dropLast()) }, { _ in [] }, { Array($0.prefix(20)) }]
        for number in 1...3 {
            for change in changes {
                var pair = NoisePair()
                #expect(throws: CryptographyError.self) {
                    try pair.run { turn, bytes in turn == number ? change(bytes) : bytes }
                }
            }
        }
    }

    @Test("sides with other prologues or secrets do not agree")
    func mismatches() throws {
        var same = NoisePair(.xxpsk3, prologues: ([1], [1]), psks: (Bytes32.zero, .zero))
        try same.run()
        var prologues = NoisePair(prologues: ([1], [2]))
        #expect(throws: CryptographyError(.notGenuine, "read from the peer")) { try prologues.run() }
        var secrets = NoisePair(.xxpsk3, psks: (.random(), .random()))
        #expect(throws: CryptographyError(.notGenuine, "read from the peer")) { try secrets.run() }
        let isComplete = secrets.responder.isComplete
        #expect(!isComplete)
        #expect(throws: CryptographyError(.notGenuine, "agree on a session")) { try secrets.responder.read([1, 2, 3]) }
    }

    @Test("refuses public keys of low order, whose shared secret everyone knows")
    func lowOrder() throws {
        let points = [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ]
        for point in points {
            var responder = HandshakeState(.xx, isInitiator: false, prologue: [], staticKey: .generate(), ephemeral: .random32())
            _ = try responder.read(try unhex(point))
            #expect(throws: CryptographyError(.notGenuine, "agree on a key with the peer")) { try responder.writeMessage([]) }
        }
    }

    @Test("a message is read once, in its turn and unchanged; a refused one does not count")
    func transportOrder() throws {
        var choices = Choices(seed: 3)
        let key = choices.bytes32()
        var sender = CipherState(key: SecretBytes(key))
        var receiver = CipherState(key: SecretBytes(key))
        let first = try sender.seal([1])
        let second = try sender.seal([2, 3])
        #expect(throws: CryptographyError.self) { try receiver.open(second) }
        for index in first.indices {
            var changed = first
            changed[index] ^= 4
            #expect(throws: CryptographyError.self) { try receiver.open(changed) }
        }
        for count in 0..<first.count { #expect(throws: CryptographyError.self) { try receiver.open(Array(first.prefix(count))) } }
        #expect(try receiver.open(first) == [1])
        #expect(throws: CryptographyError.self) { try receiver.open(first) }
        sender.rekey()
        let third = try sender.seal([4])
        #expect(try receiver.open(second) == [2, 3])
        #expect(throws: CryptographyError.self) { try receiver.open(third) }
        receiver.rekey()
        #expect(try receiver.open(third) == [4])
    }

    @Test("never uses the nonce 2^64 - 1")
    func lastNonce() throws {
        var sender = CipherState(key: .random32(), nonce: .max - 1)
        _ = try sender.seal([])
        #expect(sender.nonce == .max)
        #expect(throws: CryptographyError(.exhausted, "send to the peer")) { try sender.seal([]) }
    }
}

@Suite("Proofs in a session")
struct SessionProofTests {
    @Test("the owner key's word in one session is worth nothing in another, nor for another owner")
    func recovery() throws {
        let owner = OwnerKey.generate()
        var choices = Choices(seed: 9)
        let hash = choices.bytes(64)
        let signature = owner.signRecovery(handshakeHash: hash)
        try verifyRecovery(signature, handshakeHash: hash, owner: owner.id)
        #expect(throws: CryptographyError(.notGenuine, "recover")) {
            try verifyRecovery(signature, handshakeHash: choices.bytes(64), owner: owner.id)
        }
        #expect(throws: CryptographyError(.notGenuine, "recover")) {
            try verifyRecovery(signature, handshakeHash: hash, owner: OwnerKey.generate().id)
        }
    }

    @Test("an invitation's name is the hash of its token under its own label")
    func invitations() {
        let token = Bytes32.random()
        #expect(invitationID(token: token) == sha256(Array("bakare invitation v1".utf8), token.bytes))
        #expect(invitationID(token: token) != invitationID(token: .random()))
    }
}
