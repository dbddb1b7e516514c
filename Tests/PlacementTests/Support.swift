import BackupFormat
import TestSupport

extension Choices {
    /// Of any magnitude; often one of the ends.
    mutating func size() -> UInt64 {
        switch below(8) {
        case 0: 0
        case 1: .max
        default: next() >> UInt64(below(64))
        }
    }

    mutating func offer() -> Offer {
        Offer(
            role: Role.allCases[below(Role.allCases.count)], free: size(), reserve: size(), quota: size(), used: size(),
            granted: size(), wanted: size(), generation: size())
    }
}
