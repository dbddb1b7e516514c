import BackupFormat
import Cryptography
import Foundation
import HostFiles
import PeerProtocol
import Peers
import TestSupport
import Testing

@Suite("The book of peers on a disk")
struct PeerBookFileTests {
    private let folder = RawPath("/home/peers")

    /// A disk with a book, in which `count` invitations are open.
    private func disk(invitations count: Int = 1) throws -> (SimulatedDisk, PeerBookFile) {
        let disk = SimulatedDisk()
        let file = try PeerBookFile(disk: disk, directory: folder)
        for number in 0..<count { try invite(file, number) }
        return (disk, file)
    }

    private func invite(_ file: PeerBookFile, _ number: Int) throws {
        try file.change { book throws(PeerBookError) in
            try book.invite(
                kind: .friend, quotaBytes: UInt64(number), expires: bookNow + 60, token: sha256([UInt8(number)]), now: bookNow)
        }
    }

    private func files(_ disk: SimulatedDisk) -> [RawPath] { disk.files(under: folder).map(\.path) }

    private func spoil(_ disk: SimulatedDisk, _ name: String) {
        disk.damage(folder.appending(name)) { bytes in for index in bytes.indices { bytes[index] ^= 0x55 } }
    }

    @Test("is empty at first, in a folder that was made; what is changed is there for the next who reads")
    func persistence() throws {
        let disk = SimulatedDisk()
        let file = try PeerBookFile(disk: disk, directory: folder)
        #expect(try file.read() == PeerBook())
        #expect(try disk.status(folder)?.isDirectory == true)
        #expect(try file.change { $0.openTokens(now: bookNow).count } == 0)
        #expect(files(disk).isEmpty, "a change of nothing writes nothing")
        try invite(file, 3)
        #expect(files(disk) == [folder.appending("book"), folder.appending("book.copy")])
        let another = try PeerBookFile(disk: disk, directory: folder)
        #expect(try another.read().invitations.map(\.quotaBytes) == [3])
        #expect(try another.read() == file.read())
    }

    @Test("a change that is refused leaves the files as they were")
    func refused() throws {
        let (disk, file) = try disk()
        let operations = disk.operations
        let result = bookError {
            try file.change { book throws(PeerBookError) in
                _ = book.unpair(OwnerID(.zero), now: 0)
                book.saw(BookNode().certificate, at: [], now: 0)
                throw PeerBookError(.expired)
            }
        }
        #expect(result == .expired)
        #expect(disk.operations == operations)
        #expect(try file.read().devices.isEmpty)
    }

    // MARK: Damage

    @Test("one damaged or missing copy is mended from the other, by reading alone", arguments: ["book", "book.copy"])
    func oneCopy(name: String) throws {
        for isMissing in [false, true] {
            let (disk, file) = try disk(invitations: 2)
            let before = disk.files(under: folder)
            if isMissing { try disk.unlink(folder.appending(name)) } else { spoil(disk, name) }
            #expect(try file.read().invitations.count == 2)
            let after = disk.files(under: folder)
            #expect(after.map(\.path) == before.map(\.path) && after.map(\.bytes) == before.map(\.bytes))
            // What was mended serves by itself.
            spoil(disk, name == "book" ? "book.copy" : "book")
            #expect(try file.read().invitations.count == 2)
        }
    }

    @Test("damage to both copies that parity rebuilds loses nothing")
    func parity() throws {
        let (disk, file) = try disk(invitations: 3)
        for name in ["book", "book.copy"] { disk.damage(folder.appending(name)) { $0[$0.count / 2] ^= 1 } }
        #expect(try file.read().invitations.count == 3)
        #expect(try ProtectedFile.open(disk, folder.appending("book")).scrub(repair: false).isWhole)
    }

    @Test("both copies damaged is an error that says so, and nothing is written over them")
    func bothCopies() throws {
        let (disk, file) = try disk()
        for name in ["book", "book.copy"] { spoil(disk, name) }
        let before = disk.files(under: folder).map(\.bytes)
        for _ in 0..<2 {
            #expect(bookError { try file.read() } == .damaged)
            #expect(bookError { try invite(file, 9) } == .damaged)
        }
        #expect(disk.files(under: folder).map(\.bytes) == before)
        try disk.unlink(folder.appending("book"))
        #expect(bookError { try file.read() } == .damaged, "the one that is left is no book")
    }

