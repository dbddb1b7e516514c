package import BackupFormat

/// Who may take how many bytes more. A value: it reads no disk and no clock.
package struct SpaceLimits: Sendable {
    /// What is kept for the owner at most.
    package var quotaBytes: Int
    /// Free on the disk now, less what is to stay free; may be negative.
    package var diskBytes: Int

    package init(quotaBytes: Int, diskBytes: Int) {
        self.quotaBytes = quotaBytes
        self.diskBytes = diskBytes
    }
}

/// How many bytes of this node's disk each owner has, and has been promised.
///
/// Whoever is about to write claims first as much as may stand on the disk at any moment of it, and settles afterwards for what
/// does. So the files of an owner never exceed `settledBytes + claimedBytes`, and that never exceeds a quota.
package struct SpaceAccounts: Sendable {
    package struct Account: Sendable, Equatable {
        /// Files that nobody is working on.
        package var settledBytes = 0
        /// Promised to transfers and writes under way.
        package var claimedBytes = 0
        /// Of the claimed: what stands on the disk already.
        package var arrivedBytes = 0
        /// Kept free for sessions, by their numbers.
        package var reservedBytes: [Int: Int] = [:]

        /// What stands on the disk when nothing is being written.
        package var usedBytes: Int { saturating(settledBytes, arrivedBytes) }
    }

    private var accounts: [OwnerID: Account] = [:]

    package init() {}

    package subscript(owner: OwnerID) -> Account { accounts[owner] ?? Account() }

    /// What a count of the files found, those of claims included.
    package mutating func recount(_ owner: OwnerID, bytes: Int) {
        accounts[owner, default: Account()].settledBytes = max(0, bytes - self[owner].arrivedBytes)
    }

    /// Claims `bytes`, from the session's reservation first. `replacing` settled bytes become part of the claim: a transfer that
    /// goes on. False, and nothing has changed, if there is not that much.
    package mutating func claim(
        _ bytes: Int, for owner: OwnerID, session: Int?, _ limits: SpaceLimits, replacing parkedBytes: Int = 0
    ) -> Bool {
        precondition(bytes >= parkedBytes && parkedBytes >= 0)
        var account = self[owner]
        let parked = min(parkedBytes, account.settledBytes)
        let growth = bytes - parked
        let fromReservation = session.map { min(account.reservedBytes[$0] ?? 0, growth) } ?? 0
        guard growth - fromReservation <= room(for: owner, limits, besides: nil) else { return false }
        if let session, let reserved = account.reservedBytes[session] {
            account.reservedBytes[session] = reserved == fromReservation ? nil : reserved - fromReservation
        }
        account.settledBytes -= parked
        account.arrivedBytes += parkedBytes
        account.claimedBytes += bytes
        accounts[owner] = account
        return true
    }

    /// Bytes that nobody has or is promised, within the quota and on the disk; the reservation of `session` counts as free.
    private func room(for owner: OwnerID, _ limits: SpaceLimits, besides session: Int?) -> Int {
        #if MUTANTS
            if Mutant.ignoreQuota.isOn { return Int.max }
        #endif
        let account = self[owner]
        let own = session.flatMap { account.reservedBytes[$0] } ?? 0
        let reserved = account.reservedBytes.values.reduce(0, saturating)
        let taken = saturating(saturating(account.settledBytes, account.claimedBytes), reserved - own)
        let unwritten = accounts.values.reduce(0) { sum, account in
            saturating(sum, account.reservedBytes.values.reduce(account.claimedBytes - account.arrivedBytes, saturating))
        }
        let (quotaRoom, overflow) = limits.quotaBytes.subtractingReportingOverflow(taken)
        return min(overflow ? Int.min : quotaRoom, saturating(limits.diskBytes, own - unwritten))
    }

    /// More of a claim stands on the disk, or less.
    package mutating func arrived(_ bytes: Int, for owner: OwnerID) {
        accounts[owner, default: Account()].arrivedBytes += bytes
        precondition(self[owner].arrivedBytes >= 0, "less arrived than was taken away")
    }

    /// Gives up a claim of which nothing stands on the disk any more; what was settled has changed by so much.
    package mutating func settle(_ claimBytes: Int, for owner: OwnerID, change: Int) {
        #if MUTANTS
            if Mutant.releaseQuotaTwice.isOn { changeSettled(-claimBytes, for: owner) }
        #endif
        accounts[owner, default: Account()].claimedBytes -= claimBytes
        precondition(self[owner].claimedBytes >= 0, "more given up than was claimed")
        changeSettled(change, for: owner)
    }

    package mutating func changeSettled(_ bytes: Int, for owner: OwnerID) {
        accounts[owner, default: Account()].settledBytes = max(0, saturating(self[owner].settledBytes, bytes))
    }

    /// Gives up a claim, and leaves what has arrived of it on the disk.
    package mutating func park(_ claimBytes: Int, arrived: Int, for owner: OwnerID) {
        self.arrived(-arrived, for: owner)
        settle(claimBytes, for: owner, change: arrived)
    }

    /// Keeps room for a session, in place of what was kept before: what it asks for, or what there is. Answers how much.
    package mutating func reserve(_ bytes: UInt64, for owner: OwnerID, session: Int, _ limits: SpaceLimits) -> Int {
        let granted = min(Int(clamping: bytes), max(0, room(for: owner, limits, besides: session)))
        accounts[owner, default: Account()].reservedBytes[session] = granted > 0 ? granted : nil
        return granted
    }

    package mutating func end(session: Int) {
        for owner in accounts.keys.sorted() { accounts[owner]?.reservedBytes[session] = nil }
    }

    package mutating func remove(_ owner: OwnerID) { accounts[owner] = nil }

    /// All that is reserved, for everybody.
    package var reservedBytes: Int { accounts.values.reduce(0) { $1.reservedBytes.values.reduce($0, saturating) } }
    package var claimedBytes: Int { accounts.values.reduce(0) { saturating($0, $1.claimedBytes) } }
}

/// The sum, or the nearest number there is.
private func saturating(_ a: Int, _ b: Int) -> Int {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? (b > 0 ? Int.max : Int.min) : sum
}
