package import BackupFormat

/// What two nodes have agreed on, seen from one of them. Sizes are in bytes.
package struct Agreement: Hashable, Sendable {
    /// What this node stores for the peer at most.
    package var storedHere: UInt64
    /// What the peer stores for this node at most.
    package var storedThere: UInt64

    package init(storedHere: UInt64, storedThere: UInt64) {
        self.storedHere = storedHere
        self.storedThere = storedThere
    }

    package var isPersisterHere: Bool { storedHere > 0 }
    package var isPublisherHere: Bool { storedThere > 0 }

    /// The same as the peer sees it.
    package var mirrored: Agreement { Agreement(storedHere: storedThere, storedThere: storedHere) }
}

/// What follows from both offers. Both nodes run this, each with its own offer first, and get mirrored results.
package func negotiate(mine: Offer, theirs: Offer) -> Agreement {
    #if MUTANTS
        var publisher = mine
        if Mutant.lopsidedNegotiation.isOn { publisher.role = .both }
        return Agreement(storedHere: grant(by: mine, to: theirs), storedThere: grant(by: theirs, to: publisher))
    #else
        return Agreement(storedHere: grant(by: mine, to: theirs), storedThere: grant(by: theirs, to: mine))
    #endif
}

/// A grant stays as it is while there is room for seven eighths of it to five quarters.
///
/// Room is what the persister has free beyond its reserve and what it holds for this peer already, so an upload changes
/// nothing; within the quota, which holds at once. Too little room begins no agreement (`beginBytes`), and one in force
/// goes down to what is held when there is even less (`endBytes`), unless the quota itself is smaller.
private func grant(by persister: Offer, to publisher: Offer) -> UInt64 {
    guard persister.role != .publisher, publisher.publishes, persister.quota > 0 else { return 0 }
    let (room, least) = (room(of: persister), leastRoom(of: persister))
    guard room >= least else { return persister.granted == 0 ? 0 : min(persister.used, persister.quota) }
    let granted = persister.granted
    let low = granted - granted / 8
    let high = saturatingSum(granted, granted / 4)
    if granted > 0, granted <= persister.quota, room >= low, room <= high { return granted }
    return room
}

private func room(of persister: Offer) -> UInt64 {
    let spare = persister.free > persister.reserve ? persister.free - persister.reserve : 0
    return min(persister.quota, saturatingSum(persister.used, spare))
}

private func leastRoom(of persister: Offer) -> UInt64 {
    min(persister.granted == 0 ? GrantLimits.beginBytes : GrantLimits.endBytes, persister.quota)
}

/// Whether it is only for want of room on the persister's disk that no agreement begins, or that one in force goes no further than what is
/// held: people should be told.
package func lacksRoom(by persister: Offer, for publisher: Offer) -> Bool {
    guard persister.role != .publisher, publisher.publishes, persister.quota > 0 else { return false }
    return room(of: persister) < leastRoom(of: persister)
}

/// What a node says to be free, in bytes, of `free`: rounded down, so that not every byte is news; by little where little is free beyond the
/// reserve, since an agreement begins at ``GrantLimits/beginBytes`` of it.
package func announcedFree(_ free: UInt64, reserve: UInt64) -> UInt64 {
    let spare = free > reserve ? free - reserve : 0
    let step: UInt64 = spare < 8 * GrantLimits.beginBytes ? 32 << 20 : 256 << 20
    return free / step * step
}

/// Below what room an agreement is not worth its name. Sizes are in bytes.
package enum GrantLimits {
    package static let beginBytes: UInt64 = 256 << 20
    package static let endBytes: UInt64 = 128 << 20
}

extension Offer {
    /// Whether the node backs up.
    fileprivate var publishes: Bool {
        switch role {
        case .auto: wanted > 0
        case .publisher, .both: true
        case .persister: false
        }
    }
}

func saturatingSum(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? .max : sum
}
