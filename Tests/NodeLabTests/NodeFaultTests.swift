import LabHarness
import Testing

/// What happens to a peer.
enum Fault: CaseIterable {
    /// Its cable is pulled, and put back a minute later.
    case cut
    /// It is killed, and started again.
    case killed
    /// It has other addresses from one moment to the next.
    case moved
    /// It is suspended, for longer than anybody waits for a sign of life, a handshake, or for room to send.
    case stopped

    /// For how long nothing comes through.
    var seconds: Int {
        switch self {
        case .cut: 60
        case .killed: 6
        case .moved: 0
        case .stopped: 40
        }
    }

    func begin(at pair: Pair, _ house: Household) throws {
        switch self {
        case .cut: try house["nas"].plug(in: false)
        case .killed: try pair.nasRuns.finish("KILL")
        case .moved: try house.move("nas")
        case .stopped: try pair.nasRuns.signal("STOP")
        }
    }

    func end(at pair: inout Pair, _ house: Household) async throws {
        switch self {
        case .cut: try house["nas"].plug(in: true)
        case .killed: pair.nasRuns = try await pair.nas.start()
        case .moved: break
        case .stopped: try pair.nasRuns.signal("CONT")
        }
    }
}

/// The command to which it happens, in the middle of what that brings to the peer, or from there.
enum Transfer: CaseIterable {
    case backup
    /// By a command alone, on a new machine whose data is still with the peer.
    case restore
    /// By way of the node that runs on the same home, which has let go of its data.
    case restoreByNode
    /// With the data of all files.
    case recover

    func words(_ house: Household) -> [String] {
        switch self {
        case .backup: ["backup", "--wait", house.path("source")]
        case .restore, .restoreByNode: ["restore", "latest", "--target", house.path("restored")]
        case .recover: ["recover", "--all", "--key", house.path("paper")]
        }
    }
}

struct Trouble: CustomTestStringConvertible {
    let fault: Fault
    let transfer: Transfer

    var testDescription: String { "\(transfer), \(fault)" }

    static let all = Household.isLong ? long : [Trouble(fault: .killed, transfer: .restore)]
    private static let long = Fault.allCases.flatMap { fault in
        Transfer.allCases.map { Trouble(fault: fault, transfer: $0) }
    }

    /// What is backed up, and how fast its sender may be: 8 s or 13 s without trouble.
    static let bytes = Household.isLong ? 40_000_000 : 24_000_000
    static let rate = "24mbit"
}

extension NodeLabTests {
    @Test("whatever happens to the peer in the middle of a transfer, the command goes on and ends well", arguments: Trouble.all)
    func goesOn(_ trouble: Trouble) async throws {
        let (fault, transfer, bytes) = (trouble.fault, trouble.transfer, Trouble.bytes)
        let house = try await Household(["laptop", "nas", "new"])
        var pair = try await house.makePair(transfer == .restoreByNode ? "local_copy = \"1MiB\"\n" : "")
        try house.makeFiles("source", bytes: bytes)
        let member = try await prepare(transfer, pair, house)
        let (sender, receiver) = transfer == .backup ? ("laptop", "nas") : ("nas", member.host.name)
        try house.limit(to: Trouble.rate, on: sender)
        let before = try house.receivedBytes(by: receiver)
        func came() throws -> Int { try house.receivedBytes(by: receiver) - before }

        let command = try member.begin(transfer.words(house))
        try await house.eventually("a third of the data has come", within: 60) {
            guard command.isRunning else { throw LabError("it ended before anything happened: \(command.lines)") }
            return try came() > bytes / 3
        }
        try fault.begin(at: pair, house)
        var passed = try came()
        try #require(command.isRunning && passed < bytes / 3 * 2, "not in the middle: \(passed) bytes had come")
        if fault.seconds > 0 {
            // What was on its way still comes.
            let restless = min(5, fault.seconds / 2)
            try await Task.sleep(for: .seconds(restless))
            let settled = try came()
            try await Task.sleep(for: .seconds(fault.seconds - restless))
            passed = try came()
            #expect(passed - settled < bytes / 20, "\(passed - settled) bytes came from or to a peer that was not there")
        }
        try await fault.end(at: &pair, house)
        let status = try await command.end(within: 240)
        #expect(status == 0, "\(command.lines)\nlaptop: \(pair.laptopRuns.lines)\nnas: \(pair.nasRuns.lines)")
        #expect(try came() - passed > bytes / 5, "nearly all had come before")
        try house.limit(to: nil, on: sender)
        try await compare(transfer, member, pair, house)
    }

    /// What has to be there before; gives whose command it is.
    private func prepare(_ transfer: Transfer, _ pair: Pair, _ house: Household) async throws -> Member {
        if transfer == .backup { return pair.laptop }
        try pair.laptop.bakare("backup", "--wait", house.path("source"))
        if transfer == .restoreByNode {
            try await house.eventually("the data is with the nas alone", within: 60) {
                try (pair.laptop.json("status", "--json")["packs_with_peers_only"] as? Int ?? 0) > 0
            }
            return pair.laptop
        }
        let new = try house.lose(pair, for: "new")
        if transfer == .restore { try new.bakare("recover", "--key", house.path("paper")) }
        return new
    }

    /// Restores what was brought over, if that is still to be done, with nothing else at hand: it is what was backed up.
    private func compare(_ transfer: Transfer, _ member: Member, _ pair: Pair, _ house: Household) async throws {
        let restore = Transfer.restore.words(house)
        switch transfer {
        case .backup:
            let new = try house.lose(pair, for: "new")
            try await new.complete(["recover", "--key", house.path("paper")])
            try await new.complete(restore, within: 60)
        case .recover:
            try pair.nasRuns.finish("KILL")
            try await member.complete(restore, within: 60)
        case .restore, .restoreByNode: break
        }
        try house.expectEqual("source", "restored" + house.path("source"))
    }
}
