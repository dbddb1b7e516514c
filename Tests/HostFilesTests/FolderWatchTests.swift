import BackupFormat
import CLinux
import Glibc
import HostFiles
import TestSupport
import Testing

@Suite("What a watch tells of") struct FolderWatchTests {
    private static let isFanotifyAllowed = (try? FanotifyWatch(WatchScope(roots: ["/var/tmp"]))) != nil

    /// Each way to watch that is allowed here.
    private static let ways: [@Sendable (WatchScope) throws -> any FolderWatch] = {
        let inotify: @Sendable (WatchScope) throws -> any FolderWatch = { try InotifyWatch($0) }
        if !isFanotifyAllowed {
            print("fanotify is not allowed here: only inotify is tested")
            return [inotify]
        }
        return [inotify, { try FanotifyWatch($0) }]
    }()

    private func told(_ watch: any FolderWatch) -> [FolderEvent] {
        var events: [FolderEvent] = []
        watch.drain(milliseconds: 20) { events.append($0) }
        return events
    }

    private func isBroken(_ events: [FolderEvent]) -> Bool {
        events.contains { if case .doubt(_, true) = $0 { true } else { false } }
    }

    @Test("the folders that change, and nothing of the home or of what is left out", arguments: ways.indices)
    func foldersThatChange(_ way: Int) throws {
        let folder = try TestFolder()
        for name: RawPath in ["s", "s/a", "s/a/b", "s/home", "s/left out"] { folder.makeDirectory(name) }
        let source = folder.path.appending("s")
        let watch = try FolderWatchTests.ways[way](
            WatchScope(
                roots: [source], hidden: [source.appending("home")],
                excludes: { _, name, _ in name.elementsEqual("left out".utf8) || name.elementsEqual("x.tmp".utf8) }))
        #expect(told(watch).isEmpty)
        folder.write("s/home/vault", [1])
        folder.write("s/left out/file", [1])
        folder.write("outside", [1])
        #expect(told(watch).isEmpty)
        folder.write("s/a/b/file", [1])
        #expect(Set(told(watch).map { "\($0)" }) == ["\(FolderEvent.changed(source.appending("a/b")))"])
        folder.write("s/a/x.tmp", [1])
        #expect(told(watch).allSatisfy { $0 == .touched(source.appending("a")) })
        #expect(runShell("mv '\(folder.path)/s/a' '\(folder.path)/s/z'") == 0)
        #expect(told(watch).contains(.appeared(source.appending("z"))))
        folder.write("s/z/b/file", [2])
        #expect(told(watch).contains(.changed(source.appending("z/b"))))
    }

    @Test("a root that vanishes, comes, or is another than before breaks the watch", arguments: ways.indices)
    func rootsThatChange(_ way: Int) throws {
        let folder = try TestFolder()
        for name: RawPath in ["up", "up/s", "up/other"] { folder.makeDirectory(name) }
        let scope = WatchScope(roots: [folder.path.appending("up/s")])
        var watch = try FolderWatchTests.ways[way](scope)
        #expect(runShell("mv '\(folder.path)/up/s' '\(folder.path)/up/t'") == 0)
        #expect(isBroken(told(watch)))
        watch = try FolderWatchTests.ways[way](scope)
        #expect(runShell("mv '\(folder.path)/up/other' '\(folder.path)/up/s'") == 0)
        #expect(isBroken(told(watch)))
        watch = try FolderWatchTests.ways[way](scope)
        #expect(runShell("rmdir '\(folder.path)/up/s'") == 0)
        #expect(isBroken(told(watch)))
    }

    @Test("a file that is a root is told of, by the folder that it is in", arguments: ways.indices)
    func fileAsRoot(_ way: Int) throws {
        let folder = try TestFolder()
        folder.write("one", [1])
        folder.write("two", [1])
        let watch = try FolderWatchTests.ways[way](WatchScope(roots: [folder.path.appending("one")]))
        folder.write("two", [2])
        #expect(told(watch).isEmpty)
        folder.write("one", [2])
        #expect(told(watch).contains(.changed(folder.path)))
    }

