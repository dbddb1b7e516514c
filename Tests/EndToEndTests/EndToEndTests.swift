// The program as a user meets it: the release binary as a child process on real folders, compared by code that shares
// nothing with the program's own (system calls alone).
//
// Must never call the program's modules: a bug that the tests and the program share would not show.
//
// BAKARE_TEST_SCALE (1 by default) multiplies how often the randomised tests try; BAKARE_TEST_SEED replays one run;
// BAKARE_TEST_PROGRAM names another binary; BAKARE_TEST_FOLDER another place for the temporary folders.
internal import Glibc
import Testing

/// How many times as much as a CI run the randomised tests do.
let testScale = max(1, environmentNumber("BAKARE_TEST_SCALE") ?? 1)

func environmentNumber(_ name: String) -> Int? {
    getenv(name).flatMap { Int(String(cString: $0)) }
}

func environmentText(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
}

/// Why a test could not go on.
struct TestFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Throws if a call of CLinux gave a negated errno.
@discardableResult
func checked<Number: SignedInteger>(_ result: Number, _ operation: String) throws -> Number {
    if result < 0 { throw TestFailure("\(operation): \(String(cString: strerror(Int32(-result))))") }
    return result
}
