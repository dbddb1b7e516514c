import LabHarness

/// What the links between the hosts are like, and what goes over them.
extension Household {
    private static let filters = ["iptables", "ip6tables"]

    /// Of every packet that comes in, so many of a hundred are lost; 0 for none.
    func drop(_ percent: Int, on name: String) throws {
        for filter in Household.filters {
            try self[name].run(filter, "-F", "INPUT")
            guard percent > 0 else { continue }
            try self[name].run(
                filter, "-A", "INPUT", "-i", "eth0", "-m", "statistic", "--mode", "random", "--probability",
                "\(Double(percent) / 100)", "-j", "DROP")
        }
    }

    /// How many were lost there since.
    func droppedPackets(on name: String) throws -> Int {
        var packets = 0
        for filter in Household.filters {
            let listing = try self[name].run(filter, "-n", "-v", "-x", "-L", "INPUT")
            let rule = listing.split(separator: "\n").first { $0.contains(" DROP ") }
            guard let figure = rule?.split(whereSeparator: \.isWhitespace).first, let count = Int(figure) else {
                throw LabError("nothing is dropped on \(name): \(listing)")
            }
            packets += count
        }
        return packets
    }

    /// What a host sends goes out at this rate at most, as `24mbit`; nil for as fast as it can.
    func limit(to rate: String?, on name: String) throws {
        // There may be no limit to take away.
        _ = try? self[name].run("tc", "qdisc", "del", "dev", "eth0", "root")
        guard let rate else { return }
        try self[name].run(
            "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "64kb", "latency", "50ms")
    }

    /// The host has another address of each protocol from now on, and none of those that it had.
    func move(_ name: String) throws {
        for (family, address) in [("-6", "fe80::77/64"), ("-4", "10.77.0.77/24")] {
            for line in try self[name].run("ip", family, "-o", "addr", "show", "dev", "eth0").split(separator: "\n") {
                // As in `2: eth0 inet 10.77.0.2/24 scope global eth0`.
                let words = line.split(whereSeparator: \.isWhitespace)
                guard words.count > 3 else { throw LabError("no address of \(name): \(line)") }
                try self[name].run("ip", "addr", "del", String(words[3]), "dev", "eth0")
            }
            try self[name].run("ip", "addr", "add", address, "dev", "eth0")
        }
    }

    /// Bytes that have come to a host, headers included.
    func receivedBytes(by name: String) throws -> Int { try trafficFigure(0, of: name) }

    /// Bytes that have left a host, headers included, as a limit on the link counts them.
    func sentBytes(by name: String) throws -> Int { try trafficFigure(8, of: name) }

    /// Of the figures after the name, the first eight are of what came in.
    private func trafficFigure(_ index: Int, of name: String) throws -> Int {
        let line = try self[name].run("grep", "eth0:", "/proc/net/dev")
        let figures = line.split(separator: ":").last?.split(whereSeparator: \.isWhitespace) ?? []
        guard figures.count > index, let figure = Int(figures[index]) else { throw LabError("no figures of \(name): \(line)") }
        return figure
    }
}
