internal import Archive
internal import BackupFormat
internal import BackupNode
internal import Control
internal import Cryptography
internal import HostFiles

/// What processes of one machine tell each other: what has changed, how a backup ended, what goes over the control socket; and
/// the keys that go to a new device.
let processTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "changed-folders",
        run: { bytes in
            guard let found = try? ChangedFolders(decoding: Array(bytes)) else { return }
            try keepPromises(found, "changed-folders")
        },
        seeds: {
            [ChangedFolders().encode(), ChangedFolders(doubt: "the queue was full").encode(), seedFolders.encode()]
        }),
    FuzzTarget(
        name: "backup-guide",
        run: { bytes in
            guard let guide = try? BackupGuide(decoding: Array(bytes)) else { return }
            let encoded = guide.encode()
            try promise(encoded.count <= BackupGuide.encodedBytesMax, "backup-guide: longer than it can be")
            guard let again = try? BackupGuide(decoding: encoded) else {
                throw BrokenPromise(description: "backup-guide: it cannot be read again")
            }
            try promise((again.changes == nil) == (guide.changes == nil), "backup-guide: changes where there were none")
            guard let before = guide.changes, let after = again.changes else { return }
            try promise(after.base == before.base && after.digest == before.digest, "backup-guide: another snapshot")
            try promise(after.use == before.use, "backup-guide: another use")
            let isSame = after.folders == before.folders
            try promise(isSame || !areShort(before.folders.doubts), "backup-guide: other folders")
            try keepPromises(before.folders, "backup-guide")
        },
        seeds: {
            let guides = [WatchedChanges.Use.instead, .compared].map { use in
                BackupGuide(WatchedChanges(base: SnapshotID(.zero), digest: sha256([1]), folders: seedFolders, use: use))
            }
            return [BackupGuide(nil).encode()] + guides.map { $0.encode() }
        }),
    FuzzTarget(
        name: "guided-outcome",
        run: { bytes in
            guard let outcome = try? GuidedOutcome(decoding: Array(bytes)) else { return }
            try promise(outcome.untoldCount >= 0 && outcome.untold.count <= 1000, "guided-outcome: too many folders")
            let again = try? GuidedOutcome(decoding: outcome.encode())
            let isWhole = areShort(outcome.again.doubts + [outcome.doubt ?? ""])
            try promise(isWhole ? again == outcome : again != nil, "guided-outcome: reads otherwise than it was")
            try keepPromises(outcome.again, "guided-outcome")
        },
        seeds: {
            var report = BackupReport()
            let least = GuidedOutcome(report, SnapshotID(.zero), digest: .zero).encode()
            report.isGuided = true
            report.doubt = "a mount that nothing tells of"
            report.untold = ["/home/ada", RawPath(bytes: [0x2f, 0xff])]
            report.untoldCount = 70_000
            report.errors = [FileProblem(path: "/home/ada/secret", operation: "read", reason: "denied")]
            report.errorCount = 2
            return [least, GuidedOutcome(report, SnapshotID(sha256([2])), digest: sha256([3])).encode()]
        }),
    FuzzTarget(
        name: "source-reports",
        run: { bytes in
            guard let reports = try? SourceReport.decode(Array(bytes)) else { return }
            try promise(reports.count <= 1000, "source-reports: too many")
            let again = try? SourceReport.decode(SourceReport.encode(reports))
            // What was no UTF-8 takes more bytes than it came in, and is cut.
            let areWhole = reports.allSatisfy { report in
                let texts: [String?] = [
                    report.name, report.method, report.refusal, report.waiting, report.failure, report.missed,
                ]
                return texts.allSatisfy { ($0 ?? "").utf8.count <= 4096 }
            }
            try promise(areWhole ? again == reports : again?.count == reports.count, "source-reports: read otherwise")
            try promise(reports.allSatisfy { ($0.nextWalk ?? 0) >= 0 }, "source-reports: a time before 1970")
        },
        seeds: {
            var report = SourceReport(name: "documents")
            let least = report
            report.isRunning = true
            report.hasChanges = true
            report.nextWalk = 1_800_000_000
            report.method = "inotify"
            report.unwatched = ["/mnt/nas", RawPath(bytes: [0x2f, 0xff])]
            report.refusal = "too few watches"
            report.waiting = "the machine runs on its battery"
            report.failure = "ended with 1"
            report.missed = "/home/ada"
            return [SourceReport.encode([]), SourceReport.encode([least]), SourceReport.encode([report, least])]
        }),
    FuzzTarget(
        name: "peer-reports",
        run: { bytes in
            guard let reports = try? PeerReport.decode(Array(bytes)) else { return }
            for report in reports.prefix(20) {
                try promise(report.json.text.utf8.allSatisfy { $0 >= 0x20 }, "peer-reports: JSON with a control character")
            }
            // What was no UTF-8 takes more bytes than it came in, and then is too long to be read again.
            let areShown = reports.allSatisfy { report in
                let texts = [report.name, report.fingerprint ?? ""] + report.roles + report.addresses
                return texts.allSatisfy { $0.utf8.count <= 1024 }
            }
            guard areShown else { return }
            let again = try? PeerReport.decode(PeerReport.encode(reports))
            try promise(again == reports, "peer-reports: read otherwise than they were")
        },
        seeds: {
            var report = PeerReport(id: DeviceID(sha256([1])), name: "nas", isOwn: false, trust: .friend)
            let least = report
            report.isOnline = true
            report.isDamaged = true
            report.roles = ["publisher", "persister"]
            report.addresses = ["192.0.2.7:4747", "[2001:db8::7]:4747"]
            report.freeBytes = 1_000_000_000_000
            report.usedBytes = UInt64.max
            report.packs = 70_000
            report.snapshots = 12
            report.keptBytes = 0
            report.lastSeen = 1_800_000_000
            report.lastProven = Int64.max
            report.fingerprint = "0123 4567"
            return [PeerReport.encode([]), PeerReport.encode([least]), PeerReport.encode([report, least])]
        }),
    FuzzTarget(
        name: "control-request",
        run: { bytes in
            guard let request = try? ControlFrame.decodeRequest(Array(bytes)) else { return }
            try promise(request.arguments.count <= 1 << 12, "control-request: too many arguments")
            // A verb that was no UTF-8 takes more bytes than it came in.
            guard request.verb.utf8.count <= 64 else { return }
            let content = try contentOf(ControlFrame.encode(request), "control-request")
            try promise((try? ControlFrame.decodeRequest(content)) == request, "control-request: reads otherwise")
            let isExact = content.elementsEqual(bytes)
            try promise(isExact || isReplaced(request.verb), "control-request: other bytes than were decoded")
        },
        seeds: {
            let requests = [
                ControlRequest("peers"), ControlRequest("get", [sha256([1]).bytes, [UInt8](repeating: 1, count: 17)]),
                ControlRequest("fetch", [[], [UInt8](repeating: 2, count: 300)]),
            ]
            return requests.map { Array(ControlFrame.encode($0).dropFirst(4)) }
        }),
    FuzzTarget(
        name: "control-reply",
        run: { bytes in
            guard let reply = try? ControlFrame.decodeReply(Array(bytes)) else { return }
            // Words that were no UTF-8 take more bytes than they came in; those that are too long are cut.
            var words = ""
            if case .failed(_, let message) = reply { words = message }
            guard words.utf8.count <= 1 << 16 else { return }
            let content = try contentOf(ControlFrame.encode(reply), "control-reply")
            try promise((try? ControlFrame.decodeReply(content)) == reply, "control-reply: reads otherwise")
            let isExact = content.elementsEqual(bytes)
            try promise(isExact || isReplaced(words), "control-reply: other bytes than were decoded")
        },
        seeds: {
            let replies: [ControlReply] = [
                .progress([2, 3]), .result([]), .result([UInt8](repeating: 7, count: 100)),
                .failed(code: 64, message: "get: two arguments are due"), .failed(code: 0, message: ""),
            ]
            return replies.map { Array(ControlFrame.encode($0).dropFirst(4)) }
        }),
    FuzzTarget(
        name: "replica-count",
        run: { bytes in
            guard let count = ReplicaCount(bytes: Array(bytes)) else { return }
            try promise(count.bytes.elementsEqual(bytes), "replica-count: other bytes than were decoded")
        },
        seeds: { [ReplicaCount(replicas: 0, target: 2).bytes, ReplicaCount(replicas: 255, target: 300).bytes] }),
    FuzzTarget(
        name: "device-file",
        run: { bytes in
            if let found = try? DeviceFile.decode(Array(bytes)) { try readAgain(found) }
            // And the keys of a device of that name, which a certificate may have of up to 255 bytes.
            try readAgain(deviceKeys(String(decoding: bytes.prefix(60), as: UTF8.self)))
        },
        seeds: {
            let text = DeviceFile.encode(deviceKeys("laptop"))
            let windows = text.split(separator: "\n").joined(separator: "\r\n")
            return [Array(text.utf8), Array(windows.utf8), Array("# by hand\nbakare-device2\npublisher 00\n".utf8)]
        }),
]

