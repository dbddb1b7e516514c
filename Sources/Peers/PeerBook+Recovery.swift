package import BackupFormat

extension PeerBook {
    /// A node has shown the vault that it keeps for this owner, whose book was lost: it is an own device, or a friend's. What was agreed with
    /// a friend is not known any more; what they keep goes by their own book.
    package mutating func recovered(
        _ certificate: Certificate, own: OwnerID, at addresses: [String], now: Int64
    ) throws(PeerBookError) {
        var book = self
        if certificate.owner != own, friend(certificate.owner) == nil {
            try book.agree(
                certificate.owner, name: firstName([certificate.name], else: certificate.owner.hex), quotaBytes: 0,
                promisedBytes: 0, now: now)
        }
        book.saw(certificate, at: addresses, now: now)
        self = book
    }
}
