import BackupFormat
import Peers
import TestSupport
import Testing

@Suite("Accounts of space") struct ServeAccountsTests {
    @Test(
        "whatever owners and sessions ask for, no quota and no disk is promised more than once",
        arguments: 0..<40 as Range<UInt64>)
    func neverTooMuch(_ seed: UInt64) {
        var choices = Choices(seed: seed)
        var accounts = SpaceAccounts()
        let owners = (0..<3).map { _ in OwnerID(choices.bytes32()) }
        let quotas = owners.map { _ in choices.below(5000) }
        let capacity = 2000 + choices.below(8000)
        /// What stands on the disk for each: settled, and parts of claims.
        var settled = [0, 0, 0]
        var claims: [(owner: Int, bytes: Int, arrived: Int)] = []
        var reserved: [Int: (owner: Int, bytes: Int)] = [:]
        for step in 0..<400 {
            let index = choices.below(3)
            let owner = owners[index]
            let written = settled.reduce(0, +) + claims.reduce(0) { $0 + $1.arrived }
            let limits = SpaceLimits(quotaBytes: quotas[index], diskBytes: capacity - written)
            let session = choices.below(6)
            switch choices.below(8) {
            case 0, 1:
                let bytes = choices.below(900)
                // A session belongs to one owner.
                let isOwn = reserved[session].map { $0.owner == index } ?? true
                if accounts.claim(bytes, for: owner, session: isOwn ? session : nil, limits) {
                    claims.append((index, bytes, 0))
                    if isOwn, let found = reserved[session] { reserved[session]?.bytes = max(0, found.bytes - bytes) }
                }
            case 2 where !claims.isEmpty:
                let place = choices.below(claims.count)
                let more = choices.below(claims[place].bytes - claims[place].arrived + 1)
                claims[place].arrived += more
                accounts.arrived(more, for: owners[claims[place].owner])
            case 3 where !claims.isEmpty:
                let claim = claims.remove(at: choices.below(claims.count))
                if choices.below(2) == 0 {
                    accounts.park(claim.bytes, arrived: claim.arrived, for: owners[claim.owner])
                    settled[claim.owner] += claim.arrived
                } else {
                    accounts.arrived(-claim.arrived, for: owners[claim.owner])
                    accounts.settle(claim.bytes, for: owners[claim.owner], change: claim.bytes)
                    settled[claim.owner] += claim.bytes
                }
            case 4:
                if let found = reserved[session], found.owner != index { break }
                let asked = UInt64(choices.below(3) == 0 ? Int.max : choices.below(3000))
                let granted = accounts.reserve(asked, for: owner, session: session, limits)
                #expect(UInt64(granted) <= asked)
                reserved[session] = granted > 0 ? (index, granted) : nil
            case 5:
                accounts.end(session: session)
                reserved[session] = nil
            case 6:
                let gone = choices.below(settled[index] + 1)
                settled[index] -= gone
                accounts.changeSettled(-gone, for: owner)
            case 7 where settled[index] > 0:
                // Gone on with: what was parked becomes part of a claim.
                let parked = 1 + choices.below(settled[index])
                let bytes = parked + choices.below(500)
                if accounts.claim(bytes, for: owner, session: nil, limits, replacing: parked) {
                    settled[index] -= parked
                    claims.append((index, bytes, parked))
                }
            default:
                accounts.recount(owner, bytes: settled[index] + claims.reduce(0) { $0 + ($1.owner == index ? $1.arrived : 0) })
            }
            var promised = 0
            for (index, owner) in owners.enumerated() {
                let claimed = claims.reduce(0) { $0 + ($1.owner == index ? $1.bytes : 0) }
                let kept = reserved.values.reduce(0) { $0 + ($1.owner == index ? $1.bytes : 0) }
                #expect(accounts[owner].settledBytes == settled[index] && accounts[owner].claimedBytes == claimed, "step \(step)")
                #expect(accounts[owner].reservedBytes.values.reduce(0, +) == kept, "step \(step)")
                #expect(settled[index] + claimed + kept <= quotas[index], "seed \(seed), step \(step)")
                promised += settled[index] + claimed + kept
            }
            #expect(promised <= capacity, "seed \(seed), step \(step)")
        }
    }

    @Test("a full account gives all of its rest to one claim, and not a byte more")
    func toTheByte() {
        var choices = Choices(seed: 1)
        let owner = OwnerID(choices.bytes32())
        var accounts = SpaceAccounts()
        accounts.recount(owner, bytes: 900)
        let limits = SpaceLimits(quotaBytes: 1000, diskBytes: .max)
        func claim(_ bytes: Int, session: Int, _ limits: SpaceLimits) -> Bool {
            accounts.claim(bytes, for: owner, session: session, limits)
        }
        #expect(claim(101, session: 2, limits) == false)
        let granted = accounts.reserve(.max, for: owner, session: 1, limits)
        #expect(granted == 100)
        #expect(claim(1, session: 2, limits) == false)
        #expect(claim(100, session: 1, limits) == true)
        #expect(accounts[owner].reservedBytes == [:])
        #expect(claim(1, session: 1, limits) == false)
        accounts.settle(100, for: owner, change: 60)
        #expect(claim(40, session: 2, limits) == true)
        #expect(claim(1, session: 2, SpaceLimits(quotaBytes: 900, diskBytes: .max)) == false)
    }
}
