internal import BackupFormat
internal import HostFiles
internal import Synchronization

/// Which users and groups own what is backed up, for their names.
final class OwnerCollector: Sendable {
    private struct State: ~Copyable {
        var users: [UInt32: [UInt8]]
        var groups: [UInt32: [UInt8]]
        var last: (uid: UInt32, gid: UInt32)?
        var lookup = OwnerNames()
    }

    private let state: Mutex<State>

    init(users: [SnapshotContents.OwnerName], groups: [SnapshotContents.OwnerName]) {
        func table(_ names: [SnapshotContents.OwnerName]) -> [UInt32: [UInt8]] {
            Dictionary(names.map { ($0.number, $0.name) }, uniquingKeysWith: { $1 })
        }
        state = Mutex(State(users: table(users), groups: table(groups), last: nil))
    }

    func note(uid: UInt32, gid: UInt32) {
        state.withLock { state in
            if let last = state.last, last.uid == uid, last.gid == gid { return }
            state.last = (uid, gid)
            if state.users[uid] == nil, state.users.count < Limits.ownerNamesMax {
                state.users[uid] = state.lookup.userName(uid)
            }
            if state.groups[gid] == nil, state.groups.count < Limits.ownerNamesMax {
                state.groups[gid] = state.lookup.groupName(gid)
            }
        }
    }

    func names() -> (users: [SnapshotContents.OwnerName], groups: [SnapshotContents.OwnerName]) {
        func list(_ table: [UInt32: [UInt8]]) -> [SnapshotContents.OwnerName] {
            table.keys.sorted().compactMap { number in
                table[number].flatMap { $0.isEmpty ? nil : SnapshotContents.OwnerName(number: number, name: $0) }
            }
        }
        return state.withLock { (list($0.users), list($0.groups)) }
    }
}
