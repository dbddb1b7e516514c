internal import BackupFormat
internal import Cryptography
internal import Peers

/// Whom a node knows: the book of peers, and invitations as people carry them.
let bookTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "peer-book",
        run: { bytes in
            // The checksum at its end is made right, since no fuzzer finds one.
            let record = Array(bytes)
            let contents = record + sha256(record).bytes
            if let found = try? PeerBook(decoding: record) {
                try promise(found.encode() == record, "peer-book: other bytes than were decoded")
            }
            guard let book = try? PeerBook(decoding: contents) else { return }
            try promise(book.encode() == contents, "peer-book: other bytes than were decoded")
            try keepPromises(book)
        },
        seeds: { try Vectors.read("peer-books").map { Array($0.bytes.dropLast(Bytes32.count)) } }),
    FuzzTarget(
        name: "invitation",
        run: { bytes in
            let found = Result { () throws(FormatError) in try Invitation(decoding: bytes) }
            switch found {
            case .success(let invitation):
                try promise(invitation.encode().elementsEqual(bytes), "invitation: other bytes than were decoded")
                try promise((try? Invitation(invitation.text)) == invitation, "invitation: a text that reads otherwise")
                try promise(isSafe(invitation.name) && invitation.addresses.allSatisfy(isSafe), "invitation: unsafe to show")
            case .failure(let error):
                do {
                    _ = try Invitation(Invitation.text(carrying: Array(bytes)))
                    throw BrokenPromise(description: "invitation: a text of what is none")
                } catch let found as InvitationError {
                    let isTooLong = bytes.count > Limits.invitationBytesMax
                    try promise(found == .malformed(error) || isTooLong, "invitation: \(found) for \(error)")
                }
            }
        },
        seeds: { try Vectors.read("invitations").filter { !$0.name.hasSuffix("-text") }.map(\.bytes) }),
    FuzzTarget(
        name: "invitation-text",
        run: { bytes in
            do {
                let invitation = try Invitation(String(decoding: bytes, as: UTF8.self))
                try promise((try? Invitation(invitation.text)) == invitation, "invitation-text: a text that reads otherwise")
            } catch let error as InvitationError {
                try promise(!error.description.isEmpty && isSafe(error.description), "invitation-text: words unsafe to show")
            }
        },
        seeds: {
            try Vectors.read("invitations").filter { $0.name.hasSuffix("-text") }.map(\.bytes)
                + ["bakare-invite2-0-00000000", "> BAKARE–INVITE1–\n= 0-", "bakare-invite"].map { Array($0.utf8) }
        }),
]

/// What holds of any book: it is within its bounds, safe to show, and every decision on it leaves it so.
private func keepPromises(_ book: PeerBook) throws(BrokenPromise) {
    try promise(book.friends.count <= Limits.friendsMax && book.devices.count <= Limits.devicesMax, "peer-book: too long")
    for friend in book.friends { try promise(isSafe(friend.name) && !friend.name.isEmpty, "peer-book: a name unsafe to show") }
    var changed = book
    for device in book.devices {
        try promise(isSafe(device.name) && device.addresses.allSatisfy(isSafe), "peer-book: a device unsafe to show")
        try promise(book.device(agreementKey: device.agreementKey) == device, "peer-book: a key that several have")
        changed.saw(device.certificate, at: ["h:1"], now: 7)
        _ = changed.block(device.id)
        do {
            try promise(try book.findDevice(device.id.hex).id == device.id, "peer-book: another device")
        } catch let error as PeerBookError {
            try promise(error.code == .ambiguous && isSafe(error.description), "peer-book: a device that is not found")
        } catch let error as BrokenPromise { throw error } catch {}
    }
    for friend in book.friends {
        try promise(changed.unpair(friend.owner, now: 9) == friend.isPaired, "peer-book: unpaired what was not paired")
        try promise(changed.remove(friend.owner), "peer-book: a former friend that stays")
    }
    try promise((try? PeerBook(decoding: changed.encode())) == changed, "peer-book: a change that cannot be read back")
    try promise(changed.acquaintances(owner: OwnerID(.zero)).friends.isEmpty, "peer-book: a friend that was removed")
}

/// Whether nothing in the text could act on a terminal.
private func isSafe(_ text: String) -> Bool { !text.unicodeScalars.contains(where: \.isUnsafeToShow) }
