internal import Archive
internal import BackupFormat
internal import BackupNode
internal import Glibc
internal import HostFiles
internal import NameIndex

/// The interactive `find`: results as you type, the versions of the selected one, and a way to bring it back.
final class FindBrowser: Sendable {
    /// What the thread that searches is asked, and what it answers.
    private struct Work {
        var isEnded = false
        var query: [UInt8] = []
        var queryNumber = 0
        var answeredNumber = 0
        var matches: [NameMatch] = []
        var failure: NodeError?
        var path: RawPath?
        var shownPath: RawPath?
        var versions: [PathVersion] = []
        /// Of what runs now.
        var running: Progress?
    }

    /// What was chosen.
    struct Choice {
        let match: NameMatch
        let target: [UInt8]
    }

    private let search: NameSearch
    private let node: Node
    private let filter: NameFilter
    private let limit: Int
    private let snapshots: [SnapshotSummary]
    private let session: Session
    private let work = ConditionLock(Work())

    init(_ session: Session, _ node: Node, _ search: NameSearch, _ filter: NameFilter, limit: Int, _ snapshots: [SnapshotSummary])
    {
        self.session = session
        self.node = node
        self.search = search
        self.filter = filter
        self.limit = limit
        self.snapshots = snapshots
    }

    /// Runs until something is chosen, or nil when the person leaves or `progress` stops. Throws when the index cannot be read.
    func choose(_ progress: Progress) throws(NodeError) -> Choice? {
        guard let screen = Screen() else {
            throw NodeError(.usage, "find", "say what to look for, a few letters of the path: `find report pdf`")
        }
        let thread = WorkerThread(name: "browse") { [self] in answer() }
        defer {
            work.withLock { work in
                work.isEnded = true
                work.running?.stop()
            }
            thread?.join()
        }
        guard thread != nil else { throw NodeError(.failed, "find", "no thread left on this system") }
        return try run(screen, progress)
    }

    private func run(_ screen: Screen, _ progress: Progress) throws(NodeError) -> Choice? {
        var view = FindView(defaultTarget: session.path("restored").bytes)
        var keys = KeyReader()
        var size = (columns: 0, rows: 0)
        var needsShow = true
        while !progress.isStopping {
            if let failure = take(&view, &needsShow) { throw failure }
            let now = screen.size
            if now != size { needsShow = true }
            size = now
            if needsShow {
                let shown = view.lines(columns: size.columns, rows: size.rows, isColoured: Standard.isColoured(1))
                screen.show(shown.lines, cursor: shown.cursor)
                needsShow = false
            }
            let isWaiting = view.isSearching || view.selection.map { $0.path != view.versionsPath } ?? false
            guard let bytes = screen.read(milliseconds: keys.mayGoOn ? 25 : isWaiting ? 15 : 250) else { return nil }
            keys.add(bytes)
            // What was typed ahead waits for the results that it is about.
            while !view.isSearching, let key = keys.next(isComplete: bytes.isEmpty) {
                needsShow = true
                let query = view.query
                let effect = view.handle(key, rows: FindView.rows(size.rows).results)
                if view.query != query { ask(&view) }
                work.withLock { $0.path = view.selection?.path }
                switch effect {
                case .none: continue
                case .leave: return nil
                case .restore(let target):
                    guard let match = view.selection else { continue }
                    let place = session.environment.existing(RawPath(bytes: target))
                    if let there = existing(match.path, below: place) {
                        _ = view.handle(.leave, rows: 0)
                        view.message = "already there, choose another folder: \(there)"
                        continue
                    }
                    return Choice(match: match, target: target)
                }
            }
        }
        return nil
    }

    /// What a restore would have to replace.
    private func existing(_ path: RawPath, below target: RawPath) -> RawPath? {
        let place = path.components.reduce(target) { $0.appending($1) }
        do { return try RealDisk().status(place) == nil ? nil : place } catch { return place }
    }

    private func ask(_ view: inout FindView) {
        view.isSearching = true
        let query = view.query
        work.withLock { work in
            work.query = query
            work.queryNumber += 1
            work.running?.stop()
        }
    }

    /// Takes over what was found meanwhile.
    private func take(_ view: inout FindView, _ needsShow: inout Bool) -> NodeError? {
        let (matches, versions, failure) = work.withLock { work -> ([NameMatch]?, (RawPath, [PathVersion])?, NodeError?) in
            let matches = view.isSearching && work.answeredNumber == work.queryNumber ? work.matches : nil
            return (matches, work.shownPath.map { ($0, work.versions) }, work.failure)
        }
        if let matches {
            view.found(matches)
            work.withLock { $0.path = view.selection?.path }
            needsShow = true
        }
        if let (path, found) = versions, path != view.versionsPath, path == view.selection?.path {
            view.versionsPath = path
            view.versions = found
            needsShow = true
        }
        return failure
    }

    /// The thread that searches: the newest query first, then the versions of what is selected.
    private func answer() {
        enum Task {
            case end
            case search([UInt8], Int, Progress)
            case versions(RawPath, Progress)
        }
        while true {
            let task = work.wait { work -> Task? in
                if work.isEnded { return .end }
                let progress = Progress()
                if work.queryNumber != work.answeredNumber {
                    work.running = progress
                    return .search(work.query, work.queryNumber, progress)
                }
                guard let path = work.path, path != work.shownPath else { return nil }
                work.running = progress
                return .versions(path, progress)
            }
            switch task {
            case .end: return
            case .search(let text, let number, let progress):
                let result = Result { () throws(NameIndexError) -> [NameMatch]? in
                    guard let query = NameQuery(text) else { return [] }
                    return try search.run(query, filter, limit: limit) { progress.isStopping }
                }
                work.withLock { work in
                    work.running = nil
                    switch result {
                    case .success(let matches?):
                        work.matches = matches
                        work.answeredNumber = number
                    case .success(nil): break
                    case .failure(let error): work.failure = NodeError(ArchiveError(error))
                    }
                }
            case .versions(let path, let progress):
                let versions = try? node.versions(of: path, in: snapshots, progress) { _ in }
                work.withLock { work in
                    work.running = nil
                    if progress.isStopping { return }
                    work.versions = versions ?? []
                    work.shownPath = path
                }
            }
        }
    }
}
