internal import BackupFormat

/// What a text of the user's means.
package enum FoundPeer: Sendable, Hashable {
    case friend(Friend)
    case device(KnownDevice)

    var owner: OwnerID {
        switch self {
        case .friend(let friend): friend.owner
        case .device(let device): device.owner
        }
    }

    /// For people: name, kind, and the beginning of the id.
    package var description: String {
        switch self {
        case .friend(let friend): "friend \(friend.name) \(friend.owner.hex.prefix(12))"
        case .device(let device): "device \(device.name) \(device.id.hex.prefix(12))"
        }
    }
}

extension PeerBook {
    /// The friend or device that `text` means: its name, its id, or at least four digits that its id begins with.
    ///
    /// A whole id always means who has it, whatever others call themselves. Where a friend and devices of that friend fit, the friend
    /// is meant; ``findDevice(_:)`` takes the device. Throws `unknownPeer`, or `ambiguous` and who fits.
    package func find(_ text: String) throws(PeerBookError) -> FoundPeer {
        let found = matches(text)
        let friends = found.filter { if case .friend = $0 { true } else { false } }
        if let friend = friends.first, friends.count == 1, found.allSatisfy({ $0.owner == friend.owner }) { return friend }
        return try theOnly(found, text)
    }

    /// The device that `text` means, among devices alone.
    package func findDevice(_ text: String) throws(PeerBookError) -> KnownDevice {
        let found = matches(text).filter { if case .device = $0 { true } else { false } }
        guard case .device(let device) = try theOnly(found, text) else { throw PeerBookError(.unknownPeer) }
        return device
    }

    /// The friend that `text` means, or whose device it means.
    package func findFriend(_ text: String) throws(PeerBookError) -> Friend {
        let found = matches(text).filter { friend($0.owner) != nil }
        let friends = found.filter { if case .friend = $0 { true } else { false } }
        // A friend's own name or id goes before those of devices.
        let first = try theOnly(friends.isEmpty ? onePerOwner(found) : friends, text)
        guard let friend = friend(first.owner) else { throw PeerBookError(.unknownPeer) }
        return friend
    }

    private func onePerOwner(_ found: [FoundPeer]) -> [FoundPeer] {
        var owners: Set<OwnerID> = []
        return found.filter { owners.insert($0.owner).inserted }
    }

    private func theOnly(_ found: [FoundPeer], _ text: String) throws(PeerBookError) -> FoundPeer {
        guard let first = found.first else { throw PeerBookError(.unknownPeer, shownName(text)) }
        guard found.count == 1 else {
            let shown = found.prefix(5).map(\.description) + (found.count > 5 ? ["and \(found.count - 5) more"] : [])
            throw PeerBookError(.ambiguous, shown.joined(separator: ", "))
        }
        return first
    }

    private func matches(_ text: String) -> [FoundPeer] {
        let all = friends.map { FoundPeer.friend($0) } + devices.map { FoundPeer.device($0) }
        let digits = text.lowercased()
        let whole = all.filter { $0.hex == digits }
        if !whole.isEmpty { return whole }
        return all.filter { $0.name == text || (digits.utf8.count >= 4 && $0.hex.hasPrefix(digits)) }
    }
}

extension FoundPeer {
    fileprivate var name: String {
        switch self {
        case .friend(let friend): friend.name
        case .device(let device): device.name
        }
    }

    fileprivate var hex: String {
        switch self {
        case .friend(let friend): friend.owner.hex
        case .device(let device): device.id.hex
        }
    }
}
