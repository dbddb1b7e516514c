import Foundation
internal import Glibc
import Testing

/// JSON arrays that follow each other, as `--watch` writes them; the last one only if it is whole.
private func arrays(_ text: String) throws -> [[[String: Any]]] {
    var found: [[[String: Any]]] = []
    var lines: [Substring] = []
    for line in text.split(separator: "\n") {
        lines.append(line)
        guard line == "]" || line == "[]" else { continue }
        let whole = lines.joined(separator: "\n")
        guard let array = try JSONSerialization.jsonObject(with: Data(whole.utf8)) as? [[String: Any]] else {
            throw TestFailure("not a JSON array of objects: \(whole)")
        }
        found.append(array)
        lines = []
    }
    return found
}

/// A time of RFC 3339.
private func moment(_ value: Any?) -> Date? { (value as? String).flatMap { ISO8601DateFormatter().date(from: $0) } }

@Suite("Peers and invitations, by command") struct PeersCommandTests {
    /// All that docs/COMMANDS.md promises of a peer.
    private static let promised: Set<String> = [
        "id", "name", "owner_is_me", "trust", "online", "roles", "addresses", "free_bytes", "offered_bytes", "used_bytes",
        "packs", "snapshots", "kept_bytes", "granted_bytes", "last_seen", "last_proven", "damaged", "fingerprint",
    ]

    /// Two homes that are paired and run, and know that the other does.
    private func friends(_ scratch: Scratch) throws -> (mine: Home, me: RunningNode, theirs: Home, friend: RunningNode) {
        let mine = try Home.make(scratch.path("mine"), settings: onePeer)
        let theirs = try Home.make(scratch.path("theirs"), settings: onePeer)
        let me = try RunningNode(mine)
        try pair(mine, theirs)
        let friend = try RunningNode(theirs)
        try wait("the nodes meet") { try online(mine).count == 1 && online(theirs).count == 1 }
        return (mine, me, theirs, friend)
    }

    /// What a home's `peers --json` says of the only peer of that trust, which has all keys.
    private func peer(_ home: Home, _ trust: String) throws -> [String: Any] {
        let all = try home.succeed("peers", "--json").array().filter { $0["trust"] as? String == trust }
        guard all.count == 1 else { throw TestFailure("not one \(trust) peer but \(all)") }
        let missing = PeersCommandTests.promised.subtracting(all[0].keys)
        #expect(missing.isEmpty, "\(trust) lacks \(missing.sorted())")
        return all[0]
    }

