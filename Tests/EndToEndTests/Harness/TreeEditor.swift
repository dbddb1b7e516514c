internal import CLinux
internal import Glibc

/// Changes a folder as people and programs do, one random edit at a time.
struct TreeEditor {
    var random: Randomness
    /// What was done, for messages.
    private(set) var log: [String] = []
    private var counter = 0

    init(_ random: Randomness) { self.random = random }

    private struct Place {
        var folder: Folder
        var name: Bytes
        var path: Bytes
        var status: linux_status
        var type: UInt32 { status.mode & linux_S_IFMT }
    }

    /// Fills an empty folder with what the edits need.
    mutating func prepare(_ root: Folder) throws {
        for index in 0..<6 {
            let folder = try root.makeFolder(Bytes("folder \(index)".utf8))
            for file in 0..<5 {
                let size = random.pick([0, 10, 512, 513, 3000, 100_000, 700_000])
                try folder.write(Bytes("file \(file)".utf8), random.chance(1, in: 2) ? random.bytes(size) : random.text(size))
            }
            try folder.makeLink(Bytes("link".utf8), to: Bytes("file 1".utf8))
        }
        try root.write("large", random.bytes(6_000_000))
        try root.makeFolder("empty")
    }

    mutating func edit(_ root: Folder, times: Int) throws {
        for _ in 0..<times { try edit(root) }
    }

    private mutating func edit(_ root: Folder) throws {
        var places: [Place] = []
        try collect(root, path: [], into: &places)
        let files = places.filter { $0.type == linux_S_IFREG }
        guard !places.isEmpty, !files.isEmpty else { return try prepare(root) }
        let place = random.pick(places)
        let file = random.pick(files)
        let size = Int(file.status.size)
        switch random.below(18) {
        case 0:
            note("append", file)
            try file.folder.write(file.name, random.bytes(1 + random.below(3000)), at: size)
        case 1:
            note("overwrite in the middle", file)
            try file.folder.write(file.name, random.bytes(1 + random.below(3000)), at: random.below(size + 1))
        case 2:
            note("insert at the start", file)
            try file.folder.write(file.name, random.bytes(1 + random.below(100)) + (try file.folder.read(file.name)))
        case 3:
            note("truncate", file)
            try file.folder.truncate(file.name, to: random.below(size + 1))
        case 4:
            note("rename", place)
            let name = newName()
            try place.folder.rename(place.name, to: name, in: place.type == linux_S_IFDIR ? place.folder : root)
        case 5:
            note("remove", place)
            try place.folder.remove(place.name)
        case 6: try changeType(place)
        case 7:
            note("chmod", file)
            try file.folder.setMode(file.name, random.pick([0o600, 0o644, 0o755, 0o4711]))
        case 8:
            note("chown", place)
            if geteuid() == 0 { try place.folder.setOwner(place.name, UInt32(random.below(3000)), UInt32(random.below(3000))) }
        case 9:
            note("xattr", file)
            try file.folder.setAttribute(file.name, "user.\(random.below(4))", random.bytes(random.below(50)))
        case 10:
            note("touch", place)
            try place.folder.setTime(place.name, Int64(random.below(2_000_000_000)), UInt32(random.below(1_000_000_000)))
        case 11:
            note("replace, same size and time", file)
            let name = newName()
            try file.folder.write(name, random.bytes(size))
            try file.folder.setTime(name, file.status.mtime_seconds, file.status.mtime_nanoseconds)
            try file.folder.rename(name, to: file.name, in: file.folder)
        case 12:
            note("rewrite in place, same size and time", file)
            try file.folder.write(file.name, random.bytes(size), at: 0)
            try file.folder.setTime(file.name, file.status.mtime_seconds, file.status.mtime_nanoseconds)
        case 13:
            note("hard link", file)
            try file.folder.hardLink(file.name, as: newName(), in: root)
        case 14:
            note("new folder", place)
            let folder = try root.makeFolder(newName())
            try folder.write("inside", random.text(2000))
        case 15:
            note("copy", file)
            try root.write(newName(), try file.folder.read(file.name))
        case 16:
            note("punch a hole by way of a far write", file)
            try file.folder.write(file.name, random.bytes(100), at: size + 300_000)
        default:
            note("new file near", file)
            try file.folder.write(newName(), random.bytes(random.pick([0, 100, 513, 20_000])))
        }
    }

    private mutating func changeType(_ place: Place) throws {
        note("change the type", place)
        try place.folder.remove(place.name)
        switch random.below(4) {
        case 0: try place.folder.makeFolder(place.name)
        case 1: try place.folder.makeLink(place.name, to: random.text(20))
        case 2: try place.folder.makeNode(place.name, mode: linux_S_IFIFO | 0o644)
        default: try place.folder.write(place.name, random.bytes(700))
        }
    }

    private mutating func newName() -> Bytes {
        counter += 1
        return Bytes("new \(counter)-\(random.below(1000))".utf8)
    }

    private mutating func note(_ edit: String, _ place: Place) { log.append("\(edit): \(shown(place.path))") }

    private func collect(_ folder: Folder, path: Bytes, into places: inout [Place]) throws {
        for name in try folder.names() {
            let inner = path.isEmpty ? name : path + [0x2f] + name
            let place = Place(folder: folder, name: name, path: inner, status: try folder.status(name))
            places.append(place)
            if place.type == linux_S_IFDIR { try collect(try folder.folder(name), path: inner, into: &places) }
        }
    }
}
