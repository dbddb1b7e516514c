package import BackupFormat

/// A file under parity and block checksums, open for reading: the container of every file that the node keeps.
///
/// `ProtectedLayout.swift` describes the bytes. Any one or two damaged blocks of a stripe are rebuilt at read, and
/// rewritten in place by ``scrub(repair:)``: in place, since only blocks that are already bad are written to, while a
/// rename could bring back a file that somebody removed meanwhile. Reading may come from several threads at once.
package final class ProtectedFile: Sendable {
    enum Form: Sendable {
        /// The content, or why there is none.
        case small(ProtectedSmallForm)
        case large(groups: Int, lastContentBytes: Int)
    }

    let file: any DiskFile
    let path: RawPath
    let form: Form
    /// Bytes of the content.
    package let contentBytes: Int
    /// Bytes of the file as it was found.
    package let fileBytes: Int

    /// Tells right content from another file's, where a write into the wrong place has left both.
    package typealias ContentCheck = ([UInt8]) -> Bool

    /// Opens the file. Throws `damaged` if no copy of its table is left that says what it holds.
    package static func open(
        _ disk: any Disk, _ path: RawPath, isRight: ContentCheck? = nil
    ) throws(HostFilesError) -> ProtectedFile {
        try ProtectedFile(try disk.openForReading(path), path, isRight)
    }

    /// Opens the file so that ``scrub(repair:)`` may rewrite its damaged blocks.
    package static func openForRepair(
        _ disk: any Disk, _ path: RawPath, isRight: ContentCheck? = nil
    ) throws(HostFilesError) -> ProtectedFile {
        try ProtectedFile(try disk.openForUpdating(path), path, isRight)
    }

    /// Writes a new file at `path` that must not exist, synced and closed. Its name is not durable yet. Returns its bytes.
    @discardableResult
    package static func write(
        _ content: UnsafeRawBufferPointer, _ disk: any Disk, _ path: RawPath,
        _ encoder: ProtectedFileEncoder = ProtectedFileEncoder()
    ) throws(HostFilesError) -> Int {
        let file = try disk.createExclusively(path, expectedBytes: fileBytes(contentBytes: content.count))
        defer { file.close() }
        let bytes = try encoder.write(content, to: file)
        #if MUTANTS
            if Mutant.skipFileSync.isOn { return bytes }
        #endif
        try file.sync()
        return bytes
    }

    @discardableResult
    package static func write(_ content: [UInt8], _ disk: any Disk, _ path: RawPath) throws(HostFilesError) -> Int {
        try content.withBytes { bytes throws(HostFilesError) in try write(bytes, disk, path) }
    }

    /// The whole content of the file at `path`, checked and rebuilt where needed; at most `limit` bytes, else `damaged`.
    package static func content(
        _ disk: any Disk, _ path: RawPath, limit: Int, isRight: ContentCheck? = nil
    ) throws(HostFilesError) -> [UInt8] {
        let file = try open(disk, path, isRight: isRight)
        guard file.contentBytes <= limit else {
            throw HostFilesError(.damaged, "read", path: path, detail: "longer than such a file may be")
        }
        var content = [UInt8](repeating: 0, count: file.contentBytes)
        try content.withMutableBytes { bytes throws(HostFilesError) in
            _ = try file.readChecked(0..<bytes.count, into: bytes)
        }
        return content
    }

    /// Bytes of the file that holds `contentBytes` of content.
    package static func fileBytes(contentBytes: Int) -> Int {
        if contentBytes <= ProtectedLayout.smallContentBytesMax {
            return 2 * ProtectedLayout(contentBytes: contentBytes, small: true).frameBytes
        }
        let groups = (contentBytes - 1) / ProtectedLayout.groupContentBytes
        let rest = contentBytes - groups * ProtectedLayout.groupContentBytes
        return groups * ProtectedLayout.fullGroupBytes + ProtectedLayout(contentBytes: rest, small: false).frameBytes
    }

    private init(_ file: any DiskFile, _ path: RawPath, _ isRight: ContentCheck?) throws(HostFilesError) {
        self.file = file
        self.path = path
        let fileBytes = try file.size()
        self.fileBytes = fileBytes
        let head = ProtectedFile.page(file, at: 0)
        func small() -> ProtectedSmallForm? { ProtectedSmallForm(file, fileBytes: fileBytes, isRight: isRight) }
        // The length says which form it is, since another file's block may stand at the start; its tables do, where it has a wrong length.
        var found = fileBytes <= ProtectedSmallForm.fileBytesMax ? small() : nil
        if found == nil {
            let largeHead = head?.layout.isSmall == true ? nil : head
            if let (groups, rest) = ProtectedFile.groups(file, fileBytes: fileBytes, head: largeHead) {
                form = .large(groups: groups, lastContentBytes: rest)
                contentBytes = (groups - 1) * ProtectedLayout.groupContentBytes + rest
                return
            }
            found = fileBytes > ProtectedSmallForm.fileBytesMax ? small() : nil
        }
        guard let found else { throw ProtectedFile.noTable(path) }
        form = .small(found)
        contentBytes = found.content.count
    }

    private static func noTable(_ path: RawPath) -> HostFilesError {
        HostFilesError(.damaged, "read", path: path, detail: "no copy of its table is left, or its end is missing")
    }

    /// The undamaged table page of the large form, or head of the small one, at `offset`.
    static func page(_ file: any DiskFile, at offset: Int) -> ProtectedPage? {
        guard offset >= 0 else { return nil }
        return withUnsafeTemporaryAllocation(byteCount: ProtectedLayout.pageBytes, alignment: 16) { buffer in
            guard let count = try? file.read(at: offset, into: buffer) else { return nil }
            return ProtectedPage(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }

    /// How many groups the file has, and the content bytes of the last: from the last group's table, wherever a page of
    /// it is left.
    private static func groups(_ file: any DiskFile, fileBytes: Int, head: ProtectedPage?) -> (Int, Int)? {
        var group = max(0, fileBytes - 1) / ProtectedLayout.fullGroupBytes
        if group == 0, let head, head.isLast { return onlyGroup(file, fileBytes, head).map { (1, $0.contentBytes) } }
        while group >= 0 {
            let start = group * ProtectedLayout.fullGroupBytes
            let tail = min(fileBytes - start, ProtectedLayout.fullGroupBytes)
            let places =
                (0..<ProtectedFile.largestTablePages).map { (start + $0 * ProtectedLayout.pageBytes, $0) }
                + lastTable(start, tail)
            for (offset, number) in places {
                guard let page = page(file, at: offset), !page.layout.isSmall, page.group == group, page.page == number,
                    page.isLast
                else { continue }
                return (group + 1, page.layout.contentBytes)
            }
            for (second, number) in lastTable(start, tail) {
                let first = start + number * ProtectedLayout.pageBytes
                guard let bytes = ProtectedFile.mergedPage(file, first, second) else { continue }
                guard let page = bytes.withUnsafeBytes({ ProtectedPage($0) }), page.group == group else { continue }
                return page.isLast ? (group + 1, page.layout.contentBytes) : nil
            }
            group -= 1
        }
        return nil
    }

    /// The layout of a file of one group that begins with the page `head`, which may be another file's: where the table at the end
    /// says something else, the one that more blocks agree with; nil if none does. In a long file whose length fits, the table at the end,
    /// which is far away, is not looked at.
    private static func onlyGroup(_ file: any DiskFile, _ fileBytes: Int, _ head: ProtectedPage) -> ProtectedLayout? {
        if ProtectedFile.fileBytes(contentBytes: head.layout.contentBytes) == fileBytes {
            if fileBytes > pieceBytes || page(file, at: head.layout.secondTableOffset)?.layout == head.layout {
                return head.layout
            }
        }
        var layouts = [head.layout]
        for (offset, number) in lastTable(0, fileBytes) {
            guard let page = page(file, at: offset), !page.layout.isSmall, page.group == 0, page.isLast, page.page == number
            else { continue }
            if !layouts.contains(page.layout) { layouts.append(page.layout) }
        }
        guard layouts.count > 1 else { return head.layout }
        func good(_ layout: ProtectedLayout) -> Int {
            ProtectedGroup(
                file, index: 0, isLast: true, layout, start: 0, blocks: 0..<layout.blocks, bothTables: true
            ).goodBlocks(0..<layout.blocks)
        }
        let counted = layouts.map { (layout: $0, good: good($0)) }
        return counted.filter { $0.good > 0 }.max { $0.good < $1.good }?.layout
    }

    /// A table page of which both copies, at these offsets, are damaged, but in different places: they are mixed until the
    /// checksum holds. Nil if it never does.
    static func mergedPage(_ file: any DiskFile, _ first: Int, _ second: Int) -> [UInt8]? {
        var a = [UInt8](repeating: 0, count: ProtectedLayout.pageBytes)
        var b = a
        a.withUnsafeMutableBytes { readAll(file, at: first, into: $0) }
        b.withUnsafeMutableBytes { readAll(file, at: second, into: $0) }
        var runs: [Range<Int>] = []
        for index in a.indices where a[index] != b[index] {
            if let last = runs.last, index - last.upperBound < mergeGapBytes {
                runs[runs.count - 1] = last.lowerBound..<index + 1
            } else {
                runs.append(index..<index + 1)
            }
        }
        guard runs.count <= mergeRunsMax else { return nil }
        for choice in 0..<(1 << runs.count) {
            var mixed = a
            for (bit, run) in runs.enumerated() where choice >> bit & 1 == 1 { mixed.replaceSubrange(run, with: b[run]) }
            if mixed.withUnsafeBytes({ ProtectedPage($0) }) != nil { return mixed }
        }
        return nil
    }

    /// Differences closer than this are one piece of damage.
    private static let mergeGapBytes = 16
    /// Mixing tries every combination: 2 to this power.
    private static let mergeRunsMax = 8

    private static let largestTablePages = ProtectedLayout(contentBytes: ProtectedLayout.groupContentBytes, small: false)
        .tablePages

    /// Where the pages of table B lie in a group of `frameBytes` at `start`: each count of data blocks has its own length.
    private static func lastTable(_ start: Int, _ frameBytes: Int) -> [(Int, Int)] {
        var low = 0
        var high = ProtectedLayout.groupContentBytes / ProtectedLayout.pageBytes
        while low < high {
            let middle = (low + high) / 2
            let bytes = ProtectedLayout(contentBytes: middle * ProtectedLayout.pageBytes, small: false).frameBytes
            if bytes < frameBytes { low = middle + 1 } else { high = middle }
        }
        let layout = ProtectedLayout(contentBytes: low * ProtectedLayout.pageBytes, small: false)
        guard layout.frameBytes == frameBytes else { return [] }
        return (0..<layout.tablePages).map { (start + layout.secondTableOffset + $0 * ProtectedLayout.pageBytes, $0) }
    }

    /// The layout and the start of group `index` in the large form.
    func group(_ index: Int, of groups: Int, _ lastContentBytes: Int) -> (ProtectedLayout, Int) {
        let bytes = index == groups - 1 ? lastContentBytes : ProtectedLayout.groupContentBytes
        return (ProtectedLayout(contentBytes: bytes, small: false), index * ProtectedLayout.fullGroupBytes)
    }

    /// Reads content bytes `range` into the start of `buffer`, unchecked: for a caller who checks them in its own way, and
    /// turns to ``readChecked(_:into:)`` when they are wrong. Throws `damaged` where the file ends too early.
    package func read(_ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(HostFilesError) {
        try requireInside(range, buffer)
        switch form {
        case .small(let small):
            guard small.lost.isEmpty else { throw damaged(small.lost) }
            small.content.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
        case .large(let groups, let lastContentBytes):
            var done = range.lowerBound
            while done < range.upperBound {
                let index = done / ProtectedLayout.groupContentBytes
                let (layout, start) = group(index, of: groups, lastContentBytes)
                let inside = done - index * ProtectedLayout.groupContentBytes
                let count = min(range.upperBound - done, layout.contentBytes - inside)
                let target = UnsafeMutableRawBufferPointer(
                    rebasing: buffer[(done - range.lowerBound)..<(done - range.lowerBound + count)])
                let read = try file.read(at: start + layout.offset(ofBlock: 0) + inside, into: target)
                guard read == count else { throw damaged([done + read..<done + count]) }
                done += count
            }
        }
    }

    func requireInside(_ range: Range<Int>, _ buffer: UnsafeMutableRawBufferPointer) throws(HostFilesError) {
        precondition(buffer.count >= range.count)
        guard range.lowerBound >= 0, range.upperBound <= contentBytes else {
            throw HostFilesError(.damaged, "read", path: path, detail: "bytes \(range) of \(contentBytes) were asked for")
        }
    }

    func damaged(_ lost: [Range<Int>]) -> HostFilesError {
        let text = lost.map { "\($0.lowerBound)..<\($0.upperBound)" }.joined(separator: ", ")
        return HostFilesError(.damaged, "read", path: path, detail: "content bytes \(text) are lost")
    }
}