    @Test("peers --json has all promised keys, of a friend who is here or away and an own device, with the node and without")
    func keys() throws {
        var random = Randomness.forTest("PeersCommand.keys")
        let scratch = try Scratch()
        defer { withExtendedLifetime(scratch) {} }
        try scratch.makeFolder("source").write("a", random.bytes(2_000_000))
        let (mine, me, theirs, friend) = try friends(scratch)
        try mine.expect(0, ["backup", "--wait", scratch.path("source")])
        try wait("it is proven") { try peer(mine, "friend")["last_proven"] is String }
        try wait("what is kept is told") { try peer(theirs, "friend")["kept_bytes"] as? Int ?? 0 > 2_000_000 }

        let here = try peer(mine, "friend")
        #expect((here["id"] as? String)?.count == 64 && (here["id"] as? String)?.allSatisfy(\.isHexDigit) == true)
        #expect((here["name"] as? String)?.isEmpty == false && (here["fingerprint"] as? String)?.isEmpty == false)
        #expect(here["owner_is_me"] as? Bool == false && here["online"] as? Bool == true && here["damaged"] as? Bool == false)
        #expect((here["roles"] as? [String])?.contains("persister") == true, "\(here)")
        #expect(here["addresses"] is [String])
        for key in ["free_bytes", "offered_bytes", "granted_bytes", "packs"] { #expect(here[key] as? Int ?? 0 > 0, "\(key)") }
        #expect(here["used_bytes"] as? Int ?? 0 > 2_000_000 && here["kept_bytes"] is Int && here["snapshots"] as? Int == 1)
        for key in ["last_seen", "last_proven"] {
            #expect(moment(here[key]).map { abs($0.timeIntervalSinceNow) < 300 } == true, "\(key): \(here)")
        }
        let inviter = try peer(theirs, "friend")
        #expect((inviter["roles"] as? [String])?.contains("publisher") == true, "\(inviter)")
        #expect((inviter["addresses"] as? [String])?.contains(me.address) == true, "\(inviter)")
        #expect(inviter["used_bytes"] as? Int == 0 && inviter["last_proven"] is NSNull, "\(inviter)")

        #expect(try friend.stop().code == 0)
        try wait("it is away") { try online(mine).isEmpty }
        let line = try mine.expect(0, ["invite", "--own-device"]).text.trimmingCharacters(in: .whitespacesAndNewlines)
        try Home(scratch.path("laptop")).succeed("join", line)
        for isRunning in [true, false] {
            if !isRunning { #expect(try me.stop().code == 0) }
            let away = try peer(mine, "friend")
            #expect(away["id"] as? String == here["id"] as? String && away["online"] as? Bool == false)
            #expect(away["roles"] as? [String] == [])
            for key in ["free_bytes", "kept_bytes", "granted_bytes"] { #expect(away[key] is NSNull, "\(key): \(away)") }
            #expect(away["used_bytes"] as? Int ?? 0 > 2_000_000 && moment(away["last_seen"]) != nil, "\(away)")
            let device = try peer(mine, "own")
            #expect(device["owner_is_me"] as? Bool == true && device["online"] as? Bool == false, "\(device)")
            let text = try mine.succeed("peers").text
            #expect(text.contains("TRUST") && text.contains("friend") && text.contains("own"), "\(text)")
            #expect(text.contains("does not run") != isRunning, "\(text)")
        }
    }

    @Test("peers --watch shows them again each second, and who goes; Ctrl-C ends it with 0, and a closed pipe by SIGPIPE")
    func watch() throws {
        let scratch = try Scratch()
        defer { withExtendedLifetime(scratch) {} }
        let (mine, me, _, friend) = try friends(scratch)
        let json = try mine.start("peers", "--watch", "--json")
        let text = try mine.start("peers", "--watch")
        func isOnline(_ array: [[String: Any]]) -> Bool? { array.first?["online"] as? Bool }
        try wait("the friend is shown twice") { try arrays(json.outputSoFar).filter { isOnline($0) == true }.count >= 2 }
        #expect(try friend.stop().code == 0)
        try wait("it is shown that the friend went") { try arrays(json.outputSoFar).last.flatMap(isOnline) == false }
        json.signal(SIGINT)
        let outcome = try json.finish(timeoutSeconds: 10)
        #expect(outcome.code == 0, "\(outcome.summary)")
        let shown = try arrays(outcome.text)
        #expect(Double(shown.count) <= outcome.seconds + 1.5, "\(shown.count) times in \(outcome.seconds) s")
        #expect(shown.allSatisfy { $0.count == 1 && PeersCommandTests.promised.isSubset(of: $0[0].keys) })
        #expect(outcome.text.hasSuffix("]\n") && outcome.errors.isEmpty, "\(outcome.summary)")

        try wait("people are shown it, too") { text.outputSoFar.components(separatedBy: "TRUST").count > 3 }
        #expect(!text.outputSoFar.contains("does not run"))
        let command = "'\(Home.program)' --home '\(mine.path)' peers --watch | head -n 1; exit ${PIPESTATUS[0]}"
        let words = ["/bin/bash", "-c", command].map { Bytes($0.utf8) }
        let piped = try Running(words, environment: ["PATH": "/usr/bin:/bin"]).finish(timeoutSeconds: 20)
        #expect(piped.code == 128 + Int(SIGPIPE) && piped.errors.isEmpty, "\(piped.summary)")
        #expect(try me.stop().code == 0)
        try wait("it is said that the node ended") { text.outputSoFar.contains("does not run") }
        text.signal(SIGTERM)
        let ended = try text.finish(timeoutSeconds: 10)
        #expect(ended.code == 0 && !ended.output.contains(0x1b), "\(ended.summary)")
    }

    @Test("an invitation may be used until it expires; then whoever joins is told so, or by the inviter if its clock is slow")
    func expires() throws {
        let scratch = try Scratch()
        defer { withExtendedLifetime(scratch) {} }
        let mine = try Home.make(scratch.path("mine"))
        let theirs = try Home.make(scratch.path("theirs"))
        let me = try RunningNode(mine)
        func invite(_ home: Home, _ expires: String) throws -> (line: String, secondsLeft: Double) {
            let made = try home.expect(0, ["invite", "--expires", expires, "--json"]).object()
            guard let line = made["invitation"] as? String, let until = moment(made["expires"]) else {
                throw TestFailure("no invitation: \(made)")
            }
            return (line, until.timeIntervalSinceNow)
        }
        #expect(try abs(invite(mine, "12h").secondsLeft - 12 * 3600) < 60)
        #expect(try abs(invite(mine, "7d").secondsLeft - 7 * 86_400) < 60)
        for (span, code, text) in [("0d", 64, "--expires"), ("soon", 64, "--expires"), ("2y", 1, "at most for a year")] {
            let outcome = try mine.run("invite", "--expires", span)
            #expect(outcome.code == code && outcome.errorText.contains(text) && outcome.output.isEmpty, "\(outcome.summary)")
        }

        // Commands as they ran two hours ago.
        let clock = try shiftedClock(seconds: -7200, in: scratch)
        func twoHoursAgo(_ home: Home) -> Home {
            var earlier = home
            earlier.extraEnvironment["LD_PRELOAD"] = clock
            return earlier
        }
        let old = try invite(twoHoursAgo(mine), "1h")
        #expect(abs(old.secondsLeft + 3600) < 60, "\(old.secondsLeft)")
        let late = try theirs.run("join", old.line)
        #expect(late.code == 1 && late.errorText.contains("has expired; ask for a new one"), "\(late.summary)")
        // It does not dial in vain.
        #expect(!late.errorText.contains("tried"), "\(late.summary)")
        let refused = try twoHoursAgo(theirs).run("join", old.line)
        #expect(refused.code == 1 && refused.errorText.contains("has expired; ask for a new one"), "\(refused.summary)")
        #expect(refused.errorText.contains("tried \(me.address)"), "\(refused.summary)")
        for home in [mine, theirs] { #expect(try home.succeed("peers", "--json").array().isEmpty) }

        let open = try invite(twoHoursAgo(mine), "3h")
        #expect(abs(open.secondsLeft - 3600) < 60, "\(open.secondsLeft)")
        try theirs.succeed("join", open.line)
        #expect(try peer(theirs, "friend")["trust"] as? String == "friend")
        #expect(try peer(mine, "friend")["trust"] as? String == "friend")
        #expect(try me.stop().code == 0)
    }
}
