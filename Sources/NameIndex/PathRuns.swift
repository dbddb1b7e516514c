internal import Glibc

extension PathScan {
    /// Whether these lowered bytes stand somewhere in the path, one behind the other.
    func holdsRun(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.withUnsafeBufferPointer { bytes in
            guard let first = bytes.first, let pattern = bytes.baseAddress else { return true }
            var start = 0
            while count - start >= bytes.count,
                let hit = memchr(lowered + start, Int32(first), count - start - bytes.count + 1)
            {
                if memcmp(hit, pattern, bytes.count) == 0 { return true }
                start = UnsafeRawPointer(lowered).distance(to: UnsafeRawPointer(hit)) + 1
            }
            return false
        }
    }

    /// Whether the path ends with these lowered bytes.
    func endsWith(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.withUnsafeBufferPointer { bytes in
            guard let pattern = bytes.baseAddress else { return true }
            return bytes.count <= count && memcmp(lowered + count - bytes.count, pattern, bytes.count) == 0
        }
    }
}
