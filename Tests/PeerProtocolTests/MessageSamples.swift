import BackupFormat
import Cryptography
import PeerProtocol

/// One message of every kind and shape, with what may follow it.
func messageSamples() -> [(name: String, message: Message, bulk: [UInt8])] {
    func id<ID: Identifier>(_ number: Int) -> ID { ID(sha256(Array("identifier \(number)".utf8))) }
    let signature = Signature(first: sha256(Array("first".utf8)), second: sha256(Array("second".utf8)))
    let offer = Offer(
        role: .both, free: 1, reserve: 127, quota: 128, used: 16_384, granted: 1 << 32, wanted: .max, generation: 300)
    let bulk = (0..<1000).map { UInt8(truncatingIfNeeded: $0 * 131) }
    let request = RequestID(7)
    let far = RequestID(.max)
    return [
        ("hello", .notice(.hello(Hello(features: 5, offer: offer))), []),
        ("hello-least", .notice(.hello(Hello(offer: Offer(role: .auto)))), []),
        ("offer", .notice(.offer(offer)), []),
        ("ping", .notice(.ping(1)), []),
        ("pong", .notice(.pong(.max)), []),
        ("credit", .notice(.credit(1 << 20)), []),
        ("goodbye", .notice(.goodbye(Goodbye(.resumed, reason: "zurück"))), []),
        ("goodbye-least", .notice(.goodbye(Goodbye(.leaving))), []),
        ("ask-vault", .request(request, .vault), []),
        ("have", .request(request, .have(Have(kind: .pack, ids: [id(1), id(2), id(3)]))), []),
        ("put", .request(far, .put(Put(kind: .pack, id: id(1), totalBytes: 16 << 20, offset: 4096))), bulk),
        ("put-ask", .request(request, .put(Put(kind: .draft, id: id(4), totalBytes: 5000, offset: 0))), []),
        ("get", .request(request, .get(Get(kind: .snapshot, id: id(1), offset: 0, lengthBytes: 1 << 20))), []),
        ("get-far", .request(request, .get(Get(kind: .page, id: id(1), offset: 16_000, lengthBytes: 1))), []),
        ("list", .request(request, .list(List())), []),
        ("list-after", .request(request, .list(List(after: id(5)))), []),
        ("commit", .request(request, .commit(Commit(draft: id(6)))), []),
        ("commit-full", .request(request, .commit(Commit(draft: id(6), basedOn: id(7), isReplacement: true))), []),
        ("forget", .request(request, .forget), bulk),
        ("sweep", .request(request, .sweep), []),
        ("audit", .request(request, .audit(Audit(seed: sha256(Array("seed".utf8)), packs: [id(1), id(2)]))), []),
        ("reserve", .request(request, .reserve(Reserve(bytes: 5 << 30))), []),
        ("reserve-nothing", .request(request, .reserve(Reserve(bytes: 0))), []),
        ("pair", .request(request, .pair(Pair(quotaBytes: 10 << 30, device: id(8), name: "läptop"))), []),
        ("unpair", .request(request, .unpair), []),
        ("recover", .request(request, .recover(Recover(owner: id(9), signature: signature))), []),
        ("failed", .answer(request, .failed(Failed(.noSpace, reason: "the quota of 10 GB is full"))), []),
        (
            "vault",
            .answer(
                request,
                .vault(
                    VaultState(exists: true, generation: 4, packs: 3, snapshots: 2, usedBytes: 1 << 40, quotaBytes: .max))), []
        ),
        ("no-vault", .answer(request, .vault(VaultState(exists: false))), []),
        ("missing", .answer(request, .missing(Missing(ids: [id(1), id(3)], generation: 9))), []),
        ("missing-none", .answer(request, .missing(Missing(ids: [], generation: 0))), []),
        ("stored", .answer(request, .stored(Stored(receivedBytes: 16 << 20, isDurable: true, generation: 1))), []),
        ("stored-part", .answer(request, .stored(Stored(receivedBytes: 4096, isDurable: false, generation: 0))), []),
        ("part", .answer(request, .part(Part(totalBytes: 70_000))), bulk),
        (
            "listing",
            .answer(
                request,
                .listing(
                    Listing(
                        snapshots: [id(1) as SnapshotID, id(2), id(3)].sorted(), hasMore: true))), []
        ),
        ("listing-none", .answer(request, .listing(Listing(snapshots: [], hasMore: false))), []),
        ("committed", .answer(request, .outcome(Outcome(.committed, generation: 2))), []),
        ("uncommitted", .answer(request, .outcome(Outcome(.missing(packs: [id(1)], pages: [id(2), id(3)]), generation: 2))), []),
        ("rejected", .answer(request, .outcome(Outcome(.rejected("not permitted"), generation: 0))), []),
        ("forgotten", .answer(request, .forgotten(Forgotten(count: 3))), []),
        (
            "swept",
            .answer(
                request,
                .swept(
                    Swept(generation: 8, trashedPacks: 2, trashedBytes: 32 << 20, purgedBytes: 0))), []
        ),
        ("samples", .answer(request, .samples), bulk),
        ("reserved", .answer(request, .reserved(Reserved(bytes: 1 << 30))), []),
        ("paired", .answer(request, .paired(Paired(quotaBytes: 1 << 30))), []),
        ("admitted", .answer(request, .paired(Paired(quotaBytes: .max, certificate: [1, 2, 3], keys: [4, 5]))), []),
        ("unpaired", .answer(far, .unpaired), []),
    ]
}
