import BackupFormat
import Daemon
import Testing

@Test("offers that change all the time are said no more often than a peer puts up with, and the last one is said")
func announcements() throws {
    var budget = AnnouncementBudget()
    var said: [UInt64] = []
    // Ten changes a second, for a minute.
    for turn: UInt64 in 0..<600 where budget.take(at: 5_000_000_000 + turn * 100_000_000) { said.append(turn / 10) }
    #expect(said.count > AnnouncementBudget.atOnce + 25 && said.count <= AnnouncementBudget.atOnce + 30)
    // What the receiver allows: so many at once, then one a second.
    var left = Limits.noticesMax
    for second: UInt64 in 0..<60 {
        left = min(Limits.noticesMax, left + 1) - said.filter { $0 == second }.count
        #expect(left > 0)
    }
    let isAllowed = budget.take(at: 200_000_000_000)
    #expect(isAllowed, "after a while it may be said at once")
}
