internal import Simulation

/// One seed's result as a line: fields separated by tabs.
struct Report {
    var seed: UInt64
    var nodeDays: Int
    var steps: UInt64
    var digest: String
    var checker: String
    var text: String
    var counts: [String: Int]

    init(_ seed: UInt64, _ result: SwarmResult) {
        self.seed = seed
        nodeDays = result.nodeDays
        steps = result.steps
        digest = String(result.digest, radix: 16)
        checker = result.violation?.checker ?? ""
        text = result.violation?.text ?? ""
        counts = result.counts
    }

    var hasPassed: Bool { checker.isEmpty }

    private static let mark = "seed"

    var line: String {
        let numbers = counts.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ";")
        let text = text.map { $0 == "\t" || $0 == "\n" ? " " : $0 }
        return [Report.mark, "\(seed)", "\(nodeDays)", "\(steps)", digest, checker, String(text), numbers].joined(separator: "\t")
    }

    init?(line: String) {
        let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
        guard fields.count == 8, fields[0] == Report.mark, let seed = UInt64(fields[1]), let days = Int(fields[2]),
            let steps = UInt64(fields[3])
        else { return nil }
        self.seed = seed
        nodeDays = days
        self.steps = steps
        (digest, checker, text) = (fields[4], fields[5], fields[6])
        counts = [:]
        for pair in fields[7].split(separator: ";") {
            let parts = pair.split(separator: "=")
            if parts.count == 2, let number = Int(parts[1]) { counts[String(parts[0])] = number }
        }
    }
}
