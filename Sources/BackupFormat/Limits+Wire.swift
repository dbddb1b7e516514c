/// Bounds of what peers say to each other. A session that meets more ends. Sizes are in bytes.
extension Limits {
    /// One Noise message, as its length prefix counts it: ciphertext and tag.
    package static let recordBytesMax = 65_535
    /// What a full record carries: ``recordBytesMax`` less the tag.
    package static let recordContentBytesMax = 65_519
    /// One message of a handshake; so nobody unknown makes a node hold more.
    package static let handshakeRecordBytesMax = 2048
    /// Records under one key, for each direction: at most 1 GiB.
    package static let recordsPerKey: UInt64 = 1 << 14

    /// The encoded part of a message.
    package static let controlBytesMax = 72 << 10
    /// The encoded part of a notice.
    package static let noticeBytesMax = 1024
    /// The raw bytes that follow the encoded part.
    package static let bulkBytesMax = 1 << 20
    /// The encoded part of any message of a peer that is not paired.
    package static let strangerControlBytesMax = 4096
    /// Identifiers in one list of a message.
    package static let idsMax = 1024
    /// Requests that a side may have open, those being answered included.
    package static let requestsMax = 64
    /// Bytes of requests and answers that a side may send before it is given more credit.
    package static let creditBytesInitial = 2 << 20
    /// Credit that a side may have at most.
    package static let creditBytesMax = 64 << 20
    /// Notices but for credit: as many at once, and then one a second.
    package static let noticesMax = 32
    /// Packs that one audit asks for.
    package static let auditPacksMax = 64
    /// The name of a program and its version.
    package static let agentBytesMax = 64
    /// Words for people, in an error or farewell.
    package static let reasonBytesMax = 512
    /// Keys that are handed to a new device of the owner.
    package static let admittedKeyBytesMax = 1024
}
