internal import BackupFormat
internal import CLinux

/// Names of users and groups by number, and numbers by name, each looked up once. For one thread.
package struct OwnerNames: ~Copyable {
    private var users: [UInt32: [UInt8]] = [:]
    private var groups: [UInt32: [UInt8]] = [:]
    private var userNumbers: [[UInt8]: UInt32?] = [:]
    private var groupNumbers: [[UInt8]: UInt32?] = [:]

    package init() {}

    /// The user's name, or empty where the system knows none.
    package mutating func userName(_ uid: UInt32) -> [UInt8] {
        OwnerNames.remembered(uid, &users) { OwnerNames.name { linux_user_name(uid, $0.baseAddress, $0.count) } }
    }

    /// The group's name, or empty where the system knows none.
    package mutating func groupName(_ gid: UInt32) -> [UInt8] {
        OwnerNames.remembered(gid, &groups) { OwnerNames.name { linux_group_name(gid, $0.baseAddress, $0.count) } }
    }

    /// The number of the user of that name, if there is one on this machine.
    package mutating func userNumber(_ name: [UInt8]) -> UInt32? {
        OwnerNames.remembered(name, &userNumbers) {
            UInt32(exactly: name.withUnsafeBytes { linux_user_id($0.baseAddress, $0.count) })
        }
    }

    /// The number of the group of that name, if there is one on this machine.
    package mutating func groupNumber(_ name: [UInt8]) -> UInt32? {
        OwnerNames.remembered(name, &groupNumbers) {
            UInt32(exactly: name.withUnsafeBytes { linux_group_id($0.baseAddress, $0.count) })
        }
    }

    private static func remembered<Key: Hashable, Value>(
        _ key: Key, _ known: inout [Key: Value], _ find: () -> Value
    ) -> Value {
        if let value = known[key] { return value }
        let value = find()
        // Nobody has that many users: numbers made up by a hostile file system must not fill the memory.
        if known.count >= Limits.ownerNamesMax { known.removeAll() }
        known[key] = value
        return value
    }

    private static func name(_ find: (UnsafeMutableRawBufferPointer) -> Int64) -> [UInt8] {
        withUnsafeTemporaryAllocation(byteCount: 256, alignment: 1) { space in
            let count = find(space)
            return count > 0 ? Array(space[..<Int(count)]) : []
        }
    }
}