private let seedFolders: ChangedFolders = {
    var folders = ChangedFolders(doubt: "more than is kept apart")
    folders.note("/home/ada", .everything)
    folders.note("/")
    folders.note(RawPath(bytes: [0x2f, 0xff, 0x0a]))
    return folders
}()

/// What holds of any list of changes: it is within its bounds, reads as it was written, and says the same when it is told twice.
private func keepPromises(_ found: ChangedFolders, _ name: String) throws(BrokenPromise) {
    try promise(found.folders.count <= ChangedFolders.foldersMax, "\(name): more folders than are kept apart")
    try promise(found.doubts.count <= 4, "\(name): more doubts than are kept")
    let encoded = found.encode()
    try promise(encoded.count <= ChangedFolders.encodedBytesMax, "\(name): longer than it can be")
    let again = try? ChangedFolders(decoding: encoded)
    try promise(areShort(found.doubts) ? again == found : again != nil, "\(name): folders that read otherwise")
    var merged = found
    merged.merge(found)
    try promise(merged == found, "\(name): more than before when it is told twice")
    for (folder, extent) in found.sorted.prefix(20) {
        try promise(found.covers(folder), "\(name): does not cover its own folder")
        guard extent == .everything, !folder.bytes.isEmpty, folder == "/" || folder.bytes.last != 0x2f else { continue }
        let below = folder.appending("x")
        try promise(found.covers(below) && below.isWithin(folder), "\(name): does not cover what is below")
    }
}

