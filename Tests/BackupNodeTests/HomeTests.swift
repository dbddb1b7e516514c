import BackupFormat
import BackupNode
import Cryptography
import Foundation
import HostFiles
import Testing

/// A folder for one test, removed at its end.
private final class Scratch {
    let path: String
    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/home-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }
    var home: Home {
        Home(directory: RawPath(path + "/home"), source: .flag, configurationFile: RawPath(path + "/home/bakare.toml"))
    }
}

private func open(_ home: Home) throws -> Home.Opened { try home.open(host: "test", now: 1_790_000_000_000_000_000) }

@Test("a home is made where none is, and found again with the same keys")
func makesHome() throws {
    let scratch = try Scratch()
    #expect(!scratch.home.exists)
    let made = try open(scratch.home)
    #expect(made.isNew && made.repairs.isEmpty && scratch.home.exists)
    let again = try open(scratch.home)
    #expect(!again.isNew && again.repairs.isEmpty)
    #expect(again.keys.owner?.recoveryText == made.keys.owner?.recoveryText)
    #expect(again.keys.identity.key.id == made.keys.identity.key.id)
    #expect(try String(contentsOfFile: scratch.path + "/home/bakare.toml", encoding: .utf8) == Configuration.template)
}

@Test("a home that a recovery made in vain goes again, with nothing that was there before")
func unmade() throws {
    let scratch = try Scratch()
    let owner = OwnerKey.generate()
    func recover() throws -> Home.Recovered {
        try scratch.home.recover(text: owner.recoveryText, host: "test", now: 1_790_000_000_000_000_000)
    }
    scratch.home.unmake(try recover())
    #expect(!FileManager.default.fileExists(atPath: scratch.path + "/home"))
    // A folder that was there stays, and so does a configuration.
    try FileManager.default.createDirectory(atPath: scratch.path + "/home", withIntermediateDirectories: true)
    try Data("replicas = 1".utf8).write(to: URL(fileURLWithPath: scratch.path + "/home/bakare.toml"))
    scratch.home.unmake(try recover())
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path + "/home") == ["bakare.toml"])
    // One that there was before, or that somebody has begun to use, is not touched.
    let first = try recover()
    scratch.home.unmake(try recover())
    #expect(scratch.home.exists)
    try FileManager.default.createDirectory(atPath: scratch.path + "/home/vault", withIntermediateDirectories: true)
    scratch.home.unmake(first)
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path + "/home/keys").count == 6)
}

@Test("only the user may read the keys")
func keyModes() throws {
    let scratch = try Scratch()
    _ = try open(scratch.home)
    func mode(_ path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: scratch.path + path)[.posixPermissions] as? Int
    }
    #expect(try mode("/home") == 0o700)
    #expect(try mode("/home/keys") == 0o700)
    for name in try FileManager.default.contentsOfDirectory(atPath: scratch.path + "/home/keys") {
        #expect(try mode("/home/keys/" + name) == 0o600, "\(name)")
    }
}

@Test("a folder with other things in it is not taken for a home")
func strangeFolder() throws {
    let scratch = try Scratch()
    let home = Home(directory: RawPath(scratch.path), source: .flag, configurationFile: RawPath(scratch.path + "/bakare.toml"))
    try Data().write(to: URL(fileURLWithPath: scratch.path + "/letter.txt"))
    #expect(throws: NodeError.self) { try open(home) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == ["letter.txt"])
}

@Test("several processes that make a home at once end up with the same keys")
func concurrentInit() async throws {
    let scratch = try Scratch()
    let home = scratch.home
    let owners = try await withThrowingTaskGroup(of: String?.self) { group in
        for _ in 0..<8 { group.addTask { try open(home).keys.owner?.recoveryText } }
        return try await group.reduce(into: Set<String?>()) { $0.insert($1) }
    }
    #expect(owners.count == 1)
    #expect(try home.disk.list(home.directory).allSatisfy { !$0.description.hasPrefix("keys.new") })
}

private let keyFiles = ["owner.key", "owner.key.copy", "publisher.key", "publisher.key.copy", "node.key", "node.key.copy"]

