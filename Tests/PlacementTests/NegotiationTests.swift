import BackupFormat
import Placement
import TestSupport
import Testing

private let gib: UInt64 = 1 << 30

@Suite("Agreements")
struct NegotiationTests {
    private let laptop = Offer(role: .auto, free: 0, wanted: 40 * gib)
    private let store = Offer(role: .auto, free: 500 * gib, reserve: 100 * gib, quota: .max)

    @Test("a laptop with files and no room, and a store with room and no files: one publishes, the other persists")
    func simplest() {
        let agreement = negotiate(mine: laptop, theirs: store)
        #expect(agreement == Agreement(storedHere: 0, storedThere: 400 * gib))
        #expect(agreement.isPublisherHere && !agreement.isPersisterHere)
    }

    @Test("two friends with files and room store for each other, each within its quota")
    func mutual() {
        let mine = Offer(role: .both, free: 100 * gib, quota: 10 * gib, wanted: gib)
        let theirs = Offer(role: .auto, free: 5 * gib, reserve: gib, quota: 50 * gib, wanted: gib)
        #expect(negotiate(mine: mine, theirs: theirs) == Agreement(storedHere: 10 * gib, storedThere: 4 * gib))
    }

    @Test("a disk that is too full is the reason for no agreement, and a role or a quota is not")
    func noRoom() {
        var full = Offer(role: .persister, free: 2 * gib + GrantLimits.beginBytes - 1, reserve: 2 * gib, quota: .max)
        #expect(negotiate(mine: full, theirs: laptop).storedHere == 0 && lacksRoom(by: full, for: laptop))
        full.free += 1
        #expect(negotiate(mine: full, theirs: laptop).storedHere == GrantLimits.beginBytes && !lacksRoom(by: full, for: laptop))
        // What is in force ends at half of that, so that it does not come and go.
        full.granted = GrantLimits.beginBytes
        full.free -= GrantLimits.endBytes
        #expect(!lacksRoom(by: full, for: laptop))
        full.free -= 1
        #expect(lacksRoom(by: full, for: laptop))
        full.role = .publisher
        #expect(!lacksRoom(by: full, for: laptop))
        let none = Offer(role: .persister, free: 0, quota: 0)
        #expect(!lacksRoom(by: none, for: laptop) && !lacksRoom(by: full, for: store))
    }

    @Test("what is said to be free is never more, and so near to it that room for an agreement is not overlooked")
    func announced() {
        for mib in stride(from: 0 as UInt64, through: 6_000, by: 7) {
            let (free, reserve) = ((mib << 20) + 12_345, UInt64(1000 << 20))
            let said = announcedFree(free, reserve: reserve)
            #expect(said <= free && free - said < 256 << 20)
            let persister = Offer(role: .persister, free: said, reserve: reserve, quota: .max)
            let isGranted = negotiate(mine: persister, theirs: laptop).storedHere > 0
            if free >= reserve + GrantLimits.beginBytes + (32 << 20) { #expect(isGranted, "\(mib) MiB") }
            if free < reserve + GrantLimits.beginBytes { #expect(!isGranted, "\(mib) MiB") }
        }
    }

    @Test("a role in the configuration is kept: a publisher stores nothing, a persister is stored nothing for")
    func roles() {
        var publisher = store
        publisher.role = .publisher
        publisher.wanted = gib
        #expect(negotiate(mine: publisher, theirs: laptop).storedHere == 0)
        var persister = laptop
        persister.role = .persister
        #expect(negotiate(mine: store, theirs: persister).storedHere == 0)
        var idle = laptop
        idle.wanted = 0
        #expect(negotiate(mine: store, theirs: idle) == Agreement(storedHere: 0, storedThere: 0))
    }

    @Test("both sides work out the same agreement, whatever they offer", arguments: 0..<50 as Range<UInt64>)
    func mirrored(seed: UInt64) {
        var choices = Choices(seed: seed)
        for _ in 0..<200 {
            let mine = choices.offer()
            let theirs = choices.offer()
            let agreement = negotiate(mine: mine, theirs: theirs)
            #expect(agreement.mirrored == negotiate(mine: theirs, theirs: mine))
            #expect(agreement.storedHere <= mine.quota)
            #expect(agreement.storedThere <= theirs.quota)
        }
    }

    @Test("an agreement that is in force follows from the offers that name it", arguments: 0..<50 as Range<UInt64>)
    func settled(seed: UInt64) {
        var choices = Choices(seed: seed)
        for _ in 0..<200 {
            var mine = choices.offer()
            let theirs = choices.offer()
            mine.granted = negotiate(mine: mine, theirs: theirs).storedHere
            let settled = negotiate(mine: mine, theirs: theirs).storedHere
            mine.granted = settled
            #expect(negotiate(mine: mine, theirs: theirs).storedHere == settled)
        }
    }

    @Test("free space that changes a little, and uploads, do not change an agreement", arguments: 0..<50 as Range<UInt64>)
    func stable(seed: UInt64) {
        var choices = Choices(seed: seed)
        var mine = store
        mine.free = 100 * gib + gib * UInt64(1 + choices.below(900))
        let granted = negotiate(mine: mine, theirs: laptop).storedHere
        #expect(granted == mine.free - mine.reserve)
        mine.granted = granted
        for _ in 0..<100 {
            var now = mine
            // An upload moves bytes from what is free to what is used; others take or leave up to a tenth.
            let uploaded = UInt64.random(in: 0...granted / 2, using: &choices)
            now.free -= uploaded
            now.used += uploaded
            let others = UInt64.random(in: 0...granted / 10, using: &choices)
            now.free = choices.below(2) == 0 ? now.free - others : now.free + others
            #expect(negotiate(mine: now, theirs: laptop).storedHere == granted)
        }
    }

    @Test("much more or much less room changes it, and a smaller quota at once")
    func changes() {
        var mine = store
        mine.granted = 400 * gib
        mine.free = 300 * gib
        #expect(negotiate(mine: mine, theirs: laptop).storedHere == 200 * gib)
        mine.free = 1000 * gib
        #expect(negotiate(mine: mine, theirs: laptop).storedHere == 900 * gib)
        mine.free = 500 * gib
        mine.quota = 399 * gib
        #expect(negotiate(mine: mine, theirs: laptop).storedHere == 399 * gib)
    }

    @Test("too little room begins no agreement, a small quota that was meant does, and a full disk keeps what it holds")
    func little() {
        var mine = Offer(role: .auto, free: GrantLimits.beginBytes - 1, quota: .max)
        #expect(negotiate(mine: mine, theirs: laptop).storedHere == 0)
        mine.quota = 10 << 20
        #expect(negotiate(mine: mine, theirs: laptop).storedHere == 10 << 20)
        mine = Offer(role: .auto, free: gib, reserve: gib, quota: .max, used: 50 << 20, granted: 20 * gib)
        #expect(negotiate(mine: mine, theirs: laptop).storedHere == 50 << 20)
    }
}
