internal import BackupFormat

/// Deliberate bugs, in a build with `BAKARE_MUTANTS=1` alone: to find out whether the checkers find them.
package enum Mutants {
    /// None in other builds.
    package static var names: [String] {
        #if BAKARE_MUTANTS
            Mutant.allCases.map(\.rawValue)
        #else
            []
        #endif
    }

    /// Lets the bug of that name in, for the rest of the process's life; false if there is none.
    package static func choose(_ name: String) -> Bool {
        #if BAKARE_MUTANTS
            guard let mutant = Mutant(rawValue: name) else { return false }
            chosenMutant = mutant
            return true
        #else
            return false
        #endif
    }
}
