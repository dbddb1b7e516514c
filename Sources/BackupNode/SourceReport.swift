package import BackupFormat

/// How a set of sources stands in the running node.
package struct SourceReport: Sendable, Equatable {
    package var name: String
    package var isRunning = false
    /// How it is watched: `fanotify` or `inotify`; nil where it is not.
    package var method: String?
    /// Mounts in it of whose changes nothing tells.
    package var unwatched: [RawPath] = []
    /// Something has changed, and is not backed up yet.
    package var hasChanges = false
    /// When everything is walked next, in seconds since 1970.
    package var nextWalk: Int64?
    /// Why it is not watched, though it should be.
    package var refusal: String?
    /// Why a backup that is due has not begun.
    package var waiting: String?
    /// How the last one failed.
    package var failure: String?
    /// In which folders something had changed that the watch did not tell of.
    package var missed: String?

    package init(name: String) { self.name = name }

    private static let textBytesMax = 4096
    private static let reportsMax = 1000
    private static let mountsMax = 100

    package static func encode(_ reports: [SourceReport]) -> [UInt8] {
        var writer = ByteWriter()
        let reports = reports.prefix(reportsMax)
        writer.count(reports.count)
        for report in reports {
            writer.byte((report.isRunning ? 1 : 0) + (report.hasChanges ? 2 : 0))
            writer.signedVarint(report.nextWalk ?? -1)
            for text in [report.name, report.method, report.refusal, report.waiting, report.failure, report.missed] {
                writer.byteString(Array((text ?? "").utf8.prefix(textBytesMax)))
            }
            let mounts = report.unwatched.prefix(mountsMax)
            writer.count(mounts.count)
            for mount in mounts { writer.byteString(mount.bytes) }
        }
        return writer.bytes
    }

    package static func decode(_ bytes: [UInt8]) throws(FormatError) -> [SourceReport] {
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(FormatError) in
                var reader = ByteReader(bytes, "reports of sources")
                var reports: [SourceReport] = []
                for _ in 0..<(try reader.count(limit: reportsMax)) { reports.append(try SourceReport(&reader)) }
                try reader.end()
                return reports
            }
        }
        return try result.get()
    }

    private init(_ reader: inout ByteReader) throws(FormatError) {
        let flags = try reader.byte()
        guard flags < 4 else { throw reader.error(.outOfRange) }
        let walk = try reader.signedVarint()
        var texts: [String] = []
        for _ in 0..<6 { texts.append(String(decoding: try reader.byteString(limit: SourceReport.textBytesMax), as: UTF8.self)) }
        func text(_ index: Int) -> String? { texts[index].isEmpty ? nil : texts[index] }
        name = texts[0]
        (method, refusal, waiting, failure, missed) = (text(1), text(2), text(3), text(4), text(5))
        (isRunning, hasChanges) = (flags & 1 != 0, flags & 2 != 0)
        nextWalk = walk < 0 ? nil : walk
        for _ in 0..<(try reader.count(limit: SourceReport.mountsMax)) {
            unwatched.append(RawPath(bytes: try reader.byteString(limit: Limits.pathBytesMax)))
        }
    }
}
