// The simulator's command line: hands out seeds to processes of their own, repeats and shrinks those that fail, and counts.
//
// It decides nothing of what is simulated; that is `Simulation`'s.
internal import Glibc
internal import Simulation

/// What the command line asks for.
struct Options {
    var first: UInt64 = 1
    var count: UInt64 = 1
    var workers = 1
    var size: (machines: Int, days: Int)?
    var pace: Pace?
    var without: Set<Int> = []
    var isTraced = false
    var shrinks = true
    var secondsMax: Int?
    /// The process does the work itself, and prints lines for the one that started it.
    var isWorker = false
    /// The bug that is switched on, in a build that has them.
    var mutant: String?
    /// No seed is begun after one in which one of these checkers has found something.
    var endsWith: [String] = []
    var checksMutants = false

    static let usage = """
        usage: Simulations/run [--seed N | --seeds COUNT [--first N]] [--workers N] [--size MACHINES,DAYS] [--pace busy|calm]
                               [--seconds N] [--trace] [--without LIST] [--no-shrink] [--mutants | --mutant NAME]
          --seed N        one seed; with --trace, every step of it in words
          --seeds COUNT   so many seeds from --first on (default: 1)
          --seconds N     begin no seed after so many seconds
          --size M,D      M machines and D days in place of what each seed draws
          --pace P        busy or calm lives, in place of what each seed draws, or of busy ones with --size
          --without LIST  leave out these acts of the plan, by number, separated by commas
          --mutants       (make mutants) for each bug made on purpose, seeds until one finds it
          --mutant NAME   the same for one of them
        """

    init(_ arguments: [String]) throws(UsageError) {
        var words = arguments[...]
        func number(_ flag: String) throws(UsageError) -> UInt64 {
            guard let word = words.popFirst(), let number = UInt64(word) else { throw UsageError("\(flag) needs a number") }
            return number
        }
        while let word = words.popFirst() {
            switch word {
            case "--seed":
                first = try number(word)
                count = 1
            case "--seeds": count = try number(word)
            case "--first": first = try number(word)
            case "--workers": workers = max(1, Int(clamping: try number(word)))
            case "--seconds": secondsMax = Int(clamping: try number(word))
            case "--trace": isTraced = true
            case "--no-shrink": shrinks = false
            case "--worker": isWorker = true
            case "--mutant": mutant = words.popFirst()
            case "--mutants": checksMutants = true
            case "--size":
                let parts = (words.popFirst() ?? "").split(separator: ",").compactMap { Int($0) }
                guard parts.count == 2, parts[0] > 0, parts[1] > 0 else { throw UsageError("--size needs MACHINES,DAYS") }
                size = (parts[0], parts[1])
            case "--pace":
                pace = words.popFirst().flatMap { Pace(rawValue: $0) }
                guard pace != nil else { throw UsageError("--pace needs busy or calm") }
            case "--without":
                let parts = (words.popFirst() ?? "").split(separator: ",")
                without = Set(parts.compactMap { Int($0) })
                guard without.count == parts.count else { throw UsageError("--without needs numbers, separated by commas") }
            default: throw UsageError("what is \(word)?")
            }
        }
    }
}

struct UsageError: Error {
    let text: String
    init(_ text: String) { self.text = text }
}

@main struct Simulate {
    static let folder = "/tmp/bakare-simulation"

    static func main() {
        do throws(UsageError) {
            let options = try Options(Array(CommandLine.arguments.dropFirst()))
            if options.isWorker { return work(options) }
            #if MUTANTS
                if options.checksMutants || options.mutant != nil { exit(MutationCheck(options).run()) }
            #else
                if options.checksMutants || options.mutant != nil { throw UsageError("this build has no mutants: make mutants") }
            #endif
            var coordinator = Coordinator(options)
            exit(coordinator.run())
        } catch {
            writeLine("\(error.text)\n\(Options.usage)")
            exit(64)
        }
    }

    static func plan(_ seed: UInt64, _ options: Options) -> Plan {
        var plan = Plan(seed: seed, size: options.size, pace: options.pace)
        plan.acts = plan.acts.enumerated().filter { !options.without.contains($0.offset) }.map(\.element)
        return plan
    }

    /// Runs seeds one after the other; a line for each.
    static func work(_ options: Options) {
        for seed in options.first..<options.first + options.count {
            let trace: ((String) -> Void)? = options.isTraced ? { writeLine($0) } : nil
            let plan = plan(seed, options)
            if options.isTraced {
                for (index, planned) in Plan(seed: seed, size: options.size, pace: options.pace).acts.enumerated() {
                    writeLine("act \(index): \(planned)")
                }
            }
            mkdir(folder, 0o700)
            let result = Swarm(plan, folder: folder, trace: trace).run()
            writeLine(Report(seed, result).line)
        }
    }
}
