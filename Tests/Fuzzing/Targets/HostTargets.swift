internal import BackupFormat
internal import BackupNode
internal import Discovery
internal import HostFiles

/// What the machine and its network tell: mounts, events of a watch, announcements; and what people name: places, moments, ids.
let hostTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "mount-table",
        run: { bytes in
            // Each part of a path is a level of the table: no more of them than the kernel's paths have.
            let content = Array(bytes.prefix(2048))
            let table = MountTable(parsing: content)
            try promise(table.mounts.count <= content.split(separator: 0x0a).count, "mount-table: more mounts than lines")
            for mount in table.mounts {
                try promise(!mount.point.bytes.isEmpty && !mount.type.bytes.isEmpty, "mount-table: a mount that is nowhere")
                let again = MountTable(parsing: mountLine(mount)).mounts
                try promise(again.count == 1, "mount-table: a line that makes no sense")
                let isSame = again.allSatisfy { $0.id == mount.id && $0.point == mount.point && $0.type == mount.type }
                try promise(isSame, "mount-table: another mount")
                try promise(again.allSatisfy { $0.mayHang == mount.mayHang }, "mount-table: another that hangs")
            }
        },
        seeds: {
            let lines = [
                "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
                "36 22 0:45 / /home/ada/a\\040b\\134 rw,nosuid - fuse.sshfs nas:/ rw,user_id=1000",
                "37 36 0:46 /export /home/ada/a\\040b\\134/c rw master:1 propagate_from:2 - nfs4 nas:/export rw",
            ]
            return [Array(lines.joined(separator: "\n").utf8)] + lines.map { Array($0.utf8) }
        }),
    FuzzTarget(
        name: "inotify-events",
        run: { bytes in
            let events = parseInotify(bytes)
            try promise(events.count <= bytes.count / 16 + 1, "inotify-events: more than there is room for")
            try promise(!bytes.isEmpty || events.isEmpty, "inotify-events: some of nothing")
            try promise(events.allSatisfy { !$0.name.bytes.contains(0) }, "inotify-events: a name with NUL")
            let written: [UInt8] = events.flatMap { inotifyEvent($0.number, $0.mask, $0.name.bytes) }
            let again = written.withUnsafeBytes { parseInotify($0) }
            try promise(again == events, "inotify-events: others than before")
        },
        seeds: {
            let created = inotifyEvent(1, 0x100, Array("a file\0\0".utf8))
            return [created, created + inotifyEvent(-1, 0x4000, []) + inotifyEvent(Int32.max, UInt32.max, [0xff, 0x0a])]
        }),
    FuzzTarget(
        name: "fanotify-events",
        run: { bytes in
            let events = parseFanotify(bytes)
            try promise(events.count <= bytes.count / 24 + 1, "fanotify-events: more than there is room for")
            try promise(!bytes.isEmpty || events.isEmpty, "fanotify-events: some of nothing")
            for event in events {
                try promise(!event.name.bytes.contains(0), "fanotify-events: a name with NUL")
                try promise((event.folder?.handle.count ?? 4) >= 4, "fanotify-events: a handle without a type")
                try promise(event.folder != nil || event.name.bytes.isEmpty, "fanotify-events: a name in no folder")
            }
            let written: [UInt8] = events.flatMap { event -> [UInt8] in
                let folder = event.folder
                return fanotifyEvent(event.mask, folder?.filesystem ?? 0, folder?.handle ?? [], event.name.bytes)
            }
            let again = written.withUnsafeBytes { parseFanotify($0) }
            try promise(again == events, "fanotify-events: others than before")
        },
        seeds: {
            let handle: [UInt8] = [1, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9]
            let created = fanotifyEvent(0x100, 7, handle, Array("a file\0".utf8))
            return [created, created + fanotifyEvent(0x4000, 0, [], []) + fanotifyEvent(UInt64.max, 7, handle, [0x2e, 0])]
        }),
    FuzzTarget(
        name: "announcement",
        run: { bytes in
            // The strings of a TXT record, each after its length.
            var choices = Choices(bytes)
            var strings: [[UInt8]] = []
            while !choices.isEmpty { strings.append(Array(choices.take(Int(choices.byte())))) }
            if let hints = PeerHints(text: strings) { try announceAgain(hints) }
            for string in strings.prefix(4) { try showAnnounced(string) }
        },
        seeds: {
            let id = String(repeating: "0123456789abcdef", count: 4)
            // An IPv4 address, and one that is local to a link.
            let ones = [UInt8](repeating: 1, count: 14)
            return [
                textRecord(["txtvers=1", "id=\(id)", "role=both", "free=1024", "proto=1"]),
                textRecord(["TXTVERS=1", "ID=\(id.uppercased())", "proto=255", "role=other", "free=17179869183", "id=no", "="]),
                textRecord(["txtvers=1", "id=\(id)", "proto=0"]), [4, 192, 0, 2, 7, 16, 0xfe, 0x80] + ones,
            ]
        }),
    FuzzTarget(
        name: "peer-address",
        run: { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            for orAnyPort in [false, true] {
                do {
                    let address = try PeerAddress(text, orAnyPort: orAnyPort)
                    try promise(address.port > 0 || orAnyPort, "peer-address: any port where one is wanted")
                    try promise((1...255).contains(address.host.utf8.count), "peer-address: a host's length")
                    // Marks that join the letter before them may make another text of it.
                    guard text.utf8.allSatisfy({ $0 < 0x80 }) else { continue }
                    let again = try? PeerAddress(address.description, orAnyPort: orAnyPort)
                    try promise(again == address, "peer-address: a text that reads otherwise")
                } catch let error as AddressError {
                    try promise(error.description.utf8.starts(with: text.utf8), "peer-address: words about another")
                }
            }
        },
        seeds: {
            let texts = ["192.0.2.7:4747", "[2001:db8::7]:4747", "[fe80::7%eth0]:1", "nas.example:65535", "[::]:0", "[a]b]:5"]
            return texts.map { Array($0.utf8) }
        }),
    FuzzTarget(
        name: "environment-path",
        run: { bytes in
            let environment = Environment(values: ["BAKARE_HOME": Array(bytes)], userID: 1000, workingDirectory: "/home/ada")
            guard let named = environment["BAKARE_HOME"] else {
                return try promise(bytes.isEmpty, "environment-path: a variable that is lost")
            }
            try promise(named.bytes.elementsEqual(bytes), "environment-path: another value")
            let path = environment.absolute(named)
            try promise(path.bytes.first == 0x2f, "environment-path: still relative")
            try promise(path.components.allSatisfy { $0 != "." && $0 != ".." }, "environment-path: a part that leads elsewhere")
            try promise(environment.absolute(path) == path, "environment-path: another path when asked again")
        },
        seeds: { ["/var/lib/bakare", "../x/./y//z/", "..", "/../..//", "a\u{e9}\n"].map { Array($0.utf8) } }),
    FuzzTarget(
        name: "moment",
        run: { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            for now in [0, 1_795_000_000_000_000_000, Int64.max] {
                guard let found = moment(text, now: now) else { continue }
                try promise(found.nanoseconds == 0, "moment: more exact than it was named")
            }
        },
        seeds: {
            let texts = [
                "30d", "1y6m2w3d4h", "2026-11-22", "2026-11-22 23:59", "2026-11-22T23:59:07", "9999-12-31", "2026-02-31",
            ]
            return texts.map { Array($0.utf8) }
        }),
    FuzzTarget(
        name: "hexadecimal",
        run: { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            let found = hexadecimalBytes(text)
            if let found { try promise(hexadecimal(found) == text.lowercased(), "hexadecimal: other digits than were read") }
            let value = Bytes32(hex: text)
            try promise(value?.bytes == (found?.count == 32 ? found : nil), "hexadecimal: an id that is read otherwise")
            try promise(Bytes32(hex: RawPath(text)) == value, "hexadecimal: a name that is read otherwise")
        },
        seeds: {
            let id = String(repeating: "0123456789abcdef", count: 4)
            return [id, id.uppercased(), String(id.dropLast()), "00ff", ""].map { Array($0.utf8) }
        }),
    FuzzTarget(
        name: "pack-cut",
        run: { bytes in
            let pack = Array(bytes)
            guard let stub = try? PackStub(cutFrom: pack) else { return }
            try promise(stub.packBytes == pack.count && stub.isProven, "pack-cut: of another pack")
            try promise(pack.starts(with: stub.header), "pack-cut: another beginning")
            try promise(pack.suffix(stub.tail.count).elementsEqual(stub.tail), "pack-cut: another end")
            try promise(stub.chunkBytes >= 0, "pack-cut: its parts overlap")
            let again = try? stub.encode().withUnsafeBytes { try PackStub(decoding: $0) }
            try promise(again == stub, "pack-cut: a stub that reads otherwise")
        },
        seeds: { try Vectors.read("packs").map(\.bytes) }),
]

