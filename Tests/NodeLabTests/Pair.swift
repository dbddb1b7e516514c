import LabHarness

/// Two nodes of one owner: what is backed up on the laptop is kept by the nas.
struct Pair {
    let laptop: Member
    let laptopRuns: LabProcess
    let nas: Member
    var nasRuns: LabProcess
}

extension Household {
    /// Two nodes on the hosts of these names that have met; `settings` are further ones of the laptop's table `peers`.
    func makePair(_ settings: String = "") async throws -> Pair {
        let laptop = try member("laptop", "replicas = 1\n" + settings)
        try laptop.bakare("init")
        let laptopRuns = try await laptop.start()
        let nas = try member("nas", "")
        try nas.bakare("join", try laptop.bakare("invite", "--own-device", "--quiet"))
        let nasRuns = try await nas.start()
        try await eventually("nas is here") { try laptop.peers().contains { $0["online"] as? Bool == true } }
        return Pair(laptop: laptop, laptopRuns: laptopRuns, nas: nas, nasRuns: nasRuns)
    }

    /// The laptop is lost, all but its recovery key, which is in `paper` now: gives the empty node, on a host, that is to take its
    /// place.
    func lose(_ pair: Pair, for host: String) throws -> Member {
        let key = try pair.laptop.bakare("key", "export")
        try pair.laptopRuns.finish("KILL")
        try destroy("laptop")
        try write("paper", key)
        return try member(host, "")
    }
}
