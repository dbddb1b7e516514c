package import BackupFormat
package import HostFiles

/// The book on a disk: `<home>/peers/book` and `book.copy`, each under parity. Several processes may read and change it at once.
package final class PeerBookFile: Sendable {
    private let disk: any Disk
    private let directory: RawPath
    private let file: TwiceKeptFile
    /// How long a change waits for others: they take milliseconds, unless their process was stopped.
    private let waitMilliseconds: Int

    /// `directory` is `<home>/peers`; it is made if it is missing.
    package init(disk: any Disk, directory: RawPath, waitMilliseconds: Int = 30_000) throws(PeerBookError) {
        self.disk = disk
        self.directory = directory
        self.waitMilliseconds = waitMilliseconds
        file = TwiceKeptFile(disk, directory.appending("book"), limitBytes: Limits.peerBookBytesMax)
        do { try disk.makeDirectories(directory) } catch { throw PeerBookError(error) }
    }

    /// The book as it is now; empty where there is none. Waits only where a copy has to be mended.
    package func read() throws(PeerBookError) -> PeerBook {
        var faults: [TwiceKeptFile.Fault] = []
        if let book = try? load(mending: false, &faults), faults.isEmpty { return book }
        // Somebody is writing, or something is wrong: which of the two shows when nobody writes.
        return try locked { () throws(PeerBookError) in try load(mending: true, &faults) }
    }

    /// Marks of its two files: others, once anybody has written to them.
    package var marks: [UInt64?] { file.copies.map { (try? disk.status($0))?.changeMark } }

    /// Changes the book as one step, as others see it: nothing is written when `body` throws, and when this returns, the change is
    /// durable. `body` may run only once, with the book as it is, and should be quick.
    package func change<R>(_ body: (inout PeerBook) throws(PeerBookError) -> R) throws(PeerBookError) -> R {
        try locked { () throws(PeerBookError) in
            var faults: [TwiceKeptFile.Fault] = []
            var book = try load(mending: true, &faults)
            let before = book.encode()
            let result = try body(&book)
            let after = book.encode()
            guard after != before else { return result }
            do throws(HostFilesError) {
                try file.removeLeftovers()
                try file.write(after)
            } catch { throw PeerBookError(error) }
            return result
        }
    }

    private func locked<R>(_ body: () throws(PeerBookError) -> R) throws(PeerBookError) -> R {
        let lock: (any DiskLock)?
        do { lock = try disk.lock(directory, waitingMilliseconds: waitMilliseconds) } catch { throw PeerBookError(error) }
        guard let lock else { throw PeerBookError(.locked, path: directory) }
        defer { lock.release() }
        return try body()
    }

    private func load(mending: Bool, _ faults: inout [TwiceKeptFile.Fault]) throws(PeerBookError) -> PeerBook {
        var isOfLaterVersion = false
        do throws(HostFilesError) {
            let book = try file.read(mending: mending, faults: &faults) { bytes throws(FormatError) in
                do throws(FormatError) { return try PeerBook(decoding: bytes) } catch {
                    // The checksum was right.
                    if error.code == .unknown { isOfLaterVersion = true }
                    throw error
                }
            }
            return book ?? PeerBook()
        } catch {
            if error.code == .damaged {
                throw PeerBookError(isOfLaterVersion ? .laterVersion : .damaged, path: directory.appending("book"))
            }
            throw PeerBookError(error)
        }
    }
}

extension PeerBookError {
    fileprivate init(_ error: HostFilesError) { self.init(.disk, error.description) }
}
