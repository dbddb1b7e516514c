package import HostFiles

extension FolderWatch {
    /// Takes in all that was told until now, and what comes within so many milliseconds after it.
    package func drain(milliseconds: Int, tell: (FolderEvent) -> Void) {
        var isOver = false
        while !isOver {
            isOver = true
            let isBusy = wait(milliseconds: milliseconds) { event in
                isOver = false
                tell(event)
            }
            // What others do on the same file system is told to nobody, and may be in front.
            if isBusy { isOver = false }
        }
    }
}
