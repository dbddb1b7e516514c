package import BackupFormat
package import PeerProtocol

/// An owner that this node's owner has paired with.
package struct Friend: Sendable, Hashable {
    package let owner: OwnerID
    /// As ``shownName(_:)`` lets it; not empty. Another friend may have the same.
    package var name: String
    /// What this node keeps for them at most, in bytes.
    package var quotaBytes: UInt64
    /// What they keep for this node at most, as they said when they paired, in bytes.
    package var promisedBytes: UInt64
    /// Seconds since 1970.
    package var pairedAt: Int64
    /// When the agreement was ended, in seconds since 1970; nil while it is in force.
    package var unpairedAt: Int64?

    package var isPaired: Bool { unpairedAt == nil }
}

/// A node that has shown its certificate, in a session or when it was made.
package struct KnownDevice: Sendable, Hashable {
    /// Of this node's owner or of a friend.
    package var certificate: Certificate
    /// Where it may be, as ``isAddress(_:)`` lets it, likeliest first; at most ``Limits/addressesMax``.
    package var addresses: [String]
    /// Seconds since 1970.
    package var lastSeen: Int64
    package var isBlocked: Bool

    package var id: DeviceID { certificate.device }
    package var owner: OwnerID { certificate.owner }
    package var agreementKey: Bytes32 { certificate.agreementKey }
    /// For people.
    package var name: String { firstName([certificate.name], else: id.hex) }

    /// What the book is sorted by. Each owner names its own devices, and none can take another's place.
    var place: (OwnerID, DeviceID) { (owner, id) }
}

/// What an invitation makes of whoever joins. Raw values are stored.
package enum InvitationKind: UInt8, Sendable, Hashable, CaseIterable {
    case friend = 1
    /// Another device of the owner, which is given the owner key.
    case ownDevice = 2
    /// Another device of the owner, which may back up and no more.
    case writeOnlyDevice = 3
}

/// An invitation that was made here and not used.
package struct OpenInvitation: Sendable, Hashable {
    /// Secret: who has it may pair.
    package let token: Bytes32
    package let kind: InvitationKind
    /// What this node will keep for who joins at most, in bytes.
    package let quotaBytes: UInt64
    /// Seconds since 1970; from then on it is of no use.
    package let expires: Int64

    func isOpen(_ now: Int64) -> Bool { now < expires }
}

/// Whom a node knows, and what was agreed with them. A value: every decision on peers is a method of it, and a method that throws has
/// changed nothing.
///
/// All that a peer can put into it is bounded, and cleaned of what could act on a terminal.
package struct PeerBook: Sendable, Hashable {
    /// By owner id; at most ``Limits/friendsMax``. Those whose agreement was ended stay until ``remove(_:)``.
    package internal(set) var friends: [Friend] = []
    /// By owner id and device id; at most ``Limits/devicesMax``. No agreement key twice.
    package internal(set) var devices: [KnownDevice] = []
    /// By token; at most ``Limits/invitationsMax``.
    package internal(set) var invitations: [OpenInvitation] = []

    package init() {}

    /// Whom a session of a node of `owner` trusts.
    package func acquaintances(owner: OwnerID) -> Acquaintances {
        Acquaintances(
            owner: owner, friends: Set(friends.filter(\.isPaired).map(\.owner)),
            blocked: Set(devices.filter(\.isBlocked).map(\.agreementKey)))
    }

    // MARK: Invitations

    /// The tokens by which a session may be opened now.
    package func openTokens(now: Int64) -> [Bytes32] { invitations.filter { $0.isOpen(now) }.map(\.token) }

    /// Opens an invitation; `token` is 32 fresh random bytes. Those that have expired are dropped.
    package mutating func invite(
        kind: InvitationKind, quotaBytes: UInt64, expires: Int64, token: Bytes32, now: Int64
    ) throws(PeerBookError) {
        let (seconds, overflow) = expires.subtractingReportingOverflow(now)
        guard !overflow, seconds > 0, seconds <= Limits.invitationSecondsMax else { throw PeerBookError(.badExpiry) }
        let open = invitations.filter { $0.isOpen(now) && $0.token != token }
        guard open.count < Limits.invitationsMax else { throw PeerBookError(.full, "\(open.count) invitations are open") }
        invitations = open
        let place = invitations.firstIndex { $0.token > token } ?? invitations.count
        invitations.insert(OpenInvitation(token: token, kind: kind, quotaBytes: quotaBytes, expires: expires), at: place)
    }

    // MARK: Friends

    /// The friend, also one whose agreement was ended.
    package func friend(_ owner: OwnerID) -> Friend? { friends.first { $0.owner == owner } }

    /// Ends the agreement with a friend: none of its devices is trusted from now on. False if there is none in force.
    package mutating func unpair(_ owner: OwnerID, now: Int64) -> Bool {
        guard let index = friends.firstIndex(where: { $0.owner == owner && $0.isPaired }) else { return false }
        friends[index].unpairedAt = now
        return true
    }

    /// Forgets a friend whose agreement was ended, and its devices but for blocked ones. False if there is none such.
    package mutating func remove(_ owner: OwnerID) -> Bool {
        guard let index = friends.firstIndex(where: { $0.owner == owner && !$0.isPaired }) else { return false }
        friends.remove(at: index)
        devices.removeAll { $0.owner == owner && !$0.isBlocked }
        return true
    }

    /// Adds a friend, or agrees anew with one that is known: quota, promise and name are the new ones.
    mutating func agree(
        _ owner: OwnerID, name: String, quotaBytes: UInt64, promisedBytes: UInt64, now: Int64
    ) throws(PeerBookError) {
        if let index = friends.firstIndex(where: { $0.owner == owner }) {
            friends[index].name = name
            friends[index].quotaBytes = quotaBytes
            friends[index].promisedBytes = promisedBytes
            if !friends[index].isPaired { friends[index].pairedAt = now }
            friends[index].unpairedAt = nil
            return
        }
        guard friends.count < Limits.friendsMax else { throw PeerBookError(.full, "\(friends.count) friends") }
        let place = friends.firstIndex { $0.owner > owner } ?? friends.count
        friends.insert(
            Friend(
                owner: owner, name: name, quotaBytes: quotaBytes, promisedBytes: promisedBytes, pairedAt: now, unpairedAt: nil),
            at: place)
    }
}
