package import BackupFormat
internal import Cryptography
internal import HostFiles
internal import Synchronization

/// Orders to forget that this owner's devices have given: `<home>/peers/orders/<nonce>`, protected files.
///
/// Peers that are away get them when they come back; and a peer that has not heard yet cannot bring back what was forgotten. So they are
/// kept, whatever their age: a clock that starts at 1970 until it is set would make all of them look old. ``ordersMax`` is the bound.
package final class OrderFolder: Sendable {
    private struct Contents {
        var orders: [Bytes32: ForgetOrder] = [:]
        var forgotten: Set<SnapshotID> = []
    }

    private let home: Home
    private let contents = Mutex(Contents())

    /// The oldest go when there are more.
    private static let ordersMax = 4096

    private var folder: RawPath { home.peersDirectory.appending("orders") }

    package init(_ home: Home) throws(NodeError) {
        self.home = home
        do { try home.disk.makeDirectories(home.peersDirectory.appending("orders")) } catch {
            throw NodeError(.home, "make the folder of orders", "\(error)")
        }
        try refresh()
    }

    /// All that are known, in the order of their nonces.
    package var all: [ForgetOrder] { contents.withLock { $0.orders.values.sorted { $0.nonce < $1.nonce } } }

    /// Whether the snapshot was forgotten by an order.
    package func forbids(_ snapshot: SnapshotID) -> Bool { contents.withLock { $0.forgotten.contains(snapshot) } }

    /// All snapshots that orders name.
    package var forgotten: Set<SnapshotID> { contents.withLock { $0.forgotten } }

    /// Keeps an order, durably. One that is there already is left as it is.
    package func add(_ order: ForgetOrder) throws(NodeError) {
        guard contents.withLock({ $0.orders[order.nonce] == nil }) else { return }
        do { try home.disk.replaceProtectedFile(folder.appending(order.nonce.hex), with: order.encode()) } catch {
            throw NodeError(.home, "keep an order to forget", "\(error)")
        }
        note(order)
    }

    private func note(_ order: ForgetOrder) {
        contents.withLock { contents in
            contents.orders[order.nonce] = order
            contents.forgotten.formUnion(order.snapshots)
        }
    }

    /// Reads orders that another process has added, and lets go of the oldest where there are too many. True if there was a new one.
    @discardableResult
    package func refresh() throws(NodeError) -> Bool {
        var isNew = false
        do {
            let names = try home.disk.list(folder)
            // Their ages matter, and are looked at, only when there are too many.
            let areTooMany = names.count > OrderFolder.ordersMax
            var ages: [(name: RawPath, modified: Int64)] = []
            for name in names {
                guard let nonce = Bytes32(hex: String(decoding: name.bytes, as: UTF8.self)) else { continue }
                if areTooMany {
                    guard let status = try home.disk.status(folder.appending(name)) else { continue }
                    ages.append((name, status.modifiedSeconds))
                }
                guard contents.withLock({ $0.orders[nonce] == nil }) else { continue }
                // One that cannot be read is as good as none: its snapshots stay with peers, which loses nothing.
                func order(_ bytes: [UInt8]) -> ForgetOrder? {
                    bytes.withUnsafeBytes { try? ForgetOrder(decoding: $0) }.flatMap { $0.nonce == nonce ? $0 : nil }
                }
                guard
                    let bytes = try? ProtectedFile.content(
                        home.disk, folder.appending(name), limit: OrderFolder.orderBytesMax, isRight: { order($0) != nil }),
                    let order = order(bytes)
                else { continue }
                note(order)
                isNew = true
            }
            ages.sort { $0.modified > $1.modified }
            for age in ages.dropFirst(OrderFolder.ordersMax) {
                try? home.disk.unlink(folder.appending(age.name))
                guard let nonce = Bytes32(hex: String(decoding: age.name.bytes, as: UTF8.self)) else { continue }
                contents.withLock { contents in
                    contents.orders[nonce] = nil
                    contents.forgotten = Set(contents.orders.values.flatMap(\.snapshots))
                }
            }
        } catch { throw NodeError(.home, "read the orders to forget", "\(error)") }
        return isNew
    }

    private static let orderBytesMax = Limits.forgetSnapshotsMax * 32 + 4096
}
