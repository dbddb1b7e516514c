/// Bounds of what a node keeps of its peers, and of what they can put into it. Sizes are in bytes.
extension Limits {
    /// Owners that a node has paired with.
    package static let friendsMax = 128
    /// Devices that a node keeps in mind, and of one owner.
    package static let devicesMax = 512
    package static let devicesPerOwnerMax = 32
    /// Addresses of one device, and in one invitation.
    package static let addressesMax = 16
    /// `host:port`: a host's name of up to 255 bytes, a colon, five digits.
    package static let addressBytesMax = 261
    /// Invitations that are open at once.
    package static let invitationsMax = 64
    /// How long an invitation may last.
    package static let invitationSecondsMax: Int64 = 366 * 86_400
    /// A friend's name, and the inviter's in an invitation.
    package static let peerNameBytesMax = 255
    package static let peerBookBytesMax = 4 << 20
    /// An invitation before it becomes text, and the text that is looked at, white space included.
    package static let invitationBytesMax = 5 << 10
    package static let invitationTextBytesMax = 32 << 10
}
