import LabHarness
import Testing

/// How bad the links of all hosts are, and how much goes over them.
struct Loss: CustomTestStringConvertible {
    let percent: Int
    let bytes: Int
    /// Of what each host sends, as `100mbit`.
    var rate: String?

    var testDescription: String { "\(percent) % of packets, \(bytes) bytes" }

    static let all = Household.isLong ? long : [Loss(percent: 10, bytes: 300_000)]

    /// As much as TCP brings over within minutes: at 20 % it mostly waits.
    private static let long = [
        Loss(percent: 1, bytes: 20_000_000), Loss(percent: 5, bytes: 8_000_000), Loss(percent: 10, bytes: 3_000_000),
        Loss(percent: 20, bytes: 2_000_000),
    ]
}

extension NodeLabTests {
    @Test("packets are dropped at random, both ways: backup, recover and restore end well", arguments: Loss.all)
    func packetsAreLost(_ loss: Loss) async throws { try await bringBack(loss, alsoAll: Household.isLong) }

    /// Backs files up, loses them, and brings them back: by `recover` and `restore`, and if `alsoAll` by `recover --all` as well.
    func bringBack(_ loss: Loss, alsoAll: Bool) async throws {
        let hosts = ["laptop", "nas", "new", "other"]
        let house = try await Household(hosts)
        let pair = try await house.makePair()
        try house.makeFiles("source", bytes: loss.bytes)
        for host in hosts {
            try house.limit(to: loss.rate, on: host)
            try house.drop(loss.percent, on: host)
        }
        try await carry(["backup", "--wait", house.path("source")], pair.laptop, to: "nas", loss.bytes, house)
        let new = try house.lose(pair, for: "new")
        try await new.complete(["recover", "--key", house.path("paper")])
        // Nothing of the files is here yet.
        let restore = ["restore", "latest", "--target"]
        try await carry(restore + [house.path("restored")], new, to: "new", loss.bytes, house)
        try house.expectEqual("source", "restored" + house.path("source"))
        if alsoAll {
            let other = try house.member("other", "")
            try await carry(["recover", "--all", "--key", house.path("paper")], other, to: "other", loss.bytes, house)
            // All of it is here now.
            try pair.nasRuns.finish("KILL")
            try await other.complete(restore + [house.path("restored again")])
            try house.expectEqual("source", "restored again" + house.path("source"))
        }
        // What went to the nas, and what came from it.
        #expect(try house.droppedPackets(on: "nas") > 0)
        #expect(try house.droppedPackets(on: "laptop") + house.droppedPackets(on: "new") > 0)
    }

    /// Runs a command to its end that brings so many bytes to a host.
    private func carry(_ command: [String], _ member: Member, to host: String, _ bytes: Int, _ house: Household) async throws {
        let before = try house.receivedBytes(by: host)
        try await member.complete(command)
        let came = try house.receivedBytes(by: host) - before
        #expect(came >= bytes, "\(command): only \(came) bytes came to \(host)")
    }
}
