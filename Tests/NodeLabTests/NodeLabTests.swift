import Foundation
import LabHarness
import Testing

/// Nodes on hosts of their own, with real Avahi daemons: nothing but what a user types. The machine's part is played by namespaces.
@Suite("Nodes in the lab", .serialized, .enabled(if: Household.obstacle == nil, Household.skipped))
struct NodeLabTests {
    @Test("four hosts: start, invite, join, backup; then the publisher is destroyed, and an empty fifth host recovers everything")
    func fourHosts() async throws {
        let house = try await Household(["laptop", "nas", "anna", "bert", "new"])
        let laptop = try house.member("laptop", "role = \"publisher\"\n")
        try laptop.bakare("init")
        let laptopRuns = try await laptop.start()
        let nas = try house.member("nas", "")
        try nas.bakare("join", try laptop.bakare("invite", "--own-device", "--quiet"))
        let nasRuns = try await nas.start()
        var friends: [Member] = []
        for name in ["anna", "bert"] {
            let friend = try house.member(name, "")
            try friend.bakare("init")
            try friend.bakare("join", try laptop.bakare("invite", "--quota", "1GB", "--quiet"), "--quota", "1GB")
            _ = try await friend.start()
            friends.append(friend)
        }
        try await house.eventually("all three are here") {
            try laptop.peers().filter { $0["online"] as? Bool == true }.count >= 3
        }

        try house.makeFiles("source")
        let report = try laptop.json("backup", "--wait", "--json", house.path("source"))
        #expect(report["replicas"] as? Int == 2)
        #expect(report["protected"] as? Bool == true)
        // The own device first.
        let holders = try laptop.peers().filter { ($0["used_bytes"] as? Int ?? 0) > 1_000_000 }
        #expect(holders.contains { $0["name"] as? String == "nas" })
        // A change, and a second snapshot.
        try house.changeFiles("source")
        #expect(try laptop.json("backup", "--wait", "--json", house.path("source"))["protected"] as? Bool == true)

        let key = try laptop.bakare("key", "export")
        try laptopRuns.finish("KILL")
        try house.destroy("laptop")
        let new = try house.member("new", "")
        try house.write("paper", key)
        let recovered = try new.json("recover", "--key", house.path("paper"), "--json")
        #expect(recovered["snapshots"] as? Int == 2)
        try new.bakare("restore", "latest", "--target", house.path("restored"))
        try house.expectEqual("source", "restored" + house.path("source"))
        // It goes on where the old one ended.
        _ = try await new.start()
        try await house.eventually("the peers are here") { try new.peers().filter { $0["online"] as? Bool == true }.count >= 2 }
        #expect(try new.json("backup", "--wait", "--json", house.path("source"))["protected"] as? Bool == true)
        try nasRuns.finish("TERM")
    }

    @Test("two nodes see each other within 3 s of start; a power cut at a peer is noticed within 15 s")
    func meetingAndPowerCut() async throws {
        let house = try await Household(["laptop", "nas"])
        let laptop = try house.member("laptop", "")
        try laptop.bakare("init")
        let runs = try await laptop.start()
        let nas = try house.member("nas", "")
        try nas.bakare("join", try laptop.bakare("invite", "--own-device", "--quiet"))
        let before = runs.lines.count
        let began = ContinuousClock.now
        let nasRuns = try await nas.start()
        try await runs.line("nas is connected", after: before, within: 3) { $0.contains("connected with nas") }
        #expect(ContinuousClock.now - began < .seconds(3))
        // The machine is gone without a word: not even the end of the connection is told.
        try house["nas"].plug(in: false)
        try nasRuns.signal("STOP")
        try await runs.line("nas is gone", after: before, within: 15) { $0.contains("the session with nas ended") }
        // And comes back as it was, without help.
        let gone = runs.lines.count
        try house["nas"].plug(in: true)
        try nasRuns.signal("CONT")
        try await runs.line("nas is back", after: gone, within: 30) { $0.contains("connected with nas") }
    }

    @Test(
        "packets are dropped at random, the link is cut, and a peer is stopped for longer than every time-out: the backup ends well"
    )
    func badNetwork() async throws {
        let house = try await Household(["laptop", "nas"])
        let pair = try await house.makePair()
        let (laptop, nasRuns) = (pair.laptop, pair.nasRuns)
        for percent in [1, 5, 10, 20] {
            try house.drop(percent, on: "nas")
            try house.makeFiles("source-\(percent)", bytes: percent > 5 ? 300_000 : 2_000_000)
            let report = try laptop.json("backup", "--wait", "--json", house.path("source-\(percent)"))
            #expect(report["protected"] as? Bool == true, "at \(percent) %")
            try house.drop(0, on: "nas")
        }
        // The peer moves to another address.
        try house.move("nas")
        try house.makeFiles("moved", bytes: 2_000_000)
        try laptop.bakare("backup", house.path("moved"))
        try await house.eventually("the peer is found where it is now", within: 60) {
            try laptop.snapshots().allSatisfy { $0["replicas"] as? Int == 1 }
        }
        // Cut off and stopped in the middle of a backup.
        try house.makeFiles("large", bytes: 30_000_000)
        let backup = try laptop.begin(["backup", "--wait", "--json", house.path("large")])
        try nasRuns.signal("STOP")
        try house["nas"].plug(in: false)
        try await Task.sleep(for: .seconds(16))
        try house["nas"].plug(in: true)
        try nasRuns.signal("CONT")
        let status = try backup.finish("CONT")
        #expect(status == 0, "\(backup.lines)\n\(pair.laptopRuns.lines)\n\(nasRuns.lines)")
        try await house.eventually("everything is there", within: 60) {
            try laptop.snapshots().allSatisfy { $0["replicas"] as? Int == 1 }
        }
    }
}