@Test("any one damaged key file is mended: a flipped bit, a zeroed block, cut short, emptied, missing", arguments: keyFiles)
func mendsKeys(name: String) throws {
    let scratch = try Scratch()
    let expected = try open(scratch.home).keys.owner?.recoveryText
    let url = URL(fileURLWithPath: scratch.path + "/home/keys/" + name)
    let good = try Data(contentsOf: url)
    var damages: [Data?] = [nil, Data(), good.prefix(5000), good.prefix(100), Data(count: 4096) + good.dropFirst(4096)]
    for offset in stride(from: 0, to: good.count, by: 61) {
        var flipped = good
        flipped[offset] ^= 1 << UInt8(offset % 8)
        damages.append(flipped)
    }
    for damage in damages {
        if let damage { try damage.write(to: url) } else { try FileManager.default.removeItem(at: url) }
        let opened = try open(scratch.home)
        #expect(opened.keys.owner?.recoveryText == expected)
        #expect(opened.repairs.allSatisfy { $0.isMended })
        let after = try open(scratch.home)
        #expect(after.repairs.isEmpty && after.keys.owner?.recoveryText == expected)
        #expect(try Data(contentsOf: url).count == good.count)
    }
}

@Test("keys that are gone are never replaced by new ones")
func neverReplacesKeys() throws {
    let scratch = try Scratch()
    _ = try open(scratch.home)
    for name in ["node.key", "node.key.copy"] { try FileManager.default.removeItem(atPath: scratch.path + "/home/keys/" + name) }
    #expect(throws: NodeError.self) { try open(scratch.home) }
    try FileManager.default.removeItem(atPath: scratch.path + "/home/keys")
    try FileManager.default.createDirectory(atPath: scratch.path + "/home/vault", withIntermediateDirectories: true)
    #expect(throws: NodeError.self) { try open(scratch.home) }
}

@Test("a write-only device gets its keys from a file, and not the owner key")
func writeOnlyDevice() throws {
    let scratch = try Scratch()
    let owner = try open(scratch.home).keys
    let text = DeviceFile.encode(try owner.writeOnlyDevice(name: "phone", now: 0))
    let other = Home(
        directory: RawPath(scratch.path + "/other"), source: .flag,
        configurationFile: RawPath(scratch.path + "/other/bakare.toml"))
    let made = try other.initialize(deviceFile: Array(text.utf8), host: "x", now: 0)
    #expect(made.keys.isWriteOnly)
    #expect(made.keys.publisher.owner == owner.publisher.owner)
    #expect(made.keys.identity.certificate?.permissions == .backup)
    #expect(made.keys.identity.certificate?.name == "phone")
    #expect(throws: NodeError.self) { try made.keys.recoveryText() }
    #expect(throws: NodeError.self) { try made.keys.writeOnlyDevice(name: "x", now: 0) }
    #expect(throws: NodeError.self) { try other.initialize(deviceFile: nil, host: "x", now: 0) }
}

@Test("a device's file with any line damaged is refused")
func damagedDeviceFile() throws {
    let keys = HomeKeys.generate(name: "a", now: 0)
    let text = Array(DeviceFile.encode(try keys.writeOnlyDevice(name: "phone", now: 0)).utf8)
    let start = try #require(text.split(separator: 0x0a).prefix(3).map { $0.count + 1 }.reduce(0, +) as Int?)
    for offset in stride(from: start, to: text.count - 1, by: 3) where text[offset] != 0x0a {
        var damaged = text
        damaged[offset] = damaged[offset] == UInt8(ascii: "0") ? UInt8(ascii: "1") : UInt8(ascii: "0")
        #expect(throws: NodeError.self) { try DeviceFile.decode(damaged) }
    }
    #expect(throws: NodeError.self) { try DeviceFile.decode([]) }
    #expect(throws: NodeError.self) { try DeviceFile.decode(Array("bakare-device2\n".utf8)) }
}

@Test("a written-down recovery key is compared with the home's")
func checksRecoveryKey() throws {
    let keys = HomeKeys.generate(name: "a", now: 0)
    let text = try keys.recoveryText()
    try keys.checkRecoveryText(text.lowercased().replacingOccurrences(of: "-", with: " ") + "\n")
    #expect(throws: NodeError.self) { try keys.checkRecoveryText(try HomeKeys.generate(name: "b", now: 0).recoveryText()) }
    // One character: of several, one group in 32 is right again.
    let other = text.last == "Z" ? "Y" : "Z"
    let error = #expect(throws: NodeError.self) { try keys.checkRecoveryText(String(text.dropLast()) + other) }
    #expect(error?.message.contains("group 14") == true)
}