/// A line of `mountinfo` that says this of a mount, and nothing true of its device.
private func mountLine(_ mount: Mount) -> [UInt8] {
    func escaped(_ path: RawPath) -> [UInt8] {
        path.bytes.flatMap { byte -> [UInt8] in
            guard [0x20, 0x09, 0x0a, 0x5c].contains(byte) else { return [byte] }
            return [0x5c, 0x30 + (byte >> 6), 0x30 + (byte >> 3 & 7), 0x30 + (byte & 7)]
        }
    }
    let front = Array("\(mount.id) 1 8:1 / ".utf8) + escaped(mount.point)
    return front + Array(" rw - ".utf8) + escaped(mount.type) + Array(" none rw\n".utf8)
}

/// As inotify(7) lays an event out.
private func inotifyEvent(_ number: Int32, _ mask: UInt32, _ name: [UInt8]) -> [UInt8] {
    var writer = ByteWriter()
    writer.uint32(UInt32(bitPattern: number))
    writer.uint32(mask)
    writer.uint32(0)
    writer.uint32(UInt32(name.count))
    writer.raw(name)
    return writer.bytes
}

/// As fanotify(7) lays an event out, with a record of the folder and the name unless the handle is empty.
private func fanotifyEvent(_ mask: UInt64, _ filesystem: UInt64, _ handle: [UInt8], _ name: [UInt8]) -> [UInt8] {
    var record = ByteWriter()
    if !handle.isEmpty {
        record.raw([2, 0] as [UInt8])
        record.uint16(UInt16(16 + handle.count + name.count))
        record.uint64(filesystem)
        record.uint32(UInt32(handle.count - 4))
        record.raw(handle + name)
    }
    var writer = ByteWriter()
    writer.uint32(UInt32(24 + record.count))
    writer.raw([3, 0, 24, 0] as [UInt8])
    writer.uint64(mask)
    writer.uint64(0)
    writer.raw(record.bytes)
    return writer.bytes
}

