package import BackupFormat

/// Why the book of peers was not changed, or could not be read: what, why, and what to do.
///
/// Pairing errors may be told to the peer: they name nothing that it does not know.
package struct PeerBookError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: Sendable, Hashable, CaseIterable {
        // Invitations and pairing.
        /// Never made here, used, or dropped after its time.
        case unknownInvitation
        case expired
        /// The invitation is this node's own.
        case thisNode
        /// An invitation for friends, between two devices of one owner.
        case sameOwner
        /// An invitation for a new device, to a node that has an owner.
        case otherOwner
        /// An invitation for a new device, to one that is a device of that owner.
        case alreadyDevice
        /// An invitation for friends, to a node that nobody has certified.
        case noCertificate
        /// A device id that is known with another key, or a key that is known with another device id.
        case otherDevice
        case blocked
        /// This node lacks the owner key, and cannot certify devices.
        case writeOnly
        /// What the inviter answered does not follow from the invitation.
        case falseAnswer
        /// As many friends or invitations as there may be.
        case full
        /// A time to live of nothing, or of more than a year.
        case badExpiry

        // Looking up.
        case unknownPeer
        /// More than one peer fits.
        case ambiguous

        // The file.
        /// Both copies are lost.
        case damaged
        /// The file was written by a later version.
        case laterVersion
        /// Another process has had the book for long.
        case locked
        /// The disk failed, or is full.
        case disk
    }

    package let code: Code
    /// What exactly: the peers that fit, the disk's error. May be empty.
    package let detail: String
    package let path: RawPath?

    package init(_ code: Code, _ detail: String = "", path: RawPath? = nil) {
        self.code = code
        self.detail = detail
        self.path = path
    }

    package var description: String {
        [path?.description ?? "", detail.isEmpty ? what : "\(what) (\(detail))"].filter { !$0.isEmpty }.joined(separator: ": ")
    }

    private var what: String {
        switch code {
        case .unknownInvitation: "this invitation is not known here, or it was used; ask for a new one"
        case .expired: "the invitation has expired; ask for a new one"
        case .thisNode: "the invitation is this node's own; use it on the other machine"
        case .sameOwner: "both nodes belong to the same owner, and know each other without pairing"
        case .otherOwner: "the node belongs to an owner already; to make it a device of another, use a new home (--home)"
        case .alreadyDevice: "the node is a device of that owner already"
        case .noCertificate: "the node has no owner yet; run `init` on it first"
        case .otherDevice: "that device id is known with another key: one of the two nodes lies; compare fingerprints"
        case .blocked: "the device is blocked"
        case .writeOnly: "this device is write-only and cannot admit devices; do it where the owner key is"
        case .falseAnswer: "the inviter's answer does not follow from its invitation; compare fingerprints, and ask for a new one"
        case .full: "as many are kept as there may be; let some go first"
        case .badExpiry: "an invitation lasts for at least a second, and at most for a year"
        case .unknownPeer: "no such peer; see `peers`"
        case .ambiguous: "more than one peer fits; give more of the id"
        case .damaged: "the book of peers and its copy are lost; put one of them back, or move both away and pair anew"
        case .laterVersion: "the book of peers is of a version that this program does not know; use a newer program"
        case .locked: "another process has the book of peers; look for a bakare-node that was stopped"
        case .disk: "the book of peers cannot be read or written"
        }
    }
}