    @Test("a book of a later version is left alone, and the error says that the program is older")
    func laterVersion() throws {
        let (disk, file) = try disk()
        var record = Array(try file.read().encode().dropLast(32))
        record[8] = 2
        for name in ["book", "book.copy"] {
            try disk.replaceProtectedFile(folder.appending(name), with: record + sha256(record).bytes)
        }
        let before = disk.files(under: folder).map(\.bytes)
        #expect(bookError { try file.read() } == .laterVersion)
        #expect(bookError { try invite(file, 9) } == .laterVersion)
        #expect(disk.files(under: folder).map(\.bytes) == before)
    }

    // MARK: Crashes

    @Test("a crash at any moment of a change leaves the book as it was or as it was to be; what was acknowledged stays")
    func crashes() throws {
        for isFirst in [true, false] {
            let (base, baseFile) = try disk(invitations: isFirst ? 0 : 1)
            let before = try baseFile.read()
            var step = 0
            var isDone = false
            while !isDone {
                for seed in 0..<6 as Range<UInt64> {
                    let disk = SimulatedDisk(copying: base)
                    disk.faults.crashAtOperation = disk.operations + step
                    let file = try PeerBookFile(disk: disk, directory: folder)
                    let isAcknowledged = (try? invite(file, 7)) != nil
                    isDone = isAcknowledged
                    disk.restart(seed: seed)
                    let again = try PeerBookFile(disk: disk, directory: folder)
                    let after = try again.read()
                    #expect(after == before || after.invitations.contains { $0.quotaBytes == 7 }, "step \(step)")
                    if isAcknowledged { #expect(after != before) }
                    // The next change goes on from there, and removes what was left behind.
                    try invite(again, 8)
                    #expect(try again.read().invitations.count == after.invitations.count + 1)
                    #expect(files(disk) == [folder.appending("book"), folder.appending("book.copy")])
                    // Both copies say the same.
                    #expect(Set(disk.files(under: folder).map(\.bytes)).count == 1)
                }
                step += 1
            }
            #expect(step > 6)
        }
    }

    @Test("a full disk at any moment of a change is an error, and the book is as it was")
    func fullDisk() throws {
        let (base, baseFile) = try disk()
        let before = try baseFile.read()
        for step in 0..<40 {
            let disk = SimulatedDisk(copying: base)
            let file = try PeerBookFile(disk: disk, directory: folder)
            disk.faults.fullFromOperation = disk.operations + step
            let code = bookError { try invite(file, 7) }
            disk.faults = SimulatedDisk.Faults()
            guard let code else { continue }
            #expect(code == .disk)
            let after = try file.read()
            // Renaming itself may want room: then either is right, and both copies end up the same.
            #expect(after == before || after.invitations.count == 2, "step \(step)")
            try invite(file, 8)
            #expect(try file.read().invitations.count == after.invitations.count + 1)
            #expect(files(disk).count == 2)
        }
        let small = SimulatedDisk(copying: base)
        small.faults.capacityBytes = base.files(under: "/").reduce(0) { $0 + $1.bytes.count } + 100
        let file = try PeerBookFile(disk: small, directory: folder)
        #expect(bookError { try invite(file, 7) } == .disk)
        #expect(try file.read() == before)
        #expect(files(small).count == 2)
    }

    // MARK: Several at once

    @Test("of many who use one invitation at the same moment, one is admitted", arguments: 0..<4)
    func race(round: Int) throws {
        let inviter = BookNode()
        let disk = SimulatedDisk()
        let token = Bytes32.random()
        try PeerBookFile(disk: disk, directory: folder).change { book throws(PeerBookError) in
            try book.invite(kind: .friend, quotaBytes: 1, expires: bookNow + 60, token: token, now: bookNow)
        }
        let admitted = ConditionLock<[Result<OwnerID, PeerBookError>]>([])
        let threads = (0..<8).compactMap { _ in
            WorkerThread(name: "joins") {
                let joiner = BookNode()
                let result = Result { () throws(PeerBookError) in
                    let file = try PeerBookFile(disk: disk, directory: folder)
                    _ = try file.change { book throws(PeerBookError) in
                        try book.admit(joiner.pair(), from: joiner.identity, token: token, keys: inviter.keys, now: bookNow)
                    }
                    return joiner.owner.id
                }
                admitted.withLock { $0.append(result) }
            }
        }
        for thread in threads { thread.join() }
        let results = admitted.withLock { $0 }
        let winners = results.compactMap { try? $0.get() }
        #expect(winners.count == 1 && results.count == 8)
        for case .failure(let error) in results { #expect(error.code == .unknownInvitation) }
        let book = try PeerBookFile(disk: disk, directory: folder).read()
        #expect(book.friends.map(\.owner) == winners)
        #expect(book.invitations.isEmpty)
    }

    @Test("changes of several writers on a real disk are all there, and whoever reads meanwhile sees a whole book")
    func realDisk() throws {
        let home = RawPath(NSTemporaryDirectory() + "bakare-book-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(atPath: home.description) }
        let directory = home.appending("peers")
        let failures = ConditionLock<[String]>([])
        let isDone = ConditionLock(false)
        let reader = WorkerThread(name: "reads") {
            var count = 0
            while !isDone.withLock({ $0 }) {
                do {
                    let now = try PeerBookFile(disk: RealDisk(), directory: directory).read().devices.count
                    if now < count { failures.withLock { $0.append("\(count) devices became \(now)") } }
                    count = now
                } catch { failures.withLock { $0.append("\(error)") } }
            }
        }
        let writers = (0..<4).compactMap { writer in
            WorkerThread(name: "writes") {
                do {
                    let file = try PeerBookFile(disk: RealDisk(), directory: directory)
                    for round in 0..<12 {
                        let node = BookNode()
                        try file.change { book throws(PeerBookError) in
                            _ = book.saw(node.certificate, at: ["h\(writer):\(round + 1)"], now: bookNow)
                        }
                    }
                } catch { failures.withLock { $0.append("\(error)") } }
            }
        }
        for thread in writers { thread.join() }
        isDone.withLock { $0 = true }
        reader?.join()
        #expect(failures.withLock { $0 } == [])
        let devices = try PeerBookFile(disk: RealDisk(), directory: directory).read().devices
        #expect(Set(devices.flatMap(\.addresses)).count == 48)
        let modes = try FileManager.default.contentsOfDirectory(atPath: directory.description).sorted().map { name in
            let found = try FileManager.default.attributesOfItem(atPath: "\(directory)/\(name)")[.posixPermissions]
            return "\(name) \(String(try #require(found as? Int), radix: 8))"
        }
        #expect(modes == ["book 600", "book.copy 600"])
        let mode = try FileManager.default.attributesOfItem(atPath: directory.description)[.posixPermissions]
        #expect(mode as? Int == 0o700)
    }

    @Test("another process that has the book and does not go on is named after a while; when it is gone, all goes on")
    func heldElsewhere() throws {
        let home = RawPath(NSTemporaryDirectory() + "bakare-book-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(atPath: home.description) }
        let file = try PeerBookFile(disk: RealDisk(), directory: home, waitMilliseconds: 150)
        try invite(file, 1)
        let holder = Process()
        holder.executableURL = URL(fileURLWithPath: "/usr/bin/flock")
        holder.arguments = [home.description, "sh", "-c", "echo held; read line"]
        let (said, asked) = (Pipe(), Pipe())
        holder.standardOutput = said
        holder.standardInput = asked
        try holder.run()
        #expect(try said.fileHandleForReading.read(upToCount: 5) == Data("held\n".utf8))
        #expect(bookError { try invite(file, 2) } == .locked)
        #expect(try file.read().invitations.count == 1, "reading waits for nobody")
        let patient = try PeerBookFile(disk: RealDisk(), directory: home)
        let waiting = WorkerThread(name: "waits") { try? invite(patient, 3) }
        try asked.fileHandleForWriting.close()
        waiting?.join()
        holder.waitUntilExit()
        #expect(try file.read().invitations.map(\.quotaBytes).sorted() == [1, 3])
    }
}