/// Each string after its length.
private func textRecord(_ strings: [String]) -> [UInt8] { strings.flatMap { [UInt8($0.utf8.count)] + $0.utf8 } }

/// What is heard of a node can be announced, and then is heard again.
private func announceAgain(_ hints: PeerHints) throws(BrokenPromise) {
    try promise(hints.protocolVersion > 0, "announcement: no version")
    let announcement = Announcement(
        id: hints.id, port: 1, role: hints.role ?? .auto, freeBytes: hints.freeBytes ?? 0, name: "",
        protocolVersion: hints.protocolVersion)
    guard let heard = PeerHints(text: announcement.text.map { Array($0.utf8) }) else {
        throw BrokenPromise(description: "announcement: it is not understood")
    }
    try promise(heard.id == hints.id && heard.protocolVersion == hints.protocolVersion, "announcement: another node")
    try promise(heard.role == announcement.role, "announcement: another role")
    try promise((heard.freeBytes ?? 0) <= announcement.freeBytes, "announcement: more room than there is")
}

/// A string of a record, taken for a name and for an address.
private func showAnnounced(_ string: [UInt8]) throws(BrokenPromise) {
    let name = readableName(string)
    try promise(!name.unicodeScalars.contains(where: \.isUnsafeToShow), "announcement: a name unsafe to show")
    try promise(readableName(Array(name.utf8)) == name, "announcement: another name when shown again")
    let announcement = Announcement(
        id: DeviceID(.zero), port: 1, role: .auto, freeBytes: 0, name: String(decoding: string, as: UTF8.self))
    for label in [name, announcement.label, announcement.uniqueLabel] {
        try promise(label.utf8.count <= DiscoveryLimits.nameBytesMax, "announcement: a name that is too long")
    }
    try promise(!announcement.label.isEmpty, "announcement: no name")
    guard let address = ServiceAddress(bytes: string, port: 4747, interface: 2) else { return }
    let again = try? PeerAddress(address.description)
    try promise(again == address.peerAddress, "announcement: an address that reads otherwise")
}
