internal import Glibc
internal import Simulation

func clock_() -> Int { clock() }

@main struct Simulate {
    static func main() {
        let words = CommandLine.arguments.dropFirst()
        let first = UInt64(words.first ?? "1") ?? 1
        let count = UInt64(words.dropFirst().first ?? "1") ?? 1
        let isTraced = words.contains("--trace")
        for seed in first..<first + count {
            let clock = ContinuousClock()
            let began = clock.now
            let cpuBegan = clock_()
            let swarm = Swarm(Plan(seed: seed), folder: "/tmp/bakare-simulation", trace: isTraced ? { writeLine($0) } : nil)
            let result = swarm.run()
            let cpu = Double(clock_() - cpuBegan) / 1_000_000
            writeLine("seed \(seed): cpu \(cpu) \(result.violation.map { "\($0)" } ?? "passed"), \(result.nodeDays) node-days, \(result.steps) steps, digest \(String(result.digest, radix: 16)), \(clock.now - began)")
            if isTraced { for (kind, number) in result.counts.sorted(by: { $0.key < $1.key }) { writeLine("  \(kind): \(number)") } }
        }
    }
}
