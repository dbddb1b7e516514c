/// What a node's configuration says it is there for.
package enum Role: UInt8, Sendable, Hashable, CaseIterable {
    /// Publishes if it has sources, persists if it has room.
    case auto = 1
    /// Backs up, and stores nothing for others.
    case publisher = 2
    /// Stores for others, and backs up nothing.
    case persister = 3
    case both = 4

    /// As TXT records, `bakare.toml` and JSON name it.
    package var name: String {
        switch self {
        case .auto: "auto"
        case .publisher: "publisher"
        case .persister: "persister"
        case .both: "both"
        }
    }
}

/// What a node tells one peer of itself, so that both work out the same agreement. Sizes are in bytes.
package struct Offer: Sendable, Hashable {
    package var role: Role
    /// Free on the disk of its vaults.
    package var free: UInt64
    /// Of that, what it keeps for itself.
    package var reserve: UInt64
    /// The most that it will ever hold for this peer.
    package var quota: UInt64
    /// What it holds for this peer now, trash and uploads under way included.
    package var used: UInt64
    /// What it has granted this peer by the agreement in force; 0 if there is none.
    package var granted: UInt64
    /// What it has to place on others, once for each copy; 0 if it has nothing to back up.
    package var wanted: UInt64
    /// Of the vault that it keeps for this peer: raised by each sweep that removed something.
    package var generation: UInt64

    package init(
        role: Role, free: UInt64 = 0, reserve: UInt64 = 0, quota: UInt64 = 0, used: UInt64 = 0, granted: UInt64 = 0,
        wanted: UInt64 = 0, generation: UInt64 = 0
    ) {
        self.role = role
        self.free = free
        self.reserve = reserve
        self.quota = quota
        self.used = used
        self.granted = granted
        self.wanted = wanted
        self.generation = generation
    }
}
