internal import BackupFormat
internal import Cryptography
internal import Synchronization

/// The files with several names that are being restored now, each with the names that came up meanwhile.
///
/// Small: holds only what the workers have in hand. Which files are done stands in the staging folder.
final class RestoreLinks: Sendable {
    struct Group: Hashable, Sendable {
        var staging: ObjectIdentifier
        var identity: Bytes32
    }

    /// A further name, to be made once the first is there. Holds a use of the folder.
    struct Name: Sendable {
        var entry: TreeEntry
        var directory: RestoreDirectory
        /// For a large file, in case there is no first name to link to.
        var file: RestoreFile?
    }

    private let waiting = Mutex<[Group: [Name]]>([:])

    /// True when the caller is to restore this name; false when it was put aside for whoever restores the first one.
    func begin(_ group: Group, _ name: Name) -> Bool {
        waiting.withLock { waiting in
            if waiting[group] == nil {
                waiting[group] = []
                return true
            }
            waiting[group]?.append(name)
            return false
        }
    }

    /// The names put aside; when there are none, the group is no longer in hand.
    func end(_ group: Group) -> [Name] {
        waiting.withLock { waiting in
            guard let names = waiting[group], !names.isEmpty else {
                waiting[group] = nil
                return []
            }
            waiting[group] = []
            return names
        }
    }

    /// The name of a finished file in the staging folder.
    static func stagedName(_ entry: TreeEntry) -> RawPath {
        RawPath(linkIdentity(entry).hex)
    }
}

/// What the names of one file have in common: device, inode, and what is stored.
///
/// The first two alone can mislead: what a backup could not read stands in the snapshot with the number that its device had
/// when it was read last, and that may be another's by now. To link names of different files would lose one of them.
func linkIdentity(_ entry: TreeEntry) -> Bytes32 {
    let never = Timestamp(seconds: 0, nanoseconds: 0)
    var same = TreeEntry(
        name: "", type: entry.type, mode: 0, uid: 0, gid: 0, modified: never, changed: never, inode: entry.inode,
        device: entry.device, linkCount: 1, size: entry.size, content: entry.content)
    same.deviceNumber = entry.deviceNumber
    same.extents = entry.extents
    return sha256(encode(same))
}
