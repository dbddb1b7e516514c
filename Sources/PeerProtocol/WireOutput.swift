/// Takes sealed bytes on their way to the wire: so that whoever writes to a socket has them in memory of its own kind, without a copy.
package protocol WireOutput {
    /// Appends `count` bytes, all of which `fill` writes.
    mutating func append(count: Int, fill: (UnsafeMutableRawBufferPointer) -> Void)
}

extension [UInt8]: WireOutput {
    package mutating func append(count: Int, fill: (UnsafeMutableRawBufferPointer) -> Void) {
        self += [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            fill(UnsafeMutableRawBufferPointer(buffer))
            initialized = count
        }
    }
}
