import BackupFormat
import Cryptography
import PeerProtocol

/// A peer that has keys and a certificate like any other, and says whatever it likes: it seals raw messages itself.
struct LyingPeer: ~Copyable {
    var honest: End
    private var sending: CipherState
    private var receiving: CipherState

    private init(honest: consuming End, _ sending: consuming CipherState, _ receiving: consuming CipherState) {
        self.honest = honest
        self.sending = sending
        self.receiving = receiving
    }

    /// Opens a session with an honest side as far as keys; says hello if `hello`.
    static func open(
        _ setup: SessionSetup, _ key: NodeKey, _ certificate: Certificate?, hello: Bool = true
    ) throws -> LyingPeer {
        var end = End(setup)
        end.handle(.connected)
        let preamble = Array("bakarePP\u{1}\u{0}".utf8)
        var noise = HandshakeState(
            .xx, isInitiator: true, prologue: Array("bakare peer protocol v1".utf8) + preamble, staticKey: key,
            ephemeral: .random32())
        func framed(_ message: [UInt8]) -> [UInt8] { [UInt8(message.count >> 8), UInt8(message.count & 255)] + message }
        end.receive(preamble + framed(try noise.writeMessage([])))
        let reply = end.takeOutbox()
        _ = try reply[12...].withUnsafeBytes { bytes in Result { try noise.readMessage(bytes) } }.get()
        var payload = ProtobufWriter()
        if let certificate { payload.message(1, certificate.encode()) }
        payload.text(2, "liar 1", limit: 64)
        end.receive(framed(try noise.writeMessage(payload.bytes)))
        _ = end.takeEvents()
        var transport = noise.split()
        var peer = LyingPeer(honest: end, transport.takeSending(), transport.takeReceiving())
        if hello { try peer.say(.notice(.hello(Hello(offer: Offer(role: .auto))))) }
        _ = peer.honest.takeEvents()
        return peer
    }

    /// A record of exactly these bytes.
    mutating func record(_ plain: [UInt8]) throws {
        var text = plain + [UInt8](repeating: 0, count: CipherState.tagBytes)
        try text.withUnsafeMutableBytes { try sending.encrypt(inPlace: $0) }
        honest.receive([UInt8(text.count >> 8), UInt8(text.count & 255)] + text)
    }

    static func header(_ control: Int, _ bulk: Int) -> [UInt8] {
        [control, bulk].flatMap { count in [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: count >> $0) } }
    }

    mutating func say(control: [UInt8], bulk: [UInt8] = []) throws {
        let plain = LyingPeer.header(control.count, bulk.count) + control + bulk
        for start in stride(from: 0, to: plain.count, by: Limits.recordContentBytesMax) {
            try record(Array(plain[start..<min(plain.count, start + Limits.recordContentBytesMax)]))
        }
    }

    mutating func say(_ message: Message, bulk: [UInt8] = []) throws { try say(control: message.encode(), bulk: bulk) }

    /// What the honest side has said since it was listened to last: its messages' encoded parts.
    mutating func listen() throws -> [Message] {
        var wire = honest.takeOutbox()[...]
        var messages: [Message] = []
        while wire.count >= 2 {
            let count = Int(wire[wire.startIndex]) << 8 | Int(wire[wire.startIndex + 1])
            let sealed = Array(wire.dropFirst(2).prefix(count))
            wire = wire.dropFirst(2 + count)
            var plain = [UInt8](repeating: 0, count: sealed.count - CipherState.tagBytes)
            try plain.withUnsafeMutableBytes { plain in try sealed.withUnsafeBytes { try receiving.decrypt($0, into: plain) } }
            let control = plain[8...].prefix(Int(plain[2]) << 8 | Int(plain[3]))
            messages.append(try control.withUnsafeBytes { try Message(decoding: $0) })
        }
        return messages
    }
}
