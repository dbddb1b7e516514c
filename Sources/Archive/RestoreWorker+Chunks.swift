internal import BackupFormat
internal import HostFiles

/// Large files, chunk by chunk.
extension RestoreWorker {
    /// Takes up a large file that no one has begun.
    func begin(_ file: RestoreFile) {
        if run.isStopping { return end(file) }
        if let group = linkGroup(file.entry, file.directory) {
            let name = RestoreLinks.Name(entry: file.entry, directory: file.directory, file: file)
            guard run.links.begin(group, name) else { return }
            file.linkGroup = group
            do {
                if try linkToFinished(file.entry, in: file.directory) { return end(file) }
            } catch {
                return end(file, error)
            }
        }
        beginAlone(file)
    }

    /// Begins a large file that is no further name of a finished one.
    func beginAlone(_ file: RestoreFile) {
        do {
            switch try decide(file.entry, in: file.directory) {
            case .keep:
                run.count(file.entry, unchanged: true)
                return end(file)
            case .build: try beginBuild(file)
            case .compare: try beginCompare(file)
            }
        } catch {
            return end(file, error)
        }
        run.scheduler.activate(file)
        takeChunks(file)
    }

    /// Joins in on a large file that another worker has begun.
    func help(_ file: RestoreFile) {
        // With nothing left to take, those inside finish it; they have taken it off the list by now, or are about to.
        if file.enter() { takeChunks(file) }
    }

    private func takeChunks(_ file: RestoreFile) {
        while let piece = file.takePiece(scratch, run.isStopping) {
            do {
                if file.phase == .compare { try compare(piece, of: file) } else { try build(piece, of: file) }
            } catch {
                file.fail(error)
            }
        }
        run.scheduler.deactivate(file)
        guard let outcome = file.leave() else { return }
        switch outcome {
        case .failed(let failure): end(file, failure)
        case .misjudged: repeatPass(file)
        case .different: differs(file)
        case .complete: complete(file)
        }
    }

    // MARK: Passes

    private func beginCompare(_ file: RestoreFile) throws(RestoreFailure) {
        let folder = try file.directory.open()
        // One that cannot be read is simply replaced.
        file.existing = try? folder.openExisting(file.entry.name)
        guard file.existing?.status.size == file.entry.size else { return try beginBuild(file) }
        file.beginPass(.compare)
    }

    private func beginBuild(_ file: RestoreFile) throws(RestoreFailure) {
        guard let staging = file.directory.staging else { return file.beginPass(.build) }
        if file.staged == nil {
            let folder = staging.folder(ofWorker: index)
            let name = staging.newName()
            let opened = try HostFilesError.of { () throws(HostFilesError) in try folder.createFile(name) }
            file.staged = (RestoreStagedFile(folder: folder, name: name), opened)
            let layout = file.content.layout
            try HostFilesError.of { () throws(HostFilesError) in try opened.setSize(layout.size) }
            if layout.isLarge { opened.reserve(layout.size) }
        }
        file.beginPass(.build)
    }

    private func repeatPass(_ file: RestoreFile) {
        run.progress.bytes.subtract(file.countedBytes, ordering: .relaxed)
        file.beginPass(file.phase, trustsHints: false)
        run.scheduler.activate(file)
        takeChunks(file)
    }

    private func differs(_ file: RestoreFile) {
        run.progress.bytes.subtract(file.countedBytes, ordering: .relaxed)
        do { try beginBuild(file) } catch { return end(file, error) }
        run.scheduler.activate(file)
        takeChunks(file)
    }

    private func complete(_ file: RestoreFile) {
        do {
            if file.phase == .compare, let existing = file.existing {
                let layout = file.content.layout
                guard try layout.allHoles({ offset, length throws(RestoreFailure) in try isZero(existing, offset, length) }),
                    try adopt(file.entry, existing, in: file.directory)
                else { return differs(file) }
            } else if let staged = file.staged {
                file.staged = nil
                // The pages in which two chunks meet; the end of the restore would wait for all of them at once.
                staged.file.beginWriteback()
                try finish(file.entry, staged.place, .file(staged.file), in: file.directory)
            } else {
                run.count(file.entry, unchanged: false)
            }
            end(file)
        } catch {
            end(file, error)
        }
    }

    /// Lets go of a file, restored or not.
    private func end(_ file: RestoreFile, _ failure: RestoreFailure? = nil) {
        file.staged?.place.discard()
        file.staged = nil
        file.existing = nil
        if let failure { run.report(file.directory.path(of: file.entry.name), failure) }
        if let group = file.linkGroup { endLinks(group, failure: failure) }
        file.directory.release(run)
    }

    // MARK: Chunks

    private func compare(_ piece: RestoreFile.Piece, of file: RestoreFile) throws(RestoreFailure) {
        guard let existing = file.existing,
            let found = try read(piece.bytes, at: piece.stored, file.content.layout, of: existing),
            run.source.matches(found, piece.key)
        else {
            // Unless only the index told a wrong length.
            if piece.plain == nil, let plain = try? run.source.read(piece.key, scratch), plain.count != piece.bytes {
                return file.foundWrongHint()
            }
            return file.foundDifference()
        }
        run.progress.bytes.add(piece.bytes, ordering: .relaxed)
        file.counted(piece.bytes)
    }

    private func build(_ piece: RestoreFile.Piece, of file: RestoreFile) throws(RestoreFailure) {
        let layout = file.content.layout
        var bytes = piece.plain
        var isLocal = false
        if bytes == nil, let existing = file.existing, let found = try read(piece.bytes, at: piece.stored, layout, of: existing),
            run.source.matches(found, piece.key)
        {
            bytes = found
            isLocal = true
        }
        guard let staged = file.staged?.file else {
            // A dry run: a hint is good enough.
            if !isLocal { run.writtenBytes.add(piece.bytes, ordering: .relaxed) }
            run.progress.bytes.add(piece.bytes, ordering: .relaxed)
            return file.counted(piece.bytes)
        }
        let plain: UnsafeRawBufferPointer
        if let bytes {
            plain = bytes
        } else {
            do { plain = try run.source.read(piece.key, scratch) } catch { throw RestoreFailure(error) }
        }
        guard plain.count == piece.bytes else { return file.foundWrongHint() }
        try write(plain, at: piece.stored, layout, to: staged)
        file.counted(piece.bytes)
        if run.request.verify { try verify(piece.key, piece.bytes, at: piece.stored, layout, of: staged) }
    }
}
