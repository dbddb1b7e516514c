internal import BackupFormat
internal import CAvahi
internal import Glibc

/// Browses for services and watches each that `PeerSet` wants watched.
///
/// Its browsers and resolvers are freed with the client.
final class AvahiBrowser {
    private let client: OpaquePointer
    private let report: (DiscoveryEvent) -> Void
    private var peers: PeerSet
    private var browser: OpaquePointer?
    private var resolvers: [ServiceKey: OpaquePointer] = [:]
    private var keys: [OpaquePointer: ServiceKey] = [:]
    private var pauses = Backoff(firstMilliseconds: 5000, longestMilliseconds: 900_000)
    private var isIncomplete = false
    /// When names were last passed over.
    private var incompleteAt: UInt64 = 0
    /// When to ask again for names that were passed over.
    private(set) var browseAgainAt: UInt64 = .max
    private(set) var failure: String?

    init(_ client: OpaquePointer, ownID: DeviceID, report: @escaping (DiscoveryEvent) -> Void) {
        self.client = client
        self.report = report
        peers = PeerSet(ownID: ownID)
    }

    func advance(now: UInt64) {
        if browser == nil { browse() }
        if now >= browseAgainAt {
            browseAgainAt = .max
            browse()
        }
        guard isIncomplete else { return }
        isIncomplete = false
        // After a quiet time longer than any pause, the trouble is over.
        if now > incompleteAt + 1_200_000_000_000 { pauses.reset() }
        incompleteAt = now
        if browseAgainAt == .max { browseAgainAt = now + pauses.next() }
    }

    /// Everyone is gone. To be called once the client has been freed, and with it all that it held.
    func close() { handle(.daemonLost) }

    /// The new browser comes before the old one goes, so that nothing is missed in between.
    private func browse() {
        let former = browser
        browser = avahi_service_browser_new(
            client, unspecified, unspecified, serviceType, nil, AvahiLookupFlags(rawValue: 0),
            { _, interface, family, event, name, _, domain, _, context in
                guard let context else { return }
                let key = ServiceKey(interface: interface, addressFamily: family, name: bytes(name), domain: bytes(domain))
                Unmanaged<AvahiBrowser>.fromOpaque(context).takeUnretainedValue().browsed(event, key)
            }, Unmanaged.passUnretained(self).toOpaque())
        if browser == nil { noteFailure() }
        if let former { avahi_service_browser_free(former) }
    }

    private func browsed(_ event: AvahiBrowserEvent, _ key: ServiceKey) {
        switch event {
        case AVAHI_BROWSER_NEW: handle(.found(key))
        case AVAHI_BROWSER_REMOVE: handle(.lost(key))
        case AVAHI_BROWSER_FAILURE: noteFailure()
        default: break
        }
    }

    /// Asks for an address of the family that the service was found with: left to choose, the daemon gives now one, now the other, and of
    /// a host's two addresses one may be missing.
    private func resolve(_ key: ServiceKey) {
        let resolver = avahi_service_resolver_new(
            client, key.interface, key.addressFamily, terminated(key.name), serviceType, terminated(key.domain),
            key.addressFamily,
            AvahiLookupFlags(rawValue: 0),
            { resolver, _, _, event, _, _, _, _, address, port, text, _, context in
                guard let context, let resolver else { return }
                Unmanaged<AvahiBrowser>.fromOpaque(context).takeUnretainedValue()
                    .resolved(resolver, event, bytes(address), port, strings(text))
            }, Unmanaged.passUnretained(self).toOpaque())
        guard let resolver else { return handle(.unresolved(key)) }
        resolvers[key] = resolver
        keys[resolver] = key
    }

    private func resolved(
        _ resolver: OpaquePointer, _ event: AvahiResolverEvent, _ address: [UInt8], _ port: UInt16, _ text: [[UInt8]]
    ) {
        guard let key = keys[resolver] else { return }
        if event == AVAHI_RESOLVER_FOUND {
            handle(.resolved(key, address: address, port: port, text: text))
        } else {
            handle(.unresolved(key))
        }
    }

    private func handle(_ input: PeerSet.Input) {
        for effect in peers.handle(input) {
            switch effect {
            case .resolve(let key): resolve(key)
            case .release(let key):
                guard let resolver = resolvers.removeValue(forKey: key) else { continue }
                keys[resolver] = nil
                avahi_service_resolver_free(resolver)
            case .report(let event): report(event)
            case .browseAgain: isIncomplete = true
            }
        }
    }

    private func noteFailure() { failure = avahiMessage(avahi_client_errno(client)) }
}

private func bytes(_ text: UnsafePointer<CChar>?) -> [UInt8] {
    text.map { Array(UnsafeRawBufferPointer(start: $0, count: strlen($0))) } ?? []
}

private func bytes(_ address: UnsafePointer<AvahiAddress>?) -> [UInt8] {
    guard let address else { return [] }
    return withUnsafeBytes(of: address.pointee.data) { Array($0.prefix(address.pointee.proto == AVAHI_PROTO_INET ? 4 : 16)) }
}

/// No more of them than a valid record can have.
private func strings(_ list: UnsafeMutablePointer<AvahiStringList>?) -> [[UInt8]] {
    var result: [[UInt8]] = []
    var size = 0
    var next = list
    while let item = next, size <= DiscoveryLimits.textBytesMax {
        let text = UnsafeBufferPointer(start: avahi_string_list_get_text(item), count: avahi_string_list_get_size(item))
        result.append(Array(text))
        size += text.count + 1
        next = avahi_string_list_get_next(item)
    }
    return result
}

private func terminated(_ bytes: [UInt8]) -> [CChar] { bytes.map { CChar(bitPattern: $0) } + [0] }
