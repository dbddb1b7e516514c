/// What kind of thing a tree entry stands for. Raw values are stored.
package enum EntryType: UInt8, Sendable, CaseIterable {
    case file = 0
    case directory = 1
    case symlink = 2
    case fifo = 3
    case socket = 4
    case characterDevice = 5
    case blockDevice = 6
}

/// Notes that a backup leaves on an entry. Raw bits are stored.
package struct EntryMarks: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    /// The file changed while it was read; what is stored may mix two states.
    package static let changedWhileRead = EntryMarks(rawValue: 1)
    /// Not all of it was read this time. A file or folder: this is its last known state. A folder: something that was in it
    /// is not here, as it could not be read or was left out; a restore removes nothing from it.
    package static let incomplete = EntryMarks(rawValue: 2)
    /// The folder was the top of another file system than the folder above it.
    package static let mountPoint = EntryMarks(rawValue: 4)
    package static let all: EntryMarks = [.changedWhileRead, .incomplete, .mountPoint]
}

/// A point in time: whole seconds since 1970 (before it, negative) and 0 to 999,999,999 nanoseconds after.
package struct Timestamp: Hashable, Sendable, Comparable {
    package var seconds: Int64
    package var nanoseconds: UInt32
    package init(seconds: Int64, nanoseconds: UInt32) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }
    package static func < (a: Timestamp, b: Timestamp) -> Bool {
        a.seconds != b.seconds ? a.seconds < b.seconds : a.nanoseconds < b.nanoseconds
    }
}

/// A run of bytes of a sparse file that is stored; what lies between runs is a hole. In bytes.
package struct Extent: Hashable, Sendable {
    package var offset: UInt64
    package var length: UInt64
    package init(offset: UInt64, length: UInt64) {
        self.offset = offset
        self.length = length
    }
}

/// One extended attribute.
package struct ExtendedAttribute: Hashable, Sendable {
    package var name: [UInt8]
    package var value: [UInt8]
    package init(name: [UInt8], value: [UInt8]) {
        self.name = name
        self.value = value
    }
}

/// Where a stream of bytes is stored: chunk keys in order, or, with `levels` above 0, the keys of chunks whose joined
/// plaintext is the list of keys one level below.
package struct KeyList: Hashable, Sendable {
    package var levels: UInt8
    package var keys: [ChunkKey]
    package static let empty = KeyList(levels: 0, keys: [])
    package init(levels: UInt8, keys: [ChunkKey]) {
        self.levels = levels
        self.keys = keys
    }
}

/// One entry of a directory, with everything needed to bring it back, and what tells whether it changed.
package struct TreeEntry: Hashable, Sendable {
    /// A file's content, or the children of a directory.
    package enum Content: Hashable, Sendable {
        case none
        /// The bytes themselves, at most ``Limits/inlineFileBytesMax``; for a symlink, its target.
        case inline([UInt8])
        case stored(KeyList)
    }

    package var name: RawPath
    package var type: EntryType
    package var marks: EntryMarks = []
    /// Permission, set-id and sticky bits: the low 12 bits of `st_mode`.
    package var mode: UInt16
    package var uid: UInt32
    package var gid: UInt32
    package var modified: Timestamp
    package var changed: Timestamp
    package var inode: UInt64
    package var device: UInt64
    /// Above 1 for a file (or link) that has other names; these share `device` and `inode`.
    package var linkCount: UInt32
    /// In bytes; 0 for what has no content.
    package var size: UInt64
    /// For a device node: its number, as `makedev` packs it.
    package var deviceNumber: UInt64 = 0
    package var attributes: [ExtendedAttribute] = []
    /// Nil for a file without holes.
    package var extents: [Extent]?
    package var content: Content

    package init(
        name: RawPath, type: EntryType, mode: UInt16, uid: UInt32, gid: UInt32, modified: Timestamp, changed: Timestamp,
        inode: UInt64, device: UInt64, linkCount: UInt32, size: UInt64, content: Content
    ) {
        self.name = name
        self.type = type
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.modified = modified
        self.changed = changed
        self.inode = inode
        self.device = device
        self.linkCount = linkCount
        self.size = size
        self.content = content
    }
}