/// Whether none is cut when it is written: what was no UTF-8 takes more bytes than it came in.
private func areShort(_ texts: [String]) -> Bool { texts.allSatisfy { $0.utf8.count <= 1000 } }

/// Whether some of it may stand for bytes that were no UTF-8.
private func isReplaced(_ text: String) -> Bool { text.unicodeScalars.contains("\u{fffd}") }

/// What follows a message's length, which must be right and within the bound.
private func contentOf(_ frame: [UInt8], _ name: String) throws(BrokenPromise) -> [UInt8] {
    let length = frame.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
    try promise(length == frame.count - 4 && length <= 16 << 20, "\(name): a wrong length")
    return Array(frame.dropFirst(4))
}

private let seedOwner = OwnerKey(seed: sha256([1]))
private let seedNode = NodeKey(seed: sha256([2]))

/// Those of a write-only device.
private func deviceKeys(_ name: String) -> HomeKeys {
    let certificate = seedOwner.certify(seedNode, name: name, permissions: .backup, serial: 1)
    return HomeKeys(
        owner: nil, publisher: seedOwner.publisherKeys, identity: NodeIdentity(key: seedNode, certificate: certificate))
}

private func readAgain(_ keys: HomeKeys) throws(BrokenPromise) {
    let text = Array(DeviceFile.encode(keys).utf8)
    try promise(text.count <= DeviceFile.bytesMax, "device-file: longer than is read")
    guard let again = try? DeviceFile.decode(text) else {
        throw BrokenPromise(description: "device-file: it cannot be read again")
    }
    try promise(again.publisher.encode() == keys.publisher.encode(), "device-file: other keys")
    try promise(again.identity.encode() == keys.identity.encode() && again.isWriteOnly, "device-file: another device")
}
