internal import CAvahi

/// Keeps this node's service registered as it should be, under another name where its own is taken.
///
/// Its entry group is freed with the client.
final class AvahiRegistration {
    private let client: OpaquePointer
    private var group: OpaquePointer?
    private var state = AVAHI_ENTRY_GROUP_UNCOMMITED
    /// What the group holds, if anything.
    private var registered: Announcement?
    /// The name it is registered under, or will be: the announcement's label, or an alternative to it.
    private var name = ""
    private var label = ""
    /// In a row.
    private var collisions = 0
    private var pauses = Backoff(firstMilliseconds: 100, longestMilliseconds: 60_000)
    /// When to register after a collision.
    private(set) var nextAt: UInt64 = .max
    private(set) var failure: String?

    init(_ client: OpaquePointer) { self.client = client }

    /// Takes back what is registered, until ``keep(_:now:)``.
    func withdraw() {
        registered = nil
        guard let group else { return }
        check(avahi_entry_group_reset(group))
    }

    /// Registers the announcement, or brings what is registered up to date.
    func keep(_ wanted: Announcement, now: UInt64) {
        if wanted.label != label {
            label = wanted.label
            name = label
        }
        switch state {
        case AVAHI_ENTRY_GROUP_COLLISION: rename(wanted, now: now)
        case AVAHI_ENTRY_GROUP_ESTABLISHED:
            collisions = 0
            pauses.reset()
        case AVAHI_ENTRY_GROUP_FAILURE:
            failure = avahiMessage(avahi_client_errno(client))
            return
        default: break
        }
        guard nextAt == .max || now >= nextAt else { return }
        nextAt = .max
        if let registered, registered.port == wanted.port, registered.label == wanted.label {
            guard registered.text != wanted.text else { return }
            if change(wanted) { return }
        }
        register(wanted, now: now)
    }

    private func register(_ wanted: Announcement, now: UInt64) {
        withdraw()
        guard failure == nil, let group = madeGroup() else { return }
        let text = stringList(wanted.text)
        defer { avahi_string_list_free(text) }
        let added = avahi_entry_group_add_service_strlst(
            group, unspecified, unspecified, AvahiPublishFlags(rawValue: 0), name, serviceType, nil, nil, wanted.port, text)
        if added == AVAHI_ERR_COLLISION { return rename(wanted, now: now) }
        if check(added), check(avahi_entry_group_commit(group)) { registered = wanted }
    }

    /// Changes the TXT record alone; false if that is not possible.
    private func change(_ wanted: Announcement) -> Bool {
        let text = stringList(wanted.text)
        defer { avahi_string_list_free(text) }
        let changed = avahi_entry_group_update_service_txt_strlst(
            group, unspecified, unspecified, AvahiPublishFlags(rawValue: 0), name, serviceType, nil, text)
        if changed == AVAHI_OK { registered = wanted }
        return changed == AVAHI_OK
    }

    /// Takes another name, and waits a little before using it: whoever answers to every name must not keep this node busy.
    ///
    /// A number is added to the name, as people know it, and where that is taken as well the beginning of the node's id.
    private func rename(_ wanted: Announcement, now: UInt64) {
        withdraw()
        state = AVAHI_ENTRY_GROUP_UNCOMMITED
        collisions += 1
        nextAt = now + pauses.next()
        if collisions == 2 {
            name = wanted.uniqueLabel
        } else if let alternative = avahi_alternative_service_name(name) {
            name = String(cString: alternative)
            avahi_free(alternative)
        }
    }

    private func madeGroup() -> OpaquePointer? {
        if let group { return group }
        group = avahi_entry_group_new(
            client,
            { _, state, context in
                guard let context else { return }
                Unmanaged<AvahiRegistration>.fromOpaque(context).takeUnretainedValue().state = state
            }, Unmanaged.passUnretained(self).toOpaque())
        if group == nil { check(avahi_client_errno(client)) }
        return group
    }

    @discardableResult
    private func check(_ result: Int32) -> Bool {
        if result < 0 { failure = avahiMessage(result) }
        return result >= 0
    }
}

/// The service type of bakare nodes.
let serviceType = "_bakare._tcp"
/// Any interface, or any protocol.
let unspecified: Int32 = -1

/// A list that the caller frees. The library keeps them last first.
private func stringList(_ strings: [String]) -> UnsafeMutablePointer<AvahiStringList>? {
    var list: UnsafeMutablePointer<AvahiStringList>?
    for string in strings { list = avahi_string_list_add(list, string) }
    return avahi_string_list_reverse(list)
}
