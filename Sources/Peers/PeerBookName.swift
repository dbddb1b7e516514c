internal import BackupFormat

/// A name that a peer gave itself, as it may be kept and shown on a terminal: at most ``Limits/peerNameBytesMax`` bytes, no white space
/// around it, and U+FFFD for each character that could move the cursor, hide text or reverse its direction. May be empty.
package func shownName(_ text: String) -> String {
    func isSpace(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isWhitespace }
    var scalars: [Unicode.Scalar] = []
    var byteCount = 0
    guard let end = text.unicodeScalars.lastIndex(where: { !isSpace($0) }) else { return "" }
    for scalar in text.unicodeScalars[...end].drop(while: isSpace) {
        let kept = scalar.isUnsafeToShow ? "\u{fffd}" : scalar
        byteCount += UTF8.width(kept)
        guard byteCount <= Limits.peerNameBytesMax else { break }
        scalars.append(kept)
    }
    while let last = scalars.last, isSpace(last) { scalars.removeLast() }
    var name = ""
    name.unicodeScalars.append(contentsOf: scalars)
    return name
}

/// The first of the names that says something; else what `id` begins with.
func firstName(_ names: [String?], else id: String) -> String {
    names.lazy.compactMap { $0 }.map(shownName).first { !$0.isEmpty } ?? String(id.prefix(8))
}

/// Whether `text` is `host:port` in printable ASCII, of at most ``Limits/addressBytesMax`` bytes. Who dials it finds out what it means.
package func isAddress(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    guard bytes.count <= Limits.addressBytesMax, bytes.allSatisfy({ (0x21...0x7e).contains($0) }),
        let colon = bytes.lastIndex(of: UInt8(ascii: ":")), colon > 0
    else { return false }
    let digits = bytes[(colon + 1)...]
    guard (1...5).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return false }
    return (1...65_535).contains(digits.reduce(0) { $0 * 10 + Int($1 - 0x30) })
}