@Test("with a damaged bakare.toml, the last one that was right is used for reading, and writing stops")
func damagedConfiguration() throws {
    let scratch = try Scratch()
    let home = scratch.home
    _ = try open(home)
    let file = URL(fileURLWithPath: scratch.path + "/home/bakare.toml")
    try Data("memory = \"128MiB\"\n".utf8).write(to: file)
    #expect(home.loadConfiguration().problems.isEmpty)
    try Data("memory = \"128MiB\n".utf8).write(to: file)
    let loaded = home.loadConfiguration()
    #expect(loaded.problems.count == 1)
    #expect(loaded.fallback == "using the last configuration that was right")
    #expect(loaded.configuration.memoryBytes == 128 << 20)
    #expect(throws: NodeError.self) { try home.requireSound(loaded) }
    // One flipped byte in what was kept is mended by its parity.
    let kept = URL(fileURLWithPath: scratch.path + "/home/bakare.toml.last")
    var bytes = try Data(contentsOf: kept)
    for offset in stride(from: 0, to: bytes.count, by: 97) {
        bytes[offset] ^= 0x20
        try bytes.write(to: kept)
        #expect(home.loadConfiguration().configuration.memoryBytes == 128 << 20)
        bytes[offset] ^= 0x20
    }
    try FileManager.default.removeItem(at: kept)
    #expect(home.loadConfiguration().fallback == "using the defaults")
    try FileManager.default.removeItem(at: file)
    #expect(home.loadConfiguration().problems.isEmpty)
}

@Test("an order to forget stays, however old the clock makes its file")
func ordersStay() throws {
    let scratch = try Scratch()
    let identity = try open(scratch.home).keys.identity
    let snapshot = SnapshotID(.random())
    let order = signForget([snapshot], certificate: try #require(identity.certificate), with: identity.key)
    try OrderFolder(scratch.home).add(order)
    let file = scratch.path + "/home/peers/orders/" + order.nonce.hex
    // As on a machine whose clock stands at 1970 until the network has told it the time.
    try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSince1970: 5)], ofItemAtPath: file)
    let again = try OrderFolder(scratch.home)
    #expect(again.forbids(snapshot) && again.all == [order])
    #expect(try !again.refresh() && again.forbids(snapshot))
}

@Test("the home is found by flag, environment, systemd, or the XDG rules, in that order")
func locates() throws {
    func locate(_ home: RawPath?, _ values: [String: [UInt8]], user: UInt32 = 1000) throws -> Home {
        let environment = Environment(values: values, userID: user, workingDirectory: "/w")
        return try Home.locate(home: home, configuration: nil, environment: environment)
    }
    let user = ["HOME": Array("/home/me".utf8)]
    #expect(try locate(nil, user).directory == "/home/me/.local/share/bakare")
    #expect(try locate(nil, user).configurationFile == "/home/me/.config/bakare/bakare.toml")
    let xdg = user.merging(["XDG_DATA_HOME": Array("/d".utf8), "XDG_CONFIG_HOME": Array("/c".utf8)]) { $1 }
    #expect(try locate(nil, xdg).directory == "/d/bakare")
    #expect(try locate(nil, xdg).configurationFile == "/c/bakare/bakare.toml")
    let service = xdg.merging(["STATE_DIRECTORY": Array("/var/lib/bakare".utf8)]) { $1 }
    #expect(try locate(nil, service).configurationFile == "/etc/bakare/bakare.toml")
    let variable = service.merging(["BAKARE_HOME": Array("h".utf8)]) { $1 }
    #expect(try locate(nil, variable).directory == "/w/h")
    #expect(try locate("/x/./y/", variable).directory == "/x/y")
    #expect(try locate("/x", variable).configurationFile == "/x/bakare.toml")
    #expect(throws: NodeError.self) { try locate(nil, [:]) }
    let relative = user.merging(["XDG_DATA_HOME": Array("d".utf8), "XDG_CONFIG_HOME": Array("c".utf8)]) { $1 }
    #expect(try locate(nil, relative).directory == "/home/me/.local/share/bakare", "a relative one is no home")
    #expect(try locate(nil, relative).configurationFile == "/home/me/.config/bakare/bakare.toml")
    #expect(throws: NodeError.self) { try locate(nil, ["HOME": Array("me".utf8)]) }
    #expect(throws: NodeError.self) { try locate("", user) }
}