    @Test(
        "what links lead to is told of; one that is pointed elsewhere, or a link where a folder on the way was, breaks the watch",
        arguments: ways.indices)
    func links(_ way: Int) throws {
        let folder = try TestFolder()
        for name: RawPath in ["one", "two", "up", "up/way", "up/way/s"] { folder.makeDirectory(name) }
        func shell(_ line: String) { #expect(runShell("cd '\(folder.path)' && \(line)") == 0) }
        shell("ln -s one first && ln -s first second && ln -s not/yet third")
        let paths: [RawPath] = ["second", "third", "up/way/s"].map { folder.path.appending($0) }
        func watch() throws -> any FolderWatch {
            let places = paths.map { DirectoryHandle.places(of: $0) }
            return try FolderWatchTests.ways[way](
                WatchScope(roots: places.flatMap(\.taken), links: Set(places.flatMap(\.links))))
        }
        var made = try watch()
        folder.write("one/file", [1])
        #expect(Set(told(made).map { "\($0)" }) == ["\(FolderEvent.changed(folder.path.appending("one")))"])
        folder.write("two/file", [1])
        #expect(told(made).isEmpty)
        // What a link led to without its being there.
        shell("mkdir not && echo x >not/yet")
        let came = told(made)
        #expect(came.contains(.changed(folder.path)) || isBroken(came))
        for change in ["ln -sfn two first", "rm second", "ln -s two second", "mv third fourth", "mv fourth third"] {
            made = try watch()
            #expect(told(made).isEmpty)
            shell(change)
            #expect(isBroken(told(made)), "\(change)")
        }
        made = try watch()
        folder.write("two/file", [2])
        #expect(Set(told(made).map { "\($0)" }) == ["\(FolderEvent.changed(folder.path.appending("two")))"])
        shell("mv up/way up/gone && ln -s gone up/way")
        #expect(isBroken(told(made)))
    }

    @Test("a path that leads through links: these are taken, and what is at the end, or would be there")
    func places() throws {
        let folder = try TestFolder()
        for name: RawPath in ["real", "real/docs"] { folder.makeDirectory(name) }
        folder.write("real/file", [1])
        let line = "ln -s real link && ln -s link/docs named && ln -s nowhere/x lost && ln -s circle circle"
        #expect(runShell("cd '\(folder.path)' && \(line)") == 0)
        func taken(_ name: RawPath) -> [String] {
            DirectoryHandle.places(of: folder.path.appending(name)).taken
                .map { String(decoding: $0.bytes.dropFirst(folder.path.bytes.count + 1), as: UTF8.self) }
        }
        for (name, places): (RawPath, [String]) in [
            ("real/docs", ["real/docs"]), ("none", ["none"]), ("link/docs", ["link", "real/docs"]),
            ("named", ["named", "link", "real/docs"]), ("link/file", ["link", "real/file"]), ("lost", ["lost", "nowhere/x"]),
            ("link/none/../x", ["link"]),
        ] {
            #expect(taken(name) == places)
        }
        #expect(taken("circle").first == "circle")
    }

    @Test(
        "a mount that comes or goes breaks the watch", .enabled(if: isRoot, "needs root, to mount"), arguments: ways.indices)
    func mounts(_ way: Int) throws {
        let folder = try TestFolder()
        for name: RawPath in ["s", "s/m"] { folder.makeDirectory(name) }
        let scope = WatchScope(roots: [folder.path.appending("s")])
        let point = String(decoding: folder.path.appending("s/m").bytes, as: UTF8.self)
        var watch = try FolderWatchTests.ways[way](scope)
        try #require(linux_mount("test", point, "tmpfs", 0, "") == 0)
        defer { linux_unmount(point) }
        #expect(isBroken(told(watch)))
        watch = try FolderWatchTests.ways[way](scope)
        folder.write("s/m/file", [1])
        #expect(told(watch).contains(.changed(RawPath(point))))
        linux_unmount(point)
        #expect(isBroken(told(watch)))
    }

    @Test("more folders than may be watched by inotify are refused, also when they come later")
    func limit() throws {
        let folder = try TestFolder()
        for name: RawPath in ["s", "s/a", "s/b", "s/c"] { folder.makeDirectory(name) }
        let scope = WatchScope(roots: [folder.path.appending("s")])
        #expect(throws: WatchRefusal.self) { try InotifyWatch(scope, foldersMax: 4) }
        let watch = try InotifyWatch(scope, foldersMax: 6)
        #expect(told(watch).isEmpty)
        #expect(runShell("mkdir '\(folder.path)/s/d' '\(folder.path)/s/e'") == 0)
        #expect(isBroken(told(watch)))
    }

    @Test("bytes that make no sense end an event list with a doubt, and never trap", arguments: 0..<2000 as Range<UInt64>)
    func anyBytes(_ seed: UInt64) {
        var choices = Choices(seed: seed)
        var bytes = choices.bytes(choices.below(200))
        if choices.below(2) == 0, bytes.count > 60 {
            // Lengths that are nearly right.
            bytes.replaceSubrange(0..<4, with: [UInt8(choices.below(80)), 0, 0, 0])
            bytes.replaceSubrange(6..<8, with: [24, 0])
            bytes.replaceSubrange(24..<28, with: [UInt8(choices.below(5)), 0, UInt8(choices.below(60)), 0])
            bytes.replaceSubrange(36..<40, with: [UInt8(choices.below(30)), 0, 0, 0])
        }
        let fanotify = bytes.withUnsafeBytes { parseFanotify($0) }
        let inotify = bytes.withUnsafeBytes { parseInotify($0) }
        #expect(fanotify.count <= bytes.count && inotify.count <= bytes.count)
        if !bytes.isEmpty, bytes.count < 16 { #expect(inotify.count == 1 && fanotify.count == 1) }
    }

    @Test("a folder's path follows its folder's, and is unknown once one above is")
    func namesOfNumbers() {
        var folders = WatchedFolders()
        folders.set(1, parent: nil, name: "/s")
        folders.set(2, parent: 1, name: "a")
        folders.set(3, parent: 2, name: "b")
        #expect(folders.path(3) == "/s/a/b")
        folders.set(2, parent: 1, name: "z")
        #expect(folders.path(3) == "/s/z/b")
        folders.remove(2)
        #expect(folders.path(3) == nil && folders.path(1) == "/s")
        folders.set(5, parent: 6, name: "x")
        folders.set(6, parent: 5, name: "y")
        #expect(folders.path(5) == nil)
    }
}

@Suite("What the machine says of itself") struct SystemConditionsTests {
    @Test("a battery that discharges with no mains supply, and nothing where the system does not tell")
    func battery() throws {
        let folder = try TestFolder()
        #expect(SystemConditions.isOnBattery(supplies: folder.path.appending("none")) == nil)
        #expect(SystemConditions.isOnBattery(supplies: folder.path) == nil)
        func supply(_ name: String, _ values: [String: String]) {
            folder.makeDirectory(RawPath(name))
            for (key, value) in values { folder.write(RawPath("\(name)/\(key)"), Array("\(value)\n".utf8)) }
        }
        supply("mouse", ["type": "Battery", "scope": "Device", "status": "Discharging"])
        #expect(SystemConditions.isOnBattery(supplies: folder.path) == nil)
        supply("BAT0", ["type": "Battery", "status": "Discharging"])
        #expect(SystemConditions.isOnBattery(supplies: folder.path) == true)
        supply("AC", ["type": "Mains", "online": "0"])
        #expect(SystemConditions.isOnBattery(supplies: folder.path) == true)
        folder.write("AC/online", Array("1\n".utf8))
        #expect(SystemConditions.isOnBattery(supplies: folder.path) == false)
    }

    @Test("the load in hundredths, and what NetworkManager says of the connection")
    func loadAndConnection() throws {
        let folder = try TestFolder()
        folder.write("load", Array("3.07 1.00 0.50 1/100 42\n".utf8))
        #expect(SystemConditions.load(folder.path.appending("load")) == 307)
        #expect(SystemConditions.load(folder.path.appending("none")) == nil)
        folder.write("load", Array("nonsense".utf8))
        #expect(SystemConditions.load(folder.path.appending("load")) == nil)
        #expect(SystemConditions.isMetered(answer: "u 1\n") == true)
        #expect(SystemConditions.isMetered(answer: "u 3\n") == true)
        #expect(SystemConditions.isMetered(answer: "u 2\n") == false)
        #expect(SystemConditions.isMetered(answer: "u 0\n") == nil)
        #expect(SystemConditions.isMetered(answer: "Failed to get property") == nil)
    }
}
