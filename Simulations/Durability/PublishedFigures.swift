/// Figures that others have printed, each with where: the models must give the same digits.
package enum Published {
    /// Storj: A Decentralized Cloud Storage Network Framework, v3.1 (2019), section 3.4, the three tables of P(D | p = 10 %).
    /// https://github.com/storj/whitepaper, storjv3.tex, at commit 36cdb4e017704d7d48b1e57ca40d553b80de4075.
    package static let storjPercent: [(scheme: Scheme, percent: Double)] = [
        (Scheme(needed: 2, pieces: 4), 99.207366813274616),
        (Scheme(needed: 4, pieces: 8), 99.858868985411326),
        (Scheme(needed: 8, pieces: 16), 99.995462406878260),
        (Scheme(needed: 16, pieces: 32), 99.999994620652776),
        (Scheme(needed: 20, pieces: 40), 99.999999807694154),
        (Scheme(needed: 32, pieces: 64), 99.999999999990544),
        (Scheme(needed: 1, pieces: 1), 90.483741803595962),
        (Scheme(needed: 1, pieces: 2), 98.247690369357827),
        (Scheme(needed: 1, pieces: 3), 99.640050681691051),
        (Scheme(needed: 1, pieces: 10), 99.999988857452166),
        (Scheme(needed: 1, pieces: 16), 99.999999998036174),
        (Scheme(needed: 4, pieces: 6), 97.688471224736705),
        (Scheme(needed: 4, pieces: 12), 99.999514117129605),
        (Scheme(needed: 20, pieces: 30), 99.970766304935266),
        (Scheme(needed: 20, pieces: 50), 99.999999999999548),
        (Scheme(needed: 100, pieces: 150), 99.999999999973570),
    ]

    /// The same paper, section 7.3 "Choosing erasure parameters", the decision table: repair bandwidth ratio and nines.
    /// https://github.com/storj/whitepaper, RS-appendix-files/10000nodes.tex, at commit 14d00e8a3d5a2e6f3a8f4280ca74e556c00d0727.
    package static let storjRepair: [(repair: StorjRepair, ratio: Double, nines: Int)] = [
        (row(1, 20, 40, 35), 9.36, 8), (row(6, 20, 40, 30), 0.87, 17), (row(12, 20, 40, 25), 0.31, 13),
        (row(1, 30, 60, 35), 3.40, 4), (row(6, 30, 70, 40), 0.60, 15), (row(12, 30, 80, 45), 0.31, 25),
        (row(1, 40, 80, 60), 5.21, 4), (row(6, 40, 120, 50), 0.52, 14), (row(12, 40, 120, 45), 0.24, 11),
    ]

    private static func row(_ months: Double, _ needed: Int, _ pieces: Int, _ threshold: Int) -> StorjRepair {
        StorjRepair(scheme: Scheme(needed: needed, pieces: pieces), threshold: threshold, lifetimeMonths: months)
    }

    package typealias BackblazeRow = (
        failures: Int, exactly: Double, atLeast: Double, annualLoss: Double, durability: Double
    )
    /// Backblaze's durability.py for 4 data and 2 parity shards, failing at 0.10 a year and replaced in 1 day.
    /// https://github.com/Backblaze/erasure-coding-durability, README.md "Python code",
    /// at commit 00f6a701736b07f712b39524333cf3e35a1385a9.
    package static let backblazeYear = ShardYear(shards: 6, annualFailureRate: 0.10, rebuildDays: 1)
    package static let backblazeRows: [BackblazeRow] = [
        (6, 4.226e-22, 4.226e-22, 1.542e-19, 1.000000000000000),
        (5, 9.253e-18, 9.253e-18, 3.377e-15, 0.999999999999997),
        (4, 8.442e-14, 8.443e-14, 3.082e-11, 0.999999999969183),
        (3, 4.108e-10, 4.109e-10, 1.500e-07, 0.999999850032187),
        (2, 1.124e-06, 1.125e-06, 4.105e-04, 0.999589537729299),
        (1, 1.641e-03, 1.642e-03, 4.512e-01, 0.548811636094018),
        (0, 9.984e-01, 1.000e+00, 1.000e+00, 0.000000000000000),
    ]

    /// "Backblaze Durability Calculates at 99.999999999%", https://www.backblaze.com/blog/cloud-storage-durability/, the title and
    /// section "11 Nines Data Durability". Only the article's beginning could be read, and it has the result. That 4 of 20 shards
    /// must fail is how a Vault is made; 0.405 % a year and 6.5 days to rebuild are assumed, not read there.
    package static let vaultDurability = 0.99999999999
    package static let vaultYear = ShardYear(shards: 20, annualFailureRate: 0.00405, rebuildDays: 6.5)
    package static let vaultFailures = 4
}
