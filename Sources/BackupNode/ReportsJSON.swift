package import Archive
internal import BackupFormat
package import NameIndex

private func member(_ key: String, _ value: JSON) -> (key: String, value: JSON) { (key: key, value: value) }

extension FileProblem {
    package var json: JSON {
        .object(pathMembers(path) + [member("operation", .string(operation)), member("reason", .string(reason))])
    }
}

extension BackupReport {
    package func json(_ replicas: ReplicaCount) -> JSON {
        .object(
            [
                member("snapshot", snapshot.map { .string($0.hex) } ?? .null), member("files", .int(files)),
                member("dirs", .int(directories)), member("bytes", .int(bytes)), member("new_bytes", .int(newBytes)),
                member("stored_bytes", .int(storedBytes)), member("unchanged_files", .int(unchangedFiles)),
                member("errors", .array(errors.map(\.json))), member("error_count", .int(max(errorCount, errors.count))),
                member("seconds", .number(seconds)),
            ] + replicas.members)
    }
}

extension SnapshotSummary {
    /// `isIncomplete` tells that something which it needs is known to be lost.
    package func json(_ replicas: ReplicaCount, isIncomplete: Bool) -> JSON {
        .object(
            [member("id", .string(id.hex)), member("time", .string(timestampText(time))), member("host", .string(host))]
                + pathsMembers(paths)
                + [
                    member("tags", .array(tags.map { .string($0) })), member("files", .int(files)),
                    member("dirs", .int(directories)), member("bytes", .int(bytes)), member("errors", .int(errorCount)),
                    member("device", .string(device.hex)), member("incomplete", .bool(isIncomplete)),
                ] + replicas.members)
    }
}

extension EntryType {
    /// As JSON names it.
    package var name: String {
        switch self {
        case .file: "file"
        case .directory: "dir"
        case .symlink: "symlink"
        case .fifo: "fifo"
        case .socket: "socket"
        case .characterDevice: "char_device"
        case .blockDevice: "block_device"
        }
    }
}

extension ListedEntry {
    package var json: JSON {
        var members = pathMembers(path)
        members += [
            member("type", .string(entry.type.name)), member("size", .int(Int(clamping: entry.size))),
            member("mode", .string(modeOctal(entry.mode))), member("uid", .int(Int(entry.uid))),
            member("gid", .int(Int(entry.gid))), member("mtime", .string(timestampText(entry.modified))),
        ]
        if entry.type == .symlink, case .inline(let target) = entry.content {
            members += pathMembers(RawPath(bytes: target), key: "target")
        }
        if entry.marks.contains(.changedWhileRead) { members.append(member("changed_while_read", .bool(true))) }
        if entry.marks.contains(.incomplete) {
            members.append(member(entry.type == .directory ? "incomplete" : "stale", .bool(true)))
        }
        return .object(members)
    }
}

private func modeOctal(_ mode: UInt16) -> String {
    let digits = String(mode, radix: 8)
    return String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
}

extension Difference {
    package var json: JSON {
        .object(
            pathMembers(path) + [
                member("change", .string(kind.rawValue)), member("size_before", .int(sizeBefore)),
                member("size_after", .int(sizeAfter)),
            ])
    }
}

extension RestoreReport {
    package var json: JSON {
        .object([
            member("files", .int(files)), member("dirs", .int(directories)), member("bytes", .int(bytes)),
            member("written_bytes", .int(writtenBytes)), member("unchanged_files", .int(unchangedFiles)),
            member("kept_files", .int(keptFiles)),
            member("deleted", .int(deleted)), member("errors", .array(errors.map(\.json))), member("seconds", .number(seconds)),
        ])
    }
}

extension CheckReport {
    package var json: JSON {
        func texts(_ texts: [String]) -> JSON { .array(texts.map { .string($0) }) }
        return .object([
            member("snapshots", .int(snapshots)), member("packs", .int(packs)),
            member("packs_with_peers_only", .int(elsewherePacks)), member("bytes_read", .int(bytesRead)),
            member("clean", .bool(isClean)), member("repairable", texts(repairable)), member("repaired", texts(repaired)),
            member("lost", texts(lost)), member("seconds", .number(seconds)),
            member("packs_read_at_peers", .int(evidence.shown)), member("bytes_read_at_peers", .int(evidence.bytes)),
            member("packs_not_reached", texts(evidence.unknown.map(\.hex))),
            member("damaged_at_peers", .array(evidence.faults.map(\.json))),
        ])
    }
}

extension PackFault {
    fileprivate var json: JSON {
        .object([
            member("pack", .string(pack.hex)), member("peer", .string(peer)),
            member("device", device.map { .string($0.hex) } ?? .null), member("reason", .string(reason)),
        ])
    }
}

extension ReclaimReport {
    package var json: JSON {
        .object([
            member("removed_packs", .int(removedPacks)), member("removed_bytes", .int(removedBytes)),
            member("rewritten_packs", .int(rewrittenPacks)), member("purged_bytes", .int(purgedBytes)),
            member("kept_bytes", .int(keptBytes)), member("seconds", .number(seconds)),
        ])
    }
}

extension RetentionGroup {
    package var json: JSON {
        .object(
            [member("device", .string(device.hex)), member("host", .string(host))] + pathsMembers(paths) + [
                member(
                    "keep",
                    .array(
                        keep.map { kept in
                            .object([
                                "id": .string(kept.snapshot.id.hex), "time": .string(timestampText(kept.snapshot.time)),
                                "reasons": .array(kept.reasons.map { .string($0) }),
                            ])
                        })),
                member(
                    "remove",
                    .array(
                        remove.map { snapshot in
                            .object(["id": .string(snapshot.id.hex), "time": .string(timestampText(snapshot.time))])
                        })),
            ])
    }
}

extension NameMatch {
    package var json: JSON {
        .object(
            pathMembers(path) + [
                member("score", .int(score)), member("type", .string(state.type.name)),
                member("size", .int(Int(clamping: state.size))), member("mtime", .string(timestampText(state.modified))),
                member("deleted", .bool(isDeleted)), member("snapshots", .array(snapshots.map { .string($0.hex) })),
            ])
    }
}

extension PathVersion {
    package var json: JSON {
        .object([
            member("mtime", .string(timestampText(entry.modified))), member("size", .int(Int(clamping: entry.size))),
            member("type", .string(entry.type.name)), member("mode", .string(modeOctal(entry.mode))),
            member("content", .int(content)), member("snapshots", .array(snapshots.map { .string($0.id.hex) })),
        ])
    }
}
