internal import BackupFormat
internal import Foundation

/// The committed vectors of the formats: Tests/Vectors/FORMAT.txt, a name and hexadecimal bytes a line.
package enum Vectors {
    /// The folder Tests.
    package static let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    package static func read(_ format: String) throws -> [(name: String, bytes: [UInt8])] {
        try text("Vectors/\(format).txt").split(separator: "\n").map { line in
            let fields = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
            guard fields.count == 2, let bytes = hexadecimalBytes(fields[1]) else {
                throw BrokenPromise(description: "Tests/Vectors/\(format).txt is malformed")
            }
            return (fields[0], bytes)
        }
    }

    /// The text of a file under Tests.
    package static func text(_ path: String) throws -> String {
        String(decoding: try contents("\(tests)/\(path)"), as: UTF8.self)
    }

    package static func contents(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }

    /// The committed inputs that once broke a promise of the target.
    package static func regressions(_ target: String) throws -> [(name: String, bytes: [UInt8])] {
        let folder = "\(tests)/Fuzzing/Regressions/\(target)"
        guard FileManager.default.fileExists(atPath: folder) else { return [] }
        return try FileManager.default.contentsOfDirectory(atPath: folder).sorted().map { name in
            (name, try contents("\(folder)/\(name)"))
        }
    }
}
