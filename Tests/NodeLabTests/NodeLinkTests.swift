import Foundation
import LabHarness
import Testing

extension NodeLabTests {
    @Test("a link of 100 Mbit/s is used well while a large random file is backed up with --wait")
    func usesTheLink() async throws {
        let house = try await Household(["laptop", "nas"])
        let laptop = try await house.makePair().laptop
        let bytes = 240_000_000
        try house["laptop"].run("sh", "-c", "head -c \(bytes) /dev/urandom >'\(house.path("random"))'")
        try house.limit(to: "100mbit", on: "laptop")
        let before = try house.sentBytes(by: "laptop")
        let began = ContinuousClock.now
        let report = try laptop.json("backup", "--wait", "--json", house.path("random"))
        let took = (ContinuousClock.now - began) / .seconds(1)
        let sent = try house.sentBytes(by: "laptop") - before
        #expect(report["protected"] as? Bool == true)
        #expect(sent > bytes)
        let share = Double(sent) * 8 / 100_000_000 / took
        #expect(share >= 0.92, "\(sent) bytes in \(took) s: \(share) of the link")
        print("100 Mbit/s: \(sent) bytes in \(took) s, \(share) of the link")
    }

    @Test(
        "a link of 100 Mbit/s that drops a tenth of all packets, both ways: backup, recover and restore end well",
        .enabled(if: Household.isLong, Household.onlyLong))
    func dropsOnTheLink() async throws {
        try await bringBack(Loss(percent: 10, bytes: 4_000_000, rate: "100mbit"), alsoAll: false)
    }
}
