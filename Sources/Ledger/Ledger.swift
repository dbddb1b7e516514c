// What a publisher remembers between runs: which chunk lies in which pack (`ChunkIndex`), and small notes (`MemoStore`).
//
// Everything here is a cache of the truth. It may be deleted at any time and is rebuilt from the footers of the packs, so
// nothing may stand only here, and no backup may be lost by believing it: what it says is checked by cryptography at use
// and by the vault at commit. Every byte read from disk is checked before it is believed, because a flipped bit in "this
// chunk is stored" would lose a chunk in silence. It must never claim more than is true; claiming less costs only time.
//
// Several threads and several processes use one folder at once, without locks between processes: files are immutable,
// appear under a new random name, and are unlinked only after a durable file holds what they held.
