// Prints the tables of docs/DURABILITY.md. The same figures each time: every simulation has its seed.
//
//     DurabilityTable
internal import Durability

@main
struct DurabilityTable {
    static func main() {
        storj()
        backblaze()
        pieces()
        households()
    }

    private static func storj() {
        print("Storj, section 3.4: durability over a month at 10 % churn\n")
        printTable(
            ["k", "n", "expansion", "here, %", "printed, %"],
            Published.storjPercent.map { scheme, percent in
                [
                    "\(scheme.needed)", "\(scheme.pieces)", formatted("%.1f", scheme.expansion),
                    formatted("%.13f", 100 - 100 * storjLoss(scheme, churn: 0.1)), formatted("%.13f", percent),
                ]
            })
        print("Storj, section 7.3: what repair sends a month, as a multiple of what is stored; nines with 11.9 hours to repair\n")
        printTable(
            ["lifetime, months", "k", "n", "m", "here", "printed", "loss here", "nines printed"],
            Published.storjRepair.map { repair, ratio, nines in
                [
                    formatted("%.0f", repair.lifetimeMonths), "\(repair.scheme.needed)", "\(repair.scheme.pieces)",
                    "\(repair.threshold)", formatted("%.2f", repair.bandwidthRatio), formatted("%.2f", ratio),
                    chance(repair.lossRate(reconstructionMonths: 11.9 / (30.4 * 24))), "\(nines)",
                ]
            })
    }

    private static func backblaze() {
        let year = Published.backblazeYear
        print("Backblaze, README: 4 data and 2 parity shards, 10 % of them fail in a year, 1 day to replace; here / printed\n")
        printTable(
            ["failures", "exactly, a day", "at least, a day", "annual loss", "durability"],
            Published.backblazeRows.map { row in
                func pair(_ format: String, _ here: Double, _ printed: Double) -> String {
                    formatted(format, here) + " / " + formatted(format, printed)
                }
                let annual = year.inYear(atLeast: row.failures)
                return [
                    "\(row.failures)", pair("%.3e", year.inPeriod(exactly: row.failures), row.exactly),
                    pair("%.3e", year.inPeriod(atLeast: row.failures), row.atLeast), pair("%.3e", annual, row.annualLoss),
                    pair("%.15f", 1 - annual, row.durability),
                ]
            })
        print("A Vault of 17 + 3: annual durability\n")
        let variants = [(0.00405, 6.5), (0.00405, 3), (0.01, 6.5), (0.01, 3)]
        printTable(
            ["failures a year", "rebuild, days", "Poisson", "binomial", "rounded"],
            variants.map { rate, days in
                let year = ShardYear(shards: 20, annualFailureRate: rate, rebuildDays: days)
                let poisson = 1 - year.inYearByPoisson(atLeast: Published.vaultFailures)
                return [
                    formatted("%.3f %%", rate * 100), formatted("%.1f", days), formatted("%.14f", poisson),
                    formatted("%.14f", 1 - year.inYear(atLeast: Published.vaultFailures)), formatted("%.11f", poisson),
                ]
            })
    }

    private static func pieces() {
        print("Pieces that fail twice a year and take 20 days to make again: chance to lose data within a year\n")
        let schemes = [(1, 1), (1, 2), (1, 3), (1, 4), (2, 4), (3, 6), (2, 6), (4, 8), (10, 20)].map {
            Scheme(needed: $0.0, pieces: $0.1)
        }
        let mean = 20.0 / 365
        let trials = 40_000
        printTable(
            ["k", "n", "mean time to loss, years", "chain", "simulated", "95 % interval", "always 20 days", "95 % interval"],
            schemes.map { scheme in
                let chain = PieceChain(scheme, failureRate: 2, repairRate: 1 / mean)
                func simulated(_ repair: RepairTime) -> [String] {
                    let loss = PieceSimulation(scheme, failureRate: 2, repair: repair).loss(within: 1, trials: trials, seed: 1)
                    return [formatted("%.5f", loss.value), formatted("%.5f", loss.low) + "…" + formatted("%.5f", loss.high)]
                }
                return ["\(scheme.needed)", "\(scheme.pieces)", formatted("%.4g", chain.meanYears)]
                    + [formatted("%.5f", chain.annualLoss)] + simulated(.exponential(mean: mean)) + simulated(.fixed(mean))
            })
    }
}
