/// What a backup's JSON says of files that it could not read, by path.
func problems(_ outcome: Outcome) throws -> [String: (operation: String, reason: String)] {
    var found: [String: (operation: String, reason: String)] = [:]
    for problem in try outcome.object()["errors"] as? [[String: Any]] ?? [] {
        guard let path = problem["path"] as? String, let operation = problem["operation"] as? String,
            let reason = problem["reason"] as? String
        else { throw TestFailure("an error without path, operation or reason: \(problem)") }
        found[path] = (operation, reason)
    }
    return found
}
